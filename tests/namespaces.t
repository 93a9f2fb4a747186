# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# quick
#
# PIDs are those of who writes, and those of who reads.

. ./guest.sh

# inside COMMAND: runs it by a shell that has PID 1 in a namespace of its own.
inside() {
	unshare -p -f sh -c "$1"
}

case_pids_are_those_of_the_writer() {
	load
	inside "echo 1 >$FILE; cat $FILE $SYSFS" >"$T/inside"
	same "PID inside" "$(cut -d ' ' -f 1-2 "$T/inside" | sort -u)" "pid 1"
	same "PID 1 of the outside" "$(newest 1)" ""
	[ "$(shown)" -gt 1 ] || fail "PID outside: $(shown)"
}

case_pids_are_those_of_the_reader() {
	spawn pause
	load "target=$PID"
	for file in "$FILE" "$FOLLOW" "$TASKS" "$SYSFS"; do
		same "PID outside in $file" "$(cut -d ' ' -f 1-2 "$file" | sort -u)" "pid $PID"
		same "PID inside in $file" "$(inside "cut -d ' ' -f 1-2 $file" | sort -u)" "pid 0"
	done
	inside "cat $TASKS" >"$T/inside"
	grep -q ' tgid 0 comm ' "$T/inside" || fail "inside: $(cat "$T/inside")"
}

case_what_has_no_number_there_cannot_be_named_there() {
	spawn pause
	load "target=$PID"
	for file in "$FILE" "$SYSFS"; do
		same "removing it" "$(inside "./helper write $file '-$PID\n'")" ENOENT
		same "removing 0" "$(inside "./helper write $file '-0\n'")" EINVAL
		same "choosing it" "$(inside "./helper write $file 'print $PID\n'")" ENOENT
		same "adding it" "$(inside "./helper write $file '$PID\n'")" ESRCH
	done
	same tasks "$(shown)" "$PID"
}

case_a_task_is_known_by_all_its_numbers() {
	load sampling=N
	same "added twice" "$(inside "./helper write $FILE '1\n' '1\n'")" "2 EEXIST"
	inside "echo 1 >$FILE; ./helper write $FILE 'print 1\n';
		cut -d ' ' -f 2 $FILE | sort -u; cat $FILE | wc -l; ./helper write $FILE '-1\n'; cat $FILE | wc -l" >"$T/inside"
	same "chosen, shown and removed inside" "$(xargs <"$T/inside")" "8 1 1 3 1"
}

case_the_choice_is_the_writers() {
	spawn pause
	load "target=1,$PID"
	# Inside, 1 is another task than outside. The choice holds for all readers.
	mkfifo "$T/go"
	unshare -p -f sh -c "echo 1 >$FILE; echo 'print 1' >$FILE; read -r _ <$T/go; echo -1 >$FILE" &
	echo $! >>"$T/pids"
	await chosen_inside
	same "histories shown" "$(shown | wc -w)" 1
	[ "$(shown)" != 1 ] || fail "another PID 1 was chosen"
	echo >"$T/go"
	await shows_all
	rm "$T/go"
}

chosen_inside() {
	[ "$(samples 1)" = "" ]
}

shows_all() {
	[ "$(shown)" = "1 $PID" ]
}

case_two_tasks_with_the_same_number() {
	load period_us=3600000000
	for _ in 1 2; do
		inside "echo 1 >$FILE"
	done
	same histories "$(shown | wc -w)" 2
	same "seen from another" "$(inside "cut -d ' ' -f 2 $FILE" | sort -u)" 0
	# Each of them is removed by the number outside, and by no other.
	first=$(shown | cut -d ' ' -f 1)
	second=$(shown | cut -d ' ' -f 2)
	echo "-$first" >"$FILE"
	same tasks "$(shown)" "$second"
}

case_a_history_outlives_its_namespace() {
	load period_us=1000
	inside "echo 1 >$FILE; echo 'print 1' >$FILE"
	await all_over
	same "samples of it" "$(samples | key state | tail -n 1)" X
	pid=$(shown)
	for _ in 1 2 3; do
		same "in a new namespace" "$(inside "./helper write $FILE '-1\n' 'print 1\n'")" "ENOENT ENOENT"
	done
	echo "-$pid" >"$FILE"
	same tasks "$(shown)" ""
}

all_over() {
	samples | tail -n 1 | grep -q 'state X'
}

# dying: the cgroups that were removed, but are still kept.
dying() {
	awk '$1 == "nr_dying_descendants" { print $2 }' "$T/cgroup/cgroup.stat"
}

dying_are() {
	[ "$(dying)" = "$1" ]
}

# A task that has exited keeps its cgroup until its last sample; after that, it keeps it no more.
case_a_removed_cgroup_is_kept_until_the_last_sample() {
	mkdir -p "$T/cgroup"
	mount -t cgroup2 none "$T/cgroup"
	load period_us=1000
	for name in kept other; do
		mkdir "$T/cgroup/$name"
		spawn pause
		echo "$PID" >"$T/cgroup/$name/cgroup.procs"
		[ $name = other ] || echo "$PID" >"$FILE"
		echo stop >"$FILE"
		end_task
		await rmdir "$T/cgroup/$name"
	done
	# The other one goes, however long that takes; this one stays.
	await dying_are 1
	usleep 200000
	same "dying cgroups" "$(dying)" 1
	echo start >"$FILE"
	await dying_are 0
	same "the history" "$(samples | tail -n 1 | key state)" X
	umount "$T/cgroup"
}

can_unshare() {
	unshare "$@" true
}

# So does its user namespace, which its credentials hold.
case_a_user_namespace_is_kept_until_the_last_sample() {
	[ -e /proc/sys/user/max_user_namespaces ]
	load period_us=1000
	most=$(cat /proc/sys/user/max_user_namespaces)
	echo 1 >/proc/sys/user/max_user_namespaces
	unshare -U sleep 100000 &
	inner=$!
	echo $inner >>"$T/pids"
	await namespace_of $inner user
	echo $inner >"$FILE"
	echo stop >"$FILE"
	kill -KILL $inner
	wait $inner || :
	usleep 200000
	! can_unshare -U 2>/dev/null || fail "the user namespace was not kept"
	echo start >"$FILE"
	await can_unshare -U
	same "the history" "$(samples | tail -n 1 | key state)" X
	echo "$most" >/proc/sys/user/max_user_namespaces
}

# namespace_of PID KIND: it is not that of this shell.
namespace_of() {
	[ "$(readlink "/proc/$1/ns/$2")" != "$(readlink "/proc/self/ns/$2")" ]
}

# The history of a task that has exited keeps its PID namespace, for the readers that are in there.
case_a_pid_namespace_is_kept_as_long_as_the_history() {
	load period_us=1000
	most=$(cat /proc/sys/user/max_pid_namespaces)
	echo 1 >/proc/sys/user/max_pid_namespaces
	# Those of the cases before may not be gone yet.
	await inside "echo 1 >$FILE"
	await all_over
	usleep 200000
	! can_unshare -p -f 2>/dev/null || fail "the PID namespace was not kept"
	echo clear >"$FILE"
	await can_unshare -p -f
	echo "$most" >/proc/sys/user/max_pid_namespaces
}

run_cases "$@"
