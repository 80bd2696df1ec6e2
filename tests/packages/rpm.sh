#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the throwaway root: installs XCP-ng's packages from /packages, uses each
# one once, removes them, and looks for what they left behind.  The system is not
# XCP-ng: the stock wrapper and XenStore's tool are test doubles.
# Usage: rpm.sh KERNEL-RELEASE     (whose headers are installed)
set -euo pipefail

kernel=$1
log=/tmp/log
passed=0
mapfile -t packages < <(find /packages -name '*.rpm')
mapfile -t names < <(rpm -qp --qf '%{NAME}\n' "${packages[@]}" 2>/dev/null | sort)
stock=/usr/lib64/xen/bin/qemu-wrapper

ok() {
	passed=$((passed + 1))
	echo "ok $passed - $*"
}

die() {
	tail -n 30 "$log"
	echo "not ok - $*"
	exit 1
}

has() { # PACKAGE
	printf '%s\n' "${names[@]}" | grep -qx "$1"
}

# Everything that is in the system, but what rpm and dkms keep for themselves.
inventory() {
	find /etc /usr /lib/modules /lib/udev /opt /var/lib -xdev \
		\( -path /var/lib/rpm -o -name 'mok.*' -o -name __pycache__ \) -prune -o -print | sort
}

installs() {
	rpm --force-debian --nodeps -i "${packages[@]}" >"$log" 2>&1 || die "rpm -i"
	ok "installed: ${names[*]}"
	rpm -V --nodeps "${names[@]}" >"$log" 2>&1 || die "rpm -V"
	ok "rpm finds everything as it should be"
}

daemon() {
	getent group vgpu >/dev/null || die "there is no group vgpu"
	! has vgpu-stub-xen || [ -d /run/gpu_mediator ] || die "no directory to wait for the daemon in"
	gpu_mediator --check-config >"$log" 2>&1 || die "gpu_mediator --check-config"
	grep -qx '0 tenants in /etc/gpu_mediator/tenants' "$log" || die "there are tenants already"
	mkdir -p /run/gpu_mediator
	gpu_mediator --foreground --backend cpu >"$log" 2>&1 &
	for _ in $(seq 300); do
		[ ! -S /run/gpu_mediator/gpu_mediator.sock ] || break
		sleep 0.1
	done
	[ "$(stat -c '%G %a' /run/gpu_mediator/gpu_mediator.sock)" = "vgpu 660" ] ||
		die "the socket is not the group's"
	gpu_mediatorctl status >"$log" 2>&1 || die "gpu_mediatorctl status"
	getent passwd vgpu-exporter >/dev/null || die "there is no user for the exporter"
	[ -x /usr/libexec/gpu_mediator-exporter ] || die "there is no exporter"
	kill $!
	wait $! || die "the daemon's exit status is $?"
	ok "the daemon starts with the installed configuration, its socket is the group's, and it ends"
}

# What stands for XCP-ng's own programs.
doubles() { # VALUE OF platform:vgpu-stub
	mkdir -p "$(dirname "$stock")"
	printf '#!/bin/sh\necho "stock: $*"\n' >"$stock"
	# shellcheck disable=SC2016 # for the script
	printf '#!/bin/sh\n[ "$1" = /local/domain/7/platform/vgpu-stub ] && echo "%s"\n' "$1" \
		>/usr/local/bin/xenstore-read
	chmod +x "$stock" /usr/local/bin/xenstore-read
}

dom0() {
	local wrapper
	wrapper=$(sed -n 's/^upstream-compat-qemu-dm-wrapper=//p' /etc/xenopsd-xc.conf.d/vgpu-stub.conf)
	PATH=/usr/local/bin:$PATH
	doubles off
	"$wrapper" 7 -xen-domid 7 >"$log" 2>&1 || die "the wrapper of a VM without the device"
	grep -qx 'stock: 7 -xen-domid 7' "$log" || die "the stock wrapper did not get its arguments"
	ok "a VM without the key goes to the stock wrapper"
	doubles on
	! "$wrapper" 7 -xen-domid 7 >"$log" 2>&1 || die "there is no Xen, but the wrapper did not mind"
	grep -q '^vgpu-stub: .*vgpu-stub-xen.7.log says why' "$log" || die "the wrapper does not say why"
	grep -q XenStore /var/log/vgpu-stub-xen.7.log || die "nor does the emulator's log"
	! grep -q stock "$log" || die "the VM starts without the device"
	ok "a VM with the key starts the emulator, and does not start without it"
	rm -rf /usr/lib64/xen /usr/local/bin/xenstore-read
	/etc/xapi.d/plugins/vgpu-stub status >"$log" 2>&1 || die "the plug-in"
	grep -q '^gpu_mediator: ' "$log" || die "the plug-in does not say how the daemon is"
	ok "the plug-in answers"
}

guest() {
	dkms status -m vgpu_stub | grep -q . || die "dkms does not know the module"
	dkms install -m vgpu_stub -v "$(dkms_version)" -k "$kernel" >"$log" 2>&1 || die "dkms install"
	modinfo -k "$kernel" vgpu_stub >"$log" 2>&1 || die "modinfo"
	ok "dkms knows the module, and built it for $kernel"
	gpu_test status >"$log" 2>&1 && die "gpu_test found a device where there is none"
	grep -q vgpu "$log" || die "gpu_test does not say what is missing"
	ok "gpu_test runs, and says that there is no device"
}

dkms_version() {
	sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' /usr/src/vgpu_stub-*/dkms.conf
}

removes() {
	local left
	rpm --force-debian -e --nodeps "${names[@]}" >"$log" 2>&1 || die "rpm -e"
	ok "removed"
	inventory >/tmp/after
	left=$(diff /tmp/before /tmp/after | grep '^[<>]') || true
	[ -z "$left" ] || { echo "$left"; die "something is left or lost"; }
	ok "the system is as it was"
}

depmod "$kernel" 2>/dev/null
mkdir -p /etc/xapi.d/plugins # xapi has it
inventory >/tmp/before
installs
daemon
! has vgpu-stub-xcp-ng || dom0
guest
removes
echo "packages: $passed passed, 0 failed"
