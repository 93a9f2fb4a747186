# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Adds up several runs of tests into one closing line, and tells how long each took. To be sourced.

total_passed=0 total_failed=0 total_rows=()

# total COMMAND...: runs tests, prints their output, and adds up the numbers in their closing line.
# A run without a closing line, or whose status does not match it, counts as a failure.
total() {
	local line counted='' status=0 name="${*/*\//}${KERNEL:+ on the $KERNEL kernel}" took
	echo "# $name"
	took=$(mktemp)
	while IFS= read -r line; do
		echo "$line"
		[[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]] || continue
		total_passed=$((total_passed + BASH_REMATCH[1]))
		total_failed=$((total_failed + BASH_REMATCH[2]))
		counted=${BASH_REMATCH[2]}
	done < <(clock "$took" "$@" </dev/null)
	wait $! || status=$?
	took "$name" "$took"
	[[ $counted ]] && { ((counted)) || ((status == 0)); } && return
	echo "not ok $* ended with status $status"
	total_failed=$((total_failed + 1))
}

# clock FILE COMMAND...: runs a command; writes how many seconds it took, and how much processor time, to FILE. Has its
# status. To be run in a subshell: else the time of background jobs that end meanwhile counts, too.
clock() {
	local file=$1 TIMEFORMAT='%0R %0U %0S'
	shift
	{ time "$@" 2>&3; } 3>&2 2>"$file"
}

# took NAME FILE: notes the times that `clock` wrote to FILE, and removes it. The file is empty if a signal ended `clock`.
took() {
	local real='' user='' system=''
	# (bash may have written a line about a signal before.)
	[[ ! -s $2 ]] || read -r real user system < <(tail -n 1 "$2") || :
	rm -f "$2"
	total_rows+=("| $1 | ${real:-?} | $((${user:-0} + ${system:-0})) |")
}

# timed COMMAND...: runs a command that does not count cases, and notes how long it took. Has its status.
timed() {
	local status=0 took
	took=$(mktemp)
	(clock "$took" "$@" </dev/null) || status=$?
	took "${*/*\//}" "$took"
	return "$status"
}

# total_end: prints the times and the closing line. The status is 0 if there was no failure and at least one case.
total_end() {
	printf '# %s\n' "| part | seconds | of processor time |" "| --- | --- | --- |" ${total_rows[@]+"${total_rows[@]}"}
	echo "$total_passed passed, $total_failed failed"
	((total_passed > 0 && total_failed == 0))
}
