# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# vm: -i -m 640
# kernels: stock
#
# What is no measurement gets no figure from the guest's side of tests/bench: where samples are missing, a round would
# cost less. (What tests/bench makes of figures is tested in tests/selftest.)

. ./guest.sh

# fails_with TEXT COMMAND...: and puts out no figure.
fails_with() {
	text=$1
	shift
	! "$@" >"$T/figures" 2>"$T/errors" || fail "$* gets a figure: $(cat "$T/figures")"
	grep -q "$text" "$T/errors" || fail "$* says: $(cat "$T/errors")"
}

# Stops the sampling as soon as it has been started.
spoil() {
	while :; do
		echo stop >"$FILE" || :
		usleep 10000
	done 2>/dev/null &
	echo $! >>"$T/pids"
}

population() {
	./bench sleepers "$1" 1 >"$T/population" &
	echo $! >>"$T/pids"
	await population_complete
	sed -i '/^$/d' "$T/population"
}

population_complete() {
	[ -s "$T/population" ] && [ ! "$(tail -n 1 "$T/population")" ]
}

# population_load N [PARAMETER...]: monitors all of a population.
population_load() {
	population "$1"
	shift
	load "$*"
	./bench write "$FILE" <"$T/population" >/dev/null
}

# More tasks than are sampled under one hold of the lock.
case_a_round_has_a_figure() {
	# With one processor and lazy preemption, the thread may have to wait for a tick, of 4 ms.
	population_load 100 period_us=20000
	./bench rounds 34 20000 >"$T/figures"
	read -r rounds took missed <"$T/figures"
	[ "$rounds" -ge 34 ] || fail "only $rounds rounds"
	same "samples missed" "$missed" 0
	between "instructions a round" $((took / rounds)) 1000 1000000
	./bench agree <"$T/population"
}

case_a_module_that_samples_nothing_has_none() {
	population_load 10 period_us=1000
	spoil
	fails_with "in the time of" ./bench rounds 34 1000
	fails_with "there is no new sample" ./bench agree <"$T/population"
}

case_nor_does_the_benchmark_give_it_any() {
	spoil
	fails_with "does not get to" sh ./bench.guest rounds
}

case_a_task_that_goes_spoils_it() {
	population_load 10 period_us=1000
	while :; do
		echo "-$(tail -n 1 "$T/population")" >"$FILE" || :
		usleep 10000
	done 2>/dev/null &
	echo $! >>"$T/pids"
	fails_with "while it was measured, a task" ./bench rounds 34 1000
}

# Of a task that is added late, fewer samples were taken than of the others.
case_a_task_with_fewer_samples_spoils_it() {
	population_load 10 period_us=1000
	./bench rounds 34 1000 >/dev/null
	last=$(tail -n 1 "$T/population")
	(
		usleep 20000
		echo "-$last" >"$FILE"
		echo "$last" >"$FILE"
	) &
	fails_with "samples were taken" ./bench rounds 340 1000
}

case_a_task_that_is_not_monitored_does_not_agree() {
	population_load 2 period_us=1000
	echo "-$(tail -n 1 "$T/population")" >"$FILE"
	fails_with "is not monitored" ./bench agree <"$T/population"
}

run_cases "$@"
