# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# quick
# kernels: stock debug kcsan
# vm: -a debug_objects
#
# Loading, with targets and with readers, and what is left of it after rmmod: nothing (the runner
# looks).

. ./guest.sh

has_samples() {
	[ "$(samples "$1" | wc -l)" -ge "${2:-1}" ]
}

case_without_parameters() {
	load
	same "tasks" "$(shown)" ""
	same "target" "$(cat "$PARAMETERS/target")" ""
	same "period_us" "$(cat "$PARAMETERS/period_us")" 1000000
	unload
}

case_one_target() {
	spawn pause
	load "target=$PID"
	same tasks "$(shown)" "$PID"
	same target "$(cat "$PARAMETERS/target")" "$PID"
	await has_samples "$PID" 2
}

case_several_targets_in_their_order() {
	spawn pause
	a=$PID
	spawn pause
	b=$PID
	spawn pause
	load "target=$b,$PID,$a period_us=10000"
	same tasks "$(shown)" "$b $PID $a"
	for pid in $a $b $PID; do
		await has_samples "$pid" 3
	done
}

case_the_same_target_twice_counts_once() {
	spawn pause
	a=$PID
	spawn pause
	load "target=$PID,$a,$PID,$PID"
	same tasks "$(shown)" "$PID $a"
	same "first instants" "$(samples | awk '$20 == 0' | wc -l)" 2
}

case_a_target_is_sampled_at_once() {
	load "target=1 period_us=3600000000"
	same seq "$(newest 1 seq)" 0
}

case_malformed_targets() {
	for value in "" 0 00 -1 +1 abc 1x x1 0x1 1.5 1,,2 ,1 "1," 1,0 1,abc 2147483648 4294967297 \
		99999999999 99999999999999999999; do
		refused EINVAL "target=$value"
	done
}

case_a_target_that_does_not_exist() {
	refused ESRCH target=4194303
	refused ESRCH target=2147483647
	refused ESRCH target=1,4194303
	spawn pause
	end_task
	refused ESRCH "target=$PID"
}

case_at_most_128_targets() {
	list=1
	for _ in $(seq 127); do
		list=$list,1
	done
	refused EINVAL "target=$list,1"
	load "target=$list"
	same tasks "$(shown)" 1
}

# PIDs of seven digits: as much as the parameter takes.
case_the_stats_show_all_targets() {
	echo 4194304 >/proc/sys/kernel/pid_max
	list=''
	for i in $(seq 128); do
		echo $((4100000 + i)) >/proc/sys/kernel/ns_last_pid
		sleep 3600 &
		echo $! >>"$T/pids"
		list=$list${list:+,}$!
	done
	between "length of the list" ${#list} 1000 1023
	load "target=$list"
	same "targets in $STATS" "$(stats target)" "$list"
	same target "$(cat "$PARAMETERS/target")" "$list"
}

case_128_different_targets() {
	list='' want=''
	for _ in $(seq 128); do
		sleep 3600 &
		echo $! >>"$T/pids"
		list=$list${list:+,}$! want="$want${want:+ }$!"
	done
	load "target=$list period_us=10000"
	same tasks "$(shown)" "$want"
}

case_a_refused_load_leaves_the_next_one_alone() {
	refused EINVAL "target=1 period_us=99"
	refused ESRCH "target=1,4194303 period_us=100"
	load "target=1 period_us=1000"
	same tasks "$(shown)" 1
	await has_samples 1 5
}

case_loading_twice() {
	load target=1
	same "insmod again" "$(./helper insmod taskmonitor.ko)" EEXIST
	same tasks "$(shown)" 1
}

# (What is for debugging is not shown by default, and not built into the module for the stock kernel.)
case_the_log_at_load_and_after() {
	spawn pause
	log_check
	load "target=$PID period_us=1000"
	same "log of the load" "$(dmesg -r -c | grep taskmonitor: | grep -v -e '^<7>' -e 'taints kernel' -e 'tainting kernel')" ""
	later "$PID" 20
	writes ESRCH '4194303\n'
	writes EINVAL 'nonsense\n'
	end_task
	await ended "$PID"
	unload
	same "log after the load" "$(dmesg -c)" ""
}

case_what_is_in_force() {
	load "target=2,1 period_us=3600000000 max_samples=99 max_tasks=5 max_mib=3 reserve=7 sampling=N"
	version=$(cat /sys/module/taskmonitor/version)
	[ "$version" ] || fail "no version"
	same "the first lines" "$(head -n 15 "$STATS" | xargs)" "version $version target 2,1 period_us 3600000000\
 max_samples 99 max_tasks 5 max_mib 3 reserve 7 sampling N\
 sample_sizeof 64 sample_packed_min 3 sample_packed_max 66\
 block_sizeof 1024 block_ksize 1024 block_samples_min 14 block_samples_max 324"
	same "size of a block" "$(stats block_ksize)" "$(cat /sys/kernel/slab/task_sample/object_size)"
	echo start >"$FILE"
	echo 3599999999 >"$PARAMETERS/period_us"
	same "sampling, period_us" "$(stats sampling) $(stats period_us)" "Y 3599999999"
	unload
	load
	same target "$(stats target)" none
}

case_nothing_is_counted_twice() {
	load
	same "tasks, samples, rounds" "$(for key in tasks living samples taken missed rounds rounds_missed blocks followers; do
		stats $key
	done | xargs)" "0 0 0 0 0 0 0 0 0"
	same "what follows version" "$(sed 1d "$STATS" | cut -d ' ' -f 1 | head -n 1)" target
	same "a second look from the beginning" "$(./helper reread "$STATS" | grep -c '^version ')" 2
	same "by pieces" "$(dd if="$STATS" bs=7 2>/dev/null | cut -d ' ' -f 1 | xargs)" \
		"$(cut -d ' ' -f 1 "$STATS" | xargs)"
}

case_the_cache_and_the_thread_have_their_names() {
	load target=1
	grep -q '^task_sample ' /proc/slabinfo || fail "no task_sample in /proc/slabinfo"
	grep -qx taskmonitor /proc/[0-9]*/comm || fail "no thread taskmonitor"
}

case_not_unloaded_while_the_file_is_open() {
	load "target=1 period_us=1000"
	holding 100
	same rmmod "$(./helper rmmod taskmonitor)" EAGAIN
	later 1 20
	released
	unload
}

case_not_unloaded_while_a_writer_has_it_open() {
	load
	{
		same rmmod "$(./helper rmmod taskmonitor)" EAGAIN
		echo 1 >&3
	} 3>"$FILE"
	same tasks "$(shown)" 1
	unload
}

# (cycles.t does it more often.)
case_load_and_unload_again_and_again() {
	spawn burn user 1
	for i in $(seq "$(few 30)"); do
		load "target=1,$PID period_us=100"
		[ $((i % 3)) = 0 ] || later "$PID" $((i % 3 * 5))
		unload
		! grep '^task_sample ' /proc/slabinfo || fail "round $i: the kmem_cache is still there"
	done
}

case_unload_at_once_again_and_again() {
	for _ in $(seq "$(few 30)"); do
		load period_us=100
		unload
	done
}

run_cases "$@"
