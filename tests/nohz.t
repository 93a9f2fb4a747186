# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# vm: -a nohz_full=1 -a isolcpus=1 -a tsc=nowatchdog
# kernels: stock
#
# What a sample says of a task on a nohz_full processor, which no tick meets: the kernel accounts user
# and system time when the task enters or leaves user mode, and the run time once a second.

. ./guest.sh

# interrupts: prints how many timer interrupts, and how many calls from other processors, processor 1
# has had. In either of them the kernel accounts user time.
interrupts() {
	awk '$1 == "LOC:" || $1 == "CAL:" { n += $3 } END { print n + 0 }' /proc/interrupts
}

case_a_loop_in_user_mode_is_user_time() {
	same "nohz_full processors" "$(cat /sys/devices/system/cpu/nohz_full)" 1
	load period_us=100000
	spawn spin 500 1
	before=$(interrupts)
	echo "$PID" >"$FILE"
	# Nothing else may run meanwhile: new processes are a reason for such calls.
	sleep 7
	note "interrupts in seven seconds: $(($(interrupts) - before))"
	await reached "$PID" 60
	kill -KILL "$PID"
	samples "$PID" | sound
	# From when the run time was brought up to date twice. (It is up to a second old at either end.)
	samples "$PID" | awk '
		$20 < 22 || $18 == "X" { next }
		!begun++ { usr = $4; sys = $6; time = $8 }
		{ all = $8 - time; usr_share = ($4 - usr) / (all + !all); sys_share = ($6 - sys) / (all + !all) }
		END { printf "%.0f %.0f\n", usr_share * 100, sys_share * 100 }' >"$T/shares"
	read -r usr sys <"$T/shares"
	note "usr $usr %, sys $sys %"
	between "% of user time" "$usr" 70 130
	between "% of system time" "$sys" 0 5
}

run_cases "$@"
