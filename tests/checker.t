# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# kernels: stock
#
# The checker of the kernel log finds what it must, and nothing else.

. ./guest.sh

echo on >/proc/sys/kernel/printk_devkmsg

# logged LEVEL LINE: writes such a line, and prints what the checker says of it.
logged() {
	echo "<$1>$2" >/dev/kmsg
	log_check || :
}

case_silence_passes() {
	same "an empty log" "$(log_check || :)" ""
}

case_foreign_lines_are_found() {
	same "a line" "$(logged 6 'something else')" "something else"
	same "no longer new" "$(log_check || :)" ""
}

case_what_tells_of_a_mistake_is_found() {
	for line in "BUG: x" "WARNING: CPU: 0 PID: 1 at x" "Oops: 0000" "INFO: task x:1 blocked" \
		"INFO: rcu_sched self-detected stall" "BUG: KASAN: x" "UBSAN: x" "BUG: KCSAN: x" \
		"kmemleak: 1 new unreferenced object" "refcount_t: underflow" "Call Trace:" \
		"=====[ cut here ]=====" "WARNING: possible circular locking dependency detected" \
		"BUG task_sample (Not tainted): Objects remaining"; do
		same "$line" "$(logged 6 "$line")" "$line"
	done
}

# reported FRAME: what the checker says of a race in which that is.
reported() {
	KERNEL=kcsan
	for line in ========== "BUG: KCSAN: data-race in a / b" "write by task 1 on cpu 0:" "$1" ==========; do
		echo "<3>$line" >/dev/kmsg
	done
	log_check || :
}

case_races_are_found_but_those_of_others() {
	same "another's" "$(reported " a+0x1/0x2")" ""
	same "ours" "$(reported " a+0x1/0x2 [taskmonitor]" | wc -l)" 5
	same "a mistake in another's" "$(reported "WARNING: x" | sed 's/^<.>[^]]*\] *//')" "WARNING: x"
	same "not a race" "$(logged 3 ==========)$(logged 3 "BUG: KASAN: x")" "==========BUG: KASAN: x"
}

# warned LINE...: what the checker says of a warning with these lines.
warned() {
	for line in "------------[ cut here ]------------" "$@" "---[ end trace 0000000000000000 ]---"; do
		echo "<4>$line" >/dev/kmsg
	done
	log_check || :
}

case_a_warning_of_debugfs_passes_where_it_is_expected() {
	race="debugfs file owner did not clean up at exit: taskmonitor"
	same "before" "$(warned "$race" "Call Trace:" | wc -l)" 4
	log_unload_race
	same "the race" "$(warned "$race" "WARNING: x" "Call Trace:")" ""
	same "another warning" "$(warned "WARNING: x" "Call Trace:" | wc -l)" 4
	same "a mistake within" "$(warned "$race" "BUG: x" | sed 's/^<.>[^]]*\] *//')" "BUG: x"
	same "of another module" "$(warned "${race}2" | wc -l)" 3
}

case_a_warning_about_a_fair_server_passes() {
	forward="WARNING: kernel/time/hrtimer.c:1 at hrtimer_forward+0x1/0x2, CPU#1: sh/2"
	same "on arm64" "$(warned "$forward" "lr : dl_task_timer+0x1/0x2" "Call trace:")" ""
	same "on amd64" "$(warned "$forward" "Call Trace:" " dl_task_timer+0x1/0x2")" ""
	same "another timer" "$(warned "$forward" "Call Trace:" " x+0x1/0x2" | wc -l)" 5
	same "another warning" "$(warned "WARNING: x" "Call Trace:" " dl_task_timer+0x1/0x2" | wc -l)" 5
	same "our timer" "$(warned "$forward" " dl_task_timer+0x1/0x2" " x+0x1/0x2 [taskmonitor]" | wc -l)" 5
	same "a bug within" "$(warned "$forward" " dl_task_timer+0x1/0x2" "BUG: x" | sed 's/^<.>[^]]*\] *//')" "BUG: x"
}

# read_freed FUNCTION [LINE]: what the checker says of a report that this has read what was freed.
read_freed() {
	for line in ========== "BUG: KASAN: slab-use-after-free in $1+0x2/0x5" "Read of size 8 at addr 0 by task race/1" \
		"${2-Call Trace:}" " kfree+0x1/0x2 [taskmonitor]" ========== \
		"Disabling lock debugging due to kernel taint"; do
		echo "<3>$line" >/dev/kmsg
	done
	log_check || :
}

case_a_first_open_of_debugfs_passes_where_it_is_expected() {
	same "before" "$(read_freed __debugfs_file_get | wc -l)" 7
	log_unload_race
	same "the race" "$(read_freed __debugfs_file_get)" ""
	same "another function" "$(read_freed debugfs_file_get | wc -l)" 7
	same "a mistake within" "$(read_freed __debugfs_file_get "WARNING: x" | sed 's/^<.>[^]]*\] *//')" "WARNING: x"
	same "not a report" "$(logged 3 "BUG: KASAN: slab-use-after-free in __debugfs_file_get+0x2/0x5" | wc -l)" 1
}

case_a_mistake_is_found_in_our_own_lines() {
	same "own" "$(logged 6 'taskmonitor: WARNING: x')" "taskmonitor: WARNING: x"
}

case_no_allowance_lets_a_mistake_pass() {
	log_allow '.*'
	same "other" "$(logged 6 'something else')" ""
	same "BUG" "$(logged 6 'BUG: x')" "BUG: x"
}

case_noise_passes_where_it_is_expected() {
	same "before" "$(logged 4 'Call Trace:')" "Call Trace:"
	log_noisy
	same "noise" "$(logged 4 'Call Trace:')" ""
	same "a mistake" "$(logged 4 'WARNING: x')" "WARNING: x"
}

case_own_lines_pass_only_for_debugging() {
	same "debugging" "$(logged 7 'taskmonitor: x')" ""
	same "information" "$(logged 6 'taskmonitor: x')" "taskmonitor: x"
	same "error" "$(logged 3 'taskmonitor: x')" "taskmonitor: x"
	same "warning" "$(logged 4 'taskmonitor: x')" "taskmonitor: x"
}

case_allowances_are_whole_lines() {
	same "taint" "$(logged 4 'taskmonitor: loading out-of-tree module taints kernel.')" ""
	line="x taskmonitor: loading out-of-tree module taints kernel."
	same "more than that" "$(logged 4 "$line")" "$line"
}

case_names_that_differ_are_foreign() {
	same "taskmonitor2" "$(logged 6 'taskmonitor2: x')" "taskmonitor2: x"
}

run_cases "$@"
