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
	local release=${1:-$(guest_kernel)} dst
	dst=$build/module/$release
	step "building vgpu_stub.ko for $release"
	build_kernel_module guest-driver/module "$dst" "$release"
	build_kernel_module tests/bench/guest/edu "$build/edu/$release" "$release"
}

# Kbuild writes beside the sources, so it gets a copy of them.
build_kernel_module() { # SOURCE DESTINATION RELEASE
	mkdir -p "$2"
	cp -a -u "$1/." "$2/"
	mkdir -p "$build/protocol"
	quietly "kbuild-$(basename "$1")" make -C "/usr/src/linux-headers-$3" M="$2" \
		VGPU_PROTOCOL="$top/protocol" modules
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
