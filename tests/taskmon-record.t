# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# kernels: stock
# programs: taskmon
# vm: -m 512
#
# `taskmon record` against the module: each sample is in the file, as it is, or is told of as lost; and whatever happens to
# taskmon or to the disk, the file can be read.

. ./guest.sh

# record FILE ARGUMENT...: begins to record into $T/FILE; what it says goes to $T/record.said. Sets RECORD.
record() {
	file=$1
	shift
	# (What an earlier case has left is no sign that this one has begun.)
	rm -f "$T/$file"
	./taskmon record -o "$T/$file" "$@" >"$T/record.said" 2>&1 &
	RECORD=$!
	echo "$RECORD" >>"$T/pids"
}

# has_begun FILE: there is a sample in it.
has_begun() {
	[ "$(shown_of "$1" | head -n 1)" ]
}

# records FILE TARGETS PARAMETERS: the module samples them, and all is recorded into $T/FILE, from the first sample on.
# (What goes before somebody begins to record is no loss of his.)
records() {
	# shellcheck disable=SC2086 # words
	load "target=$2 sampling=N $3"
	record "$1"
	await has_begun "$1"
	writes 6 "start
"
}

# shown_of FILE: its samples, as lines of the module.
shown_of() {
	./taskmon show --raw --format kv -i "$T/$1"
}

# said FILE: what is in it, but for the trace of a function.
said() {
	grep -v '^+' "$1" || :
}

# recorded FILE: sampling ends, all is read, and the recording is stopped. Leaves what is known of it in $T/info and $T/shown.
recorded() {
	writes 5 "stop
"
	# (What was sampled by now is read in the end, whatever was read before.)
	kill -TERM "$RECORD"
	status=0
	wait "$RECORD" || status=$?
	same "status of record, which says $(cat "$T/record.said")" "$status" 0
	./taskmon info -i "$T/$1" >"$T/about"
	! grep damaged "$T/about" || fail "it is damaged"
	./taskmon info -i "$T/$1" --format csv >"$T/info"
	shown_of "$1" >"$T/shown"
}

# info PID KEY: of the recording.
info() {
	awk -F , -v pid="$1" -v key="$2" '
		NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
		$at["pid"] == pid { print $at[key] }' "$T/info"
}

# all_told PID: the samples in the file and those that it says are lost are those that the module has taken and missed.
all_told() {
	in_file=$(info "$1" samples)
	same "samples of $1 that are shown" "$(grep -c "^pid $1 " "$T/shown")" "$in_file"
	gone=$(($(info "$1" lost_evicted) + $(info "$1" lost_reclaimed) + $(info "$1" lost_evicted_or_reclaimed)))
	no_space=$(info "$1" lost_no_space)
	same "lost for an unknown reason" "$(info "$1" lost_unknown)" 0
	same "the first of $1" "$(grep "^pid $1 " "$T/shown" | head -n 1 | key seq)" 0
	same "gone of $1 before they were read" "$gone" $(($(last "$1" taken) - in_file - no_space))
	# (Of what was missed among those without room, this does not know.)
	[ "$no_space" = 0 ] || return 0
	# Behind the newest sample, if that is in the file, some may have been missed; else they count with those that are lost.
	behind=0
	[ "$(tail_of "$1" time)" != "$(last "$1" time)" ] ||
		behind=$(($(last "$1" taken) + $(last "$1" missed) - 1 - $(tail_of "$1" seq)))
	same "missed of $1, but for $behind in the end" "$(info "$1" lost_missed)" $(($(last "$1" missed) - behind))
	awk -v pid="$1" '
		$2 == pid { if (n++ && $20 <= seq) { print; bad = 1 }; seq = $20 }
		END { exit bad }' "$T/shown" || fail "seq does not grow"
}

# tail_of PID KEY: of its last sample in the file.
tail_of() {
	grep "^pid $1 " "$T/shown" | tail -n 1 | key "$2"
}

# evicted PID N: so many samples have made room.
evicted() {
	[ "$(last "$1" evicted)" -ge "$2" ]
}

random() {
	echo $(($(od -An -N 2 -tu2 /dev/urandom) % $1))
}

# What a kill leaves is what was there before, and maybe more, and all of it is as the module shows it.
case_killed_at_any_time() {
	spawn burn user 1
	load "target=1,$PID,2 period_us=5000 max_samples=1000000"
	: >"$T/seen"
	rounds=$(few 10) killed=0 late=0 total=0
	for round in $(seq "$rounds"); do
		for i in 1 2 3 4 5 6 7 8 9 10; do
			# From the oldest sample on, or from now on.
			[ "$i" = 1 ] && [ "$((round % 3))" = 0 ] && new='' || new=--from-now
			# shellcheck disable=SC2086 # none
			record "$i.rec" $new
			(
				pid=$RECORD
				usleep "$(random 30000)00"
				[ ! -e "$T/$i.rec" ] || cp "$T/$i.rec" "$T/$i.before"
				kill -KILL "$pid"
			) &
			killers="${killers-} $!"
			records="${records-} $RECORD"
		done
		# shellcheck disable=SC2086 # words
		wait $killers $records || :
		killers='' records=''
		for i in 1 2 3 4 5 6 7 8 9 10; do
			killed=$((killed + 1))
			if ! shown_of "$i.rec" >"$T/$i.shown" 2>"$T/errors"; then
				grep -q 'ended before its head was written\|No such file' "$T/errors" || fail "$(said "$T/errors")"
				[ ! -s "$T/$i.before" ] || ! shown_of "$i.before" >"$T/before" 2>&1 || fail "what was there is lost"
				rm -f "$T/$i.rec" "$T/$i.before"
				continue
			fi
			same "what show says" "$(said "$T/errors")" ""
			./taskmon info -i "$T/$i.rec" | grep -q 'ended  abnormally' || fail "it has an end"
			if shown_of "$i.before" >"$T/before" 2>/dev/null; then
				head -n "$(wc -l <"$T/before")" "$T/$i.shown" | cmp - "$T/before" || fail "what was there has changed"
			fi
			awk '{ if ($2 in seq && $20 != seq[$2] + 1 && !missed) print "a gap before " $0; seq[$2] = $20 }' \
				missed="$(awk '{ n += $18 } END { print n + 0 }' "$TASKS")" "$T/$i.shown" >"$T/gaps"
			[ ! -s "$T/gaps" ] || fail "$(head -n 3 "$T/gaps")"
			lines=$(wc -l <"$T/$i.shown")
			total=$((total + lines))
			[ "$lines" = 0 ] || late=$((late + 1))
			cat "$T/$i.shown" >>"$T/seen"
			rm -f "$T/$i.rec" "$T/$i.before"
		done
	done
	note "$killed killed, $late with samples, $total in all"
	[ "$late" -gt 0 ] || fail "none had a sample"
	# Nothing was ever evicted: each is still there.
	sort "$FOLLOW" >"$T/all"
	sort -u "$T/seen" | awk 'NR == FNR { all[$0]; next } !($0 in all) { print; bad = 1 } END { exit bad }' "$T/all" - ||
		fail "samples that the module does not have"
}

# The kernel evicts what is 15 s old. taskmon has that long to read it.
case_no_hole_though_the_kernel_evicts() {
	spawn burn user 1
	records a.rec "1,$PID" "period_us=2000 max_samples=7500"
	await evicted 1 "$(few 1000)"
	recorded a.rec
	for pid in 1 $PID; do
		all_told "$pid"
		same "lost that could have been read" "$gone" 0
	done
	note "$in_file samples of a task, $(info "$PID" lost_missed) missed, $(stat -c %s "$T/a.rec") bytes in all"
	same mode "$(stat -c %a "$T/a.rec")" 600
}

case_what_is_evicted_unread_is_told() {
	spawn burn user 1
	records a.rec "1,$PID" "period_us=1000 max_samples=100"
	for _ in $(seq "$(few 5)"); do
		kill -STOP "$RECORD"
		await evicted 1 $(($(last 1 evicted) + 300))
		kill -CONT "$RECORD"
		usleep "$(random 3000)00"
	done
	recorded a.rec
	for pid in 1 $PID; do
		all_told "$pid"
		between "evicted unread" "$(info "$pid" lost_evicted)" 100 100000
		same reclaimed "$(info "$pid" lost_reclaimed)" 0
	done
	note "$(tail -n 1 "$T/record.said")"
}

# There is no sample behind them that shows that they are missing.
case_what_is_evicted_last_is_told() {
	records a.rec 1,2 "period_us=1000 max_samples=1000000"
	kill -STOP "$RECORD"
	later 1 100
	writes 5 "stop
"
	writes 6 "clear
"
	kill -CONT "$RECORD"
	recorded a.rec
	for pid in 1 2; do
		all_told "$pid"
		between "evicted unread" "$(info "$pid" lost_evicted)" 100 1000000
	done
	note "$(tail -n 1 "$T/record.said")"
}

case_what_is_reclaimed_unread_is_told() {
	records a.rec 1,2 "period_us=1000 max_samples=1000000"
	kill -STOP "$RECORD"
	later 1 2000
	reclaim
	later 2 100
	kill -CONT "$RECORD"
	recorded a.rec
	[ "$(last 1 reclaimed)" -gt 0 ] || fail "nothing was reclaimed"
	for pid in 1 2; do
		all_told "$pid"
		same evicted "$(info "$pid" lost_evicted)" 0
	done
	between "reclaimed unread" "$(info 1 lost_reclaimed)" 1 1000000
	note "$(tail -n 1 "$T/record.said")"
}

# says_full: it has said that there is no room.
says_full() {
	[ -e "/proc/$RECORD" ] || fail "record has ended: $(cat "$T/record.said")"
	grep -q 'no space left for' "$T/record.said"
}

# larger FILE BYTES
larger() {
	[ "$(stat -c %s "$T/$1")" -gt "$2" ]
}

# A small disk, of which all but 20 KB is taken.
small_disk() {
	mkdir -p "$T/ballast"
	mount -t tmpfs -o size=512k tmpfs "$T/ballast"
	dd if=/dev/zero of="$T/ballast/filling" bs=1024 count=492 2>/dev/null
}

case_a_full_disk_that_is_emptied() {
	spawn burn user 1
	small_disk
	records ballast/a.rec "1,2,$PID" "period_us=2000 max_samples=1000000"
	await says_full
	was=$(stat -c %s "$T/ballast/a.rec")
	shown_of ballast/a.rec >"$T/before"
	later 1 1000
	same "size on a full disk" "$(stat -c %s "$T/ballast/a.rec")" "$was"
	rm "$T/ballast/filling"
	await larger ballast/a.rec "$was"
	recorded ballast/a.rec
	for pid in 1 2 $PID; do
		all_told "$pid"
		same "without room" "$no_space" 0
	done
	head -n "$(wc -l <"$T/before")" "$T/shown" | cmp - "$T/before" || fail "what was there has changed"
	same "what it said" "$(grep -c 'no space left for' "$T/record.said")" 1
	umount "$T/ballast"
}

case_a_disk_that_stays_full() {
	spawn burn user 1
	small_disk
	records ballast/a.rec "1,2,$PID" "period_us=2000 max_samples=1000000"
	await says_full
	# Whatever is left, somebody else takes.
	dd if=/dev/zero of="$T/ballast/more" bs=1024 2>/dev/null || :
	later 1 500
	recorded ballast/a.rec
	grep -q 'ended  when taskmon was stopped by a signal' "$T/about" || fail "it has no end: $(cat "$T/about")"
	for pid in 1 2 $PID; do
		all_told "$pid"
		between "without room" "$no_space" 100 1000000
	done
	note "$(sed -n 2p "$T/record.said")"
	# What was kept for the end has gone back.
	between "bytes allocated" $(($(stat -c %b "$T/ballast/a.rec") * 512)) 0 $(($(stat -c %s "$T/ballast/a.rec") + PAGE - 1))
	umount "$T/ballast"
}

case_no_larger_than_asked_for() {
	spawn burn user 1
	load "target=1,$PID period_us=1000"
	status=0
	./taskmon record -o "$T/a.rec" --max-size 20000 2>"$T/record.said" || status=$?
	same "status of record" "$status" 0
	between size "$(stat -c %s "$T/a.rec")" 10000 20000
	./taskmon info -i "$T/a.rec" >"$T/about"
	grep -q 'ended  at its maximum size' "$T/about" || fail "$(cat "$T/about")"
	# It is long over: the module can go.
	unload
}

case_a_command() {
	load target=1
	status=0
	./taskmon record -o "$T/a.rec" --period 10ms -- sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; exit 7' \
		2>"$T/said" || status=$?
	same "status of the command" "$status" 7
	grep -q '^ *status  exit 7$' "$T/said" || fail "no summary: $(cat "$T/said")"
	tail -n 1 "$T/said" | grep -q ' sample.* of 1 task in ' || fail "no line of the recording: $(cat "$T/said")"
	./taskmon info -i "$T/a.rec" >"$T/about"
	grep -q 'ended  with the command (exit status 7)' "$T/about" || fail "$(cat "$T/about")"
	./taskmon show -i "$T/a.rec" --format csv --fields pid,seq >"$T/shown"
	same "tasks in it" "$(sed 1d "$T/shown" | cut -d , -f 1 | sort -u | wc -l)" 1
	same "monitored now" "$(cut -d ' ' -f 2 "$TASKS")" 1
	same period "$(cat "$PARAMETERS/period_us")" 1000000
}

case_a_command_shorter_than_the_period() {
	load period_us=3600000000
	# More memory than taskmon has before it turns into the command: else the peak is not known.
	./taskmon record -o "$T/a.rec" -- sh -c 'i=0 x=0123456789abcdef
		while [ $i -lt 17 ]; do i=$((i + 1)) x=$x$x; done
		while [ $i -lt 30000 ]; do i=$((i + 1)); done' 2>"$T/said" ||
		fail "$(cat "$T/said")"
	told=$(awk '$1 == "user" || $1 == "system" { s += $2 } END { print s }' "$T/said")
	./taskmon info -i "$T/a.rec" >"$T/about"
	grep -q '^ peak RSS  [0-9.]*[KM]iB, by the kernel$' "$T/about" || fail "no peak: $(cat "$T/about")"
	./taskmon info -i "$T/a.rec" --format csv >"$T/info"
	pid=$(sed -n 's/^taskmon: sh, PID //p' "$T/said")
	same samples "$(info "$pid" samples)" 1
	same name "$(info "$pid" name)" sh
	same "peak of the samples" "$(info "$pid" peak_rss_bytes)" ""
	note "by the kernel $told s, in the recording $(info "$pid" cpu_seconds) s"
	between "CPU s" "$(info "$pid" cpu_seconds)" "$(awk -v t="$told" 'BEGIN { print t - 0.003 }')" \
		"$(awk -v t="$told" 'BEGIN { print t + 0.003 }')"
	between "CPU %" "$(info "$pid" cpu_percent)" 5 101
	./taskmon csv -i "$T/a.rec" >"$T/csv"
	same "rows of csv" "$(sed 1d "$T/csv" | wc -l)" 1
	between "CPU % of the row" "$(sed 1d "$T/csv" | cut -d , -f 16)" 5 101
	./taskmon plot --ascii -i "$T/a.rec" >"$T/plot" || fail "no picture"
	same "what a sample says that was before" "$(shown_of a.rec | wc -l)" 1
}

# offsets: the time of day minus that since boot of each sample in the file, in seconds, with those that are equal once.
offsets() {
	./taskmon csv -i "$T/a.rec" | awk -F , 'NR > 1 { print $1, $2 }' |
		while read -r time boottime; do
			echo $(($(date -u -D %Y-%m-%dT%H:%M:%S -d "${time%%.*}" +%s) - boottime / 1000000000))
		done | awk 'NR == 1 || $1 - last > 10 || last - $1 > 10 { print; last = $1 }'
}

case_the_clock_is_set_meanwhile() {
	load "target=1 period_us=100000"
	record a.rec
	await has_begun a.rec
	later 1 3
	now=$(date +%s)
	date -s "@$((now + 86400))" >/dev/null
	later 1 25
	date -s "@$((now - 3600))" >/dev/null
	later 1 25
	writes 5 "stop
"
	kill -TERM "$RECORD"
	wait "$RECORD" || fail "$(cat "$T/record.said")"
	date -s "@$now" >/dev/null
	./taskmon info -i "$T/a.rec" >"$T/about"
	same "changes of the clock" "$(grep -c '^ *clock  set by [+-]' "$T/about")" 2
	offsets >"$T/offsets"
	note "seconds from the time since boot to the time of day: $(tr '\n' ' ' <"$T/offsets")"
	same "clocks in the file" "$(wc -l <"$T/offsets")" 3
	{ read -r first; read -r second; read -r third; } <"$T/offsets"
	between "seconds that it was set by" $((second - first)) 86390 86410
	between "seconds that it was set back by" $((second - third)) 89980 90020
	# What is asked for by the time of day is by the clock as it was then.
	./taskmon show -i "$T/a.rec" --since "$((now + 80000))" --format csv --fields seq >"$T/late"
	between "samples of the next day" "$(sed 1d "$T/late" | wc -l)" 15 40
	./taskmon plot --ascii -i "$T/a.rec" >"$T/plot" || fail "no picture"
	grep -q 'the clock was set by' "$T/plot" || fail "$(cat "$T/plot")"
}

# suspends: the machine, for two seconds or more (without KVM, ten), as far as a test of the kernel goes.
suspends() {
	log_noisy
	echo 2 >/sys/module/suspend/parameters/pm_test_delay
	echo core >/sys/power/pm_test
	echo mem >/sys/power/state || fail "the machine cannot be suspended"
	echo none >/sys/power/pm_test
}

# slept FILE: of the rows of a task in it (columns lost, elapsed_ns, suspended_ns), those with a time in which the machine was
# suspended have no rate.
slept() {
	same "rows with a suspend" "$(awk -F , '$3 > 1e9' "$1" | wc -l)" 1
	same "rates over a suspend" "$(awk -F , '$3 > 0 && $2 != ""' "$1")" ""
}

case_a_suspend_is_a_gap() {
	can_suspend || return 0
	load "target=1 period_us=300000"
	record a.rec
	await has_begun a.rec
	later 1 4
	suspends
	later 1 4
	writes 5 "stop
"
	kill -TERM "$RECORD"
	wait "$RECORD" || fail "$(cat "$T/record.said")"
	./taskmon info -i "$T/a.rec" >"$T/about"
	same "suspends in the file" "$(grep -c '^ *clock  suspended for [1-9]' "$T/about")" 1
	./taskmon csv -i "$T/a.rec" | sed 1d | awk -F , '{ print $7 "," $15 "," $21 }' >"$T/rows"
	slept "$T/rows"
	./taskmon show -i "$T/a.rec" | grep -q '^# pid 1: the machine was suspended for [1-9]' || fail "show says nothing"
	# Who looks later did not see it. (If samples are missing, too, that is told instead.)
	./taskmon show --format csv --fields lost,elapsed_ns,suspended_ns | sed 1d >"$T/rows"
	note "looked at later: $(awk -F , '$3 > 0 || $1 > 0' "$T/rows" | tr '\n' ' ')"
	[ "$(awk -F , '$1 > 0' "$T/rows")" ] || slept "$T/rows"
	./taskmon doctor >"$T/doctor" || :
	grep -q 'the machine was suspended for ' "$T/doctor" || fail "$(cat "$T/doctor")"
}

case_another_time_namespace() {
	load "target=1 period_us=10000"
	later 1 3
	ahead=$(./helper timens 86400 ./taskmon show --since 1h --format csv --fields time,seq | sed 1d | tail -n 1)
	[ "$ahead" ] || fail "no sample of the last hour"
	time=${ahead%%.*}
	same "the day of the newest sample" "${time%%T*}" "$(date -u +%Y-%m-%d)"
	./helper timens 86400 ./taskmon doctor >"$T/doctor" || :
	grep -q 'time namespace, whose boot time is 86400s ahead' "$T/doctor" || fail "$(cat "$T/doctor")"
	# Those of a command begin with it.
	./helper timens 86400 ./taskmon record -o "$T/a.rec" -- sh -c 'i=0; while [ $i -lt 30000 ]; do i=$((i + 1)); done' \
		2>"$T/said" || fail "$(cat "$T/said")"
	[ "$(shown_of a.rec | wc -l)" -gt 1 ] || fail "no samples of it"
}

case_two_commands_compared() {
	load
	for n in 10000 60000; do
		./taskmon record -o "$T/$n.rec" --period 10ms -- sh -c "i=0; while [ \$i -lt $n ]; do i=\$((i + 1)); done" \
			2>"$T/said" || fail "$(cat "$T/said")"
	done
	./taskmon diff "$T/10000.rec" "$T/60000.rec" >"$T/table" || fail "without a limit, nothing is beyond one"
	grep -q '^sh  *cpu  *[0-9.]* s  *[0-9.]* s  *+[0-9.]* %$' "$T/table" || fail "$(cat "$T/table")"
	status=0
	./taskmon diff "$T/10000.rec" "$T/60000.rec" --max-increase cpu=100% >"$T/table" 2>"$T/said" || status=$?
	same "status of six times as much" "$status" 1
	same "what is said" "$(cat "$T/said")" "taskmon: limit exceeded: sh cpu"
	./taskmon diff "$T/60000.rec" "$T/10000.rec" --max-increase cpu=0% --max-increase wall=0% >"$T/table" || fail "$(cat "$T/table")"
}

run_cases "$@"
