# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
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

run_cases "$@"
