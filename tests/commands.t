# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# quick
# kernels: stock debug kcsan
#
# What is written to /sys/kernel/debug/taskmonitor, and what the writer is told.

. ./guest.sh

# Three tasks, $A, $B and $C, of which none is monitored.
three() {
	spawn pause
	A=$PID
	spawn pause
	B=$PID
	spawn pause
	C=$PID
	load
}

bytes() {
	printf %s "$1" | wc -c
}

case_a_task_is_added() {
	three
	echo "$A" >"$FILE"
	same tasks "$(shown)" "$A"
	same seq "$(samples "$A" | head -n 1 | key seq)" 0
	echo "$B" >"$FILE"
	same tasks "$(shown)" "$A $B"
}

case_a_task_is_removed() {
	three
	writes $(($(bytes "$A$B$C") + 3)) "$A\n$B\n$C\n"
	echo "-$B" >"$FILE"
	same tasks "$(shown)" "$A $C"
	echo "-$A" >"$FILE"
	echo "-$C" >"$FILE"
	same tasks "$(shown)" ""
}

case_a_removed_task_starts_anew() {
	three
	echo 1000 >"$PARAMETERS/period_us"
	echo "$A" >"$FILE"
	echo "$B" >"$FILE"
	later "$A" 20
	echo 3600000000 >"$PARAMETERS/period_us"
	echo "-$A" >"$FILE"
	echo "$A" >"$FILE"
	same tasks "$(shown)" "$B $A"
	same seq "$(newest "$A" seq)" 0
}

case_no_such_task() {
	three
	writes ESRCH '4194303\n'
	writes ESRCH '2147483647\n'
	end_task "$A"
	writes ESRCH "$A\n"
	same tasks "$(shown)" ""
}

case_monitored_already() {
	three
	echo "$A" >"$FILE"
	writes EEXIST "$A\n"
	same tasks "$(shown)" "$A"
}

case_a_zombie_monitored_already() {
	load
	spawn zombie 0
	echo "$PID" >"$FILE"
	same state "$(newest "$PID" state)" X
	writes EEXIST "$PID\n"
	same samples "$(samples | wc -l)" 1
}

case_not_monitored() {
	three
	writes ENOENT "-$A\n"
	writes ENOENT '-4194303\n'
	echo "$A" >"$FILE"
	writes ENOENT "-$B\n"
	echo "-$A" >"$FILE"
	writes ENOENT "-$A\n"
}

case_an_ended_task_is_removed() {
	three
	echo 1000 >"$PARAMETERS/period_us"
	writes $(($(bytes "$A$B") + 2)) "$A\n$B\n"
	end_task "$A"
	await ended "$A"
	same tasks "$(shown)" "$A $B"
	writes ESRCH "$A\n"
	echo "-$A" >"$FILE"
	same tasks "$(shown)" "$B"
	writes ENOENT "-$A\n"
}

case_print_chooses_a_task() {
	three
	writes $(($(bytes "$A$B") + 2)) "$A\n$B\n"
	echo "print $B" >"$FILE"
	same tasks "$(shown)" "$B"
	echo "print   $A" >"$FILE"
	same tasks "$(shown)" "$A"
	# A task that comes later is not shown, but there.
	echo "$C" >"$FILE"
	same tasks "$(shown)" "$A"
	same "tasks that are there" "$(cut -d ' ' -f 2 "$TASKS" | xargs)" "$A $B $C"
	echo "print all" >"$FILE"
	same tasks "$(shown)" "$A $B $C"
}

case_print_of_what_is_not_monitored() {
	three
	echo "$A" >"$FILE"
	echo "$B" >"$FILE"
	writes ENOENT "print $C\n"
	same tasks "$(shown)" "$A $B"
	echo "print $B" >"$FILE"
	for pid in "$C" 4194303; do
		writes ENOENT "print $pid\n"
		same "the choice" "$(shown)" "$B"
	done
}

case_removing_what_print_chose_shows_all() {
	three
	writes $(($(bytes "$A$B$C") + 3)) "$A\n$B\n$C\n"
	echo "print $B" >"$FILE"
	echo "-$A" >"$FILE"
	same tasks "$(shown)" "$B"
	echo "-$B" >"$FILE"
	same tasks "$(shown)" "$C"
	# The choice is gone for good.
	echo "$B" >"$FILE"
	same tasks "$(shown)" "$C $B"
}

case_print_shows_all_histories_of_a_number() {
	load period_us=1000
	spawn pause
	echo 1 >"$FILE"
	echo "$PID" >"$FILE"
	end_task
	await ended "$PID"
	spawn reuse "$PID"
	echo "$PID" >"$FILE"
	echo "print $PID" >"$FILE"
	same tasks "$(shown)" "$PID"
	same histories "$(samples | key start | sort -u | wc -l)" 2
	echo "-$PID" >"$FILE"
	same tasks "$(shown)" 1
}

case_print_during_a_reading() {
	three
	echo 1000 >"$PARAMETERS/period_us"
	writes $(($(bytes "$A$B") + 2)) "$A\n$B\n"
	later "$B" 20
	holding 10
	echo "print $B" >"$FILE"
	released
	same "a reader that had begun" "$(cut -d ' ' -f 2 "$T/held" | sort -u | wc -l)" 2
}

case_clear_drops_all_samples() {
	three
	echo 1000 >"$PARAMETERS/period_us"
	capacity
	writes $(($(bytes "$A$B") + 2)) "$A\n$B\n"
	later "$A" "$MOST"
	end_task "$B"
	await ended "$B"
	later "$A" 20
	echo stop >"$FILE"
	taken=$(status "$A" taken) seq=$(newest "$A" seq)
	echo clear >"$FILE"
	same samples "$(samples | wc -l)" 0
	same tasks "$(cut -d ' ' -f 2 "$TASKS")" "$A"
	same taken "$(status "$A" taken)" "$taken"
	same evicted "$(status "$A" evicted)" "$taken"
	adds_up
	writes ENOENT "-$B\n"
	# It goes on where it was.
	echo start >"$FILE"
	later_than "$A" "$seq"
	echo stop >"$FILE"
	between "seq of the first" "$(samples "$A" | key seq | head -n 1)" $((seq + 1)) 100000000
	adds_up
	# Of nothing, it drops nothing.
	echo clear >"$FILE"
	echo clear >"$FILE"
	same samples "$(samples | wc -l)" 0
	adds_up
}

# later_than PID SEQ
later_than() {
	await reached "$1" $(($2 + 40))
}

case_clear_forgets_the_choice_of_an_ended_task() {
	three
	echo 1000 >"$PARAMETERS/period_us"
	writes $(($(bytes "$A$B") + 2)) "$A\n$B\n"
	echo "print $A" >"$FILE"
	echo clear >"$FILE"
	await holds 1
	same "a living task stays chosen" "$(shown)" "$A"
	end_task "$A"
	await ended "$A"
	echo clear >"$FILE"
	await holds 1
	same "all" "$(shown)" "$B"
}

case_clear_under_a_reader() {
	three
	echo 1000 >"$PARAMETERS/period_us"
	capacity
	writes $(($(bytes "$A$B") + 2)) "$A\n$B\n"
	later "$B" $((2 * MOST))
	holding 1000
	echo clear >"$FILE"
	released
	sound <"$T/held"
	between "what it had begun" "$(grep -c "^pid $A " "$T/held")" 8 "$MOST"
}

case_stop_and_start() {
	three
	echo 1000 >"$PARAMETERS/period_us"
	echo "$A" >"$FILE"
	later "$A" 10
	for _ in 1 2; do
		echo stop >"$FILE"
		echo stop >"$FILE"
		samples >"$T/stopped"
		usleep 50000
		samples | cmp - "$T/stopped" || fail "sampled while stopped"
		# A task that is added has its first sample nevertheless.
		echo "$B" >"$FILE"
		usleep 20000
		same "samples of the new task" "$(samples "$B" | key seq)" 0
		# With the next instant in an hour, none can be missed by being late.
		echo 3600000000 >"$PARAMETERS/period_us"
		echo start >"$FILE"
		echo start >"$FILE"
		await reached "$B" 1
		same "instants of the new task" "$(samples "$B" | key seq | xargs)" "0 1"
		echo "-$B" >"$FILE"
		echo 1000 >"$PARAMETERS/period_us"
		later "$A" 10
	done
	samples | sound
}

case_start_while_sampling_changes_nothing() {
	three
	echo 1 >"$FILE"
	echo 3600000000 >"$PARAMETERS/period_us"
	still 1
	seq=$(newest 1 seq)
	echo start >"$FILE"
	usleep 50000
	same seq "$(newest 1 seq)" "$seq"
}

case_an_exit_while_stopped() {
	three
	echo 1000 >"$PARAMETERS/period_us"
	echo "$A" >"$FILE"
	echo stop >"$FILE"
	end_task "$A"
	usleep 300000
	[ "$(newest "$A" state)" != X ] || fail "sampled while stopped"
	echo start >"$FILE"
	await ended "$A"
}

case_commands_in_one_write() {
	three
	writes $((4 * $(bytes "$A") + 31)) "$A\nstop\n$B\nprint $B\nclear\n\tstart  \n-$A\n"
	same "what is there" "$(cut -d ' ' -f 2 "$TASKS")" "$B"
	writes 5 'stop\nnonsense\nstart\n'
	same sampling "$(cat "$PARAMETERS/sampling")" N
	writes 5 'clear'
	writes EINVAL 'clear clear'
}

case_what_is_no_command() {
	three
	for line in 0 00 -0 +5 "+$A" 1.5 -- - --5 "-+$A" "- $A" "$A $B" "$A,$B" "${A}x" "x$A" "0x$A" \
		"$A-" "$A;" '*' print "print " "print$A" "print  $A x" "print -$A" "print 0" "print all all" \
		"print ALL" "prin all" Print nonsense all clearer clea CLEAR "clear 1" startx "star t" "-start" \
		"stop stop" stopp "start\\0" \
		2147483648 4294967295 4294967296 $((4294967296 + A)) 18446744073709551616 \
		99999999999999999999999999 -2147483648 -99999999999 "$A\\0" "\\0$A"; do
		writes EINVAL "$line\n"
		writes EINVAL "$line"
	done
	same tasks "$(shown)" ""
}

case_empty_lines() {
	three
	writes EINVAL '\n'
	writes EINVAL ' \t\n'
	writes EINVAL ' '
	writes EINVAL "\n$A\n"
	same tasks "$(shown)" ""
	writes $(($(bytes "$A") + 1)) "$A\n\n$B\n"
	same tasks "$(shown)" "$A"
}

case_blanks_around_a_command() {
	three
	writes $(($(bytes "$A") + 5)) "  $A\t \n"
	writes $(($(bytes "$B") + 3)) "\t$B  "
	writes $(($(bytes "$B") + 3)) " -$B\n"
	same tasks "$(shown)" "$A"
}

case_a_line_of_64_bytes_is_the_longest() {
	three
	writes 64 "$(printf '%64d' "$A")"
	writes 64 "$(printf '%63d' "$B")\n"
	same tasks "$(shown)" "$A $B"
	writes EINVAL "$(printf '%65d' "$C")\n"
	writes EINVAL "$(printf '%65d' "$C")"
	writes EINVAL "$(printf '%100000d' "$C")\n"
	writes EINVAL "$(printf '%-65d' "$C")\n"
	same tasks "$(shown)" "$A $B"
}

case_several_lines_in_one_write() {
	three
	writes $(($(bytes "$A$B$A$C") + 5)) "$A\n$B\n-$A\n$C\n"
	same tasks "$(shown)" "$B $C"
}

case_the_first_failing_line_ends_a_write() {
	three
	writes $(($(bytes "$A$B") + 2)) "$A\n$B\n$A\n$C\n"
	same tasks "$(shown)" "$A $B"
	writes EEXIST "$A\n$C\n"
	same tasks "$(shown)" "$A $B"
	writes $(($(bytes "$A") + 2)) "-$A\nnonsense\n-$B\n"
	writes $(($(bytes "$A") + 1)) "$A\n4194303\n$C\n"
	same tasks "$(shown)" "$B $A"
}

case_the_last_newline_may_lack_in_the_first_write() {
	three
	writes "$(bytes "$A")" "$A"
	printf %s "$B" >"$FILE"
	same tasks "$(shown)" "$A $B"
	writes $(($(bytes "$A$B") + 3)) "-$A\n-$B"
	same tasks "$(shown)" ""
}

case_but_not_in_a_later_write() {
	three
	writes "$(($(bytes "$A") + 1)) EINVAL" "$A\n" "$B"
	same tasks "$(shown)" "$A"
	writes "$(($(bytes "$B") + 1)) $(($(bytes "$A") + 2))" "$B\n" "-$A\n$C"
	same tasks "$(shown)" "$B"
	writes "$(($(bytes "$A") + 1)) $(($(bytes "$C") + 1))" "$A\n" "$C\n"
	same tasks "$(shown)" "$B $A $C"
}

case_a_write_of_many_lines() {
	three
	lines=$(for _ in $(seq 2000); do printf '%s\\n-%s\\n' "$A" "$A"; done)
	writes $(((2 * $(bytes "$A") + 3) * 2000)) "$lines"
	same tasks "$(shown)" ""
	writes $(((2 * $(bytes "$A") + 3) * 2000 + $(bytes "$A") + 1)) "$lines$A\n$A\n$B\n"
	same tasks "$(shown)" "$A"
}

case_writes_of_a_shell() {
	three
	{
		echo "$A"
		echo "$B"
		echo "$C"
	} >"$FILE"
	echo "-$B" >>"$FILE"
	same tasks "$(shown)" "$A $C"
}

run_cases "$@"
