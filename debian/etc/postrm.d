#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel $1 is removed: removes its Rust metadata.

set -e

# Not if the image is upgraded or reinstalled.
case "${DEB_MAINT_PARAMS-}" in
*upgrade* | *abort*) exit 0 ;;
esac
[ -n "$1" ] && [ -d "/var/cache/taskmonitor/kernel/$1" ] || exit 0
rm -rf "/var/cache/taskmonitor/kernel/$1"
rm -f "/var/cache/taskmonitor/lock.kernel-$1"
