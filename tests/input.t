# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
#
# Bad input, too much of it, and from all sides.

. ./guest.sh

# untouched: a task is monitored, 1, and nothing else; files answer.
untouched() {
	same tasks "$(cut -d ' ' -f 2 "$TASKS" | xargs)" 1
	same sampling "$(cat "$PARAMETERS/sampling")" Y
	later 1
	samples | sound
}

# refused_by FILE DATA
refused_by() {
	writes_to "$1" EINVAL "$2"
}

case_binary_noise() {
	load "target=1 period_us=1000"
	for _ in $(seq "$(few 20)"); do
		# A first byte that begins no command.
		{
			printf '\377'
			head -c 100000 /dev/urandom
		} >"$T/noise"
		for file in "$FILE" "$SYSFS"; do
			refused_by "$file" "@$T/noise"
		done
		for name in period_us max_samples max_mib reserve sampling; do
			refused_by "$PARAMETERS/$name" "@$T/noise"
		done
	done
	untouched
}

case_every_byte_alone() {
	load "target=1 period_us=1000"
	set --
	errors=
	i=0
	while [ $i -lt 256 ]; do
		case $i in
		# Digits are PIDs (1 is there already), of which some may exist.
		4[89] | 5[0-7]) ;;
		*)
			# shellcheck disable=SC2059 # the format is the byte
			printf "\\$(printf %03o $i)" >"$T/byte.$i"
			set -- "$@" "@$T/byte.$i"
			errors="$errors${errors:+ }EINVAL"
			;;
		esac
		i=$((i + 1))
	done
	for file in "$FILE" "$SYSFS"; do
		writes_to "$file" "$errors" "$@"
	done
	untouched
}

case_megabytes() {
	load "target=1 period_us=1000"
	head -c 4000000 /dev/zero >"$T/zeros"
	tr '\0' '\n' <"$T/zeros" >"$T/newlines"
	tr '\0' ' ' <"$T/zeros" >"$T/blanks"
	tr '\0' 1 <"$T/zeros" >"$T/digits"
	for kind in zeros newlines blanks digits; do
		for file in "$FILE" "$SYSFS"; do
			refused_by "$file" "@$T/$kind"
		done
	done
	# What came before them is done.
	{
		echo stop
		echo start
		cat "$T/digits"
	} >"$T/mixed"
	writes_to "$FILE" 11 "@$T/mixed"
	writes_to "$SYSFS" 11 "@$T/mixed"
	untouched
	rm "$T/zeros" "$T/newlines" "$T/blanks" "$T/digits" "$T/mixed"
}

case_many_commands_in_one_write() {
	spawn pause
	load "target=1 period_us=1000"
	for _ in $(seq 2000); do
		printf '%s\nprint %s\n  -%s \nprint all\n' "$PID" "$PID" "$PID"
	done >"$T/many"
	writes_to "$FILE" "$(wc -c <"$T/many")" "@$T/many"
	untouched
	# The 8001st is one too many.
	echo "print $PID" >>"$T/many"
	bytes=$(wc -c <"$T/many")
	writes_to "$FILE" $((bytes - ${#PID} - 7)) "@$T/many"
	# By the other file, which takes a page at a time.
	head -n 8000 "$T/many" >"$T/fewer"
	cat "$T/fewer" >"$SYSFS"
	untouched
}

case_a_bad_pointer() {
	load "target=1 period_us=1000"
	same results "$(./helper badpointer "$FILE")" "EFAULT EFAULT"
	same results "$(./helper badpointer "$SYSFS")" "EFAULT EFAULT"
	for file in "$FOLLOW" "$TASKS" "$STATS"; do
		same results "$(./helper badpointer "$file")" "EFAULT EINVAL"
	done
	untouched
}

# What a failed copy did not bring, a later read does.
case_a_bad_pointer_loses_nothing() {
	load "target=1 period_us=1000"
	later 1 100
	echo stop >"$FILE"
	for file in "$FILE" "$FOLLOW"; do
		./helper file "$file" bad read=500 bad bad read | grep -v '^--' >"$T/pieces"
		tr -d '\n' <"$T/pieces" >"$T/flat"
		tr -d '\n' <"$file" | cmp - "$T/flat" || fail "$file: a read at a bad address lost something"
	done
}

# quiet: whether nothing happens that the statistics count.
quiet() {
	cat "$STATS" >"$T/before"
	cmp -s "$STATS" "$T/before"
}

case_one_byte_at_a_time() {
	spawn pause
	load "target=1,$PID,2 period_us=1000"
	later 1 50
	end_task
	await ended "$PID"
	echo stop >"$FILE"
	# (Its reading is not counted in it.)
	await quiet
	for file in "$FILE" "$FOLLOW" "$TASKS" "$STATS" "$SYSFS"; do
		cat "$file" >"$T/whole"
		[ -s "$T/whole" ] || fail "$file is empty"
		dd if="$file" bs=1 of="$T/bytes" 2>/dev/null
		cmp "$T/whole" "$T/bytes" || fail "$file differs, read byte by byte"
	done
}

case_one_byte_at_a_time_is_written() {
	load
	# The first write may lack its newline, so it is a command of its own.
	writes "1 EINVAL EINVAL" 1 2 '\n'
	same tasks "$(shown)" 1
	writes "EINVAL EINVAL EINVAL" '-' 1 '\n'
	same tasks "$(shown)" 1
}

case_two_readers_and_a_writer_at_once() {
	spawn threads 30 0
	load "target=1 period_us=100 max_samples=300"
	sed -n 's/^tid //p' "$OUT" >"$T/tids"
	cat "$T/tids" >"$FILE"
	for file in "$FILE" "$FOLLOW" "$TASKS" "$SYSFS"; do
		name=$T/read.$(echo "$file" | tr / .)
		(
			for n in $(seq "$(few 8)"); do
				cat "$file" >"$name.$n"
			done
			: >"$name"
		) &
		echo $! >>"$T/pids"
	done
	for _ in $(seq "$(few 30)"); do
		sed 's/^/-/' "$T/tids" >"$FILE"
		cat "$T/tids" >"$FILE"
		echo clear >"$FILE"
		printf 'print 1\nstop\nstart\nprint all\n' >"$SYSFS"
	done
	for file in "$FILE" "$FOLLOW" "$TASKS" "$SYSFS"; do
		name=$T/read.$(echo "$file" | tr / .)
		await test -e "$name"
		for n in $(seq "$(few 8)"); do
			case $file in
			"$FILE") sound <"$name.$n" ;;
			"$TASKS") ! grep -vE "$TASKS_LINE" "$name.$n" || fail "$file: another form" ;;
			*) ! grep -vE "$LINE" "$name.$n" || fail "$file: another form" ;;
			esac
		done
	done
	echo stop >"$FILE"
	adds_up
}

case_seeking_and_reading_anywhere() {
	spawn pause
	load "target=1,$PID period_us=1000"
	later 1 60
	echo stop >"$FILE"
	cat "$FILE" >"$T/whole"
	size=$(wc -c <"$T/whole")
	for offset in 0 1 63 4095 4096 5000 $((PAGE - 1)) "$PAGE" $((size - 1)) "$size" $((size + 1)) 1000000000; do
		./helper file "$FILE" "pread=$offset" >"$T/piece"
		# It may be less than what was asked for, but not nothing before the end.
		bytes=$(sed -n 's/.*-- pread=[0-9]* //p' "$T/piece")
		if [ "$offset" -lt "$size" ]; then
			between "bytes at offset $offset" "$bytes" 1 "$PAGE"
		else
			same "bytes at offset $offset" "$bytes" 0
		fi
		head -c "$bytes" "$T/piece" >"$T/read"
		tail -c +$((offset + 1)) "$T/whole" | head -c "$bytes" | cmp - "$T/read" ||
			fail "a read at offset $offset"
	done
	for offset in 9223372036854775807 9223372036854775000; do
		./helper file "$FILE" "seek=$offset" read >"$T/piece"
		same "lines behind the end" "$(grep -vc '^--' "$T/piece")" 0
	done
}

run_cases "$@"
