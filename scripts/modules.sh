# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Modules that belong to the stock kernel, for guests that need more of it than is built in.
#
# To be sourced behind lib.sh and kernel.sh.

# stock_module NAME FOLDER: puts NAME.ko into FOLDER.
stock_module() {
	local name=$1 into=$2 package=linux-modules-$RELEASE version entry packed
	[[ ! -e $into/$name.ko ]] || return 0
	version=$(archive_version "$package")
	# Before they had a package of their own, they were in that of the image.
	[[ $version ]] || package=$IMAGE_PACKAGE version=$(archive_version "$IMAGE_PACKAGE")
	entry=$CACHE/modules/$RELEASE-${version//[^0-9A-Za-z.+-]/_}
	lock "modules-$RELEASE"
	if [[ ! -e $entry/complete ]]; then
		discard "$entry"
		mkdir -p "$entry"
		stage "modules of $RELEASE" fetch "$entry" "$package=$version" ||
			die "could not fetch $package in version $version (see above): is the network there?"
		echo "$package=$version" | complete "$entry"
	fi
	unlock
	packed=$(find "$entry" -name "$name.ko*" | head -n 1)
	[[ $packed ]] || die "$package has no module $name"
	case $packed in
	*.xz) need xz:xz-utils && xz -dc "$packed" ;;
	*.zst) need zstd:zstd && zstd -q -dc "$packed" ;;
	*) cat "$packed" ;;
	esac >"$into/$name.part" || die "cannot unpack $packed"
	mv "$into/$name.part" "$into/$name.ko"
}
