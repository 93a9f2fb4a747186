# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# kernels: stock
# vm: -m 1024
#
# What is given back is memory for others. (Not so on the debug kernel: KASAN keeps what is freed, up to a
# part of all memory.)

. ./guest.sh

# free_kib: memory that is not in use, as the kernel counts it.
free_kib() {
	awk '/^MemFree:/ { print $2 }' /proc/meminfo
}

# leave MIB: takes all memory that is free but about that, until `umount "$T/ballast"`.
leave() {
	mkdir -p "$T/ballast"
	mount -t tmpfs -o size=100% none "$T/ballast"
	# (Some memory only gets free when others want it.)
	for _ in 1 2 3; do
		more=$(($(free_kib) - $1 * 1024))
		[ $more -le 0 ] || dd if=/dev/zero bs=1024 count=$more 2>/dev/null >>"$T/ballast/zeros"
	done
	between "KiB that are left" "$(free_kib)" $(($1 * 900)) $(($1 * 1080))
}

# The machine has so much less memory than the history and a program want together that one of them
# must give way.
case_a_program_gets_memory_back() {
	# What the kernel keeps from both. (By itself, it keeps 44 MiB of 1 GiB, but 4 MiB when it has no huge pages, as with
	# PREEMPT_RT.)
	echo 45056 >/proc/sys/vm/min_free_kbytes
	load "period_us=100 max_samples=1000000 max_mib=45"
	leave 135
	some 200
	filled 40000
	between "free, KiB" "$(free_kib)" 1000 100000
	had=$(total samples)
	spawn grow 64
	adds_up_roughly
	between "reclaimed" "$(total reclaimed)" $((had / 4)) 100000000
	for tid in $TIDS; do
		between "samples left of $tid" "$(status "$tid" samples)" 1 1000000
	done
	later "$tid" 100
	end_task
	umount "$T/ballast"
	# With memory to be had, the history grows again.
	now=$(blocks)
	await has_blocks $((now + 3000))
	echo stop >"$FILE"
	adds_up_roughly
}

# slab_kib: the pages of the blocks.
slab_kib() {
	awk -v page="$PAGE" '/^task_sample / { print $6 * $15 * page / 1024 }' /proc/slabinfo
}

# is_free KIB
is_free() {
	[ "$(free_kib)" -ge "$1" ]
}

# Of 100 MiB, at least 95. (What is left: the newest block of each task, the reserve, and what shares pages with them.)
case_nearly_all_of_it_is_free_again() {
	# Of the pages that a processor is given back, it keeps some at hand, several MiB here: as few as can be, now.
	echo 1000000 >/proc/sys/vm/percpu_pagelist_high_fraction
	load "period_us=100 max_samples=10000000 max_mib=101"
	some 100
	# What others have to give is not counted.
	reclaim
	LIMIT=600
	await have evicted 1
	echo stop >"$FILE"
	had=$(slab_kib) before=$(free_kib)
	between "KiB of blocks" "$had" 102400 112640
	reclaim
	wait_until is_free $((before + had * 95 / 100)) || :
	freed=$(($(free_kib) - before))
	note "of $had KiB, free: $freed; left: $(slab_kib)"
	between "KiB that are free again" "$freed" $((had * 95 / 100)) $((had * 105 / 100))
	between "KiB of blocks" "$(slab_kib)" 164 $((had * 5 / 100))
	for tid in $TIDS; do
		between "samples left of $tid" "$(status "$tid" samples)" 1 324
	done
	adds_up
}

run_cases "$@"
