# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the scripts of this folder share: how they speak, what they need from the machine, where
# they keep what is dear to make, and how they ask the Debian archive.
#
# Variables that a user may set (in the environment, or behind make's target):
#   SUITE              the Debian suite whose kernel is meant         (trixie, with its backports)
#   RELEASE            a kernel release, or "newest"                   (what linux-image-amd64 names)
#   KERNEL             stock, or one that finds mistakes: debug, kcsan  (stock)
#   MIRROR             the Debian mirror                               (the one apt is configured for)
#   CHECK_VALID_UNTIL  "no" accepts a mirror whose Release file has run out
#   TASKMONITOR_CACHE  where toolchains and kernels are kept           ($XDG_CACHE_HOME/taskmonitor)

set -euo pipefail
export LC_ALL=C.UTF-8 TM_STARTED="${TM_STARTED:-$(date +%s)}"

SUITE_GIVEN=${SUITE:+yes}
SUITE=${SUITE:-trixie}
CACHE=${TASKMONITOR_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/taskmonitor}
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# --- how the scripts speak: progress and failures to stderr, results to stdout -------------------

say() {
	printf '[%4d s] %s\n' "$(($(date +%s) - TM_STARTED))" "$*" >&2
}

# One sentence that says what is wrong and what to do; never more.
die() {
	say "$*"
	exit 1
}

# stage WHAT COMMAND...: runs COMMAND with its output in a log, and says how long it took. On
# failure the end of the log is shown, and the status is COMMAND's. Callers test the status, which
# turns `set -e` off inside: a COMMAND that is a function chains its steps with && or || return.
stage() {
	local what=$1 began log status=0
	shift
	mkdir -p "$CACHE/log" 2>/dev/null || die "cannot write to $CACHE: set TASKMONITOR_CACHE to a folder of yours"
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

# --- what the scripts need from the machine -------------------------------------------------------

apt_get() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
		-o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 "$@"
}

host_install() {
	apt_get update && apt_get install --no-install-recommends "$@"
}

# install PACKAGE...: on this machine, by its own apt, as root.
install() {
	command -v apt-get >/dev/null || die "missing: $*; this machine has no apt-get, install them by its own means"
	((EUID == 0)) || die "missing: $*; as root: apt-get install $*"
	stage "installing $*" host_install "$@" ||
		die "could not install $* (see above; is the network there?): apt-get install $*"
}

# need COMMAND:PACKAGE...: installs the packages of the commands that are not there.
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
# An entry counts as made if its file `complete` is there, which is written last and in one piece.
# What an interrupted run leaves has none and is made anew.

# lock NAME: serialises the makers of one entry. The lock is inherited by every child, so it holds
# until the last process of a killed run is gone.
lock() {
	mkdir -p "$CACHE" 2>/dev/null || die "cannot write to $CACHE: set TASKMONITOR_CACHE to a folder of yours"
	exec {LOCK_FD}>"$CACHE/lock.$1"
	flock -n "$LOCK_FD" || {
		say "waiting for another run that makes the same ($1) ..."
		flock "$LOCK_FD"
	}
}

unlock() {
	exec {LOCK_FD}>&-
}

# discard FOLDER: removes an unfinished entry, never anything that is mounted in it.
discard() {
	[[ ! -e $1 ]] || rm -rf --one-file-system "$1"
}

# complete FOLDER: marks an entry as made; what is on stdin says from what.
complete() {
	cat >"$1/complete.new"
	mv "$1/complete.new" "$1/complete"
}

# --- the Debian archive ------------------------------------------------------------------------------
#
# A private apt folder for each suite, used by this machine's apt: asking for packages and fetching
# them needs no root, and touches neither the sources nor the lists of the machine.

mirror() {
	local found
	if [[ ${MIRROR-} ]]; then
		echo "$MIRROR"
		return
	fi
	# The origin is known once the lists were fetched. Before, apt leaves the field as it is: take
	# what looks like the archive.
	# shellcheck disable=SC2016
	found=$(apt-get indextargets --format '$(REPO_URI)|$(ORIGIN)|$(LABEL)' 'Created-By: Packages' |
		awk -F'|' '$2 == "Debian" && $3 == "Debian" { print $1; exit }')
	# shellcheck disable=SC2016
	[[ $found ]] || found=$(apt-get indextargets --no-release-info --format '$(REPO_URI)|$(ORIGIN)|$(COMPONENT)' 'Created-By: Packages' |
		awk -F'|' '($2 == "" || $2 == "$(ORIGIN)") && $3 == "main" && $1 !~ /security/ { print $1; exit }')
	[[ $found ]] || die "apt's configuration names no Debian mirror: set MIRROR to the address of one"
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
	local s options="arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
	[[ ${CHECK_VALID_UNTIL-} != no ]] || options+=" check-valid-until=no"
	for s; do
		echo "deb [$options] $ARCHIVE_MIRROR $s main"
	done
}

# archive_open: makes ready the private apt of $SUITE. Lists are fetched when they are missing or a
# day old; where that fails, older ones do. Sets ARCHIVE and TOOLCHAIN_SUITE.
archive_open() {
	local suites choices=() fresh
	case $SUITE in
	sid | unstable) choices=("$SUITE") TOOLCHAIN_SUITE=$SUITE ;;
	experimental | rc-buggy) choices=("sid $SUITE") TOOLCHAIN_SUITE=sid ;;
	*)
		choices=("$SUITE $SUITE-updates $SUITE-backports" "$SUITE $SUITE-updates" "$SUITE")
		TOOLCHAIN_SUITE=$SUITE
		;;
	esac
	need apt-get:apt
	ARCHIVE=$CACHE/apt/$SUITE
	[[ ${CHECK_VALID_UNTIL-} != no ]] || say "a Release file of $SUITE that has run out is accepted (CHECK_VALID_UNTIL=no)"
	lock "apt-$SUITE"
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
			Acquire::Languages "none";
			Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
			Acquire::Check-Date "true";
			Acquire::Check-Valid-Until "true";
			APT::Architecture "amd64";
			APT::Sandbox::User "root";
		EOF
		for suites in "${choices[@]}"; do
			# shellcheck disable=SC2086
			archive_take $suites
			if STAGE_QUIET=1 stage "package lists of $suites" archive_update; then
				fresh=1
				printf '%s\n' "$suites" "$ARCHIVE_MIRROR" | complete "$ARCHIVE"
				break
			fi
			[[ $STAGE_LOG != *"is expired"* && $STAGE_LOG != *"not valid anymore"* ]] ||
				die "the mirror's Release file of $SUITE has run out: wait for the mirror, set MIRROR to another, or accept it with CHECK_VALID_UNTIL=no"
			[[ $STAGE_LOG != *NO_PUBKEY* ]] ||
				die "the archive keys on this machine are too old for $SUITE; as root: apt-get install debian-archive-keyring"
			# Only a suite that has no -updates or -backports is tried again without them.
			[[ $STAGE_LOG == *"does not have a Release file"* ]] || break
		done
	fi
	if [[ ! $fresh ]]; then
		[[ -e $ARCHIVE/complete ]] ||
			die "no package lists of $SUITE from the mirror $ARCHIVE_MIRROR: is the network there, and $SUITE on that mirror? (MIRROR names another)"
		say "the mirror does not answer: going on with the package lists of $(date -r "$ARCHIVE/complete" +%F)"
	fi
	{ read -r suites && read -r ARCHIVE_MIRROR; } <"$ARCHIVE/complete"
	# shellcheck disable=SC2086
	archive_take $suites
	unlock
}

# archive_take SUITE...: they are where its apt takes packages from. (As a whole: others may be reading that now.)
archive_take() {
	archive_sources "$@" >"$ARCHIVE/sources.list.new" && mv "$ARCHIVE/sources.list.new" "$ARCHIVE/sources.list"
}

# archive_version PACKAGE: the newest version that any part of the suite has, or nothing.
archive_version() {
	local v best=
	while read -r v; do
		[[ $best ]] && dpkg --compare-versions "$v" le "$best" || best=$v
	done < <(archive_apt apt-cache madison "$1" 2>/dev/null | awk -F' *[|] *' '{ print $2 }')
	echo "$best"
}

# archive_releases: the kernel releases for which the suite has headers, the newest last.
archive_releases() {
	archive_apt apt-cache pkgnames linux-headers- | sed -n 's/^linux-headers-\([0-9].*[^t]-amd64\)$/\1/p' |
		grep -v -e '-cloud-' -e '-rt-' | sort -V
}

# fetch FOLDER PACKAGE=VERSION...: downloads packages and unpacks them there.
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
