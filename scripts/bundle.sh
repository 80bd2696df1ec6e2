# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A folder that runs the whole path on a machine with a GPU but without QEMU,
# GLib, a compiler or a network: it needs glibc 2.36, Python 3 and the driver.

packages_bundle=(patchelf)

# A program or library into the bundle, with what it needs beside glibc.
bundle_elf() { # FILE DESTINATION-FOLDER RPATH
	local lib needs
	needs=$(ldd "$1")
	install -D -m 755 "$1" "$2/$(basename "$1")"
	while read -r lib; do
		case $(basename "$lib") in
		ld-linux* | libc.so* | libm.so* | libdl.so* | libpthread.so* | librt.so* | libresolv.so* | libcuda.so*) ;;
		*) [ -e "$bundle/lib/$(basename "$lib")" ] || {
			install -D -m 755 "$lib" "$bundle/lib/$(basename "$lib")"
			# shellcheck disable=SC2016 # the loader expands it
			patchelf --set-rpath '$ORIGIN' "$bundle/lib/$(basename "$lib")"
		} ;;
		esac
	done < <(grep -o '/[^ )]*' <<<"$needs")
	if [[ $needs == *'=>'* ]]; then
		patchelf --set-rpath "$3" "$2/$(basename "$1")"
	fi
}

run_bundle() {
	local bundle=$build/bundle file rom size
	need_packages "${packages_base[@]}" "${packages_graft[@]}" "${packages_bundle[@]}"
	prepare_vm --graft
	step "making the bundle"
	rm -rf "$bundle"
	mkdir -p "$bundle/lib" "$bundle/build/graft/share" "$bundle/tests"
	# shellcheck disable=SC2016
	bundle_elf "$build/graft/qemu-system-x86_64" "$bundle/build/graft" '$ORIGIN/../../lib'
	strip "$bundle/build/graft/qemu-system-x86_64"
	for rom in /usr/share/seabios/bios-256k.bin /usr/share/qemu/linuxboot_dma.bin \
		/usr/share/qemu/kvmvapic.bin /usr/share/qemu/multiboot_dma.bin /usr/share/qemu/multiboot.bin \
		/usr/share/qemu/linuxboot.bin; do
		[ ! -e "$rom" ] || install -m 644 "$rom" "$bundle/build/graft/share/"
	done
	for file in mediator/gpu_mediator mediator/gpu_mediator-worker \
		tests/conformance/backend-conformance tests/conformance/backend-bench \
		tests/bench/pingpong tests/vm/sum_f32; do
		[ -e "$build/host/$file" ] || continue
		# shellcheck disable=SC2016
		bundle_elf "$build/host/$file" "$bundle/build/host/$(dirname "$file")" '$ORIGIN/../../../lib'
	done
	while read -r file; do
		# shellcheck disable=SC2016
		bundle_elf "$file" "$bundle/build/host/${file#"$build/host/"}.d" '$ORIGIN/../../../../../lib'
		mv "$bundle/build/host/${file#"$build/host/"}.d/$(basename "$file")" "$bundle/build/host/mediator/"
		rmdir "$bundle/build/host/${file#"$build/host/"}.d"
	done < <(find "$build/host/mediator" -name 'libvgpu-backend-*.so')
	cp -r "$build/image" "$bundle/build/"
	rm -rf "$bundle/build/image/root"
	mkdir -p "$bundle/tests/vm" "$bundle/tests/bench" "$bundle/tests/gpu"
	cp tests/vm/*.py "$bundle/tests/vm/"
	cp tests/bench/*.py "$bundle/tests/bench/" 2>/dev/null || true
	cp tests/gpu/* "$bundle/tests/gpu/" 2>/dev/null || true
	size=$(du -sm "$bundle" | cut -f1)
	[ "$size" -lt 60 ] || die "the bundle is $size MiB, more than the 60 it may be"
	step "build/bundle: $size MiB; on the machine with the GPU: VGPU_QEMU=graft python3 build/bundle/tests/gpu/gpu_path.py"
}
