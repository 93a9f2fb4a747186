# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash
#
# What the test files share: a runner of cases, a checker of the kernel log that runs after each
# case, and functions for common steps. Runs in the guest, by busybox.
#
# A test file defines functions case_NAME, sources this file and ends with `run_cases "$@"`. Each
# case runs in a subshell under `set -eu`: it fails with the first command that fails, or by `fail`.
# tests/run describes the lines that the head of a file may have, such as `# vm: -m 192 -c 1`.
#
# Cases wait for conditions, with a generous time limit: none depends on the speed of this machine.

export FILE=/sys/kernel/debug/taskmonitor
export FOLLOW=/sys/kernel/debug/taskmonitor_follow
export TASKS=/sys/kernel/debug/taskmonitor_tasks
export STATS=/sys/kernel/debug/taskmonitor_stats
export SYSFS=/sys/kernel/taskmonitor
export PARAMETERS=/sys/module/taskmonitor/parameters
LIMIT=300
T=/tmp/test
mkdir -p "$T"
# The size of a page of this kernel, in bytes.
PAGE=$(./helper pagesize)

# --- the kernel log -----------------------------------------------------------------------------
#
# A new line must come from taskmonitor, at the level for debugging, or match one of these patterns, each
# with its reason. A line that matches POISON is never allowed.

log_allowed() {
	sed -e 's/^#.*//' -e '/^$/d' "$T/allowed" - <<'END'
# a module that is not part of the kernel taints it when it is loaded
^taskmonitor: loading out-of-tree module taints kernel\.$
# one that Debian did not sign does so, too
^taskmonitor: module verification failed: signature and/or required key missing - tainting kernel$
# the kernel's own words for a parameter that we refuse
^taskmonitor: `[^']*' invalid for parameter `[a-z_]*'$
^(taskmonitor|target): can only take 128 arguments$
^taskmonitor: `[^']*' too large for parameter `target'$
# a kernel with KUnit, when it is not to run the unit tests
^kunit: (kunit: )?disabled$
# a test asks for memory back
^(sh|race) \([0-9]+\): drop_caches: [0-9]$
# an emulated processor is slow, and the kernel notices
^hrtimer: interrupt took [0-9]+ ns$
^perf: interrupt took too long
^(clocksource|tsc): 
END
}

MISTAKE='WARNING|BUG|Oops|INFO:|K[AC]SAN|KMSAN|KFENCE|UBSAN|ODEBUG|unreferenced object|refcount_t'
MISTAKE="$MISTAKE|memory leaks|cut here|panic|general protection|Unable to handle|segfault|traps:"
MISTAKE="$MISTAKE|lockdep|deadlock|inconsistent lock|sleeping function|scheduling while atomic|list_(add|del)"
MISTAKE="$MISTAKE|[Ss]lab (corruption|cache|error)|[Oo]bjects remaining|(soft|hard) (lockup|LOCKUP)"
# Such a line never stands alone.
POISON="$MISTAKE|Call Trace|Tainted"

# log_allow REGEX: this case provokes such a line (and says why).
log_allow() {
	printf '%s\n' "$1" >>"$T/allowed"
}

# log_noisy: this case makes the kernel log a lot, with stack traces and lists of memory. Only lines
# that report a bug count.
log_noisy() {
	log_allow '.*'
	: >"$T/noisy"
}

# drop_reports BEGIN END MISTAKE OURS REASON...: drops reports of the kernel that begin and end with such lines, have a line
# for each REASON and none that matches OURS (if that is not empty). Keeps their lines that report another bug: those that
# match MISTAKE and no REASON.
drop_reports() {
	begin=$1 end=$2 mistake=$3 ours=$4
	shift 4
	# (In the environment, as awk would take backslashes out of its arguments.)
	REPORT_BEGIN=$begin REPORT_END=$end REPORT_MISTAKE=$mistake REPORT_OURS=$ours REPORT_REASONS=$(printf '%s\n' "$@") awk '
		BEGIN {
			begin = ENVIRON["REPORT_BEGIN"]
			end = ENVIRON["REPORT_END"]
			mistake = ENVIRON["REPORT_MISTAKE"]
			ours = ENVIRON["REPORT_OURS"]
			n = split(ENVIRON["REPORT_REASONS"], reasons, "\n")
		}
		{
			line = $0
			sub(/^<[0-9]+>(\[ *[0-9.]+\] )?(\[ *[TC][0-9]+\] )?/, "", line)
		}
		!inside && line ~ begin {
			inside = 1
			report = $0 "\n"
			others = ""
			found = is_ours = 0
			split("", seen)
			next
		}
		inside {
			report = report $0 "\n"
			is_reason = 0
			for (i = 1; i <= n; i++)
				if (line ~ reasons[i]) {
					is_reason = 1
					if (!(i in seen)) {
						seen[i]
						found++
					}
				}
			if (!is_reason && line ~ mistake)
				others = others $0 "\n"
			if (ours != "" && line ~ ours)
				is_ours = 1
			if (line ~ end) {
				printf "%s", found == n && !is_ours ? others : report
				inside = 0
			}
			next
		}
		{ print }
		END { if (inside) printf "%s", report }'
}

# What begins and ends a warning, and what in it reports another bug: all but what each warning has.
CUT='-\[ cut here \]-'
TRACE='---\[ end trace '
WORSE='BUG|Oops|K[AC]SAN|UBSAN|refcount_t'

# others_races: drops KCSAN's reports of races without this module.
others_races() {
	if [ "${KERNEL-}" = kcsan ]; then
		drop_reports '^=====+$' '^=====+$' "$MISTAKE" '\[taskmonitor\]' '^BUG: KCSAN: '
	else
		cat
	fi
}

# server_timers: drops the kernel's warnings that a timer of its fair servers is started by one processor while its
# callback waits on another (dl_server_timer() in kernel/sched/deadline.c). An emulated processor waits long enough, with any
# module or none.
server_timers() {
	drop_reports "$CUT" "$TRACE" "$WORSE" '\[taskmonitor\]' '^WARNING: .* at hrtimer_forward\+' '[ :]dl_task_timer\+'
}

# log_unload_race: this case opens debugfs files while the module is unloaded. The kernel gives up
# the module (try_stop_module()) a moment before it sets its state to "going". If a file is opened
# in between, debugfs takes the module for one that did not remove its files, and warns. Also, the
# first open of a file reads the table of its functions before debugfs_remove() would wait for it:
# KASAN reports if the table was freed by then. Both happen with every module; the only effect is
# that the open fails.
log_unload_race() {
	: >"$T/unload_race"
}

# unload_races: drops the reports of that.
unload_races() {
	if [ -e "$T/unload_race" ]; then
		first_opens | late_opens
	else
		cat
	fi
}

# first_opens: drops KASAN's reports about the table, and what the kernel says once because of the first of them.
first_opens() {
	cat >"$T/opens"
	drop_reports '^=====+$' '^=====+$' "$MISTAKE" '' '^BUG: KASAN: slab-use-after-free in __debugfs_file_get\+' <"$T/opens" >"$T/opens.kept"
	if cmp -s "$T/opens" "$T/opens.kept"; then
		cat "$T/opens"
	else
		grep -v 'Disabling lock debugging due to kernel taint$' "$T/opens.kept" || :
	fi
}

# late_opens: drops the warnings.
late_opens() {
	drop_reports "$CUT" "$TRACE" "$WORSE" '' 'debugfs file owner did not clean up at exit: taskmonitor(_follow|_tasks|_stats)?$'
}

# log_check: prints the new lines that are not allowed; fails if there is one.
log_check() {
	dmesg -r -c | others_races | server_timers | unload_races >"$T/log"
	log_allowed >"$T/patterns"
	poison=$POISON
	[ ! -e "$T/noisy" ] || poison=$MISTAKE
	awk -v poison="$poison" -v patterns="$T/patterns" '
		BEGIN {
			while ((getline line <patterns) > 0)
				allowed[++n] = line
		}
		{
			level = $0
			sub(/^</, "", level)
			text = $0
			sub(/^<[0-9]+>(\[ *[0-9.]+\] )?(\[ *[TC][0-9]+\] )?/, "", text)
			if (text !~ poison) {
				if (int(level) % 8 == 7 && text ~ /^taskmonitor: /)
					next
				for (i = 1; i <= n; i++)
					if (text ~ allowed[i])
						next
			}
			print text
			bad = 1
		}
		END { exit bad }' "$T/log"
}

# --- kmemleak ---------------------------------------------------------------------------------------
#
# On a kernel with kmemleak, a scan runs after each file, and counts as a case; with SCANS=each,
# also after each case, which takes some seconds more. Reports go to the kernel log, with the stack
# of the allocation. An object is only reported if it is 5 s old, and has not changed between two
# scans.

leaks_begin() {
	KMEMLEAK=''
	if [ ! -e /sys/kernel/debug/kmemleak ]; then
		# A file without debugfs sets NO_KMEMLEAK.
		[ "${KERNEL-}" != debug ] || [ "${NO_KMEMLEAK-}" ]
		return
	fi
	# Kept open, because lockdown would refuse to open it.
	exec 8>/sys/kernel/debug/kmemleak
	echo scan=off >&8
	KMEMLEAK=yes
}

# kmemleak turns itself off when it is out of memory.
leaks_scan() {
	echo scan >&8 || echo "kmemleak has turned itself off"
}

case_nothing_is_leaked() {
	sleep 6
	leaks_scan
	leaks_scan
}

# --- the runner ------------------------------------------------------------------------------------

# cleanup: undoes what a case has left; prints what cannot be undone, and what is left after the
# module is unloaded.
cleanup() {
	while read -r pid; do
		kill -KILL "$pid"
	done <"$T/pids" 2>/dev/null
	if [ -e /sys/module/taskmonitor ]; then
		wait_until unloaded || echo "rmmod: $(./helper rmmod taskmonitor)"
	fi
	[ ! -e "$T/ballast" ] || umount "$T/ballast" 2>/dev/null || :
	! grep '^task_sample ' /proc/slabinfo || echo "the kmem_cache is still there"
	for left in "$FILE"* "$SYSFS"; do
		[ ! -e "$left" ] || echo "$left is still there"
	done
	! grep -lx taskmonitor /proc/[0-9]*/comm 2>/dev/null || echo "the kernel thread is still there"
}

unloaded() {
	./helper rmmod taskmonitor >/dev/null || [ ! -e /sys/module/taskmonitor ]
}

# run_cases [NAME...]: runs the cases of the file in their order, or the named cases.
run_cases() {
	# shellcheck disable=SC2046 # a word a case
	[ $# -gt 0 ] || set -- $(sed -n 's/^case_\([a-z0-9_]*\)().*/\1/p' "$0")
	leaks_begin || {
		echo "the debug kernel has no kmemleak"
		return 1
	}
	[ ! "$KMEMLEAK" ] || set -- "$@" nothing_is_leaked
	echo "1..$#"
	number=0
	dmesg -c >/dev/null
	for name; do
		number=$((number + 1))
		uptime_s
		began=$NOW
		: >"$T/allowed"
		: >"$T/pids"
		rm -f "$T/noisy" "$T/unload_race"
		: >"$T/trace"
		: >"$T/notes"
		(
			set -eu
			exec 2>"$T/trace"
			set -x
			"case_$name"
		) </dev/null >"$T/output"
		status=$?
		{
			cleanup
			[ ! "$KMEMLEAK" ] || [ "${SCANS-}" != each ] || leaks_scan
		} >"$T/left" 2>&1
		log_check >"$T/foreign"
		if [ "$status" = 0 ] && [ ! -s "$T/left" ] && [ ! -s "$T/foreign" ]; then
			echo "ok $number $(echo "$name" | tr _ ' ')"
			[ ! -s "$T/notes" ] || sed 's/^/# /' "$T/notes"
			uptime_s
			[ $((NOW - began)) -lt 10 ] || echo "# took $((NOW - began)) s"
			continue
		fi
		echo "not ok $number $(echo "$name" | tr _ ' ')"
		sed 's/^/#   /' "$T/output"
		sed 's/^/#   left behind: /' "$T/left"
		sed 's/^/#   kernel log: /' "$T/foreign"
		[ "$status" = 0 ] || tail -n 12 "$T/trace" | cut -c 1-200 | sed 's/^/#     /'
	done
	# A late line belongs to no case, but fails the file.
	log_check
}

# uptime_s: sets NOW, without another process, because starting processes is what takes time here.
uptime_s() {
	read -r NOW _ </proc/uptime
	NOW=${NOW%.*}
}

# --- common steps -------------------------------------------------------------------------------------------

fail() {
	echo "$*"
	exit 1
}

# few N: prints the number of repetitions, N on the stock kernel. The debug kernels are slow, and
# get fewer.
few() {
	case ${KERNEL-} in
	debug) echo $((($1 + 4) / 5)) ;;
	kcsan) echo $((($1 + 9) / 10)) ;;
	*) echo "$1" ;;
	esac
}

# note TEXT: prints TEXT, such as a figure, if the case passes.
note() {
	echo "$*" >>"$T/notes"
}

# can_suspend: whether this kernel can suspend the machine. Debian builds all kernels with that but the cloud ones.
can_suspend() {
	case $(uname -r) in
	*-cloud-*)
		note "this kernel cannot suspend the machine"
		return 1
		;;
	esac
}

# same WHAT GOT WANTED: fails unless they are equal.
same() {
	[ "$2" = "$3" ] || fail "$1: \"$2\", not \"$3\""
}

# between WHAT GOT LEAST MOST: fails unless GOT is in this range.
between() {
	case $2 in
	"" | -* | *[!0-9]*) awk -v v="$2" -v a="$3" -v b="$4" 'BEGIN { exit !(v != "" && v >= a && v <= b) }' ;;
	*) [ "$2" -ge "$3" ] && [ "$2" -le "$4" ] ;;
	esac || fail "$1: $2, not in $3 to $4"
}

# wait_until COMMAND...: fails if the command does not succeed in LIMIT seconds.
wait_until() {
	uptime_s
	end=$((NOW + LIMIT))
	until "$@"; do
		uptime_s
		[ "$NOW" -lt "$end" ] || return 1
		usleep 20000
	done 2>/dev/null
}

# await COMMAND...: the same, in a case.
await() {
	wait_until "$@" || fail "timed out after $LIMIT s waiting for: $*"
}

# load [PARAMETERS], refused ERROR [PARAMETERS]
load() {
	same "insmod $*" "$(./helper insmod taskmonitor.ko "$*")" ok
}

refused() {
	error=$1
	shift
	same "insmod $*" "$(./helper insmod taskmonitor.ko "$*")" "$error"
	[ ! -e /sys/module/taskmonitor ] || fail "insmod $*: failed, but the module is loaded"
	for left in "$FILE"* "$SYSFS"; do
		[ ! -e "$left" ] || fail "insmod $*: failed, but $left exists"
	done
}

unload() {
	same rmmod "$(./helper rmmod taskmonitor)" ok
}

# writes RESULTS DATA...: writes each DATA with one write() to the same open file; RESULTS are the
# expected results.
writes() {
	writes_to "$FILE" "$@"
}

# writes_to FILE RESULTS DATA...
writes_to() {
	file=$1 wanted=$2
	shift 2
	same "write to $file: $*" "$(./helper write "$file" "$@")" "$wanted"
}

# spawn COMMAND...: starts a task of the helper and waits until it is ready. Sets PID, and OUT to
# the file with what it prints.
spawn() {
	spawned=$((${spawned-0} + 1))
	OUT=$T/out.$spawned
	# A file of an earlier case does not show that this one is ready.
	rm -f "$OUT"
	./helper "$@" >"$OUT" &
	echo $! >>"$T/pids"
	await grep -q '^ready' "$OUT"
	PID=$(sed -n 's/^pid //p' "$OUT")
	echo "$PID" >>"$T/pids"
}

# end_task [PID]: ends a task that spawn started, and waits until it is reaped.
end_task() {
	kill -TERM "${1:-$PID}"
	await gone "${1:-$PID}"
}

gone() {
	[ ! -e "/proc/$1" ]
}

# samples [PID]: prints the history file, or its lines of one PID.
samples() {
	if [ $# = 0 ]; then
		cat "$FILE"
	else
		grep "^pid $1 " "$FILE" || :
	fi
}

# newest PID [KEY]: prints the newest sample, or one value of it.
newest() {
	samples "$1" | tail -n 1 | if [ $# = 1 ]; then cat; else key "$2"; fi
}

# holds N: whether the history file has at least N samples.
holds() {
	[ "$(samples | wc -l)" -ge "$1" ]
}

# still PID: waits until no more samples come.
still() {
	was=
	while [ "$was" != "$(last "$1" taken)" ]; do
		was=$(last "$1" taken)
		usleep 100000
	done
}

# holding BYTES [FILE]: starts a reader that pauses after BYTES. Its data goes to $T/held. Sets
# HOLDER.
holding() {
	: >"$T/holder"
	./helper hold "${2:-$FILE}" "$1" >"$T/held" 2>"$T/holder" &
	HOLDER=$!
	echo "$HOLDER" >>"$T/pids"
	await grep -q held "$T/holder"
}

# released: lets that reader continue to the end.
released() {
	kill -TERM "$HOLDER"
	wait "$HOLDER"
}

# both_holding: two readers pause at different samples of the oldest block.
both_holding() {
	holding 1000
	FIRST=$HOLDER
	mv "$T/held" "$T/held.first"
	holding 4000
}

# both_released WHOLE LEFT: both readers must read the block in which they paused to its end, and
# then what is left. WHOLE is a file with all samples before, LEFT a file with the samples that are
# left.
both_released() {
	released
	HOLDER=$FIRST
	released
	cmp "$T/held" "$T/held.first" || fail "one reader has read more of the block than the other"
	head_and_rest "$T/held" "$1" "$2"
}

# head_and_rest READ WHOLE LEFT: READ must be the first block of WHOLE, and then LEFT.
head_and_rest() {
	count=$(($(wc -l <"$1") - $(wc -l <"$3")))
	between "samples of the block in which the reader paused" "$count" "$FEWEST" "$MOST"
	head -n "$count" "$2" | cat - "$3" | cmp - "$1" || fail "the reader has read other lines than those of its block and what is left"
}

# key KEY: prints the values of KEY in the lines on stdin.
key() {
	awk -v key="$1" '{ for (i = 1; i < NF; i += 2) if ($i == key) print $(i + 1) }'
}

# shown: prints the PIDs in the order in which the history file shows them.
shown() {
	samples | awk '!seen[$2]++ { printf "%s%s", separator, $2; separator = " " }'
}

# later PID [N]: waits for N more samples, so that the newest shows the present state.
later() {
	from=$(last "$1" taken)
	await has_taken "$1" $((from + ${2:-2}))
}

has_taken() {
	[ "$(last "$1" taken)" -ge "$2" ]
}

# reached PID SEQ: whether the newest sample is of round SEQ, or a later one.
reached() {
	[ "$(newest "$1" seq)" -ge "$2" ]
}

ended() {
	[ "$(last "$1" state)" = X ]
}

in_state() {
	[ "$(last "$1" state)" = "$2" ]
}

# last PID KEY: prints a value of the last task that had this PID, from the task file.
last() {
	status "$1" "$2" | tail -n 1
}

# reclaim: makes the kernel reclaim memory, as when it runs short of it. Several times, because one
# time may not reclaim all of a few blocks.
reclaim() {
	for _ in 1 2 3 4; do
		echo 2 >/proc/sys/vm/drop_caches
	done
}

# stats KEY: prints a value of the statistics.
stats() {
	sed -n "s/^$1 //p" "$STATS"
}

# stats_add_up: fails if the statistics count a sample twice, or not at all.
stats_add_up() {
	cat "$STATS" >"$T/stats"
	awk '{ value[$1] = $2 }
		END { exit value["taken"] != value["samples"] + value["evicted"] + value["reclaimed"] + value["removed"] }' \
		"$T/stats" || fail "taken is not samples + evicted + reclaimed + removed: $(xargs <"$T/stats")"
}

# capacity: sets FEWEST and MOST to the range of samples in a full block.
capacity() {
	FEWEST=$(stats block_samples_min) MOST=$(stats block_samples_max)
}

# blocks: prints the number of blocks in the cache, with those of the reserve, but without freed
# blocks that the allocator or KASAN keeps.
blocks() {
	echo 1 >/sys/kernel/slab/task_sample/shrink
	awk '/^task_sample / { print $2 }' /proc/slabinfo
}

# The number of used objects that the allocator reports includes some hundred free objects that it
# keeps for each processor.
HELD=500

has_blocks() {
	[ "$(blocks)" -ge "$1" ]
}

fewer_blocks() {
	[ "$(blocks)" -le "$1" ]
}

# filled N: waits until histories have at least N blocks, without HELD and the default reserve.
# Waits without a limit as long as the number of blocks grows.
filled() {
	goal=$(($1 + 64 + HELD))
	until has_blocks "$goal"; do
		had=$(blocks)
		[ "$had" -lt "$goal" ] || break
		await has_blocks "$((had + 1))"
	done
}

# some N: starts N threads and monitors them. Sets TIDS.
some() {
	spawn threads "$1" 0
	TIDS=$(sed -n 's/^tid //p' "$OUT")
	monitor "$TIDS"
}

# monitor PIDS: monitors them. Each has a write of its own: one of many lines may be cut within a line.
monitor() {
	for pid in $1; do
		echo "$pid"
	done >"$FILE"
}

# total KEY: prints the sum of KEY over all tasks.
total() {
	awk -v key="$1" '{ for (i = 1; i < NF; i += 2) if ($i == key) n += $(i + 1) } END { print n + 0 }' "$TASKS"
}

# have KEY N: whether that sum is at least N.
have() {
	[ "$(total "$1")" -ge "$2" ]
}

# adds_up_roughly: like adds_up, for a history that is too long to count its lines.
adds_up_roughly() {
	awk '$12 != $10 + $14 + $16' "$TASKS" >"$T/unsound"
	[ ! -s "$T/unsound" ] || fail "taken is not samples + evicted + reclaimed: $(head -n 3 "$T/unsound")"
}

# status PID [KEY]: prints the line of the task in the task file, or one value of it.
status() {
	awk -v pid="$1" -v key="${2-}" '
		$2 != pid { next }
		key == "" { print }
		{ for (i = 1; i < NF; i += 2) if ($i == key) { print $(i + 1); break } }' "$TASKS"
}

# adds_up: fails if a sample of a task was lost and not counted. Sampling must be stopped.
adds_up() {
	cat "$TASKS" >"$T/tasks"
	awk '$12 != $10 + $14 + $16 { print; bad = 1 } END { exit bad }' "$T/tasks" >"$T/unsound" ||
		fail "taken is not samples + evicted + reclaimed: $(cat "$T/unsound")"
	samples >"$T/samples"
	awk '{ n[$2 " " $22]++ } END { for (task in n) print task, n[task] }' "$T/samples" | sort >"$T/counted"
	awk '$10 > 0 { print $2, $4, $10 }' "$T/tasks" | sort | cmp -s - "$T/counted" ||
		fail "samples in $FILE: $(cat "$T/counted"); in $TASKS: $(cat "$T/tasks")"
}

# A line has every key of the contract, in this order.
LINE='^pid [0-9]+ usr [0-9]+ sys [0-9]+ time [0-9]+ rss [0-9]+ minflt [0-9]+ majflt [0-9]+'
LINE="$LINE mm_users [0-9]+ state [A-Za-z] seq [0-9]+ start [0-9]+\$"
# A line of the tasks file.
TASKS_LINE='^pid [0-9]+ start [0-9]+ state [A-Za-z] threads [0-9]+ samples [0-9]+ taken [0-9]+ evicted [0-9]+'
TASKS_LINE="$TASKS_LINE reclaimed [0-9]+ missed [0-9]+ usr [0-9]+ sys [0-9]+ time [0-9]+ rss [0-9]+"
TASKS_LINE="$TASKS_LINE mm_users [0-9]+ tgid [0-9]+ comm ([ -[]|[]-~]|\\\\[0-7][0-7][0-7])*\$"

# sound: fails unless the lines on stdin are complete, the samples of a task follow each other, and
# values that must not decrease do not.
sound() {
	awk -v line="$LINE" '
		function bad(why) { print "line " NR " (" why "): " $0; failed = 1; exit }
		$0 !~ line { bad("format") }
		{ task = $2 " " $22 }
		task != last && task in seen { bad("samples of the task are not together") }
		task == last && $20 <= seq { bad("seq") }
		task == last && $8 <= time { bad("time") }
		task == last && ($4 < usr || $6 < sys) { bad("usr or sys decreases") }
		task == last && state == "X" { bad("after X") }
		$8 < $22 { bad("taken before the task started") }
		{ last = task; seen[task]; seq = $20; time = $8; usr = $4; sys = $6; state = $18 }
		END { exit failed }' >"$T/unsound" || fail "$(cat "$T/unsound")"
}

# --- steps with tasks ------------------------------------------------------------------------------

# A tick of the kernel, and of /proc/PID/stat, in ns.
TICK=10000000

# stat_field FILE N: prints field N of a file in the form of /proc/PID/stat. Blanks in comm do not
# count.
stat_field() {
	sed 's/(.*)/-/' "$1" | cut -d ' ' -f "$2"
}

# agrees PID [FILE]: the newest sample must agree with /proc/PID/stat. The task must not run
# meanwhile.
agrees() {
	later "$1"
	newest "$1" >"$T/line"
	stat=${2:-/proc/$1/stat}
	usr=$(key usr <"$T/line") sys=$(key sys <"$T/line")
	stat_usr=$(($(stat_field "$stat" 14) * TICK)) stat_sys=$(($(stat_field "$stat" 15) * TICK))
	between "usr + sys" $((usr + sys)) $((stat_usr + stat_sys - 5 * TICK)) $((stat_usr + stat_sys + 6 * TICK))
	split_as "$usr" "$sys" "$stat_usr"
	same minflt "$(key minflt <"$T/line")" "$(stat_field "$stat" 10)"
	same majflt "$(key majflt <"$T/line")" "$(stat_field "$stat" 12)"
	same rss "$(key rss <"$T/line")" $(($(stat_field "$stat" 24) * PAGE))
	same state "$(key state <"$T/line")" "$(stat_field "$stat" 3)"
	same start $(($(key start <"$T/line") / TICK)) "$(stat_field "$stat" 22)"
}

# split_as USR SYS OTHER: user time must agree with that of another reader within 5 ticks and a tenth
# of the total. How the kernel splits a total depends on the moments of the ticks, of which a busy
# host delivers few; and as no part decreases later, on when each reader looked before.
split_as() {
	tolerance=$((5 * TICK + ($1 + $2) / 10))
	between usr "$1" $(($3 - tolerance)) $(($3 + tolerance))
}

# cpu PID: prints the sum of user and system time, which does not depend on how the kernel splits it
# (see split_as).
cpu() {
	newest "$1" | awk '{ printf "%.0f", $4 + $6 }'
}

# exact PID RUSAGE_OUTPUT: the last sample must have the totals that the parent got with wait4().
exact() {
	await ended "$1"
	newest "$1" >"$T/line"
	same rss "$(key rss <"$T/line")" 0
	same mm_users "$(key mm_users <"$T/line")" 0
	usr=$(key usr <"$T/line") sys=$(key sys <"$T/line")
	await grep -q '^rusage' "$2"
	# shellcheck disable=SC2046 # two words
	set -- $(sed -n 's/^rusage //p' "$2")
	# The parent gets its totals a moment before the task leaves its CPU; the last sample has
	# the final totals.
	between "us more than the totals of the parent" $(((usr + sys) / 1000 - $1 - $2)) 0 5000
	split_as "$usr" "$sys" $(($1 * 1000))
}
