# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
#
# What a sample says of a task, and how a history follows the task through all that can happen to it.

. ./guest.sh

# A tick of the kernel, and of /proc/PID/stat, in ns.
TICK=10000000

# stat FILE N: the field N of a file in the form of /proc/PID/stat; no field behind comm is counted
# wrongly for a blank in it.
stat_field() {
	sed 's/(.*)/-/' "$1" | cut -d ' ' -f "$2"
}

# agrees PID [FILE]: the newest sample says what /proc/PID/stat does, the task resting meanwhile.
agrees() {
	later "$1"
	newest "$1" >"$T/line"
	stat=${2:-/proc/$1/stat}
	near usr "$(key usr <"$T/line")" "$(stat_field "$stat" 14)"
	near sys "$(key sys <"$T/line")" "$(stat_field "$stat" 15)"
	same minflt "$(key minflt <"$T/line")" "$(stat_field "$stat" 10)"
	same majflt "$(key majflt <"$T/line")" "$(stat_field "$stat" 12)"
	same rss "$(key rss <"$T/line")" $(($(stat_field "$stat" 24) * 4096))
	same state "$(key state <"$T/line")" "$(stat_field "$stat" 3)"
	same start $(($(key start <"$T/line") / TICK)) "$(stat_field "$stat" 22)"
}

# near KEY NS TICKS: the same within 5 ticks.
near() {
	between "$1" "$2" $((($3 - 5) * TICK)) $((($3 + 6) * TICK))
}

# cpu PID: user and system time, which a tick at the wrong moment may split otherwise than the test
# would like, but which have a sum that does not depend on it.
cpu() {
	newest "$1" | awk '{ printf "%d", $4 + $6 }'
}

# exact PID RUSAGE_OUTPUT: the last sample has the totals that the parent was told.
exact() {
	await ended "$1"
	newest "$1" >"$T/line"
	same rss "$(key rss <"$T/line")" 0
	same mm_users "$(key mm_users <"$T/line")" 0
	usr=$(key usr <"$T/line") sys=$(key sys <"$T/line")
	await grep -q '^rusage' "$2"
	# shellcheck disable=SC2046 # two words
	set -- $(sed -n 's/^rusage //p' "$2")
	# The parent's are whole microseconds, of each rounded down.
	between "sum in us" $(((usr + sys) / 1000 - $1 - $2)) 0 1
	between usr "$usr" $(($1 * 1000 - 5 * TICK)) $(($1 * 1000 + 5 * TICK))
}

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
	between "20 MiB more" $(($(newest "$PID" rss) - $(newest "$small" rss))) 20000000 23000000
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

case_x_is_the_last_sample() {
	load period_us=1000
	spawn pause
	a=$PID
	spawn pause
	echo "$a" >"$FILE"
	echo "$PID" >"$FILE"
	later "$a"
	end_task "$a"
	await ended "$a"
	samples "$a" >"$T/then"
	later "$PID" 50
	samples "$a" | cmp - "$T/then" || fail "sampled after its end"
	same "X samples" "$(grep -c 'state X' "$T/then")" 1
	same tasks "$(shown)" "$a $PID"
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

case_threads_end_with_their_process() {
	load period_us=10000
	spawn threads 2 20
	tids=$(sed -n 's/^tid //p' "$OUT")
	for pid in $tids "$PID"; do
		echo "$pid" >"$FILE"
	done
	end_task
	for pid in $tids "$PID"; do
		await ended "$pid"
	done
	exact "$PID" "$OUT"
}

case_the_leader_exits_first() {
	load period_us=10000
	spawn leader-exit 2 100
	echo "$PID" >"$FILE"
	later "$PID" 5
	same state "$(newest "$PID" state)" Z
	between "CPU time" "$(cpu "$PID")" 190000000 10000000000
	between rss "$(newest "$PID" rss)" 4096 100000000
	same mm_users "$(newest "$PID" mm_users)" 3
	near usr "$(newest "$PID" usr)" "$(stat_field "/proc/$PID/stat" 14)"
	end_task
	exact "$PID" "$OUT"
	samples | sound
}

case_the_leader_exits_under_watch() {
	load period_us=1000
	./helper leader-exit 2 100 >"$T/leader" &
	echo $! >>"$T/pids"
	await grep -q '^pid' "$T/leader"
	PID=$(sed -n 's/^pid //p' "$T/leader")
	echo "$PID" >>"$T/pids"
	echo "$PID" >"$FILE"
	await in_state "$PID" Z
	later "$PID" 50
	same "X samples" "$(samples "$PID" | grep -c 'state X' || :)" 0
	same "without memory" "$(samples "$PID" | grep -c 'rss 0 ' || :)" 0
	end_task
	exact "$PID" "$T/leader"
	samples | sound
}

case_an_exec_of_another_thread() {
	load period_us=1000
	spawn exec-nonleader
	tid=$(sed -n 's/^tid //p' "$OUT")
	echo "$PID" >"$FILE"
	echo "$tid" >"$FILE"
	later "$PID" 5
	kill -USR1 "$PID"
	await ended "$tid"
	later "$PID" 20
	same "X samples of the process" "$(samples "$PID" | grep -c 'state X' || :)" 0
	same "starts of the process" "$(samples "$PID" | key start | sort -u | wc -l)" 1
	same mm_users "$(newest "$PID" mm_users)" 1
	samples | sound
	end_task
	exact "$PID" "$OUT"
}

case_a_process_keeps_its_history_across_exec() {
	load period_us=1000
	mkfifo "$T/go"
	sh -c "read -r _ <$T/go; exec sleep 3600" &
	pid=$!
	echo $pid >>"$T/pids"
	echo $pid >"$FILE"
	later $pid 5
	echo >"$T/go"
	await grep -qx sleep "/proc/$pid/comm"
	later $pid 10
	agrees $pid
	same tasks "$(shown)" $pid
	same "starts" "$(samples $pid | key start | sort -u | wc -l)" 1
	samples | sound
	rm "$T/go"
}

case_a_zombie_is_added() {
	load period_us=3600000000
	spawn zombie 100
	echo "$PID" >"$FILE"
	same state "$(newest "$PID" state)" X
	kill -TERM "$(sed -n 's/^parent //p' "$OUT")"
	exact "$PID" "$OUT"
	same samples "$(samples | wc -l)" 1
}

case_a_zombie_has_exited() {
	load period_us=1000
	mkfifo "$T/end"
	sh -c "sh -c 'echo \$\$ >$T/child; read -r _ <$T/end' & exec sleep 3600" &
	echo $! >>"$T/pids"
	await [ -s "$T/child" ]
	child=$(cat "$T/child")
	echo "$child" >"$FILE"
	later "$child"
	echo >"$T/end"
	await ended "$child"
	same "it is a zombie" "$(stat_field "/proc/$child/stat" 3)" Z
	rm "$T/end" "$T/child"
}

case_a_pid_that_is_used_again() {
	load period_us=1000
	spawn pause
	old=$PID
	echo "$old" >"$FILE"
	later "$old"
	first=$(newest "$old" start)
	end_task
	await ended "$old"
	spawn reuse "$old"
	same PID "$PID" "$old"
	samples "$old" >"$T/then"
	usleep 50000
	samples "$old" | cmp - "$T/then" || fail "its new owner was sampled"
	# It can be monitored, too, in a history of its own.
	echo "$PID" >"$FILE"
	later "$PID"
	same starts "$(samples "$PID" | key start | sort -u | wc -l)" 2
	[ "$(newest "$PID" start)" != "$first" ] || fail "the same start"
	samples | sound
	writes EEXIST "$PID\n"
	echo "-$PID" >"$FILE"
	same tasks "$(shown)" ""
	writes ENOENT "-$PID\n"
}

case_a_pid_that_is_used_again_before_the_next_sample() {
	load period_us=3600000000
	spawn pause
	old=$PID
	echo "$old" >"$FILE"
	end_task
	spawn reuse "$old"
	echo 1000 >"$PARAMETERS/period_us"
	await ended "$old"
	same starts "$(samples "$old" | key start | sort -u | wc -l)" 1
	echo 3600000000 >"$PARAMETERS/period_us"
	echo "$PID" >"$FILE"
	same starts "$(samples "$old" | key start | sort -u | wc -l)" 2
}

case_tasks_that_fork_and_exit_all_the_time() {
	load period_us=100
	spawn pause
	echo "$PID" >"$FILE"
	for _ in $(seq 60); do
		/bin/busybox true &
		# It may be gone already.
		{ echo $! >"$FILE"; } 2>/dev/null || :
		wait $!
	done
	later "$PID" 20
	samples | awk '{ state[$2 " " $22] = $18 } END { for (t in state) if (state[t] != "X") n++; print n }' >"$T/living"
	same "tasks that live" "$(cat "$T/living")" 1
	samples | sound
}

run_cases "$@"
