#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Compiles and links what of the project talks to Xen, against the libraries that are
# here: the emulator, and the worker's way to a domain's memory.  By hand, as the
# project's Meson files ask for a newer Meson and a newer GLib than the oldest suite
# has.  Both are loaded once, with every symbol bound; Xen itself is not needed for it.
# Usage: xen-parts.sh OUT
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: xen-parts.sh OUT" >&2; exit 1; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."

# The warnings of meson.build.
flags=(
	-std=gnu11 -O2 -D_GNU_SOURCE -fno-common -fvisibility=hidden -fPIC
	-Wall -Wextra -Wpedantic -Werror -Wstrict-prototypes -Wmissing-prototypes -Wshadow
	-Wpointer-arith -Wno-missing-field-initializers -Wformat=2 -Wundef
	-Imediator -Imediator/common -Iprotocol -Iqemu-device/core
)

read -ra cflags < <(pkg-config --cflags glib-2.0 gmodule-2.0 libseccomp xenstore)
read -ra emulator_libs < <(pkg-config --libs glib-2.0 libseccomp xendevicemodel xenevtchn \
	xenforeignmemory xenstore xentoolcore)
read -ra foreign_libs < <(pkg-config --libs gmodule-2.0 xenforeignmemory)

gcc "${flags[@]}" -DVGPU_VERSION='"compat"' "${cflags[@]}" xcp-ng/emulator/*.c \
	qemu-device/core/*.c mediator/common/*.c "${emulator_libs[@]}" -o "$out/vgpu-stub-xen"
gcc "${flags[@]}" "${cflags[@]}" -shared -Wl,-z,defs mediator/xen/*.c "${foreign_libs[@]}" \
	-o "$out/libvgpu-foreign-xen.so"

LD_BIND_NOW=1 "$out/vgpu-stub-xen" --version | grep -F compat
LD_BIND_NOW=1 python3 -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1]).vgpu_foreign_get' \
	"$out/libvgpu-foreign-xen.so"
