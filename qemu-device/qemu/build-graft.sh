#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Grafts the device into a QEMU source tree and builds a small x86_64 emulator:
# OUT/qemu-system-x86_64.  Give it -nodefaults and the firmware's folders
# (-L /usr/share/qemu -L /usr/share/seabios).  With --xen it is a device model
# for xl's HVM guests instead (device_model_override), and needs libxen-dev.
# Usage: build-graft.sh [--xen] QEMU_SOURCE OUT
#                                    (JOBS: how many compilers, default: all CPUs)
set -euo pipefail

die() {
	echo "build-graft.sh: $*" >&2
	exit 1
}

kind=(--enable-kvm --enable-tcg)
if [ "${1:-}" = --xen ]; then
	kind=(--enable-xen --disable-kvm --disable-tcg --disable-debug-info)
	shift
fi
[ $# -eq 2 ] || die "usage: build-graft.sh [--xen] QEMU_SOURCE OUT"
[ -d "$1/configs/devices/x86_64-softmmu" ] ||
	die "$1 is no source tree of QEMU 6.1 or later; for older ones see patches.sh"
here=$(cd "$(dirname "$0")" && pwd)
"$here/graft.sh" "$1"
src=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
tree=$out/qemu-build
export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH
# shellcheck source=qemu-device/qemu/configure.sh
. "$here/configure.sh"

devices=$src/configs/devices/x86_64-softmmu/vgpu.mak
cmp -s "$here/graft/vgpu.mak" "$devices" || cp "$here/graft/vgpu.mak" "$devices"

configured="$src ${kind[*]}"
if [ "$(cat "$tree/.vgpu-configured" 2>/dev/null)" != "$configured" ]; then
	rm -rf "$tree"
	mkdir -p "$tree"
	mapfile -t options < <(configure_options "$src")
	(cd "$tree" && "$src/configure" "${options[@]}" --with-devices-x86_64=vgpu "${kind[@]}" \
		--enable-fdt=system --disable-werror >configure.log 2>&1) || die "configure failed; see $tree/configure.log"
	echo "$configured" >"$tree/.vgpu-configured"
fi
ninja -C "$tree" -j"${JOBS:-$(nproc)}" qemu-system-x86_64 >"$tree/build.log" 2>&1 ||
	die "the build failed; see $tree/build.log"
cmp -s "$tree/qemu-system-x86_64" "$out/qemu-system-x86_64" ||
	{ cp "$tree/qemu-system-x86_64" "$out/.new" && mv "$out/.new" "$out/qemu-system-x86_64"; }
