# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# CUDA programs on this machine's GPU: the cases, and how fast they are.

packages_gpu=(squashfs-tools)

# A GPU can only be used where there is one; everything else is asked later.
gpu_or_skip() {
	local node
	for node in /dev/nvidiactl /dev/dxg; do
		[ ! -e "$node" ] || return 0
	done
	echo "no NVIDIA GPU on this machine (there is no /dev/nvidiactl): skipped"
	exit 77
}

prepare_gpu() {
	gpu_or_skip
	need_packages "${packages_base[@]}" "${packages_graft[@]}" "${packages_gpu[@]}"
	prepare_vm --graft
}

run_gpu-test() { # [OPTIONS of tests/gpu/gpu_test.py]
	prepare_gpu
	step "running the CUDA cases"
	VGPU_CALLERS_PATH=$callers_path /usr/bin/python3 tests/gpu/gpu_test.py --out "$build/gpu-test" "$@"
}

run_gpu-bench() { # [OPTIONS of tests/gpu/gpu_bench.py]
	prepare_gpu
	step "measuring, natively and through us in turns"
	VGPU_CALLERS_PATH=$callers_path /usr/bin/python3 tests/gpu/gpu_bench.py --out "$build/gpu-bench" "$@"
}
