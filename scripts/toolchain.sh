# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The toolchain: the compilers that Debian built its kernel with. On a machine that is the suite
# itself they are installed by apt-get; elsewhere mmdebstrap makes a folder with them, which commands
# enter by chroot, in a mount namespace of their own that vanishes with them.
#
# To be sourced behind lib.sh.

TOOLCHAIN_PACKAGES=(
	bc bindgen bison cpio flex gcc kmod libc6-dev libelf-dev libssl-dev make openssl pahole python3
	rust-clippy rust-src rustc rustfmt shellcheck xz-utils
)
# For the kernels that find mistakes.
TOOLCHAIN_CLANG=(clang lld llvm)
# For taskmon. (What TOOLCHAIN_ID is made of is not among them: a kernel is not made anew for them.)
TOOLCHAIN_CARGO=(ca-certificates cargo)

# toolchain_open PACKAGE...: sets TOOLCHAIN to the folder that holds the tools ("/" on a machine of
# that suite), and TOOLCHAIN_ID to what identifies them. PACKAGE are those that a kernel needs
# besides (its compiler). A folder has all that any kernel needs. Needs archive_open.
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
		die "root is needed, to make and enter a folder of Debian $TOOLCHAIN_SUITE with its compilers: run this as root (or, as any user, on Debian $TOOLCHAIN_SUITE)"
	TOOLCHAIN_PACKAGES+=("${TOOLCHAIN_CLANG[@]}" "${TOOLCHAIN_CARGO[@]}")
	key=$(printf '%s\n' "$TOOLCHAIN_SUITE" "${TOOLCHAIN_PACKAGES[@]}" | sort -u | sha256sum)
	TOOLCHAIN=$CACHE/toolchain/$TOOLCHAIN_SUITE-${key::12}
	lock "toolchain-$TOOLCHAIN_SUITE"
	[[ -e $TOOLCHAIN/complete ]] || toolchain_make
	unlock
	TOOLCHAIN_ID=$(<"$TOOLCHAIN/complete")
	TOOLCHAIN=$TOOLCHAIN/root
}

# toolchain_is_here: whether this machine is the suite itself.
toolchain_is_here() {
	local host
	host=$(. /etc/os-release && echo "${ID-}-${VERSION_CODENAME-}")
	[[ $host == "debian-$TOOLCHAIN_SUITE" ]]
}

# toolchain_versions [ROOT]: what decides whether a module fits a kernel.
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
	# A mount namespace of its own: nothing stays mounted, however this ends.
	unshare --mount --propagation private mmdebstrap --mode=root --variant=apt \
		--aptopt='Acquire::Retries "3"' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--include="$packages" "$TOOLCHAIN_SUITE" "$TOOLCHAIN/root" "$ARCHIVE/sources.list"
}

toolchain_make() {
	need mmdebstrap:mmdebstrap unshare:util-linux
	discard "$TOOLCHAIN"
	trap 'discard "$TOOLCHAIN"' EXIT
	mkdir -p "$TOOLCHAIN"
	stage "toolchain: a folder of Debian $TOOLCHAIN_SUITE with its compilers" toolchain_bootstrap ||
		die "could not make the toolchain folder (see above): is the network there, and 2 GB of space in $CACHE?"
	toolchain_versions "$TOOLCHAIN/root" | complete "$TOOLCHAIN"
	trap - EXIT
}

# toolchain_remake: for a toolchain that is older than the kernel it is to serve.
toolchain_remake() {
	[[ $TOOLCHAIN != / ]] || return 0
	TOOLCHAIN=${TOOLCHAIN%/root}
	lock "toolchain-$TOOLCHAIN_SUITE"
	toolchain_make
	unlock
	TOOLCHAIN_ID=$(<"$TOOLCHAIN/complete")
	TOOLCHAIN=$TOOLCHAIN/root
}

# toolchain_run COMMAND...: runs COMMAND with the toolchain, in this working directory, with the
# project and the cache at the places where they are outside.
toolchain_run() {
	local environment=("HOME=${HOME:-/}" "TERM=${TERM:-dumb}" LC_ALL=C.UTF-8
		PATH=/usr/sbin:/usr/bin:/sbin:/bin)
	if [[ $TOOLCHAIN == / ]]; then
		env -i "${environment[@]}" "$@"
		return
	fi
	# shellcheck disable=SC2016
	unshare --mount --propagation private -- bash -c '
		set -e
		root=$1 cwd=$2 shared=("$3" "$4")
		shift 4
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		for folder in "${shared[@]}"; do
			mkdir -p "$root$folder"
			mount --bind "$folder" "$root$folder"
		done
		exec chroot "$root" env -i -C "$cwd" "$@"
	' bash "$TOOLCHAIN" "$PWD" "$CACHE" "$TOP" "${environment[@]}" "$@"
}
