# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
#
# The parameters: their defaults and ranges at load and while loaded, and what they change.

. ./guest.sh

# has NAME VALUE: the value in force.
has() {
	same "$1" "$(cat "$PARAMETERS/$1")" "$2"
	same "$1 in $STATS" "$(stats "$1")" "${2:-none}"
}

# ram: the machine's memory in MiB, as the kernel manages it.
ram() {
	awk '/^MemTotal:/ { printf "%d", $2 / 1024 }' /proc/meminfo
}

case_defaults() {
	load
	has target ""
	has period_us 1000000
	has max_samples 3600
	has max_tasks 16384
	has max_mib $(($(ram) / 20))
	has reserve 64
	has sampling Y
}

case_modes_of_the_files() {
	load
	for file in "$FILE 600" "$FOLLOW 400" "$TASKS 400" "$STATS 400" "$SYSFS 600" \
		"$PARAMETERS/target 400" "$PARAMETERS/max_tasks 444" "$PARAMETERS/period_us 644" \
		"$PARAMETERS/max_samples 644" "$PARAMETERS/max_mib 644" "$PARAMETERS/reserve 644" \
		"$PARAMETERS/sampling 644"; do
		same "mode of ${file% *}" "$(stat -c %a "${file% *}")" "${file#* }"
	done
	same parameters "$(cd "$PARAMETERS" && echo *)" \
		"max_mib max_samples max_tasks period_us reserve sampling target"
}

case_what_modinfo_says() {
	tr '\0' '\n' <taskmonitor.ko | grep -aE '^parm(type)?=' >"$T/modinfo"
	for name in target period_us max_samples max_tasks max_mib reserve sampling; do
		grep -q "^parm=$name:" "$T/modinfo" || fail "no description of $name"
		grep -q "^parmtype=$name:" "$T/modinfo" || fail "no type of $name"
	done
}

# The numbers that are out of each range, or none.
NONE="-1 +1x abc 1x 0x 4294967296 4294967396 18446744073709551716 99999999999999999999"

case_out_of_range_at_load() {
	for value in "" $NONE 0 99 3600000001; do
		refused EINVAL "period_us=$value"
	done
	for value in "" $NONE 0 16777217; do
		refused EINVAL "max_samples=$value"
	done
	for value in "" $NONE 0 1048577; do
		refused EINVAL "max_tasks=$value"
	done
	for value in "" $NONE 0 $(($(ram) + 2)); do
		refused EINVAL "max_mib=$value"
	done
	for value in "" $NONE 0 4097; do
		refused EINVAL "reserve=$value"
	done
	for value in "" x 2 maybe; do
		refused EINVAL "sampling=$value"
	done
	for name in period_us max_samples max_tasks max_mib reserve target; do
		refused EINVAL "$name"
	done
}

case_the_ends_of_the_ranges_at_load() {
	load "period_us=100 max_samples=1 max_tasks=1 max_mib=1 reserve=1 sampling=n"
	has period_us 100
	has max_samples 1
	has max_tasks 1
	has max_mib 1
	has reserve 1
	has sampling N
	unload
	load "period_us=3600000000 max_samples=16777216 max_tasks=1048576 max_mib=$(ram) reserve=4096 sampling=1"
	has period_us 3600000000
	has max_samples 16777216
	has max_tasks 1048576
	has max_mib "$(ram)"
	has reserve 4096
	has sampling Y
}

# refuses NAME VALUE...: writing these is an error, and changes nothing.
refuses() {
	name=$1
	shift
	was=$(cat "$PARAMETERS/$name")
	for value; do
		writes_to "$PARAMETERS/$name" EINVAL "$value\n"
		has "$name" "$was"
	done
}

case_out_of_range_while_loaded() {
	load target=1
	# shellcheck disable=SC2086 # words
	{
		refuses period_us " " $NONE 0 99 3600000001
		refuses max_samples " " $NONE 0 16777217
		refuses max_mib " " $NONE 0 $(($(ram) + 2))
		refuses reserve " " $NONE 0 4097
		refuses sampling x 2 maybe
	}
	# Not to be written by anybody, not even root.
	for name in target max_tasks; do
		! { echo 2 >"$PARAMETERS/$name"; } 2>/dev/null || fail "$name can be written to"
	done
	has max_tasks 16384
	later 1
}

case_the_ends_of_the_ranges_while_loaded() {
	load
	for pair in period_us=100 period_us=3600000000 max_samples=1 max_samples=16777216 max_mib=1 \
		"max_mib=$(ram)" reserve=1 reserve=4096 reserve=64; do
		echo "${pair#*=}" >"$PARAMETERS/${pair%=*}"
		has "${pair%=*}" "${pair#*=}"
	done
}

case_a_period_written_live() {
	load "target=1 period_us=3600000000"
	echo 10000 >"$PARAMETERS/period_us"
	later 1 5
	echo 3600000000 >"$PARAMETERS/period_us"
	still 1
	echo 100 >"$PARAMETERS/period_us"
	later 1 20
	samples | sound
	# No instant of a new grid is lost, and none is counted twice.
	echo stop >"$FILE"
	adds_up
	# As many as there were periods since, at most.
	after=$(($(status 1 taken) + $(status 1 missed) - $(newest 1 seq) - 1))
	between "instants after the newest sample" $after 0 \
		"$(awk -v then="$(newest 1 time)" '{ printf "%d", ($1 + 0.01 - then / 1e9) * 1e4 + 2 }' /proc/uptime)"
}

# Whenever the period changes, the thread goes on, and counts on, at once.
case_many_changes_of_the_period() {
	load "target=1 period_us=100"
	for _ in $(seq 100); do
		echo 100 >"$PARAMETERS/period_us"
		usleep 1000
		echo 1000000 >"$PARAMETERS/period_us"
		echo stop >"$FILE"
		echo start >"$FILE"
	done
	echo 3600000000 >"$PARAMETERS/period_us"
	still 1
	same instants $(($(status 1 taken) + $(status 1 missed))) $(($(newest 1 seq) + 1))
	echo 1000 >"$PARAMETERS/period_us"
	later 1 20
}

case_max_samples_at_load() {
	spawn pause
	load "target=1,$PID period_us=1000 max_samples=1"
	later 1 20
	# (While sampling goes on, the one sample there is may be younger than the reading of it.)
	echo stop >"$FILE"
	same samples "$(samples | wc -l)" 2
	unload
	load "target=1,$PID period_us=1000 max_samples=100"
	capacity
	later 1 $((2 * MOST))
	between "seq of the oldest" "$(samples 1 | key seq | head -n 1)" 1 1000000
	echo stop >"$FILE"
	same samples "$(samples | wc -l)" 200
	samples | sound
	adds_up
}

case_max_samples_written_live() {
	spawn pause
	load "target=1,$PID period_us=1000"
	capacity
	later 1 $((2 * MOST))
	echo 50 >"$PARAMETERS/max_samples"
	later 1
	between "samples after a lower limit" "$(samples 1 | wc -l)" 1 50
	echo 100 >"$PARAMETERS/max_samples"
	later 1 100
	echo stop >"$FILE"
	same samples "$(samples | wc -l)" 200
	for limit in 99 83 82 34 2 1; do
		echo $limit >"$PARAMETERS/max_samples"
		same "samples at the limit $limit" "$(samples | wc -l)" $((2 * limit))
		samples | sound
		adds_up
	done
	echo start >"$FILE"
	later 1 20
	echo stop >"$FILE"
	same samples "$(samples | wc -l)" 2
	adds_up
}

# However the limit lies to the end of a block.
case_max_samples_one_by_one() {
	spawn renaming one other
	load "target=$PID period_us=1000 max_samples=401"
	later "$PID" 500
	echo stop >"$FILE"
	# What is different in a task that runs takes 6 bytes at least of the 1024 of a block: one ends in between.
	for limit in $(seq 400 -1 230); do
		echo "$limit" >"$PARAMETERS/max_samples"
		same "samples at the limit" "$(wc -l <"$FILE")" "$limit"
	done
	samples | sound
	adds_up
}

case_max_samples_of_an_ended_task() {
	spawn pause
	load "target=$PID period_us=1000"
	capacity
	later "$PID" $((2 * MOST))
	end_task
	await ended "$PID"
	echo 10 >"$PARAMETERS/max_samples"
	same samples "$(samples | wc -l)" 10
	same "the last one" "$(newest "$PID" state)" X
	adds_up
}

case_max_tasks() {
	spawn pause
	a=$PID
	spawn pause
	b=$PID
	spawn pause
	refused ENOSPC "target=1,$a,$b max_tasks=2"
	load "target=$a,$b max_tasks=2 period_us=1000"
	writes ENOSPC "$PID\n"
	writes EEXIST "$a\n"
	writes ESRCH '4194303\n'
	same tasks "$(shown)" "$a $b"
	# One that has exited makes room, with its history; of several, the one that did so first.
	end_task "$b"
	await ended "$b"
	end_task "$a"
	await ended "$a"
	same tasks "$(shown)" "$a $b"
	echo "$PID" >"$FILE"
	same tasks "$(shown)" "$a $PID"
	echo 1 >"$FILE"
	same tasks "$(shown)" "$PID 1"
	writes ENOSPC "2\n"
	# A zombie takes the place of none that lives.
	spawn zombie 0
	writes ENOSPC "$PID\n"
	adds_up_at_rest
}

# However long it is to the next instant: one that has ended is not living.
case_max_tasks_without_instants() {
	spawn pause
	a=$PID
	spawn pause
	b=$PID
	spawn pause
	load "target=$a,$b max_tasks=2 sampling=N"
	writes ENOSPC "$PID\n"
	end_task "$b"
	writes $((${#PID} + 1)) "$PID\n"
	same tasks "$(shown)" "$a $PID"
	writes ENOSPC "1\n"
	echo start >"$FILE"
	later "$a"
	adds_up_at_rest
}

adds_up_at_rest() {
	echo stop >"$FILE"
	adds_up
}

case_reserve() {
	load reserve=1000
	between "blocks of a reserve of 1000" "$(blocks)" 1000 $((1000 + HELD))
	echo 3000 >"$PARAMETERS/reserve"
	between "blocks of a reserve of 3000" "$(blocks)" 3000 $((3000 + HELD))
	echo 1 >"$PARAMETERS/reserve"
	between "blocks of a reserve of 1" "$(blocks)" 0 $HELD
}

case_max_mib() {
	spawn threads 50 0
	tids=$(sed -n 's/^tid //p' "$OUT")
	load "max_mib=2 reserve=1 period_us=100 max_samples=1000000"
	for tid in $tids; do
		echo "$tid" >"$FILE"
	done
	size=$(awk '/^task_sample / { print $4 }' /proc/slabinfo)
	await evicting
	between "bytes of all blocks" $(($(blocks) * size)) 1900000 $(((2 << 20) + HELD * size))
	# A higher limit takes effect at once, a lower one too.
	echo 3 >"$PARAMETERS/max_mib"
	await has_blocks $((5 * 512 * 1024 / size))
	echo 1 >"$PARAMETERS/max_mib"
	echo stop >"$FILE"
	between "bytes of all blocks" $(($(blocks) * size)) 900000 $(((1 << 20) + HELD * size))
	adds_up
	# Round robin: no task has lost all, none has kept all.
	mean=$(($(total samples) / 50))
	between "fewest samples of a task" "$(awk '{ print $10 }' "$TASKS" | sort -n | head -n 1)" $((mean / 2)) $mean
	between "most samples of a task" "$(awk '{ print $10 }' "$TASKS" | sort -n | tail -n 1)" $mean $((mean * 3 / 2))
	same "reclaimed" "$(awk '{ n += $16 } END { print n }' "$TASKS")" 0
}

evicting() {
	[ "$(awk '{ n += $14 } END { print n }' "$TASKS")" -ge 1000 ]
}

case_sampling_at_load() {
	load "target=1 period_us=1000 sampling=N"
	usleep 100000
	same samples "$(samples | wc -l)" 1
	# With the next instant in an hour, none can be missed by being late.
	echo 3600000000 >"$PARAMETERS/period_us"
	echo Y >"$PARAMETERS/sampling"
	await reached 1 1
	same "seq after the start" "$(samples | key seq | xargs)" "0 1"
	echo 1000 >"$PARAMETERS/period_us"
	later 1 10
}

case_a_bool_without_a_value_is_true() {
	load "sampling=N sampling"
	has sampling Y
}

case_sampling_while_loaded() {
	load "target=1 period_us=1000"
	later 1
	for value in N 0 n off; do
		echo $value >"$PARAMETERS/sampling"
		has sampling N
		last=$(newest 1 seq)
		usleep 50000
		same seq "$(newest 1 seq)" "$last"
		echo start >"$FILE"
		has sampling Y
		later 1
	done
	echo stop >"$FILE"
	has sampling N
	for value in Y 1 y on; do
		echo $value >"$PARAMETERS/sampling"
		has sampling Y
		later 1
		echo stop >"$FILE"
		has sampling N
	done
}

case_the_time_stopped_has_no_instants() {
	load "target=1 period_us=10000"
	later 1 5
	echo stop >"$FILE"
	counted=$(($(status 1 taken) + $(status 1 missed)))
	usleep 500000
	same instants $(($(status 1 taken) + $(status 1 missed))) "$counted"
	echo 3600000000 >"$PARAMETERS/period_us"
	echo start >"$FILE"
	# The first instant of the new grid is now, the next in an hour.
	await reached 1 "$counted"
	same seq "$(newest 1 seq)" "$counted"
	same instants $(($(status 1 taken) + $(status 1 missed))) $((counted + 1))
}

run_cases "$@"
