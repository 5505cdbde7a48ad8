# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shared by the tests: source it first. A test prints a line "ok NAME",
# "not ok NAME" or "ok NAME # SKIP WHY" for each thing it shows, and lines that
# begin with "#" for the reader; "# figure: ..." lines go into a result file.

. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"
# A test that is started by itself runs where tests/run does.
[ -n "${BC_INSIDE-}" ] || exec "$TOP/scripts/enter" "$(realpath "$0")" "$@"
# A test sees failures itself and goes on.
set +e

TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT

ok() { echo "ok $*"; }
not_ok() { echo "not ok $*"; }
comment() { sed 's/^/# /'; }

# check NAME CMD...: ok if CMD succeeds; its output is shown if it does not.
check() {
	local name=$1
	shift
	if "$@" >"$TMP/check-output" 2>&1; then
		ok "$name"
	else
		tail -n 40 "$TMP/check-output" | comment
		not_ok "$name"
		return 1
	fi
}

# The series as a bare repository in $TREE: tag base, branch bc.
bare_tree() {
	TREE=$TMP/tree.git
	"$TOP/scripts/tree" --bare "$TREE" >"$TMP/bare-tree" 2>&1 || {
		comment <"$TMP/bare-tree"
		return 1
	}
}
tree() { pgit -C "$TREE" "$@"; }

# Files that the series changes, creates or removes.
touched() { tree diff --no-renames --name-only base bc; }

# sparse_tree DIR: a clone at "base" with only the files that matter checked
# out: what the series touches, and PATTERN... as git sparse-checkout takes it.
sparse_tree() {
	local dir=$1
	shift
	pgit clone -q --shared --no-checkout "$TREE" "$dir" || return 1
	{
		touched | sed 's,^,/,'
		printf '%s\n' "$@"
	} | pgit -C "$dir" sparse-checkout set --no-cone --stdin || return 1
	pgit -C "$dir" config user.name test
	pgit -C "$dir" config user.email test@example.org
	pgit -C "$dir" checkout -q --detach base
}

# ktap_lines: turns what tests/guest/selftests printed into test lines; a test
# that ended oddly, or not at all, is "not ok".
ktap_lines() {
	awk '
		function finish(status) {
			if (current == "") return
			# 4: kselftest says that the whole program was skipped.
			if (status == 4 && !lines) print "ok " current " # SKIP " why
			else if (status == "" ) print "not ok " current ": did not end"
			else if (status != 0 && !bad) print "not ok " current ": exit status " status
			else if (!lines) print "not ok " current ": no test in it"
			current = ""
		}
		{ sub(/\r$/, "") }
		/^== begin / { finish(""); current = $3; lines = bad = 0; why = "" }
		/^== end / { finish($4) }
		/^1\.\.0 # SKIP/ { why = $0; sub(/.*# SKIP */, "", why) }
		current != "" && /^(not )?ok [0-9]+/ {
			line = $0
			failed = sub(/^not ok [0-9]+ (- )?/, "", line)
			if (!failed) sub(/^ok [0-9]+ (- )?/, "", line)
			sub(/^# SKIP/, "(all) # SKIP", line)
			sub(/ +# (XFAIL|XPASS).*/, "", line)
			print (failed ? "not ok " : "ok ") current " " line
			lines++
			bad += failed
		}
		/^# / && !/^#  +(RUN|OK) / { print }
		END { finish("") }'
}

# kunit_lines: the same for the results of KUnit in a kernel log; a suite is a
# test, and so is each case in it. No result is "not ok".
kunit_lines() {
	sed -E 's/\r$//; s/^(\[ *[0-9.]+\] ?)?(\[ *[CT][0-9]+\] ?)?//' | awk '
		/^ *# Subtest: / { suite = $3; next }
		/^    (not )?ok [0-9]+ / && suite != "" {
			line = $0
			failed = sub(/^ *not ok [0-9]+ /, "", line)
			if (!failed) sub(/^ *ok [0-9]+ /, "", line)
			print (failed ? "not ok " : "ok ") suite "." line
			cases++
			next
		}
		/^(not )?ok [0-9]+ / && suite != "" {
			line = $0
			failed = sub(/^not ok [0-9]+ /, "", line)
			if (!failed) sub(/^ok [0-9]+ /, "", line)
			sub(/ # .*/, "", line)
			print (failed ? "not ok " : "ok ") line
			suite = ""
		}
		suite != "" && /^ *# .*(EXPECTATION|ASSERTION|Expected|FAILED)/ { print "# " $0 }
		END {
			if (suite != "") print "not ok " suite ": did not end"
			if (!cases) print "not ok KUnit ran no test"
		}'
}

# in_guest OPTION... -- CMD...: runs it in a guest, its output in $TMP/guest; a
# kernel report, a timeout or a dead guest is "not ok".
in_guest() {
	local rc
	"$TOP/scripts/vm" "$@" >"$TMP/guest" 2>"$TMP/guest-err"
	rc=$?
	if [ "$rc" = 0 ]; then
		ok "a guest without a kernel report"
	else
		comment <"$TMP/guest-err"
		not_ok "a guest without a kernel report: status $rc"
	fi
}

# man_text: man(7) source on standard input as the text that it shows.
man_text() { sed -E 's/\\&//g; s/\\\(aq/'"'"'/g; s/\\\(dq/"/g; s/\\\(ti/~/g; s/\\\(ha/^/g; s/\\-/-/g; s/\\e/\\/g'; }

# man_examples PAGE: what is between .EX and .EE and has a prompt, "# " for root
# or "$ " for an ordinary user, and what comes after it as the answer.
man_examples() {
	awk '/^\.EX/ { on = 1; shown = 0; next } /^\.EE/ { on = 0; next }
		on && /^[#$] / { shown = 1 } on && shown' "$1" | man_text
}

# man_program PAGE NAME: the source of a program, which is between two comments.
man_program() {
	awk -v name="$2" '/^\.\\" SRC END/ { on = 0 } on && !/^\.E[XE]/ { print }
		/^\.\\" SRC BEGIN / && index($0, "(" name ")") { on = 1 }' "$1" | man_text
}

# guest_modules CONFIG [NAME]: the modules of tests/guest/kmem for the kernel of
# CONFIG in build/NAME (CONFIG), in build/guest/NAME; and its programs kmem_*, in
# build/guest.
guest_modules() {
	local config=$1 name=${2-$1} program
	local dir=$BUILD/guest/$name
	mkdir -p "$dir" || return 1
	cp "$TOP"/tests/guest/kmem/* "$dir/" || return 1
	BC_OUT=$BUILD/$name "$TOP/scripts/build" "$config" modules_prepare || return 1
	# Names are resolved when a module is loaded: all it uses is in the image.
	make -C "$LINUX_TREE" LLVM=1 O="$BUILD/$name" M="$dir" -j"$(nproc)" "${KBUILD_PIN[@]}" KBUILD_MODPOST_WARN=1 modules || return 1
	"$TOP/scripts/extract" || return 1
	for program in kmem_storm kmem_memory; do
		gcc -O2 -static -Wall -Werror -isystem "$BUILD/extract/include/uapi" -o "$BUILD/guest/$program" "$TOP/tests/guest/$program.c" || return 1
	done
}

# guest_program NAME [SOURCE...]: tests/guest/NAME.c, and other sources there, as
# the static program build/guest/NAME.
guest_program() {
	local name=$1 sources=() s
	for s in "$name.c" "${@:2}"; do sources+=("$TOP/tests/guest/$s"); done
	mkdir -p "$BUILD/guest" && "$TOP/scripts/extract" &&
		gcc -O2 -static -Wall -Wextra -Werror -isystem "$BUILD/extract/include/uapi" -o "$BUILD/guest/$name" "${sources[@]}"
}

# numbered_lines: results of a guest's program in $TMP/guest, which are numbered.
numbered_lines() { sed -nE 's/^(ok|not ok) [0-9]+ (.*)/\1 \2/p; s/^(# .*)/\1/p' "$TMP/guest"; }

# The program of rust/privvm as $BUILD/guest/privvm: without anything private that
# is read-only, which would be charged but not seen to be.
privvm_driver() {
	"$TOP/scripts/extract" || return
	(cd "$TOP/rust" && RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static -C relro-level=off" \
		cargo build --locked --release -p privvm --target-dir "$BUILD/rust-static") || return
	mkdir -p "$BUILD/guest"
	cp "$BUILD/rust-static/x86_64-unknown-linux-gnu/release/privvm" "$BUILD/guest/privvm"
}

# struct_page_bytes NAME: of the kernel that guest_modules has built modules for.
struct_page_bytes() {
	echo $((16#$(llvm-nm -S "$BUILD/guest/$1/kmem_load.o" | awk '$NF == "kmem_load_struct_page" { print $2 }')))
}

# The unpatched tree as a folder, $BASE_TREE: a second working tree of the
# repository in build/linux.
base_tree() {
	BASE_TREE=$BUILD/linux-base
	if [ ! -e "$BASE_TREE/.git" ]; then
		rm -rf "$BASE_TREE"
		pgit clone -q --shared --no-checkout "$LINUX_TREE" "$BASE_TREE" || return 1
	fi
	pgit -C "$BASE_TREE" fetch -q --no-tags "$LINUX_TREE" +refs/tags/base:refs/tags/base &&
		pgit -C "$BASE_TREE" checkout -q --detach base
}

# Objects that differ with BEANCOUNTERS=n, by name: the stubs of the four calls,
# the tables that name them, and seccomp, which compares with the number of calls.
off_exception() {
	case $1 in
	kernel/sys_ni.o | kernel/seccomp.o | arch/x86/entry/syscall_64.o | arch/x86/entry/syscall_32.o) return 0 ;;
	esac
	return 1
}

# Code of an object: its executable sections, and the names that it refers to.
code() {
	local s
	for s in $(llvm-readelf -SW "$1" | awk '$0 ~ / PROGBITS / && / AX/ { sub(/^ *\[ *[0-9]+\] */, ""); print $1 }'); do
		echo "$s"
		llvm-objcopy -O binary --only-section="$s" "$1" "$TMP/section" && sha256sum <"$TMP/section"
	done
	# Not where in the file a section is: that follows from others, too.
	llvm-readelf -rW "$1" | awk '
		/^Relocation section/ { code = /\.rela\.?[a-z.]*text/; if (code) print $3; next }
		code && $5 !~ /^\./ { print $1, $3, $5, $6, $7 }'
}
same_code() {
	code "$1" >"$TMP/code-old"
	code "$2" >"$TMP/code-new"
	# An object without code is the same only if the other has none either.
	diff "$TMP/code-old" "$TMP/code-new"
}

# visible NAME CMD...: as check, for what is long: its progress is seen.
visible() {
	local name=$1
	shift
	if "$@" 2>&1 | comment; [ "${PIPESTATUS[0]}" = 0 ]; then
		ok "$name"
	else
		not_ok "$name"
		return 1
	fi
}

# vm WANTED TEXT OPTION...: the exit status, and what standard error must say.
vm() {
	local want=$1 text=$2 rc
	shift 2
	"$TOP/scripts/vm" "$@" >"$TMP/out" 2>"$TMP/err"
	rc=$?
	[ "$rc" = "$want" ] && { [ -z "$text" ] || grep -q -- "$text" "$TMP/err"; } && return
	cat "$TMP/out" "$TMP/err"
	echo "exit status $rc, must be $want with '$text'"
	return 1
}

# install_all PACKAGE...: no daemon is started, no cluster of PostgreSQL is made.
install_all() {
	local policy=/usr/sbin/policy-rc.d rc=0
	local -x DEBIAN_FRONTEND=noninteractive
	[ ! -e $policy ] || { echo "there is a $policy already"; return 1; }
	printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy &&
		apt-get update -qq &&
		apt-get install -qq -y --no-install-recommends postgresql-common &&
		sed -i -E 's/^#? *create_main_cluster *=.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf &&
		apt-get install -qq -y --no-install-recommends "$@" || rc=1
	rm -f $policy
	return $rc
}
installed() {
	local p
	for p in "$@"; do
		dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q ' installed$' || return 1
	done
}
# programs PACKAGE...: they are installed, into the build root only.
programs() {
	installed "$@" && return
	[ "$BC_INSIDE" = root ] || { echo "install $*"; return 1; }
	install_all "$@"
}
