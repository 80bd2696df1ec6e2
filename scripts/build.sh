# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Building: host programs by meson, the guest's module by Kbuild.

guest_kernel() { # prints the kernel release of the guest: that of the installed headers
	dpkg-query -W -f '${Depends}' linux-headers-cloud-amd64 |
		sed -n 's/^linux-headers-\([^ ,]*\).*/\1/p'
}

build_host() {
	need_packages "${packages_base[@]}"
	[ -e "$build/host/build.ninja" ] || quietly meson-setup meson setup "$build/host"
	step "building daemon, worker, libraries and guest tools"
	quietly ninja ninja -C "$build/host"
}

build_module() {
	local release
	release=$(guest_kernel)
	step "building vgpu_stub.ko for $release"
	build_kernel_module guest-driver/module "$build/module/$release" "$release"
	build_kernel_module tests/bench/guest/edu "$build/edu/$release" "$release"
}

# Kbuild writes beside the sources, so it gets a copy of them.
build_kernel_module() { # SOURCE DESTINATION RELEASE [MAKE-ARGUMENTS...]
	local src=$1 dst=$2 release=$3
	shift 3
	mkdir -p "$dst"
	cp -a -u "$src/." protocol/vgpu_abi.h "$dst/"
	quietly "kbuild-$(basename "$src")" make -C "/usr/src/linux-headers-$release" M="$dst" "$@" modules
}

run_build() {
	build_host
	build_plugin
	build_module
	step "built; see build/"
}

run_clean() {
	rm -rf "$build"
}
