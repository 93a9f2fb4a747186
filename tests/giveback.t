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
	between "KiB that are left" "$(free_kib)" $(($1 * 800)) $(($1 * 1100))
}

# The machine has so much less memory than the history and a program want together that one of them
# must give way.
case_a_program_gets_memory_back() {
	load "period_us=100 max_samples=100000 max_mib=110"
	size=$(awk '/^task_sample / { print $4 }' /proc/slabinfo)
	leave $((110 * size / 1016 + 60))
	some 100
	LIMIT=300
	await have samples 1700000
	between "free, KiB" "$(free_kib)" 1000 100000
	spawn grow 120
	adds_up_roughly
	between "reclaimed" "$(total reclaimed)" 500000 100000000
	for tid in $TIDS; do
		between "samples left of $tid" "$(status "$tid" samples)" 1 100000
	done
	later "$tid" 100
	end_task
	umount "$T/ballast"
	# With memory to be had, the history grows again.
	have_now=$(total samples)
	await have samples $((have_now + 50000))
	echo stop >"$FILE"
	adds_up_roughly
}

run_cases "$@"
