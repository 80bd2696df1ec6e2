# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What must be installed, and installing it.

# Building and running: daemon, device, guest.
packages_base=(
	build-essential meson ninja-build pkg-config python3 xz-utils dpkg-dev git
	libglib2.0-dev libjson-glib-dev libsystemd-dev libjansson-dev liblz4-dev libzstd-dev
	libpci-dev libmicrohttpd-dev
	qemu-system-x86 qemu-system-data seabios
	libxen-dev libseccomp-dev
	busybox-static cpio pciutils linux-headers-cloud-amd64 kmod squashfs-tools
)
# A QEMU of one's own (graft).
packages_graft=(libfdt-dev libpixman-1-dev flex bison)
# A device model for Xen, and the disks of the machine that Xen is tried in.
packages_xen=(libxen-dev e2fsprogs)
# Lint, fuzzers and sanitizers; promtool, which is in prometheus.
packages_dev=(
	clang clang-format clang-tidy libclang-rt-14-dev sparse shellcheck mandoc prometheus
)

need_packages() { # PACKAGE...
	local missing=() p sudo=()
	for p in "$@"; do
		dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q '^install ok installed$' ||
			missing+=("$p")
	done
	[ ${#missing[@]} -eq 0 ] && return 0
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null ||
			die "missing packages; as root run: apt-get install --no-install-recommends ${missing[*]}"
		sudo=(sudo)
	fi
	step "installing packages: ${missing[*]}"
	quietly apt-update "${sudo[@]}" apt-get update
	quietly apt-install "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends "${missing[@]}"
}

run_setup() {
	need_packages "${packages_base[@]}" "${packages_graft[@]}" "${packages_xen[@]}" "${packages_dev[@]}"
	step "all packages are there"
}
