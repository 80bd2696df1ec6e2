#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Writes the device as a patch series for a QEMU source tree (4.2 or later), for
# a package that is built from patches.  The tree itself is left as it is; it may
# have the device already.
# Usage: patches.sh QEMU_SOURCE OUT
set -euo pipefail

die() {
	echo "patches.sh: $*" >&2
	exit 1
}

[ $# -eq 2 ] || die "usage: patches.sh QEMU_SOURCE OUT"
[ -e "$1/VERSION" ] || die "$1 is no QEMU source tree (it has no VERSION)"
src=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The files that graft.sh changes, where a release has them.
hooks=(
	Makefile.objs default-configs/i386-softmmu.mak default-configs/devices/i386-softmmu.mak
	configs/devices/i386-softmmu/default.mak meson.build
	hw/misc/Kconfig hw/misc/Makefile.objs hw/misc/meson.build
	hw/i386/xen/xen-hvm.c hw/xen/xen-hvm-common.c
)

# The same series every time: nobody's name, and the time of the sources.
commit() { # SUBJECT
	local when=${SOURCE_DATE_EPOCH:-0}
	GIT_AUTHOR_NAME=vgpu-stub GIT_AUTHOR_EMAIL=vgpu-stub@localhost GIT_AUTHOR_DATE="@$when +0000" \
		GIT_COMMITTER_NAME=vgpu-stub GIT_COMMITTER_EMAIL=vgpu-stub@localhost \
		GIT_COMMITTER_DATE="@$when +0000" git commit -q -m "$1"
}

copy_hooks() {
	local f
	for f in "${hooks[@]}"; do
		[ -e "$src/$f" ] || continue
		install -D -m 644 "$src/$f" "$scratch/$f"
		sed -i -e '/vgpu-stub/d; /^CONFIG_VGPU_STUB=/d' \
			-e '/^void (\*vgpu_stub_ram_changed)(void);$/,+1d' \
			-e '/^ *if (vgpu_stub_ram_changed) {$/,/^ *}$/d' "$scratch/$f"
	done
}

copy_hooks
cd "$scratch"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
git init -q -b series .
git add .
commit "as it was"
"$here/graft.sh" "$scratch"
git add hw/misc/vgpu-stub/vgpu_*.h
for f in "$here"/../core/*.[ch]; do
	git add "hw/misc/vgpu-stub/$(basename "$f")"
done
commit "vgpu-stub: the device without its surroundings, and its protocols"
git add hw/misc/vgpu-stub
commit "vgpu-stub: the device in QEMU"
git add .
commit "vgpu-stub: build the device"
rm -f "$out"/*-vgpu-stub-*.patch
git format-patch -q --no-signature --zero-commit -N -o "$out" HEAD~3
ls "$out"/*-vgpu-stub-*.patch
