#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the throwaway root: installs Debian's packages from /packages, uses each
# one once, removes them, and looks for what they left behind.
# Usage: deb.sh KERNEL-RELEASE     (whose headers are installed)
set -euo pipefail

kernel=$1
packages=(gpu-mediator qemu-system-vgpu-stub vgpu-stub-dkms vgpu-stub-tools vgpu-stub-xen)
libdir=/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null)
log=/tmp/log
passed=0

ok() {
	passed=$((passed + 1))
	echo "ok $passed - $*"
}

die() {
	tail -n 30 "$log"
	echo "not ok - $*"
	exit 1
}

# Everything that is in the system, but what apt, dpkg and dkms keep for themselves.
inventory() {
	find /etc /usr /lib/modules /lib/udev /lib/systemd /opt /var/lib -xdev \
		\( -path /var/lib/dpkg -o -path /var/lib/apt -o -name 'mok.*' -o -name __pycache__ \) -prune -o -print | sort
}

can_be_had() {
	# As if nothing was installed: does Debian have what they depend on?
	apt-get -s -o Dir::State::status=/dev/null --no-install-recommends install \
		/packages/*.deb >"$log" 2>&1
}

dependencies() {
	can_be_had || { apt-get update >"$log" 2>&1 && can_be_had; } ||
		die "Debian does not have what the packages depend on"
	ok "what they depend on can be had"
}

installs() {
	dpkg -i /packages/*.deb >"$log" 2>&1 || die "dpkg -i"
	ok "installed: ${packages[*]}"
	[ -f /etc/gpu_mediator/config.conf ] || die "no /etc/gpu_mediator/config.conf"
	ok "the configuration is there"
	gpu_mediator --check-config >"$log" 2>&1 || die "gpu_mediator --check-config"
	grep -qx '0 tenants in /etc/gpu_mediator/tenants' "$log" || die "there are tenants already"
	ok "nobody may use the GPU before the administrator says so"
	systemd-analyze --man=no verify gpu_mediator.service gpu_mediator-exporter.service \
		gpu_mediator-exporter.socket >"$log" 2>&1 || die "systemd-analyze verify"
	ok "systemd understands the units"
	man -w gpu_mediator gpu_mediator-worker gpu_mediator.conf gpu_mediator.tenant gpu_test vgpu-smi \
		vgpu_stub qemu-vgpu-stub \
		gpu_mediator-cuda gpu_mediatorctl gpu_mediator-exporter vgpu-stub-xen >"$log" 2>&1 || die "man pages are missing"
	ok "man finds the pages"
}

start_daemon() {
	[ -d /run/gpu_mediator ] || die "no directory for devices to wait for the daemon in"
	# As the man page's first example: who may, and at the socket that all share.
	printf '[tenant]\nlevel=high\nusers=root\n' >/etc/gpu_mediator/tenants/host.conf
	gpu_mediator --foreground --backend cpu >/tmp/daemon.log 2>&1 &
	daemon=$!
	for _ in $(seq 300); do
		[ ! -S /run/gpu_mediator/gpu_mediator.sock ] || return 0
		sleep 0.1
	done
	cp /tmp/daemon.log "$log"
	die "no socket of the daemon"
}

# As who administrates it, and as the exporter does, by its user and its socket.
control() {
	local exporter
	gpu_mediatorctl status >"$log" 2>&1 || die "gpu_mediatorctl status"
	grep -q 'audit log    /var/log/gpu_mediator-audit.log: ' "$log" || die "where is the audit log?"
	[ "$(stat -c '%U %a' /var/log/gpu_mediator-audit.log)" = "root 600" ] ||
		die "others can read the audit log"
	bash -c '. /usr/share/bash-completion/completions/gpu_mediatorctl.bash && complete -p gpu_mediatorctl' \
		>"$log" 2>&1 || die "no completion"
	ok "gpu_mediatorctl finds the daemon"
	/usr/libexec/gpu_mediator-exporter --user=vgpu-exporter --listen=127.0.0.1:9890 >"$log" 2>&1 &
	exporter=$!
	for _ in $(seq 300); do
		! grep -q ready "$log" || break
		sleep 0.1
	done
	/usr/bin/python3 -c 'import urllib.request as u
print(u.urlopen("http://127.0.0.1:9890/metrics").read().decode())' >>"$log" 2>&1 || die "no metrics"
	grep -qx 'vgpu_up 1' "$log" || die "the exporter may not ask the daemon"
	kill "$exporter"
	wait "$exporter" || die "the exporter's exit status is $?"
	[ -e /usr/share/gpu_mediator/monitoring/dashboard.json ] || die "no dashboard"
	ok "the exporter asks the daemon as its own user"
}

stop_daemon() {
	kill "$daemon"
	wait "$daemon" || die "the daemon's exit status is $?"
	rm /etc/gpu_mediator/tenants/host.conf
	ok "the daemon ends in order"
}

cuda() {
	if [ ! -d "$libdir/vgpu" ]; then
		echo "# built without nvcc: no libcuda.so.1"
		return
	fi
	VGPU_TRANSPORT=unix:/run/gpu_mediator/gpu_mediator.sock LD_LIBRARY_PATH=$libdir/vgpu \
		/usr/bin/python3 - >"$log" 2>&1 <<-'PYTHON' || die "a CUDA program does not run"
			import ctypes
			cuda, nvml = ctypes.CDLL("libcuda.so.1"), ctypes.CDLL("libnvidia-ml.so.1")
			count = ctypes.c_int()
			assert cuda.cuInit(0) == 0
			assert cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value == 1
			assert nvml.nvmlInit_v2() == 0
		PYTHON
	ok "a CUDA program finds its device through the installed daemon"
	! ldconfig -p | grep -q "$libdir/vgpu" || die "the loader finds the CUDA libraries unasked"
	ok "the CUDA libraries are nobody's who did not ask"
}

device() {
	local way
	for way in "-plugin file=$libdir/qemu-vgpu-stub/vgpu-stub.so" preload; do
		local arguments=(-machine pc -nodefaults -display none -monitor stdio -S)
		local preload=
		if [ "$way" = preload ]; then
			preload=$libdir/qemu-vgpu-stub/vgpu-stub-preload.so
		else
			# shellcheck disable=SC2206 # two words
			arguments+=($way)
		fi
		printf 'info pci\nquit\n' | LD_PRELOAD=$preload timeout 60 qemu-system-x86_64 \
			"${arguments[@]}" -device vgpu-stub,socket=/run/gpu_mediator/gpu_mediator.sock \
			>"$log" 2>&1 || die "QEMU with the device (${way%% *})"
		grep -q 'PCI device 1af4:1111' "$log" || die "QEMU shows no 1af4:1111 (${way%% *})"
	done
	ok "QEMU has the device, by plugin and by preload"
	grep -q 'vm=' /tmp/daemon.log || die "the daemon saw no device"
	ok "the device connected to the daemon"
}

module() {
	dkms install -m vgpu_stub -v "$(dkms_version)" -k "$kernel" >"$log" 2>&1 || die "dkms install"
	modinfo -k "$kernel" vgpu_stub >"$log" 2>&1 || die "modinfo"
	grep -q 'alias: *pci:v00001AF4d00001111' "$log" || die "the module does not claim 1af4:1111"
	ok "dkms built the module for $kernel, and modprobe would find it"
	[ -e /lib/udev/rules.d/70-vgpu-stub.rules ] || die "no udev rule"
	gpu_test status >"$log" 2>&1 && die "gpu_test found a device where there is none"
	grep -q vgpu "$log" || die "gpu_test does not say what is missing"
	ok "gpu_test runs, and says that there is no device"
}

xen() {
	local status=0
	vgpu-stub-xen --version | grep -q . || die "vgpu-stub-xen --version"
	# No Xen here: what matters is that it says so
	vgpu-stub-xen --domid 1 --pid-file /tmp/xen.pid >"$log" 2>&1 || status=$?
	[ "$status" = 1 ] || die "the exit status of vgpu-stub-xen is $status"
	grep -q XenStore "$log" || die "vgpu-stub-xen does not say what is missing"
	[ -e "$libdir/gpu_mediator/libvgpu-foreign-xen.so" ] || die "no module for the memory of domains"
	ok "vgpu-stub-xen runs, and says that there is no Xen"
}

dkms_version() {
	sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' /usr/src/vgpu_stub-*/dkms.conf
}

removes() {
	local left
	dpkg --purge "${packages[@]}" >"$log" 2>&1 || die "dpkg --purge"
	ok "purged"
	inventory >/tmp/after
	left=$(diff /tmp/before /tmp/after | grep '^[<>]') || true
	[ -z "$left" ] || { echo "$left"; die "something is left or lost"; }
	ok "the system is as it was"
}

dpkg --purge "${packages[@]}" >/dev/null 2>&1 || true # of the machine itself
depmod "$kernel" 2>/dev/null
inventory >/tmp/before
dependencies
installs
start_daemon
control
cuda
device
stop_daemon
xen
module
removes
echo "packages: $passed passed, 0 failed"
