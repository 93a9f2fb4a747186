# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# long
#
# Random input: tests/fuzz.c makes it up, and has a model that says what must come of it. $FUZZ commands,
# from the number $SEED on (by default, another one each time). What it prints of a difference, behind
# "--", is a case that `./fuzz replay FILE` carries out.

. ./guest.sh

COUNT=${FUZZ:-100000}
SEED=${SEED:-$(hexdump -n 6 -e '"%d"' /dev/urandom | tr -d -)}

case_random_commands() {
	./fuzz "$SEED" "$COUNT" >"$T/fuzz" 2>&1 || fail "SEED=$SEED: $(cat "$T/fuzz")"
	note "$(cat "$T/fuzz")"
}

# Odd system calls on all files, while a sample comes each ms: each has a result that makes sense, what is
# read are whole lines or parts of them, nothing hangs, and the module can be unloaded behind it.
case_odd_system_calls() {
	spawn threads 3 0
	load "target=1,$PID,$(sed -n 's/^tid //p' "$OUT" | xargs | tr ' ' ,) period_us=1000 max_samples=100"
	./fuzz noise "$SEED" $((COUNT / 10)) >"$T/fuzz" 2>&1 || fail "SEED=$SEED: $(cat "$T/fuzz")"
	note "$(cat "$T/fuzz")"
	later 1
	unload
}

run_cases "$@"
