# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# long
# kernels: debug
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
	# Tasks are kept by 16 that come one after the other: from here on, one alone needs memory for that.
	for _ in $(seq 13); do
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
	for file in "$FILE" "$FOLLOW" "$TASKS"; do
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
	echo start >"$FILE"
	later "$A" 5
	echo "$PID" >"$FILE"
	echo stop >"$FILE"
	behind=$(($(status "$A" taken) + $(status "$A" missed) - $(status "$PID" taken) - $(status "$PID" missed)))
	between "instants before the second task" $behind 1 1000000
	failing on
	echo start >"$FILE"
	await reached "$PID" 500
	echo stop >"$FILE"
	failing off
	same evicted "$(status "$A" evicted) $(status "$PID" evicted)" "0 0"
	instants "$PID" | awk -v behind=$behind '{ print $1 + behind }' >"$T/b"
	instants "$A" | awk -v behind=$behind '$1 > behind' | cmp - "$T/b" || fail "one was sampled without the other"
	between "samples of $PID" "$(wc -l <"$T/b")" 100 100000
	adds_up
}

case_the_oldest_block_makes_room() {
	spawn pause
	A=$PID
	spawn pause
	load "target=$A,$PID period_us=1000 sampling=N reserve=8"
	failing on
	echo start >"$FILE"
	await reached "$A" 1000
	echo stop >"$FILE"
	failing off
	for pid in "$A" "$PID"; do
		between "evicted of $pid" "$(status "$pid" evicted)" 100 1000000
		between "samples of $pid" "$(status "$pid" samples)" 1 $((9 * 17))
	done
	# 2 blocks at the load, 8 of the reserve.
	between samples $(($(status "$A" samples) + $(status "$PID" samples))) $((8 * 17)) $((10 * 17))
	same "taken of both" "$(status "$A" taken)" "$(status "$PID" taken)"
	same "missed of both" "$(status "$A" missed)" "$(status "$PID" missed)"
	samples | sound
	adds_up
	# With memory to be had again, histories grow again.
	had=$(status "$A" samples)
	echo start >"$FILE"
	later "$A" 200
	between "samples of $A" "$(status "$A" samples)" $((had + 170)) 1000000
}

# missed_more PID N
missed_more() {
	[ "$(status "$1" missed)" -ge "$2" ]
}

# The one reason to miss an instant for want of memory: readers hold every block there is.
case_readers_hold_all_blocks() {
	spawn pause
	load "target=$PID period_us=1000 sampling=N reserve=1"
	failing on
	# Two blocks, of which the second is not full.
	lines=0
	for _ in $(seq 100); do
		[ "$lines" -lt 20 ] || [ "$lines" -gt 33 ] || break
		echo start >"$FILE"
		later "$PID" 2
		echo stop >"$FILE"
		lines=$(samples | wc -l)
	done
	between "samples in two blocks" "$lines" 20 33
	taken=$(($(status "$PID" taken) + 34 - lines))
	holding 10
	first=$HOLDER
	holding $(($(samples | head -n 17 | wc -c) + 10))
	echo start >"$FILE"
	missed=$(status "$PID" missed)
	await missed_more "$PID" $((missed + 100))
	same "taken until both blocks were full" "$(status "$PID" taken)" "$taken"
	missed=$(status "$PID" missed)
	await missed_more "$PID" $((missed + 100))
	same "taken meanwhile" "$(status "$PID" taken)" "$taken"
	same samples "$(samples | wc -l)" 34
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
