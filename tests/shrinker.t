# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# kernels: debug
#
# The shrinker, asked by hand (CONFIG_SHRINKER_DEBUG).

. ./guest.sh

count() {
	cat /sys/kernel/debug/shrinker/taskmonitor-*/count | awk '{ for (i = 2; i <= NF; i++) n += $i } END { print n + 0 }'
}

# scan N: asks for N blocks (of the root cgroup, 0, on node 0).
scan() {
	echo "0 0 $1" >"$(echo /sys/kernel/debug/shrinker/taskmonitor-*)/scan"
}

case_it_is_there_as_long_as_the_module() {
	load
	same shrinkers "$(echo /sys/kernel/debug/shrinker/taskmonitor-* | wc -w)" 1
	same count "$(count)" 0
	scan 10
	unload
	! ls -d /sys/kernel/debug/shrinker/taskmonitor-* 2>/dev/null || fail "it is still there"
}

case_it_gives_what_it_is_asked_for() {
	spawn pause
	A=$PID
	spawn pause
	load "target=1,$A,$PID period_us=1000 max_samples=1000000"
	later 1 300
	end_task
	await ended "$PID"
	echo stop >"$FILE"
	# All but the newest block of those that live.
	blocks=$(awk '{ n += int(($12 + 16) / 17) - ($6 != "X") } END { print n }' "$TASKS")
	same count "$(count)" "$blocks"
	scan 7
	same count "$(count)" $((blocks - 7))
	same reclaimed "$(total reclaimed)" $((7 * 17))
	# In turns.
	between "most less least" "$(awk '{ print $16 }' "$TASKS" | sort -n | xargs | awk '{ print $3 - $1 }')" 0 17
	scan 100000
	same count "$(count)" 0
	same "tasks with samples" "$(awk '$10 > 0' "$TASKS" | wc -l)" 2
	adds_up
	scan 1
	same count "$(count)" 0
}

has_blocks() {
	[ "$(count)" -ge "$1" ]
}

# However busy the lock is: a process of many threads and some of its threads are sampled all the time.
case_it_waits_for_its_turn() {
	spawn threads 300 0
	load "target=$PID period_us=100 max_samples=1000000 max_mib=40"
	sed -n 's/^tid //p' "$OUT" | sed 100q >"$FILE"
	LIMIT=300
	await has_blocks 80
	in_vain=0 before=$(total reclaimed)
	for _ in $(seq 60); do
		scan 1
		after=$(total reclaimed)
		[ "$after" -gt "$before" ] || in_vain=$((in_vain + 1))
		before=$after
	done
	same "scans in vain" "$in_vain" 0
}

run_cases "$@"
