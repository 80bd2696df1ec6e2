#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds the device as shared objects for the QEMU whose source is given:
#   OUT/vgpu-stub.so          for -plugin file=...
#   OUT/vgpu-stub-preload.so  for LD_PRELOAD; looks for vgpu-stub.so beside itself
# The source must be that of the very package that will load them.
# Usage: build-plugin.sh QEMU_SOURCE OUT
set -euo pipefail

die() {
	echo "build-plugin.sh: $*" >&2
	exit 1
}

[ $# -eq 2 ] || die "usage: build-plugin.sh QEMU_SOURCE OUT"
[ -e "$1/configure" ] ||
	die "$1 is no QEMU source tree; unpack the source of the installed QEMU package"
src=$(cd "$1" && pwd)
mkdir -p "$2/trace"
out=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
core=$here/../core
protocol=$here/../../protocol
tree=$out/qemu-build # configured, never built
export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH
# shellcheck source=qemu-device/qemu/configure.sh
. "$here/configure.sh"

# Only two generated headers are wanted of QEMU's build.
configure_qemu() {
	local options
	mapfile -t options < <(configure_options "$src")
	if [ -e "$tree/.vgpu-configured" ] && [ "$(cat "$tree/.vgpu-configured")" = "$src" ]; then
		return
	fi
	rm -rf "$tree"
	mkdir -p "$tree"
	(cd "$tree" && "$src/configure" "${options[@]}" --enable-kvm --enable-tcg --enable-plugins \
		--disable-werror >configure.log 2>&1) ||
		die "configure failed; see $tree/configure.log"
	generate_headers
	echo "$src" >"$tree/.vgpu-configured"
}

generate_headers() {
	local headers=(qapi/qapi-builtin-types.h)
	if [ ! -e "$tree/build.ninja" ]; then # before 5.2
		(cd "$tree" && make config-host.h "${headers[@]}" >ninja.log 2>&1) ||
			die "generating headers failed; see $tree/ninja.log"
		return
	fi
	# 6.0 brought this one too
	! grep -q 'config-poison\.h' "$tree/build.ninja" || headers+=(config-poison.h)
	(cd "$tree" && ninja "${headers[@]}" >ninja.log 2>&1) ||
		die "generating headers failed; see $tree/ninja.log"
}

plugin_api() {
	cat "$src/include/qemu/qemu-plugin.h" "$src/include/plugins/qemu-plugin.h" 2>/dev/null |
		sed -n 's/^#define QEMU_PLUGIN_VERSION \([0-9]*\)$/\1/p' | head -n1
}

tracetool() { # FORMAT OUTPUT
	local tool=(/usr/bin/python3 "$src/scripts/tracetool.py" --backends=log
		--group=hw_misc_vgpu_stub "--format=$1" "$here/trace-events")
	# Before 6.0 it wrote to its standard output.
	if grep -q 'output filepath' "$src/scripts/tracetool.py"; then
		"${tool[@]}" "$2"
	else
		"${tool[@]}" >"$2"
	fi
}

trace_files() {
	tracetool h "$out/trace/trace-hw_misc_vgpu_stub.h"
	tracetool c "$out/trace/vgpu-trace.c"
}

compile() {
	local cflags ldflags
	read -ra cflags <<<"${CFLAGS:-} ${CPPFLAGS:-} $(pkg-config --cflags glib-2.0)"
	read -ra ldflags <<<"${LDFLAGS:-}"
	"${CC:-gcc}" -shared -fPIC -std=gnu11 -O2 -g -Wall -fvisibility=hidden -fno-strict-aliasing \
		-fno-common -fwrapv -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DVGPU_STUB_PLUGIN \
		-DVGPU_PLUGIN_API="$(plugin_api)" \
		-I"$out" -I"$out/trace" -I"$here" -I"$core" -I"$protocol" \
		-I"$tree" -I"$tree/qapi" -I"$src/include" -iquote "$src" -iquote "$tree" \
		"${cflags[@]}" "$here"/plugin.c "$here"/vgpu-*.c "$core"/*.c "${ldflags[@]}" \
		-o "$out/.vgpu-stub.so"
	"${CC:-gcc}" -shared -fPIC -std=gnu11 -O2 -g -Wall -Wextra -D_GNU_SOURCE "${cflags[@]}" \
		"$here/preload.c" "${ldflags[@]}" -o "$out/.vgpu-stub-preload.so" -ldl
}

configure_qemu
trace_files
compile
# In one step, so that nobody loads half a file.
mv "$out/.vgpu-stub.so" "$out/vgpu-stub.so"
mv "$out/.vgpu-stub-preload.so" "$out/vgpu-stub-preload.so"
