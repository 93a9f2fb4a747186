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
	spawn threads "$(few 1000)" 0
	echo "$PID" >"$FILE"
	for _ in 1 2 3 4; do
		filled "$(few 1000)"
		samples=$(total samples) reclaimed=$(total reclaimed)
		echo 2 >/proc/sys/vm/drop_caches
		between reclaimed $(($(total reclaimed) - reclaimed)) $((samples * 8 / 10)) 100000000
	done
}

# Each living task keeps its newest block, whatever max_mib says: so there are no more of them than blocks in it.
case_no_task_beyond_max_mib() {
	spawn threads 1100 0
	sed -n 's/^tid //p' "$OUT" >"$T/tids"
	load "max_mib=1 period_us=1000 sampling=N"
	capacity
	most=$((1048576 / $(stats block_ksize)))
	same "blocks in 1 MiB" "$most" 1024
	other=$(stats other_bytes)
	head -n "$most" "$T/tids" >"$T/some"
	writes "$(wc -c <"$T/some")" "@$T/some"
	same "living, blocks" "$(stats living) $(stats blocks)" "$most $most"
	same "bytes of the blocks" "$(stats block_bytes)" 1048576
	between "other bytes for a task" $((($(stats other_bytes) - other) / most)) 300 512
	next=$(sed -n 1025p "$T/tids")
	writes ENOSPC "$next\n"
	writes_to "$SYSFS" ENOSPC "$next\n"
	same "tasks, taken, evicted" "$(stats tasks) $(stats taken) $(stats evicted)" "$most $most 0"

	# Older blocks of the others make room, as for their own next ones.
	head -n 10 "$T/tids" | sed 's/^/-/' >"$T/some"
	writes "$(wc -c <"$T/some")" "@$T/some"
	echo start >"$FILE"
	await has_stats evicted "$MOST"
	echo stop >"$FILE"
	same "blocks, living" "$(stats blocks) $(stats living)" "$most $((most - 10))"
	evicted=$(stats evicted)
	head -n 10 "$T/tids" >"$T/some"
	writes "$(wc -c <"$T/some")" "@$T/some"
	between "samples evicted for them" $(($(stats evicted) - evicted)) "$((10 * FEWEST))" "$((10 * MOST))"
	same "blocks, living" "$(stats blocks) $(stats living)" "$most $most"
	writes ENOSPC "$next\n"
	stats_add_up

	# A lower limit is kept as far as it can be.
	echo 2 >"$PARAMETERS/max_mib"
	sed -n '1025,$p' "$T/tids" >"$T/some"
	writes "$(wc -c <"$T/some")" "@$T/some"
	echo 1 >"$PARAMETERS/max_mib"
	same "blocks, living" "$(stats blocks) $(stats living)" "1100 1100"
	same "tasks without a sample" "$(awk '$10 == 0' "$TASKS")" ""
	writes ENOSPC "1\n"
	head -n 77 "$T/tids" | sed 's/^/-/' >"$T/some"
	writes "$(wc -c <"$T/some")" "@$T/some"
	writes 2 "1\n"
	writes ENOSPC "2\n"
	same "blocks, living" "$(stats blocks) $(stats living)" "$most $most"
	stats_add_up
	adds_up
}

has_stats() {
	[ "$(stats "$1")" -ge "$2" ]
}

# kernel_bytes: the kernel's memory that is charged to the group.
kernel_bytes() {
	sed -n 's/^kernel //p' "$GROUP/memory.stat"
}

# charged BYTES: the group is charged with so many bytes more than "before", or with more than that. (The kernel adds a
# few pages to this figure only every two seconds.)
charged() {
	[ $(($(kernel_bytes) - before)) -ge "$1" ]
}

case_a_follower_is_charged() {
	GROUP=/sys/fs/cgroup/reader
	[ -e /sys/fs/cgroup/cgroup.procs ] || mount -t cgroup2 none /sys/fs/cgroup
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	mkdir -p "$GROUP"
	load "max_mib=20 sampling=N"
	some 1000
	: >"$T/holder"
	(
		sh -c 'echo $PPID' >"$GROUP/cgroup.procs"
		exec ./helper file "$FOLLOW" hold read hold read hold >"$T/followed" 2>"$T/holder"
	) &
	HOLDER=$!
	echo "$HOLDER" >>"$T/pids"
	await grep -q held "$T/holder"
	before=$(kernel_bytes)
	same "followers, their bytes" "$(stats followers) $(stats follower_bytes)" "1 0"
	: >"$T/holder"
	kill -TERM "$HOLDER"
	await grep -q held "$T/holder"
	bytes=$(stats follower_bytes)
	between "bytes for each task" $((bytes / 1000)) 100 400
	await charged $((bytes * 9 / 10))
	between "bytes charged" $(($(kernel_bytes) - before)) 0 $((bytes * 2 + 25 * PAGE))
	note "a follower takes $((bytes / 1000)) bytes for each task"
	# It keeps places for the tasks that are there.
	for tid in $(echo "$TIDS" | sed 1d); do
		echo "-$tid"
	done >"$FILE"
	echo start >"$FILE"
	later "$(echo "$TIDS" | head -n 1)"
	: >"$T/holder"
	kill -TERM "$HOLDER"
	await grep -q held "$T/holder"
	between "bytes for one task" "$(stats follower_bytes)" 100 10000
	released
	same "followers, their bytes" "$(stats followers) $(stats follower_bytes)" "0 0"
	rmdir "$GROUP"
}

case_a_long_history_is_given_back_at_once() {
	load "period_us=100 max_samples=16000000 max_mib=80"
	some 40
	most=$(few 12000)
	[ "$most" -ge 12000 ] || most=12000
	filled "$most"
	# Else as much may have come anew before anybody has looked.
	echo 100000 >"$PARAMETERS/period_us"
	before=$(slab_kib)
	echo clear >"$FILE"
	# Blocks of 1 KiB. The allocator keeps some hundreds of free objects at hand, and each may be the only one of its
	# slab: with slabs of 16 KiB (four pages of 4 KiB) that may be 7 MiB, however long the history was.
	slab=$(awk -v page="$PAGE" '/^task_sample / { print $6 * page / 1024 }' /proc/slabinfo)
	await slabs_are $((before - most + 512 * slab))
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
