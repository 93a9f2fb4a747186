# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# long
# kernels: stock debug kcsan
# vm: -m 768 -a debug_objects
#
# Many do many things at once (tests/race.c), until each has had so many hits: $RACES times what is
# below, and a part of it on kernels with checkers.

. ./guest.sh

# race ACTOR:HITS[:ARGUMENT]...
race() {
	for actor; do
		rest=${actor#*:}
		number=${rest%%:*}
		argument=${rest#"$number"}
		set -- "$@" "${actor%%:*}:$(few $((number * ${RACES:-1})))$argument"
		shift
	done
	./race $((600 * ${RACES:-1})) "$@" >"$T/race" || fail "$(cat "$T/race")"
	note "$(cat "$T/race")"
}

# Whoever is said to live does so: by PID and, in ticks, start.
living_are_there() {
	awk '$6 != "X" { printf "%d %d\n", $2, $4 / 10000000 }' "$TASKS" >"$T/living"
	while read -r pid start; do
		[ "$(stat_field "/proc/$pid/stat" 22)" = "$start" ] || return 1
	done <"$T/living"
}

# settled: when all is over, exits are found, nothing was lost uncounted, and all works as before.
settled() {
	echo 1000 >"$PARAMETERS/period_us"
	echo 3600 >"$PARAMETERS/max_samples"
	printf 'print all\nstart\n' >"$FILE"
	await living_are_there
	echo stop >"$FILE"
	samples | sound
	adds_up
	# No sample bears a number beyond the instants that there were; each task has its newest.
	awk 'NR == FNR { newest[$2 " " $22] = $20; next }
		($2 " " $4) in newest && newest[$2 " " $4] >= $12 + $18' "$T/samples" "$T/tasks" >"$T/unsound"
	[ ! -s "$T/unsound" ] || fail "more instants than there were: $(cat "$T/unsound")"
	# Such that what is read last is not evicted by max_mib while the rest is read.
	echo 100000 >"$PARAMETERS/period_us"
	spawn pause
	echo start >"$FILE"
	echo "$PID" >"$FILE"
	later "$PID" 10
	agrees "$PID"
}

case_adding_and_removing_while_sampling() {
	load "period_us=200 max_mib=10"
	race add:4000 add:4000 add:4000 print:1000 read:300:"$STATS"
	settled
}

# Of one task, in the block that is appended to: what is published there is read at the very moment.
case_readers_of_the_newest_block() {
	load "target=1 period_us=100 max_samples=17"
	race read:10000:"$FILE" read:10000:"$FILE" follow:5000
	settled
}

# (A task that sleeps fills a block in 32 ms at best, and in seconds here: clear leaves time for that, and two tasks
# are never removed.)
case_readers_while_blocks_go() {
	load "target=1,2 period_us=100 max_samples=400 max_mib=1"
	race add:300:50000 clear:10:10000000 reclaim:30 read:300:"$FILE" read:300:"$FILE" read:300:"$TASKS" read:100:"$SYSFS" \
		read:300:"$STATS" follow:1000 underfoot:20:1000000
	settled
}

case_lives_of_all_kinds() {
	load "period_us=500 max_tasks=200"
	race exit:200 zombie:200 exec:50 exec-nonleader:50 leader-exit:100 clones:8 tids:50 reuse:50 \
		read:20:"$FILE" follow:100
	settled
}

case_lives_that_others_take_away() {
	load "period_us=500 max_tasks=100"
	race exit:200 zombie:100 exec-nonleader:50 leader-exit:100 clones:5 tids:50 reuse:20 \
		add:500 clear:50 underfoot:20 read:50:"$TASKS"
	settled
}

case_parameters_against_all() {
	load period_us=1000
	race startstop:200 parameters:500 parameters:500 add:500 clear:50 reclaim:20 exit:100 exec:20 \
		read:50:"$FILE" read:50:"$SYSFS" follow:200 print:100 stream:20
	settled
}

case_a_process_whose_threads_come_and_go() {
	load period_us=1000
	race threads:2000:2000 add:1000 read:100:"$TASKS" read:50:"$FILE" tids:20 clear:20
	settled
}

case_the_module_goes_under_everybody() {
	log_unload_race
	load "target=1,2 period_us=100"
	race module:40:"taskmonitor.ko target=1,2 period_us=100" read:20:"$FILE" read:20:"$TASKS" read:20:"$SYSFS" \
		follow:50 stream:20 parameters:100 add:100 exit:50
	# It may be there, or not.
	[ -e /sys/module/taskmonitor ] || load "target=1,2 period_us=100"
	settled
}

# writer FILE DATA REST: stands in a write() between the two. What it prints goes to $T/written.
writer() {
	: >"$T/holder"
	./helper blocked "$@" >"$T/written" 2>"$T/holder" &
	HOLDER=$!
	echo "$HOLDER" >>"$T/pids"
	await grep -q held "$T/holder"
}

case_a_writer_stands_in_the_midst_of_a_command() {
	load
	spawn pause
	rest=${PID#?}
	writer "$FILE" "${PID%"$rest"}" "$rest\n"
	# It keeps the module, and nobody waiting.
	same rmmod "$(./helper rmmod taskmonitor)" EAGAIN
	echo 1 >"$FILE"
	same tasks "$(cut -d ' ' -f 2 "$TASKS" | xargs)" 1
	released
	same "the write" "$(cat "$T/written")" $((${#PID} + 1))
	same tasks "$(cut -d ' ' -f 2 "$TASKS" | xargs)" "1 $PID"
}

# sysfs takes all of a write in before it looks for whom it is.
case_a_writer_to_sysfs_keeps_nobody() {
	load
	writer "$SYSFS" 1 '\n'
	unload
	released
	same "the write" "$(cat "$T/written")" ENODEV
	load
	writer "$PARAMETERS/period_us" 50 '00\n'
	unload
	released
	same "the write" "$(cat "$T/written")" ENODEV
}

# suspends LEVEL: up to that level of pm_test. (The rest of it is a matter of the machine.)
suspends() {
	# What the kernel says of devices and processors that go and come back is no matter.
	log_noisy
	echo 1 >/sys/module/suspend/parameters/pm_test_delay
	load "target=1 period_us=1000"
	race suspend:4:"$1" add:50 exit:20 read:20:"$FILE" follow:50
	settled
	# Time went on meanwhile, and the grid with it.
	samples 1 >"$T/lines"
	sound <"$T/lines"
}

case_suspend_freezes_tasks() {
	can_suspend || return 0
	suspends freezer
}

case_suspend_stops_devices() {
	can_suspend || return 0
	suspends devices
}

case_suspend_stops_processors() {
	can_suspend || return 0
	# Suspend to idle, all that QEMU's arm64 machine has, stops none.
	grep -q deep /sys/power/mem_sleep || { note "no suspend to memory" && return; }
	suspends core
}

run_cases "$@"
