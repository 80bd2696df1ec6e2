# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Messages and small helpers of ./run.

started=$SECONDS

# One line for each step, with the seconds since the start.
step() {
	printf '[%4ds] %s\n' "$((SECONDS - started))" "$*"
}

die() {
	echo "run: $*" >&2
	exit 1
}

# Runs a long command with its output in a log; shows the log's end if it fails.
quietly() { # NAME COMMAND...
	local name=$1 log
	shift
	mkdir -p "$build/log"
	log=$build/log/$name.log
	if ! "$@" >"$log" 2>&1; then
		tail -n 40 "$log" >&2
		die "$name failed; the whole log is ${log#"$top"/}"
	fi
}

# As quietly, for what takes minutes: tells how far ninja is, whose output is in LOG.
quietly_ninja() { # NAME LOG COMMAND...
	local name=$1 log=$2 teller status=0
	shift 2
	tell_progress "$name" "$log" &
	teller=$!
	(quietly "$name" "$@") || status=$?
	kill "$teller" 2>/dev/null || true
	wait "$teller" 2>/dev/null || true
	return "$status"
}

# Every half minute.  Its waits are short, as what reads our output waits for the last of them.
tell_progress() { # NAME LOG
	local tick=0 at
	while sleep 1 && kill -0 $$ 2>/dev/null; do
		tick=$((tick + 1))
		[ $((tick % 30)) = 0 ] || continue
		at=$(tail -n 1 "$2" 2>/dev/null | grep -o '^\[[0-9]*/[0-9]*\]') || at="not begun"
		step "$1: $at"
	done
}

# True if FILE is missing or older than one of the others.
older_than() { # FILE OTHERS...
	local file=$1 other
	shift
	[ -e "$file" ] || return 0
	for other in "$@"; do
		[ "$other" -nt "$file" ] && return 0
	done
	return 1
}
