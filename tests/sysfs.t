# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# kernels: stock debug kcsan
#
# /sys/kernel/taskmonitor: the newest samples of all, and every command.

. ./guest.sh

# newest_of_all: of all histories, merged by time, what must be in the file now: it has as many lines
# as fit into a page less one byte.
newest_of_all() {
	samples | sort -n -k 8,8 >"$T/merged"
	awk '{ line[NR] = $0 }
		END {
			for (i = NR; i > 0 && size + length(line[i]) + 1 <= 4095; i--)
				size += length(line[i]) + 1
			while (++i <= NR)
				print line[i]
		}' "$T/merged"
}

matches() {
	newest_of_all >"$T/wanted"
	cmp "$T/wanted" "$SYSFS" || fail "not the newest samples, merged by time"
}

case_without_tasks() {
	load
	same content "$(cat "$SYSFS")" ""
}

case_a_few_samples() {
	load "target=1,2 period_us=3600000000"
	matches
	same lines "$(wc -l <"$SYSFS")" 2
	! grep -vE "$LINE" "$SYSFS" || fail "another form"
	echo clear >"$FILE"
	same content "$(cat "$SYSFS")" ""
}

case_the_newest_of_many() {
	spawn pause
	a=$PID
	spawn burn user 1
	load "target=1,$PID,$a period_us=1000"
	later 1 30
	# One that ended long ago is not among the newest.
	end_task "$PID"
	await ended "$PID"
	later 1 60
	echo stop >"$FILE"
	matches
	between bytes "$(wc -c <"$SYSFS")" 3900 4095
	same "the ended task" "$(grep -c "^pid $PID " "$SYSFS" || :)" 0
	# From several blocks of one task.
	echo "print $a" >"$FILE"
	matches
	same tasks "$(cut -d ' ' -f 2 "$SYSFS" | sort -u)" "$a"
	echo "print $PID" >"$FILE"
	matches
	same "the last" "$(tail -n 1 "$SYSFS" | key state)" X
	echo "print all" >"$FILE"
	matches
}

case_of_hundreds_of_tasks() {
	spawn threads 300 0
	load "period_us=10000"
	sed -n 's/^tid //p' "$OUT" >"$FILE"
	await more_than_once
	echo stop >"$FILE"
	matches
	between tasks "$(cut -d ' ' -f 2 "$SYSFS" | sort -u | wc -l)" 25 50
}

more_than_once() {
	[ "$(awk '$10 > 1' "$TASKS" | wc -l)" = 300 ]
}

case_while_sampling_goes_on() {
	spawn pause
	load "target=1,$PID period_us=100"
	later 1 100
	for _ in $(seq 30); do
		cat "$SYSFS" >"$T/now"
		between bytes "$(wc -c <"$T/now")" 3900 4095
		! grep -vE "$LINE" "$T/now" || fail "another form"
		sort -n -k 8,8 "$T/now" | cmp - "$T/now" || fail "not in order"
	done
}

case_every_command() {
	spawn pause
	a=$PID
	spawn pause
	load period_us=1000
	writes_to "$SYSFS" $((${#a} + 1)) "$a\n"
	writes_to "$SYSFS" ${#PID} "$PID"
	same tasks "$(shown)" "$a $PID"
	echo "print $PID" >"$SYSFS"
	same tasks "$(shown)" "$PID"
	echo "print all" >"$SYSFS"
	same tasks "$(shown)" "$a $PID"
	printf 'stop\n-%s\n' "$a" >"$SYSFS"
	same tasks "$(shown)" "$PID"
	same sampling "$(cat "$PARAMETERS/sampling")" N
	echo clear >"$SYSFS"
	same samples "$(samples)" ""
	echo start >"$SYSFS"
	await holds 5
	same sampling "$(cat "$PARAMETERS/sampling")" Y
}

case_every_error() {
	spawn pause
	load "target=1 max_tasks=1"
	writes_to "$SYSFS" ESRCH '4194303\n'
	writes_to "$SYSFS" EEXIST '1\n'
	writes_to "$SYSFS" ENOSPC "$PID\n"
	writes_to "$SYSFS" ENOENT "-$PID\n"
	writes_to "$SYSFS" ENOENT "print $PID\n"
	for line in 0 nonsense '' ' ' "clear clear" "$(printf '%65d' 1)" "$(printf '%5000d' 1)" '1\0'; do
		writes_to "$SYSFS" EINVAL "$line\n"
	done
	writes_to "$SYSFS" "5 EINVAL" 'stop\nnonsense\nstart\n' '\n'
	same sampling "$(cat "$PARAMETERS/sampling")" N
	# An empty write does nothing.
	: >"$SYSFS"
	writes_to "$SYSFS" 0 ''
	same tasks "$(shown)" 1
}

# sysfs passes a page at most: what is behind it is a write of its own.
case_a_write_longer_than_a_page() {
	spawn pause
	load period_us=3600000000
	for _ in $(seq 1000); do
		printf '%s\n-%s\n' "$PID" "$PID"
	done >"$T/many"
	echo "$PID" >>"$T/many"
	cat "$T/many" >"$SYSFS"
	same tasks "$(shown)" "$PID"
	same taken "$(status "$PID" taken)" 1
	# A page that ends in the midst of a command does not carry out its beginning.
	{
		for _ in $(seq 585); do
			printf 'start \n'
		done
		printf 'stop\nclear\n'
	} >"$T/cut"
	same "bytes before the cut" "$(head -c 4096 "$T/cut" | tail -c 1)" "s"
	cat "$T/cut" >"$SYSFS"
	same sampling "$(cat "$PARAMETERS/sampling")" N
}

# A program that writes a long file in pieces cuts lines off: what is cut is no command.
case_a_line_that_is_cut_off() {
	spawn pause
	load "target=1,$PID"
	{
		for _ in $(seq 585); do
			printf 'start \n'
		done
		# Behind 4,095 bytes; "-1" would be a command.
		printf '%s' "-$PID" | head -c 1
	} >"$T/page"
	writes_to "$SYSFS" "4095 EINVAL EINVAL" "@$T/page" "-1x" "\n"
	writes_to "$SYSFS" "4095 EINVAL 2" "@$T/page" "-1" "-1"
	same tasks "$(shown)" "$PID"
	writes_to "$SYSFS" "4095 $((${#PID} + 2))" "@$T/page" "-$PID\n"
	same tasks "$(shown)" ""
	# At the end of the longer write, and of another one, it is one again.
	writes_to "$SYSFS" "4095 EINVAL 1 2" "@$T/page" "-x" 1 -1
}

case_unloaded_while_it_is_open() {
	load "target=1 period_us=1000"
	{
		head -n 1 <&3 >"$T/first"
		unload
		same "a read behind the end" "$(cat <&3 2>&1 | grep -c .)" 1
		! { echo 1 >&3; } 2>/dev/null || fail "written behind the end"
	} 3<>"$SYSFS"
	[ -s "$T/first" ] || fail "nothing was read"
	# A new one is there for those who open it.
	load "target=1"
	same lines "$(wc -l <"$SYSFS")" 1
}

case_unloaded_under_readers_and_writers() {
	for _ in 1 2 3 4; do
		while [ ! -e "$T/over" ]; do
			cat "$SYSFS"
			echo 1 >"$SYSFS"
			echo -1 >"$SYSFS"
		done >/dev/null 2>&1 &
		echo $! >>"$T/pids"
	done
	for _ in $(seq 20); do
		load "target=2 period_us=100"
		usleep 20000
		unload
	done
	: >"$T/over"
}

run_cases "$@"
