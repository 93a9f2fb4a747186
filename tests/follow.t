# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# quick
# kernels: stock debug kcsan
#
# /sys/kernel/debug/taskmonitor_follow: what is recorded, as it comes.

. ./guest.sh

# in_order: the lines on stdin are whole, the oldest first, and no task's seq is repeated.
in_order() {
	awk -v line="$LINE" '
		function bad(why) { print "line " NR " (" why "): " $0; failed = 1; exit }
		$0 !~ line { bad("form") }
		$8 <= time { bad("time") }
		{ task = $2 " " $22 }
		task in seq && $20 <= seq[task] { bad("seq") }
		state[task] == "X" { bad("after X") }
		{ time = $8; seq[task] = $20; state[task] = $18 }
		END { exit failed }' >"$T/unsound" || fail "$(cat "$T/unsound")"
}

# following OPERATION...: does these with the file in the background, up to a `hold`; what it prints
# goes to $T/followed. Sets HOLDER; `released` lets it go on.
following() {
	: >"$T/holder"
	./helper file "$FOLLOW" "$@" >"$T/followed" 2>"$T/holder" &
	HOLDER=$!
	echo "$HOLDER" >>"$T/pids"
	await grep -q held "$T/holder"
}

# part N: what was read between the operations N and N + 1 of it.
part() {
	awk -v n="$1" '/^--/ { seen++; next } seen == n' "$T/followed"
}

# several: three tasks that have blocks of samples, of which one has ended; sampling is stopped.
several() {
	load "period_us=1000 max_samples=1000000"
	capacity
	spawn pause
	A=$PID
	spawn burn user 1
	for pid in "$A" 1 "$PID"; do
		echo "$pid" >"$FILE"
	done
	later 1 "$MOST"
	end_task
	await ended "$PID"
	later 1 50
	echo stop >"$FILE"
}

case_the_same_lines_the_oldest_first() {
	several
	cat "$FOLLOW" >"$T/followed"
	in_order <"$T/followed"
	samples | sort >"$T/history"
	sort "$T/followed" | cmp - "$T/history" || fail "other lines than those of the history"
}

case_an_empty_history() {
	load
	same content "$(cat "$FOLLOW")" ""
	same results "$(./helper file "$FOLLOW" read poll=50 read | xargs)" \
		"-- read 0 -- poll=50 timeout -- read 0"
}

case_any_buffer_size_gives_the_same() {
	several
	cat "$FOLLOW" >"$T/whole"
	for size in 1 7 109 4096 1048576; do
		dd if="$FOLLOW" bs="$size" of="$T/pieces" 2>/dev/null
		cmp "$T/whole" "$T/pieces" || fail "buffers of $size bytes give something else"
	done
}

case_it_goes_on_behind_the_end() {
	several
	following read read hold read read
	samples | sort >"$T/before"
	echo start >"$FILE"
	later 1 50
	spawn pause
	echo "$PID" >"$FILE"
	later "$PID" 5
	echo stop >"$FILE"
	released
	same results "$(grep '^--' "$T/followed" | xargs)" "-- read 0 -- read 0 -- read 0 -- read 0"
	part 0 | sort | cmp - "$T/before" || fail "the first part"
	same "read again at the end" "$(part 1)" ""
	between "new samples" "$(part 2 | wc -l)" 100 1000000
	same "read again at the new end" "$(part 3)" ""
	grep -v '^--' "$T/followed" >"$T/all"
	in_order <"$T/all"
	sort "$T/all" >"$T/sorted"
	samples | sort | cmp - "$T/sorted" || fail "not each sample once"
}

case_it_ends_while_sampling_goes_on() {
	spawn burn user 1
	load "target=1,$PID period_us=100 max_samples=1000"
	later 1 200
	for _ in 1 2 3; do
		timeout 250 cat "$FOLLOW" >"$T/followed" || fail "no end"
		in_order <"$T/followed"
		later 1 20
	done
}

# However small its buffer: a pass has an end.
case_it_ends_in_small_pieces() {
	load "target=1 period_us=100 max_samples=300"
	later 1 50
	for size in 1 64 100 1000; do
		last=$(samples | tail -n 1 | key seq)
		timeout 250 dd if="$FOLLOW" bs=$size of="$T/pieces" 2>/dev/null || fail "no end, with buffers of $size bytes"
		# Up to what there was when it began, unless that was evicted under it.
		seen=$(tail -n 1 "$T/pieces" | key seq)
		[ "$seen" -ge "$last" ] || between "the oldest left" "$(samples | head -n 1 | key seq)" $((last + 1)) 1000000000
		in_order <"$T/pieces"
	done
}

case_nothing_is_lost_while_sampling_goes_on() {
	spawn pause
	load "target=1,$PID,2 period_us=1000 max_samples=1000000"
	# shellcheck disable=SC2046 # words
	following $(for _ in $(seq 200); do echo read; done) hold read read
	echo stop >"$FILE"
	released
	grep -v '^--' "$T/followed" >"$T/all"
	in_order <"$T/all"
	sort "$T/all" >"$T/sorted"
	samples | sort | cmp - "$T/sorted" || fail "not each sample once"
}

case_poll() {
	load "target=1 period_us=3600000000"
	# There is something at once, then nothing until there is a new sample.
	following poll=60000 read poll=50 hold poll=60000 read poll=50 read
	echo 2 >"$FILE"
	released
	same results "$(grep '^--' "$T/followed" | tr '\n' ' ')" \
		"-- poll=60000 in -- read 0 -- poll=50 timeout -- poll=60000 in -- read 0 -- poll=50 timeout -- read 0 "
	same "first part" "$(part 1 | cut -d ' ' -f 2)" 1
	same "second part" "$(part 4 | cut -d ' ' -f 2)" 2
}

case_poll_wakes_up() {
	load "period_us=3600000000"
	spawn pause
	for command in "$PID" 2; do
		./helper file "$FOLLOW" read poll=60000 read >"$T/polled" &
		poller=$!
		echo $poller >>"$T/pids"
		# It sleeps in poll(), not in its beginning.
		await grep -q '^-- read 0' "$T/polled"
		await sleeping $poller
		echo "$command" >"$FILE"
		wait $poller
		grep -q '^-- poll=60000 in$' "$T/polled" || fail "$(cat "$T/polled")"
		same "what it read" "$(tail -n 2 "$T/polled" | grep -o "^pid $command ")" "pid $command "
	done
	# The thread's samples, too, wake it up.
	./helper file "$FOLLOW" end poll=60000 read >"$T/polled" &
	poller=$!
	await sleeping $poller
	echo 100000 >"$PARAMETERS/period_us"
	wait $poller
	grep -q '^-- poll=60000 in$' "$T/polled" || fail "$(cat "$T/polled")"
}

# What an epoll instance tells of itself in /proc it tells under its lock, and that under the lock of
# another seq_file; it polls this one under the same lock.
case_epoll() {
	load "target=1 period_us=3600000000"
	./helper file "$FOLLOW" epoll=60000 read epoll=50 >"$T/polled"
	same results "$(grep '^--' "$T/polled" | xargs)" "-- epoll=60000 in of 1 -- read 0 -- epoll=50 timeout of 1"
}

sleeping() {
	[ "$(stat_field "/proc/$1/stat" 3)" = S ]
}

case_poll_does_not_promise_what_is_gone() {
	load "target=1 period_us=3600000000"
	following read poll=50 hold poll=50 read poll=50
	echo 2 >"$FILE"
	echo -2 >"$FILE"
	released
	same results "$(grep '^-- poll' "$T/followed" | xargs)" \
		"-- poll=50 timeout -- poll=50 timeout -- poll=50 timeout"
}

# Who only ever reads when poll() says so is never told of an end for it.
case_poll_before_each_read() {
	load "target=1 period_us=1000"
	# shellcheck disable=SC2046 # words
	./helper file "$FOLLOW" $(for _ in $(seq 50); do echo poll=60000 read=65536; done) >"$T/followed"
	same "reads at the end" "$(grep -c '^-- read=65536 0$' "$T/followed" || :)" 0
	same "polls in vain" "$(grep -c timeout "$T/followed" || :)" 0
	grep -v '^--' "$T/followed" | in_order
}

case_seek_end_skips() {
	several
	following end read hold read read
	echo start >"$FILE"
	later 1 20
	echo stop >"$FILE"
	released
	same "behind the end" "$(part 1)" ""
	part 2 >"$T/new"
	between "new samples" "$(wc -l <"$T/new")" 40 1000000
	# Exactly those that came after: no gap, none twice.
	samples | grep -cFxf "$T/new" >"$T/found"
	same "lines of the history" "$(cat "$T/found")" "$(wc -l <"$T/new")"
	first=$(key time <"$T/new" | head -n 1)
	same "lines from the first on" "$(samples | awk -v t="$first" '$8 >= t' | wc -l)" "$(wc -l <"$T/new")"
	same "the ended task" "$(grep -c 'state X' "$T/new" || :)" 0
}

case_seeking_to_both_ends() {
	several
	./helper file "$FOLLOW" read >"$T/followed"
	part 0 >"$T/whole"
	for before in "" read read=300; do
		# shellcheck disable=SC2086 # no word, if empty
		./helper file "$FOLLOW" $before end rewind read | sed "1,/^-- rewind/d" | grep -v '^--' |
			cmp - "$T/whole" || fail "end, then the beginning, behind \"$before\""
		# shellcheck disable=SC2086
		./helper file "$FOLLOW" $before rewind end read read >"$T/followed"
		same "the beginning, then the end, behind \"$before\"" \
			"$(sed '1,/^-- end/d' "$T/followed" | xargs)" "-- read 0 -- read 0"
	done
	same "poll at the beginning" \
		"$(./helper file "$FOLLOW" read poll=50 rewind poll=60000 | grep '^-- poll' | xargs)" \
		"-- poll=50 timeout -- poll=60000 in"
}

case_seek_end_in_the_middle() {
	several
	./helper file "$FOLLOW" read=300 end read tell >"$T/followed"
	same "behind the end" "$(part 2)" ""
	same "the position" "$(grep -c '^-- end 300$\|^-- tell 300$' "$T/followed")" 2
}

case_seeking_back_starts_anew() {
	several
	./helper file "$FOLLOW" read read rewind read >"$T/followed"
	part 0 >"$T/first"
	part 3 | cmp - "$T/first" || fail "the second reading differs"
	./helper file "$FOLLOW" read=1000 rewind read >"$T/followed"
	part 2 | cmp - "$T/first" || fail "the reading after a part differs"
}

case_there_is_no_other_position() {
	several
	same results "$(./helper file "$FOLLOW" seek=5 seek=0 tell pread=0 pread=7 | tr '\n' ' ')" \
		"-- seek=5 EINVAL -- seek=0 0 -- tell 0 -- pread=0 ESPIPE -- pread=7 ESPIPE "
}

# Who can have a position all the same, which means nothing, does no harm. (Each time there is something
# to be read: io_uring would wait for it.)
case_io_uring_reads_at_any_position() {
	load "target=1,2 period_us=3600000000"
	./helper file "$FOLLOW" uring=100000 rewind uring=0 rewind uring=30 rewind uring=-1 read tell \
		rewind read >"$T/read"
	note "$(grep '^--' "$T/read" | xargs)"
	# With the offset -1 it reads on, as read() does.
	for n in 3 4; do
		awk -v n=$n '/^-- rewind/ { seen++; next } seen == n && $1 == "pid"' "$T/read" >"$T/rest"
		same "tasks of part $n" "$(cut -d ' ' -f 2 "$T/rest" | xargs)" "1 2"
	done
}

case_print_changes_nothing() {
	several
	cat "$FOLLOW" >"$T/before"
	echo "print 1" >"$FILE"
	cmp "$T/before" "$FOLLOW" || fail "print chose here, too"
}

case_what_is_evicted_leaves_a_gap() {
	spawn pause
	load "target=$PID,1 period_us=100 max_samples=40"
	following read=3000 hold read read
	later "$PID" 500
	echo stop >"$FILE"
	released
	grep -v '^--' "$T/followed" | grep -E "$LINE" >"$T/all"
	in_order <"$T/all"
	# Of each task, the last 40 are there: what was not read before is so many at least.
	for pid in "$PID" 1; do
		samples "$pid" >"$T/kept"
		grep "^pid $pid " "$T/all" | tail -n 40 | cmp - "$T/kept" || fail "not all that is kept of $pid"
		grep "^pid $pid " "$T/all" | awk 'NR > 1 && $20 > seq + 30 { gap = 1 } { seq = $20 } END { exit !gap }' ||
			fail "no gap of $pid"
	done
}

case_what_is_cleared_is_a_gap() {
	several
	following read hold read poll=0
	echo start >"$FILE"
	later 1 50
	echo stop >"$FILE"
	echo clear >"$FILE"
	released
	same "lines behind a clear" "$(part 1)" ""
	same "news behind a clear" "$(grep '^-- poll' "$T/followed")" "-- poll=0 timeout"
}

case_tasks_come_and_go() {
	load period_us=1000
	spawn pause
	A=$PID
	echo "$A" >"$FILE"
	later "$A" 5
	following read hold read hold read read
	spawn pause
	echo "$PID" >"$FILE"
	later "$PID" 20
	echo "-$A" >"$FILE"
	later "$PID" 20
	: >"$T/holder"
	kill -TERM "$HOLDER"
	await grep -q held "$T/holder"
	end_task
	await ended "$PID"
	echo 1 >"$FILE"
	released
	grep -v '^--' "$T/followed" >"$T/all"
	in_order <"$T/all"
	same "first part" "$(part 0 | cut -d ' ' -f 2 | sort -u)" "$A"
	same "second part" "$(part 1 | cut -d ' ' -f 2 | sort -u)" "$PID"
	same "the last part" "$(part 2 | cut -d ' ' -f 2 | sort -un | xargs)" "1 $PID"
	same "the end of $PID" "$(part 2 | grep -c "^pid $PID .* state X ")" 1
}

case_many_tasks() {
	n=$(few 300)
	load "target=1 period_us=100000 max_samples=1000000 max_mib=100"
	some "$n"
	following read hold read hold read read
	later 1 10
	: >"$T/holder"
	kill -TERM "$HOLDER"
	await grep -q held "$T/holder"
	later 1 10
	released
	echo stop >"$FILE"
	grep -v '^--' "$T/followed" >"$T/all"
	in_order <"$T/all"
	same tasks "$(cut -d ' ' -f 2 "$T/all" | sort -u | wc -l)" $((n + 1))
	# Up to its last line, not one is missing.
	time=$(tail -n 1 "$T/all" | key time)
	same lines "$(wc -l <"$T/all")" "$(samples | awk -v t="$time" '$8 <= t' | wc -l)"
}

# Each keeps a place, and maybe a block, of each task: so there is a limit.
case_at_most_128_followers() {
	load "target=1 sampling=N"
	for _ in $(seq 128); do
		# shellcheck disable=SC2217 # it keeps the file open
		sleep 3600 <"$FOLLOW" &
		echo $! >>"$T/pids"
	done
	await has_followers 128
	same "one more" "$(./helper file "$FOLLOW" read || :)" "-- open ENFILE"
	same followers "$(stats followers)" 128
	# They are not used up by that, nor by going back to the beginning.
	kill -KILL $!
	await has_followers 127
	same "lines after going back" "$(./helper file "$FOLLOW" read rewind read | grep -c '^pid 1 ')" 2
	same "reading of the others" "$(wc -l <"$FILE") $(wc -l <"$TASKS")" "1 1"
}

has_followers() {
	[ "$(stats followers)" = "$1" ]
}

case_it_cannot_be_written_to() {
	load target=1
	same "a write" "$(./helper write "$FOLLOW" '1\n')" EINVAL
	same "a write" "$(./helper write "$TASKS" '1\n')" EINVAL
	same "a write" "$(./helper write "$STATS" '1\n')" EINVAL
}

case_a_follower_keeps_the_module() {
	load "target=1 period_us=1000"
	following read hold read
	same rmmod "$(./helper rmmod taskmonitor)" EAGAIN
	released
	unload
}

run_cases "$@"
