# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# taskmon, built with the toolchain's cargo. The crates that it is made of come from the registry that its Cargo.lock
# names, in the versions that stand there; they are kept in the cache, and with them there, no network is needed.
#
# To be sourced behind lib.sh, toolchain.sh and kernel.sh.

CARGO_TARGET=x86_64-unknown-linux-gnu
# The most that the program may have, in bytes.
TASKMON_MOST=6000000

# cargo_toolchain: opens the toolchain, where kernel_open has not. On the suite itself taskmon alone needs little of it.
cargo_toolchain() {
	archive_open
	if toolchain_is_here; then
		TOOLCHAIN=/
		toolchain_install_here gcc libc6-dev rustc
	else
		find_release
		toolchain_open "$(compiler_package)"
	fi
}

# cargo_open: makes cargo ready, and the crates. Needs TOOLCHAIN.
cargo_open() {
	local fetched
	[[ $TOOLCHAIN != / ]] || toolchain_install_here "${TOOLCHAIN_CARGO[@]}"
	CARGO_FOLDER=$CACHE/cargo
	mkdir -p "$CARGO_FOLDER" 2>/dev/null || die "cannot write to $CACHE: set TASKMONITOR_CACHE to a folder of yours"
	fetched=$(sha256sum <"$TOP/taskmon/Cargo.lock")
	fetched=$CARGO_FOLDER/fetched-${fetched::12}
	lock cargo
	if [[ ! -e $fetched ]]; then
		stage "taskmon: crates" cargo_fetch ||
			die "could not fetch the crates that taskmon is made of (see above): is the network there? (https_proxy names a proxy)"
		: >"$fetched"
	fi
	unlock
}

# By whatever way this machine takes to the network, and with the certificates that it trusts.
cargo_fetch() {
	local name network=(CARGO_NET_RETRY=3)
	for name in http_proxy https_proxy HTTP_PROXY HTTPS_PROXY no_proxy NO_PROXY; do
		[[ ! ${!name-} ]] || network+=("$name=${!name}")
	done
	if [[ $TOOLCHAIN != / ]]; then
		cp -L /etc/resolv.conf "$TOOLCHAIN/etc/resolv.conf" || return
	fi
	if [[ -r ${SSL_CERT_FILE:=/etc/ssl/certs/ca-certificates.crt} ]]; then
		cp "$SSL_CERT_FILE" "$CARGO_FOLDER/certificates" || return
		network+=("CARGO_HTTP_CAINFO=$CARGO_FOLDER/certificates")
	fi
	cargo_with "${network[@]}" -- fetch --locked
}

# cargo_run ARGUMENT...: cargo, in the folder of taskmon, without the network.
cargo_run() {
	cargo_with CARGO_NET_OFFLINE=true -- "$@"
}

# cargo_with VARIABLE=VALUE... -- ARGUMENT...
cargo_with() {
	local environment=("CARGO_HOME=$CARGO_FOLDER" "CARGO_TARGET_DIR=$TOP/build/cargo/$TOOLCHAIN_SUITE" CARGO_TERM_COLOR=never)
	while [[ $1 != -- ]]; do
		environment+=("$1")
		shift
	done
	shift
	mkdir -p "$TOP/build" || return
	(cd "$TOP/taskmon" && toolchain_run env "${environment[@]}" cargo "$@")
}

# taskmon_build: sets TASKMON to the program, a static one, built with whatever suite. One that is newer than all that it
# is made of is taken as it is. Needs TOOLCHAIN.
taskmon_build() {
	local folder=$TOP/build/taskmon
	TASKMON=$folder/taskmon
	mkdir -p "$folder"
	exec {TASKMON_FD}>"$TOP/build/.taskmon.lock"
	flock "$TASKMON_FD"
	if [[ ! -e $TASKMON || $(find "$TOP/taskmon" "$TOP/scripts/cargo.sh" -path "$TOP/taskmon/target" -prune -o -newer "$TASKMON" -print -quit) ]]; then
		cargo_open
		# Errors are the compiler's to explain, in full.
		STAGE_TAIL=+1 stage "taskmon" taskmon_compile || die "taskmon does not build (see above)"
		STAGE_TAIL=+1 stage "taskmon: looking at the program" taskmon_look "$TASKMON.new" || die "taskmon is not what it must be (see above)"
		mv "$TASKMON.new" "$TASKMON"
	fi
	exec {TASKMON_FD}>&-
}

# (The program gets the time before cargo has looked at its sources: what is changed after that is newer.)
taskmon_compile() {
	: >"$TASKMON.began" &&
		cargo_with CARGO_NET_OFFLINE=true RUSTFLAGS='-C target-feature=+crt-static' -- \
			build --release --locked --package taskmon --target "$CARGO_TARGET" &&
		cp "$TOP/build/cargo/$TOOLCHAIN_SUITE/$CARGO_TARGET/release/taskmon" "$TASKMON.new" &&
		touch -r "$TASKMON.began" "$TASKMON.new" &&
		rm "$TASKMON.began"
}

# taskmon_look PROGRAM: it must run anywhere, and be small.
taskmon_look() {
	local bytes bad=0
	bytes=$(stat -c %s "$1") || return
	echo "$bytes bytes"
	((bytes <= TASKMON_MOST)) || {
		echo "it has $bytes bytes, more than $TASKMON_MOST"
		bad=1
	}
	! toolchain_run readelf --program-headers --dynamic "$1" | grep -E 'INTERP|NEEDED' || {
		echo "it needs libraries of the machine"
		bad=1
	}
	return "$bad"
}

# --- the crates, and what they ask for -------------------------------------------------------------------------------

# What a crate may be under, to be part of a program under GPL-2.0-only. (Apache-2.0 alone does not go with that; most
# crates leave the choice.)
LICENCES=(
	0BSD Apache-2.0-WITH-LLVM-exception BSD-2-Clause BSD-3-Clause BSL-1.0 CC0-1.0 GPL-2.0-only GPL-2.0-or-later ISC
	LGPL-2.1-or-later MIT Unicode-3.0 Unlicense Zlib
)

# crates OPTION...: of cargo tree: "NAME VERSION|LICENCE|SOURCE", a line a crate. Ours are not among them.
crates() {
	cargo_run tree --locked --prefix none --no-dedupe --format '{p}|{l}|{r}' "$@" |
		sed -n -e '/^taskmon[a-z-]* v/d' -e 's/^\([^ ]*\) v\([^ |]*\)[^|]*|/\1 \2|/p' | sort -u
}

# crates_licences: whether each crate that Cargo.lock names may be used, also those for tests and other systems.
crates_licences() {
	local all crate licence bad=0
	# (Not of cargo tree, which leaves out what some feature of a crate would need that nobody asks for.)
	all=$(cargo_run metadata --locked --format-version 1 | toolchain_run python3 -c '
import json, sys
for package in json.load(sys.stdin)["packages"]:
    if package["source"]:
        print(package["name"], package["version"] + "|" + (package["license"] or ""))') || return
	[[ $all ]] || return
	while IFS='|' read -r crate licence; do
		licence_fits "$licence" || {
			echo "$crate: \"$licence\" does not go with GPL-2.0-only, or is not known (scripts/cargo.sh)"
			bad=1
		}
	done <<<"$all"
	while read -r crate; do
		grep -qF "$crate|" <<<"$all" || {
			echo "$crate: cargo tells nothing of it"
			bad=1
		}
	done < <(sed -n '/^name = /{N;s/name = "\(.*\)"\nversion = "\(.*\)"/\1 \2/p}' "$TOP/taskmon/Cargo.lock" | grep -v '^taskmon')
	return "$bad"
}

# licence_fits EXPRESSION: of SPDX. The terms become 0 or 1, and bash reckons. ("A/B" is how older crates write "A OR B".)
licence_fits() {
	local words=() word text=''
	read -ra words <<<"$(sed -e 's: WITH :-WITH-:g' -e 's:/: OR :g' -e 's:[()]: & :g' <<<"$1")"
	for word in "${words[@]}"; do
		case $word in
		AND) text+=' && ' ;;
		OR) text+=' || ' ;;
		'(' | ')') text+=$word ;;
		*) [[ " ${LICENCES[*]} " == *" $word "* ]] && text+=' 1' || text+=' 0' ;;
		esac
	done
	[[ $text ]] && ((text)) 2>/dev/null
}

# crates_notices FILE: the crates that are in the program, and their licences, which want to be handed on with it.
crates_notices() {
	local linked crate folder file licence name
	linked=$(crates --package taskmon --target "$CARGO_TARGET" --edges normal,no-proc-macro) || return
	[[ $linked ]] || return
	{
		printf '%s\n' 'taskmon is under GPL-2.0-only. These crates are part of the program, each under one of its own licences' \
			'that goes with that. Their texts are below; of a choice that includes Apache-2.0, the other was taken.' ''
		while IFS='|' read -r crate licence _; do
			printf '%-30s %s\n' "$crate" "${licence//\// OR }"
		done <<<"$linked"
		while IFS='|' read -r crate licence _; do
			folder=$(find "$CARGO_FOLDER/registry/src" -mindepth 2 -maxdepth 2 -name "${crate/ /-}")
			for name in 'licen[cs]e-mit*' 'licen[cs]e-boost*' 'licen[cs]e' 'licen[cs]e.*' copying unlicense; do
				file=$(find "$folder" -maxdepth 1 -type f -iname "$name" | sort | head -n 1)
				[[ ! $file ]] || break
			done
			[[ $file ]] || { echo "$crate has no text of its licence" >&2 && return 1; }
			printf '\n%s\n%s\n\n' "$crate" "$(printf '%*s' "${#crate}" '' | tr ' ' -)"
			cat "$file"
		done <<<"$linked"
	} >"$1"
}
