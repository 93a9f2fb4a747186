# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# kernels: stock
# vm: -c 2
# vm: -c 16 -m 384
#
# What depends on the number of processors, and on their coming and going.

. ./guest.sh

CPUS=$(nproc)
# percpu_counter_batch of the kernel.
BATCH=$((2 * CPUS > 32 ? 2 * CPUS : 32))

# resident PID: its pages as the kernel adds them up exactly, in bytes.
resident() {
	awk -v page="$PAGE" '{ print $2 * page }' "/proc/$1/statm"
}

# rss differs from the exact sum by what the processors have not added up yet: of each of three counters up to a
# batch less one, a processor (docs/reference.md).
case_resident_memory_is_as_in_stat() {
	load "period_us=10000"
	bound=$((3 * (BATCH - 1) * CPUS * PAGE))
	most=0
	for pages in 1 31 32 500; do
		spawn spread $pages
		echo "$PID" >"$FILE"
		agrees "$PID"
		rss=$(newest "$PID" rss) exact=$(resident "$PID")
		off=$((exact > rss ? exact - rss : rss - exact))
		between "bytes that rss of $pages pages a processor is off" $off 0 $bound
		[ $off -le $most ] || most=$off
		end_task
	done
	# Most of the 31 pages of each of the processors are missing: it is no small error.
	between "the largest error" $most $(((CPUS - 1) * 16 * PAGE)) $bound
	note "on $CPUS processors up to $((most / 1024)) KiB of $((bound / 1024)) KiB"
}

# A zombie that leads living threads: its file shows no memory, the sample that of a living thread.
case_the_memory_of_a_process_without_its_leader() {
	load "period_us=10000"
	spawn leader-exit 2 0
	echo "$PID" >"$FILE"
	later "$PID"
	same "state" "$(newest "$PID" state)" Z
	same "rss in stat" "$(stat_field "/proc/$PID/stat" 24)" 0
	thread=$(sed -n 's/^tid //p' "$OUT" | head -n 1)
	same "rss in stat of a thread" "$(newest "$PID" rss)" $(($(stat_field "/proc/$PID/task/$thread/stat" 24) * PAGE))
	between rss "$(newest "$PID" rss)" "$PAGE" 100000000
}

# timers: the processors on which timers of the module are.
timers() {
	awk '/^cpu: / { cpu = $2 } /\[taskmonitor\]/ { print cpu }' /proc/timer_list
}

timer_is_on() {
	[ "$(timers)" = "$1" ]
}

# pinned TID...: they run on the processor CPU alone.
pinned() {
	for tid; do
		same "pinning $tid" "$(./helper pin "$tid" "$cpu")" ok
	done
}

rounds_after_the_newest() {
	echo $(($(status "$1" taken) + $(status "$1" missed) - 1 - $(newest "$1" seq)))
}

# The last processor goes and comes, with the sampling thread and its timer, and a task that runs on it.
case_a_processor_goes_and_comes_back() {
	# The emulation of many is slow, and would test nothing else.
	[ "$CPUS" = 2 ] || { note "with 2 processors only" && return; }
	log_allow '^process [0-9]+ \((helper|taskmonitor)\) no longer affine to cpu'
	log_allow '^smpboot: '
	cpu=$((CPUS - 1))
	online=/sys/devices/system/cpu/cpu$cpu/online
	spawn pause
	a=$PID
	./helper burn user 100000000 >"$T/burns" &
	echo $! >>"$T/pids"
	await grep -q '^pid' "$T/burns"
	busy=$(sed -n 's/^pid //p' "$T/burns")
	echo "$busy" >>"$T/pids"
	load "target=$a,$busy period_us=5000"
	thread=$(grep -lx taskmonitor /proc/[0-9]*/comm | cut -d / -f 3)
	for _ in 1 2 3; do
		pinned "$thread" "$busy"
		await timer_is_on $cpu
		later "$a" 5
		echo 0 >"$online"
		same "processors" "$(nproc)" $((CPUS - 1))
		later "$a" 10
		[ "$(timers)" != $cpu ] || fail "the timer is on a processor that is offline"
		echo 1 >"$online"
		later "$a" 10
	done
	# What runs has gone on.
	before=$(cpu "$busy")
	later "$busy" 20
	between "ns that the task that runs has more" $(($(cpu "$busy") - before)) 1000000 100000000000
	echo stop >"$FILE"
	adds_up
	samples | sound
	# After their newest sample, both have missed the same rounds.
	same "rounds of the busy task after its newest sample" "$(rounds_after_the_newest "$busy")" "$(rounds_after_the_newest "$a")"
	# The thread and its timer are on the processor that goes, and the module is unloaded without it.
	echo start >"$FILE"
	pinned "$thread"
	await timer_is_on $cpu
	echo 0 >"$online"
	unload
	# It is loaded without it, too.
	load "target=$a,$busy period_us=5000"
	later "$a" 10
	echo 1 >"$online"
	later "$a" 10
	unload
}

# A real-time task that never sleeps, on the processor of the sampling thread and its timer. The thread is of the normal
# class: there it gets what the kernel leaves to that class (a twentieth by default), and another processor at once if it
# may. That its timer expires in a hard interrupt matters with PREEMPT_RT: the threads of soft ones would get nothing.
case_a_real_time_task_keeps_its_processor() {
	[ "$CPUS" = 2 ] || { note "with 2 processors only" && return; }
	log_allow '^sched: (DL replenish lagged too much|RT throttling activated)$'
	# The test itself stays away from that processor: with PREEMPT_RT, its own timers would not expire there.
	read -r self _ </proc/self/stat
	same "pinning the test" "$(./helper pin "$self" 0)" ok
	cpu=1
	spawn pause
	a=$PID
	load "target=$a period_us=20000"
	thread=$(grep -lx taskmonitor /proc/[0-9]*/comm | cut -d / -f 3)
	pinned "$thread"
	await timer_is_on $cpu
	spawn spin 1 $cpu
	# Above the threads of soft timers (1), below those of interrupts (50).
	same "a real-time task" "$(./helper realtime "$PID" 10)" ok
	first=$(status "$a" taken) missed=$(status "$a" missed)
	# Not asked often: what each question leaves to be freed waits for that processor, too.
	for _ in $(seq 300); do
		sleep 1
		! has_taken "$a" $((first + 10)) || break
	done
	between "samples beside a real-time task, in 300 s" $(($(status "$a" taken) - first)) 10 100000
	between "rounds that were missed" $(($(status "$a" missed) - missed)) 10 100000
	echo stop >"$FILE"
	adds_up
	samples | sound
	note "at most $(samples | awk -v first="$first" 'NR > first && $8 - last > most { most = $8 - last } { last = $8 }
		END { printf "%d", most / 1000000 }') ms between two samples"
	# Free to go where it likes, it does.
	echo start >"$FILE"
	same "pinning to any" "$(./helper pin "$thread" 0 1)" ok
	await timer_is_on 0
	from=$(status "$a" taken) missed=$(status "$a" missed)
	await has_taken "$a" $((from + 20))
	note "on another processor, $(($(status "$a" missed) - missed)) missed rounds for $(($(status "$a" taken) - from)) samples"
	end_task
	unload
}

run_cases "$@"
