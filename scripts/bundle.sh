# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A folder that runs the whole path on a machine with a GPU but without QEMU,
# GLib, a compiler or a network: it needs glibc 2.36, Python 3 and the driver.

packages_bundle=(patchelf squashfs-tools)

# A program or library into the bundle, with what it needs beside glibc.
bundle_elf() { # FILE DESTINATION-FOLDER RPATH
	local lib needs
	needs=$(ldd "$1")
	install -D -m 755 "$1" "$2/$(basename "$1")"
	strip --strip-debug "$2/$(basename "$1")"
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

# The guest's libraries, the programs that use them, and what packs a disk for a guest.
bundle_cuda() {
	local file
	for file in guest-driver/cuda/libcuda.so.1 guest-driver/nvml/libnvidia-ml.so.1 \
		tests/cuda/hostile/cuda_hostile tests/bench/gpu/gpu_micro; do
		[ ! -e "$build/host/$file" ] ||
			install -D -m 755 "$(realpath "$build/host/$file")" "$bundle/build/host/$file"
	done
	# Linked to libcuda.so.1, which is not to be found here, and to glibc.
	install -D -m 755 "$build/host/tests/cuda/driver/driver_tests" -t "$bundle/build/host/tests/cuda/driver"
	install -D -m 755 "$build"/host/tests/bench/gpu/{tenant_load,queued} -t "$bundle/build/host/tests/bench/gpu"
	# shellcheck disable=SC2016
	bundle_elf "$build/host/tests/bench/gpu_mediator-worker-unaccounted" "$bundle/build/host/tests/bench" \
		'$ORIGIN/../../../../lib'
	for file in "$build"/host/tests/cuda/runtime/rt_*; do
		install -D -m 755 -t "$bundle/build/host/tests/cuda/runtime" "$file"
	done
	find "$bundle/build/host/tests/cuda" "$bundle/build/host/guest-driver" "$bundle/build/host/tests/bench" \
		-type f -exec strip --strip-debug {} +
	# shellcheck disable=SC2016
	bundle_elf /usr/bin/mksquashfs "$bundle/build/tools" '$ORIGIN/../../lib'
	mkdir -p "$bundle/tests/cuda/torch" "$bundle/tests/bench/gpu"
	cp tests/cuda/*.py "$bundle/tests/cuda/"
	cp tests/cuda/torch/*.py "$bundle/tests/cuda/torch/"
	cp tests/bench/gpu/*.py "$bundle/tests/bench/gpu/"
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
	for file in mediator/gpu_mediator mediator/gpu_mediator-watch mediator/gpu_mediator-worker \
		tests/conformance/backend-conformance tests/conformance/backend-bench \
		tests/bench/pingpong tests/vm/sum_f32; do
		[ -e "$build/host/$file" ] || continue
		# shellcheck disable=SC2016
		bundle_elf "$build/host/$file" "$bundle/build/host/$(dirname "$file")" '$ORIGIN/../../../lib'
	done
	# shellcheck disable=SC2016
	bundle_elf "$build/host/mediator/ctl/gpu_mediatorctl" "$bundle/build/host/mediator/ctl" \
		'$ORIGIN/../../../../lib'
	while read -r file; do
		# shellcheck disable=SC2016
		bundle_elf "$file" "$bundle/build/host/${file#"$build/host/"}.d" '$ORIGIN/../../../../../lib'
		mv "$bundle/build/host/${file#"$build/host/"}.d/$(basename "$file")" "$bundle/build/host/mediator/"
		rmdir "$bundle/build/host/${file#"$build/host/"}.d"
	done < <(find "$build/host/mediator" -name 'libvgpu-backend-*.so')
	bundle_cuda
	cp -r "$build/image" "$bundle/build/"
	rm -rf "$bundle/build/image/root"
	mkdir -p "$bundle/tests/vm" "$bundle/tests/bench" "$bundle/tests/gpu"
	cp tests/vm/*.py "$bundle/tests/vm/"
	cp tests/bench/*.py "$bundle/tests/bench/" 2>/dev/null || true
	cp tests/gpu/* "$bundle/tests/gpu/" 2>/dev/null || true
	find "$bundle" -name __pycache__ -prune -exec rm -rf {} +
	size=$(du -sm "$bundle" | cut -f1)
	[ "$size" -lt 60 ] || die "the bundle is $size MiB, more than the 60 it may be"
	step "build/bundle: $size MiB; on the machine with the GPU: python3 build/bundle/tests/gpu/gpu_test.py"
}
