# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# kernels: stock debug kcsan
# vm: -a debug_objects
#
# Loading and unloading again and again: $CYCLES times, a quarter of it each way.

. ./guest.sh

COUNT=$(((${CYCLES:-100} + 3) / 4))

case_without_targets() {
	for _ in $(seq $COUNT); do
		load
		unload
	done
	note "cycles $COUNT without targets"
}

case_with_targets_sampled_each_ms() {
	spawn threads 20 0
	tids=$(sed -n 's/^tid //p' "$OUT" | tr '\n' ,)
	for i in $(seq $COUNT); do
		load "target=$tids$PID,1 period_us=1000"
		[ $((i % 5)) = 0 ] || usleep $((i % 5 * 5000))
		unload
	done
	note "cycles $COUNT with 22 targets at 1 ms"
}

case_with_readers_that_hold_sysfs_open() {
	load
	capacity
	unload
	for i in $(seq $COUNT); do
		load "target=1 period_us=100"
		: >"$T/holder"
		./helper file "$SYSFS" read=4096 hold rewind read=4096 >"$T/sysfs" 2>"$T/holder" &
		HOLDER=$!
		await grep -q held "$T/holder"
		# With some blocks, or with one.
		[ $((i % 2)) = 0 ] || later 1 "$MOST"
		unload
		released
		same "a read behind the end" "$(tail -n 1 "$T/sysfs")" "-- read=4096 ENODEV"
	done
	note "cycles $COUNT with a reader of sysfs"
}

case_with_readers_that_hold_debugfs_open() {
	for i in $(seq $COUNT); do
		load "target=1 period_us=1000"
		later 1 3
		if [ $((i % 2)) = 0 ]; then
			file=$FOLLOW
		else
			file=$FILE
		fi
		: >"$T/holder"
		./helper hold "$file" 200 >"$T/held" 2>"$T/holder" &
		HOLDER=$!
		await grep -q held "$T/holder"
		same rmmod "$(./helper rmmod taskmonitor)" EAGAIN
		released
		unload
	done
	note "cycles $COUNT with a reader of debugfs"
}

run_cases "$@"
