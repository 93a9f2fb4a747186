# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The kernel: which release is meant, and a folder against which Rust modules for it can be built
# (a KDIR). Debian's headers say CONFIG_RUST=y but lack the Rust metadata: it is built here from
# linux-source of the same version, by the compilers of the same suite, and compared with what the
# stock kernel exports.
#
# KERNEL=debug and KERNEL=kcsan mean a kernel that finds mistakes instead (scripts/sanitizers.sh).
#
# To be sourced behind lib.sh and toolchain.sh.

source "$TOP/scripts/sanitizers.sh"

# What is unpacked of linux-source: what modules_prepare builds and includes, and what one reads.
SOURCE_PARTS=(
	.clippy.toml .rustfmt.toml COPYING
	Documentation/rust arch/x86 drivers/android drivers/base fs/debugfs
	fs/kernfs fs/proc fs/seq_file.c fs/sysfs include init kernel lib mm rust samples/rust scripts
	security tools/arch/x86 tools/bpf/resolve_btfids tools/build tools/include tools/lib
	tools/objtool tools/scripts
)

# kernel_open: makes ready the kernel RELEASE of SUITE, or what KERNEL makes of its source. Sets
# RELEASE, TOOLCHAIN (see toolchain.sh), KDIR, VMLINUZ, and KMAKE, the variables that make must be
# given for this kernel.
kernel_open() {
	KMAKE=()
	case ${KERNEL:=stock} in
	stock | debug | kcsan) ;;
	*) die "there is no kernel \"$KERNEL\": KERNEL can be stock, debug or kcsan" ;;
	esac
	archive_open
	find_release
	if [[ $KERNEL == stock ]]; then
		toolchain_open "$(compiler_package)"
		kernel_cached
	else
		toolchain_open "$(compiler_package)" "${TOOLCHAIN_CLANG[@]}"
		sanitizer_cached
	fi
}

# kernel_open_running: the same for the kernel that runs here. Headers that carry Rust metadata
# already (a distribution's, or of a self-built kernel) are used as they are, with the tools that
# are installed.
kernel_open_running() {
	RELEASE=${RELEASE:-$(uname -r)}
	KDIR=/lib/modules/$RELEASE/build
	if [[ -e $KDIR/rust/libkernel.rmeta ]]; then
		TOOLCHAIN=/
		return
	fi
	if [[ ! $SUITE_GIVEN ]]; then
		# shellcheck source=/dev/null
		SUITE=$(. /etc/os-release && [[ ${ID-} == debian ]] && echo "${VERSION_CODENAME:-sid}") ||
			die "$KDIR has no Rust metadata, and this is no Debian: set SUITE to the Debian suite that the kernel $RELEASE is from, or KDIR to a kernel tree with metadata"
	fi
	kernel_open
}

# Sets RELEASE and VERSION, that of the kernel's packages.
find_release() {
	local newest headers
	case ${RELEASE-} in
	'')
		# What the suite's users get: the image that the metapackage's newest version depends on.
		newest=$(archive_version linux-image-amd64)
		RELEASE=$(archive_apt apt-cache show "linux-image-amd64=$newest" 2>/dev/null |
			sed -n 's/^Depends:.*linux-image-\([0-9][^ ,]*\).*/\1/p' | head -n 1)
		[[ $RELEASE ]] || die "the suite $SUITE has no linux-image-amd64: set SUITE to one that has"
		;;
	newest)
		# Newer ones may be in the archive already, not signed yet.
		RELEASE=$(archive_apt apt-cache pkgnames linux-headers- |
			sed -n 's/^linux-headers-\([0-9].*[^t]-amd64\)$/\1/p' |
			grep -v -e '-cloud-' -e '-rt-' | sort -V | tail -n 1)
		[[ $RELEASE ]] || die "the suite $SUITE has no kernel headers: set SUITE to one that has"
		;;
	esac
	headers=linux-headers-$RELEASE
	VERSION=$(archive_version "$headers")
	[[ $VERSION ]] ||
		die "the suite $SUITE has no package $headers (any more): install the kernel that linux-image-amd64 of $SUITE names, or set RELEASE or SUITE"
	[[ $RELEASE =~ ^[0-9]+\.[0-9]+ ]] || die "\"$RELEASE\" is no kernel release: set RELEASE to one such as uname -r prints"
	SOURCE_PACKAGE=linux-source-${BASH_REMATCH[0]}
	IMAGE_PACKAGE=$(archive_apt apt-cache pkgnames linux- | grep -x -e "linux-binary-$RELEASE" -e "linux-image-$RELEASE" \
		-e "linux-binary-unsigned-$RELEASE" -e "linux-image-$RELEASE-unsigned" | sort | head -n 1)
	[[ $IMAGE_PACKAGE ]] || die "the suite $SUITE has no image of $RELEASE: set RELEASE to another"
}

# The compiler of the kernel, as the headers' dependencies name it.
compiler_package() {
	archive_apt apt-cache show "linux-headers-$RELEASE=$VERSION" |
		sed -n 's/^Depends:.*\b\(gcc-[0-9]*\).*/\1/p' | head -n 1
}

# Sets KDIR and VMLINUZ.
kernel_cached() {
	local made_of key
	made_of=$(
		printf '%s\n' "$RELEASE $VERSION $IMAGE_PACKAGE" "$TOOLCHAIN_SUITE" "$TOOLCHAIN_ID"
		sha256sum <"$TOP/scripts/kernel.sh"
	)
	key=$(sha256sum <<<"$made_of")
	ENTRY=$CACHE/kernel/$RELEASE-${key::12}
	KDIR=$ENTRY/build VMLINUZ=$ENTRY/vmlinuz
	lock "kernel-$RELEASE"
	[[ -e $ENTRY/complete ]] || kernel_make "$made_of"
	unlock
}

kernel_make() {
	local changes
	discard "$ENTRY"
	trap 'discard "$ENTRY"' EXIT
	mkdir -p "$ENTRY"/{source,build}
	stage "kernel $RELEASE: headers, image and source $VERSION" kernel_fetch ||
		die "could not fetch linux-headers-$RELEASE, $IMAGE_PACKAGE and $SOURCE_PACKAGE in version $VERSION (see above): is the network there? if the archive has moved on to another version, set RELEASE, or none"
	grep -qx CONFIG_RUST=y "$KDIR/.config" ||
		die "the kernel $RELEASE has no CONFIG_RUST=y: Rust modules need one that has (Debian's from 6.16 on; Debian 13's are in trixie-backports)"
	! grep -qx CONFIG_MODVERSIONS=y "$KDIR/.config" ||
		die "the kernel $RELEASE has CONFIG_MODVERSIONS=y, for which nothing is built here: set RELEASE to another"
	stage "kernel $RELEASE: unpacking the source" kernel_unpack "${SOURCE_PARTS[@]}" ||
		die "could not unpack $SOURCE_PACKAGE (see above): is there 1 GB of space in $CACHE?"
	check_tool rustc RUSTC rust_version
	check_tool bindgen BINDGEN bindgen_version
	stage "kernel $RELEASE: configuration" kernel_make_target olddefconfig ||
		die "could not configure $SOURCE_PACKAGE $VERSION (see above)"
	changes=$(diff <(kernel_config "$ENTRY/packages/config") <(kernel_config "$KDIR/.config")) ||
		die "olddefconfig changes the configuration of $RELEASE, so the tools here differ from those that built it, first in: $(sed -n '/^[<>]/{p;q}' <<<"$changes"); set RELEASE to a kernel built with these"
	changes=$(diff "$ENTRY/packages/config" "$KDIR/.config" | sed -n 's/^> CONFIG_//p' | paste -s -d ' ') || :
	[[ ! $changes ]] ||
		say "kernel $RELEASE: the C tools are not just those that built it ($changes), which changes nothing else of its configuration; going on"
	stage "kernel $RELEASE: Rust metadata" kernel_make_target modules_prepare ||
		die "could not build the Rust metadata of $RELEASE (see above)"
	kernel_prove "$changes"
	rm -r "$ENTRY/packages"
	complete "$ENTRY" <<<"$1"
	trap - EXIT
}

kernel_fetch() {
	local root=$ENTRY/packages headers
	fetch "$root" "linux-headers-$RELEASE=$VERSION" "$SOURCE_PACKAGE=$VERSION" \
		"$IMAGE_PACKAGE=$(archive_version "$IMAGE_PACKAGE")" || return
	headers=$root/usr/src/linux-headers-$RELEASE
	cp "$headers"/{.config,.kernelvariables,Module.symvers} "$KDIR/" || return
	cp "$KDIR/.config" "$root/config" || return
	# With it, modules get BTF, too.
	[[ ! -e $headers/vmlinux ]] || cp "$headers/vmlinux" "$KDIR/" || return
	find "$root" -name 'vmlinuz*' -type f -exec cp {} "$VMLINUZ" \; || return
	[[ -s $VMLINUZ ]]
}

# kernel_unpack PART...
kernel_unpack() {
	local top=$SOURCE_PACKAGE part parts=()
	for part; do
		parts+=("$top/$part")
	done
	tar -xf "$ENTRY/packages/usr/src/$SOURCE_PACKAGE.tar.xz" -C "$ENTRY/source" --strip-components=1 \
		--anchored --no-wildcards "${parts[@]}" \
		--wildcards "$top/*Kconfig*" "$top/*Makefile*" "$top/*Kbuild*"
}

rust_version() {
	toolchain_run rustc --version
}

bindgen_version() {
	toolchain_run bindgen --version workaround-for-0.69.0
}

# check_tool TOOL CONFIG_PREFIX COMMAND: the tool must be the one that built the kernel. If it is
# not, the archive may have moved on since the toolchain was made.
check_tool() {
	local built here
	built=$(sed -n "s/^CONFIG_$2_VERSION_TEXT=\"\(.*\)\"$/\1/p" "$KDIR/.config")
	here=$("$3") || die "the toolchain has no working $1: remove $(dirname "$TOOLCHAIN") and run this again"
	if [[ $here != "$built" && $TOOLCHAIN != / ]]; then
		say "the kernel was built with $built, the toolchain has $here: making the toolchain anew"
		toolchain_remake
		here=$("$3")
	fi
	[[ $here == "$built" ]] ||
		die "the kernel $RELEASE was built with \"$built\", but $TOOLCHAIN_SUITE has \"$here\", and modules built with it would not load: set RELEASE to a kernel built with the latter"
}

# kernel_config FILE: what of a configuration must not change. The versions of the C tools may (an archive gets newer
# ones than a kernel was built with): layouts follow from the other options, and a Rust module has no C code of its own.
kernel_config() {
	grep -v -E '^CONFIG_(CC_VERSION_TEXT|GCC_VERSION|AS_VERSION|LD_VERSION|PAHOLE_VERSION)=' "$1"
}

kernel_make_target() {
	toolchain_run make -s -j"$(nproc)" -C "$ENTRY/source" O="$KDIR" "$1"
}

# kernel_prove [CHANGES]: the fit: the same configuration, the same release, and every Rust symbol that the stock kernel
# exports, mangled names included, among those that were built here.
kernel_prove() {
	local lacking exported
	[[ $(<"$KDIR/include/config/kernel.release") == "$RELEASE" ]] ||
		die "$SOURCE_PACKAGE $VERSION calls itself $(<"$KDIR/include/config/kernel.release"), not $RELEASE: set RELEASE to another"
	awk '$2 ~ /^(_R|rust_helper_)/ { print $2 }' "$KDIR/Module.symvers" | sort -u >"$ENTRY/packages/exported"
	toolchain_run sh -c 'find "$1" -name "*.o" -exec nm --defined-only {} +' sh "$KDIR/rust" 2>/dev/null |
		awk 'NF == 3 { print $3 }' | sort -u >"$ENTRY/packages/defined"
	exported=$(wc -l <"$ENTRY/packages/exported")
	lacking=$(comm -23 "$ENTRY/packages/exported" "$ENTRY/packages/defined" | wc -l)
	((exported > 0)) || die "the kernel $RELEASE exports no Rust symbol: set RELEASE to another"
	((lacking == 0)) ||
		die "$lacking of the $exported Rust symbols that $RELEASE exports were not built here, so modules would not load; the first is $(comm -23 "$ENTRY/packages/exported" "$ENTRY/packages/defined" | head -n 1)"
	say "kernel $RELEASE: olddefconfig changed nothing${1:+ else}, and all $exported Rust symbols that it exports were built here"
	# External modules need the metadata, not the objects.
	find "$KDIR/rust" -name '*.o' -delete
}
