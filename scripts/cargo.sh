# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Builds taskmon with the toolchain's cargo. Its crates come from the registry that its Cargo.lock names, in the versions
# of Cargo.lock; the cache keeps them, so that later builds need no network.
#
# taskmon for another architecture (ARCH) is cross-compiled, in build/taskmon-ARCH instead of build/taskmon.
#
# Source lib.sh, toolchain.sh and kernel.sh first.

# Maximum size of the released program, in bytes.
TASKMON_MAX_BYTES=6000000

# cargo_toolchain: opens the toolchain, if kernel_open has not. On a host that runs the suite, taskmon needs only these
# packages of it.
cargo_toolchain() {
	archive_open
	if toolchain_is_here; then
		TOOLCHAIN=/
		toolchain_install_here gcc libc6-dev rustc "${CROSS_PACKAGES[@]}"
	else
		find_release
		kernel_toolchain
	fi
}

# cargo_open: prepares cargo and the crates. Needs TOOLCHAIN.
cargo_open() {
	local fetched
	[[ $TOOLCHAIN != / ]] || toolchain_install_here "${TOOLCHAIN_CARGO[@]}"
	CARGO_DIR=$CACHE/cargo
	mkdir -p "$CARGO_DIR" 2>/dev/null || die "cannot write to $CACHE; set TASKMONITOR_CACHE to a directory that you can write to"
	fetched=$(sha256sum <"$TOP/taskmon/Cargo.lock")
	fetched=$CARGO_DIR/fetched-${fetched::12}
	lock cargo
	if [[ ! -e $fetched ]]; then
		stage "taskmon: crates" cargo_fetch ||
			die "could not fetch the crates of taskmon (see above); check the network (https_proxy names a proxy)"
		: >"$fetched"
	fi
	unlock
}

# cargo_fetch: fetches the crates with the proxies, the resolver and the certificates of the host.
cargo_fetch() {
	local name network=(CARGO_NET_RETRY=3)
	for name in http_proxy https_proxy HTTP_PROXY HTTPS_PROXY no_proxy NO_PROXY; do
		[[ ! ${!name-} ]] || network+=("$name=${!name}")
	done
	if [[ $TOOLCHAIN != / ]]; then
		cp -L /etc/resolv.conf "$TOOLCHAIN/etc/resolv.conf" || return
	fi
	if [[ -r ${SSL_CERT_FILE:=/etc/ssl/certs/ca-certificates.crt} ]]; then
		cp "$SSL_CERT_FILE" "$CARGO_DIR/certificates" || return
		network+=("CARGO_HTTP_CAINFO=$CARGO_DIR/certificates")
	fi
	cargo_with "${network[@]}" -- fetch --locked
}

# cargo_run ARGUMENT...: runs cargo in taskmon/, without the network.
cargo_run() {
	cargo_with CARGO_NET_OFFLINE=true -- "$@"
}

# cargo_with VARIABLE=VALUE... -- ARGUMENT...
cargo_with() {
	local environment=("CARGO_HOME=$CARGO_DIR" "CARGO_TARGET_DIR=$TOP/build/cargo/$TOOLCHAIN_SUITE" CARGO_TERM_COLOR=never)
	while [[ $1 != -- ]]; do
		environment+=("$1")
		shift
	done
	shift
	mkdir -p "$TOP/build" || return
	(cd "$TOP/taskmon" && toolchain_run env "${environment[@]}" cargo "$@")
}

# taskmon_build: builds the released program, a static one, unless it is newer than all its sources. Sets TASKMON to it.
# Needs TOOLCHAIN.
taskmon_build() {
	TASKMON=$TOP/build/taskmon$CROSS/taskmon
	taskmon_lock
	taskmon_is_current || taskmon_make release
	taskmon_unlock
}

# taskmon_build_quick: sets TASKMON to a program for a demonstration: the released one if there is one that is current,
# else one of the profile `quick`, which takes less than half of the processor time to build.
taskmon_build_quick() {
	TASKMON=$TOP/build/taskmon$CROSS/taskmon
	taskmon_lock
	taskmon_is_current || {
		TASKMON=$TOP/build/taskmon-quick$CROSS/taskmon
		taskmon_is_current || taskmon_make quick
	}
	taskmon_unlock
}

taskmon_lock() {
	mkdir -p "$TOP/build"
	exec {TASKMON_FD}>"$TOP/build/.taskmon$CROSS.lock"
	flock "$TASKMON_FD"
}

taskmon_unlock() {
	exec {TASKMON_FD}>&-
}

# taskmon_is_current: whether TASKMON exists and is newer than its sources.
taskmon_is_current() {
	[[ -e $TASKMON && ! $(find "$TOP/taskmon" "$TOP/scripts/cargo.sh" -path "$TOP/taskmon/target" -prune -o -newer "$TASKMON" -print -quit) ]]
}

# taskmon_make PROFILE
taskmon_make() {
	mkdir -p "${TASKMON%/*}"
	cargo_open
	rust_library_open
	# Shows the errors of the compiler in full.
	STAGE_TAIL=+1 stage "taskmon, $1" taskmon_compile "$1" || die "could not build taskmon (see above)"
	STAGE_TAIL=+1 stage "taskmon, $1: check of the program" check_static_binary "$TASKMON.new" "$1" || die "the taskmon that was built is not usable (see above)"
	mv "$TASKMON.new" "$TASKMON"
}

# taskmon_compile PROFILE. The program gets the time before cargo reads its sources, so that sources that change while
# cargo runs are newer than the program.
taskmon_compile() {
	local target=${CARGO_TARGET^^}
	: >"$TASKMON.began" &&
		cargo_with CARGO_NET_OFFLINE=true "CARGO_TARGET_${target//-/_}_LINKER=$TRIPLET-gcc" \
			RUSTFLAGS="-C target-feature=+crt-static${RUST_LIBRARY:+ -L $RUST_LIBRARY}" -- \
			build --profile "$1" --locked --package taskmon --target "$CARGO_TARGET" &&
		cp "$TOP/build/cargo/$TOOLCHAIN_SUITE/$CARGO_TARGET/$1/taskmon" "$TASKMON.new" &&
		touch -r "$TASKMON.began" "$TASKMON.new" &&
		rm "$TASKMON.began"
}

# rust_library_open: sets RUST_LIBRARY to the directory of Rust's standard library for another architecture than that of
# this machine, in the version of the toolchain's rustc; else to nothing. The package is unpacked in the cache: to install
# it, the toolchain would have to accept packages of that architecture.
rust_library_open() {
	local version folder here
	RUST_LIBRARY=
	[[ $CROSS ]] || return 0
	version=$(archive_version libstd-rust-dev)
	[[ $version ]] || die "the suite $SUITE has no package libstd-rust-dev for $ARCH; set SUITE to another suite"
	here=$(rustc_package)
	if [[ $here != "${version%+b*}" && $TOOLCHAIN != / ]]; then
		say "the toolchain has rustc $here, and the archive has Rust's library $version for $ARCH: making the toolchain again"
		toolchain_remake
		here=$(rustc_package)
	fi
	[[ $here == "${version%+b*}" ]] ||
		die "rustc has version $here, but Rust's library for $ARCH has version $version in the archive; update rustc (apt-get update, then apt-get install rustc), or wait for the mirror"
	folder=$CACHE/rust-library/$version$CROSS
	lock rust-library
	if [[ ! -e $folder/complete ]]; then
		discard "$folder"
		mkdir -p "$folder"
		stage "Rust's library $version for $ARCH" fetch "$folder" "libstd-rust-dev=$version" ||
			die "could not fetch libstd-rust-dev $version for $ARCH (see above); check the network"
		complete "$folder" <<<"libstd-rust-dev=$version"
	fi
	unlock
	RUST_LIBRARY=$folder/usr/lib/rustlib/$CARGO_TARGET/lib
	[[ -d $RUST_LIBRARY ]] || die "the package libstd-rust-dev $version for $ARCH has no directory ${RUST_LIBRARY#"$folder"}"
}

# rustc_package: prints the version of the package rustc, without the number of a rebuild, which differs between
# architectures.
rustc_package() {
	local version
	# shellcheck disable=SC2016
	version=$(toolchain_run dpkg-query -W -f '${Version}' rustc) || return
	echo "${version%+b*}"
}

# check_static_binary PROGRAM PROFILE: the program must need no shared library, and the released one must be small.
check_static_binary() {
	local bytes bad=0
	bytes=$(stat -c %s "$1") || return
	echo "$bytes bytes"
	[[ $2 != release ]] || ((bytes <= TASKMON_MAX_BYTES)) || {
		echo "the program has $bytes bytes, more than $TASKMON_MAX_BYTES"
		bad=1
	}
	! toolchain_run readelf --program-headers --dynamic "$1" | grep -E 'INTERP|NEEDED' || {
		echo "the program needs shared libraries"
		bad=1
	}
	return "$bad"
}

# --- the licences of the crates --------------------------------------------------------------------------------------

# Licences that a crate in a program under GPL-2.0-only may have. Apache-2.0 alone is not compatible; most crates offer
# it as a choice.
LICENCES=(
	0BSD Apache-2.0-WITH-LLVM-exception BSD-2-Clause BSD-3-Clause BSL-1.0 CC0-1.0 GPL-2.0-only GPL-2.0-or-later ISC
	LGPL-2.1-or-later MIT Unicode-3.0 Unlicense Zlib
)

# crates OPTION...: prints "NAME VERSION|LICENCE|SOURCE", a line for each crate of `cargo tree` that is not ours.
crates() {
	cargo_run tree --locked --prefix none --no-dedupe --format '{p}|{l}|{r}' "$@" |
		sed -n -e '/^taskmon[a-z-]* v/d' -e 's/^\([^ ]*\) v\([^ |]*\)[^|]*|/\1 \2|/p' | sort -u
}

# crates_licences: whether the licence of each crate in Cargo.lock is compatible, including crates for tests and other systems.
crates_licences() {
	local all crate licence bad=0
	# Not from `cargo tree`, which omits crates of features that are off.
	all=$(cargo_run metadata --locked --format-version 1 | toolchain_run python3 -c '
import json, sys
for package in json.load(sys.stdin)["packages"]:
    if package["source"]:
        print(package["name"], package["version"] + "|" + (package["license"] or ""))') || return
	[[ $all ]] || return
	while IFS='|' read -r crate licence; do
		licence_fits "$licence" || {
			echo "$crate: the licence \"$licence\" is not in the list of licences compatible with GPL-2.0-only (LICENCES in scripts/cargo.sh)"
			bad=1
		}
	done <<<"$all"
	while read -r crate; do
		grep -qF "$crate|" <<<"$all" || {
			echo "$crate: in Cargo.lock, but not in the output of cargo metadata"
			bad=1
		}
	done < <(sed -n '/^name = /{N;s/name = "\(.*\)"\nversion = "\(.*\)"/\1 \2/p}' "$TOP/taskmon/Cargo.lock" | grep -v '^taskmon')
	return "$bad"
}

# licence_fits EXPRESSION: evaluates an SPDX expression: each licence becomes 0 or 1, and bash does the arithmetic. Older
# crates write "A/B" for "A OR B".
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

# crates_notices FILE: writes the list of crates in the program and the texts of their licences, which require that.
crates_notices() {
	local linked crate directory file licence name
	linked=$(crates --package taskmon --target "$CARGO_TARGET" --edges normal,no-proc-macro) || return
	[[ $linked ]] || return
	{
		printf '%s\n' 'taskmon is licensed under GPL-2.0-only. The program contains these crates, each under a licence that is' \
			'compatible with it; the texts of the licences follow. Where a crate offers Apache-2.0 or another licence,' \
			'the other one applies.' ''
		while IFS='|' read -r crate licence _; do
			printf '%-30s %s\n' "$crate" "${licence//\// OR }"
		done <<<"$linked"
		while IFS='|' read -r crate licence _; do
			directory=$(find "$CARGO_DIR/registry/src" -mindepth 2 -maxdepth 2 -name "${crate/ /-}")
			for name in 'licen[cs]e-mit*' 'licen[cs]e-boost*' 'licen[cs]e' 'licen[cs]e.*' copying unlicense; do
				file=$(find "$directory" -maxdepth 1 -type f -iname "$name" | sort | head -n 1)
				[[ ! $file ]] || break
			done
			[[ $file ]] || { echo "$crate: no file with the text of its licence" >&2 && return 1; }
			printf '\n%s\n%s\n\n' "$crate" "$(printf '%*s' "${#crate}" '' | tr ' ' -)"
			cat "$file"
		done <<<"$linked"
	} >"$1"
}
