# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Builds the module and the programs of the tests (tests/*.c) with the toolchain, for the kernel of the virtual
# machine, in build/RELEASE; `make` builds the module next to its sources instead.
#
# Source this file alone: it sources lib.sh, toolchain.sh, kernel.sh and modules.sh.

# shellcheck source-path=SCRIPTDIR
source "${BASH_SOURCE[0]%/*}/lib.sh"
source "$TOP/scripts/toolchain.sh"
source "$TOP/scripts/kernel.sh"
source "$TOP/scripts/modules.sh"

# build: sets MODULE and PROGRAMS to the files that it built, and VMLINUZ and RELEASE to their kernel.
build() {
	module_open
	build_programs
}

# module_open: does the same without the programs of the tests.
module_open() {
	local directory
	kernel_open
	directory=$TOP/build/$RELEASE
	MODULE=$directory/taskmonitor.ko
	mkdir -p "$directory"
	exec {BUILD_FD}>"$directory/.lock"
	flock "$BUILD_FD"
	# Shows the errors of the compiler in full.
	STAGE_TAIL=+1 stage "module for $RELEASE" build_module "$directory" || die "could not build taskmonitor.ko (see above)"
	[[ $KERNEL != kcsan ]] || grep -q __tsan_read "$MODULE" || die "taskmonitor.ko is not instrumented for KCSAN: rustc ignored ${KCSAN_RUSTFLAGS[*]}"
	exec {BUILD_FD}>&-
}

# build_module DIRECTORY [VARIABLE=VALUE...]: builds the module in DIRECTORY. Kbuild's MO= would do that, but Kbuild
# refuses it after `make` has built next to the sources; so DIRECTORY gets links to the sources.
build_module() {
	local directory=$1
	shift
	mkdir -p "$directory" &&
		find "$directory" -maxdepth 1 -type l -delete &&
		ln -s "$TOP"/Kbuild "$TOP"/wrappers "$TOP"/*.rs "$directory/" &&
		toolchain_run make -s -C "$KDIR" "${KMAKE[@]}" M="$directory" "$@"
}

# build_programs: builds the programs that the tests run in the guest, next to MODULE.
build_programs() {
	local directory=${MODULE%/*} source
	PROGRAMS=()
	exec {BUILD_FD}>"$directory/.lock"
	flock "$BUILD_FD"
	for source in "$TOP"/tests/*.c; do
		build_program "$source" "$directory" || die "could not build ${source#"$TOP/"} (see above)"
	done
	exec {BUILD_FD}>&-
}

# build_program SOURCE DIRECTORY
build_program() {
	local source=$1 program
	program=$2/$(basename "$1" .c)
	PROGRAMS+=("$program")
	[[ $program -nt $source ]] ||
		STAGE_TAIL=+1 stage "${program##*/} for the guest" toolchain_run "$TRIPLET-gcc" -std=gnu11 -static -O2 -pthread \
			-Wall -Wextra -Werror -o "$program" "$source"
}

# vm OPTION... [SCRIPT [ARG...]]: runs scripts/vm with the kernel and the module.
vm() {
	"$TOP/scripts/vm" -k "$VMLINUZ" -f "$MODULE" "$@"
}
