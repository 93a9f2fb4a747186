# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Files of other packages that the loads of tests/loads.guest and the measurements need. To be
# sourced after scripts/build.sh.

# nginx_open: sets NGINX to a directory with the nginx of the suite and its libraries.
nginx_open() {
	local package version packages=()
	for package in nginx libc6 libcrypt1 libpcre2-8-0 libssl3t64 libzstd1 zlib1g; do
		version=$(archive_version "$package")
		[[ ! $version ]] || packages+=("$package=$version")
	done
	version=$(printf '%s\n' "${packages[@]}" | sha256sum)
	NGINX=$CACHE/guest/nginx-${version::12}$CROSS
	lock guest
	if [[ ! -e $NGINX/complete ]]; then
		discard "$NGINX"
		mkdir -p "$NGINX"
		stage "guest: ${packages[0]}" fetch "$NGINX" "${packages[@]}" ||
			die "could not fetch nginx and its libraries (see above): is the network there?"
		printf '%s\n' "${packages[@]}" | complete "$NGINX"
	fi
	unlock
}

# compiler_files: prints the files that gcc and make of the toolchain read to build a program, one a
# line.
compiler_files() {
	# shellcheck disable=SC2016
	toolchain_run bash -c '
		set -e
		cd /tmp
		{
		programs=(/usr/bin/gcc /usr/bin/make)
		for name in cc1 collect2 as ld; do
			programs+=("$(command -v "$(gcc -print-prog-name=$name)")")
		done
		plugin=$(gcc -print-file-name=liblto_plugin.so)
		printf "%s\n" "${programs[@]}" "$plugin"
		ldd "${programs[@]}" "$plugin" | grep -o "/[^ ]*lib[^ ]*" | grep -v :
		printf "#include <%s.h>\n" ctype stdio stdlib string | gcc -O2 -M -xc - | grep -o "/[^ ]*"
		echo "int main(void) { return 0; }" | gcc -o /dev/null -Wl,-t -xc - -xnone | grep "^/usr"
		gcc -print-file-name=libgcc_s.so.1
		gcc -print-file-name=libc.so.6
		} | xargs realpath -s' | sort -u
}

# loads_open FILE: makes FILE an archive of the files for the guest, with links followed.
loads_open() {
	local files
	[[ ! $CROSS ]] || die "the loads run this machine's compiler in the guest: unset ARCH"
	nginx_open
	mapfile -t files < <(compiler_files)
	((${#files[@]} > 50)) || die "could not find the files that gcc needs (see above)"
	if ! toolchain_run tar -C / --hard-dereference -chf - "${files[@]#/}" >"$1" ||
		! tar --hard-dereference -rhf "$1" -C "$NGINX" --exclude='*.conf*' --exclude=doc \
			usr/sbin/nginx "usr/lib/$TRIPLET"; then
		die "could not pack the files for the guest (see above)"
	fi
}

# pidstat_open: sets PIDSTAT to options of scripts/vm that give pidstat of the suite, its loader and
# its library to the guest.
pidstat_open() {
	local sysstat libc folder libraries loader
	sysstat=$(archive_version sysstat)
	libc=$(archive_version libc6)
	folder=$CACHE/guest/sysstat-${sysstat//[^0-9A-Za-z.+-]/_}-libc-${libc//[^0-9A-Za-z.+-]/_}$CROSS
	lock guest
	if [[ ! -e $folder/complete ]]; then
		discard "$folder"
		mkdir -p "$folder"
		stage "guest: sysstat $sysstat" fetch "$folder" "sysstat=$sysstat" "libc6=$libc" ||
			die "could not fetch sysstat and libc6 (see above): is the network there?"
		printf '%s\n' "sysstat=$sysstat" "libc6=$libc" | complete "$folder"
	fi
	unlock
	libraries=$(dirname "$(find "$folder" -name libc.so.6 | head -n 1)")
	loader=$(find "$libraries" -name 'ld-linux-*.so.*' | head -n 1)
	PIDSTAT=(-f "$folder/usr/bin/pidstat" -f "$libraries/libc.so.6" -f "$loader:ld.so")
}
