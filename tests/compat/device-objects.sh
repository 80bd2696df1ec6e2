#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Compiles, in a QEMU tree that has the device, its objects and the one of Xen's device
# model that tells it of changed pages: for KVM and Xen at once, warnings are errors, and
# nothing of QEMU is built that these do not need.  Prints what was compiled.
# Usage: device-objects.sh QEMU_SOURCE OUT
set -euo pipefail

die() {
	echo "device-objects.sh: $*" >&2
	exit 1
}

[ $# -eq 2 ] || die "usage: device-objects.sh QEMU_SOURCE OUT"
[ -d "$1/hw/misc/vgpu-stub" ] || die "$1 has no device in it"
src=$(cd "$1" && pwd)
mkdir -p "$2"
tree=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=qemu-device/qemu/configure.sh
. "$here/../../qemu-device/qemu/configure.sh"

configure_qemu() {
	local options
	mapfile -t options < <(configure_options "$src")
	"$src/configure" "${options[@]}" --enable-kvm --enable-xen --disable-tcg --enable-werror \
		>configure.log 2>&1 || { tail -n 20 configure.log >&2; die "configure failed"; }
}

# As Meson's files say: the device as the tree configures it.
objects_by_ninja() {
	ninja -t targets all | sed -nE \
		's/^([^ :]*\/(hw_misc_vgpu-stub_[a-z-]+|hw_(i386_)?xen_xen-hvm(-common)?)\.c\.o): .*/\1/p'
}

# Before 5.2.  The second is below the target's own folder.
objects_by_make() {
	local f
	for f in "$src"/hw/misc/vgpu-stub/*.c; do
		f=${f#"$src/"}
		echo "${f%.c}.o"
	done
	echo x86_64-softmmu/hw/i386/xen/xen-hvm.o
}

compile() {
	if [ -e build.ninja ]; then
		ninja -j2 "${objects[@]}"
		return
	fi
	grep -qx CONFIG_VGPU_STUB=y x86_64-softmmu/config-devices.mak ||
		die "the device is not enabled"
	make -j2 "${objects[@]:0:${#objects[@]}-1}"
	make -C x86_64-softmmu hw/i386/xen/xen-hvm.o
}

# As many as there are sources: none is left out by the build files.
check_count() {
	local sources=("$src"/hw/misc/vgpu-stub/*.c) built
	built=$(printf '%s\n' "${objects[@]}" | grep -c vgpu-stub) || :
	[ "$built" -gt 0 ] || die "the device is not enabled"
	[ "$built" = "${#sources[@]}" ] || die "$built of ${#sources[@]} sources are built"
}

# Not grep -q: it would not read on, and nm would fail for it.
has_symbol() { # OBJECT TYPES
	nm "$1" | grep " [$2] vgpu_stub_ram_changed\$" >/dev/null
}

# The pointer is Xen's device model's own, and the device finds it.
check_notice() {
	local hvm memory o
	for o in "${objects[@]}"; do
		case $o in
		*vgpu-memory*) memory=$o ;;
		*xen-hvm*) ! has_symbol "$o" BCD || hvm=$o ;;
		esac
	done
	[ -n "${hvm:-}" ] || die "no object of Xen's has the notice of changed pages"
	has_symbol "$memory" vw || die "$memory does not ask for the notice of changed pages"
	notice=$(basename "$hvm")
}

cd "$tree"
configure_qemu
if [ -e build.ninja ]; then
	mapfile -t objects < <(objects_by_ninja)
else
	make x86_64-softmmu/config-devices.mak >&2
	mapfile -t objects < <(objects_by_make)
fi
check_count
compile >&2
check_notice
echo "$(printf '%s\n' "${objects[@]}" | grep -c vgpu-stub) objects, notice in $notice"
