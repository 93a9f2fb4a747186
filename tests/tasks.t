# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# quick
#
# /sys/kernel/debug/taskmonitor_tasks: a line for each task, and counts that lose nothing.

. ./guest.sh

case_no_task() {
	load
	same content "$(cat "$TASKS")" ""
}

case_the_form_of_a_line() {
	spawn pause
	load "target=$PID,1,2 period_us=10000"
	later "$PID" 3
	! grep -vE "$TASKS_LINE" "$TASKS" || fail "another form"
	same order "$(cut -d ' ' -f 2 "$TASKS" | xargs)" "$PID 1 2"
	for size in 1 7 4096; do
		echo stop >"$FILE"
		dd if="$TASKS" bs=$size of="$T/pieces" 2>/dev/null
		cmp "$TASKS" "$T/pieces" || fail "buffers of $size bytes give something else"
	done
}

case_it_shows_the_newest_sample() {
	spawn burn user 50
	load "target=$PID,2 period_us=10000"
	later "$PID" 5
	echo stop >"$FILE"
	for pid in $PID 2; do
		for key in start state usr sys time rss mm_users; do
			same "$key of $pid" "$(status "$pid" $key)" "$(newest "$pid" $key)"
		done
	done
	same comm "$(status "$PID" comm)" helper
	same threads "$(status "$PID" threads)" 1
}

case_of_an_ended_task_too() {
	spawn burn user 50
	load "target=$PID period_us=1000"
	capacity
	# (For one block alone, the kernel never asks.)
	later "$PID" "$MOST"
	end_task
	await ended "$PID"
	for key in start state usr sys time rss mm_users; do
		same "$key" "$(status "$PID" $key)" "$(newest "$PID" $key)"
	done
	same state "$(status "$PID" state)" X
	same comm "$(status "$PID" comm)" helper
	same threads "$(status "$PID" threads)" 0
	status "$PID" >"$T/before"
	usleep 50000
	same "a while later" "$(status "$PID")" "$(cat "$T/before")"
	# What is known of it outlives its samples.
	reclaim
	same samples "$(status "$PID" samples)" 0
	for key in start state usr sys time rss mm_users comm; do
		same "$key" "$(status "$PID" $key)" "$(awk -v key=$key '{ for (i = 1; i < NF; i += 2) if ($i == key) print $(i + 1) }' "$T/before")"
	done
	adds_up
}

case_threads() {
	spawn threads 5 0
	tid=$(sed -n 's/^tid //p' "$OUT" | head -n 1)
	load "target=$PID,$tid period_us=10000"
	same "threads of the process" "$(status "$PID" threads)" 6
	same "threads of a thread" "$(status "$tid" threads)" 1
	kill -USR1 "$PID"
	await grep -q joined "$OUT"
	later "$PID"
	same "threads left" "$(status "$PID" threads)" 5
}

# Whoever adds tasks up must be able to leave out a thread whose process is there, too.
case_a_thread_names_its_process() {
	spawn threads 2 0
	tid=$(sed -n 's/^tid //p' "$OUT" | tail -n 1)
	load "target=$PID,$tid,2 period_us=10000"
	same "tgid of the process" "$(status "$PID" tgid)" "$PID"
	same "tgid of its thread" "$(status "$tid" tgid)" "$PID"
	same "tgid of a kernel thread" "$(status 2 tgid)" 2
	kill -USR1 "$PID"
	await ended "$tid"
	same "tgid of the thread that has exited" "$(status "$tid" tgid)" "$PID"
	end_task
	await ended "$PID"
	same "tgid of the process that was reaped" "$(status "$PID" tgid)" "$PID"
	same "tgid of the thread then" "$(status "$tid" tgid)" "$PID"
}

# named NAME SHOWN
named() {
	spawn named "$1"
	echo "$PID" >"$FILE"
	same "comm of $1" "$(sed -n "s/^pid $PID .* comm //p" "$TASKS")" "$2"
}

case_names_are_escaped() {
	load
	named 'a b  c' 'a b  c'
	named '\n' '\012'
	named 'x\nstate R y' 'x\012state R y'
	named "\\\\" '\134'
	named '\\012' '\134012'
	named "$(printf '\033')[31mred" '\033[31mred'
	named "$(printf '\303\244\377')" '\303\244\377'
	named "$(printf '\177~ \001')" '\177~ \001'
	named '\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n' '\012\012\012\012\012\012\012\012\012\012\012\012\012\012\012'
	named 'a name that is too long' 'a name that is '
	named '' ''
	! grep -vE "$TASKS_LINE" "$TASKS" || fail "another form"
	same lines "$(wc -l <"$TASKS")" 11
	# It is so when they have ended, too.
	cut -d ' ' -f 2,30- "$TASKS" >"$T/before"
	while read -r pid; do
		kill -KILL "$pid" 2>/dev/null || :
	done <"$T/pids"
	await all_ended
	cut -d ' ' -f 2,30- "$TASKS" | cmp - "$T/before" || fail "$(cat "$TASKS")"
}

all_ended() {
	! grep -qv ' state X ' "$TASKS"
}

case_an_exec_changes_the_name() {
	load period_us=1000
	mkfifo "$T/go"
	sh -c "read -r _ <$T/go; exec sleep 3600" &
	pid=$!
	echo $pid >>"$T/pids"
	echo $pid >"$FILE"
	# (Busybox begins under another name.)
	await grep -qx sh "/proc/$pid/comm"
	same comm "$(status "$pid" comm)" sh
	echo >"$T/go"
	await grep -qx sleep "/proc/$pid/comm"
	same comm "$(status "$pid" comm)" sleep
	rm "$T/go"
}

case_counts_add_up() {
	spawn pause
	a=$PID
	spawn burn user 1
	load "target=1,$a,$PID period_us=1000"
	capacity
	# More than fit into one block, so that there is something to be reclaimed.
	echo "$MOST" >"$PARAMETERS/max_samples"
	later 1 $((MOST + 70))
	end_task
	await ended "$PID"
	reclaim
	later 1 50
	echo clear >"$FILE"
	later 1 50
	echo stop >"$FILE"
	adds_up
	for pid in 1 "$a"; do
		between "taken of $pid" "$(status "$pid" taken)" 100 10000000
		between "evicted of $pid" "$(status "$pid" evicted)" 60 10000000
		between "reclaimed of $pid" "$(status "$pid" reclaimed)" 1 10000000
	done
}

# Instants are counted by `seq`: of those from the first to the newest sample, each was either taken
# or missed. To be asked while the period is long.
instants_add_up() {
	same "instants of $1" $(($(status "$1" taken) + $(status "$1" missed))) $(($(newest "$1" seq) + 1))
}

case_instants_add_up() {
	spawn pause
	load "target=1,$PID period_us=100"
	later 1 2000
	for _ in 1 2 3 4 5; do
		# The new grid begins with an instant, which every task is sampled at.
		echo 3600000000 >"$PARAMETERS/period_us"
		still 1
		still "$PID"
		instants_add_up 1
		instants_add_up "$PID"
		echo stop >"$FILE"
		instants_add_up 1
		usleep 10000
		echo start >"$FILE"
		still 1
		instants_add_up 1
		echo 100 >"$PARAMETERS/period_us"
		later 1 100
	done
	end_task
	await ended "$PID"
	instants_add_up "$PID"
	later 1 100
	instants_add_up "$PID"
}

case_missed_instants_are_counted() {
	load "target=1 period_us=100"
	some 400
	# A round over so many takes longer than the period, and then the thread rests.
	await has_missed 1000
	echo 3600000000 >"$PARAMETERS/period_us"
	still 1
	for pid in 1 $(sed -n 's/^tid //p' "$OUT" | head -n 20); do
		echo "print $pid" >"$FILE"
		instants_add_up "$pid"
		samples "$pid" >"$T/one"
		same "gaps in seq of $pid" "$(awk 'NR > 1 { n += $20 - seq - 1 } { seq = $20 } END { print n + 0 }' "$T/one")" \
			"$(status "$pid" missed)"
	done
}

# Whatever becomes of a sample: it is counted, and once.
case_the_totals_of_all_tasks() {
	spawn pause
	a=$PID
	spawn pause
	b=$PID
	spawn pause
	load "target=1,$a,$b,$PID period_us=1000 max_samples=1000000 max_tasks=4"
	capacity
	later 1 $((2 * MOST))
	stats_add_up
	echo stop >"$FILE"
	stats_add_up
	for key in samples taken evicted reclaimed missed; do
		same "$key" "$(stats $key)" "$(total $key)"
	done
	same "tasks, living, removed" "$(stats tasks) $(stats living) $(stats removed)" "4 4 0"
	# The first sample of a task is not one of a round.
	same "rounds" $(($(stats rounds) + $(stats rounds_missed) + 1)) $(($(status 1 taken) + $(status 1 missed)))
	reclaim
	between reclaimed "$(stats reclaimed)" 1 "$(stats taken)"
	same "reclaimed" "$(stats reclaimed)" "$(total reclaimed)"

	# A task is removed: with what it has in memory, and with what was said of it before.
	taken=$(stats taken) samples=$(status "$a" samples) missed=$(stats missed) reclaimed=$(stats reclaimed)
	echo "-$a" >"$FILE"
	same "taken, removed" "$(stats taken) $(stats removed)" "$taken $samples"
	same "missed, reclaimed" "$(stats missed) $(stats reclaimed)" "$missed $reclaimed"
	stats_add_up

	# One that has exited makes room for another.
	echo "$a" >"$FILE"
	echo start >"$FILE"
	end_task "$b"
	await ended "$b"
	echo stop >"$FILE"
	same "tasks, living" "$(stats tasks) $(stats living)" "4 3"
	removed=$(stats removed) samples=$(status "$b" samples)
	echo 2 >"$FILE"
	same "tasks, living" "$(stats tasks) $(stats living)" "4 4"
	same "removed" "$(stats removed)" $((removed + samples))
	stats_add_up

	# clear evicts the samples of the living, and removes the tasks that have exited.
	echo start >"$FILE"
	end_task
	await ended "$PID"
	echo stop >"$FILE"
	removed=$(stats removed) samples=$(status "$PID" samples)
	evicted=$(stats evicted) all=$(stats samples)
	echo clear >"$FILE"
	same "removed" "$(stats removed)" $((removed + samples))
	same "evicted" "$(stats evicted)" $((evicted + all - samples))
	same "tasks, samples" "$(stats tasks) $(stats samples)" "3 0"
	stats_add_up
	for pid in 1 2 "$a"; do
		echo "-$pid" >"$FILE"
	done
	same "tasks, living, blocks" "$(stats tasks) $(stats living) $(stats blocks)" "0 0 0"
	stats_add_up
}

# Without living tasks there are no instants to be missed. While stopped, there are none.
case_the_rounds() {
	load "period_us=1000"
	spawn pause
	usleep 300000
	same "rounds, rounds_missed" "$(stats rounds) $(stats rounds_missed)" "0 0"
	for _ in 1 2 3; do
		before=$(($(stats rounds) + $(stats rounds_missed)))
		echo "$PID" >"$FILE"
		later "$PID" 20
		for period in 100 2000 1000; do
			echo $period >"$PARAMETERS/period_us"
			later "$PID" 20
			echo stop >"$FILE"
			usleep 20000
			echo start >"$FILE"
			later "$PID" 5
		done
		echo stop >"$FILE"
		same "rounds since it was added" $(($(stats rounds) + $(stats rounds_missed) - before + 1)) \
			$(($(status "$PID" taken) + $(status "$PID" missed)))
		between rounds "$(stats rounds)" $((before > 0)) $((before + $(status "$PID" taken)))
		echo "-$PID" >"$FILE"
		echo start >"$FILE"
		usleep 50000
	done
	between "run time of the thread" "$(stats runtime)" 1 100000000000
	thread=$(grep -lx taskmonitor /proc/[0-9]*/comm | cut -d / -f 3)
	await runs_for "$thread"
}

# runs_for PID: whether that thread has the run time that the statistics show.
runs_for() {
	[ "$(cut -d ' ' -f 1 "/proc/$1/schedstat")" = "$(stats runtime)" ]
}

has_missed() {
	[ "$(status 1 missed)" -ge "$1" ]
}

run_cases "$@"
