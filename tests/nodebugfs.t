# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# quick
# vm: -a debugfs=off
#
# A machine with debugfs switched off.

# shellcheck disable=SC2034 # for the runner
NO_KMEMLEAK=yes # its file is in debugfs
. ./guest.sh

case_sysfs_works_without_debugfs() {
	log_allow '^taskmonitor: debugfs is not available: only /sys/kernel/taskmonitor is created$'
	load "target=1 period_us=1000"
	same warnings "$(dmesg -r | grep -c '^<4>.*taskmonitor: debugfs is not available')" 1
	[ ! -e "$FILE" ] || fail "$FILE is there"
	[ ! -e "$FOLLOW" ] || fail "$FOLLOW is there"
	[ ! -e "$STATS" ] || fail "$STATS is there"
	await full
	! grep -vE "$LINE" "$SYSFS" || fail "another form"
	echo 2 >"$SYSFS"
	echo "print 2" >"$SYSFS"
	same "chosen" "$(cut -d ' ' -f 2 "$SYSFS" | sort -u)" 2
	echo -2 >"$SYSFS"
	same "shown" "$(cut -d ' ' -f 2 "$SYSFS" | sort -u)" 1
	unload
}

full() {
	[ "$(wc -c <"$SYSFS")" -ge $((PAGE - 196)) ]
}

case_errors_of_the_load() {
	refused ESRCH target=4194303
	refused EINVAL max_mib=0
}

run_cases "$@"
