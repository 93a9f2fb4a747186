# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Modules of the stock kernel, for guests that need more of the kernel than its built-in parts.
#
# Source lib.sh and kernel.sh first.

# stock_module NAME DIRECTORY: puts NAME.ko into DIRECTORY.
stock_module() {
	local name=$1 into=$2 package=linux-modules-$RELEASE version entry packed
	[[ ! -e $into/$name.ko ]] || return 0
	version=$(archive_version "$package")
	# Older kernels have their modules in the package of the image.
	[[ $version ]] || package=$IMAGE_PACKAGE version=$(archive_version "$IMAGE_PACKAGE")
	entry=$CACHE/modules/$RELEASE-${version//[^0-9A-Za-z.+-]/_}
	lock "modules-$RELEASE"
	if [[ ! -e $entry/complete ]]; then
		discard "$entry"
		mkdir -p "$entry"
		stage "modules of $RELEASE" fetch "$entry" "$package=$version" ||
			die "could not fetch $package in version $version (see above); check the network"
		echo "$package=$version" | complete "$entry"
	fi
	unlock
	packed=$(find "$entry" -name "$name.ko*" | head -n 1)
	[[ $packed ]] || die "the package $package has no module $name"
	case $packed in
	*.xz) need xz:xz-utils && xz -dc "$packed" ;;
	*.zst) need zstd:zstd && zstd -q -dc "$packed" ;;
	*) cat "$packed" ;;
	esac >"$into/$name.part" || die "could not unpack $packed"
	mv "$into/$name.part" "$into/$name.ko"
}
