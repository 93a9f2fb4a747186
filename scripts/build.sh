# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The module and the programs of the tests (tests/*.c), built with the toolchain for the kernel of the virtual
# machine. What is built lies in build/RELEASE, apart from what `make` builds beside the sources.
#
# To be sourced; brings lib.sh, toolchain.sh, kernel.sh and modules.sh along.

# shellcheck source-path=SCRIPTDIR
source "${BASH_SOURCE[0]%/*}/lib.sh"
source "$TOP/scripts/toolchain.sh"
source "$TOP/scripts/kernel.sh"
source "$TOP/scripts/modules.sh"

# build: sets MODULE and PROGRAMS to what was built, and VMLINUZ and RELEASE to the kernel it is for.
build() {
	local folder source
	kernel_open
	folder=$TOP/build/$RELEASE
	MODULE=$folder/taskmonitor.ko PROGRAMS=()
	mkdir -p "$folder"
	exec {BUILD_FD}>"$folder/.lock"
	flock "$BUILD_FD"
	# Errors are the compiler's to explain, in full.
	STAGE_TAIL=+1 stage "module for $RELEASE" build_module "$folder" || die "taskmonitor.ko does not build (see above)"
	[[ $KERNEL != kcsan ]] || grep -q __tsan_read "$MODULE" || die "taskmonitor.ko is not made for KCSAN: rustc has ignored ${KCSAN_RUSTFLAGS[*]}"
	for source in "$TOP"/tests/*.c; do
		build_program "$source" "$folder" || die "${source#"$TOP/"} does not build (see above)"
	done
	exec {BUILD_FD}>&-
}

# build_module FOLDER [VARIABLE=VALUE...]: builds the module in FOLDER. Kbuild has MO= for that, but
# refuses it where `make` has built beside the sources before; so FOLDER gets links to the sources.
build_module() {
	local folder=$1
	shift
	mkdir -p "$folder" &&
		find "$folder" -maxdepth 1 -type l -delete &&
		ln -s "$TOP"/Kbuild "$TOP"/wrappers "$TOP"/*.rs "$folder/" &&
		toolchain_run make -s -C "$KDIR" "${KMAKE[@]}" M="$folder" "$@"
}

# build_program SOURCE FOLDER: builds what the tests run in the guest.
build_program() {
	local source=$1 program
	program=$2/$(basename "$1" .c)
	PROGRAMS+=("$program")
	[[ $program -nt $source ]] ||
		STAGE_TAIL=+1 stage "${program##*/} for the guest" toolchain_run gcc -std=gnu11 -static -O2 -pthread \
			-Wall -Wextra -Werror -o "$program" "$source"
}

# vm OPTION... [SCRIPT [ARG...]]: scripts/vm with the kernel and the module.
vm() {
	"$TOP/scripts/vm" -k "$VMLINUZ" -f "$MODULE" "$@"
}
