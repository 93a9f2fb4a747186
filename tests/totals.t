# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# quick
#
# What a sample says of a process or of a thread, against /proc and what wait4() told the parent.

. ./guest.sh

case_user_time() {
	load period_us=10000
	spawn burn user 500
	echo "$PID" >"$FILE"
	agrees "$PID"
	between usr "$(newest "$PID" usr)" 200000000 5000000000
	end_task
	exact "$PID" "$OUT"
}

case_system_time() {
	load period_us=10000
	spawn burn sys 500
	echo "$PID" >"$FILE"
	agrees "$PID"
	between sys "$(newest "$PID" sys)" 150000000 5000000000
	end_task
	exact "$PID" "$OUT"
}

case_a_task_that_runs() {
	load period_us=1000
	sh -c 'while :; do :; done' &
	busy=$!
	echo $busy >>"$T/pids"
	echo $busy >"$FILE"
	await in_state $busy R
	from=$(newest $busy usr)
	await used $busy $((from + 300000000))
	samples | sound
	kill -KILL $busy
	wait $busy || :
	await ended $busy
}

# used PID NS
used() {
	[ "$(newest "$1" usr)" -ge "$2" ]
}

case_totals_after_sampling_it_all_along() {
	load period_us=100
	./helper burn user 300 >"$T/burn" &
	echo $! >>"$T/pids"
	await grep -q '^pid' "$T/burn"
	PID=$(sed -n 's/^pid //p' "$T/burn")
	echo "$PID" >>"$T/pids"
	echo "$PID" >"$FILE"
	await grep -q '^ready' "$T/burn"
	agrees "$PID"
	end_task
	exact "$PID" "$T/burn"
	samples | sound
}

# Asleep at each instant, in the same state, but not all the while.
case_a_task_that_runs_now_and_then() {
	load period_us=10000
	mkfifo "$T/fifo"
	cat "$T/fifo" >/dev/null &
	pid=$!
	echo $pid >>"$T/pids"
	exec 3>"$T/fifo"
	echo $pid >"$FILE"
	for _ in $(seq 5); do
		await in_state $pid S
		later $pid 3
		echo "$pid" >&3
		await in_state $pid S
		later $pid
		same "run time" "$(cpu $pid)" "$(cut -d ' ' -f 1 /proc/$pid/schedstat)"
	done
	exec 3>&-
	wait $pid || :
	await ended $pid
	samples | sound
}

case_a_task_that_ends_before_its_next_sample() {
	load period_us=3600000000
	spawn burn user 100
	echo "$PID" >"$FILE"
	end_task
	same "no sample since" "$(newest "$PID" seq)" 0
	echo 10000 >"$PARAMETERS/period_us"
	exact "$PID" "$OUT"
}

case_resident_memory() {
	load period_us=10000
	spawn pause
	small=$PID
	spawn grow 20
	echo "$small" >"$FILE"
	echo "$PID" >"$FILE"
	agrees "$small"
	agrees "$PID"
	# Each of the two may lack some pages on each processor (docs/reference.md).
	between "20 MiB more" $(($(newest "$PID" rss) - $(newest "$small" rss))) $(((20 << 20) - 240 * PAGE)) $(((20 << 20) + 500 * PAGE))
	between "page faults" "$(newest "$PID" minflt)" 1 1000000
	same mm_users "$(newest "$PID" mm_users)" 1
}

case_states() {
	load period_us=10000
	spawn pause
	echo "$PID" >"$FILE"
	await in_state "$PID" S
	kill -STOP "$PID"
	await in_state "$PID" T
	kill -CONT "$PID"
	await in_state "$PID" S
	end_task
	await in_state "$PID" X
	spawn vfork
	echo "$PID" >"$FILE"
	await in_state "$PID" D
	agrees "$PID"
	same "mm_users of a vfork" "$(newest "$PID" mm_users)" 2
}

case_a_kernel_thread() {
	load "target=2 period_us=10000"
	agrees 2
	same rss "$(newest 2 rss)" 0
	same mm_users "$(newest 2 mm_users)" 0
	same state "$(newest 2 state)" S
	idle=$(sed -n 's/^\([0-9]*\) (.*) I .*/\1/p' /proc/[0-9]*/stat | head -n 1)
	echo "$idle" >"$FILE"
	same state "$(newest "$idle" state)" I
}

case_the_monitors_own_thread() {
	load period_us=10000
	own=$(grep -lx taskmonitor /proc/[0-9]*/comm | cut -d / -f 3)
	echo "$own" >"$FILE"
	later "$own" 5
	same state "$(newest "$own" state)" R
}

case_threads_count_for_their_process() {
	load period_us=10000
	spawn threads 3 150
	echo "$PID" >"$FILE"
	agrees "$PID"
	between "CPU time" "$(cpu "$PID")" 440000000 10000000000
	same mm_users "$(newest "$PID" mm_users)" 4
	# So do those that have exited.
	before=$(cpu "$PID")
	kill -USR1 "$PID"
	await grep -q joined "$OUT"
	agrees "$PID"
	between "CPU time after a thread's exit" "$(cpu "$PID")" "$before" 10000000000
	end_task
	exact "$PID" "$OUT"
	samples | sound
}

case_a_thread_alone() {
	load period_us=10000
	spawn threads 3 100
	tid=$(sed -n 's/^tid //p' "$OUT" | tail -n 1)
	echo "$tid" >"$FILE"
	agrees "$tid" "/proc/$PID/task/$tid/stat"
	between "CPU time" "$(cpu "$tid")" 95000000 1000000000
	same tasks "$(shown)" "$tid"
	writes EEXIST "$tid\n"
	echo "$PID" >"$FILE"
	same tasks "$(shown)" "$tid $PID"
	kill -USR1 "$PID"
	await ended "$tid"
	later "$PID"
	same state "$(newest "$PID" state)" S
	samples | sound
	echo "-$tid" >"$FILE"
	same tasks "$(shown)" "$PID"
}

run_cases "$@"
