# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The toolchain: the compilers that Debian built its kernel with. On a host that runs the suite
# itself, apt-get installs them. On other hosts mmdebstrap makes a directory with them; commands
# enter it by chroot, in a mount namespace that ends with them.
#
# Source lib.sh first.

TOOLCHAIN_PACKAGES=(
	bc bindgen bison cpio flex gcc kmod libc6-dev libelf-dev libssl-dev make openssl pahole python3
	rust-clippy rust-src rustc rustfmt shellcheck xz-utils
)
# For the debug kernels.
TOOLCHAIN_CLANG=(clang lld llvm)
# For taskmon. TOOLCHAIN_ID does not cover these packages: a new version of one does not rebuild kernels.
TOOLCHAIN_CARGO=(ca-certificates cargo)

# toolchain_open PACKAGE...: sets TOOLCHAIN to the directory that holds the tools ("/" on a host that
# runs the suite), and TOOLCHAIN_ID to their versions. Each PACKAGE is one that the kernel needs in
# addition (its compiler). A toolchain directory serves the stock and the debug kernels. Call
# archive_open first.
toolchain_open() {
	local key
	TOOLCHAIN_PACKAGES+=("$@")
	if toolchain_is_here; then
		TOOLCHAIN=/
		toolchain_install_here "${TOOLCHAIN_PACKAGES[@]}"
		TOOLCHAIN_ID=$(toolchain_versions)
		return
	fi
	((EUID == 0)) ||
		die "making and entering a directory with the compilers of Debian $TOOLCHAIN_SUITE needs root; run this as root (on Debian $TOOLCHAIN_SUITE itself, any user can run it)"
	TOOLCHAIN_PACKAGES+=("${TOOLCHAIN_CLANG[@]}" "${TOOLCHAIN_CARGO[@]}")
	key=$(printf '%s\n' "$TOOLCHAIN_SUITE" "${TOOLCHAIN_PACKAGES[@]}" | sort -u | sha256sum)
	TOOLCHAIN=$CACHE/toolchain/$TOOLCHAIN_SUITE-${key::12}
	lock "toolchain-$TOOLCHAIN_SUITE"
	[[ -e $TOOLCHAIN/complete ]] || toolchain_make
	unlock
	TOOLCHAIN_ID=$(<"$TOOLCHAIN/complete")
	TOOLCHAIN=$TOOLCHAIN/root
}

# toolchain_is_here: whether the host runs the suite itself.
toolchain_is_here() {
	local host
	host=$(. /etc/os-release && echo "${ID-}-${VERSION_CODENAME-}")
	[[ $host == "debian-$TOOLCHAIN_SUITE" ]]
}

# toolchain_versions [ROOT]: prints the versions that decide whether a module matches a kernel.
toolchain_versions() {
	# shellcheck disable=SC2016
	dpkg-query ${1:+--root="$1"} -W -f '${Package}=${Version}\n' \
		"${TOOLCHAIN_PACKAGES[@]}" | grep -E '^(bindgen|clang|debhelper|gcc-|lld|llvm|pahole|rust)' | sort -u
}

# toolchain_install_here PACKAGE...
toolchain_install_here() {
	local p missing=()
	for p; do
		# shellcheck disable=SC2016
		[[ $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) == installed ]] || missing+=("$p")
	done
	((${#missing[@]} == 0)) || install "${missing[@]}"
}

toolchain_bootstrap() {
	local packages
	packages=$(IFS=, && echo "${TOOLCHAIN_PACKAGES[*]}")
	# In a mount namespace, so that nothing stays mounted, however this ends.
	unshare --mount --propagation private mmdebstrap --mode=root --variant=apt \
		--aptopt='Acquire::Retries "3"' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--include="$packages" "$TOOLCHAIN_SUITE" "$TOOLCHAIN/root" "$ARCHIVE/sources.list"
}

toolchain_make() {
	local use
	need mmdebstrap:mmdebstrap unshare:util-linux
	# Waits for commands that run in it now (see toolchain_run).
	exec {use}>"$CACHE/lock.use-toolchain-$TOOLCHAIN_SUITE"
	flock "$use"
	discard "$TOOLCHAIN"
	trap 'discard "$TOOLCHAIN"' EXIT
	mkdir -p "$TOOLCHAIN"
	stage "toolchain: directory with the compilers of Debian $TOOLCHAIN_SUITE" toolchain_bootstrap ||
		die "could not make the toolchain directory (see above); check the network, and that $CACHE has 2 GB of free space"
	toolchain_versions "$TOOLCHAIN/root" | complete "$TOOLCHAIN"
	trap - EXIT
	exec {use}>&-
}

# toolchain_remake: makes the directory again, if the kernel was built with newer tools than it has.
toolchain_remake() {
	# The caller holds the lock of the kernel, whose descriptor is in LOCK_FD.
	local LOCK_FD
	[[ $TOOLCHAIN != / ]] || return 0
	TOOLCHAIN=${TOOLCHAIN%/root}
	lock "toolchain-$TOOLCHAIN_SUITE"
	toolchain_make
	unlock
	TOOLCHAIN_ID=$(<"$TOOLCHAIN/complete")
	TOOLCHAIN=$TOOLCHAIN/root
}

# toolchain_run COMMAND...: runs COMMAND with the toolchain, in the present working directory. The
# project and the cache have the same paths inside as outside. The toolchain directory is not made
# again while COMMAND runs.
toolchain_run() {
	local environment=("HOME=${HOME:-/}" "TERM=${TERM:-dumb}" LC_ALL=C.UTF-8
		PATH=/usr/sbin:/usr/bin:/sbin:/bin)
	if [[ $TOOLCHAIN == / ]]; then
		env -i "${environment[@]}" "$@"
		return
	fi
	# shellcheck disable=SC2016
	flock --shared --no-fork "$CACHE/lock.use-toolchain-$TOOLCHAIN_SUITE" unshare --mount --propagation private -- bash -c '
		set -e
		root=$1 cwd=$2 shared=("$3" "$4")
		shift 4
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		for directory in "${shared[@]}"; do
			mkdir -p "$root$directory"
			mount --bind "$directory" "$root$directory"
		done
		exec chroot "$root" env -i -C "$cwd" "$@"
	' bash "$TOOLCHAIN" "$PWD" "$CACHE" "$TOP" "${environment[@]}" "$@"
}
