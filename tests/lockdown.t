# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# quick
# vm: -a lsm=lockdown,capability
#
# Kernel lockdown, as with Secure Boot. It refuses modules that are not signed, so it is turned on
# when ours is loaded; there is no way back, only on from integrity to confidentiality, so there is one case.

. ./guest.sh

# locked LEVEL: turns it on, and looks at what is closed, and what is open.
locked() {
	echo "$1" >/sys/kernel/security/lockdown
	grep -q "\[$1\]" /sys/kernel/security/lockdown || fail "no lockdown: $(cat /sys/kernel/security/lockdown)"

	! cat "$FILE" >/dev/null 2>&1 || fail "$FILE can be read"
	! { echo 2 >"$FILE"; } 2>/dev/null || fail "$FILE can be written to"
	# Nor can it be made one that is only read, or another one that is written to.
	! chmod 400 "$FILE" 2>/dev/null || fail "$FILE can be given another mode"
	! chmod 600 "$FOLLOW" 2>/dev/null || fail "$FOLLOW can be given another mode"
	! { echo 2 >"$FOLLOW"; } 2>/dev/null || fail "$FOLLOW can be written to"

	cat "$FOLLOW" >"$T/followed"
	between "lines of $FOLLOW" "$(wc -l <"$T/followed")" 10 1000000
	same results "$(./helper file "$FOLLOW" end poll=60000 read=65536 | grep -c '^-- end 0$\|^-- poll=60000 in$')" 2
	same "tasks in $TASKS" "$(cut -d ' ' -f 2 "$TASKS" | xargs)" "1 $PID"
	between "lines of $SYSFS" "$(wc -l <"$SYSFS")" 25 50
	same "version in $STATS" "$(stats version)" "$(cat /sys/module/taskmonitor/version)"
	same "tasks in $STATS" "$(stats tasks)" 2
	! chmod 600 "$STATS" 2>/dev/null || fail "$STATS can be given another mode"

	# Commands are taken by sysfs, and parameters can be written.
	echo 2 >"$SYSFS"
	same tasks "$(cut -d ' ' -f 2 "$TASKS" | xargs)" "1 $PID 2"
	echo "print 2" >"$SYSFS"
	same "chosen" "$(cut -d ' ' -f 2 "$SYSFS" | sort -u)" 2
	echo -2 >"$SYSFS"
	writes_to "$SYSFS" ENOENT '-2\n'
	echo stop >"$SYSFS"
	same sampling "$(cat "$PARAMETERS/sampling")" N
	for value in 1000 10000; do
		echo $value >"$PARAMETERS/period_us"
		same period_us "$(cat "$PARAMETERS/period_us")" $value
	done
	echo start >"$SYSFS"
	await later_in_sysfs "$(tail -n 1 "$SYSFS" | key seq)"
}

case_what_stays_open_in_lockdown() {
	log_allow '^Kernel is locked down from securityfs; see man kernel_lockdown\.7$'
	log_allow '^Lockdown: (cat|sh|helper|chmod): debugfs access is restricted; see man kernel_lockdown\.7$'
	# There are more than ten of these within five seconds.
	log_allow '^lockdown_is_locked_down: [0-9]+ callbacks suppressed$'
	log_allow '^Lockdown: helper: unsigned module loading is restricted; see man kernel_lockdown\.7$'
	spawn pause
	load "target=1,$PID period_us=10000"
	later 1 60
	mount -t securityfs none /sys/kernel/security
	{
		locked integrity
		locked confidentiality
		# As with every file, what was opened before stays open.
		same "read before" "$(head -n 1 <&3 | cut -d ' ' -f 1-2)" "pid 1"
		echo -1 >&3
	} 3<>"$FILE"
	same tasks "$(cut -d ' ' -f 2 "$TASKS" | xargs)" "$PID"
	unload
	same "insmod in lockdown" "$(./helper insmod taskmonitor.ko)" EPERM
}

later_in_sysfs() {
	[ "$(tail -n 1 "$SYSFS" | key seq)" -ge $(($1 + 10)) ]
}

run_cases "$@"
