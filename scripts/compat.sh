# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The compatibility matrix: the device compiled against the QEMU of each Debian suite,
# the module against its kernel, what talks to Xen against its Xen.  Each suite lends
# its own compiler and libraries: packages unpacked below build/cache, entered by
# chroot, never installed.

# shellcheck source=scripts/compat-suite.sh
. scripts/compat-suite.sh
# shellcheck source=scripts/compat-qemu.sh
. scripts/compat-qemu.sh

compat_suites=(bullseye bookworm trixie sid)
compat_rows=()
declare -A compat_count=([passed]=0 [failed]=0 [skipped]=0)

compat_row() { # passed|failed|skipped PART SUITE VERSION NOTE
	compat_rows+=("$(printf '%-8s %-9s %-27s %-8s %s' "$2" "$3" "$4" "$1" "$5")")
	compat_count[$1]=$((compat_count[$1] + 1))
	step "compat: $2 $4 ($3): $1${5:+: $5}"
}

# Nothing could be compiled.  What a mirror does not serve is skipped; anything else
# that stands in the log `compat_why` is a failure, or our own mistakes would be skipped.
compat_unready() { # SUITE PART...
	local log=$build/log/$compat_why.log result=failed note part
	! grep -qE 'Failed to fetch|does not have a Release file|Could not resolve|held broken packages|Unable to locate package|not served' \
		"$log" || result=skipped
	note=$(sed -nE '/^E: /{s/^E: //; s/[a-z]+:\/\/[^ ]+ *//; p; q}' "$log")
	for part in "${@:2}"; do
		compat_row "$result" "$part" "$1" - "${note:0:70}; see ${log#"$top"/}"
	done
}

compat_log() { # NAME COMMAND...: quiet; the command's status
	local log=$build/log/$1.log
	shift
	mkdir -p "$build/log"
	"$@" >"$log" 2>&1
}

compat_kernel() { # SUITE
	local headers release work=$cache/compat/$1/work/module
	headers=$(compat_headers "$1")
	release=${headers#linux-headers-}
	rm -rf "$work"
	mkdir -p "$work"
	cp -a guest-driver/module/. protocol/vgpu_abi.h "$work/"
	if compat_log "compat-kernel-$1" compat_in "$1" make -C "/usr/src/$headers" M=/work/module \
		KCFLAGS=-Werror modules && [ -e "$work/vgpu_stub.ko" ]; then
		compat_row passed kernel "$1" "$release" "vgpu_stub.ko, gcc $(compat_gcc "$1")"
	else
		compat_row failed kernel "$1" "$release" "see build/log/compat-kernel-$1.log"
	fi
}

compat_xen() { # SUITE
	local version
	version=$(compat_version "$1" libxen-dev)
	rm -rf "$cache/compat/$1/work/xen"
	if compat_log "compat-xen-$1" compat_in "$1" /tree/tests/compat/xen-parts.sh /work/xen; then
		compat_row passed Xen "$1" "${version%%+*}" \
			"vgpu-stub-xen and libvgpu-foreign-xen.so load, gcc $(compat_gcc "$1")"
	else
		compat_row failed Xen "$1" "${version%%+*}" "see build/log/compat-xen-$1.log"
	fi
}

compat_suite() { # SUITE
	if ! compat_prepare "$1"; then
		compat_unready "$1" plugin graft kernel Xen
		return
	fi
	compat_qemu "$1"
	compat_kernel "$1"
	compat_xen "$1"
}

compat_print() {
	local part
	printf '\n%-8s %-9s %-27s %-8s %s\n' part suite version result compiled
	for part in plugin graft kernel Xen; do
		printf '%s\n' "${compat_rows[@]}" | grep "^$part " || :
	done
}

# 0: all that could be reached is well; 1: something failed; 77: nothing could be reached.
run_compat() { # [SUITE | QEMU-SOURCE-DIRECTORY]...
	local suite
	need_packages "${packages_base[@]}"
	[ $# -gt 0 ] || set -- "${compat_suites[@]}"
	compat_may_mount || {
		echo "compat: skipped: this system lets nobody mount, so no suite can be entered"
		return 77
	}
	for suite in "$@"; do
		case $suite in
		*/*) compat_tree "$suite" ;;
		*) compat_suite "$suite" ;;
		esac
	done
	compat_print
	echo "compat: ${compat_count[passed]} passed, ${compat_count[failed]} failed, ${compat_count[skipped]} skipped"
	[ "${compat_count[failed]}" = 0 ] || return 1
	[ "${compat_count[passed]}" -gt 0 ] || return 77
}
