# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# kernels: stock
# programs: taskmon
#
# `taskmon run` against the module: what it says of a command, and what it leaves.

. ./guest.sh

# A user without rights, by the name that start-stop-daemon wants.
mkdir -p /etc
printf '%s\n' 'root:x:0:0::/:/bin/sh' 'nobody:x:65534:65534::/:/bin/sh' >/etc/passwd

# run STATUS ARGUMENT...: `taskmon run` ends with that status. What it says goes to $T/said, the output to $T/out.
run() {
	wanted=$1 status=0
	shift
	./taskmon run "$@" >"$T/out" 2>"$T/said" || status=$?
	same "status of run $*" "$status" "$wanted"
}

# begin ARGUMENT...: the same, which goes on, of a command that says "ready" when it has come so far. Sets RUN.
begin() {
	rm -f "$T/out"
	./taskmon run "$@" >"$T/out" 2>"$T/said" &
	RUN=$!
	echo "$RUN" >>"$T/pids"
	await grep -q '^ready' "$T/out"
}

# ends STATUS: that one ends so.
ends() {
	status=0
	wait "$RUN" || status=$?
	same "status of taskmon" "$status" "$1"
}

# value KEY: of the summary.
value() {
	sed -n "s/^ *$1  *//p" "$T/said"
}

# number KEY: the number that its value begins with.
number() {
	value "$1" | sed 's/[^0-9.].*//'
}

# column KEY FILE: the values of a column.
column() {
	awk -F , -v key="$1" '
		NR == 1 { for (i = 1; i <= NF; i++) if ($i == key) column = i; next }
		{ print $column }' "$2"
}

period() {
	cat "$PARAMETERS/period_us"
}

# nothing_left: the module is as it was before.
nothing_left() {
	same "tasks that are monitored" "$(cat "$TASKS")" ""
	same period "$(period)" "${1-1000000}"
	[ ! -s /run/taskmon/period ] || fail "left in the file of periods: $(cat /run/taskmon/period)"
}

# A command that waits until $T/go is there.
# shellcheck disable=SC2016 # its own variables
WAITS='echo ready; while [ ! -e "$0" ]; do sleep 0.05; done'

# A shell that loops for two seconds of its own time, and says what its process had used when it began, and in the end:
# to ticks of 10 ms.
# shellcheck disable=SC2016
LOOPS='times; s=0; while [ "$s" -lt 2 ]; do
	i=0; while [ $i -lt 10000 ]; do i=$((i + 1)); done
	times >"$0"; read -r user rest <"$0"; s=${user#*m}; s=${s%%.*}
done; times'

case_a_loop_of_known_cost() {
	load
	run 0 --period 10ms --csv "$T/csv" -- sh -c "$LOOPS" "$T/times"
	# "0m2.01s 0m0.02s", of itself and of its children, of which it has none. (The process was taskmon's before.)
	used=$(tr -d 'ms' <"$T/out" | awk 'NR == 1 { s -= $1 + $2 } NR == 3 { s += $1 + $2 } END { print s }')
	told=$(awk -v u="$(number user)" -v s="$(number system)" 'BEGIN { print u + s }')
	# Behind the exec, and before the loop and behind it, there is more: less than what its process had used when it began, and a tenth.
	before=$(tr -d 'ms' <"$T/out" | awk 'NR == 1 { print $1 + $2 }')
	note "the loop has used $used s, and taskmon says $told s, with the exec, which is a part of the $before s before"
	between "seconds that it has used" "$told" "$(awk -v u="$used" 'BEGIN { print 0.97 * u }')" \
		"$(awk -v u="$used" -v b="$before" 'BEGIN { print 1.1 * (u + b) }')"
	wall=$(number wall)
	awk -v w="$wall" -v t="$told" 'BEGIN { exit !(w > 0.99 * t) }' || fail "$told s in $wall s"
	between "CPU %" "$(number CPU)" "$(awk -v w="$wall" -v t="$told" 'BEGIN { print 100 * t / w - 0.3 }')" \
		"$(awk -v w="$wall" -v t="$told" 'BEGIN { print 100 * t / w + 0.3 }')"
	# The samples are those of the loop: they come to the same, but for what was before the first and behind the last.
	samples=$(number samples)
	between samples "$samples" 20 100000
	same "lines of the file" "$(($(wc -l <"$T/csv") - 1))" "$samples"
	# (What was sampled before the command began is not the command's: the first of its process, at least.)
	[ "$(column seq "$T/csv" | head -n 1)" -ge 1 ] || fail "a sample before the command"
	# Each row has totals since the command began.
	behind=$(awk -v t="$told" -v u="$(column usr_ns "$T/csv" | tail -n 1)" -v s="$(column sys_ns "$T/csv" | tail -n 1)" \
		'BEGIN { print t - (u + s) / 1e9 }')
	note "the totals of the last row lack $behind s"
	between "seconds that the last row lacks" "$behind" -0.003 0.003
	column seq "$T/csv" | awk 'NR > 1 && $1 <= last { exit 1 } { last = $1 }' || fail "not in order"
	lost=$(column lost "$T/csv" | awk '{ s += $1 } END { print s }')
	missed=$(value samples | sed 's/.*, \([0-9]*\) missed/\1/')
	# (Those behind the last sample are in no line.)
	[ "$missed" -ge "$lost" ] || fail "$missed missed, and $lost of them before a sample"
	note "$(value samples), in $wall s"
	value 'mean RSS' | grep -q '^[0-9.]*[KM]iB$' || fail "mean RSS: $(value 'mean RSS')"
	value 'peak RSS' | grep -q '[0-9.]*[KM]iB$' || fail "peak RSS: $(value 'peak RSS')"
	nothing_left
}

case_the_totals_are_those_of_the_module() {
	load period_us=1000
	run 0 --keep -- sh -c "$LOOPS" "$T/times"
	pid=$(sed -n 's/^taskmon: sh, PID //p' "$T/said")
	await ended "$pid"
	# But for what its process has used before it was the command, which only the module counts.
	told=$(awk -v u="$(number user)" -v s="$(number system)" 'BEGIN { print u + s }')
	exact=$(newest "$pid" | awk '{ print ($4 + $6) / 1e9 }')
	before=$(tr -d 'ms' <"$T/out" | awk 'NR == 1 { print $1 + $2 }')
	note "$told s, and by the module $exact s, of which $before s or less before"
	between "seconds by the module" "$exact" "$told" \
		"$(awk -v t="$told" -v b="$before" 'BEGIN { print 1.01 * t + b + 0.02 }')"
	samples "$pid" >"$T/kept"
	same "the first that is kept" "$(head -n 1 "$T/kept" | key seq)" 0
	same "lines with another beginning" "$(key start <"$T/kept" | sort -u | wc -l)" 1
	same "tasks that are monitored" "$(cut -d ' ' -f 2 "$TASKS")" "$pid"
	same period "$(period)" 1000
}

case_exit_statuses() {
	load
	for status in 0 1 2 77 125 126 127 128 255; do
		run "$status" -- sh -c "exit $status"
	done
	run 143 -- sh -c 'kill -TERM $$'
	same status "$(value status)" "killed by SIGTERM"
	run 137 -- sh -c 'kill -KILL $$'
	run 127 -- no-such-command
	same "what it says" "$(cat "$T/said")" "taskmon: cannot run no-such-command: No such file or directory"
	run 126 -- ./guest.sh
	run 126 -- /proc
	run 2 --period 99us -- true
	run 2
	nothing_left
}

case_without_the_module() {
	run 125 -- touch "$T/ran"
	same "what it says" "$(cat "$T/said")" \
		"taskmon: the kernel module taskmonitor is not loaded; as root: modprobe taskmonitor"
	[ ! -e "$T/ran" ] || fail "the command has run"
}

case_without_rights() {
	load
	: >"$T/said"
	chmod 666 "$T/said"
	status=0
	start-stop-daemon -S -q -c 65534:65534 -x ./taskmon -- run touch "$T/ran" 2>"$T/said" || status=$?
	same status "$status" 125
	same "what it says" "$(cat "$T/said")" "taskmon: cannot access $FOLLOW: permission denied; run this command as root"
	[ ! -e "$T/ran" ] || fail "the command has run"
	nothing_left
}

case_as_many_as_there_may_be() {
	load "max_tasks=1 target=1"
	run 125 --period 10ms -- touch "$T/ran"
	grep -q 'the limit max_tasks is reached' "$T/said" || fail "$(cat "$T/said")"
	[ ! -e "$T/ran" ] || fail "the command has run"
	same period "$(period)" 1000000
	same "tasks that are monitored" "$(cut -d ' ' -f 2 "$TASKS")" 1
}

case_the_period_is_lowered_and_put_back() {
	load
	rm -f "$T/go"
	begin --period 100us --csv "$T/csv" -- sh -c "$WAITS" "$T/go"
	same period "$(period)" 100
	pid=$(cut -d ' ' -f 2 "$TASKS")
	later "$pid" 100
	taken=$(last "$pid" taken)
	: >"$T/go"
	ends 0
	# None of those that the module has kept.
	between samples "$(number samples)" "$taken" 10000000
	same "what is said of the period" "$(grep period "$T/said")" "taskmon: lowered the module's period from 1s to 100us for all tasks while this command runs
taskmon: restored the module's period to 1s"
	nothing_left
}

case_several_need_a_period() {
	load
	rm -f "$T/go" "$T/go.2"
	begin --period 10ms -- sh -c "$WAITS" "$T/go"
	one=$RUN
	begin --period 1ms -- sh -c "$WAITS" "$T/go.2"
	same period "$(period)" 1000
	: >"$T/go.2"
	ends 0
	same period "$(period)" 10000
	: >"$T/go"
	RUN=$one
	ends 0
	nothing_left
}

case_one_that_is_killed() {
	load
	rm -f "$T/go"
	begin --period 10ms -- sh -c "$WAITS" "$T/go"
	pid=$(cut -d ' ' -f 2 "$TASKS")
	kill -KILL "$RUN"
	wait "$RUN" || :
	same period "$(period)" 10000
	run 0 -- true
	grep -q 'period from 10ms to 1s: a killed taskmon' "$T/said" || fail "$(cat "$T/said")"
	same period "$(period)" 1000000
	# The command goes on, and nobody removes it.
	same "tasks that are monitored" "$(cut -d ' ' -f 2 "$TASKS")" "$pid"
	: >"$T/go"
	await gone "$pid"
	echo "-$pid" >"$FILE"
	nothing_left
}

case_signals_are_passed_on() {
	load
	rm -f "$T/go"
	begin --period 10ms -- sh -c "$WAITS" "$T/go"
	kill -TERM "$RUN"
	ends 143
	nothing_left
	begin --period 10ms -- sh -c 'trap "exit 5" USR1; trap "echo hup" HUP; echo ready; while :; do sleep 0.05; done'
	# A shell has those that it starts in the background ignore this one.
	kill -INT "$RUN"
	kill -HUP "$RUN"
	await grep -q hup "$T/out"
	kill -USR1 "$RUN"
	ends 5
	nothing_left
}

case_an_end_before_the_first_period_is_over() {
	load period_us=3600000000
	run 3 -- sh -c 'exit 3'
	same samples "$(value samples)" "0, 0 missed"
	grep -q 'no sample was taken while the command ran, because it was shorter than the period of 3600s' "$T/said" ||
		fail "no hint: $(cat "$T/said")"
	nothing_left 3600000000
}

# A command that is over long before the next instant.
case_shorter_than_the_period() {
	load period_us=3600000000
	run 0 --csv "$T/csv" --json "$T/json" --plot "$T/svg" -- \
		sh -c 'i=0; while [ "$i" -lt 30000 ]; do i=$((i + 1)); done'
	grep -q 'for more samples: --period [0-9]*[mu]s' "$T/said" || fail "no hint: $(cat "$T/said")"
	same samples "$(value samples)" "1, 0 missed"
	same "rows" "$(column state "$T/csv")" X
	same "objects" "$(grep -c '"state":"X"' "$T/json")" "$(wc -l <"$T/json")"
	told=$(awk -v u="$(number user)" -v s="$(number system)" 'BEGIN { print 1e9 * (u + s) }')
	used=$(awk -v u="$(column usr_ns "$T/csv")" -v s="$(column sys_ns "$T/csv")" 'BEGIN { print u + s }')
	note "by the kernel $told ns, by the row $used ns"
	# (The kernel's are in microseconds, and the summary's in milliseconds.)
	between "ns in the row" "$used" "$(awk -v t="$told" 'BEGIN { print t - 2e6 }')" "$(awk -v t="$told" 'BEGIN { print t + 2e6 }')"
	between "page faults" "$(column minflt "$T/csv")" 1 100000
	# The rate is over the time since the command began, in which it did little else.
	between "CPU %" "$(column cpu_percent "$T/csv")" 5 101
	grep -q '1 sample' "$T/svg" || fail "no picture"
	! grep -q 'memory 0 B' "$T/svg" || fail "a peak of nothing"
	nothing_left 3600000000
}

# A shell that says the most memory that it has had.
# shellcheck disable=SC2016
HWM='while read -r key value rest; do [ "$key" != VmHWM: ] || echo "$value"; done </proc/$$/status'

# peak_kib: the peak in KiB, or the most that it may be.
peak_kib() {
	peak=$(value 'peak RSS')
	peak=${peak#at most }
	case $peak in
	*KiB) echo "${peak%KiB}" ;;
	*MiB) awk -v p="${peak%MiB}" 'BEGIN { print 1024 * p }' ;;
	*) fail "peak RSS $peak" ;;
	esac
}

case_nothing_of_before_the_exec() {
	load
	run 0 --period 10ms --csv "$T/csv" -- sh -c "i=0; while [ \$i -lt 20000 ]; do i=\$((i + 1)); done; $HWM"
	# KiB. (The kernel's own counters are exact to 31 pages of each kind on each processor.)
	off=$((125 * PAGE / 1024))
	hwm=$(cat "$T/out")
	peak=$(peak_kib)
	note "by itself $hwm KiB, by taskmon $peak KiB"
	between "KiB at the peak" "$peak" $((hwm - off)) $((hwm + off))
	[ "$(column seq "$T/csv" | head -n 1)" -ge 1 ] || fail "a row of before the command"
	# No more CPU time since the exec than time has passed since then.
	awk -F , 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
		NR == 2 { print $at["usr_ns"] + $at["sys_ns"], $at["elapsed_ns"]; exit }' "$T/csv" >"$T/first"
	note "the first row has $(cat "$T/first") ns of CPU time, and of time"
	awk '$2 != "" && $1 > $2 + 1e6 { exit 1 }' "$T/first" || fail "CPU time of before: $(cat "$T/first")"
	# taskmon has more memory than that itself.
	run 0 -- ./helper write /dev/null x
	note "of a small program: $(value 'peak RSS')"
	between "KiB of a small program" "$(peak_kib)" 100 $((1300 + off))
}

# The command is found in the last of very many directories, so its process is still taskmon's for a long time.
case_a_long_search_before_the_exec() {
	load max_samples=100000
	path=$(awk -v n="$(few 5000)" 'BEGIN { for (i = 0; i < n; i++) printf "/x:" }')$PATH
	status=0
	PATH=$path ./taskmon run --keep --period 200us --csv "$T/csv" -- sh -c 'i=0; while [ $i -lt 1000 ]; do i=$((i + 1)); done' \
		2>"$T/said" || status=$?
	same status "$status" 0
	pid=$(sed -n 's/^taskmon: sh, PID //p' "$T/said")
	samples "$pid" >"$T/kept"
	# What the most samples have: the command is short.
	fork=$(key rss <"$T/kept" | sort | uniq -c | sort -n | awk 'END { print $2 }')
	all=$(wc -l <"$T/kept")
	search=$(key rss <"$T/kept" | grep -cx "$fork")
	note "$search of $all samples have the $fork bytes of the fork; $(value samples) samples, user $(value user), system $(value system)"
	# (On a fast machine, a search of 5,000 directories takes 5 ms and more.)
	between "samples of the fork" "$search" 5 "$all"
	[ "$(wc -l <"$T/csv")" -ge 2 ] || fail "no row"
	! column rss_bytes "$T/csv" | grep -x "$fork" || fail "a row of the fork"
	# Nor was anything of the search added to the command.
	last=$(grep -n " rss $fork " "$T/kept" | tail -n 1 | cut -d : -f 1)
	searched=$(sed -n "${last}p" "$T/kept" | awk '{ for (i = 1; i < NF; i++) if ($i == "usr" || $i == "sys") s += $(i + 1) } END { print s }')
	exited=$(tail -n 1 "$T/kept" | awk '{ for (i = 1; i < NF; i++) if ($i == "usr" || $i == "sys") s += $(i + 1) } END { print s }')
	row=$(awk -v u="$(column usr_ns "$T/csv" | tail -n 1)" -v s="$(column sys_ns "$T/csv" | tail -n 1)" 'BEGIN { print u + s }')
	note "the search took $searched ns, all of the process $exited ns, the command $row ns"
	# (The last of these samples may be within the execve() that succeeds, which counts as the command.)
	between "ns of the command" "$row" 1 $((exited - searched + searched / 2))
	echo "-$pid" >"$FILE"
	nothing_left
}

case_sampling_that_was_stopped() {
	load
	echo stop >"$FILE"
	run 0 -- true
	grep -q 'sampling is stopped: ' "$T/said" || fail "$(cat "$T/said")"
	same samples "$(value samples)" "0, 0 missed"
	nothing_left
}

case_eviction_meanwhile() {
	load "max_samples=2"
	run 0 --period 1ms --csv "$T/csv" -- sh -c "$LOOPS" "$T/times"
	note "$(value samples)"
	between samples "$(number samples)" 2 10000000
	column seq "$T/csv" | awk 'NR > 1 && $1 <= last { exit 1 } { last = $1 }' || fail "not in order"
	nothing_left
}

case_many_short_ones() {
	load period_us=1000
	running=''
	for n in 1 2 3 4; do
		(
			for i in $(seq "$(few 25)"); do
				status=0
				./taskmon run --period "${n}00us" -- sh -c 'exit 9' 2>"$T/said.$n" || status=$?
				[ "$status" = 9 ] || {
					cp "$T/said.$n" "$T/bad.$n"
					exit 1
				}
			done
		) &
		running="$running $!"
	done
	for pid in $running; do
		wait "$pid" || fail "$(cat "$T"/bad.*)"
	done
	nothing_left 1000
}

case_memory_of_a_command_that_grows() {
	load period_us=10000
	rm -f "$T/go"
	begin -- ./helper grow 40
	child=$(sed -n 's/^pid //p' "$T/out")
	kill -TERM "$child"
	ends 0
	peak=$(value 'peak RSS')
	note "peak RSS $peak"
	case $peak in
	*MiB) between "MiB at the peak" "${peak%MiB}" 40 60 ;;
	*) fail "peak RSS $peak" ;;
	esac
	nothing_left 10000
}

case_rmmod_meanwhile() {
	load
	rm -f "$T/go"
	begin -- sh -c "$WAITS" "$T/go"
	same rmmod "$(./helper rmmod taskmonitor)" EAGAIN
	: >"$T/go"
	ends 0
	nothing_left
	unload
}

run_cases "$@"
