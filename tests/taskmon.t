# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# quick
# kernels: stock
# programs: taskmon
# vm: -m 1024
#
# The companion against the module: what it adds, removes, lists and shows is what is there.

. ./guest.sh

# A user without rights, and others by name.
mkdir -p /etc
printf '%s\n' 'root:x:0:0::/:/bin/sh' 'nobody:x:65534:65534::/:/bin/sh' >/etc/passwd

# As that user. (It runs the program by its path, so there must not be one already.)
as_nobody() {
	start-stop-daemon -S -q -c 65534:65534 -x "$@"
}

# says STATUS TEXT ARGUMENT...: taskmon ends with that status, and says just that, on stderr, in a line.
says() {
	wanted=$1 text=$2 status=0
	shift 2
	"$@" >"$T/said" 2>"$T/errors" || status=$?
	same "status of $*" "$status" "$wanted"
	# (But for the trace of a function.)
	same "what $* says" "$(grep -v '^+' "$T/errors")" "$text"
	same "output of $*" "$(cat "$T/said")" ""
}

# csv KEY [FILE]: the values of that column.
csv() {
	awk -F , -v key="$1" '
		NR == 1 { for (i = 1; i <= NF; i++) if ($i == key) column = i; next }
		{ print $column }' "${2-$T/out}"
}

# monitored: the PIDs, in the order in which they were added.
monitored() {
	cut -d ' ' -f 2 "$TASKS" | xargs
}

# spinning: a task that counts. Sets PID.
spinning() {
	./loads spin &
	PID=$!
	echo "$PID" >>"$T/pids"
}

# whole FILE COLUMNS: each line of it is one, with as many columns.
whole() {
	[ -s "$1" ] || fail "$1 is empty"
	same "the last byte of $1" "$(tail -c 1 "$1" | od -An -tx1 | tr -d ' ')" 0a
	awk -F , -v n="$2" 'NF != n { print "line " NR ": " $0; bad = 1 } END { exit bad }' "$1" || fail "not whole: $1"
}

# each_once FILE: (pid, start, seq, lost by column) of each task seq increases strictly, and lost says by how much more than
# one. Prints how many were lost.
each_once() {
	awk -F , '
		NR == 1 {
			for (i = 1; i <= NF; i++)
				at[$i] = i
			next
		}
		{
			task = $at["pid"] " " $at["start_ns"]
			seq = $at["seq"]
			lost = $at["lost"]
			if (task in last && seq != last[task] + 1 + lost) {
				print "line " NR ": seq " seq " behind " last[task] ", lost " lost
				bad = 1
				exit
			}
			# Over a gap nothing is made up.
			if (task in last && (lost > 0) != ($at["cpu_percent"] == "")) {
				print "line " NR ": lost " lost ", and a usage of \"" $at["cpu_percent"] "\""
				bad = 1
				exit
			}
			last[task] = seq
			sum += lost
		}
		END {
			if (bad)
				exit 1
			print sum + 0
		}' "$1"
}

case_help_and_mistakes() {
	load
	same version "$(./taskmon --version)" "taskmon $(cat /sys/module/taskmonitor/version)"
	./taskmon --help | grep -q '^Exit status' || fail "no help"
	for arguments in nonsense "top --sort nonsense" "top --interval 0s" "list --nonsense" "show --since soon" "show --fields nonsense" "add" "remove" "add 0" "add x" \
		"show --raw --interval 1s"; do
		status=0
		# shellcheck disable=SC2086 # words
		./taskmon $arguments >"$T/out" 2>"$T/errors" || status=$?
		same "status of taskmon $arguments" "$status" 2
		[ -s "$T/errors" ] || fail "taskmon $arguments says nothing"
	done
}

case_without_the_module() {
	for command in "" "top" "top --batch" "list" "show" "show --follow" "add 1" "remove 1"; do
		# shellcheck disable=SC2086 # words
		says 1 "taskmon: the kernel module taskmonitor is not loaded; as root: modprobe taskmonitor" ./taskmon $command
	done
}

case_without_rights() {
	load "target=1"
	for command in "top --batch" "list" "show" "remove 1"; do
		file=$FOLLOW
		case $command in
		list | remove*) file=$TASKS ;;
		esac
		# shellcheck disable=SC2086 # words
		says 1 "taskmon: cannot access $file: permission denied; run this command as root" as_nobody ./taskmon -- $command
	done
	says 1 "taskmon: cannot access $SYSFS: permission denied; run this command as root" as_nobody ./taskmon -- add 1
	same tasks "$(monitored)" 1
}

# (In a namespace of its own: something may have a file open there.)
case_without_debugfs() {
	load "target=1"
	status=0
	unshare -m sh -c 'umount -l /sys/kernel/debug && exec ./taskmon list' >"$T/out" 2>"$T/errors" || status=$?
	same status "$status" 1
	same said "$(cat "$T/errors")" "taskmon: debugfs is not mounted on /sys/kernel/debug; as root: mount -t debugfs none /sys/kernel/debug"
	./taskmon list >/dev/null
}

case_add_and_remove_by_pid() {
	spawn pause
	load
	./taskmon add "$PID" 1 "$PID" >"$T/out"
	same said "$(cat "$T/out")" "$PID: added
1: added"
	same tasks "$(monitored)" "$PID 1"
	./taskmon add 1 >"$T/out"
	same "said of one that is there" "$(cat "$T/out")" "1: already monitored"
	status=0
	./taskmon add 4194303 2 >"$T/out" 2>"$T/errors" || status=$?
	same "status with one that does not exist" "$status" 1
	same "said of it" "$(cat "$T/errors")" "taskmon: 4194303: not added: no such task"
	same "said of the other" "$(cat "$T/out")" "2: added"
	./taskmon remove 1 "$PID" >"$T/out"
	same said "$(sort "$T/out")" "$(printf '%s\n' "1: removed" "$PID: removed" | sort)"
	same tasks "$(monitored)" 2
	says 1 "taskmon: $PID: not removed: not monitored" ./taskmon remove "$PID"
}

case_add_and_remove_by_name() {
	spawn named 'a b'
	a=$PID
	spawn named 'ab,c'
	b=$PID
	spawn named 'zzz'
	load
	./taskmon add --name 'a b' >"$T/out"
	same said "$(cat "$T/out")" "$a: added"
	./taskmon add --name '/^a.*[bc]$/' >"$T/out"
	same said "$(cat "$T/out")" "$a: already monitored
$b: added"
	./taskmon add --name zzz --name nothing >"$T/out"
	same tasks "$(monitored)" "$a $b $PID"
	says 1 "taskmon: no process matches --name zz" ./taskmon add --name zz
	status=0
	./taskmon add --name '/(/' >"$T/out" 2>"$T/errors" || status=$?
	same "status of a mistake in a regular expression" "$status" 2
	grep -q 'invalid regular expression "(": found open group without closing' "$T/errors" || fail "it is not said"
	# What has exited has its name still.
	end_task "$b"
	await ended "$b"
	./taskmon remove --name '/^ab/' >"$T/out"
	same said "$(cat "$T/out")" "$b: removed"
	same tasks "$(monitored)" "$a $PID"
	./taskmon list --name zzz --format csv >"$T/out"
	same "in the list" "$(csv pid)" "$PID"
	same "its name" "$(csv name)" zzz
}

# What /proc prints of each kernel thread selects it, and what list prints of it does, also where the kernel cuts its name,
# and where it is a worker that works on something else by then; and nothing else is selected.
case_add_kernel_threads_by_each_name() {
	load
	kernel_threads >"$T/threads"
	set --
	while read -r _ name; do
		set -- "$@" --name "$name"
	done <"$T/threads"
	./taskmon add "$@" >"$T/out"
	all_of "$T/threads" "$(monitored)"
	kernel_threads | cat - "$T/threads" | cut -d ' ' -f 1 >"$T/known"
	same "tasks that are no kernel threads" "$(monitored | tr ' ' '\n' | grep -vxFf "$T/known" || :)" ""
	# The longer names of half of them, the names that list prints of the others.
	./taskmon list --format csv >"$T/list"
	awk 'NR % 2' "$T/threads" >"$T/half"
	set --
	while read -r _ name; do
		set -- "$@" --name "$name"
	done <"$T/half"
	./taskmon remove "$@" >"$T/out"
	all_of "$T/half" "$(sed 's/: .*//' "$T/out" | xargs)"
	set --
	while IFS=, read -r pid line; do
		set -- "$@" --name "${line##*,}"
	done <"$T/list"
	./taskmon remove "$@" >"$T/out"
	same "tasks that are left" "$(monitored)" ""
	long=$(awk '!/kworker.*[-+]/ && length($2) > 15' "$T/threads" | wc -l)
	workers=$(grep -c 'kworker/[^R].*[-+]' "$T/threads")
	between "names longer than 15 bytes" "$long" 1 1000
	between "workers with their work" "$workers" 1 1000
	note "$(wc -l <"$T/threads") kernel threads, $long with a name longer than 15 bytes, $workers workers with their work"
}

# kernel_threads: their PIDs and names, as in /proc/PID/comm. (One can end while they are read.)
kernel_threads() {
	cat /proc/[0-9]*/status 2>/dev/null | awk '
		/^Name:/ { name = $2 }
		/^Pid:/ { pid = $2 }
		/^PPid:/ && ($2 == 2 || pid == 2) { print pid, name }'
}

# all_of THREADS PIDS: each of them that is still there is one of the PIDs.
all_of() {
	while read -r pid name; do
		case " $2 " in
		*" $pid "*) ;;
		*) [ ! -e "/proc/$pid" ] || fail "its name $name does not select $pid" ;;
		esac
	done <"$1"
}

case_add_by_a_name_longer_than_a_comm() {
	for name in indeed instead; do
		cp loads "$T/a-very-long-name-$name"
		"$T/a-very-long-name-$name" wake 1000 &
		echo $! >>"$T/pids"
		await is_called $! a-very-long-nam
		eval "$name=\$!"
	done
	# A script is one, too.
	printf '#!/bin/sh\n./loads wake 1000 &\necho $! >>"%s"\nwait\n' "$T/pids" >"$T/a-very-long-name-script"
	chmod +x "$T/a-very-long-name-script"
	"$T/a-very-long-name-script" &
	script=$!
	echo $script >>"$T/pids"
	await is_called $script a-very-long-nam
	load
	./taskmon add --name a-very-long-name-indeed >"$T/out"
	# shellcheck disable=SC2154 # by eval
	same said "$(cat "$T/out")" "$indeed: added"
	./taskmon add --name a-very-long-name-script >"$T/out"
	same said "$(cat "$T/out")" "$script: added"
	says 1 "taskmon: no process matches --name a-very-long-name; the kernel keeps 15 bytes of a-very-long-name: to select every task with this part as its name: --name a-very-long-nam" \
		./taskmon add --name a-very-long-name
	./taskmon add --name a-very-long-nam >"$T/out"
	# shellcheck disable=SC2154 # by eval
	same "all of the name that the kernel keeps" "$(monitored | tr ' ' '\n' | sort -n | xargs)" \
		"$(printf '%s\n' "$indeed" "$instead" "$script" | sort -n | xargs)"
	./taskmon remove --name a-very-long-name-instead >"$T/out"
	same said "$(cat "$T/out")" "$instead: removed"
	# The program's file can be gone.
	rm "$T/a-very-long-name-indeed"
	./taskmon remove --name a-very-long-name-indeed >"$T/out"
	same said "$(cat "$T/out")" "$indeed: removed"
	same tasks "$(monitored)" "$script"
}

is_called() {
	grep -qx "$2" "/proc/$1/comm"
}

# The kernel cuts the eighth of these characters.
case_add_by_a_name_cut_inside_a_character() {
	spawn named éééééééé
	load
	./taskmon add --name "$(cat "/proc/$PID/comm")" >"$T/out"
	same "said of what /proc prints" "$(cat "$T/out")" "$PID: added"
	./taskmon list --format csv >"$T/list"
	./taskmon remove --name "$(csv name "$T/list")" >"$T/out"
	same "said of what list prints" "$(cat "$T/out")" "$PID: removed"
	./taskmon add --name 'ééééééé?' >"$T/out"
	same "said of what ps prints" "$(cat "$T/out")" "$PID: added"
}

case_add_by_command_line() {
	./loads wake 1234 &
	a=$!
	./loads wake 5678 &
	b=$!
	printf '%s\n' $a $b >>"$T/pids"
	await grep -q loads "/proc/$a/cmdline"
	await grep -q loads "/proc/$b/cmdline"
	load
	./taskmon add --cmdline '/^[.]\/loads wake 12/' >"$T/out"
	same said "$(cat "$T/out")" "$a: added"
	# Whoever runs taskmon with that is not meant.
	sh -c "./taskmon add --cmdline '/wake [0-9]+\$/'; :" >"$T/out"
	same said "$(sort -n "$T/out")" "$(printf '%s\n' "$a: already monitored" "$b: added" | sort -n)"
	./taskmon add --cmdline '/./' --name kthreadd 2>"$T/errors" && fail "a kernel thread has no command line"
	./taskmon record -o "$T/file.rec" --cmdline './loads wake 5678' --duration 1s >"$T/out" 2>&1
	./taskmon csv -i "$T/file.rec" >"$T/out"
	same "tasks in the file" "$(csv pid | sort -u)" "$b"
	says 1 "taskmon: cannot use --cmdline, --cgroup, --unit, --user or --children with a recording, which has only PIDs and names of tasks; use a PID or --name" \
		./taskmon show -i "$T/file.rec" --cmdline /wake/
	./taskmon remove --cmdline '/wake 5678/' >"$T/out"
	same said "$(cat "$T/out")" "$b: removed"
	# Nothing is known of the command line of what has exited.
	kill -KILL $a
	await ended $a
	says 1 "taskmon: no monitored task matches --cmdline /wake/" ./taskmon remove --cmdline /wake/
}

case_add_children() {
	sh -c './helper pause & ./helper pause & sh -c "./helper pause & wait" & wait' >/dev/null &
	root=$!
	# A shell, two helpers with a child each, a shell with one.
	await family "$root" 8
	cat "$T/family" >>"$T/pids"
	spawn pause
	load
	./taskmon add "$root" --children >"$T/out"
	same "tasks" "$(monitored | tr ' ' '\n' | sort -n | xargs)" "$(xargs <"$T/family")"
	same "the first" "$(head -n 1 "$T/out")" "$root: added"
	./taskmon remove --children "$root" >"$T/out"
	same tasks "$(monitored)" ""
}

# family PID N: it and its descendants are N; they are in $T/family.
family() {
	awk -v root="$1" '
		{
			sub(/\(.*\)/, "-")
			parent[$1] = $4
		}
		END {
			for (pid in parent) {
				for (p = pid; p != root && p > 1; p = parent[p])
					;
				if (p == root)
					print pid
			}
		}' /proc/[0-9]*/stat | sort -n >"$T/family"
	[ "$(wc -l <"$T/family")" = "$2" ]
}

case_add_by_user() {
	# (Not by a function, which would be a process of its own.)
	start-stop-daemon -S -q -c 65534:65534 -x ./loads -- wake 1000 &
	echo $! >>"$T/pids"
	await theirs $!
	load
	./taskmon add --user 65534 >"$T/out"
	same said "$(cat "$T/out")" "$!: added"
	./taskmon remove --user nobody >"$T/out"
	same said "$(cat "$T/out")" "$!: removed"
	./taskmon add --user nobody --name nothing >"$T/out" 2>"$T/errors" && fail "both need not match"
	says 1 'taskmon: unknown user "nonsense"' ./taskmon add --user nonsense
	# Root's are many, the program itself is not among them, and none is missed.
	./taskmon add --user root >"$T/out"
	grep -v ': added$' "$T/out" | grep -v ': exited before it was added$' && fail "something else is said"
	grep -qx "1: added" "$T/out" || fail "not init"
	grep -qx "$$: added" "$T/out" || fail "not this shell"
	same "those of others" "$(monitored | tr ' ' '\n' | grep -cx $! || :)" 0
}

theirs() {
	[ "$(stat -c %u "/proc/$1")" = 65534 ] && grep -qx loads "/proc/$1/comm"
}

case_add_by_control_group() {
	mkdir -p "$T/groups"
	mount -t cgroup2 none "$T/groups"
	mkdir -p "$T/groups/a.slice/b.service" "$T/groups/ab.slice"
	spawn pause
	a=$PID
	echo "$PID" >"$T/groups/a.slice/cgroup.procs"
	spawn pause
	b=$PID
	echo "$PID" >"$T/groups/a.slice/b.service/cgroup.procs"
	spawn pause
	echo "$PID" >"$T/groups/ab.slice/cgroup.procs"
	load
	./taskmon add --cgroup /a.slice >"$T/out"
	same "those in the group and below" "$(monitored)" "$a $b"
	./taskmon remove --unit b >"$T/out"
	same "without the unit's" "$(monitored)" "$a"
	./taskmon add --unit ab.slice >"$T/out"
	same "with another unit's" "$(monitored)" "$a $PID"
	mkdir "$T/groups/a.slice/c\\x2dd@1.scope"
	echo "$b" >"$T/groups/a.slice/c\\x2dd@1.scope/cgroup.procs"
	for unit in 'c\x2dd@1.scope' 'c\x2dd@.scope'; do
		./taskmon add --unit "$unit" >"$T/out"
		same "said of $unit" "$(cat "$T/out")" "$b: added"
		./taskmon remove --unit "$unit" >"$T/out"
		same "said of $unit" "$(cat "$T/out")" "$b: removed"
	done
	says 1 "taskmon: no process matches --unit c-d@1.scope" ./taskmon add --unit c-d@1.scope
	end_task "$a"
	end_task "$b"
	end_task
	umount "$T/groups"
}

case_as_many_as_there_may_be() {
	spawn threads 5 0
	load max_tasks=3
	status=0
	# shellcheck disable=SC2046 # words
	./taskmon add $(sed -n 's/^tid //p' "$OUT") >"$T/out" 2>"$T/errors" || status=$?
	same status "$status" 1
	same added "$(grep -c ': added$' "$T/out")" 3
	same "said of the next" "$(sed 's/[0-9]* *:/N:/2' "$T/errors" | sed 's/: [0-9]*:/: N:/')" \
		"taskmon: N: not added: the limit max_tasks is reached; to see how to raise it: taskmon doctor"
}

# All in one output, each once, the one that counts at what it takes and those that sleep at nothing.
case_a_list_of_thousands() {
	n=$(few 5000)
	load "period_us=1000000 max_mib=200"
	spawn threads "$n" 0
	sed -n 's/^tid //p' "$OUT" | xargs -n 1000 ./taskmon add >"$T/added"
	same added "$(grep -c ': added$' "$T/added")" "$n"
	spinning
	echo "$PID" >"$FILE"
	await has_taken "$PID" 4
	./taskmon list --format csv >"$T/out"
	whole "$T/out" 10
	same "tasks in the list" "$(csv pid | sort -u | wc -l)" $((n + 1))
	same "their order" "$(csv pid | cksum)" "$(cut -d ' ' -f 2 "$TASKS" | cksum)"
	between "% of one that counts" "$(awk -F , -v pid="$PID" '$1 == pid { print $3 }' "$T/out")" 50 110
	same "usage of those that sleep" "$(awk -F , -v pid="$PID" 'NR > 1 && $1 != pid { print $3 }' "$T/out" | sort | uniq -c | xargs)" \
		"$n 0.000"
	./taskmon list >"$T/table"
	same "lines of the table" "$(wc -l <"$T/table")" $((n + 2))
	same "its widest line" "$(awk '{ if (length() > 110) print length() }' "$T/table")" ""
	./taskmon list "$PID" --format ndjson >"$T/out"
	same "one of them" "$(sed 's/,"cpu_percent.*//' "$T/out")" "{\"pid\":$PID,\"state\":\"R\""
	note "list of $((n + 1)) tasks, $(total samples) samples: $( (time -f '%e s, of which %U user and %S system' ./taskmon list >/dev/null) 2>&1 | grep -v '^+')"
}

case_a_list_says_what_was_lost() {
	spawn pause
	load "target=$PID period_us=1000 max_samples=20"
	await has_taken "$PID" 100
	echo stop >"$FILE"
	still "$PID"
	./taskmon list --format csv >"$T/out"
	for key in samples missed evicted reclaimed; do
		same "$key" "$(csv "$key")" "$(last "$PID" "$key")"
	done
	same samples "$(csv samples)" 20
}

# A frame of top: of each task what list says, of one that counts what show says, and in the head what the module says.
case_a_frame_of_top() {
	spinning
	spinner=$PID
	spawn pause
	paused=$PID
	spawn pause
	load "target=$spinner,$paused,$PID period_us=100000"
	end_task
	await ended "$PID"
	later "$spinner" 20
	echo stop >"$FILE"
	still "$spinner"
	COLUMNS=80 ./taskmon top --batch >"$T/frame"
	same "its lines" "$(wc -l <"$T/frame")" 6
	same "its head" "$(head -n 1 "$T/frame" | tr -s ' ')" \
		"STOPPED (100ms) 3 tasks, 1 exited $(total samples) samples $(($(total missed) + $(total reclaimed))) lost"
	same "how it is sorted" "$(awk 'NR == 4 { print $1 }' "$T/frame")" "$spinner"
	sed 1,3d "$T/frame" | cut -c 1-60 | sort >"$T/sorted"
	./taskmon list >"$T/list"
	same "PID, name, state and memory" "$(awk 'NR > 3 { print $1, $2, $3, $7 }' "$T/frame" | sort)" \
		"$(awk 'NR > 1 { print $1, $10, $2, $4 }' "$T/list" | sort)"
	# list has two digits of the usage, top one: rounding list's again can differ from rounding once.
	awk 'NR == FNR { if (FNR > 3) usage[$1] = $4; next }
		FNR > 1 && ($3 == "-" ? usage[$1] != "-" : usage[$1] - $3 > 0.06 || $3 - usage[$1] > 0.06) { exit 1 }' \
		"$T/frame" "$T/list" || fail "another usage than in list: $(cat "$T/list")"
	./taskmon show "$spinner" --format csv --fields cpu,usr,sys >"$T/out"
	sed -n '$s/,/ /gp' "$T/out" >"$T/shown"
	awk -v pid="$spinner" '$1 == pid { print $4, $5, $6 }' "$T/frame" | paste -d ' ' - "$T/shown" | awk '
		function differ(a, b) { return a - b > 0.06 || b - a > 0.06 }
		{ exit differ($1, $4) || differ($2, $5) || differ($3, $6) }' || fail "not what show says: $(cat "$T/shown")"
	# Without a terminal it is the same without --batch, and without a command.
	COLUMNS=80 ./taskmon top | cmp - "$T/frame" || fail "another frame without --batch"
	COLUMNS=80 ./taskmon | cmp - "$T/frame" || fail "another frame without a command"
	same "one of them" "$(./taskmon top --batch "$paused" | awk 'NR > 3 { print $1 }')" "$paused"
	same "by PID" "$(./taskmon top --batch --sort pid | awk 'NR > 3 { print $1 }' | xargs)" \
		"$(printf '%s\n' "$spinner" "$paused" "$PID" | sort -n | xargs)"
	# What was recorded of them in a file is the same frame, but for its head.
	./taskmon record -o "$T/file.rec" --duration 1s >/dev/null 2>&1
	COLUMNS=80 ./taskmon top -i "$T/file.rec" | sed 1,3d | cut -c 1-60 | sort | cmp - "$T/sorted" ||
		fail "another frame of a recording"
}

case_raw_is_what_the_kernel_says() {
	spawn pause
	load "target=1,$PID,2 period_us=1000"
	later "$PID" 300
	end_task
	await ended "$PID"
	echo stop >"$FILE"
	cat "$FOLLOW" >"$T/kernel"
	./taskmon show --raw --format kv >"$T/out"
	cmp "$T/kernel" "$T/out" || fail "not what the kernel says"
	grep "^pid 2 " "$T/kernel" >"$T/of2"
	./taskmon show 2 --raw --format kv | cmp - "$T/of2" || fail "not what it says of one task"
	# With a choice by hand in force, too, which stays.
	echo "print 1" >"$FILE"
	./taskmon show --raw --format kv | cmp "$T/kernel" - || fail "another's choice counts"
	./taskmon list >/dev/null
	same "the choice" "$(shown)" 1
}

# Rates of a task that counts: those that its counters and times come to, of single samples and of spans.
case_rates_of_one_that_counts() {
	spinning
	load "target=$PID,1 period_us=100000"
	later "$PID" 60
	echo stop >"$FILE"
	still "$PID"
	samples "$PID" | awk '
		{
			if (NR > 1 && $20 == seq + 1) {
				printf "%.3f\n", ($4 + $6 - cpu) * 100 / ($8 - time)
				used += $4 + $6 - cpu
				passed += $8 - time
			} else {
				print ""
			}
			cpu = $4 + $6
			time = $8
			seq = $20
		}
		END { printf "%.3f\n", used * 100 / passed }' >"$T/reckoned"
	./taskmon show "$PID" --format csv >"$T/out"
	whole "$T/out" 14
	# (Another program rounds the last digit otherwise.)
	csv cpu_percent >"$T/rates"
	./taskmon show "$PID" --interval 999h --format csv >"$T/out"
	csv cpu_percent >>"$T/rates"
	paste "$T/rates" "$T/reckoned" | awk -F '\t' '
		($1 == "") != ($2 == "") || $1 - $2 > 0.0015 || $2 - $1 > 0.0015 { print "line " NR ": " $0; bad = 1 }
		END { exit bad || NR < 60 }' || fail "not the rates that they come to"
	between "% of all its time" "$(tail -n 1 "$T/rates")" 50 105

	./taskmon show "$PID" --interval 1s --format csv >"$T/spans"
	whole "$T/spans" 14
	samples "$PID" | awk '{ n += int($8 / 1000000000) != last; last = int($8 / 1000000000) } END { print n }' >"$T/reckoned"
	same spans "$(csv pid "$T/spans" | wc -l)" "$(cat "$T/reckoned")"
	same "whose they are" "$(csv pid "$T/spans" | sort -u)" "$PID"
	# A table, for people, with what they choose.
	./taskmon show "$PID" --fields seq,name,cpu >"$T/out"
	same "its head" "$(head -n 1 "$T/out" | xargs)" "SEQ NAME %CPU"
	same "its lines" "$(awk 'NR > 1 && $2 == "loads"' "$T/out" | wc -l)" "$(last "$PID" samples)"
}

case_since_and_until() {
	load "target=1 period_us=100000"
	later 1 30
	echo stop >"$FILE"
	still 1
	all=$(last 1 samples)
	same "of the last hour" "$(./taskmon show --since 1h --format csv --fields seq | sed 1d | wc -l)" "$all"
	same "until before" "$(./taskmon show --until 1h --format csv --fields seq | sed 1d | wc -l)" 0
	same "since then" "$(./taskmon show --since 2100-01-01T00:00:00Z --format csv --fields seq | sed 1d | wc -l)" 0
	# What is before one of them is not behind it. (The clock is told of in milliseconds.)
	at=$(./taskmon show --format csv --fields time | sed -n 12p)
	before=$(./taskmon show --until "$at" --format csv --fields seq | sed 1d | wc -l)
	behind=$(./taskmon show --since "$at" --format csv --fields seq | sed 1d | wc -l)
	between "before $at" "$before" 9 11
	between "both" $((before + behind)) $((all - 1)) $((all + 1))
	# A rate at the first of them is that since the one before, which is not shown.
	same "usage at first" "$(./taskmon show --since "$at" --format csv --fields cpu | sed -n 2p | wc -w)" 1
}

case_following_an_exit() {
	spawn pause
	load "target=$PID period_us=100000"
	: >"$T/out"
	./taskmon show --follow --format csv "$PID" >"$T/out" &
	follower=$!
	echo $follower >>"$T/pids"
	await [ -s "$T/out" ]
	end_task
	await grep -q ,X, "$T/out"
	# One that comes later is there, too, if all are asked for; here it is not.
	echo 1 >"$FILE"
	later 1 5
	# (A shell has those that it starts in the background ignore SIGINT.)
	kill -TERM $follower
	wait $follower || fail "it ended with status $?"
	whole "$T/out" 14
	same tasks "$(csv pid | sort -u)" "$PID"
	same "its end" "$(csv state | tail -n 1)" X
}

# A reader that is too slow, at the shortest history: what it gets is in order, each once, what it does not get is
# counted, and it ends with a whole line when it is told to.
case_following_while_samples_are_evicted() {
	load "period_us=1000 max_samples=50"
	some 10
	tid=$(echo "$TIDS" | head -n 1)
	mkfifo "$T/pipe"
	: >"$T/out"
	cat <"$T/pipe" >"$T/out" &
	reader=$!
	./taskmon show --follow --format csv >"$T/pipe" &
	follower=$!
	echo "$follower $reader" | tr ' ' '\n' >>"$T/pids"
	await [ -s "$T/out" ]
	for _ in 1 2 3; do
		later "$tid" 20
		kill -STOP $follower
		later "$tid" 300
		kill -CONT $follower
		size=$(wc -c <"$T/out")
		await larger "$T/out" "$size"
	done
	kill -TERM $follower
	wait $follower || fail "it ended with status $?"
	wait $reader
	rm "$T/pipe"
	whole "$T/out" 14
	same tasks "$(csv pid | sort -u | wc -l)" 10
	lost=$(each_once "$T/out") || fail "$lost"
	# Of each pause and task, all but what is kept.
	between "lost samples" "$lost" $((3 * 10 * 200)) 1000000
	note "$(csv pid | wc -l) lines, $lost lost samples"
}

larger() {
	[ "$(wc -c <"$1")" -gt "$2" ]
}

case_a_picture() {
	spawn named '<a&b>'
	named=$PID
	spinning
	load "target=$PID,$named period_us=20000"
	await has_taken "$PID" 40
	echo stop >"$FILE"
	./taskmon plot "$PID" "$named" -o "$T/picture.svg" >"$T/out" 2>"$T/errors"
	same "what it says" "$(cat "$T/out" "$T/errors")" ""
	same "its first line" "$(head -n 1 "$T/picture.svg")" '<?xml version="1.0" encoding="UTF-8"?>'
	same "its last line" "$(tail -n 1 "$T/picture.svg")" "</svg>"
	for text in '2 tasks' '&lt;a&amp;b&gt;' loads "$PID" "$named" 'CPU usage'; do
		grep -qF ">$text</t" "$T/picture.svg" || fail "no \"$text\" in the picture"
	done
	./taskmon plot "$PID" --ascii >"$T/out"
	same "samples of one" "$(sed -n '2s/.* \([0-9]*\) samples.*/\1/p' "$T/out")" "$(grep -c "^pid $PID " "$FILE")"
	mean=$(sed -n 's/.*mean \([0-9]*\)[0-9.]* %$/\1/p' "$T/out")
	between "% of one that counts" "$mean" 50 110
	same "its widest line" "$(awk '{ if (length() > 80) print length() }' "$T/out")" ""
}

case_nobody_reads_any_more() {
	load "target=1,2 period_us=1000"
	later 1 500
	rm -f "$T/status"
	{
		status=0
		./taskmon show --follow --format ndjson 2>"$T/errors" || status=$?
		echo "$status" >"$T/status"
	} | head -n 3 >"$T/out"
	same lines "$(wc -l <"$T/out")" 3
	await [ -s "$T/status" ]
	same "status" "$(cat "$T/status")" 0
	same "what it says" "$(cat "$T/errors")" ""
}

# A reader that has the file open keeps the module; one that has been interrupted does not.
case_rmmod_after_an_interruption() {
	load "target=1 period_us=10000"
	: >"$T/out"
	./taskmon show --follow >"$T/out" &
	follower=$!
	echo $follower >>"$T/pids"
	await [ -s "$T/out" ]
	same rmmod "$(./helper rmmod taskmonitor)" EAGAIN
	kill -TERM $follower
	wait $follower || fail "it ended with status $?"
	unload
}

# What is loaded, what is installed (by a modinfo of ours) and taskmon are compared; srcversion tells builds of one version apart.
case_doctor_compares_versions() {
	load "target=1"
	version=$(./taskmon --version | cut -d ' ' -f 2)
	mkdir -p "$T/bin"
	printf '#!/bin/sh\ncat %s/installed\n' "$T" >"$T/bin/modinfo"
	chmod +x "$T/bin/modinfo"
	# found VERSION SRCVERSION: what the doctor says of an installed module that is of these.
	found() {
		printf 'version:        %s\nsrcversion:     %s\n' "$1" "$2" >"$T/installed"
		PATH=$T/bin:$PATH ./taskmon doctor >"$T/out" || :
		grep -A 1 -e 'loaded module' -e 'installed module' "$T/out" | sed 's/^ *//' | head -n 2 | paste -s -d ' '
	}
	built=$(cat /sys/module/taskmonitor/srcversion)
	same version "$(cat /sys/module/taskmonitor/version)" "$version"
	found "$version" "$built" | grep -q "^ok  *the loaded module, the installed module and taskmon are version $version " || fail "$(cat "$T/out")"
	found 99.0.0 X | grep -q "^note  *the loaded module is version $version, the installed module is 99.0.0 fix: modprobe -r " || fail "$(cat "$T/out")"
	grep -q "the installed module is version 99.0.0, taskmon is version $version" "$T/out" || fail "$(cat "$T/out")"
	found "$version" X | grep -q "the installed module is another build of $version fix: modprobe -r " || fail "$(cat "$T/out")"
}

# A process and one of its threads, of which the thread has exited: no sum has the thread, in a recording and without one.
case_a_thread_counts_with_its_process() {
	spawn threads 2 100
	tid=$(sed -n 's/^tid //p' "$OUT" | tail -n 1)
	load "target=$PID,$tid period_us=10000"
	later "$PID"
	kill -USR1 "$PID"
	await ended "$tid"
	./taskmon record -o "$T/both.rec" --duration 300ms 2>"$T/errors" || fail "record: $(cat "$T/errors")"
	echo "-$tid" >"$FILE"
	./taskmon record -o "$T/process.rec" --duration 300ms 2>"$T/errors" || fail "record: $(cat "$T/errors")"
	./taskmon diff "$T/both.rec" "$T/both.rec" >"$T/out"
	grep -q '^# .*both.rec: 1 thread is counted as part of its process$' "$T/out" || fail "$(cat "$T/out")"
	for file in both process; do
		./taskmon diff --format csv "$T/$file.rec" "$T/$file.rec" | awk -F , '$1 == "helper" && $2 ~ /^(peak_rss|cpu_peak)$/ { print $2, $4 }' >"$T/$file"
	done
	same "peaks of the process" "$(cat "$T/both")" "$(cat "$T/process")"
	[ -s "$T/both" ] || fail "no peaks"
}

run_cases "$@"
