# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# kernels: stock debug kcsan
# vm: -m 1024
#
# When memory is short: what is given back, in which order, and what is kept.

. ./guest.sh

case_all_but_the_newest_block_is_given_back() {
	load "period_us=1000 max_mib=20"
	some 20
	spawn pause
	echo "$PID" >"$FILE"
	await have samples 5000
	end_task
	await ended "$PID"
	echo stop >"$FILE"
	same "reclaimed before" "$(total reclaimed)" 0
	samples | sort -n -k 8,8 | awk '{ last[$2] = $0 } END { for (pid in last) print last[pid] }' | sort >"$T/newest"
	reclaim
	adds_up
	same "blocks of the ended task" "$(status "$PID" samples)" 0
	for tid in $TIDS; do
		between "samples left of a living task" "$(status "$tid" samples)" 1 17
		newest "$tid" | grep -qFxf - "$T/newest" || fail "the newest sample of $tid is gone"
	done
	# There is no more to give.
	before=$(total samples)
	reclaim
	same "samples left" "$(total samples)" "$before"
	# It goes on.
	echo start >"$FILE"
	later "$tid" 100
	samples | sound
}

case_tasks_take_turns() {
	load "period_us=1000 max_mib=20"
	some 40
	await have samples 40000
	echo stop >"$FILE"
	# Once, for a part of it.
	echo 2 >/proc/sys/vm/drop_caches
	adds_up
	between "reclaimed" "$(total reclaimed)" 1000 "$(total taken)"
	least=$(awk '{ print $16 }' "$TASKS" | sort -n | head -n 1)
	most=$(awk '{ print $16 }' "$TASKS" | sort -n | tail -n 1)
	between "the difference between what was taken from two tasks" $((most - least)) 0 34
}

case_a_reader_keeps_its_block() {
	load "period_us=1000 max_mib=20"
	some 2
	tid=$(echo "$TIDS" | head -n 1)
	later "$tid" 200
	echo stop >"$FILE"
	holding 1000
	samples | head -n 17 >"$T/first"
	reclaim
	released
	sound <"$T/held"
	# The first block to its end, then what is left of this task and of the other.
	head -n 17 "$T/held" | cmp - "$T/first" || fail "not the block that it stood on"
	between "what it read of all others" $(($(wc -l <"$T/held") - 17)) 2 34
	adds_up
}

case_a_follower_sees_a_gap() {
	load "period_us=1000 max_mib=20"
	some 2
	tid=$(echo "$TIDS" | head -n 1)
	later "$tid" 200
	: >"$T/holder"
	./helper file "$FOLLOW" read=1000 hold read read >"$T/followed" 2>"$T/holder" &
	HOLDER=$!
	echo "$HOLDER" >>"$T/pids"
	await grep -q held "$T/holder"
	echo stop >"$FILE"
	reclaim
	released
	same "the newest sample" "$(grep "^pid $tid " "$T/followed" | tail -n 1)" "$(newest "$tid")"
	between "samples read" "$(grep -c "^pid $tid " "$T/followed")" 18 51
}

# However busy the lock is: a process of many threads is sampled all the time.
case_reclaim_waits_for_its_turn() {
	load "period_us=100 max_samples=1000000 max_mib=40"
	some 50
	LIMIT=300
	spawn threads "$(few 1000)" 0
	echo "$PID" >"$FILE"
	for _ in 1 2 3 4; do
		await have samples "$(few 200000)"
		samples=$(total samples) reclaimed=$(total reclaimed)
		echo 2 >/proc/sys/vm/drop_caches
		between reclaimed $(($(total reclaimed) - reclaimed)) $((samples * 8 / 10)) 100000000
	done
}

case_a_long_history_is_given_back_at_once() {
	load "period_us=100 max_samples=16000000 max_mib=80"
	some 20
	LIMIT=300
	most=$(few 1000000)
	[ "$most" -ge 200000 ] || most=400000
	await have samples "$most"
	# Else as much may have come anew before anybody has looked.
	echo 100000 >"$PARAMETERS/period_us"
	before=$(slab_kib)
	echo clear >"$FILE"
	# Of 56 bytes each. The allocator keeps some hundreds of free objects at hand, and each may be the only one of a
	# slab of 16 KiB: that may be 7 MiB, however long the history was.
	await slabs_are $((before - most * 56 / 1024 + 8192))
	echo 100 >"$PARAMETERS/period_us"
	later "$(echo "$TIDS" | head -n 1)" 100
	await have samples "$(few 300000)"
	# Without a pause of the others.
	for tid in $TIDS; do
		echo "-$tid" >"$FILE"
	done
	same tasks "$(cat "$TASKS")" ""
	unload
}

# slab_kib: memory that the slab allocator has. (What it gives back is free for everybody, but processors
# may hold it ready, and then MemFree does not count it.)
slab_kib() {
	awk '/^Slab:/ { print $2 }' /proc/meminfo
}

slabs_are() {
	[ "$(slab_kib)" -le "$1" ]
}

case_unloading_a_long_history() {
	load "period_us=100 max_samples=16000000 max_mib=80"
	some 20
	LIMIT=300
	await have samples "$(few 1000000)"
	before=$(slab_kib)
	unload
	await slabs_are $((before - $(few 50000)))
}

case_pressure_while_tasks_come_and_go() {
	load "period_us=1000 max_mib=50"
	some 50
	(
		while [ ! -e "$T/over" ]; do
			reclaim
			echo clear >"$FILE"
		done
	) &
	pressure=$!
	echo $pressure >>"$T/pids"
	for _ in $(seq "$(few 40)"); do
		spawn pause
		echo "$PID" >"$FILE"
		end_task
		samples | sound
		await x_or_gone "$PID"
	done
	: >"$T/over"
	wait $pressure
	echo stop >"$FILE"
	adds_up
	rm "$T/over"
}

# Its end is recorded, whatever became of the samples.
x_or_gone() {
	[ "$(status "$1" state)" = X ] || [ "$(status "$1" state)" = "" ]
}

run_cases "$@"
