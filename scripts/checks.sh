# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The requirements to build, sign, load and use the module: one function checks each. The functions
# change nothing. Each sets STATUS to what it found and, where it fails, FIX to the command that
# fixes it.
#
# BUILD_CHECKS are for a kernel release, RELEASE, which need not be the running one; scripts/dkms
# skips the build if one of them fails. USE_CHECKS are for this machine and its running kernel.
#
# To be sourced after lib.sh, toolchain.sh and kernel.sh.

BUILD_CHECKS=(architecture headers image rust modversions lto metadata source rustc rust_src bindgen compiler tools space rights)
USE_CHECKS=(built copies fits loaded secure_boot signature lockdown debugfs permitted)

# The cache of Rust metadata for DKMS, and the space, at most, that building the metadata takes.
# What stays is smaller.
DKMS_CACHE=/var/cache/taskmonitor
SPACE_MIB=900

# headers_open: sets HEADERS to the directory of the headers of RELEASE, VERSION to the version of
# their package, IMAGE_VERSION to that of the kernel's package, SOURCE_PACKAGE to the package with
# their source, and KERNEL_NAME to the name of its flavour, as in linux-image-NAME. The headers, and
# the packages, may be missing.
headers_open() {
	# A kernel of another name gets the advice for a plain one of this machine.
	release_parse "$RELEASE" || {
		RELEASE_ARCH=$(debian_arch "$(uname -m)") || RELEASE_ARCH=amd64
		RELEASE_FLAVOUR=
	}
	KERNEL_NAME=$(kernel_name "$RELEASE_ARCH" "$RELEASE_FLAVOUR") || KERNEL_NAME=$RELEASE_ARCH
	HEADERS=/lib/modules/$RELEASE/build
	VERSION=$(package_version "linux-headers-$RELEASE")
	# Debian's names for it, in this order: since 7.2, before, and the same, unsigned.
	IMAGE_VERSION=$(package_version "linux-binary-$RELEASE" "linux-image-$RELEASE" \
		"linux-binary-unsigned-$RELEASE" "linux-image-$RELEASE-unsigned")
	SOURCE_PACKAGE=linux-source
	[[ ! $RELEASE =~ ^[0-9]+\.[0-9]+ ]] || SOURCE_PACKAGE=linux-source-${BASH_REMATCH[0]}
}

# package_version PACKAGE...: the version whose files are there, or nothing. During a run of apt,
# packages are unpacked long before they count as installed.
package_version() {
	dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$@" 2>/dev/null |
		sed -n -E 's/^(installed|unpacked|half-configured|triggers-awaited|triggers-pending) //p' | head -n 1 || :
}

# config OPTION: whether the kernel's configuration has the line OPTION.
config() {
	grep -qsx "$1" "$HEADERS/.config" "$HEADERS/include/config/auto.conf"
}

# headers_have_metadata: whether the headers themselves contain Rust metadata.
headers_have_metadata() {
	[[ -e $HEADERS/rust/libkernel.rmeta ]]
}

# made_of: a line that identifies what the metadata in the cache must be made of. Raise its number
# when the way they are made changes.
made_of() {
	echo "$RELEASE $VERSION 1"
}

# current: whether the cache has metadata for these headers that this rustc can read. Then the build
# needs nothing else: not the source package either, which may be at another version by now.
current() {
	[[ $(cat "$DKMS_CACHE/kernel/$RELEASE/complete" 2>/dev/null) == "$(made_of)" ]] &&
		reads_metadata "$DKMS_CACHE/kernel/$RELEASE/build"
}

# ready NAME: whether there is Rust metadata already, so that NAME, which only building it needs, is
# not needed.
ready() {
	STATUS="$1: not needed, the headers contain Rust metadata"
	! headers_have_metadata || return 0
	STATUS="$1: not needed, the Rust metadata is in the cache"
	current
}

# tool COMMAND...: runs the command of Debian's package, whatever comes first in PATH.
tool() {
	PATH=/usr/sbin:/usr/bin:/sbin:/bin RUSTC_BOOTSTRAP=1 "$@"
}

# rust_target KDIR: prints the target that rustc made the metadata in KDIR for: a file that the kernel's build makes, or a
# name that it passes to rustc.
rust_target() {
	local name
	if [[ -e $1/scripts/target.json ]]; then
		echo "$1/scripts/target.json"
		return
	fi
	name=$(sed -n 's/.* --target=\([^ ]*\).*/\1/p' "$1/rust/.kernel.o.cmd" 2>/dev/null | head -n 1) || :
	echo "${name:-aarch64-unknown-none-softfloat}"
}

# reads_metadata KDIR: whether rustc can read the metadata in KDIR. It cannot if another rustc made
# the metadata, even one that reports the same version.
reads_metadata() {
	local folder status=0
	# Without a temporary directory the answer is unknown: the build will find out.
	folder=$(mktemp -d 2>/dev/null) || return 0
	# Not to /dev/null: rustc would replace the device with its output.
	printf '%s\n' '#![no_std]' '#![allow(unused_extern_crates)]' 'extern crate kernel;' |
		tool rustc -Zunstable-options --edition=2021 --crate-name probe --crate-type rlib --emit metadata --out-dir "$folder" \
			--target "$(rust_target "$1")" --sysroot=/dev/null -L "$1/rust" - >/dev/null 2>&1 || status=1
	rm -r "$folder"
	return "$status"
}

# --- requirements to build --------------------------------------------------------------------------

check_architecture() {
	local machine
	machine=$(uname -m)
	STATUS="architecture: $machine" FIX="use an amd64 or arm64 machine: taskmonitor supports no other"
	case $(debian_arch "$machine") in
	"$RELEASE_ARCH") return 0 ;;
	'') STATUS="this machine is $machine, and taskmonitor supports only amd64 and arm64" ;;
	*) STATUS="this machine is $machine, and the kernel $RELEASE is for $RELEASE_ARCH" FIX="build it on a machine that is $RELEASE_ARCH" ;;
	esac
	return 1
}

check_headers() {
	STATUS="headers of $RELEASE: ${VERSION:-not from a package}"
	[[ ! -e $HEADERS/Makefile ]] || return 0
	STATUS="the headers of $RELEASE are not installed" FIX="apt-get install linux-headers-$RELEASE"
	return 1
}

# A kernel that is built again may keep its release's name. Without CONFIG_MODVERSIONS, the kernel
# cannot tell that a module was built for another build.
check_image() {
	STATUS="version of $RELEASE: ${IMAGE_VERSION:-not from a package}"
	[[ $VERSION && $IMAGE_VERSION && $VERSION != "$IMAGE_VERSION" ]] || return 0
	STATUS="the headers of $RELEASE have version $VERSION, but the kernel has version $IMAGE_VERSION"
	if dpkg --compare-versions "$VERSION" lt "$IMAGE_VERSION"; then
		FIX="apt-get install linux-headers-$RELEASE=$IMAGE_VERSION"
	else
		FIX="apt-get install linux-image-$RELEASE=$VERSION"
	fi
	return 1
}

check_rust() {
	STATUS="$RELEASE has CONFIG_RUST=y"
	! config CONFIG_RUST=y || return 0
	STATUS="$RELEASE has no CONFIG_RUST=y, so it cannot load Rust modules"
	FIX="apt-get install -t trixie-backports linux-image-$KERNEL_NAME linux-headers-$KERNEL_NAME linux-source libelf-dev (Debian's kernels have CONFIG_RUST=y since 6.16; trixie-backports must be in apt's sources)"
	return 1
}

# Metadata that is built here has no checksums of the symbols that the kernel exports.
check_modversions() {
	STATUS="$RELEASE has no CONFIG_MODVERSIONS=y"
	config CONFIG_MODVERSIONS=y || return 0
	STATUS="$RELEASE has CONFIG_MODVERSIONS=y, and its headers contain Rust metadata"
	! headers_have_metadata || return 0
	STATUS="$RELEASE has CONFIG_MODVERSIONS=y, and its headers contain no Rust metadata"
	FIX="apt-get install linux-image-$KERNEL_NAME linux-headers-$KERNEL_NAME (a Debian kernel: these have no CONFIG_MODVERSIONS)"
	return 1
}

check_lto() {
	STATUS="$RELEASE is built without LTO"
	! config CONFIG_LTO=y || headers_have_metadata || {
		STATUS="$RELEASE is built with LTO, and its headers contain no Rust metadata"
		FIX="apt-get install linux-image-$KERNEL_NAME linux-headers-$KERNEL_NAME (a Debian kernel: these have no CONFIG_LTO)"
		return 1
	}
}

check_metadata() {
	if headers_have_metadata; then
		STATUS="Rust metadata: in $HEADERS, readable by this rustc"
		! reads_metadata "$HEADERS" || return 0
		# If rustc has another version than the kernel's, report that instead.
		check_rustc || return
		STATUS="the Rust metadata in $HEADERS was made by another rustc, although the versions are the same"
		FIX="apt-get install --reinstall linux-headers-$RELEASE rustc"
		return 1
	fi
	STATUS="Rust metadata: in $DKMS_CACHE/kernel/$RELEASE, readable by this rustc"
	current || STATUS="Rust metadata: not in the cache yet, DKMS builds it before the module"
}

check_source() {
	local version
	! ready source || return 0
	version=$(package_version "$SOURCE_PACKAGE")
	STATUS="source: $SOURCE_PACKAGE $version"
	FIX="apt-get install $SOURCE_PACKAGE=$VERSION"
	if [[ ! $VERSION ]]; then
		STATUS="the headers of $RELEASE contain no Rust metadata, and are not from a package, so the version of their source is unknown"
		FIX="apt-get install linux-image-$KERNEL_NAME linux-headers-$KERNEL_NAME (a Debian kernel), or build your kernel with its Rust metadata"
	elif [[ ! $version ]]; then
		STATUS="$SOURCE_PACKAGE, the source of $RELEASE, is not installed"
	elif [[ $version != "$VERSION" ]]; then
		STATUS="$SOURCE_PACKAGE has version $version, but the headers of $RELEASE have $VERSION"
	elif [[ ! -r /usr/src/$SOURCE_PACKAGE.tar.xz ]]; then
		STATUS="/usr/src/$SOURCE_PACKAGE.tar.xz is missing" FIX="apt-get install --reinstall $SOURCE_PACKAGE=$VERSION"
	else
		return 0
	fi
	return 1
}

# built_by PREFIX: the version, from the kernel's configuration, of the tool that built the kernel.
built_by() {
	sed -n "s/^CONFIG_$1_VERSION_TEXT=\"\(.*\)\"$/\1/p" "$HEADERS/.config"
}

# built_with PREFIX PACKAGE COMMAND...: the version that COMMAND prints must be the one in the
# kernel's configuration.
built_with() {
	local built here package=$2 version wanted
	built=$(built_by "$1")
	here=$(tool "${@:3}" 2>/dev/null) || here=
	STATUS="$package: $here"
	[[ $here != "$built" || ! $here ]] || return 0
	FIX="apt-get install $package"
	if [[ ! $here ]]; then
		STATUS="$3 is missing or does not work; $RELEASE was built with \"$built\""
		[[ ! $(package_version "$package") ]] || FIX="apt-get install --reinstall $package"
		return 1
	fi
	STATUS="$3 is \"$here\", but $RELEASE was built with \"$built\""
	wanted=$(sed -n 's/^[a-z]* \([0-9][0-9.]*\).*/\1/p' <<<"$built")
	version=$(apt-cache madison "$package" 2>/dev/null | awk -F' *[|] *' '{ print $2 }' | grep -m 1 -E "^([0-9]+:)?${wanted//./\\.}[-+~]" || :)
	# rust-src and the library of rustc must have the same version as rustc.
	case ${version:+$package} in
	rustc) FIX="apt-get install --allow-downgrades rustc=$version libstd-rust-dev=$version rust-src=$version" ;;
	?*) FIX="apt-get install --allow-downgrades $package=$version" ;;
	*) FIX="apt-get install linux-image-$KERNEL_NAME linux-headers-$KERNEL_NAME (a kernel built with this $package: apt has no $package $wanted)" ;;
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
	STATUS="rust-src: ${library%/library}"
	[[ ! -r $library/core/src/lib.rs ]] || return 0
	STATUS="the source of Rust's core library is not in $library" FIX="apt-get install rust-src"
	return 1
}

check_compiler() {
	local compiler
	compiler=$(sed -n 's/^CONFIG_CC_VERSION_TEXT="\([^ "]*\).*/\1/p' "$HEADERS/.config")
	STATUS="C compiler: ${compiler:-unknown}"
	FIX="apt-get install --reinstall linux-headers-$RELEASE"
	! tool command -v "${compiler:-gcc}" >/dev/null || return 0
	STATUS="$compiler, the C compiler that built $RELEASE, is not installed" FIX="apt-get install ${compiler##*-linux-gnu-}"
	return 1
}

# The other commands, and library headers, that building Rust metadata needs.
check_tools() {
	local item missing=()
	for item in bc:bc bison:bison flex:flex pahole:pahole python3:python3 xz:xz-utils libelf.h:libelf-dev openssl/ssl.h:libssl-dev; do
		tool command -v "${item%:*}" >/dev/null || [[ -e /usr/include/${item%:*} ]] || missing+=("${item#*:}")
	done
	! ready tools || missing=()
	tool command -v make >/dev/null || missing+=(make)
	((${#missing[@]})) || {
		STATUS="tools: all installed"
		return 0
	}
	STATUS="packages needed to build the module are not installed: ${missing[*]}" FIX="apt-get install ${missing[*]}"
	return 1
}

# space DIRECTORY: the free MiB of the file system on which DIRECTORY is, or would be.
space() {
	local folder=$1
	while [[ ! -d ${folder:-/} ]]; do
		folder=${folder%/*}
	done
	echo $(($(df --output=avail -m "${folder:-/}" | tail -n 1)))
}

check_space() {
	local folder free
	# DKMS builds the module in the first, and installs it in the second.
	for folder in "$(dkms_setting dkms_tree /var/lib/dkms)" /lib/modules; do
		free=$(space "$folder")
		((free >= 50)) || {
			STATUS="building the module needs 50 MiB in $folder, but only $free MiB are free"
			FIX="apt-get clean (or free $((50 - free)) MiB another way) && dkms autoinstall -k $RELEASE"
			return 1
		}
	done
	free=$(space $DKMS_CACHE)
	STATUS="space: $free MiB free in $DKMS_CACHE"
	# What an earlier attempt left there is removed first.
	if [[ -d $DKMS_CACHE/kernel/$RELEASE ]]; then
		free=$((free + $(du -sxm "$DKMS_CACHE/kernel/$RELEASE" 2>/dev/null | cut -f 1)))
	fi
	((free < SPACE_MIB)) || return 0
	! ready space || return 0
	STATUS="building Rust metadata needs $SPACE_MIB MiB in $DKMS_CACHE for a while, but only $free MiB are free"
	FIX="apt-get clean (or free $((SPACE_MIB - free)) MiB another way) && dkms autoinstall -k $RELEASE"
	return 1
}

check_rights() {
	STATUS="rights: root"
	((EUID)) || return 0
	STATUS="not root: only root can build a module with DKMS, load it, and read its files" FIX="sudo -i (and run this again)"
	return 1
}

# --- requirements to use -------------------------------------------------------------------------------

# dkms_setting NAME DEFAULT: the value of NAME in the configuration of DKMS, which DKMS sources, too.
dkms_setting() (
	set +eu
	unset "$1"
	# shellcheck disable=SC2034 # the files may use it
	kernelver=$RELEASE
	for file in /etc/dkms/framework.conf /etc/dkms/framework.conf.d/*.conf; do
		# shellcheck source=/dev/null
		[[ ! -r $file ]] || source "$file" >/dev/null 2>&1
	done
	echo "${!1:-$2}"
)

module_file() {
	tool modinfo -k "$RELEASE" -n taskmonitor 2>/dev/null
}

# rebuild_command: the command that builds and installs the module again.
rebuild_command() {
	local version
	version=$(tool modinfo -F version "$(module_file)")
	echo "dkms build --force taskmonitor/$version -k $RELEASE && dkms install --force taskmonitor/$version -k $RELEASE"
}

# built_for: the version of the headers that DKMS built the installed module with, or nothing. In
# scripts/dkms, the command "built" writes it.
built_for() {
	cat "$(dkms_setting dkms_tree /var/lib/dkms)/taskmonitor/kernel-$RELEASE-$(uname -m)/headers" 2>/dev/null || :
}

# is_outdated: whether DKMS should build the installed module again: the kernel and its headers were
# upgraded, and kept the name of their release.
is_outdated() {
	local built
	built=$(built_for)
	# Without a kernel's package, the headers alone count.
	[[ $built && $VERSION && ${IMAGE_VERSION:-$VERSION} == "$VERSION" && $built != "$VERSION" ]]
}

check_built() {
	STATUS="module: $(module_file)" || {
		STATUS="the module is not installed for $RELEASE" FIX="dkms autoinstall -k $RELEASE"
		return 1
	}
}

# Somebody may have installed a module by hand, in extra or updates. DKMS moves that away when it
# installs its own, but not a second one, nor one that comes later.
check_copies() {
	local file others
	file=$(module_file) || {
		STATUS="other modules: none"
		return 0
	}
	# What is to be removed: if DKMS installed one, all others.
	others=$(find "/lib/modules/$RELEASE/" -name 'taskmonitor.ko*' -not -path '*/updates/dkms/*' 2>/dev/null | sort)
	compgen -G "/lib/modules/$RELEASE/updates/dkms/taskmonitor.ko*" >/dev/null || others=$(grep -vxF "$file" <<<"$others" || :)
	STATUS="other modules: none"
	[[ $others ]] || return 0
	others=$(paste -s -d ' ' <<<"$others")
	STATUS="more than one taskmonitor.ko is installed for $RELEASE, and modprobe loads $file"
	FIX="rm $others && depmod $RELEASE"
	return 1
}

# A module for one build of a kernel may not fit another one (see check_image).
check_fits() {
	local file built booted='' rest='' running=''
	file=$(module_file) || file=
	built=$(built_for)
	read -r _ _ booted rest 2>/dev/null </proc/version || :
	[[ $booted != "$RELEASE" || ! $rest =~ \ Debian\ ([^ ]+)\ \( ]] || running=${BASH_REMATCH[1]}
	STATUS="built for: ${built:+version $built}"
	[[ $built ]] || STATUS+="not known (no module of DKMS)"
	if [[ $file == */updates/dkms/* && $built && $IMAGE_VERSION && $built != "$IMAGE_VERSION" ]]; then
		STATUS="the module was built for version $built of $RELEASE, but version $IMAGE_VERSION is installed: it may not fit"
		FIX=$(rebuild_command)
	elif [[ $running && $IMAGE_VERSION && $running != "$IMAGE_VERSION" ]]; then
		STATUS="version $running of $RELEASE is running, but version $IMAGE_VERSION is installed: a module for one may not fit the other"
		FIX="reboot"
	else
		return 0
	fi
	return 1
}

# What the loaded module, the installed module and taskmon are of.
loaded_is() {
	cat "/sys/module/taskmonitor/$1" 2>/dev/null
}

installed_is() {
	tool modinfo -k "$RELEASE" -F "$1" taskmonitor 2>/dev/null
}

taskmon_version() {
	tool taskmon --version 2>/dev/null | sed -n 's/^taskmon //p'
}

# A module that is loaded stays what it was when another version, or another build, is installed.
check_loaded() {
	local version installed taskmon key
	version=$(loaded_is version) installed=$(installed_is version) taskmon=$(taskmon_version)
	STATUS="loaded module: ${version:-none}, installed module: ${installed:-none}, taskmon: ${taskmon:-none}"
	if [[ $version && $RELEASE == "$(uname -r)" ]]; then
		for key in version srcversion; do
			[[ $(loaded_is $key) && $(installed_is $key) && $(loaded_is $key) != "$(installed_is $key)" ]] || continue
			[[ $key == version ]] || installed="another build of $installed"
			STATUS="the loaded module is version $version, but the installed module is $installed"
			FIX="modprobe -r taskmonitor && modprobe taskmonitor (drops all histories; stop taskmon export and other readers first)"
			return 1
		done
	fi
	[[ $taskmon && $installed && $taskmon != "$installed" ]] || return 0
	STATUS="the installed module is version $installed, but taskmon is version $taskmon"
	FIX="apt-get install ./taskmonitor-dkms_*.deb ./taskmon_*.deb (the same version of both; then reload the module)"
	return 1
}

# Sets SECURE_BOOT.
secure_boot() {
	SECURE_BOOT=
	[[ $(od -An -t u1 -j 4 -N 1 /sys/firmware/efi/efivars/SecureBoot-* 2>/dev/null) != *1 ]] || SECURE_BOOT=yes
}

# signing_key: sets KEY to the certificate of the key that DKMS signs modules with, and PRIVATE_KEY
# to the key itself.
signing_key() {
	KEY=$(dkms_setting mok_certificate /var/lib/dkms/mok.pub)
	PRIVATE_KEY=$(dkms_setting mok_signing_key /var/lib/dkms/mok.key)
}

# enrolled CERTIFICATE: whether the firmware accepts its signatures. mokutil reads no PEM.
enrolled() {
	local der
	der=$(mktemp) || return
	tool openssl x509 -in "$1" -outform DER -out "$der" 2>/dev/null || :
	[[ $(tool mokutil --test-key "$der" 2>/dev/null) == *"is already enrolled"* ]] || {
		rm "$der"
		return 1
	}
	rm "$der"
}

check_secure_boot() {
	local absent
	secure_boot
	STATUS="Secure Boot: off"
	[[ $SECURE_BOOT ]] || return 0
	signing_key
	STATUS="Secure Boot: on, and the key of DKMS is enrolled"
	absent=$KEY
	# Only root can see whether the key exists; DKMS can also use one that is in hardware.
	[[ ! -e $KEY || $EUID -ne 0 || $PRIVATE_KEY == pkcs11:* || -e $PRIVATE_KEY ]] || absent=$PRIVATE_KEY
	if [[ ! -e $KEY && $KEY$PRIVATE_KEY == /var/lib/dkms/mok.pub/var/lib/dkms/mok.key ]]; then
		STATUS="Secure Boot is on, and DKMS has no key yet to sign modules with" FIX="dkms generate_mok && mokutil --import $KEY"
	elif [[ ! -e $absent ]]; then
		STATUS="Secure Boot is on, and $absent, which DKMS needs to sign modules, does not exist"
		FIX="put the file there before the next build, in which DKMS would replace both $PRIVATE_KEY and $KEY (or change mok_signing_key and mok_certificate in /etc/dkms/framework.conf)"
	elif ! tool command -v mokutil >/dev/null; then
		STATUS="Secure Boot is on, and mokutil, which shows whether the key of DKMS is enrolled, is not installed" FIX="apt-get install mokutil"
	elif [[ $(tool mokutil --list-new 2>/dev/null) ]]; then
		STATUS="Secure Boot is on, and a key is waiting to be enrolled" FIX="reboot (choose \"Enroll MOK\" and enter the password)"
	elif enrolled "$KEY"; then
		return 0
	else
		STATUS="Secure Boot is on, and the key of DKMS is not enrolled, so the module cannot be loaded"
		FIX="mokutil --import $KEY (set a password; then reboot, choose \"Enroll MOK\" and enter it)"
		! grep -qs -e '-BEGIN CERTIFICATE-' "$KEY" || FIX="openssl x509 -in $KEY -outform DER -out mok.der && ${FIX/"$KEY"/mok.der}"
	fi
	return 1
}

# serial: the serial number of the certificate of DKMS's key, as modinfo prints it, or nothing.
serial() {
	tool openssl x509 -in "$KEY" -noout -serial 2>/dev/null | sed -e 's/^serial=//' -e 's/../&:/g' -e 's/:$//' || :
}

check_signature() {
	local signer file serial forced=''
	file=$(module_file) || {
		STATUS="signature: the module is not installed for $RELEASE" FIX="dkms autoinstall -k $RELEASE"
		return 1
	}
	signing_key
	signer=$(tool modinfo -F signer "$file" 2>/dev/null)
	serial=$(serial)
	STATUS="signature: ${signer:-none, and this kernel needs none}"
	if [[ $signer && (! $serial || $serial == "$(tool modinfo -F sig_key "$file")") ]]; then
		return 0
	fi
	[[ ! $SECURE_BOOT && $(lockdown) == none ]] || forced=yes
	! config CONFIG_MODULE_SIG_FORCE=y || forced=yes
	STATUS+=${signer:+ (not with $KEY, the key of DKMS now)}
	[[ $forced ]] || return 0
	STATUS="the module is not signed${signer:+ with $KEY, the key of DKMS}, and this kernel loads only signed modules"
	FIX=$(rebuild_command)
	return 1
}

lockdown() {
	sed -n 's/.*\[\(.*\)\].*/\1/p' /sys/kernel/security/lockdown 2>/dev/null | grep . || echo none
}

# Lockdown denies access to writable files in debugfs.
check_lockdown() {
	STATUS="lockdown: $(lockdown)"
	[[ $STATUS == *none ]] || STATUS+=": use /sys/kernel/taskmonitor instead of /sys/kernel/debug/taskmonitor, which cannot be opened; read-only files of debugfs work"
}

check_debugfs() {
	STATUS="debugfs: mounted on /sys/kernel/debug"
	! grep -qs '^[^ ]* /sys/kernel/debug debugfs ' /proc/mounts || return 0
	STATUS="debugfs is not mounted" FIX="mount -t debugfs debugfs /sys/kernel/debug"
	if ! grep -q 'debugfs$' /proc/filesystems; then
		STATUS="this kernel has no debugfs" FIX="apt-get install linux-image-$KERNEL_NAME (a Debian kernel: these have it); /sys/kernel/taskmonitor works without it"
	fi
	return 1
}

check_permitted() {
	STATUS="debugfs: permitted"
	[[ " $(</proc/cmdline) " != *" debugfs=off "* && " $(</proc/cmdline) " != *" debugfs=no-mount "* ]] || {
		STATUS="the kernel command line disables debugfs" FIX="remove debugfs= from the kernel command line and reboot"
		return 1
	}
	! config CONFIG_DEBUG_FS_ALLOW_NONE=y || {
		STATUS="the configuration of $RELEASE disables debugfs" FIX="add debugfs=on to the kernel command line and reboot"
		return 1
	}
}
