# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Adds up several runs of tests into one closing line. To be sourced.

total_passed=0 total_failed=0

# total COMMAND...: runs tests, prints their output, and adds up the numbers in their closing line.
# A run without a closing line, or whose status does not match it, counts as a failure.
total() {
	local line counted='' status=0
	echo "# ${*/*\//}${KERNEL:+ on the $KERNEL kernel}"
	while IFS= read -r line; do
		echo "$line"
		[[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]] || continue
		total_passed=$((total_passed + BASH_REMATCH[1]))
		total_failed=$((total_failed + BASH_REMATCH[2]))
		counted=${BASH_REMATCH[2]}
	done < <("$@" </dev/null)
	wait $! || status=$?
	[[ $counted ]] && { ((counted)) || ((status == 0)); } && return
	echo "not ok $* ended with status $status"
	total_failed=$((total_failed + 1))
}

# total_end: prints the closing line. The status is 0 if there was no failure and at least one case.
total_end() {
	echo "$total_passed passed, $total_failed failed"
	((total_passed > 0 && total_failed == 0))
}
