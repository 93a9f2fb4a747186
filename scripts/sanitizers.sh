# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Kernels that find mistakes, for the tests alone: small ones, from the same linux-source as the stock
# kernel, with the configurations in tests/kernels/.
#
#   debug   KASAN, lockdep, kmemleak, fault injection, KUnit, ...
#   kcsan   KCSAN, which finds data races, and excludes KASAN
#
# They are made by clang: Rust and a sanitizer go together with that alone.
#
# To be sourced behind lib.sh, toolchain.sh and kernel.sh.

# What they need besides SOURCE_PARTS.
SANITIZER_PARTS=(
	block certs crypto drivers/acpi drivers/char drivers/clocksource drivers/cpufreq
	drivers/cpuidle drivers/firmware drivers/input drivers/irqchip drivers/mailbox drivers/misc
	drivers/net/loopback.c drivers/pci drivers/pnp drivers/power drivers/rtc drivers/thermal
	drivers/tty drivers/video fs io_uring ipc net usr virt
)

# Lines of tests/kernels/*.config that not all kernels know.
SANITIZER_OPTIONAL=(
	CONFIG_PROC_SYSCTL=y # up to 7.2; behind that, CONFIG_SYSCTL is all there is
)

# KCSAN of Rust code: what scripts/Makefile.kcsan of the kernel gives to C compilers.
KCSAN_RUSTFLAGS=(
	-Zsanitizer=thread -Cllvm-args=-tsan-instrument-func-entry-exit=0
	-Cllvm-args=-tsan-compound-read-before-write=1 -Cllvm-args=-tsan-distinguish-volatile=1
)

# Sets RELEASE, KDIR, VMLINUZ and KMAKE.
sanitizer_cached() {
	local made_of key configs=("$TOP/tests/kernels/"{base,"$KERNEL"}.config)
	made_of=$(
		printf '%s\n' "$KERNEL $VERSION" "$TOOLCHAIN_SUITE" "$TOOLCHAIN_ID"
		cat "$TOP/scripts/"{kernel,sanitizers}.sh "${configs[@]}" | sha256sum
	)
	key=$(sha256sum <<<"$made_of")
	ENTRY=$CACHE/kernel/$KERNEL-$RELEASE-${key::12}
	KDIR=$ENTRY/build VMLINUZ=$ENTRY/vmlinuz
	# With the names that the compilers have without a version: there is but one.
	KMAKE=(LLVM=1)
	# The kernel itself has KCSAN look at C code alone.
	[[ $KERNEL != kcsan ]] || KMAKE+=(RUSTFLAGS_MODULE="${KCSAN_RUSTFLAGS[*]}")
	lock "kernel-$KERNEL-$RELEASE"
	[[ -e $ENTRY/complete ]] || sanitizer_make "$made_of"
	unlock
	RELEASE=$(<"$KDIR/include/config/kernel.release")
}

sanitizer_make() {
	local lacking target
	discard "$ENTRY"
	trap 'discard "$ENTRY"' EXIT
	mkdir -p "$ENTRY"/{source,build}
	stage "kernel $KERNEL: source $VERSION" fetch "$ENTRY/packages" "$SOURCE_PACKAGE=$VERSION" ||
		die "could not fetch $SOURCE_PACKAGE in version $VERSION (see above): is the network there? if the archive has moved on to another version, set RELEASE, or none"
	stage "kernel $KERNEL: unpacking the source" kernel_unpack "${SOURCE_PARTS[@]}" "${SANITIZER_PARTS[@]}" ||
		die "could not unpack $SOURCE_PACKAGE (see above): is there 2 GB of space in $CACHE?"
	rm -r "$ENTRY/packages"
	# rustc must be told that x86-64 can have what KCSAN uses (see KCSAN_RUSTFLAGS).
	target=$ENTRY/source/scripts/generate_rust_target.rs
	sed -i 's/"supported-sanitizers", \["kcfi", /&"thread", /' "$target"
	grep -q '"supported-sanitizers", \["kcfi", "thread", ' "$target" || die "$SOURCE_PACKAGE $VERSION says otherwise than before what sanitizers there are, in $target"
	cat "${configs[@]}" >"$KDIR/wanted.config"
	stage "kernel $KERNEL: configuration" sanitizer_make_targets KCONFIG_ALLCONFIG="$KDIR/wanted.config" allnoconfig ||
		die "could not configure $SOURCE_PACKAGE $VERSION (see above)"
	lacking=$(grep '^CONFIG_' "$KDIR/wanted.config" | grep -vxFf "$KDIR/.config" |
		grep -vxFf <(printf '%s\n' "${SANITIZER_OPTIONAL[@]}") || :)
	[[ ! $lacking ]] ||
		die "$SOURCE_PACKAGE $VERSION refuses of tests/kernels/*.config: ${lacking//$'\n'/ }"
	stage "kernel $KERNEL: building it (some minutes)" sanitizer_make_targets bzImage modules_prepare ||
		die "could not build the kernel $KERNEL (see above)"
	cp "$KDIR/arch/x86/boot/bzImage" "$VMLINUZ"
	# Modules are for whatever this kernel exports.
	cp "$KDIR/vmlinux.symvers" "$KDIR/Module.symvers"
	find "$KDIR" \( -name '*.o' -o -name '*.a' -o -name '*vmlinux*' \) -not -path '*/scripts/*' -not -path '*/tools/*' \
		-not -name '*.h' -type f -size +64k -delete
	complete "$ENTRY" <<<"$1"
	trap - EXIT
}

# sanitizer_make_targets TARGET...
sanitizer_make_targets() {
	toolchain_run make -s -j"$(nproc)" -C "$ENTRY/source" O="$KDIR" "${KMAKE[@]}" "$@"
}
