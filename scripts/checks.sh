# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What a machine must have to build, sign, load and use the module: a function for each. They ask, and
# change nothing. Each says in WHAT how things are and, where it fails, in MEND the command that mends it.
#
# BUILD_CHECKS are about a kernel release (RELEASE), which need not be the one that runs; scripts/dkms
# builds nothing where one of them fails. USE_CHECKS are about this machine now.
#
# To be sourced behind lib.sh, toolchain.sh and kernel.sh.

BUILD_CHECKS=(architecture headers rust modversions lto metadata source rustc rust_src bindgen compiler tools space rights)
USE_CHECKS=(built secure_boot signature lockdown debugfs permitted)

# Where Rust metadata is kept for DKMS, and how much space making it takes, at most. What stays is less.
DKMS_CACHE=/var/cache/taskmonitor
SPACE_MIB=900

# headers_open: sets HEADERS, the folder of the headers of RELEASE, VERSION, that of their package, and
# SOURCE_PACKAGE, the one with their source. (There may be no headers, and no package of them.)
headers_open() {
	HEADERS=/lib/modules/$RELEASE/build
	VERSION=$(package_version "linux-headers-$RELEASE")
	SOURCE_PACKAGE=linux-source
	[[ ! $RELEASE =~ ^[0-9]+\.[0-9]+ ]] || SOURCE_PACKAGE=linux-source-${BASH_REMATCH[0]}
}

# package_version PACKAGE: the version whose files are there, or nothing. (In the midst of an apt run, packages are
# unpacked long before they count as installed.)
package_version() {
	dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$1" 2>/dev/null |
		sed -n -E 's/^(installed|unpacked|half-configured|triggers-awaited|triggers-pending) //p' | head -n 1 || :
}

# config OPTION: whether the kernel was configured so.
config() {
	grep -qsx "$1" "$HEADERS/.config" "$HEADERS/include/config/auto.conf"
}

# carried: whether the headers carry Rust metadata themselves.
carried() {
	[[ -e $HEADERS/rust/libkernel.rmeta ]]
}

# made_of: what the metadata in the cache must be of, in a line. The number goes up when they are made otherwise.
made_of() {
	echo "$RELEASE $VERSION 1"
}

# current: whether there are such in the cache, and rustc understands them. Then nothing but that is needed, not even
# the source, which may have gone on to another version.
current() {
	[[ $(cat "$DKMS_CACHE/kernel/$RELEASE/complete" 2>/dev/null) == "$(made_of)" ]] &&
		reads_metadata "$DKMS_CACHE/kernel/$RELEASE/build"
}

# ready: whether no metadata need be made. What says so in WHAT is $1.
ready() {
	WHAT="$1: the headers carry metadata, none is needed"
	! carried || return 0
	WHAT="$1: metadata are in the cache, none is needed"
	current
}

# tool COMMAND...: as it is in Debian's packages, whatever comes first in PATH.
tool() {
	PATH=/usr/sbin:/usr/bin:/sbin:/bin RUSTC_BOOTSTRAP=1 "$@"
}

# reads_metadata KDIR: whether rustc understands the metadata there. Another version does not, nor one that only
# says that it is the same.
reads_metadata() {
	local folder status=0
	# (If not even that can be made, nothing is known, and the build will tell.)
	folder=$(mktemp -d 2>/dev/null) || return 0
	# (Not to /dev/null: rustc puts its output in the place of what is there.)
	printf '%s\n' '#![no_std]' '#![allow(unused_extern_crates)]' 'extern crate kernel;' |
		tool rustc -Zunstable-options --edition=2021 --crate-name probe --crate-type rlib --emit metadata --out-dir "$folder" \
			--target "$1/scripts/target.json" --sysroot=/dev/null -L "$1/rust" - >/dev/null 2>&1 || status=1
	rm -r "$folder"
	return "$status"
}

# --- what it takes to build ------------------------------------------------------------------------

check_architecture() {
	WHAT="this is $(uname -m)" MEND="install it on amd64: there is nothing for other machines"
	[[ $(uname -m) == x86_64 ]]
}

check_headers() {
	WHAT="headers of $RELEASE: ${VERSION:-from no package}"
	[[ ! -e $HEADERS/Makefile ]] || return 0
	WHAT="there are no headers of $RELEASE" MEND="apt-get install linux-headers-$RELEASE"
	return 1
}

check_rust() {
	WHAT="$RELEASE has CONFIG_RUST=y"
	! config CONFIG_RUST=y || return 0
	WHAT="$RELEASE has no CONFIG_RUST=y, so no Rust module is for it"
	MEND="apt-get install -t trixie-backports linux-image-amd64 linux-headers-amd64 linux-source libelf-dev (Debian's kernels have it from 6.16 on; trixie-backports must be among apt's sources)"
	return 1
}

# Metadata that were built here lack the checksums of what the kernel exports.
check_modversions() {
	WHAT="$RELEASE has no CONFIG_MODVERSIONS=y"
	config CONFIG_MODVERSIONS=y || return 0
	WHAT="$RELEASE has CONFIG_MODVERSIONS=y, and its headers carry the metadata"
	! carried || return 0
	WHAT="$RELEASE has CONFIG_MODVERSIONS=y, and its headers carry no Rust metadata"
	MEND="apt-get install linux-image-amd64 linux-headers-amd64 (a kernel of Debian's, which have no CONFIG_MODVERSIONS)"
	return 1
}

check_lto() {
	WHAT="$RELEASE is built without LTO"
	! config CONFIG_LTO=y || carried || {
		WHAT="$RELEASE is built with LTO, and its headers carry no Rust metadata"
		MEND="apt-get install linux-image-amd64 linux-headers-amd64 (a kernel of Debian's, which have no CONFIG_LTO)"
		return 1
	}
}

check_metadata() {
	if carried; then
		WHAT="Rust metadata: in $HEADERS, which rustc understands"
		! reads_metadata "$HEADERS" || return 0
		# If it does not even call itself the same, that is what is wrong.
		check_rustc || return
		WHAT="the Rust metadata in $HEADERS are not of this rustc, although it calls itself the same"
		MEND="apt-get install --reinstall linux-headers-$RELEASE rustc"
		return 1
	fi
	WHAT="Rust metadata: in $DKMS_CACHE/kernel/$RELEASE, which rustc understands"
	current || WHAT="Rust metadata: none that fit, made when the module is built"
}

check_source() {
	local version
	! ready source || return 0
	version=$(package_version "$SOURCE_PACKAGE")
	WHAT="source: $SOURCE_PACKAGE $version"
	MEND="apt-get install $SOURCE_PACKAGE=$VERSION"
	if [[ ! $VERSION ]]; then
		WHAT="the headers of $RELEASE have no Rust metadata, and are from no package, so there is no source of the same version"
		MEND="apt-get install linux-image-amd64 linux-headers-amd64 (a kernel of Debian's), or build the kernel with its Rust metadata"
	elif [[ ! $version ]]; then
		WHAT="there is no $SOURCE_PACKAGE, the source of $RELEASE"
	elif [[ $version != "$VERSION" ]]; then
		WHAT="$SOURCE_PACKAGE is $version, and the headers of $RELEASE are $VERSION"
	elif [[ ! -r /usr/src/$SOURCE_PACKAGE.tar.xz ]]; then
		WHAT="/usr/src/$SOURCE_PACKAGE.tar.xz is not there" MEND="apt-get install --reinstall $SOURCE_PACKAGE=$VERSION"
	else
		return 0
	fi
	return 1
}

# built_by PREFIX: what the kernel's configuration says that it was built with.
built_by() {
	sed -n "s/^CONFIG_$1_VERSION_TEXT=\"\(.*\)\"$/\1/p" "$HEADERS/.config"
}

# built_with PREFIX PACKAGE COMMAND...: the tool must say what the kernel says.
built_with() {
	local built here package=$2 version wanted
	built=$(built_by "$1")
	here=$(tool "${@:3}" 2>/dev/null) || here=
	WHAT="$package: $here"
	[[ $here != "$built" || ! $here ]] || return 0
	MEND="apt-get install $package"
	if [[ ! $here ]]; then
		WHAT="there is no working $3; $RELEASE was built with \"$built\""
		[[ ! $(package_version "$package") ]] || MEND="apt-get install --reinstall $package"
		return 1
	fi
	WHAT="$3 is \"$here\", and $RELEASE was built with \"$built\""
	wanted=$(sed -n 's/^[a-z]* \([0-9][0-9.]*\).*/\1/p' <<<"$built")
	version=$(apt-cache madison "$package" 2>/dev/null | awk -F' *[|] *' '{ print $2 }' | grep -m 1 -E "^([0-9]+:)?${wanted//./\\.}[-+~]" || :)
	# (rust-src and the library of rustc are of the same version.)
	case ${version:+$package} in
	rustc) MEND="apt-get install --allow-downgrades rustc=$version libstd-rust-dev=$version rust-src=$version" ;;
	?*) MEND="apt-get install --allow-downgrades $package=$version" ;;
	*) MEND="apt-get install linux-image-amd64 linux-headers-amd64 (a kernel that was built with this $package: no source of apt has $package $wanted)" ;;
	esac
	return 1
}

check_rustc() {
	built_with RUSTC rustc rustc --version
}

check_bindgen() {
	ready bindgen || built_with BINDGEN bindgen bindgen --version workaround-for-0.69.0
}

check_rust_src() {
	local library
	! ready rust-src || return 0
	library=$(tool rustc --print sysroot 2>/dev/null || echo /usr)/lib/rustlib/src/rust/library
	WHAT="rust-src: ${library%/library}"
	[[ ! -r $library/core/src/lib.rs ]] || return 0
	WHAT="there is no source of Rust's core library in $library" MEND="apt-get install rust-src"
	return 1
}

check_compiler() {
	local compiler
	compiler=$(sed -n 's/^CONFIG_CC_VERSION_TEXT="\([^ "]*\).*/\1/p' "$HEADERS/.config")
	WHAT="C compiler: ${compiler:-unknown}"
	MEND="apt-get install --reinstall linux-headers-$RELEASE"
	! tool command -v "${compiler:-gcc}" >/dev/null || return 0
	WHAT="there is no $compiler, which $RELEASE was built with" MEND="apt-get install ${compiler#x86_64-linux-gnu-}"
	return 1
}

# What building Rust metadata needs besides: commands, and headers of libraries.
check_tools() {
	local item missing=()
	for item in bc:bc bison:bison flex:flex pahole:pahole python3:python3 xz:xz-utils libelf.h:libelf-dev openssl/ssl.h:libssl-dev; do
		tool command -v "${item%:*}" >/dev/null || [[ -e /usr/include/${item%:*} ]] || missing+=("${item#*:}")
	done
	! ready tools || missing=()
	tool command -v make >/dev/null || missing+=(make)
	((${#missing[@]})) || {
		WHAT="tools: all there"
		return 0
	}
	WHAT="missing to build it: ${missing[*]}" MEND="apt-get install ${missing[*]}"
	return 1
}

# space FOLDER: the MiB that are free where FOLDER is, or would be.
space() {
	local folder=$1
	while [[ ! -d ${folder:-/} ]]; do
		folder=${folder%/*}
	done
	echo $(($(df --output=avail -m "${folder:-/}" | tail -n 1)))
}

check_space() {
	local folder free
	# Where DKMS builds, and puts the module.
	for folder in /var/lib/dkms /lib/modules; do
		free=$(space $folder)
		((free >= 50)) || {
			WHAT="building the module takes 50 MiB in $folder, and there are $free"
			MEND="apt-get clean (or whatever else frees $((50 - free)) MiB) && dkms autoinstall -k $RELEASE"
			return 1
		}
	done
	free=$(space $DKMS_CACHE)
	WHAT="space: $free MiB in $DKMS_CACHE"
	# What lies there of an earlier attempt goes first.
	if [[ -d $DKMS_CACHE/kernel/$RELEASE ]]; then
		free=$((free + $(du -sxm "$DKMS_CACHE/kernel/$RELEASE" 2>/dev/null | cut -f 1)))
	fi
	((free < SPACE_MIB)) || return 0
	! ready space || return 0
	WHAT="making Rust metadata takes $SPACE_MIB MiB in $DKMS_CACHE for a while, and there are $free"
	MEND="apt-get clean (or whatever else frees $((SPACE_MIB - free)) MiB) && dkms autoinstall -k $RELEASE"
	return 1
}

check_rights() {
	WHAT="rights: root"
	((EUID)) || return 0
	WHAT="only root can build a module by DKMS, load it, and read its files" MEND="sudo -i (and the same again)"
	return 1
}

# --- what it takes to use it ---------------------------------------------------------------------------

# The kernel that runs, whatever RELEASE is.
module_file() {
	tool modinfo -k "$RELEASE" -n taskmonitor 2>/dev/null
}

check_built() {
	WHAT="module: $(module_file)" || {
		WHAT="there is no module for $RELEASE" MEND="dkms autoinstall -k $RELEASE"
		return 1
	}
}

# Sets SECURE_BOOT.
secure_boot() {
	SECURE_BOOT=
	[[ $(od -An -t u1 -j 4 -N 1 /sys/firmware/efi/efivars/SecureBoot-* 2>/dev/null) != *1 ]] || SECURE_BOOT=yes
}

check_secure_boot() {
	local key=/var/lib/dkms/mok.pub
	secure_boot
	WHAT="Secure Boot: off"
	[[ $SECURE_BOOT ]] || return 0
	WHAT="Secure Boot: on, and DKMS's key is enrolled"
	if [[ ! -e $key ]]; then
		WHAT="Secure Boot is on, and DKMS has made no key yet to sign modules with" MEND="dkms generate_mok && mokutil --import $key"
	elif ! tool command -v mokutil >/dev/null; then
		WHAT="Secure Boot is on, and there is no mokutil to see whether DKMS's key is enrolled" MEND="apt-get install mokutil"
	elif [[ $(tool mokutil --list-new 2>/dev/null) ]]; then
		WHAT="Secure Boot is on, and a key waits to be enrolled" MEND="reboot (choose \"Enroll MOK\", and give the password)"
	elif [[ $(tool mokutil --test-key "$key" 2>/dev/null) == *"is already enrolled"* ]]; then
		return 0
	else
		WHAT="Secure Boot is on, and DKMS's key is not enrolled, so the module does not load"
		MEND="mokutil --import $key (asks for a password; then reboot, choose \"Enroll MOK\", and give it)"
	fi
	return 1
}

check_signature() {
	local signer file version
	file=$(module_file) || {
		WHAT="signature: there is no module" MEND="dkms autoinstall -k $RELEASE"
		return 1
	}
	signer=$(tool modinfo -F signer "$file" 2>/dev/null)
	WHAT="signature: ${signer:-none, and none is needed}"
	[[ ! $signer ]] || return 0
	if [[ $SECURE_BOOT || $(lockdown) != none ]] || config CONFIG_MODULE_SIG_FORCE=y; then
		version=$(tool modinfo -F version "$file")
		WHAT="the module is not signed, and this kernel loads none that is not"
		MEND="dkms build --force taskmonitor/$version -k $RELEASE && dkms install --force taskmonitor/$version -k $RELEASE"
		return 1
	fi
}

lockdown() {
	sed -n 's/.*\[\(.*\)\].*/\1/p' /sys/kernel/security/lockdown 2>/dev/null | grep . || echo none
}

# It closes files in debugfs that can be written.
check_lockdown() {
	WHAT="lockdown: $(lockdown)"
	[[ $WHAT == *none ]] || WHAT+=": use /sys/kernel/taskmonitor in place of /sys/kernel/debug/taskmonitor; what is read-only works"
}

check_debugfs() {
	WHAT="debugfs: mounted on /sys/kernel/debug"
	! grep -qs '^[^ ]* /sys/kernel/debug debugfs ' /proc/mounts || return 0
	WHAT="debugfs is not mounted" MEND="mount -t debugfs debugfs /sys/kernel/debug"
	if ! grep -q 'debugfs$' /proc/filesystems; then
		WHAT="this kernel has no debugfs" MEND="apt-get install linux-image-amd64 (a kernel of Debian's, which have it); /sys/kernel/taskmonitor works without"
	fi
	return 1
}

check_permitted() {
	WHAT="debugfs: permitted"
	[[ " $(</proc/cmdline) " != *" debugfs=off "* && " $(</proc/cmdline) " != *" debugfs=no-mount "* ]] || {
		WHAT="the kernel's command line forbids debugfs" MEND="boot without debugfs= on the kernel's command line"
		return 1
	}
	! config CONFIG_DEBUG_FS_ALLOW_NONE=y || {
		WHAT="$RELEASE is configured to forbid debugfs" MEND="boot with debugfs=on on the kernel's command line"
		return 1
	}
}
