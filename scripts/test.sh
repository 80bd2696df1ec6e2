# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Demo, tests, benchmark, fuzzers, sanitizers.

# All that a VM needs.  --graft: the QEMU of one's own instead of the plugin.
prepare_vm() { # [--graft]
	build_host
	if [ "${1:-}" = --graft ]; then
		run_graft
		export VGPU_QEMU=graft
	else
		build_plugin
	fi
	build_module
	build_image
}

run_demo() { # [--graft]
	[ $# -eq 0 ] || [ "$*" = --graft ] || die "demo: unknown option '$*'"
	prepare_vm "$@"
	step "everything is built; the demo begins"
	/usr/bin/python3 tests/vm/demo.py
}

# Runs meson's tests of a build and shows them as they end.
meson_test() { # NAME BUILD-FOLDER MESON-OPTIONS...
	local name=$1 dir=$2 status=0
	shift 2
	meson test -C "$dir" --no-rebuild --num-processes 2 "$@" >"$build/log/test-$name.log" 2>&1 ||
		status=$?
	if ! /usr/bin/python3 scripts/report.py "$name" "$dir/meson-logs/testlog.json"; then
		[ "$status" != 0 ] || status=1
	fi
	return "$status"
}

run_test() { # [--graft] [--list] [SUITE...]
	local graft=() suites=() s
	while [ $# -gt 0 ]; do
		case $1 in
		--graft) graft=(--graft) ;;
		--list)
			echo "unit host conformance qtest bare vm cuda xen"
			return
			;;
		-*) die "test: unknown option '$1'" ;;
		*) suites+=("$1") ;;
		esac
		shift
	done
	prepare_vm "${graft[@]}"
	if [ ${#suites[@]} = 0 ] || [[ " ${suites[*]} " = *" xen "* ]]; then
		"$top/run" xen-image || [ $? = 77 ] # then these tests are skipped
	fi
	local options=()
	for s in "${suites[@]}"; do
		options+=(--suite "$s")
	done
	step "running the tests${suites[*]:+: ${suites[*]}}"
	meson_test test "$build/host" "${options[@]}"
}

run_bench() { # [--graft]
	[ $# -eq 0 ] || [ "$*" = --graft ] || die "bench: unknown option '$*'"
	prepare_vm "$@"
	step "measuring"
	/usr/bin/python3 tests/bench/bench.py "$build/bench.json"
}

run_soak() { # [SECONDS]
	prepare_vm
	step "stress in two VMs for ${1:-600} s"
	VGPU_STRESS_SECONDS=${1:-600} /usr/bin/python3 tests/vm/test_two.py Two.test_3_stress_in_both
}

run_shell() {
	prepare_vm
	/usr/bin/python3 tests/vm/shell.py
}

run_fuzz() { # [SECONDS]
	local seconds=${1:-60} failed=0 passed=0 target name corpus time seeds
	need_packages "${packages_base[@]}" "${packages_dev[@]}"
	[ -e "$build/fuzz/build.ninja" ] || CC=clang quietly meson-fuzz meson setup "$build/fuzz" \
		-Dfuzz=true -Db_lundef=false -Dstatic_tools=false
	step "building the fuzzers"
	quietly ninja-fuzz ninja -C "$build/fuzz" fuzzers
	for target in "$build"/fuzz/tests/fuzz/*/fuzz_*; do
		[ -x "$target" ] && [ -f "$target" ] || continue
		name=$(basename "$target")
		corpus=$build/corpus/$name
		mkdir -p "$corpus" "$build/crashes"
		# Hundreds of calls are to be tried out.
		time=$seconds
		[ "$name" != fuzz_cuda ] || time=$((seconds * 2))
		seeds=tests/fuzz/$(basename "$(dirname "$target")")/corpus/$name
		[ -d "$seeds" ] || seeds=
		step "$name for $time s"
		if quietly_or_tell "$name" "$target" -max_total_time="$time" -timeout=10 \
			-rss_limit_mb=2048 -artifact_prefix="$build/crashes/$name-" \
			-print_final_stats=1 "$corpus" ${seeds:+"$seeds"}; then
			grep -h 'stat::number_of_executed_units\|cov:' "$build/log/$name.log" | tail -n 2
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
		fi
	done
	echo "fuzz: $passed passed, $failed failed"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

quietly_or_tell() { # NAME COMMAND...
	local name=$1
	shift
	mkdir -p "$build/log"
	"$@" >"$build/log/$name.log" 2>&1 || {
		tail -n 40 "$build/log/$name.log"
		return 1
	}
}

# The host side under sanitizers: every suite that needs no VM, then one VM with
# the sanitized daemon and worker behind it.
run_sanitize() { # [address|thread]
	local kind failed=0
	prepare_vm
	for kind in "${@:-address thread}"; do
		for kind in $kind; do
			sanitize_one "$kind" || failed=1
		done
	done
	[ "$failed" = 0 ]
}

sanitize_one() { # address|thread
	local dir=$build/san-$1 flags=$1
	[ "$1" = thread ] || flags=address,undefined
	[ -e "$dir/build.ninja" ] || quietly "meson-$1" meson setup "$dir" \
		-Db_sanitize="$flags" -Db_lundef=false -Dstatic_tools=false
	step "building with -fsanitize=$flags"
	quietly "ninja-$1" ninja -C "$dir"
	step "the suites under -fsanitize=$flags"
	export ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	export TSAN_OPTIONS=halt_on_error=1:suppressions=$top/tests/tsan.supp
	VGPU_HOST_BUILD=$dir VGPU_STRESS_SECONDS=10 \
		meson_test "sanitize-$1" "$dir" -t 4 --suite unit --suite host --suite conformance --suite vm-two
}
