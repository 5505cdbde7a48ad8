# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shared by the scripts next to it: source it first.
#
# It sets the shell's strict mode and
#   TOP    the checkout
#   BUILD  the build folder in it (not tracked)
#   CACHE  what is kept between checkouts: build root, source, ccache, cargo
#   LINUX_TREE  the patched kernel tree, a git repository

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
BUILD=$TOP/build
# shellcheck disable=SC2034
CACHE=${BC_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/beancounters}
# shellcheck disable=SC2034 # used by the scripts that source this file
LINUX_TREE=${BC_TREE:-$BUILD/linux}

# Fixed inputs of every kernel build, so that two checkouts of one tree give
# one image and share the ccache.
# shellcheck disable=SC2034
KBUILD_PIN=(
	KCFLAGS=-g1
	KRUSTFLAGS=-Cdebuginfo=line-tables-only
	KBUILD_BUILD_TIMESTAMP=2026-01-01
	KBUILD_BUILD_USER=bc
	KBUILD_BUILD_HOST=bc
)

say() { printf '%s\n' "bc: $*" >&2; }
die() {
	say "error: $*"
	exit 1
}

# A notice that nobody shall miss in a long log.
loud() { printf '\n%s\nbc: %s\n%s\n\n' '*******' "$*" '*******' >&2; }

# Prints the comment at the head of the calling script.
usage() { sed -n '2,${/^#/!q;/SPDX/d;s/^# \{0,1\}//;p}' "$0"; }

# Answers -h and --help; call it with the script's arguments.
help_if_asked() {
	case ${1-} in
	-h | --help)
		usage
		exit 0
		;;
	esac
}

# Runs the calling script in the build environment, unless it is there already.
in_env() {
	[ -n "${BC_INSIDE-}" ] || exec "$TOP/scripts/enter" "$TOP/scripts/${0##*/}" "$@"
}

elapsed() { printf '%dm%02ds' $(($1 / 60)) $(($1 % 60)); }

# step LABEL LOG CMD...: runs CMD with its output in LOG, shows the time that
# passes, and the end of LOG if CMD fails.
step() {
	local label=$1 log=$2 t0=$SECONDS pid rc=0 tick
	shift 2
	say "$label"
	mkdir -p "$(dirname "$log")"
	"$@" >"$log" 2>&1 &
	pid=$!
	tick=$((t0 + 15))
	while kill -0 "$pid" 2>/dev/null; do
		if [ "$SECONDS" -ge "$tick" ]; then
			say "  ... $label: $(elapsed $((SECONDS - t0)))"
			tick=$((tick + 15))
		fi
		sleep 0.2
	done
	wait "$pid" || rc=$?
	if [ "$rc" != 0 ]; then
		tail -n 30 "$log" >&2
		say "failed after $(elapsed $((SECONDS - t0))): $label (whole log: $log)"
		return "$rc"
	fi
	say "  done: $label ($(elapsed $((SECONDS - t0))))"
}

# git that no user's or machine's configuration can sway.
pgit() {
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null git -c safe.directory='*' "$@"
}

# Patch file names in the order of the series.
series_patches() { sed -e 's/[[:space:]]*#.*//' -e '/^[[:space:]]*$/d' "$TOP/series"; }

# Hash of what the tree is made from: the pin and the patches, in order.
series_hash() {
	(
		cd "$TOP"
		{
			cat scripts/source.pin
			[ ! -f series ] || series_patches | sed 's,^,patches/,' | xargs -r cat
		} | sha256sum | cut -c1-16
	)
}

# "Name <mail>" that the patches are From:.
author() { grep -v '^#' "$TOP/scripts/author" | head -n 1; }

# The file name (without .patch) and the heading of each commit of the tree are
# in this note, which git carries along when a commit is amended or rebased;
# the second one holds the blob id of the patch file that the commit is equal
# to, and belongs to one commit only.
# shellcheck disable=SC2034
NOTE_NAME=bc-patch NOTE_APPLIED=bc-applied

note() { pgit -C "$1" notes --ref="$2" show "$3" 2>/dev/null || true; }
set_note() { pgit -C "$1" -c user.name=bc -c user.email=bc notes --ref="$2" add -f -m "$4" "$3" 2>/dev/null; }

# Reads a quilt series on standard input; prints "NAME<tab>HEADING" a patch,
# the lines of the comment block right before a patch joined by "|". A block
# that a blank line parts from the patch belongs to the file.
parse_series() {
	awk '
		/^#/ { sub(/^# ?/, ""); h = h (h == "" ? "" : "|") $0; next }
		/^[ \t]*$/ { h = ""; next }
		{ sub(/\.patch$/, "", $1); print $1 "\t" h; h = "" }'
}

# uncommitted TREE: what git status would list. Debian's .gitignore ends in
# lines that hide every new file from git status (and from git add, without
# -f); they do not hide it from this.
uncommitted() {
	pgit -C "$1" status --porcelain --untracked-files=no
	pgit -C "$1" ls-files --others --exclude-from=<(sed '/^\/\*$/d; /^!\/debian/d' "$1/.gitignore") | sed 's/^/?? /'
}

# The URI of the Debian mirror that apt uses here, whatever the format of its
# sources, and whether or not its lists were ever fetched.
mirror() {
	local uri
	# shellcheck disable=SC2016
	uri=$(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		awk '$3 == "main" && $2 ~ /^(bookworm|trixie|forky|oldstable|stable|testing|unstable|sid)$/ { print $1; exit }')
	[ -n "$uri" ] || die "found no Debian mirror in apt's sources"
	echo "${uri%/}"
}
