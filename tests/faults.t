# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# long
# kernels: debug
# vm: -a debug_objects
#
# Each allocation fails once, in all that a user can do; and those of the sampling thread for long.

. ./guest.sh

INJECTION=/sys/kernel/debug

# allocations objects|pages: which can be failed: all slab objects but those of kmemleak, which has one
# for each, and those of mempools; or all pages. Not both at once: when the slabs ask for pages is
# chance, so that what comes after them would be counted differently each time.
allocations() {
	# What the kernel says of it is no matter.
	log_noisy
	for kind in failslab fail_page_alloc fail_mempool_alloc fail_mempool_alloc_bulk; do
		echo 0 >$INJECTION/$kind/verbose
	done
	for kind in failslab fail_page_alloc; do
		echo N >$INJECTION/$kind/ignore-gfp-wait
	done
	echo N >$INJECTION/fail_page_alloc/ignore-gfp-highmem
	echo Y >$INJECTION/failslab/cache-filter
	case $1 in
	objects) objects=1 order=20 ;;
	pages) objects=0 order=0 ;;
	esac
	echo "$order" >$INJECTION/fail_page_alloc/min-order
	for cache in /sys/kernel/slab/*; do
		case $cache in
		*/kmemleak_*) ;;
		*) echo "$objects" >"$cache/failslab" ;;
		esac
	done
}

# survives LEAST ACTION...: whichever allocation of it fails, it succeeds or says ENOMEM, with nothing
# half done (the helper looks). So many objects, at least, are such that without them it is ENOMEM: a
# known number, as a loop that skips some would pass otherwise.
survives() {
	least=$1
	shift
	for what in objects pages; do
		allocations $what
		./helper faults "$@" >"$T/faults" || fail "$what, $*: $(cat "$T/faults")"
		! grep -vE '^(faults [0-9]+|[0-9]+ (ok|ENOMEM))$' "$T/faults" || fail "$what, $*: other errors"
		enomem=$(sed -n 's/ ENOMEM$//p' "$T/faults")
		note "$what, $*: $(xargs <"$T/faults")"
		[ $what = pages ] || between "$*: ENOMEM" "${enomem:-0}" "$least" 100000
	done
}

case_load() {
	spawn threads 2 0
	survives 150 load taskmonitor.ko "target=1,$PID,1 period_us=1000"
	load "target=1,$PID"
}

case_unload() {
	survives 0 unload taskmonitor.ko "target=1 period_us=1000"
}

# Three tasks, of which one has exited, with some samples; stopped, so that nothing changes by itself.
some_samples() {
	spawn pause
	A=$PID
	spawn pause
	load "target=1,$A,$PID period_us=1000"
	later 1 "${1:-40}"
	end_task
	await ended "$PID"
	echo stop >"$FILE"
	spawn pause
}

case_add() {
	some_samples
	# Tasks are kept by 14 that come one after the other: from here on, one alone needs memory for that.
	for _ in $(seq 11); do
		printf '%s\n-%s\n' "$PID" "$PID" >"$FILE"
	done
	survives 9 write "$FILE" "$PID\n" "-$PID\n" "$TASKS"
	survives 11 write "$SYSFS" "$PID\n" "-$PID\n" "$TASKS"
	adds_up
}

case_add_while_sampling() {
	some_samples
	echo start >"$FILE"
	survives 7 write "$FILE" "$PID\n" "-$PID\n"
	later 1
	echo stop >"$FILE"
	adds_up
}

# fault N FILE DATA: sets RESULT, and INJECTED if there was an allocation N.
fault() {
	INJECTED=
	RESULT=$(./helper fault "$@")
	case $RESULT in
	*" injected") INJECTED=yes ;;
	esac
	RESULT=${RESULT% injected}
}

# The task that exited longest ago goes if the add succeeds, and stays if it fails.
case_add_when_an_exited_task_must_go() {
	spawn zombie 0
	zombie=$PID
	spawn pause
	allocations objects
	n=0 failed=0
	INJECTED=yes
	while [ "$INJECTED" ]; do
		n=$((n + 1))
		load "target=1,$zombie max_tasks=2 sampling=N"
		cat "$TASKS" >"$T/before"
		fault $n "$FILE" "$PID\n"
		if [ "$RESULT" = ok ]; then
			same tasks "$(cut -d ' ' -f 2 "$TASKS" | xargs)" "1 $PID"
		else
			same "fault $n" "$RESULT" ENOMEM
			cmp "$TASKS" "$T/before" || fail "the add that failed (fault $n) changed: $(cat "$TASKS")"
			failed=$((failed + 1))
		fi
		unload
	done
	between "adds that failed" $failed 5 1000
	note "an add at max_tasks survived: faults $((n - 1)) $failed ENOMEM"
}

# Without a block there is no first sample, and so no task.
case_add_without_a_block() {
	load "target=1 reserve=1 sampling=N"
	spawn pause
	A=$PID
	spawn pause
	allocations objects
	echo -1 >$INJECTION/fail_mempool_alloc/times
	echo 100 >$INJECTION/fail_mempool_alloc/probability
	echo "$A" >"$FILE"
	cat "$TASKS" >"$T/before"
	writes ENOMEM "$PID\n"
	writes ENOMEM "$PID\n"
	echo 0 >$INJECTION/fail_mempool_alloc/probability
	cmp "$TASKS" "$T/before" || fail "the add that failed changed: $(cat "$TASKS")"
	writes ENOENT "-$PID\n"
	echo "$PID" >"$FILE"
	same tasks "$(cut -d ' ' -f 2 "$TASKS" | xargs)" "1 $A $PID"
	adds_up
}

case_remove() {
	some_samples
	echo "$PID" >"$FILE"
	survives 4 write "$FILE" "-$PID\n" "$PID\n"
	survives 6 write "$SYSFS" "-$PID\n" "$PID\n"
	adds_up
}

case_the_other_commands() {
	some_samples
	while read -r least file; do
		survives "$least" write "$file" "print $A\n" 'print all\n' "$FILE"
		survives "$least" write "$file" 'start\n' 'stop\n' "$PARAMETERS/sampling"
		survives "$least" write "$file" 'clear\n' 'clear\n'
	done <<-END
		4 $FILE
		6 $SYSFS
	END
	adds_up
}

case_each_parameter() {
	some_samples
	while read -r name value undo; do
		echo "$undo" >"$PARAMETERS/$name"
		survives 6 write "$PARAMETERS/$name" "$value" "$undo" "$PARAMETERS/$name"
	done <<-END
		period_us 5000 1000
		max_samples 10 3600
		max_mib 1 2
		reserve 300 64
		reserve 1 64
		sampling Y N
	END
	adds_up
}

reads() {
	for file in "$FILE" "$FOLLOW" "$TASKS" "$STATS"; do
		survives 5 read "$file"
	done
	survives 6 read "$SYSFS"
}

case_read_empty_histories() {
	load
	reads
	spawn pause
	echo stop >"$FILE"
	echo "$PID" >"$FILE"
	echo clear >"$FILE"
	reads
}

case_read_long_histories() {
	some_samples 1000
	reads
	adds_up
}

# failing on|off: all allocations of the sampling thread.
failing() {
	allocations objects
	thread=$(grep -lx taskmonitor /proc/[0-9]*/comm)
	echo 1 >"${thread%/comm}/make-it-fail"
	echo Y >$INJECTION/failslab/task-filter
	echo -1 >$INJECTION/failslab/times
	case $1 in
	on) echo 100 >$INJECTION/failslab/probability ;;
	off) echo 0 >$INJECTION/failslab/probability ;;
	esac
}

# instants PID: the times at which it was sampled, but for the first.
instants() {
	samples "$1" | key seq | sed 1d
}

# As long as there is a reserve, nothing is missed for want of memory, and nothing evicted. The thread
# may come too late for an instant, and then so for both tasks; but their blocks begin at different
# instants, so that for want of memory only one would miss it.
case_the_reserve() {
	spawn pause
	A=$PID
	spawn pause
	load "target=$A period_us=1000 sampling=N reserve=1000"
	capacity
	echo start >"$FILE"
	later "$A" 5
	echo "$PID" >"$FILE"
	echo stop >"$FILE"
	behind=$(($(status "$A" taken) + $(status "$A" missed) - $(status "$PID" taken) - $(status "$PID" missed)))
	between "instants before the second task" $behind 1 1000000
	failing on
	echo start >"$FILE"
	# Of the blocks that are filled meanwhile, the first was there.
	later "$PID" $((5 * MOST))
	echo stop >"$FILE"
	failing off
	same evicted "$(status "$A" evicted) $(status "$PID" evicted)" "0 0"
	instants "$PID" | awk -v behind=$behind '{ print $1 + behind }' >"$T/b"
	instants "$A" | awk -v behind=$behind '$1 > behind' | cmp - "$T/b" || fail "one was sampled without the other"
	between "samples of $PID" "$(wc -l <"$T/b")" $((5 * MOST)) 100000
	adds_up
}

# blocks_of: in hundredths, how many blocks the samples of sleepers on stdin fill: each takes 3 bytes, or 4 if it came
# more than 4 ms later or earlier than the one before lets expect; more if that is half a second, or if instants were
# missed. (Of the first of a block, the 25 are an estimate, and it is only known of the oldest block which that is.)
blocks_of() {
	awk '
		function bytes(n,  len) {
			for (len = 1; n >= 256; len++)
				n /= 256
			return len
		}
		{
			missed = $20 - seq - 1
			late = $8 - time - step * (missed + 1)
			late = 2 * (late < 0 ? -late : late)
			if ($2 != pid) {
				sum += 25
				step = 0
			} else if (missed) {
				sum += 4 + bytes(late) + bytes(missed)
			} else {
				sum += late < 8388608 ? 3 : late < 1073741824 ? 4 : 2 + bytes(late)
				if (late >= 8388608)
					step = $8 - time
			}
			pid = $2; seq = $20; time = $8
		}
		END { printf "%d\n", sum * 100 / 972 }'
}

has_evicted() {
	[ "$(status "$1" evicted)" -ge "$2" ]
}

case_the_oldest_block_makes_room() {
	spawn pause
	A=$PID
	spawn pause
	load "target=$A,$PID period_us=1000 sampling=N reserve=8"
	capacity
	failing on
	echo start >"$FILE"
	await has_evicted "$A" $((2 * MOST))
	await has_evicted "$PID" $((2 * MOST))
	echo stop >"$FILE"
	failing off
	# 2 blocks at the load, 8 of the reserve: of each task, all may be full but the newest.
	for pid in "$A" "$PID"; do
		between "samples of $pid" "$(status "$pid" samples)" 1 $((9 * MOST))
		between "hundredths of blocks that $pid has" "$(samples "$pid" | blocks_of)" 1 910
	done
	between "hundredths of blocks" "$(samples | blocks_of)" 750 1010
	same "taken of both" "$(status "$A" taken)" "$(status "$PID" taken)"
	same "missed of both" "$(status "$A" missed)" "$(status "$PID" missed)"
	samples | sound
	adds_up
	# With memory to be had again, histories grow again.
	had=$(status "$A" samples)
	echo start >"$FILE"
	later "$A" $((2 * MOST))
	# (The oldest block may have gone to make room for a last time.)
	between "samples of $A" "$(status "$A" samples)" $((had + MOST)) 1000000
}

# missed_more PID N
missed_more() {
	[ "$(status "$1" missed)" -ge "$2" ]
}

# only_misses PID: sets taken to what stays so while instants are missed.
only_misses() {
	taken=$(status "$1" taken) missed=$(status "$1" missed)
	await missed_more "$1" $((missed + 200))
	[ "$(status "$1" taken)" = "$taken" ]
}

# instants_at_once N: each new period begins with one; so none is missed, whatever else the machine does.
instants_at_once() {
	for _ in $(seq "$1"); do
		period=$((${period-3600000000} - 1))
		echo "$period" >"$PARAMETERS/period_us"
		usleep 20000
	done
}

# The one reason to miss an instant for want of memory: readers hold every block there is.
case_readers_hold_all_blocks() {
	spawn pause
	load "target=$PID period_us=3600000000 reserve=1"
	failing on
	# Two blocks, of which the second is not full.
	for _ in $(seq 100); do
		instants_at_once 10
		[ "$(samples | blocks_of)" -lt 120 ] || break
	done
	echo stop >"$FILE"
	between "hundredths of blocks" "$(samples | blocks_of)" 120 175
	holding 10
	first=$HOLDER
	# (Not at the end of the second, which it would let go.)
	holding $(($(samples | wc -c) - 1000))
	echo 10000 >"$PARAMETERS/period_us"
	echo start >"$FILE"
	await only_misses "$PID"
	missed=$(status "$PID" missed)
	await missed_more "$PID" $((missed + 100))
	same "taken meanwhile" "$(status "$PID" taken)" "$taken"
	same samples "$(samples | wc -l)" "$taken"
	# Not before both were full.
	between "hundredths of blocks" "$(samples | blocks_of)" 188 205
	kill -TERM "$first"
	await gone "$first"
	later "$PID" 100
	released
	samples | sound
	echo stop >"$FILE"
	failing off
	adds_up
}

run_cases "$@"
