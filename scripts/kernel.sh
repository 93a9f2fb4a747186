# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The kernel: selects the release, and makes a directory that Rust modules for it can be built
# against (a KDIR). Debian's headers say CONFIG_RUST=y but omit the Rust metadata. This script builds
# it from linux-source of the same version, with the compilers of the same suite, and compares it
# with the symbols that the stock kernel exports.
#
# KERNEL=debug and KERNEL=kcsan select a debug kernel instead (scripts/sanitizers.sh).
#
# Source lib.sh and toolchain.sh first.

source "$TOP/scripts/sanitizers.sh"

# The parts of linux-source to unpack: those that modules_prepare builds and includes, and those that developers read;
# kernel_unpack adds those of the architecture.
SOURCE_PARTS=(
	.clippy.toml .rustfmt.toml COPYING
	Documentation/rust drivers/android drivers/base fs/debugfs
	fs/kernfs fs/proc fs/seq_file.c fs/sysfs include init kernel lib mm rust samples/rust scripts
	security tools/arch tools/bpf/resolve_btfids tools/build tools/include tools/lib
	tools/objtool tools/scripts
)

# kernel_open: prepares the kernel RELEASE of SUITE, or the debug kernel that KERNEL names. Sets
# RELEASE, TOOLCHAIN (see toolchain.sh), KDIR, VMLINUZ, and KMAKE, the variables to pass to make for
# this kernel.
kernel_open() {
	KMAKE=()
	case ${KERNEL:=stock} in
	stock | debug | kcsan) ;;
	*) die "unknown kernel \"$KERNEL\"; set KERNEL to stock, debug or kcsan" ;;
	esac
	archive_open
	[[ $KERNEL == stock ]] || sanitizer_configs
	find_release
	if [[ $KERNEL == stock ]]; then
		kernel_toolchain
		kernel_cached
	else
		kernel_toolchain "${TOOLCHAIN_CLANG[@]}"
		sanitizer_cached
	fi
}

# kernel_open_running: does the same for the running kernel. Headers that include Rust metadata (of
# another distribution, or of a self-built kernel) are used as they are, with the installed tools.
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
			die "$KDIR has no Rust metadata, and this machine does not run Debian; set SUITE to the Debian suite of the kernel $RELEASE, or KDIR to a kernel tree with Rust metadata"
	fi
	kernel_open
}

# find_release: sets RELEASE, and VERSION to the version of the kernel's packages.
find_release() {
	local newest headers
	case ${RELEASE-} in
	'')
		# The image that users of the suite get: the newest metapackage depends on it.
		newest=$(archive_version "linux-image-$KERNEL_NAME")
		RELEASE=$(archive_apt apt-cache show "linux-image-$KERNEL_NAME=$newest" 2>/dev/null |
			sed -n 's/^Depends:.*linux-image-\([0-9][^ ,]*\).*/\1/p' | head -n 1)
		[[ $RELEASE ]] || die "the suite $SUITE has no package linux-image-$KERNEL_NAME; set SUITE to another suite, or FLAVOUR to another flavour"
		;;
	newest | previous)
		# The archive may have a newer image that is not signed yet.
		newest=$(archive_releases | tail -n 2)
		[[ $newest ]] || die "the suite $SUITE has no headers of a kernel $KERNEL_NAME; set SUITE to another suite, or FLAVOUR to another flavour"
		[[ $RELEASE == previous ]] && RELEASE=${newest%%$'\n'*} || RELEASE=${newest##*$'\n'}
		;;
	esac
	headers=linux-headers-$RELEASE
	VERSION=$(archive_version "$headers")
	[[ $VERSION ]] ||
		die "the suite $SUITE does not have the package $headers (any more); install the kernel that linux-image-$KERNEL_NAME of $SUITE depends on, or set RELEASE or SUITE"
	[[ $RELEASE =~ ^[0-9]+\.[0-9]+ ]] || die "\"$RELEASE\" is not a kernel release; set RELEASE to one in the form that uname -r prints"
	SOURCE_PACKAGE=linux-source-${BASH_REMATCH[0]}
	IMAGE_PACKAGE=$(archive_apt apt-cache pkgnames linux- | grep -x -e "linux-binary-$RELEASE" -e "linux-image-$RELEASE" \
		-e "linux-binary-unsigned-$RELEASE" -e "linux-image-$RELEASE-unsigned" | sort | head -n 1)
	[[ $IMAGE_PACKAGE ]] || die "the suite $SUITE has no image of $RELEASE; set RELEASE to another release"
}

# kernel_toolchain PACKAGE...: opens the toolchain with the kernel's C compiler, which the headers depend on, and with each
# PACKAGE. Another architecture than that of this machine needs a cross compiler, too.
kernel_toolchain() {
	local compiler
	compiler=$(archive_apt apt-cache show "linux-headers-$RELEASE=$VERSION" |
		sed -n 's/^Depends:.*\b\(gcc-[0-9]*\).*/\1/p' | head -n 1)
	[[ ! $CROSS ]] || set -- "$@" "$compiler-${TRIPLET//_/-}" "${CROSS_PACKAGES[@]}"
	toolchain_open "$compiler" "$@"
}

# kernel_cached: sets KDIR and VMLINUZ.
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
		die "could not fetch linux-headers-$RELEASE, $IMAGE_PACKAGE and $SOURCE_PACKAGE in version $VERSION (see above); check the network; if the archive has a newer version now, set RELEASE to it or unset RELEASE"
	grep -qx CONFIG_RUST=y "$KDIR/.config" ||
		die "the kernel $RELEASE is built without CONFIG_RUST=y, which Rust modules need; set RELEASE to a Debian kernel from 6.16 on (for Debian 13: from trixie-backports)"
	! grep -qx CONFIG_MODVERSIONS=y "$KDIR/.config" ||
		die "the kernel $RELEASE has CONFIG_MODVERSIONS=y, which is not supported; set RELEASE to another release"
	stage "kernel $RELEASE: unpacking the source" kernel_unpack ||
		die "could not unpack $SOURCE_PACKAGE (see above); check that $CACHE has 1 GB of free space"
	check_tool rustc RUSTC rust_version
	check_tool bindgen BINDGEN bindgen_version
	stage "kernel $RELEASE: configuration" kernel_make_target olddefconfig ||
		die "could not configure $SOURCE_PACKAGE $VERSION (see above)"
	changes=$(diff <(kernel_config "$ENTRY/packages/config") <(kernel_config "$KDIR/.config")) ||
		die "olddefconfig changes the configuration of $RELEASE, so it was built with other tools than these; the first difference: $(sed -n '/^[<>]/{p;q}' <<<"$changes"); set RELEASE to a kernel built with these tools"
	changes=$(diff "$ENTRY/packages/config" "$KDIR/.config" | sed -n 's/^> CONFIG_//p' | paste -s -d ' ') || :
	[[ ! $changes ]] ||
		say "kernel $RELEASE: its C tools had other versions ($changes here), and the configuration is the same otherwise: continuing"
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
	# With vmlinux, modules get BTF, too.
	[[ ! -e $headers/vmlinux ]] || cp "$headers/vmlinux" "$KDIR/" || return
	find "$root" -name 'vmlinuz*' -type f -exec cp {} "$VMLINUZ" \; || return
	[[ -s $VMLINUZ ]]
}

# kernel_unpack [PART...]
kernel_unpack() {
	local top=$SOURCE_PACKAGE part parts=()
	# tar does not find a part that is in one before it.
	set -- "${SOURCE_PARTS[@]}" "arch/$KERNEL_ARCH" "$@"
	# All architectures read these parts of x86.
	[[ $KERNEL_ARCH == x86 ]] || set -- "$@" arch/x86/include/uapi arch/x86/entry/syscalls
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

# check_tool TOOL CONFIG_PREFIX COMMAND: the tool must have the version that built the kernel. If it
# has another one, the archive may have a newer one than the toolchain directory: make it again.
check_tool() {
	local built here
	built=$(sed -n "s/^CONFIG_$2_VERSION_TEXT=\"\(.*\)\"$/\1/p" "$KDIR/.config")
	here=$("$3") || die "the toolchain has no working $1; remove $(dirname "$TOOLCHAIN"), then run this again"
	if [[ $here != "$built" && $TOOLCHAIN != / ]]; then
		say "the kernel was built with $built, and the toolchain has $here: making the toolchain again"
		toolchain_remake
		here=$("$3")
	fi
	[[ $here == "$built" ]] ||
		die "the kernel $RELEASE was built with \"$built\", but $TOOLCHAIN_SUITE has \"$here\", whose modules would not load; set RELEASE to a kernel built with \"$here\""
}

# kernel_config FILE: prints the part of a configuration that must not change. The versions of the C tools may (an
# archive gets newer ones after a kernel was built): layouts depend on the other options, and a Rust module has no C code.
kernel_config() {
	grep -v -E '^CONFIG_(CC_VERSION_TEXT|GCC_VERSION|AS_VERSION|LD_VERSION|PAHOLE_VERSION)=' "$1"
}

kernel_make_target() {
	# The vDSO for 32-bit programs, which no module needs, would need a compiler for them. The option stays in .config.
	toolchain_run make -s -j"$(nproc)" -C "$ENTRY/source" O="$KDIR" CONFIG_COMPAT_VDSO= "$1"
}

# kernel_prove [CHANGES]: proves that the metadata matches the stock kernel: the configuration and the release are the
# same, and each Rust symbol that the kernel exports was built here under the same mangled name.
kernel_prove() {
	local missing exported
	[[ $(<"$KDIR/include/config/kernel.release") == "$RELEASE" ]] ||
		die "$SOURCE_PACKAGE $VERSION calls itself $(<"$KDIR/include/config/kernel.release"), not $RELEASE; set RELEASE to another release"
	awk '$2 ~ /^(_R|rust_helper_)/ { print $2 }' "$KDIR/Module.symvers" | sort -u >"$ENTRY/packages/exported"
	toolchain_run find "$KDIR/rust" -name '*.o' -exec "$TRIPLET-nm" --defined-only {} + 2>/dev/null |
		awk 'NF == 3 { print $3 }' | sort -u >"$ENTRY/packages/defined"
	exported=$(wc -l <"$ENTRY/packages/exported")
	missing=$(comm -23 "$ENTRY/packages/exported" "$ENTRY/packages/defined" | wc -l)
	((exported > 0)) || die "the kernel $RELEASE exports no Rust symbols; set RELEASE to another release"
	((missing == 0)) ||
		die "$missing of the $exported Rust symbols that $RELEASE exports were not built here, so modules would not load; the first one: $(comm -23 "$ENTRY/packages/exported" "$ENTRY/packages/defined" | head -n 1)"
	say "kernel $RELEASE: the metadata matches: olddefconfig changed nothing${1:+ else}, and all $exported exported Rust symbols were built"
	# External modules need the metadata, not the objects.
	find "$KDIR/rust" -name '*.o' -delete
}
