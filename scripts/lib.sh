# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shared by all scripts: messages, packages of the host, the cache of build products, and access
# to the Debian archive.
#
# Variables that a user may set, in the environment or after the target of make (default):
#   SUITE              Debian suite of the kernel            (trixie, with its backports)
#   ARCH               its architecture: amd64 or arm64      (that of this machine)
#   FLAVOUR            its flavour: cloud, rt, or 16k (arm64 only)   (none)
#   RELEASE            kernel release, "newest", or "previous" (the one before the newest), of this architecture and
#                      flavour; the name of a release also sets these   (the one that linux-image-amd64 depends on,
#                      or linux-image-cloud-arm64, ...)
#   KERNEL             stock, debug or kcsan                 (stock)
#   MIRROR             Debian mirror                         (the one apt is configured for)
#   CHECK_VALID_UNTIL  "no" accepts a mirror with an expired Release file
#   TASKMONITOR_CACHE  directory of toolchains and kernels   ($XDG_CACHE_HOME/taskmonitor)

set -euo pipefail
export LC_ALL=C.UTF-8 TM_STARTED="${TM_STARTED:-$(date +%s)}"

SUITE_GIVEN=${SUITE:+yes}
SUITE=${SUITE:-trixie}
CACHE=${TASKMONITOR_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/taskmonitor}
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

source "$TOP/scripts/arch.sh"

# --- messages: progress and errors go to stderr, results to stdout -------------------------------

say() {
	printf '[%4d s] %s\n' "$(($(date +%s) - TM_STARTED))" "$*" >&2
}

# die MESSAGE: one sentence that says what failed and what to do about it.
die() {
	say "$*"
	exit 1
}

# stage WHAT COMMAND...: runs COMMAND with its output in a log, and reports how long it took. On
# failure it shows the end of the log and returns the status of COMMAND. Callers test the status,
# which turns `set -e` off inside COMMAND: a function chains its steps with && or || return.
stage() {
	local what=$1 began log status=0
	shift
	mkdir -p "$CACHE/log" 2>/dev/null || die "cannot write to $CACHE; set TASKMONITOR_CACHE to a directory that you can write to"
	log=$(mktemp "$CACHE/log/stage.XXXXXX")
	began=$(date +%s)
	say "$what ..."
	("$@") </dev/null >"$log" 2>&1 || status=$?
	if ((status)); then
		STAGE_LOG=$(<"$log")
		[[ ${STAGE_QUIET-} ]] || tail -n "${STAGE_TAIL:-15}" "$log" | sed 's/^/         | /' >&2
	else
		say "$what: done in $(($(date +%s) - began)) s"
	fi
	rm -f "$log"
	return "$status"
}

# together FUNCTION...: runs functions side by side, and waits for all of them. If one fails, the
# others are stopped. Variables that they set are lost; what they put into the cache stays, so the
# caller calls them again, one after the other, for the variables. The caller must have no traps for
# EXIT and USR1.
together() {
	local function parent pid pids=() caller=$BASHPID
	trap together_stop EXIT
	# A function that fails sends this signal, which interrupts the wait for another one.
	trap 'exit 1' USR1
	for function; do
		# Each function gets a process group, so that all of its processes can be stopped.
		set -m
		{
			# The function must not be tested by `if` or `||`, which would turn `set -e` off inside.
			set +e
			(set -e && "$function")
			# shellcheck disable=SC2181
			(($? == 0)) || {
				# If the caller was killed, its PID may belong to another process by now.
				read -r _ _ _ parent _ <"/proc/$BASHPID/stat"
				[[ $parent != "$caller" ]] || kill -USR1 "$caller"
				exit 1
			}
		} </dev/null &
		set +m
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || exit 1
	done
	trap - EXIT USR1
}

together_stop() {
	local group
	for group in $(jobs -p); do
		kill -- "-$group" 2>/dev/null || :
	done
	wait
}

# --- packages of the host -------------------------------------------------------------------------

apt_get() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
		-o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 "$@"
}

# The lock is held until the subshell of `stage` ends: apt does not wait for another `apt-get update`.
host_install() {
	local fd
	exec {fd}>"$CACHE/lock.host-packages"
	flock "$fd" && apt_get update && apt_get install --no-install-recommends "$@"
}

# install PACKAGE...: installs packages on the host with apt-get, as root.
install() {
	command -v apt-get >/dev/null || die "missing packages: $*; this machine has no apt-get, install them with its package manager"
	((EUID == 0)) || die "missing packages: $*; run as root: apt-get install $*"
	stage "installing $*" host_install "$@" ||
		die "could not install $* (see above); check the network, then run: apt-get install $*"
}

# need COMMAND:PACKAGE...: installs the packages of those commands that are missing.
need() {
	local item missing=()
	PATH=$PATH:/usr/sbin:/sbin
	for item; do
		command -v "${item%%:*}" >/dev/null || missing+=("${item#*:}")
	done
	((${#missing[@]} == 0)) || install "${missing[@]}"
}

# --- the cache -------------------------------------------------------------------------------------
#
# An entry is valid if it has a file named `complete`, which is written last, by a rename. An entry
# that an interrupted run left without it is built again.

# lock NAME: serialises the builders of one entry. Every child inherits the lock, so it is held
# until the last process of a killed run has ended.
lock() {
	mkdir -p "$CACHE" 2>/dev/null || die "cannot write to $CACHE; set TASKMONITOR_CACHE to a directory that you can write to"
	exec {LOCK_FD}>"$CACHE/lock.$1"
	flock -w 2 "$LOCK_FD" || {
		say "waiting for another run that builds $1 ..."
		flock "$LOCK_FD"
	}
}

unlock() {
	exec {LOCK_FD}>&-
}

# discard DIRECTORY: removes an unfinished entry, but nothing that is mounted in it.
discard() {
	[[ ! -e $1 ]] || rm -rf --one-file-system "$1"
}

# complete DIRECTORY: marks an entry as valid; stdin says what it was built from.
complete() {
	cat >"$1/complete.new"
	mv "$1/complete.new" "$1/complete"
}

# --- the Debian archive ------------------------------------------------------------------------------
#
# Each suite has a private apt directory for each architecture, used by the host's apt: queries and downloads need no
# root, and leave the sources and lists of the host alone.

mirror() {
	local found
	if [[ ${MIRROR-} ]]; then
		echo "$MIRROR"
		return
	fi
	# Before the first `apt-get update` of the host, apt does not know the origin of a source and
	# prints the field's name: then the first source with a component main is taken.
	# shellcheck disable=SC2016
	found=$(apt-get indextargets --format '$(REPO_URI)|$(ORIGIN)|$(LABEL)' 'Created-By: Packages' |
		awk -F'|' '$2 == "Debian" && $3 == "Debian" { print $1; exit }')
	# shellcheck disable=SC2016
	[[ $found ]] || found=$(apt-get indextargets --no-release-info --format '$(REPO_URI)|$(ORIGIN)|$(COMPONENT)' 'Created-By: Packages' |
		awk -F'|' '($2 == "" || $2 == "$(ORIGIN)") && $3 == "main" && $1 !~ /security/ { print $1; exit }')
	[[ $found ]] || die "apt's configuration names no Debian mirror; set MIRROR to the address of one"
	echo "$found"
}

archive_apt() {
	local tool=$1
	shift
	"$tool" -q -c "$ARCHIVE/apt.conf" "$@"
}

archive_update() {
	archive_apt apt-get -o APT::Update::Error-Mode=any -o Acquire::Retries=2 \
		-o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 update
}

# archive_sources SUITE...
archive_sources() {
	local s options="signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
	[[ ${CHECK_VALID_UNTIL-} != no ]] || options+=" check-valid-until=no"
	for s; do
		echo "deb [$options] $ARCHIVE_MIRROR $s main"
	done
}

# archive_open: prepares the private apt of $SUITE for $ARCH. Fetches lists that are missing or older than a day; if that
# fails, older lists are used. Sets ARCHIVE, TOOLCHAIN_SUITE, and the variables of arch_open.
archive_open() {
	local suites choices=() fresh
	arch_open
	case $SUITE in
	sid | unstable) choices=("$SUITE") TOOLCHAIN_SUITE=$SUITE ;;
	experimental | rc-buggy) choices=("sid $SUITE") TOOLCHAIN_SUITE=sid ;;
	*)
		choices=("$SUITE $SUITE-updates $SUITE-backports" "$SUITE $SUITE-updates" "$SUITE")
		TOOLCHAIN_SUITE=$SUITE
		;;
	esac
	need apt-get:apt
	ARCHIVE=$CACHE/apt/$SUITE-$ARCH
	[[ ${CHECK_VALID_UNTIL-} != no ]] || say "accepting an expired Release file of $SUITE (CHECK_VALID_UNTIL=no)"
	lock "apt-$SUITE-$ARCH"
	fresh=$(find "$ARCHIVE/complete" -mmin -1440 2>/dev/null || :)
	if [[ ! $fresh ]]; then
		[[ -r /usr/share/keyrings/debian-archive-keyring.gpg ]] || install debian-archive-keyring
		ARCHIVE_MIRROR=$(mirror)
		mkdir -p "$ARCHIVE"/{lists,cache}/partial
		: >"$ARCHIVE/status"
		cat >"$ARCHIVE/apt.conf" <<-EOF
			Dir::Etc::SourceList "$ARCHIVE/sources.list";
			Dir::Etc::SourceParts "/dev/null";
			Dir::Etc::Preferences "/dev/null";
			Dir::Etc::PreferencesParts "/dev/null";
			Dir::State "$ARCHIVE";
			Dir::State::Lists "$ARCHIVE/lists";
			Dir::State::status "$ARCHIVE/status";
			Dir::Cache "$ARCHIVE/cache";
			Dir::Cache::pkgcache "pkgcache.bin";
			Dir::Cache::srcpkgcache "srcpkgcache.bin";
			Acquire::GzipIndexes "false";
			Acquire::Languages "none";
			Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
			Acquire::Check-Date "true";
			Acquire::Check-Valid-Until "true";
			APT::Architecture "$ARCH";
			APT::Architectures { "$ARCH"; };
			APT::Sandbox::User "root";
		EOF
		for suites in "${choices[@]}"; do
			# shellcheck disable=SC2086
			archive_take $suites
			if STAGE_QUIET=1 stage "package lists of $suites, $ARCH" archive_update; then
				fresh=1
				printf '%s\n' "$suites" "$ARCHIVE_MIRROR" | complete "$ARCHIVE"
				break
			fi
			[[ $STAGE_LOG != *"is expired"* && $STAGE_LOG != *"not valid anymore"* ]] ||
				die "the mirror's Release file of $SUITE has expired; wait for the mirror, set MIRROR to another one, or accept it with CHECK_VALID_UNTIL=no"
			[[ $STAGE_LOG != *NO_PUBKEY* ]] ||
				die "the archive keys on this machine are too old for $SUITE; run as root: apt-get install debian-archive-keyring"
			# Only a suite without -updates or -backports is tried again without them.
			[[ $STAGE_LOG == *"does not have a Release file"* ]] || break
		done
	fi
	if [[ ! $fresh ]]; then
		[[ -e $ARCHIVE/complete ]] ||
			die "could not fetch the package lists of $SUITE from $ARCHIVE_MIRROR; check the network and whether the mirror has $SUITE, or set MIRROR to another one"
		say "the mirror does not answer: using the package lists of $(date -r "$ARCHIVE/complete" +%F)"
	fi
	{ read -r suites && read -r ARCHIVE_MIRROR; } <"$ARCHIVE/complete"
	# shellcheck disable=SC2086
	archive_take $suites
	unlock
}

# archive_take SUITE...: makes these suites the sources of the private apt, atomically, as others may be reading them.
archive_take() {
	local new=$ARCHIVE/sources.list.new
	archive_sources "$@" >"$new"
	# If the file is newer than apt's cache of package lists, apt builds that cache for each query.
	if cmp -s "$new" "$ARCHIVE/sources.list"; then
		rm "$new"
	else
		mv "$new" "$ARCHIVE/sources.list"
	fi
}

# archive_version PACKAGE: prints the newest version in any part of the suite, or nothing.
archive_version() {
	local v best=
	while read -r v; do
		[[ $best ]] && dpkg --compare-versions "$v" le "$best" || best=$v
	done < <(archive_apt apt-cache madison "$1" 2>/dev/null | awk -F' *[|] *' '{ print $2 }')
	echo "$best"
}

# archive_releases: prints the releases of the architecture and flavour for which the suite has headers, the newest last.
archive_releases() {
	archive_apt apt-cache pkgnames linux-headers- |
		sed -n -E "s/^linux-headers-([0-9][^-]*(-(rc)?[0-9][^-]*)?-$KERNEL_NAME)\$/\1/p" | sort -V
}

# fetch DIRECTORY PACKAGE=VERSION...: downloads packages and unpacks them there.
fetch() {
	local into=$1 p
	shift
	mkdir -p "$into/deb" &&
		(cd "$into/deb" && archive_apt apt-get -o Acquire::Retries=3 download "$@") || return
	for p in "$into"/deb/*.deb; do
		dpkg-deb -x "$p" "$into" || return
	done
	rm -r "$into/deb"
}
