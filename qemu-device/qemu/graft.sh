#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Puts the device into a QEMU source tree (4.2 or later), as hw/misc/vgpu-stub.
# Running it again brings the copy up to date.  Usage: graft.sh QEMU_SOURCE
set -euo pipefail

die() {
	echo "graft.sh: $*" >&2
	exit 1
}

[ $# -eq 1 ] || die "usage: graft.sh QEMU_SOURCE"
[ -e "$1/hw/misc/Kconfig" ] ||
	die "$1 is no source tree of QEMU 4.2 or later (it has no hw/misc/Kconfig)"
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

# After the line AFTER, as deep as it.
insert_line() { # FILE AFTER LINE
	! grep -q "^ *$3\$" "$1" || return 0
	sed -i "s|^\( *\)$2\$|&\n\1$3|" "$1"
	grep -q "^ *$3\$" "$1" || die "$1 has no line '$2' to put '$3' after"
}

# Even QEMU's --without-default-devices builds what this file names.
enable() {
	local f
	for f in configs/devices/i386-softmmu/default.mak default-configs/devices/i386-softmmu.mak \
		default-configs/i386-softmmu.mak; do
		[ ! -e "$src/$f" ] || {
			insert_line "$src/$f" '#CONFIG_VTD=n' 'CONFIG_VGPU_STUB=y'
			return 0
		}
	done
	die "$src names its devices in no file that this script knows"
}

hook_meson() { # 5.2 and later
	local ss=softmmu_ss
	! grep -q '^system_ss\.add' "$src/hw/misc/meson.build" || ss=system_ss
	sed "s/@SS@/$ss/; /stands for/d" "$here/graft/meson.build" >"$to/.meson.build"
	if cmp -s "$to/.meson.build" "$to/meson.build"; then
		rm "$to/.meson.build"
	else
		mv "$to/.meson.build" "$to/meson.build"
	fi
	copy "$here/trace.h"
	add_line "$src/hw/misc/meson.build" "subdir('vgpu-stub')"
	insert_line "$src/meson.build" "'hw/misc'," "'hw/misc/vgpu-stub',"
}

# Before, make writes a trace.h of its own for each folder.
hook_make() {
	copy "$here/graft/Makefile.objs"
	# shellcheck disable=SC2016 # make expands it
	add_line "$src/hw/misc/Makefile.objs" 'common-obj-$(CONFIG_VGPU_STUB) += vgpu-stub/'
	insert_line "$src/Makefile.objs" 'trace-events-subdirs += hw/misc' \
		'trace-events-subdirs += hw/misc/vgpu-stub'
}

# Xen tells its device model when a guest gives pages back; nobody else in QEMU hears
# of it.  The file is hw/i386/xen/xen-hvm.c, from 8.1 on hw/xen/xen-hvm-common.c.
hook_xen() {
	local xen
	xen=$(grep -lsx ' *case IOREQ_TYPE_INVALIDATE:' "$src/hw/i386/xen/xen-hvm.c" \
		"$src/hw/xen/xen-hvm-common.c") || [ -n "$xen" ] ||
		die "$src has Xen's requests in no file that this script knows"
	grep -q vgpu_stub_ram_changed "$xen" ||
		sed -i -e 's|^\( *\)case IOREQ_TYPE_INVALIDATE:$|&\n\1    if (vgpu_stub_ram_changed) {\n\1        vgpu_stub_ram_changed();\n\1    }|' \
			-e '/^static void handle_ioreq(/i void (*vgpu_stub_ram_changed)(void);\n' "$xen"
	grep -q '^void (\*vgpu_stub_ram_changed)(void);' "$xen" ||
		die "$xen has no place for the notice of changed pages that this script knows"
}

mkdir -p "$to"
copy "$here"/compat.h "$here"/trace-events "$here"/vgpu-*.[ch] "$here"/graft/Kconfig \
	"$here"/../core/*.[ch] "$here"/../../protocol/vgpu_*.h
add_line "$src/hw/misc/Kconfig" "source vgpu-stub/Kconfig"
enable
if [ -e "$src/hw/misc/meson.build" ]; then
	hook_meson
else
	hook_make
fi
hook_xen
