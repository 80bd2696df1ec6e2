# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The Xen that is tried in an emulated machine: Debian's hypervisor, a dom0 made
# of Debian's packages, which are unpacked and never installed, and a disk with
# what is under test.

xen_packages=(
	xen-hypervisor-4.17-amd64 xen-utils-4.17 xenstore-utils
	qemu-system-xen qemu-system-data seabios busybox-static
	libglib2.0-0 libjson-glib-1.0-0 libsystemd0 libjansson4 # for the programs under test
	liblz4-1 libzstd1 libseccomp2
)
# Named by dependencies, and of no use here.
xen_unwanted='^(adduser|debconf|dpkg|iso-codes|libpython3.*|media-types|passwd|python3.*|tar|udev|ucf)$'
xen_modules=(
	virtio_pci virtio_blk virtio_console ext4
	xenfs xen-evtchn xen-gntdev xen-gntalloc xen-privcmd
)

xen_skip() {
	echo "Xen's packages are not to be had, so nothing was tried on Xen: $*"
	exit 77
}

# apt as if nothing were installed, with package lists of its own.
xen_apt() {
	apt-get -o Dir::State::status="$cache/xen/status" -o Dir::State::lists="$cache/xen/lists" \
		-o Dir::Cache::archives="$cache/xen/archives" \
		-o Dir::Cache::pkgcache="" -o Dir::Cache::srcpkgcache="" -o Acquire::Languages=none \
		-o APT::Sandbox::User=root -o APT::Install-Recommends=false -o Debug::NoLocking=true "$@"
}

# Package lists not older than a day; old ones do where none can be had.
xen_update() {
	[ -z "$(find "$cache/xen/updated" -mmin -1440 2>/dev/null)" ] || return 0
	mkdir -p "$cache/xen/lists/partial" "$cache/xen/archives/partial" "$build/log"
	: >"$cache/xen/status"
	if xen_apt --error-on=any update >"$build/log/xen-apt.log" 2>&1; then
		touch "$cache/xen/updated"
	elif [ ! -e "$cache/xen/updated" ]; then
		xen_skip "see build/log/xen-apt.log"
	fi
}

xen_kernel() { # dom0's: the guest's release, but not the flavour for clouds, which has no dom0
	guest_kernel | sed 's/-cloud-/-/'
}

# What dom0 consists of: name and hash of each package.
xen_contents() {
	xen_apt install --print-uris -y "${xen_packages[@]}" 2>/dev/null |
		awk -v unwanted="$xen_unwanted" '/^\x27/ { n = $2; sub(/_.*/, "", n); if (n !~ unwanted) print $2, $4 }'
	xen_apt download --print-uris "linux-image-$(xen_kernel)" 2>/dev/null |
		awk '/^\x27/ { print $2, $4 }'
}

# Hypervisor, dom0's kernel, initrd and root disk, cached by what they are made of;
# sets xen_base to their folder.
xen_make_base() {
	local contents key
	xen_update
	contents=$(xen_contents)
	[ "$(wc -l <<<"$contents")" -gt "${#xen_packages[@]}" ] ||
		xen_skip "apt knows no ${xen_packages[*]}"
	key=$(cat - tests/xen/dom0/* scripts/xen.sh <<<"$contents" | sha256sum | cut -c 1-16)
	xen_base=$cache/xen/base-$key
	[ ! -e "$xen_base/dom0.img" ] || return 0
	step "fetching Xen and what its dom0 consists of ($(wc -l <<<"$contents") packages)"
	xen_fetch
	step "making dom0's root disk and initrd"
	rm -rf "$cache/xen"/base-* "$build/xen/dom0" "$build/xen/kernel"
	mkdir -p "$xen_base.tmp" "$build/xen/dom0" "$build/xen/kernel"
	xen_unpack "$contents"
	xen_boot_files "$xen_base.tmp"
	xen_root_disk "$xen_base.tmp/dom0.img"
	rm -rf "$build/xen/dom0" "$build/xen/kernel" "$cache/xen/archives"
	mv "$xen_base.tmp" "$xen_base"
}

xen_fetch() {
	mkdir -p "$cache/xen/archives/partial" "$build/log"
	{
		xen_apt install --download-only -y "${xen_packages[@]}" &&
			(cd "$cache/xen/archives" && xen_apt download "linux-image-$(xen_kernel)")
	} >"$build/log/xen-fetch.log" 2>&1 || xen_skip "see build/log/xen-fetch.log"
}

xen_unpack() { # CONTENTS
	local name sum to
	while read -r name sum; do
		case $name in
		linux-image-*) to=$build/xen/kernel ;;
		*) to=$build/xen/dom0 ;;
		esac
		dpkg-deb --fsys-tarfile "$cache/xen/archives/$name" |
			tar -x -C "$to" --no-same-owner --keep-directory-symlink \
				--exclude=./usr/share/doc --exclude=./usr/share/locale --exclude=./usr/share/man
	done <<<"$1"
}

# What the emulated machine's loader takes: Xen, dom0's kernel, the initrd.
xen_boot_files() { # FOLDER
	local root=$build/xen/initrd release file
	release=$(xen_kernel)
	zcat "$build/xen/dom0"/boot/xen-*-amd64.gz >"$1/xen"
	cp "$build/xen/kernel/boot/vmlinuz-$release" "$1/vmlinuz"
	rm -rf "$root"
	mkdir -p "$root"/{bin,dev,root,modules}
	cp "$build/xen/dom0/bin/busybox" "$root/bin/"
	install -m 755 tests/xen/dom0/initrd "$root/init"
	depmod -b "$build/xen/kernel" "$release"
	modprobe -d "$build/xen/kernel" -S "$release" --show-depends -a "${xen_modules[@]}" |
		awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$build/xen/modules"
	while read -r file; do
		cp "$file" "$root/modules/"
		basename "$file"
	done <"$build/xen/modules" >"$root/modules/order"
	(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0) >"$1/initrd"
}

xen_root_disk() { # FILE
	local root=$build/xen/dom0 applet
	rm -rf "$root/boot"
	for applet in $("$root/bin/busybox" --list); do
		[ -e "$root/bin/$applet" ] || [ -e "$root/sbin/$applet" ] ||
			[ -e "$root/usr/bin/$applet" ] || [ -e "$root/usr/sbin/$applet" ] ||
			ln -s /bin/busybox "$root/bin/$applet"
	done
	mkdir -p "$root"/{dev,proc,sys,run,tmp,root,opt/vgpu,etc,var/lock,var/log,var/lib/xen}
	rm -rf "$root/var/run"
	ln -s ../run "$root/var/run"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
	printf 'root:x:0:\nvgpu:x:900:\n' >"$root/etc/group"
	install -m 755 tests/xen/dom0/init "$root/init"
	/sbin/ldconfig -r "$root"
	xen_disk "$root" "$1"
}

# A folder as a file system, owned by root, with a little room.
xen_disk() { # FOLDER FILE
	local kib
	kib=$(du -sk --apparent-size "$1" | cut -f 1)
	rm -f "$2"
	quietly xen-mkfs mkfs.ext4 -q -F -O ^has_journal -E root_owner=0:0 -d "$1" "$2" \
		"$((kib + kib / 5 + 32768))k"
}

# QEMU as a device model for Xen, with the device in it.  Kept with the downloads:
# of the 1200 files that it is built from hardly any changes.
xen_graft() {
	local dir
	dir=$(qemu_source)
	step "building QEMU for Xen with the device in it (two to four minutes the first time)"
	quietly_ninja xen-graft "$cache/xen/graft/qemu-build/build.log" \
		qemu-device/qemu/build-graft.sh --xen "$dir" "$cache/xen/graft"
}

# The disk with what is under test: daemon and worker, the emulator, the device model, the guest.
xen_programs() {
	local root=$build/xen/programs
	step "making the disk with the programs under test"
	rm -rf "$root"
	mkdir -p "$root/bin" "$root/guest"
	install -m 755 -s "$build"/host/mediator/gpu_mediator{,-worker} \
		"$build/host/mediator/libvgpu-foreign-xen.so" "$build/host/xcp-ng/emulator/vgpu-stub-xen" \
		"$cache/xen/graft/qemu-system-x86_64" "$root/bin/"
	install -m 755 tests/vm/guest/shell "$root/bin/"
	quietly xen-initramfs /usr/bin/python3 tests/xen/initramfs.py "$build/xen/initramfs"
	/usr/bin/python3 tests/xen/preload.py "$build/image/vmlinuz" \
		"$build/xen/initramfs" "$root/guest"
	xen_disk "$root" "$build/xen/programs.img"
}

# Base, device model and programs; one run at a time where the cache is shared.
prepare_xen() {
	need_packages "${packages_base[@]}" "${packages_graft[@]}" "${packages_xen[@]}"
	rm -f "$build/xen/base"
	mkdir -p "$cache/xen" "$build/xen"
	exec 9>"$cache/xen/lock"
	flock 9
	xen_make_base
	build_host
	build_module
	build_image
	xen_graft
	xen_programs
	exec 9>&-
	ln -sfn "$xen_base" "$build/xen/base"
}

# All that the tests on Xen need.  77: its packages are not to be had.
run_xen-image() {
	prepare_xen
}

run_xen-test() { # [MESON-TEST-OPTIONS]
	prepare_xen
	step "running the tests on Xen"
	meson_test xen "$build/host" --suite xen "$@"
}
