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
	local options=()
	if [[ " ${suites[*]:-xen} " = *" xen "* ]]; then
		"$top/run" xen-image || [ $? = 77 ] # then these tests are skipped
	fi
	for s in "${suites[@]}"; do
		options+=(--suite "$s")
	done
	step "running the tests${suites[*]:+: ${suites[*]}}"
	meson_test test "$build/host" "${options[@]}"
}

run_bench() { # [--graft|--xen|--tenants OPTIONS...]
	if [ "${1:-}" = --tenants ]; then
		shift
		prepare_gpu
		step "measuring tenants' shares of the GPU"
		VGPU_CALLERS_PATH=$callers_path /usr/bin/python3 tests/gpu/tenants.py --out "$build/bench-tenants" "$@"
		return
	fi
	[ $# -eq 0 ] || [ "$*" = --graft ] || [ "$*" = --xen ] || die "bench: unknown option '$*'"
	if [ "$*" = --xen ]; then
		prepare_xen
		step "measuring on Xen"
		/usr/bin/python3 tests/bench/bench_xen.py "$build/bench-xen.json"
		return
	fi
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

# One fuzzer; what it found is shown.
fuzz_one() { # TARGET SECONDS
	local target=$1 name corpus seeds status=0
	name=$(basename "$target")
	corpus=$build/corpus/$name
	mkdir -p "$corpus" "$build/crashes" "$build/log"
	seeds=tests/fuzz/$(basename "$(dirname "$target")")/corpus/$name
	[ -d "$seeds" ] || seeds=
	"$target" -max_total_time="$2" -timeout=30 -rss_limit_mb=2048 \
		-artifact_prefix="$build/crashes/$name-" -print_final_stats=1 "$corpus" \
		${seeds:+"$seeds"} >"$build/log/$name.log" 2>&1 || status=$?
	if [ "$status" = 0 ]; then
		step "$name: $(grep -o 'cov: [0-9]* ft: [0-9]*' "$build/log/$name.log" | tail -n 1)," \
			"$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/log/$name.log") runs"
	else
		tail -n 40 "$build/log/$name.log"
		step "$name: FAILED"
	fi
	return "$status"
}

# Waits for one of those that run_fuzz started.
collect_fuzzer() {
	if wait -n; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
	running=$((running - 1))
}

run_fuzz() { # [SECONDS]
	local seconds=${1:-60} failed=0 passed=0 running=0 target time targets
	need_packages "${packages_base[@]}" "${packages_dev[@]}"
	[ -e "$build/fuzz/build.ninja" ] || CC=clang quietly meson-fuzz meson setup "$build/fuzz" \
		-Dfuzz=true -Db_lundef=false -Dstatic_tools=false
	step "building the fuzzers"
	quietly ninja-fuzz ninja -C "$build/fuzz" fuzzers
	step "fuzzing, two at a time, each for $seconds s (fuzz_cuda for twice that)"
	mapfile -t targets < <(find "$build/fuzz/tests/fuzz" -type f -executable -name 'fuzz_*' | sort)
	for target in "${targets[@]}"; do
		[ "$running" -lt 2 ] || collect_fuzzer
		# Hundreds of calls are to be tried out.
		time=$seconds
		[[ $target != */fuzz_cuda ]] || time=$((seconds * 2))
		fuzz_one "$target" "$time" &
		running=$((running + 1))
	done
	while [ "$running" -gt 0 ]; do
		collect_fuzzer
	done
	echo "fuzz: $passed passed, $failed failed"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

# The host side under sanitizers: every suite that needs no VM, then two VMs with
# the sanitized daemon and worker behind them.  What runs in a guest is not sanitized:
# it is loaded into programs that are not.
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
	local dir=$build/san-$1 flags=$1 suites=(unit host conformance vm-two) s options=()
	# Not under TSan: its shadow takes the addresses at which programs have their memory.
	[ "$1" = thread ] || flags=address,undefined suites+=(cuda-unix)
	[ -e "$dir/build.ninja" ] || quietly "meson-$1" meson setup "$dir" \
		-Db_sanitize="$flags" -Db_lundef=false -Dstatic_tools=false
	step "building with -fsanitize=$flags"
	quietly "ninja-$1" ninja -C "$dir"
	step "the suites under -fsanitize=$flags"
	export ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	export TSAN_OPTIONS=halt_on_error=1:suppressions=$top/tests/tsan.supp
	for s in "${suites[@]}"; do
		options+=(--suite "$s")
	done
	VGPU_HOST_BUILD=$dir VGPU_GUEST_BUILD=$build/host VGPU_STRESS_SECONDS=10 \
		meson_test "sanitize-$1" "$dir" -t 4 "${options[@]}"
}
