# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# long
# kernels: stock
# modules: brd
# vm: -m 192
# vm: -m 256
#
# Histories that would fill the machine, and others who want memory: programs, the page cache, a memory
# cgroup, one by one and all at once: $PRESSURE rounds of each (1).

. ./guest.sh

ROUNDS=${PRESSURE:-1}

# mib KEY: of /proc/meminfo.
mib() {
	awk -v key="$1:" '$1 == key { print int($2 / 1024) }' /proc/meminfo
}

low() {
	[ "$(mib MemFree)" -lt 16 ]
}

kills() {
	awk '$1 == "oom_kill" { print $2 }' /proc/vmstat
}

# even: no sample was missed for want of memory, since a round that comes too late is missed by all. While
# one is under way, some are behind; but never for long, unless it is `stop` that has ended it.
even() {
	cat "$TASKS" >"$T/tasks"
	awk -v most="${BEHIND-0}" '
		NR == 1 { least = highest = $18 }
		$18 < least { least = $18 }
		$18 > highest { highest = $18 }
		END { exit !(NR && highest - least <= most) }' "$T/tasks"
}

# The bystanders live, and each task has a history that adds up.
sound_so_far() {
	same "kills by the OOM killer, with $(total samples) samples left" "$(kills)" 0
	for pid in $BYSTANDERS; do
		[ -e "/proc/$pid" ] || fail "bystander $pid is gone"
	done
	await even
	same "tasks" "$(wc -l <"$T/tasks")" 301
	adds_up_roughly
	same "tasks without a sample" "$(awk '$10 < 1' "$T/tasks")" ""
}

# history: 301 tasks, whose histories have taken what there was.
history() {
	modprobe_brd
	BYSTANDERS=
	for kind in pause "grow 4" pause; do
		# shellcheck disable=SC2086 # words
		spawn $kind
		BYSTANDERS="$BYSTANDERS $PID"
	done
	spawn threads 300 0
	BYSTANDERS="$BYSTANDERS $PID"
	# What programs may have: with half of it taken, there is room for the rest.
	SHARE=$(($(mib MemAvailable) / 2))
	load "period_us=100 max_samples=16000000 max_mib=$(mib MemTotal) sampling=N"
	{
		echo "$PID"
		sed -n 's/^tid //p' "$OUT"
		echo start
	} >"$FILE"
	# However long it takes, as long as samples come.
	until low; do
		await have taken $(($(total taken) + 10000))
	done
	# From now on such that a round is over before the next one.
	echo 10000 >"$PARAMETERS/period_us"
	sound_so_far
}

# A disk in memory of which nothing is written: what is read of it is page cache, and nothing else.
modprobe_brd() {
	log_allow "^brd: module loaded$"
	[ -b /dev/ram0 ] || insmod brd.ko rd_nr=1 rd_size=524288
}

# Programs that take their share and give it back.
programs() {
	for _ in $(seq "$ROUNDS"); do
		spawn grow "$SHARE"
		sound_so_far
		end_task
	done
}

# reading [GROUP]: the page cache is filled with all of the disk, again and again, until `reading_ends`.
reading() {
	(
		[ $# = 0 ] || echo 0 >"$1/cgroup.procs"
		while [ ! -e "$T/enough" ]; do
			dd if=/dev/ram0 of=/dev/null bs=1048576 2>/dev/null
			echo >>"$T/rounds"
		done
	) &
	READERS="${READERS-} $!"
	echo $! >>"$T/pids"
}

# reading_ends: when there were ROUNDS rounds.
reading_ends() {
	await enough_rounds
	: >"$T/enough"
	for pid in $READERS; do
		wait "$pid"
	done
	READERS=
	rm "$T/enough" "$T/rounds"
	sound_so_far
}

enough_rounds() {
	[ "$(wc -l <"$T/rounds")" -ge "$ROUNDS" ]
}

# group: a memory cgroup, in which there is far less than what is read in it. Sets GROUP.
group() {
	GROUP=/sys/fs/cgroup/small
	[ -e /sys/fs/cgroup/cgroup.procs ] || mount -t cgroup2 none /sys/fs/cgroup
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	mkdir -p $GROUP
	echo 12M >$GROUP/memory.max
}

# newest_are_kept: of each task.
newest_are_kept() {
	echo stop >"$FILE"
	BEHIND=1
	sound_so_far
	awk '{ print $2, $24 }' "$T/tasks" | sort >"$T/newest"
	# Not to have to look for them among some millions.
	echo 10 >"$PARAMETERS/max_samples"
	samples | awk '{ time[$2] = $8 } END { for (pid in time) print pid, time[pid] }' | sort |
		cmp - "$T/newest" || fail "the newest sample of a task is gone"
}

case_sampling_goes_on_under_pressure() {
	history
	before=$(total reclaimed) had=$(total samples)
	programs
	between "samples that went to programs" $(($(total reclaimed) - before)) $((had / 15)) 100000000

	reading
	reading_ends

	group
	reading $GROUP
	reading_ends

	reading
	reading $GROUP
	programs
	reading_ends

	newest_are_kept
	note "$ROUNDS rounds each, and of all: $(total taken) samples taken, $(total reclaimed) reclaimed, $(total missed) missed"
}

case_max_mib_is_kept_under_pressure() {
	history
	echo 20 >"$PARAMETERS/max_mib"
	echo 1000 >"$PARAMETERS/period_us"
	group
	reading $GROUP
	for _ in $(seq "$ROUNDS"); do
		spawn grow "$SHARE"
		# Of 1 KiB, with those in reserve; a block more of each task at most, while a round is under way.
		between "blocks" "$(blocks)" 1 $((20 * 1024 + 64 + 301 + HELD))
		between "samples" "$(total samples)" 1000 100000000
		end_task
	done
	# As in `history`: so many instants are missed at the former that no reading of the file is even.
	echo 10000 >"$PARAMETERS/period_us"
	reading_ends
	newest_are_kept
}

run_cases "$@"
