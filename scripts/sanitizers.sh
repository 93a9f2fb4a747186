# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Debug kernels, for the tests only: small ones, from the same linux-source as the stock kernel, with
# the configurations in tests/kernels/.
#
#   debug   KASAN, lockdep, kmemleak, fault injection, KUnit, ...
#   kcsan   KCSAN, which finds data races, and excludes KASAN
#
# ARCH and FLAVOUR select variants: FLAVOUR=rt has PREEMPT_RT, whose locks Debian's own kernel rt-amd64 does not check;
# FLAVOUR=16k has pages of 16 KiB. A virtual machine needs nothing of the flavour cloud.
#
# clang builds them: the kernel combines Rust and a sanitizer with clang only.
#
# Source lib.sh, toolchain.sh and kernel.sh first.

# The parts of linux-source that they need in addition to SOURCE_PARTS.
SANITIZER_PARTS=(
	block certs crypto drivers/acpi drivers/amba drivers/bus drivers/char drivers/clk
	drivers/clocksource drivers/cpufreq drivers/cpuidle drivers/firmware drivers/input drivers/irqchip
	drivers/mailbox drivers/misc drivers/net/loopback.c drivers/of drivers/pci drivers/pnp
	drivers/power drivers/rtc drivers/thermal drivers/tty drivers/video fs io_uring ipc net usr virt
)

# Lines of tests/kernels/*.config that some kernels do not know.
SANITIZER_OPTIONAL=(
	CONFIG_PROC_SYSCTL=y # up to 7.2; later kernels have only CONFIG_SYSCTL
)

# KCSAN of Rust code: the options that scripts/Makefile.kcsan of the kernel passes to C compilers.
KCSAN_RUSTFLAGS=(
	-Zsanitizer=thread -Cllvm-args=-tsan-instrument-func-entry-exit=0
	-Cllvm-args=-tsan-compound-read-before-write=1 -Cllvm-args=-tsan-distinguish-volatile=1
)

# sanitizer_configs: sets CONFIGS to the files of the configuration of this kernel.
sanitizer_configs() {
	local config
	CONFIGS=()
	[[ $KERNEL != kcsan || $ARCH == amd64 ]] || die "KERNEL=kcsan is for amd64 only, because rustc has no sanitizer for threads in kernels for $ARCH; unset ARCH and RELEASE"
	for config in base "$ARCH" ${FLAVOUR:+"$FLAVOUR"} "$KERNEL"; do
		CONFIGS+=("$TOP/tests/kernels/$config.config")
		[[ -r ${CONFIGS[-1]} ]] || die "there is no kernel $KERNEL of the flavour $FLAVOUR; set FLAVOUR (or RELEASE) to rt or 16k, or unset it"
	done
}

# sanitizer_cached: sets RELEASE, KDIR, VMLINUZ and KMAKE. Needs CONFIGS.
sanitizer_cached() {
	local made_of key
	made_of=$(
		printf '%s\n' "$KERNEL $KERNEL_NAME $VERSION" "$TOOLCHAIN_SUITE" "$TOOLCHAIN_ID"
		cat "$TOP/scripts/"{kernel,sanitizers}.sh "${CONFIGS[@]}" | sha256sum
	)
	key=$(sha256sum <<<"$made_of")
	ENTRY=$CACHE/kernel/$KERNEL-$RELEASE-${key::12}
	KDIR=$ENTRY/build VMLINUZ=$ENTRY/vmlinuz
	# Without a version, as the toolchain has only one.
	KMAKE=(ARCH="$KERNEL_ARCH" LLVM=1)
	# The kernel's own build applies KCSAN to C code only.
	[[ $KERNEL != kcsan ]] || KMAKE+=(RUSTFLAGS_MODULE="${KCSAN_RUSTFLAGS[*]}")
	lock "kernel-$KERNEL-$RELEASE"
	[[ -e $ENTRY/complete ]] || sanitizer_make "$made_of"
	unlock
	RELEASE=$(<"$KDIR/include/config/kernel.release")
}

sanitizer_make() {
	local refused target
	discard "$ENTRY"
	trap 'discard "$ENTRY"' EXIT
	mkdir -p "$ENTRY"/{source,build}
	stage "kernel $KERNEL: source $VERSION" fetch "$ENTRY/packages" "$SOURCE_PACKAGE=$VERSION" ||
		die "could not fetch $SOURCE_PACKAGE in version $VERSION (see above); check the network; if the archive has a newer version now, set RELEASE to it or unset RELEASE"
	stage "kernel $KERNEL: unpacking the source" kernel_unpack "${SANITIZER_PARTS[@]}" ||
		die "could not unpack $SOURCE_PACKAGE (see above); check that $CACHE has 2 GB of free space"
	rm -r "$ENTRY/packages"
	# The target must list the sanitizer that KCSAN uses (see KCSAN_RUSTFLAGS), or rustc refuses it.
	target=$ENTRY/source/scripts/generate_rust_target.rs
	sed -i 's/"supported-sanitizers", \["kcfi", /&"thread", /' "$target"
	grep -q '"supported-sanitizers", \["kcfi", "thread", ' "$target" || die "could not add the sanitizer \"thread\" to $target of $SOURCE_PACKAGE $VERSION: its list of sanitizers has another form now"
	{
		cat "${CONFIGS[@]}"
		echo "CONFIG_LOCALVERSION=\"-$KERNEL-$KERNEL_NAME\""
	} >"$KDIR/wanted.config"
	stage "kernel $KERNEL: configuration" sanitizer_make_targets KCONFIG_ALLCONFIG="$KDIR/wanted.config" allnoconfig ||
		die "could not configure $SOURCE_PACKAGE $VERSION (see above)"
	refused=$(grep '^CONFIG_' "$KDIR/wanted.config" | grep -vxFf "$KDIR/.config" |
		grep -vxFf <(printf '%s\n' "${SANITIZER_OPTIONAL[@]}") || :)
	[[ ! $refused ]] ||
		die "$SOURCE_PACKAGE $VERSION refuses these options of tests/kernels/*.config: ${refused//$'\n'/ }"
	stage "kernel $KERNEL: build (takes some minutes)" sanitizer_make_targets "$BOOT_IMAGE" modules_prepare ||
		die "could not build the kernel $KERNEL (see above)"
	cp "$KDIR/arch/$KERNEL_ARCH/boot/$BOOT_IMAGE" "$VMLINUZ"
	# Modules link against the symbols that this kernel exports.
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
