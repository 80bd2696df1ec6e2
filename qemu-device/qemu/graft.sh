#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Puts the device into a QEMU source tree (5.2 or later), as hw/misc/vgpu-stub.
# Running it again brings the copy up to date.  Usage: graft.sh QEMU_SOURCE
set -euo pipefail

die() {
	echo "graft.sh: $*" >&2
	exit 1
}

[ $# -eq 1 ] || die "usage: graft.sh QEMU_SOURCE"
[ -e "$1/hw/misc/meson.build" ] ||
	die "$1 is no source tree of QEMU 5.2 or later (it has no hw/misc/meson.build)"
src=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
to=$src/hw/misc/vgpu-stub

# Copies only what differs, so that a build after it does no more than it must.
copy() { # FILE...
	local f
	for f; do
		cmp -s "$f" "$to/$(basename "$f")" || cp "$f" "$to/"
	done
}

add_line() { # FILE LINE
	grep -qxF "$2" "$1" || printf '%s\n' "$2" >>"$1"
}

mkdir -p "$to"
copy "$here"/compat.h "$here"/trace.h "$here"/trace-events "$here"/vgpu-*.[ch] "$here"/graft/Kconfig \
	"$here"/../core/*.[ch] "$here"/../../protocol/vgpu_*.h

if grep -q '^system_ss\.add' "$src/hw/misc/meson.build"; then ss=system_ss; else ss=softmmu_ss; fi
sed "s/@SS@/$ss/; /stands for/d" "$here/graft/meson.build" >"$to/.meson.build"
if cmp -s "$to/.meson.build" "$to/meson.build"; then
	rm "$to/.meson.build"
else
	mv "$to/.meson.build" "$to/meson.build"
fi

add_line "$src/hw/misc/meson.build" "subdir('vgpu-stub')"
add_line "$src/hw/misc/Kconfig" "source vgpu-stub/Kconfig"
grep -q "'hw/misc/vgpu-stub'" "$src/meson.build" ||
	sed -i "s|^\( *\)'hw/misc',\$|&\n\1'hw/misc/vgpu-stub',|" "$src/meson.build"
grep -q "'hw/misc/vgpu-stub'" "$src/meson.build" ||
	die "$src/meson.build has no place for trace events that this script knows"

# Xen tells its device model when a guest gives pages back; nobody else in QEMU hears of it.
for xen in "$src/hw/i386/xen/xen-hvm.c" "$src/hw/xen/xen-hvm-common.c"; do
	grep -q 'case IOREQ_TYPE_INVALIDATE:' "$xen" 2>/dev/null || continue
	grep -q vgpu_stub_ram_changed "$xen" ||
		sed -i -e 's|^\( *\)case IOREQ_TYPE_INVALIDATE:$|&\n\1    if (vgpu_stub_ram_changed) {\n\1        vgpu_stub_ram_changed();\n\1    }|' \
			-e '/^static void handle_ioreq(/i void (*vgpu_stub_ram_changed)(void);\n' "$xen"
	grep -q '^void (\*vgpu_stub_ram_changed)(void);' "$xen" ||
		die "$xen has no place for the notice of changed pages that this script knows"
done
