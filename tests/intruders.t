# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# vm: -m 768
#
# Those who have no right to it, those who have a part of it, and what root can make it use at most.

. ./guest.sh

MODULE_FILES="$PARAMETERS/target $PARAMETERS/max_tasks $PARAMETERS/period_us $PARAMETERS/max_samples
$PARAMETERS/max_mib $PARAMETERS/reserve $PARAMETERS/sampling"

# as_user COMMAND: runs it by a shell of a user without rights, who keeps what is open.
as_user() {
	mkdir -p /etc
	printf 'root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n' >/etc/passwd
	su user -c "$1"
}

# inside COMMAND: runs it by a shell that has PID 1 in a PID namespace of its own.
inside() {
	unshare -p -f sh -c "$1"
}

# Prints each of $FILES that can be opened, with how. (Nothing is written.)
OPENABLE='for file in $FILES; do
	{ true <"$file"; } 2>/dev/null && echo "$file read"
	{ true >>"$file"; } 2>/dev/null && echo "$file write"
done
true'

# closed_to COMMAND...: run so, a shell can open none of the files, in whatever way.
closed_to() {
	export FILES="$FILE $FOLLOW $TASKS $STATS $SYSFS"
	same "what can be opened by $*" "$("$@" "$OPENABLE")" ""
	# What may be known by all, as other parameters of modules are, may be changed by none.
	FILES=$MODULE_FILES
	same "parameters that can be opened by $*" "$("$@" "$OPENABLE")" \
		"$(for name in max_tasks period_us max_samples max_mib reserve sampling; do echo "$PARAMETERS/$name read"; done)"
	same "rmmod by $*" "$("$@" "./helper rmmod taskmonitor")" EPERM
	same "insmod by $*" "$("$@" "./helper insmod taskmonitor.ko")" EPERM
}

case_another_user() {
	load target=1
	export FILES="$FILE $SYSFS"
	same "what root can open" "$(sh -c "$OPENABLE" | xargs)" "$FILE read $FILE write $SYSFS read $SYSFS write"
	closed_to as_user
	# debugfs lets nobody in. But the files do not rely on that.
	chmod 755 /sys/kernel/debug
	closed_to as_user
	chmod 700 /sys/kernel/debug
	same tasks "$(shown)" 1
}

as_root_of_a_namespace() {
	as_user "unshare -Ur sh -c '$(echo "$1" | sed "s/'/'\\\\''/g")'"
}

case_root_of_a_user_namespace() {
	load "target=1 period_us=3600000000"
	same "who that is" "$(as_root_of_a_namespace "id -u; grep CapEff /proc/self/status | grep -c 'f$'" | xargs)" "0 1"
	chmod 755 /sys/kernel/debug
	closed_to as_root_of_a_namespace
	chmod 700 /sys/kernel/debug
	mkdir -p "$T/mine"
	! as_user "unshare -Urm mount -t debugfs none $T/mine" 2>/dev/null || fail "debugfs can be mounted there"
	# Who is root outside is so inside, too: the owner of the files, by the same user ID.
	same "root in a namespace of its own" "$(unshare -Ur cut -d ' ' -f 1-2 "$SYSFS")" "pid 1"
}

# As with every file of debugfs and sysfs, rights are looked at when it is opened, and only then: to hand
# on what is open is to hand on the right.
case_what_is_open_stays_open_after_dropping_rights() {
	spawn pause
	load "target=1 period_us=3600000000"
	for file in "$FILE" "$SYSFS"; do
		# shellcheck disable=SC2094 # three ways to open it
		# (An open file lets no one unload the module, or not for long; so each is closed again.)
		{
			as_user "head -n 1 <&3 | cut -d ' ' -f 1-2; echo $PID >&3" >"$T/said"
			same "read from $file" "$(cat "$T/said")" "pid 1"
			same "tasks" "$(shown)" "1 $PID"
			# But no more right than was handed on.
			export FILES="/proc/self/fd/3 /proc/self/fd/4 $file $FOLLOW"
			same "what can be opened anew" "$(as_user "$OPENABLE")" ""
			! as_user "echo -1 >&4" 2>/dev/null || fail "$file: written to what was open for reading"
			! as_user "cat <&5" >/dev/null 2>&1 || fail "$file: read what was open for writing"
			as_user "echo -$PID >&5"
		} 3<>"$file" 4<"$file" 5>"$file"
		same "tasks" "$(shown)" 1
	done
	for file in "$FOLLOW" "$TASKS"; do
		{
			same "read from $file" "$(as_user "cat <&3 | cut -d ' ' -f 1-2 | sort -u")" "pid 1"
			same "what can be opened anew" "$(FILES=/proc/self/fd/3 as_user "$OPENABLE")" ""
		} 3<"$file"
	done
}

# Nobody gains by letting a program with more rights write: what is written is looked at, not who does it,
# and who cannot open the file has none to give to such a program.
case_a_set_user_id_program() {
	load
	cp helper "$T/privileged"
	chmod 4755 "$T/privileged"
	# It prints the number of bytes that it has written: 1, which is a command.
	print="$T/privileged write /dev/null x"
	same "its output" "$(as_user "$print")" 1
	! as_user "$print >$SYSFS" 2>/dev/null || fail "a user has opened $SYSFS for it"
	! as_user "$print >$FILE" 2>/dev/null || fail "a user has opened $FILE for it"
	same tasks "$(shown)" ""
	as_user "$print >&3" 3>"$SYSFS"
	same tasks "$(shown)" 1
	echo -1 >"$FILE"
	as_user "echo 1 >&3" 3>"$SYSFS"
	same tasks "$(shown)" 1
}

# container COMMAND: runs it as PID 1 of a root, a mount and a PID namespace of its own, where our files
# are mounted to.
container() {
	root=$T/root
	mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/tmp/test"
	cp /bin/busybox helper "$root/bin/"
	unshare -m -p -f sh -c "
		mount --bind /sys $root/sys && mount --bind /sys/kernel/debug $root/sys/kernel/debug &&
			mount -t proc proc $root/proc && /bin/busybox --install -s $root/bin && exec chroot $root sh -c '$1'"
}

case_a_container() {
	spawn pause
	load "target=$PID,1,2"
	for file in "$FILE" "$SYSFS"; do
		container "
			helper write $file 1 \"\\n\"
			helper write $file \"1\\n\" \"$PID\\n\" \"-$PID\\n\" \"print $PID\\n\" \"0\\n\" \"-0\\n\" \"print 0\\n\"
			for file in $FILE $FOLLOW $TASKS $SYSFS; do
				cut -d \" \" -f 1-2 \$file | sort -u | xargs
			done
			helper write $file \"print 1\\n\"
			cut -d \" \" -f 1-2 $file | sort -u" >"$T/said"
		sed -n 1,2p "$T/said" | xargs >"$T/results"
		same "what it is told by $file" "$(cat "$T/results")" \
			"1 EINVAL EEXIST ESRCH ENOENT ENOENT EINVAL EINVAL EINVAL"
		same "what it sees" "$(sed -n 3,6p "$T/said" | sort -u)" "pid 0 pid 1"
		same "what it chooses" "$(sed -n 7,8p "$T/said" | xargs)" "8 pid 1"
		# From outside: the number that it has there, and not that of the outside's PID 1.
		between "the PID of the container's task" "$(shown)" 3 10000000
		echo "-$(shown)" >"$FILE"
		same "tasks that were there before" "$(shown)" "$PID 1 2"
	done
}

# What is said inside is said to all: a container that may write is one that is trusted with the monitor.
case_a_container_has_the_whole_monitor() {
	load target=1,2
	container "echo stop >$SYSFS; echo clear >$FILE; echo 1 >$SYSFS; echo print 1 >$FILE"
	same sampling "$(cat "$PARAMETERS/sampling")" N
	between "the task that all see" "$(shown)" 3 10000000
	echo print all >"$FILE"
	same "tasks that have samples" "$(shown | wc -w)" 1
	same "tasks" "$(cut -d ' ' -f 2 "$TASKS" | head -n 2 | xargs)" "1 2"
}

# Whoever opened it, PIDs are those of the task that calls write(), and of the one that calls read().
case_descriptors_that_cross_namespaces() {
	spawn pause
	load "target=$PID,2 period_us=3600000000"
	# shellcheck disable=SC2094 # two ways to open it
	{
		inside "echo 1 >&3; ./helper write /proc/self/fd/3 \"$PID\\n\" \"-$PID\\n\"; cut -d ' ' -f 1-2 <&4" >"$T/said"
		same "said inside" "$(xargs <"$T/said")" "ESRCH ENOENT pid 0 pid 0 pid 1"
		task=$(shown | cut -d ' ' -f 3)
		between "the PID outside of what was added inside" "$task" 3 10000000
	} 3>"$FILE" 4<"$FILE"
	inside "cut -d ' ' -f 2 <&3; echo 'print 1' >&4 || echo refused" 3<"$TASKS" 4>"$SYSFS" >"$T/said" 2>/dev/null
	same "seen from another inside, where 1 is not monitored" "$(xargs <"$T/said")" "0 0 0 refused"
	same "the choice" "$(shown)" "$PID 2 $task"
	# To be about to have children elsewhere is not to be there.
	unshare -p sh -c "echo print $PID >$SYSFS; cut -d ' ' -f 1-2 $FILE" >"$T/said"
	same "said by who has not forked yet" "$(sort -u "$T/said")" "pid $PID"
	echo print all >"$FILE"
}

# A line is made once, for the task whose read() first asks for a part of it.
case_a_line_between_two_readers() {
	echo 12345 >/proc/sys/kernel/ns_last_pid
	spawn pause
	between "a PID of five digits" "$PID" 10000 99999
	load "target=$PID,$PID,2 period_us=3600000000"
	for file in "$FILE" "$FOLLOW" "$TASKS"; do
		{
			same "the first bytes of $file" "$(dd bs=5 count=1 <&3 2>/dev/null)" "pid $(echo "$PID" | cut -c 1)"
			inside "cut -d ' ' -f 1-2 <&3" 3<&3 >"$T/rest"
		} 3<"$file"
		same "the rest of that line, and all others" "$(xargs <"$T/rest")" \
			"$(echo "$PID" | cut -c 2-) $(cut -d ' ' -f 3 "$file" | head -n 1) pid 0"
	done
}

# Names that change all the while: of a name and the next one, some bytes of each may be seen, but no line
# is broken.
case_a_name_that_changes_while_it_is_read() {
	load
	spawn renaming 'state R\npid 1' "$(printf '\033')[2J\\\\\\t;"
	echo "$PID" >"$FILE"
	spawn pause
	echo "$PID" >"$FILE"
	for _ in $(seq "$(few 500)"); do
		cat "$TASKS"
	done >"$T/tasks"
	! grep -vE "$TASKS_LINE" "$T/tasks" || fail "lines of another form"
	same lines "$(wc -l <"$T/tasks")" $((2 * $(few 500)))
	same "lines of the other task" "$(sed -n 'n;p' "$T/tasks" | grep -c "^pid $PID .* comm helper\$")" "$(few 500)"
	! tr -d '\n' <"$T/tasks" | grep -q '[^ -~]' || fail "other bytes than printable ASCII"
	between "names that were seen" "$(awk 'NR % 2' "$T/tasks" | sed 's/.* comm //' | sort -u | wc -l)" 2 1000
}

# Addresses of the kernel, in hexadecimal and decimal.
ADDRESS='ffff[0-9a-f]{8,}|0x[0-9a-f]{5,}|(^|[^0-9a-f])[0-9a-f]{16}([^0-9a-f]|$)|1844[67][0-9]{15}|ptrval'

case_no_address_of_the_kernel() {
	echo 0 >/proc/sys/kernel/kptr_restrict
	# (It would be found.)
	address=$(grep -m 1 ' T ' /proc/kallsyms | cut -d ' ' -f 1)
	for form in "$address" "0x$address" "$(printf %u "0x$address")" "0x${address#ffff}"; do
		echo "pid 1 usr $form sys 0" | grep -qE "$ADDRESS" || fail "$form is not known for an address"
	done
	spawn pause
	log_check
	refused ESRCH "target=1,4194303"
	load "target=1,2,$PID period_us=1000 max_samples=100"
	later 1 150
	end_task
	await ended "$PID"
	echo "print 2" >"$FILE"
	reclaim
	for file in "$FILE" "$FOLLOW" "$TASKS" "$STATS" "$SYSFS" $MODULE_FILES /sys/module/taskmonitor/version; do
		! grep -E "$ADDRESS" "$file" || fail "$file shows an address"
		! inside "grep -E '$ADDRESS' $file" || fail "$file shows an address inside"
	done
	writes "EINVAL" nonsense
	unload
	dmesg | grep taskmonitor >"$T/said" || :
	between "lines of the log" "$(wc -l <"$T/said")" 0 20
	! grep -E "$ADDRESS" "$T/said" || fail "the log shows an address"
}

# --- what root can make it use ---------------------------------------------------------------------

many_threads() {
	echo 30000 >/proc/sys/kernel/threads-max
	ulimit -u unlimited
	spawn threads "$(few "$1")" 0
	sed -n 's/^tid //p' "$OUT" >"$T/tids"
}

# A follower that pauses keeps a block of each task; that of another moment is another block.
case_memory_that_readers_keep() {
	many_threads 300
	load "period_us=1000 max_mib=1 reserve=1"
	capacity
	writes "$(wc -c <"$T/tids")" "@$T/tids"
	most=$(((1 << 20) / $(awk '/^task_sample / { print $4 }' /proc/slabinfo)))
	for i in $(seq 20); do
		later "$(head -n 1 "$T/tids")" "$MOST"
		: >"$T/held.$i"
		./helper file "$FOLLOW" end hold >/dev/null 2>"$T/held.$i" &
		echo $! >>"$T/followers"
		await grep -q held "$T/held.$i"
	done
	later "$(head -n 1 "$T/tids")" "$MOST"
	note "blocks $(blocks), of which max_mib lets $most be"
	between "blocks" "$(blocks)" "$((most / 2))" $((most + 20 * $(few 300) + HELD))
	# A block of each task is there, whatever readers keep.
	later "$(tail -n 1 "$T/tids")" 50
	while read -r pid; do
		kill -TERM "$pid"
		wait "$pid"
	done <"$T/followers"
	rm "$T/followers"
	await fewer_blocks $((most + HELD))
	echo stop >"$FILE"
	adds_up
}

# thread: the PID of our kernel thread.
thread() {
	for folder in /proc/[0-9]*; do
		! grep -qx taskmonitor "$folder/comm" 2>/dev/null || echo "${folder#/proc/}"
	done
}

# used: the time that the thread has run since its begin, in ns. Both are times of the guest.
used() {
	cut -d ' ' -f 1 "/proc/$THREAD/schedstat"
}

now() {
	cut -d ' ' -f 1 /proc/uptime | tr -d .
}

# at_most_half WHAT: of the time since BEGAN, when it had run for USED.
at_most_half() {
	share=$((($(used) - USED) / 100000 / ($(now) - BEGAN)))
	note "$1: $share % of a processor"
	between "$1, % of a processor" "$share" 0 55
}

begin() {
	THREAD=$(thread)
	BEGAN=$(now) USED=$(used)
}

has_missed() {
	[ "$(status "$PID" missed)" -ge "$1" ]
}

case_half_a_processor() {
	many_threads 5000
	load "target=$PID period_us=100"
	begin
	await has_missed "$(few 40000)"
	at_most_half "a process of $(few 5000) threads, each 100 us"
	# There was more to do than that.
	between "instants without a sample for each that has one" \
		$(($(status "$PID" missed) / $(status "$PID" taken))) 2 100000
	unload
	load
	writes "$(wc -c <"$T/tids")" "@$T/tids"
	echo 100 >"$PARAMETERS/period_us"
	PID=$(head -n 1 "$T/tids")
	begin
	await has_missed "$(few 40000)"
	at_most_half "$(few 5000) tasks, each 100 us"
}

# Each of them wakes the thread up.
case_half_a_processor_however_many_commands() {
	load "target=1 period_us=3600000000"
	for commands in start "$(printf 'stop\nstart')"; do
		yes "$commands" | head -n "$(few 1000000)" >"$T/many"
		begin
		writes "$(wc -c <"$T/many")" "@$T/many"
		at_most_half "$(wc -l <"$T/many") commands"
	done
	rm "$T/many"
	echo 1000 >"$PARAMETERS/period_us"
	later 1 10
}

run_cases "$@"
