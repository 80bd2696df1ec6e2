# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The guest of demo and tests: Debian's kernel and a small initramfs.

# Debian's kernel image of the guest's release, unpacked and not installed.
guest_vmlinuz() {
	local release dir
	release=$(guest_kernel)
	dir=$cache/kernel-$release
	if [ ! -e "$dir/boot/vmlinuz-$release" ]; then
		mkdir -p "$cache/download"
		step "fetching the guest's kernel, $release" >&2
		(cd "$cache/download" && quietly guest-kernel apt-get \
			-o APT::Sandbox::User=root download "linux-image-$release")
		rm -rf "$dir.tmp"
		dpkg -x "$(ls -t "$cache/download/linux-image-${release}"_*.deb | head -n 1)" "$dir.tmp"
		mv "$dir.tmp" "$dir"
	fi
	echo "$dir/boot/vmlinuz-$release"
}

# Copies a program and the libraries that it needs into the root folder.
with_libraries() { # ROOT PROGRAM [NAME]
	local lib
	install -D -m 755 "$2" "$1/bin/${3:-$(basename "$2")}"
	while read -r lib; do
		install -D -m 755 "$lib" "$1$lib"
	done < <(ldd "$2" 2>/dev/null | grep -o '/[^ )]*')
}

build_image() {
	local root=$build/image/root release applet
	release=$(guest_kernel)
	step "making the guest's initramfs"
	rm -rf "$root"
	mkdir -p "$root"/{bin,proc,sys,dev,tmp,lib/modules,usr/share/misc}
	install -m 755 /bin/busybox "$root/bin/busybox"
	for applet in $("$root/bin/busybox" --list); do
		ln -s busybox "$root/bin/$applet" 2>/dev/null || true
	done
	rm -f "$root/bin/lspci"
	with_libraries "$root" /usr/bin/lspci
	# Only what QEMU shows: the whole list would be a megabyte to unpack.
	awk '/^[0-9a-fC]/ { keep = /^(1af4|8086|1234|1b36|C )/ } keep' /usr/share/misc/pci.ids \
		>"$root/usr/share/misc/pci.ids"
	install -m 644 "$build/module/$release/vgpu_stub.ko" "$root/lib/modules/"
	install -m 644 "$build/edu/$release/edu_rtt.ko" "$root/lib/modules/"
	install -m 755 "$build/host/guest-driver/tools/gpu_test" "$root/bin/"
	install -m 755 "$build/host/guest-driver/tools/vgpu-smi" "$root/bin/"
	install -m 755 "$build/host/tests/bench/guest/vgpu_bench" "$root/bin/"
	install -m 755 "$build/host/tests/vm/guest/hostile" "$root/bin/"
	install -m 755 "$build/host/tests/vm/guest/busy" "$root/bin/"
	strip --strip-debug "$root"/lib/modules/*.ko
	install -m 755 tests/vm/guest/shell "$root/bin/"
	install -m 755 tests/vm/guest/init "$root/init"
	(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0) |
		gzip -1 >"$build/image/initramfs.cpio.gz.tmp"
	mv "$build/image/initramfs.cpio.gz.tmp" "$build/image/initramfs.cpio.gz"
	cp -u "$(guest_vmlinuz)" "$build/image/vmlinuz"
	guest_modules "$build/image/modules"
}

# The kernel's own modules with which a guest reads a disk of the host's files.
guest_modules() { # FOLDER
	local name file
	mkdir -p "$1"
	for name in virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci \
		virtio_blk squashfs overlay; do
		file=$(find "$(dirname "$(dirname "$(guest_vmlinuz)")")/lib/modules" -name "$name.ko*")
		[ -z "$file" ] || install -m 644 "$file" "$1/"
	done
}

run_image() {
	build_host
	build_module
	build_image
}
