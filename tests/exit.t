# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# quick
# kernels: stock debug kcsan
#
# How a history follows its task through exit and exec, whoever goes first, and whoever gets the PID.

. ./guest.sh

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
	# That of a living thread. (With large pages, it may be too few of them to be counted: docs/reference.md.)
	thread=$(sed -n 's/^tid //p' "$OUT" | head -n 1)
	same rss "$(newest "$PID" rss)" $(($(stat_field "/proc/$PID/task/$thread/stat" 24) * PAGE))
	same mm_users "$(newest "$PID" mm_users)" 3
	split_as "$(newest "$PID" usr)" "$(newest "$PID" sys)" $(($(stat_field "/proc/$PID/stat" 14) * TICK))
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
	same "without memory" "$(samples "$PID" | grep -c 'mm_users 0 ' || :)" 0
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
	# To the nanosecond what the scheduler measured.
	same "usr + sys" "$(cpu "$PID")" "$(cut -d ' ' -f 1 "/proc/$PID/schedstat")"
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
	same "usr + sys" "$(cpu "$child")" "$(cut -d ' ' -f 1 "/proc/$child/schedstat")"
	rm "$T/end" "$T/child"
}

# group: a cgroup, which knows to the microsecond what all that ever ran in it has used. Sets GROUP.
group() {
	GROUP=$T/groups/exit
	mkdir -p "$T/groups"
	[ -e "$T/groups/cgroup.procs" ] || mount -t cgroup2 none "$T/groups"
	mkdir -p "$GROUP"
}

# used_in_group: prints what tasks in the group have used, in microseconds.
used_in_group() {
	sed -n 's/^usage_usec //p' "$GROUP/cpu.stat"
}

# exact_in_group: the last sample of the task must have all that it has used, the only task in the
# group since $before.
exact_in_group() {
	await ended "$PID"
	between "us more than it has used" $(($(cpu "$PID") / 1000 - $(used_in_group) + before)) -1 1
}

# used_up KIND: a task of that kind of the helper runs in the group, and ends.
used_up() {
	before=$(used_in_group)
	spawn "$1" "$GROUP" burn user 20
	echo "$PID" >"$FILE"
	end_task
}

# The kernel reaps such a task on its own CPU, a while before it leaves that.
case_a_process_that_nobody_waits_for() {
	load period_us=1000
	group
	for _ in $(seq 5); do
		used_up unwaited
		exact_in_group
	done
	# Also when there was no sample since.
	echo 3600000000 >"$PARAMETERS/period_us"
	used_up unwaited
	echo 1000 >"$PARAMETERS/period_us"
	exact_in_group
	samples | sound
}

# On another CPU, its parent may do so, too.
case_a_process_that_is_reaped_at_once() {
	load period_us=1000
	group
	for _ in $(seq 5); do
		used_up in
		exact "$PID" "$OUT"
		exact_in_group
	done
	samples | sound
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
	for _ in $(seq "$(few 60)"); do
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
