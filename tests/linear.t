# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# vm: -i
# kernels: stock
#
# What a line costs to be read does not depend on how long the history is. Time is that of counted
# instructions here, so that it can be compared, whatever the machine. (What it costs is a matter of the
# module, and of the stock kernel: the debug kernel has costs of its own.)

. ./guest.sh

taken() {
	[ "$(status 1 samples)" -ge "$1" ]
}

# lines FILE WANTED: it has so many; sets COST to how long it took to read them, in 10 ms.
lines() {
	began=$(cut -d ' ' -f 1 /proc/uptime | tr -d .)
	same "lines of $1" "$(wc -l <"$1")" "$2"
	COST=$(($(cut -d ' ' -f 1 /proc/uptime | tr -d .) - began))
}

case_reading_takes_linear_time() {
	load "target=1 period_us=100 max_samples=1000000 max_mib=20"
	for least in 20000 120000; do
		echo start >"$FILE"
		await taken $least
		echo stop >"$FILE"
		count=$(status 1 samples)
		for file in "$FILE" "$FOLLOW"; do
			lines "$file" "$count"
			echo "$file $count $COST" >>"$T/costs"
		done
	done
	for file in "$FILE" "$FOLLOW"; do
		grep "^$file " "$T/costs" | xargs >"$T/cost"
		read -r _ few few_cost _ many many_cost <"$T/cost"
		note "$few lines of $file in ${few_cost}0 ms, $many in ${many_cost}0 ms"
		between "cost of a line of $file in the longer history, in % of that in the shorter" \
			$((many_cost * few * 100 / many / few_cost)) 70 130
	done
	rm "$T/costs"
}

run_cases "$@"
