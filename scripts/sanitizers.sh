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
	lock "kernel-$KERNEL-$RELEASE"
	[[ -e $ENTRY/complete ]] || sanitizer_make "$made_of"
	unlock
	RELEASE=$(<"$KDIR/include/config/kernel.release")
}

sanitizer_make() {
	local lacking
	discard "$ENTRY"
	trap 'discard "$ENTRY"' EXIT
	mkdir -p "$ENTRY"/{source,build}
	stage "kernel $KERNEL: source $VERSION" fetch "$ENTRY/packages" "$SOURCE_PACKAGE=$VERSION" ||
		die "could not fetch $SOURCE_PACKAGE in version $VERSION (see above): is the network there? if the archive has moved on to another version, set RELEASE, or none"
	stage "kernel $KERNEL: unpacking the source" kernel_unpack "${SOURCE_PARTS[@]}" "${SANITIZER_PARTS[@]}" ||
		die "could not unpack $SOURCE_PACKAGE (see above): is there 2 GB of space in $CACHE?"
	rm -r "$ENTRY/packages"
	cat "${configs[@]}" >"$KDIR/wanted.config"
	stage "kernel $KERNEL: configuration" sanitizer_make_targets KCONFIG_ALLCONFIG="$KDIR/wanted.config" allnoconfig ||
		die "could not configure $SOURCE_PACKAGE $VERSION (see above)"
	lacking=$(grep '^CONFIG_' "$KDIR/wanted.config" | grep -vxFf "$KDIR/.config" || :)
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
