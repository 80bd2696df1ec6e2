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
