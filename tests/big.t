# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# vm: -m 1024
# kernels: stock
#
# As much as there may be by default, at the shortest period: the machine stays usable, and what watches
# over it (for lockups and stalls; the log is part of every case) stays silent.
#
# Not on the debug kernel: so many threads, with all that KASAN, kmemleak and lockdep keep of each, take
# gigabytes, and minutes to begin. memory.t and intruders.t have hundreds and thousands of them there.

. ./guest.sh

# Threads may be as many as we need, and a processor that does not schedule for long would be noticed.
prepare() {
	echo 40000 >/proc/sys/kernel/threads-max
	echo 60000 >/proc/sys/kernel/pid_max
	ulimit -u unlimited
	same "detector of lockups" "$(cat /proc/sys/kernel/soft_watchdog)" 1
	between "s without scheduling that are too many" "$(cat /proc/sys/kernel/watchdog_thresh)" 1 60
	same "detector of stalls is off" "$(cat /sys/module/rcupdate/parameters/rcu_cpu_stall_suppress)" 0
}

# usable: a shell answers, and commands and files do. OTHERS are tasks that are monitored beside.
usable() {
	same "a shell" "$(sh -c 'ls / | grep -x proc')" proc
	# This may be the one task too many: another one makes room.
	spawn pause
	for file in "$FILE" "$SYSFS"; do
		writes_to "$file" "$((${#SPARE} + 2)) $((${#PID} + 1)) EEXIST" "-$SPARE\n" "$PID\n" "$PID\n"
		same "lines of $SYSFS" "$(tail -n 1 "$SYSFS" | grep -cE "$LINE")" 1
		echo "print $PID" >"$file"
		same "what is shown" "$(head -n 1 "$FILE" | cut -d ' ' -f 1-2)" "pid $PID"
		echo "print all" >"$file"
		await has_taken "$PID" 3
		writes_to "$file" "$((${#PID} + 2)) ENOENT $((${#SPARE} + 1))" "-$PID\n" "-$PID\n" "$SPARE\n"
	done
	end_task
}

case_16384_tasks_and_100_readers() {
	prepare
	for _ in 1 2 3 4; do
		spawn threads 4096 0
		sed -n 's/^tid //p' "$OUT"
	done >"$T/tids"
	same "threads" "$(wc -l <"$T/tids")" 16384
	load "period_us=100 max_samples=4"
	writes "$(wc -c <"$T/tids")" "@$T/tids"
	writes ENOSPC "1\n"
	same tasks "$(wc -l <"$TASKS")" 16384
	SPARE=$(tail -n 1 "$T/tids")
	mkdir "$T/readers"
	for i in $(seq 25); do
		for file in "$FILE" "$FOLLOW" "$TASKS" "$SYSFS"; do
			wc -l <"$file" >"$T/readers/$i.$(echo "$file" | tr / .)" &
			echo $! >>"$T/pids"
		done
	done
	same "a shell beside them" "$(sh -c 'ls / | grep -x proc')" proc
	note "readings that were not over by then: $((100 - $(readings))) of 100"
	usable
	await all_have_read
	# One is missing now and then, between two commands of those above.
	between "fewest lines of $TASKS" "$(cat "$T"/readers/*"$(echo "$TASKS" | tr / .)" | sort -n | head -n 1)" 16383 16385
	# A reading of the others has no least number of lines: a reader that gets to a task when its four
	# samples have made room for newer ones finds none of those it began with.
	between "most lines of $SYSFS" "$(cat "$T"/readers/*"$(echo "$SYSFS" | tr / .)" | sort -n | tail -n 1)" 20 60
	await has_taken "$(head -n 1 "$T/tids")" 10
	echo stop >"$FILE"
	# At rest, they are all there.
	for file in "$FILE" "$FOLLOW"; do
		between "lines of $file" "$(wc -l <"$file")" 16384 65536
	done
	adds_up
	echo start >"$FILE"
	sed 's/^/-/' "$T/tids" >"$T/all"
	writes "$(wc -c <"$T/all")" "@$T/all"
	same tasks "$(cat "$TASKS")" ""
	# Once more, to end while they are there: first the tasks, at once, then the module.
	writes "$(wc -c <"$T/tids")" "@$T/tids"
	while read -r pid; do
		kill -KILL "$pid" 2>/dev/null || :
	done <"$T/pids"
	await all_ended
	unload
	rm -r "$T/readers"
}

readings() {
	cat "$T"/readers/* | wc -l
}

all_have_read() {
	[ "$(readings)" = 100 ]
}

all_ended() {
	! grep -qv ' state X ' "$TASKS"
}

case_10000_threads_in_one_process() {
	prepare
	load "period_us=100"
	spawn pause
	SPARE=$PID
	echo "$SPARE" >"$FILE"
	# While they come, all the while, and when they go all at once.
	./helper threads 10000 0 >"$T/many" &
	echo $! >>"$T/pids"
	await grep -q '^pid' "$T/many"
	many=$(sed -n 's/^pid //p' "$T/many")
	echo "$many" >>"$T/pids"
	echo "$many" >"$FILE"
	await grep -q '^ready' "$T/many"
	await has_threads 10001
	for _ in 1 2 3 4 5; do
		usable
	done
	same threads "$(status "$many" threads)" 10001
	kill -TERM "$many"
	await ended "$many"
	exact "$many" "$T/many"
	usable
	echo stop >"$FILE"
	samples | sound
	adds_up
}

has_threads() {
	[ "$(status "$many" threads)" = "$1" ]
}

# samples_of_one N: until there are so many. Each start begins a grid with an instant, so that they come
# faster than by the shortest period.
samples_of_one() {
	until [ "$(status 1 samples)" -ge "$1" ]; do
		i=0
		while [ $i -lt 20000 ]; do
			echo "stop
start"
			i=$((i + 1))
		done >"$SYSFS"
	done
}

case_a_long_history_of_one_task() {
	load "target=1 period_us=100 max_samples=1000000 max_mib=100"
	# (A trace of all that would be longer than what it traces.)
	set +x
	samples_of_one 200000
	set -x
	echo stop >"$FILE"
	count=$(status 1 samples)
	note "samples $count, missed $(status 1 missed)"
	same lines "$(wc -l <"$FILE")" "$count"
	same "lines to be followed" "$(wc -l <"$FOLLOW")" "$count"
	same "the first" "$(head -n 1 "$FILE" | key seq)" 0
	same "the newest" "$(tail -n 1 "$FILE")" "$(tail -n 1 "$SYSFS")"
	same "taken" "$(status 1 taken)" "$count"
	same "what is left of a reading that ends in the middle" "$(head -n 100000 "$FILE" | wc -l)" 100000
	echo 1000 >"$PARAMETERS/max_samples"
	same lines "$(wc -l <"$FILE")" 1000
	echo clear >"$FILE"
	same lines "$(wc -l <"$FILE")" 0
	same evicted "$(status 1 evicted)" "$count"
}

run_cases "$@"
