# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the scripts that source this
#
# The architectures and flavours of Debian's kernels with Rust: the one place that maps ARCH and FLAVOUR to the names
# that Debian, the kernel, the compilers, cargo and QEMU use. lib.sh sources it.

# debian_arch NAME: prints Debian's name of an architecture, which the kernel or uname may call otherwise.
debian_arch() {
	case $1 in
	amd64 | x86_64 | x86) echo amd64 ;;
	arm64 | aarch64) echo arm64 ;;
	*) return 1 ;;
	esac
}

# kernel_name ARCH FLAVOUR: prints the name of the kernel, as in linux-image-NAME and at the end of its releases.
kernel_name() {
	case $1:$2 in
	amd64: | arm64:) echo "$1" ;;
	amd64:cloud | amd64:rt | arm64:cloud | arm64:rt) echo "$2-$1" ;;
	arm64:16k) echo "$1-$2" ;;
	*) return 1 ;;
	esac
}

# release_parse RELEASE: sets RELEASE_ARCH and RELEASE_FLAVOUR to what the name of the release says; fails if it says nothing.
release_parse() {
	[[ $1 =~ -((cloud|rt)-)?(amd64|arm64)(-(16k))?$ ]] || return
	RELEASE_ARCH=${BASH_REMATCH[3]} RELEASE_FLAVOUR=${BASH_REMATCH[2]}${BASH_REMATCH[5]}
}

# arch_open: sets ARCH and FLAVOUR, from RELEASE if that names them, and what follows from them.
#
#   KERNEL_NAME      Debian's name of the kernel: cloud-amd64, arm64-16k, ...
#   HOST_ARCH        Debian's name of the architecture of this machine
#   CROSS            "-$ARCH" if this machine has another architecture: the end of the names of directories for it
#   KERNEL_ARCH      the kernel's name of ARCH
#   TRIPLET          of the compiler
#   CROSS_PACKAGES   the compiler and the C library for ARCH, in addition to the kernel's own compiler
#   CARGO_TARGET     rustc's name of ARCH
#   BOOT_IMAGE       the kernel that its build makes, and QEMU boots
#   QEMU, MACHINE    QEMU's program and its options
#   EMULATED_CPU     the processor with all that QEMU can emulate, at its fastest
#   CONSOLE, OUTPUT, STATUS_PORT   the guest's serial ports for the kernel, for the output and for the status of a script
#   PORTS            QEMU's options that connect these ports to out and status, two of its character devices
#   VM_COMMANDS      the commands that scripts/vm needs, with their packages
arch_open() {
	local wanted
	HOST_ARCH=$(debian_arch "$(uname -m)") || die "this machine is $(uname -m), and taskmonitor supports only amd64 and arm64"
	if release_parse "${RELEASE-}"; then
		[[ ! ${ARCH-} || $(debian_arch "$ARCH") == "$RELEASE_ARCH" ]] || die "the kernel $RELEASE is for $RELEASE_ARCH, but ARCH is $ARCH: unset ARCH or RELEASE"
		[[ ! ${FLAVOUR-} || $FLAVOUR == "$RELEASE_FLAVOUR" ]] || die "the kernel $RELEASE has the flavour \"$RELEASE_FLAVOUR\", but FLAVOUR is \"$FLAVOUR\": unset FLAVOUR or RELEASE"
		ARCH=$RELEASE_ARCH FLAVOUR=$RELEASE_FLAVOUR
	fi
	wanted=${ARCH:-$HOST_ARCH} FLAVOUR=${FLAVOUR-}
	ARCH=$(debian_arch "$wanted") || die "unknown architecture \"$wanted\"; set ARCH to amd64 or arm64"
	KERNEL_NAME=$(kernel_name "$ARCH" "$FLAVOUR") ||
		die "Debian has no kernel of the flavour \"$FLAVOUR\" for $ARCH; set FLAVOUR to cloud or rt, or 16k on arm64, or unset it"
	case $ARCH in
	amd64)
		KERNEL_ARCH=x86 TRIPLET=x86_64-linux-gnu BOOT_IMAGE=bzImage
		QEMU=qemu-system-x86_64:qemu-system-x86 MACHINE=() EMULATED_CPU=max
		CONSOLE=ttyS0 OUTPUT=ttyS1 STATUS_PORT=ttyS2
		PORTS=(-serial chardev:out -serial chardev:status)
		;;
	arm64)
		KERNEL_ARCH=arm64 TRIPLET=aarch64-linux-gnu BOOT_IMAGE=Image
		QEMU=qemu-system-aarch64:qemu-system-arm EMULATED_CPU=max,pauth-impdef=on
		MACHINE=(-machine "virt,gic-version=max" -cpu "$EMULATED_CPU")
		# The machine has one serial port of its own.
		CONSOLE=ttyAMA0 OUTPUT=ttyS0 STATUS_PORT=ttyS1
		PORTS=(-device "pci-serial,chardev=out" -device "pci-serial,chardev=status")
		;;
	esac
	CARGO_TARGET=${TRIPLET/-/-unknown-}
	VM_COMMANDS=("$QEMU" cpio:cpio timeout:coreutils)
	QEMU=${QEMU%:*}
	CROSS='' CROSS_PACKAGES=()
	if [[ $ARCH != "$HOST_ARCH" ]]; then
		CROSS=-$ARCH
		CROSS_PACKAGES=("gcc-${TRIPLET//_/-}" "libc6-dev-$ARCH-cross")
	fi
	# Children must not select others.
	export ARCH FLAVOUR
}
