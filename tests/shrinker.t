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

# turns N: asks for N blocks one by one; prints for each which tasks gave samples, and how many.
turns() {
	for _ in $(seq "$1"); do
		cat "$TASKS" >"$T/before"
		scan 1
		awk 'NR == FNR { before[FNR] = $16; next }
			$16 != before[FNR] { printf "%s %d ", FNR, $16 - before[FNR] }
			END { print "" }' "$T/before" "$TASKS"
	done
}

case_it_gives_what_it_is_asked_for() {
	spawn pause
	A=$PID
	spawn pause
	load "target=1,$A,$PID period_us=1000 max_samples=1000000"
	capacity
	later 1 $((8 * MOST))
	end_task
	await ended "$PID"
	echo stop >"$FILE"
	blocks=$(count)
	between "blocks of three tasks" "$blocks" $((3 * 8 - 2)) $((3 * 10000))
	scan 7
	same count "$(count)" $((blocks - 7))
	between reclaimed "$(total reclaimed)" $((7 * FEWEST)) $((7 * MOST))
	# In turns, a block each.
	turns 12 >"$T/turns"
	same count "$(count)" $((blocks - 19))
	awk -v fewest="$FEWEST" -v most="$MOST" 'NF != 2 || $2 < fewest || $2 > most' "$T/turns" >"$T/unsound"
	same "what is not a block of one task" "$(cat "$T/unsound")" ""
	same "whose turn it was" "$(cut -d ' ' -f 1 "$T/turns" | sort | uniq -c | awk '{ print $1 }' | xargs)" "4 4 4"
	same "the same order in each round" "$(cut -d ' ' -f 1 "$T/turns" | xargs -n 3 | sort -u | wc -l)" 1
	# All but the newest block of those that live.
	scan 100000
	same count "$(count)" 0
	same "tasks with samples" "$(awk '$10 > 0' "$TASKS" | wc -l)" 2
	between "most samples of a task" "$(awk '{ print $10 }' "$TASKS" | sort -n | tail -n 1)" 1 "$MOST"
	adds_up
	scan 1
	same count "$(count)" 0
}

offers() {
	[ "$(count)" -ge "$1" ]
}

# However busy the lock is: a process of many threads and some of its threads are sampled all the time.
case_it_waits_for_its_turn() {
	spawn threads 300 0
	load "target=$PID period_us=100 max_samples=1000000 max_mib=40"
	monitor "$(sed -n 's/^tid //p' "$OUT" | sed 100q)"
	await offers 80
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
