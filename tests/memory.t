# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# kernels: stock debug kcsan
# vm: -m 1024
#
# When memory is short: what is given back, in which order, and what is kept.

. ./guest.sh

# some N: N threads are sampled at the shortest period. Sets TIDS.
some() {
	spawn threads "$1" 0
	TIDS=$(sed -n 's/^tid //p' "$OUT")
	sed -n 's/^tid //p' "$OUT" >"$FILE"
}

# total KEY: the sum of it over all tasks.
total() {
	awk -v key="$1" '{ for (i = 1; i < NF; i += 2) if ($i == key) n += $(i + 1) } END { print n + 0 }' "$TASKS"
}

have() {
	[ "$(total "$1")" -ge "$2" ]
}

# free_kib: memory that is not in use, as the kernel counts it.
free_kib() {
	awk '/^MemFree:/ { print $2 }' /proc/meminfo
}

# leave MIB: takes all memory that is free but about that, until `umount "$T/ballast"`.
leave() {
	mkdir -p "$T/ballast"
	mount -t tmpfs -o size=100% none "$T/ballast"
	dd if=/dev/zero of="$T/ballast/zeros" bs=1024 count=$(($(free_kib) - $1 * 1024)) 2>/dev/null
	between "KiB that are left" "$(free_kib)" $(($1 * 800)) $(($1 * 1100))
}

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

# The machine has so much less memory than the history and a program want together that one of them
# must give way.
case_a_program_gets_memory_back() {
	# KASAN keeps what is freed, up to a part of all memory, so that little comes back.
	if [ "${KERNEL-}" = debug ]; then
		note "not on the debug kernel"
		return
	fi
	mib=$(few 110)
	load "period_us=100 max_samples=100000 max_mib=$mib"
	size=$(awk '/^task_sample / { print $4 }' /proc/slabinfo)
	leave $((mib * size / 1016 + 60))
	some 100
	LIMIT=300
	await have samples "$(few 1700000)"
	between "free, KiB" "$(free_kib)" 1000 100000
	spawn grow $((60 + mib / 2))
	adds_up_roughly
	between "reclaimed" "$(total reclaimed)" "$(few 500000)" 100000000
	for tid in $TIDS; do
		between "samples left of $tid" "$(status "$tid" samples)" 1 100000
	done
	later "$tid" 100
	end_task
	umount "$T/ballast"
	# With memory to be had, the history grows again.
	have_now=$(total samples)
	await have samples $((have_now + 50000))
	echo stop >"$FILE"
	adds_up_roughly
}

# As adds_up, for a history that is too long to be counted line by line.
adds_up_roughly() {
	awk '$12 != $10 + $14 + $16' "$TASKS" >"$T/unsound"
	[ ! -s "$T/unsound" ] || fail "taken is not samples + evicted + reclaimed: $(head -n 3 "$T/unsound")"
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
	await have samples "$(few 1000000)"
	before=$(slab_kib)
	echo clear >"$FILE"
	await slabs_are $((before - $(few 40000)))
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
