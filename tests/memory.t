# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# kernels: stock debug kcsan
# vm: -m 1024
#
# When memory is short: what is given back, in which order, and what is kept.

. ./guest.sh

# newest_of_all: the newest sample of each task.
newest_of_all() {
	samples | awk '{ last[$2] = $0 } END { for (pid in last) print last[pid] }' | sort
}

case_all_but_the_newest_block_is_given_back() {
	load "period_us=1000 max_mib=20"
	capacity
	some 20
	spawn pause
	echo "$PID" >"$FILE"
	LIMIT=300
	later "$PID" $((2 * MOST))
	end_task
	await ended "$PID"
	echo stop >"$FILE"
	same "reclaimed before" "$(total reclaimed)" 0
	newest_of_all | grep -v "^pid $PID " >"$T/newest"
	reclaim
	adds_up
	same "blocks of the ended task" "$(status "$PID" samples)" 0
	for tid in $TIDS; do
		between "samples left of a living task" "$(status "$tid" samples)" 1 "$MOST"
	done
	newest_of_all | cmp - "$T/newest" || fail "the newest sample of a living task is gone"
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
	capacity
	some 40
	LIMIT=300
	tid=$(echo "$TIDS" | head -n 1)
	# How much of it the kernel asks for depends on how much there is: until it was a part, ten blocks less than all.
	part=0
	for try in $(seq 20); do
		later "$tid" $(((9 + try) * MOST))
		echo stop >"$FILE"
		before=$(total reclaimed)
		echo 2 >/proc/sys/vm/drop_caches
		cat "$TASKS" >"$T/part"
		now=$(total reclaimed)
		reclaim
		part=$((now - before)) rest=$(($(total reclaimed) - now))
		if [ $part -ge $((10 * MOST)) ] && [ $rest -ge $((10 * MOST)) ]; then
			break
		fi
		part=0
		echo start >"$FILE"
	done
	between "reclaimed" $part 1 "$(total taken)"
	adds_up
	least=$(awk '{ print $16 }' "$T/part" | sort -n | head -n 1)
	most=$(awk '{ print $16 }' "$T/part" | sort -n | tail -n 1)
	between "the difference between what was taken from two tasks" $((most - least)) 0 $((2 * MOST))
}

case_a_reader_keeps_its_block() {
	load "period_us=1000 max_mib=20"
	capacity
	some 2
	later "$(echo "$TIDS" | head -n 1)" $((3 * MOST))
	echo stop >"$FILE"
	both_holding
	samples >"$T/whole"
	reclaim
	samples >"$T/left"
	between "samples left of both" "$(wc -l <"$T/left")" 2 $((2 * MOST))
	both_released "$T/whole" "$T/left"
	sound <"$T/held"
	adds_up
}

case_a_follower_sees_a_gap() {
	load "period_us=1000 max_mib=20"
	capacity
	some 2
	tid=$(echo "$TIDS" | head -n 1)
	later "$tid" $((3 * MOST))
	echo stop >"$FILE"
	holding 1000 "$FOLLOW"
	samples "$tid" >"$T/whole"
	reclaim
	samples "$tid" >"$T/left"
	between "samples left" "$(wc -l <"$T/left")" 1 "$MOST"
	released
	grep "^pid $tid " "$T/held" >"$T/followed"
	head_and_rest "$T/followed" "$T/whole" "$T/left"
}

# However busy the lock is: a process of many threads is sampled all the time.
case_reclaim_waits_for_its_turn() {
	load "period_us=100 max_samples=1000000 max_mib=40"
	some 50
	LIMIT=300
	spawn threads "$(few 1000)" 0
	echo "$PID" >"$FILE"
	for _ in 1 2 3 4; do
		filled "$(few 1000)"
		samples=$(total samples) reclaimed=$(total reclaimed)
		echo 2 >/proc/sys/vm/drop_caches
		between reclaimed $(($(total reclaimed) - reclaimed)) $((samples * 8 / 10)) 100000000
	done
}

case_a_long_history_is_given_back_at_once() {
	load "period_us=100 max_samples=16000000 max_mib=80"
	some 40
	LIMIT=300
	most=$(few 12000)
	[ "$most" -ge 12000 ] || most=12000
	filled "$most"
	# Else as much may have come anew before anybody has looked.
	echo 100000 >"$PARAMETERS/period_us"
	before=$(slab_kib)
	echo clear >"$FILE"
	# Blocks of 1 KiB. The allocator keeps some hundreds of free objects at hand, and each may be the only one of a
	# slab of 16 KiB: that may be 7 MiB, however long the history was.
	await slabs_are $((before - most + 8192))
	echo 100 >"$PARAMETERS/period_us"
	later "$(echo "$TIDS" | head -n 1)" 100
	filled "$(few 2000)"
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
	some 40
	LIMIT=300
	filled "$(few 8000)"
	before=$(slab_kib)
	unload
	await slabs_are $((before - $(few 8000) * 9 / 10))
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
