# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# kernels: stock
#
# That the fuzzer (fuzz.t) notices what it must. It is not the module that is tested here.

. ./guest.sh

# A model that is wrong in one rule (there are others, in the source) sees a difference, soon, and makes
# a short case of it, which shows it again; and the right one sees none in that. (Always from the same
# number on, so that it does not depend on luck whether the rule comes up, and what is left.)
case_a_wrong_model_is_noticed() {
	for rule in choice partial number; do
		status=0
		./fuzz --wrong "$rule" 1 50000 >"$T/fuzz" 2>&1 || status=$?
		[ $status = 1 ] || fail "$rule: status $status: $(cat "$T/fuzz")"
		sed '1,/^--$/d' "$T/fuzz" >"$T/case"
		between "operations of $rule" "$(wc -l <"$T/case")" 2 30
		status=0
		./fuzz --wrong "$rule" replay "$T/case" >"$T/again" || status=$?
		[ $status = 1 ] || fail "$rule: status $status of the case that should show it: $(cat "$T/case")"
		./fuzz replay "$T/case" >"$T/again" || fail "$rule: $(cat "$T/case") $(cat "$T/again")"
		note "$rule: $(wc -l <"$T/case") operations: $(tr '\n' ';' <"$T/case" | cut -c 1-150)"
	done
}

run_cases "$@"
