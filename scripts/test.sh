# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Demo, tests, benchmark.

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

run_demo() {
	[ $# -eq 0 ] || [ "$1" = --graft ] || die "demo: unknown option '$1'"
	prepare_vm "$@"
	step "everything is built; the demo begins"
	/usr/bin/python3 tests/vm/demo.py
}
