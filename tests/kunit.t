# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# kernels: debug
# vm: -a kunit.enable=1 -a kunit.autorun=1
#
# The unit tests in the module, which KUnit runs when it is loaded, and tells of in the log (KTAP).

. ./guest.sh

# The first time tells what there is.
dmesg -c >/dev/null
./helper insmod taskmonitor.ko >/dev/null
dmesg | sed -n 's/.* # Subtest: \(taskmonitor_[a-z_]*\)$/\1/p' >"$T/suites"
./helper rmmod taskmonitor >/dev/null
! dmesg | grep -E "$MISTAKE" || exit 1

case_all_suites_run() {
	log_allow '^ *KTAP version 1$'
	log_allow '^ *1\.\.[0-9]+$'
	log_allow '^ *# '
	log_allow '^ *ok [0-9]+ '
	load
	dmesg | sed 's/^\[[^]]*\] //' >"$T/ktap"
	unload
	between suites "$(grep -c '^ok [0-9]* taskmonitor_' "$T/ktap")" 15 1000
	note "unit tests $(grep -c '^    ok ' "$T/ktap")"
}

# suite NAME: each test of its plan was run, and passed.
suite() {
	# When it is the only case.
	[ -e "$T/ktap" ] || case_all_suites_run
	sed -n "/# Subtest: $1\$/,/ok [0-9]* $1\$/p" "$T/ktap" >"$T/suite"
	plan=$(sed -n 's/^ *1\.\.//p' "$T/suite")
	between "tests of the suite" "$plan" 1 1000
	! grep -q 'not ok' "$T/suite" || fail "$(cat "$T/suite")"
	same "tests that passed" "$(grep -c '^    ok ' "$T/suite")" "$plan"
	grep -q "^ok [0-9]* $1\$" "$T/suite" || fail "the suite has no end"
	note "$(sed -n 's/^    ok [0-9]* /ok /p' "$T/suite" | wc -l) tests"
}

while read -r name; do
	eval "case_$name() { suite $name; }"
done <"$T/suites"

# shellcheck disable=SC2046 # a word a suite
[ $# -gt 0 ] || set -- all_suites_run $(cat "$T/suites")
run_cases "$@"
