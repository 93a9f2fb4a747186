# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# quick
# kernels: stock debug kcsan
#
# /sys/kernel/taskmonitor: the newest samples of all, and every command.

. ./guest.sh

# lines BYTES: prints so many bytes of lines, each of which is a command.
lines() {
	yes 'start  ' | head -n $(($1 / 8 - 2))
	printf "start%$(($1 % 8 + 10))s\n" ''
}

# is_full FILE: a page of lines: no further line would fit. (None is longer than 195 bytes.)
is_full() {
	between bytes "$(wc -c <"$1")" $((PAGE - 196)) $((PAGE - 1))
}

# newest_of_all: of all histories, merged by time, what must be in the file now: it has as many lines
# as fit into a page less one byte.
newest_of_all() {
	samples | sort -n -k 8,8 >"$T/merged"
	awk -v page="$PAGE" '{ line[NR] = $0 }
		END {
			for (i = NR; i > 0 && size + length(line[i]) + 1 <= page - 1; i--)
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
	later 1 $((PAGE / 68))
	echo stop >"$FILE"
	matches
	is_full "$SYSFS"
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
	load "period_us=10000"
	some 300
	await more_than_once
	echo stop >"$FILE"
	matches
	least=$((PAGE / 160)) most=$((PAGE / 80))
	# With a large page, they are all in it.
	[ $least -lt 300 ] || least=300
	between tasks "$(cut -d ' ' -f 2 "$SYSFS" | sort -u | wc -l)" $least $most
}

more_than_once() {
	[ "$(awk '$10 > 1' "$TASKS" | wc -l)" = 300 ]
}

case_while_sampling_goes_on() {
	spawn pause
	load "target=1,$PID period_us=100"
	later 1 $((PAGE / 40))
	for _ in $(seq 30); do
		cat "$SYSFS" >"$T/now"
		is_full "$T/now"
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
	for _ in $(seq $((PAGE / 4))); do
		printf '%s\n-%s\n' "$PID" "$PID"
	done >"$T/many"
	echo "$PID" >>"$T/many"
	cat "$T/many" >"$SYSFS"
	same tasks "$(shown)" "$PID"
	same taken "$(status "$PID" taken)" 1
	# A page that ends in the midst of a command does not carry out its beginning.
	{
		lines $((PAGE - 1))
		printf 'stop\nclear\n'
	} >"$T/cut"
	same "bytes before the cut" "$(head -c "$PAGE" "$T/cut" | tail -c 1)" "s"
	cat "$T/cut" >"$SYSFS"
	same sampling "$(cat "$PARAMETERS/sampling")" N
}

# Only the first write on an open file may lack its last newline, whoever wrote before.
case_the_last_newline_may_lack_in_the_first_write() {
	spawn pause
	a=$PID
	spawn pause
	load
	for file in "$FILE" "$SYSFS"; do
		# By processes of their own.
		{
			sh -c "printf $a"
			! sh -c "printf $PID" 2>/dev/null || fail "$file: the second write was carried out"
		} >"$file"
		same tasks "$(shown)" "$a"
		# Appending is no other way to write.
		printf -- "-%s" "$a" >>"$file"
		same tasks "$(shown)" ""
		writes_to "$file" "5 EINVAL EINVAL" 'start' 'stop' 'sto'
		writes_to "$file" "EINVAL EINVAL" "nonsense" "stop"
		writes_to "$file" "6 EINVAL 5" 'start\n' 'stop' 'stop\n'
		writes_to "$file" "6 5 EINVAL 6" 'start\n' 'stop\nstar' 'star' 'start\n'
		# Neither the place in the file nor what was read counts.
		same "a write behind a read" "$(./helper file "$file" read=1 write=stop write=stop | grep write | xargs)" \
			"-- write 4 -- write EINVAL"
	done
	same "writes at the beginning" "$(./helper file "$SYSFS" pwrite=stop pwrite=stop rewind 'pwrite=stop\n' write=stop | xargs)" \
		"-- pwrite 4 -- pwrite EINVAL -- rewind 0 -- pwrite 5 -- write EINVAL"
	# Neither does an empty write to sysfs.
	writes_to "$SYSFS" "0 4" '' 'stop'
}

# A write of 4,096 bytes, or of a multiple of that, may be a piece of a longer one, whatever the size of a page. sysfs
# passes a page on at most.
pieces() {
	printf '%s\n' 4096 "$PAGE" | sort -u
}

# A page of whole lines, which need no further write.
case_a_page_of_whole_lines() {
	spawn pause
	load
	for size in $(pieces); do
		lines "$size" >"$T/page"
		same bytes "$(wc -c <"$T/page")" "$size"
		for file in "$FILE" "$SYSFS"; do
			# By the same process, to one file after the other.
			writes_both "$file" "$size" "@$T/page" "4" "stop"
			same sampling "$(cat "$PARAMETERS/sampling")" N
			writes_to "$file" "$size EINVAL 5" "@$T/page" "stop" 'stop\n'
		done
	done
}

# writes_both FILE RESULT DATA RESULT DATA: one write on each of two open files, by one process.
writes_both() {
	same "writes to $1" "$(./helper write "$1" "$3" @ "$5")" "$2 $4"
}

# A program that writes a long file in pieces cuts lines off: what is cut is no command.
case_a_line_that_is_cut_off() {
	spawn pause
	load "target=1,$PID"
	for size in $(pieces); do
		{
			lines $((size - 1))
			# "-1" would be a command.
			printf '%s' "-$PID" | head -c 1
		} >"$T/page"
		for file in "$FILE" "$SYSFS"; do
			writes_to "$file" "$((size - 1)) EINVAL EINVAL" "@$T/page" "-1x" "\n"
			writes_to "$file" "$((size - 1)) EINVAL EINVAL" "@$T/page" "-1" "-1"
			same tasks "$(shown)" "1 $PID"
			writes_to "$file" "$((size - 1)) $((${#PID} + 2))" "@$T/page" "-$PID\n"
			same tasks "$(shown)" "1"
			echo "$PID" >"$file"
		done
		# PID 1 is monitored: nothing of what is cut off is taken for it.
		{
			head -c $((size - 1)) "$T/page"
			echo "-$PID"
		} >"$T/long"
		for file in "$FILE" "$SYSFS"; do
			# Writes of so many bytes, as the C library does them.
			! dd if="$T/long" of="$file" bs="$size" conv=notrunc 2>/dev/null || fail "$file: dd has noticed nothing"
			same tasks "$(shown)" "1 $PID"
			cat "$T/long" >"$file"
			same tasks "$(shown)" "1"
			echo "$PID" >"$file"
		done
	done
}

# What is left of a line may be a command, too: of "stopped".
case_the_beginning_of_a_line_that_is_a_command() {
	load
	for size in $(pieces); do
		{
			lines $((size - 4))
			printf 'stop'
		} >"$T/beginning"
		same bytes "$(wc -c <"$T/beginning")" "$size"
		for file in "$FILE" "$SYSFS"; do
			writes_to "$file" "$((size - 4)) EINVAL" "@$T/beginning" 'stopped\n'
			same "sampling after $file" "$(cat "$PARAMETERS/sampling")" Y
		done
	done
}

# The text is that of one moment, however it is read.
case_read_in_pieces() {
	spawn pause
	load "target=1,$PID period_us=100"
	later 1 $((PAGE / 40))
	for n in 1 2 3; do
		# Each is a text of its own: the first and the last line are whole.
		dd if="$SYSFS" bs=$((n * n)) 2>/dev/null >"$T/now"
		is_full "$T/now"
		! grep -vE "$LINE" "$T/now" || fail "another form"
		sort -n -k 8,8 "$T/now" | cmp - "$T/now" || fail "not in order"
	done
	same "the first byte" "$(head -c 1 "$SYSFS")" p
	while read -r line; do
		echo "$line"
	done <"$SYSFS" >"$T/now"
	! grep -vE "$LINE" "$T/now" || fail "another form, read by the shell"
	# From an offset on: it ends like the rest, and behind the end is nothing.
	near=$((PAGE - 96))
	./helper file "$SYSFS" pread=1 "pread=$PAGE" pread=100000 "pread=$near" | sed -n 's/^-- //p' >"$T/preads"
	between "bytes behind the first" "$(sed -n 's/pread=1 //p' "$T/preads")" $((PAGE - 197)) $((PAGE - 2))
	same "bytes behind the end" "$(sed -n 2,3p "$T/preads" | xargs)" "pread=$PAGE 0 pread=100000 0"
	between "bytes at the end" "$(sed -n "s/pread=$near //p" "$T/preads")" 0 95
	# A read from the beginning shows what is new.
	./helper file "$SYSFS" read read rewind read pread=0 | sed -n 's/^-- //p' | xargs >"$T/reads"
	./helper file "$SYSFS" read hold rewind read >"$T/twice" 2>"$T/holder" &
	holder=$!
	echo $holder >>"$T/pids"
	await grep -q held "$T/holder"
	later 1 100
	kill -TERM $holder
	wait $holder
	same "texts" "$(grep -c '^-- read' "$T/twice")" 2
	sed '/^-- /,$d' "$T/twice" >"$T/before"
	sed '1,/^-- rewind/d; /^-- /d' "$T/twice" >"$T/after"
	! cmp -s "$T/before" "$T/after" || fail "the same text again"
	sort -m -n -k 8,8 "$T/before" "$T/after" | sort -c -n -k 8,8 || fail "the later text is older"
	# At the end, a reader stays at the end.
	echo stop >"$FILE"
	same reads "$(sed 's/[0-9]\{4,\}/N/g' "$T/reads")" "read 0 read 0 rewind 0 read 0 pread=0 N"
}

# Programs and shells read and write in ways of their own.
case_as_programs_do_it() {
	spawn pause
	a=$PID
	spawn pause
	load "target=1 sampling=N"
	same "the mode" "$(stat -c %a "$SYSFS")" 600
	echo "$a" >"$SYSFS"
	echo -n "$PID" >"$SYSFS"
	same tasks "$(shown)" "1 $a $PID"
	printf -- '-%s\n-%s' "$a" "$PID" >"$SYSFS"
	same tasks "$(shown)" 1
	echo "$a" | tee "$SYSFS" >/dev/null
	printf %s "$PID" | dd of="$SYSFS" 2>/dev/null
	same tasks "$(shown)" "1 $a $PID"
	printf '%s\n%s\n' "-$a" "-$PID" >"$T/commands"
	cp "$T/commands" "$SYSFS"
	same tasks "$(shown)" 1
	printf '%s\n' "$a" "$PID" | cat >"$SYSFS"
	cat "$SYSFS" >"$T/whole"
	same lines "$(wc -l <"$T/whole")" 3
	for command in "head -n 10" "tail -n 10" "grep pid" "dd bs=7" "sort -n -k 8,8" "awk 1" "sed ''" "xargs -n 22"; do
		eval "$command" <"$SYSFS" 2>/dev/null | cmp - "$T/whole" || fail "$command: another text"
	done
	for command in "tail -n 10" "tail -c 4096" "head -c 4096" "grep pid" "sed ''"; do
		eval "$command $SYSFS" | cmp - "$T/whole" || fail "$command FILE: another text"
	done
	cp "$SYSFS" "$T/copy"
	cmp "$T/copy" "$T/whole"
	same "the last line" "$(tail -n 1 "$SYSFS")" "$(tail -n 1 "$T/whole")"
	same "bytes" "$(wc -c <"$SYSFS")" "$(wc -c <"$T/whole")"
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
