#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs the conformance suite and the benchmark of the cuda backend on a machine
# with an NVIDIA GPU.  Needs a driver there, and nothing else: no compiler, no
# GLib, no network.
#
#   run-conformance.sh BUNDLE [--no-bench]
#
# BUNDLE is a directory that has, at any depth, these files of a build:
#   backend-conformance        tests/conformance/
#   backend-bench              tests/conformance/
#   libvgpu-backend-cuda.so    mediator/backends/cuda/  (not the one of tests/conformance/,
#                              which is a stand-in without a GPU)
# and the libraries that they are linked to, but for those of glibc (2.34 or newer is
# expected on the machine): libglib-2.0.so.0, libgmodule-2.0.so.0, libpcre2-8.so.0.
#
# Exit status: 0 passed, 1 failed, 2 usage or incomplete bundle, 77 no driver here.
set -u

usage() {
	echo "usage: $0 BUNDLE [--no-bench]" >&2
	exit 2
}

find_file() {
	path=$(find "$bundle" -name "$1" -type f 2>/dev/null | head -n 1)
	if [ -z "$path" ]; then
		echo "$bundle has no $1" >&2
		exit 2
	fi
	echo "$path"
}

bundle=${1-}
bench=yes
case ${2-} in
"") ;;
--no-bench) bench=no ;;
*) usage ;;
esac
[ -d "$bundle" ] || usage

conformance=$(find_file backend-conformance) || exit
measure=$(find_file backend-bench) || exit
module=$(find_file libvgpu-backend-cuda.so) || exit
glib=$(find "$bundle" -name 'libglib-2.0.so.0' | head -n 1)
if [ -n "$glib" ]; then
	LD_LIBRARY_PATH=$(dirname "$glib")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
	export LD_LIBRARY_PATH
fi

echo "== machine"
uname -srm
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null ||
	echo "nvidia-smi says nothing"

# Where there is a device node, "cannot work here" is a failure and not a reason to skip.
require=
[ -e /dev/nvidiactl ] && require=--require

echo "== conformance"
# shellcheck disable=SC2086 # empty means no argument
"$conformance" --backend "$module" $require
status=$?
if [ "$status" -ne 0 ]; then
	echo "== conformance: exit status $status"
	[ "$status" -eq 77 ] && exit 77
	exit 1
fi
echo "== conformance: passed"

if [ "$bench" = yes ]; then
	echo "== benchmark"
	"$measure" --backend "$module" || exit 1
fi
