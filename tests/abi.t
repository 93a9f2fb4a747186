# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash source-path=SCRIPTDIR
# kernels: stock
# files: docs/ABI/testing/*
#
# docs/ABI: what it says of files, modes, keys, commands and parameters is what the module has, and all that it has.
#
# The texts are in the form of the kernel's Documentation/ABI. What can be compared is in fields of their own:
# a line ":NAME: VALUE", which may go on in lines that are indented deeper.

. ./guest.sh

# fields: of the texts, a line for each field: what it is of, its name, and its value, separated by tabs.
fields() {
	awk '
		function end() { if (name != "") print what "\t" name "\t" value; name = "" }
		/^[^ \t]/ { end(); indent = 0 }
		/^What:/ { what = $2 }
		/^[A-Za-z]+:/ {
			name = substr($1, 1, length($1) - 1)
			value = $0
			sub(/^[^:]*:[ \t]*/, "", value)
			if (name == "Description")
				value = "-"
			next
		}
		/^\t\t:[A-Z][a-z]+: / {
			end()
			name = substr($1, 2, length($1) - 2)
			value = $0
			sub(/^[ \t]*:[A-Za-z]+: */, "", value)
			indent = 1
			next
		}
		indent && /^\t\t\t/ {
			more = $0
			sub(/^\t*/, "", more)
			value = value " " more
		}
		END { end() }' ./*-taskmonitor
}

# field WHAT NAME: its value, or nothing.
field() {
	awk -F '\t' -v what="$1" -v name="$2" '$1 == what && $2 == name { print $3 }' "$T/abi"
}

# having NAME: what has such a field.
having() {
	awk -F '\t' -v name="$1" '$2 == name { print $1 }' "$T/abi"
}

# numbers: the parameters whose range is one of numbers that can be tried.
numbers() {
	for what in $(having Range); do
		[ "$(field "$what" Type)" != uint ] || echo "${what##*/}"
	done
}

# range PARAMETER: sets LEAST and GREATEST.
range() {
	# shellcheck disable=SC2046 # words
	set -- $(field "$PARAMETERS/$1" Range)
	LEAST=$1 GREATEST=${3%,}
	[ "$GREATEST" != RAM ] || GREATEST=$(ram)
}

# ram: the machine's memory in MiB, as the kernel manages it.
ram() {
	awk '/^MemTotal:/ { printf "%d", $2 / 1024 }' /proc/meminfo
}

# has NAME VALUE
has() {
	same "$1" "$(cat "$PARAMETERS/$1")" "$2"
}

# modinfo NAME: what the module file says under that name.
modinfo() {
	sed -n "s/^$1=//p" "$T/modinfo"
}

case_each_entry_is_whole() {
	between "entries" "$(having What | wc -l)" 12 1000
	same "entries of the same" "$(having What | sort | uniq -d)" ""
	for what in $(having What); do
		for name in Date KernelVersion Contact Users Mode; do
			[ "$(field "$what" $name)" ] || fail "$what has no $name"
		done
		case $what in
		"$PARAMETERS"/*) names="Type Default Range" ;;
		*) names=Keys ;;
		esac
		for name in $names; do
			[ "$(field "$what" "$name")" ] || fail "$what has no $name"
		done
		! field "$what" Mode | grep -qv '^0[0-7]00$\|^0[0-7]44$' || fail "mode of $what: $(field "$what" Mode)"
	done
}

# present: all files there are in sysfs and debugfs. (To look into tracing would mount it.)
present() {
	find /sys -path /sys/kernel/debug/tracing -prune -o -print | sort
}

# What comes by the load, but for what the kernel shows of every module, slab cache, shrinker, and unit test.
case_all_files_are_described() {
	present >"$T/before"
	load
	present | diff "$T/before" - | sed -n 's/^+\//\//p' | grep -v -e '^/sys/module/taskmonitor$' \
		-e '^/sys/module/taskmonitor/\(coresize\|holders\|initsize\|initstate\|notes\|parameters\|refcnt\)$' \
		-e '^/sys/module/taskmonitor/\(sections\|srcversion\|taint\|uevent\|version\)$' \
		-e '^/sys/module/taskmonitor/\(notes\|sections\)/' -e '^/sys/kernel/btf/taskmonitor$' -e '^/sys/kernel/slab/' \
		-e '^/sys/kernel/debug/\(slab\|shrinker\|kunit\|printk\)/' >"$T/new"
	having What | sort | diff - "$T/new" >"$T/different" ||
		fail "described (-), and there (+): $(grep '^[-+]/' "$T/different" | xargs)"
}

case_modes() {
	load
	for what in $(having Mode); do
		same "mode of $what" "0$(stat -c %a "$what")" "$(field "$what" Mode)"
		# To root, who may do what no mode allows, the same holds.
		case $what-$(field "$what" Mode) in
		"$PARAMETERS"/*-06*)
			cat "$what" >"$T/value"
			cat "$T/value" >"$what"
			;;
		*-04*) ! { echo stop >"$what"; } 2>/dev/null || fail "$what can be written to" ;;
		esac
	done
}

case_keys() {
	spawn pause
	load "target=1,$PID period_us=1000"
	later "$PID" 10
	end_task
	await ended "$PID"
	echo stop >"$FILE"
	for what in $(having Keys); do
		cat "$what" >"$T/lines"
		between "lines of $what" "$(wc -l <"$T/lines")" 2 1000000
		case $what in
		"$STATS")
			# Each line is a pair: together they are one record.
			xargs <"$T/lines" >"$T/line"
			mv "$T/line" "$T/lines"
			;;
		esac
		awk '{ for (i = 1; i < NF; i += 2) printf "%s%s", (i > 1 ? " " : ""), $i; print "" }' "$T/lines" | sort -u >"$T/keys"
		same "keys of $what" "$(cat "$T/keys")" "$(field "$what" Keys)"
		# (No task here has a blank in its name.)
		same "odd lines of $what" "$(awk 'NF % 2' "$T/lines")" ""
	done
}

case_commands() {
	spawn pause
	load
	for what in $(having Commands); do
		field "$what" Commands | sed "s/PID/$PID/g; s/, */\n/g" >"$T/commands"
		between "commands of $what" "$(wc -l <"$T/commands")" 7 100
		while read -r command; do
			writes_to "$what" $((${#command} + 1)) "$command\n"
			# Nothing is one that has a word too many, or too few letters.
			writes_to "$what" EINVAL "$command x\n"
			writes_to "$what" EINVAL "${command%?}x\n"
		done <"$T/commands"
		same "tasks after $what" "$(shown)" ""
	done
}

case_defaults() {
	load
	for what in $(having Default); do
		default=$(field "$what" Default)
		case $default in
		none) default= ;;
		*" % of RAM") default=$(($(ram) * ${default%% *} / 100)) ;;
		esac
		has "${what##*/}" "$default"
	done
}

case_ranges_at_load() {
	for name in $(numbers); do
		range "$name"
		refused EINVAL "$name=$((LEAST - 1))"
		refused EINVAL "$name=$((GREATEST + 1))"
		for value in "$LEAST" "$GREATEST"; do
			load "$name=$value"
			has "$name" "$value"
			unload
		done
	done
}

case_ranges_while_loaded() {
	load
	for name in $(numbers); do
		[ "$(field "$PARAMETERS/$name" Mode)" = 0644 ] || continue
		was=$(cat "$PARAMETERS/$name")
		range "$name"
		writes_to "$PARAMETERS/$name" EINVAL "$((LEAST - 1))\n"
		writes_to "$PARAMETERS/$name" EINVAL "$((GREATEST + 1))\n"
		has "$name" "$was"
		for value in "$LEAST" "$GREATEST" "$was"; do
			echo "$value" >"$PARAMETERS/$name"
			has "$name" "$value"
		done
	done
}

case_the_range_of_a_bool() {
	load
	for what in $(having Range); do
		[ "$(field "$what" Type)" = bool ] || continue
		for value in $(field "$what" Range | sed 's/ or / /g'); do
			echo "$value" >"$what"
			same "$what" "$(cat "$what")" "$value"
		done
		writes_to "$what" EINVAL "x\n"
	done
}

case_the_range_of_the_targets() {
	range target
	most=$(field "$PARAMETERS/target" Range | sed -n 's/.*at most \([0-9]*\) of them$/\1/p')
	# (That is the number of no task.)
	refused ESRCH "target=$GREATEST"
	refused EINVAL "target=$((GREATEST + 1))"
	refused EINVAL "target=$((LEAST - 1))"
	list=$(yes "$LEAST" | head -n "$most" | xargs | tr ' ' ,)
	refused EINVAL "target=$list,$LEAST"
	load "target=$list"
	has target "$list"
}

# modinfo says the same of each: its type, unit, default and range.
case_what_modinfo_says() {
	tr '\0' '\n' <taskmonitor.ko | grep -aE '^(parm|parmtype|version|license|author|description)=' >"$T/modinfo"
	same parameters "$(modinfo parm | sed 's/:.*//' | sort | xargs)" \
		"$(having Range | sed 's:.*/::' | sort | xargs)"
	for what in $(having Range); do
		name=${what##*/}
		same "type of $name" "$(modinfo parmtype | sed -n "s/^$name://p")" "$(field "$what" Type)"
		unit=$(field "$what" Unit)
		said=$(modinfo parm | sed -n "s/^$name:.*(\(.*\))$/\1/p")
		same "modinfo of $name" "$said" \
			"${unit:+$unit, }default $(field "$what" Default), $(field "$what" Range)"
	done
	for name in version license author description; do
		[ "$(modinfo $name)" ] || fail "no $name"
	done
	load
	same version "$(cat /sys/module/taskmonitor/version)" "$(modinfo version)"
}

fields >"$T/abi"
run_cases "$@"
