# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# quick
# kernels: stock debug kcsan
#
# What is read from /sys/kernel/debug/taskmonitor: the form of a line, its order, its bound, and
# readers of every kind.

. ./guest.sh

# ended_task: a task that has left a history of some blocks, which stands still now. Sets PID.
ended_task() {
	load period_us=100
	capacity
	spawn pause
	echo "$PID" >"$FILE"
	later "$PID" $((MOST + 50))
	end_task
	await ended "$PID"
}

case_the_form_of_a_line() {
	spawn pause
	load "target=$PID,1 period_us=10000"
	later "$PID" 3
	samples >"$T/lines"
	! grep -vE "$LINE" "$T/lines" || fail "another form"
	same "keys" "$(head -n 1 "$T/lines" | awk '{ for (i = 1; i < NF; i += 2) printf "%s ", $i }')" \
		"pid usr sys time rss minflt majflt mm_users state seq start "
}

case_an_empty_history() {
	load
	same content "$(wc -c <"$FILE")" 0
}

case_order_in_a_task() {
	spawn burn user 200
	a=$PID
	spawn pause
	load "target=$a,$PID,1 period_us=1000 max_samples=50000"
	later "$PID" 100
	echo stop >"$FILE"
	samples | sound
	same tasks "$(shown)" "$a $PID 1"
	same "first seq" "$(samples "$a" | key seq | head -n 1)" 0
	for pid in "$a" "$PID" 1; do
		same "start of $pid" "$(samples "$pid" | key start | sort -u | wc -l)" 1
	done
}

case_time_is_boottime() {
	load period_us=3600000000
	before=$(awk '{ printf "%.0f", ($1 - 0.01) * 1e9 }' /proc/uptime)
	echo 1 >"$FILE"
	after=$(awk '{ printf "%.0f", ($1 + 0.01) * 1e9 }' /proc/uptime)
	between time "$(newest 1 time)" "$before" "$after"
}

case_seq_counts_the_instants_of_the_grid() {
	load "target=1 period_us=10000"
	later 1 100
	# However late a sample is, the next instants stay where they are: the least late of the first
	# fifty and of the last fifty are as far from each other as their numbers say.
	samples 1 | awk '
		$20 == 0 { next }	# when it was added, which is no instant of the grid
		{ late[++n] = $8 / 1e7 - $20 }
		function least(from, to) {
			for (i = from; i <= to; i++)
				if (i == from || late[i] < found)
					found = late[i]
			return found
		}
		END { print least(n - 49, n) - least(1, 50) }' >"$T/drift"
	between "drift in instants" "$(cat "$T/drift")" -5 5
}

case_any_buffer_size_gives_the_same() {
	ended_task
	cat "$FILE" >"$T/whole"
	sound <"$T/whole"
	for size in 1 7 64 109 4096 4097 65536 1048576; do
		dd if="$FILE" bs="$size" of="$T/pieces" 2>/dev/null
		cmp "$T/whole" "$T/pieces" || fail "buffers of $size bytes give something else"
	done
}

case_seeking_back_starts_anew() {
	ended_task
	./helper reread "$FILE" >"$T/twice"
	samples >"$T/once"
	{
		cat "$T/once"
		echo --
		cat "$T/once"
	} | cmp - "$T/twice" || fail "the second reading differs"
}

case_seeking_back_shows_what_is_new() {
	spawn pause
	load "target=$PID period_us=3600000000"
	{
		cat <&3
		echo 100 >"$PARAMETERS/period_us"
		later "$PID" 10
		cat <&3
	} 3<"$FILE" >"$T/once"
	same "samples after the end" "$(wc -l <"$T/once")" 1
	./helper reread "$FILE" >"$T/twice"
	between "samples after a seek" "$(sed '1,/^--$/d' "$T/twice" | wc -l)" 10 3600
}

case_at_most_3600_samples_are_kept() {
	spawn pause
	load "target=$PID period_us=100"
	await has_taken "$PID" 3600
	# It goes on, and what is beyond the bound goes.
	later "$PID" 500
	for _ in 1 2 3; do
		samples >"$T/full"
		sound <"$T/full"
		between samples "$(wc -l <"$T/full")" 1 3600
		later "$PID" 100
	done
	echo 3600000000 >"$PARAMETERS/period_us"
	still "$PID"
	same samples "$(samples | wc -l)" 3600
	samples | sound
	# The newest is among them when it goes on, the oldest is not.
	oldest=$(samples | key seq | head -n 1)
	end_task
	echo 100 >"$PARAMETERS/period_us"
	await ended "$PID"
	same samples "$(samples | wc -l)" 3600
	between "oldest seq" "$(samples | key seq | head -n 1)" $((oldest + 1)) 100000000
	samples | sound
}

case_reading_always_ends() {
	spawn burn user 1
	load "target=1,$PID period_us=100 max_samples=1000"
	later "$PID" 1000
	for size in 16 4096 1048576; do
		timeout 250 dd if="$FILE" bs="$size" of="$T/read" 2>/dev/null || fail "buffers of $size bytes: no end"
		sound <"$T/read"
	done
}

case_many_readers_at_once() {
	spawn burn user 1
	load "target=1,$PID period_us=1000 max_samples=1000"
	for i in 1 2 3 4; do
		(
			for n in $(seq "$(few 5)"); do
				cat "$FILE" >"$T/reader.$i.$n"
			done
			: >"$T/reader.$i"
		) &
		echo $! >>"$T/pids"
	done
	# Tasks come and go meanwhile.
	for _ in $(seq "$(few 20)"); do
		spawn pause
		echo "$PID" >"$FILE"
		end_task
		await ended "$PID"
		[ $((PID % 2)) = 0 ] || echo "-$PID" >"$FILE"
	done
	for i in 1 2 3 4; do
		await test -e "$T/reader.$i"
		for n in $(seq "$(few 5)"); do
			[ -s "$T/reader.$i.$n" ] || fail "reader $i has read nothing"
			sound <"$T/reader.$i.$n"
		done
	done
}

case_a_reader_sees_what_was_there_at_its_first_read() {
	spawn pause
	load "target=$PID,1 period_us=1000"
	later "$PID" 50
	holding 10
	last=$(samples | key time | sort -n | tail -n 1)
	echo "$HOLDER" >"$FILE"
	later "$PID" 50
	released
	sound <"$T/held"
	between "newest time" "$(key time <"$T/held" | sort -n | tail -n 1)" 1 "$last"
	same tasks "$(awk '!seen[$2]++ { print $2 }' "$T/held" | xargs)" "$PID 1"
	between samples "$(grep -c "^pid $PID " "$T/held")" 50 100000
}

case_a_reader_that_pauses_holds_nobody_up() {
	spawn pause
	load "target=$PID period_us=100"
	later "$PID" 200
	holding 1000
	# All that was there is evicted meanwhile, but for what the reader is in the midst of.
	later "$PID" 5000
	writes $(($(printf %s "$PID" | wc -c) + 2)) "-$PID\n"
	echo "$PID" >"$FILE"
	later "$PID" 100
	released
	sound <"$T/held"
	between samples "$(wc -l <"$T/held")" 1 3600
}

# The block on which it stands to the end; and behind that, all that is left.
case_a_reader_misses_nothing_that_is_left() {
	spawn pause
	load "target=$PID,1 period_us=1000"
	capacity
	later 1 $((4 * MOST))
	echo stop >"$FILE"
	both_holding
	samples >"$T/whole"
	# More than the newest block has.
	echo $((2 * MOST)) >"$PARAMETERS/max_samples"
	samples >"$T/left"
	same "samples left" "$(wc -l <"$T/left")" $((4 * MOST))
	both_released "$T/whole" "$T/left"
}

case_a_task_is_removed_under_a_reader() {
	spawn pause
	a=$PID
	spawn pause
	load "target=$a,$PID period_us=1000"
	later "$PID" 50
	holding 150
	echo "-$a" >"$FILE"
	echo "-$PID" >"$FILE"
	released
	sound <"$T/held"
}

case_full_histories_are_given_back() {
	load period_us=100
	for _ in $(seq 20); do
		spawn pause
		echo "$PID" >"$FILE"
	done
	await have samples 30000
	unload
}

run_cases "$@"
