#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's kernel and initramfs where its memory begins its life, not byte by byte.

Under Xen the firmware reads a kernel by port I/O, each byte of which goes through
the device model: 40 s for 21 MB in an emulated machine.  QEMU's `loader` device
instead writes files into guest memory before the firmware runs.  What the
firmware then boots is the kernel's own real-mode part with a few instructions
behind it, which tell where the initramfs is and jump into the kernel.
Usage: preload.py VMLINUZ INITRAMFS FOLDER
"""

import pathlib
import struct
import sys

KERNEL = 0x2000000              # above what the firmware uses
ALIGN = 0x200000
# Linux's Documentation/arch/x86/boot.rst
SETUP_SECTS, RAMDISK_IMAGE, RAMDISK_SIZE, INIT_SIZE = 0x1f1, 0x218, 0x21c, 0x260


def setup_size(image):
    return (image[SETUP_SECTS] + 1) * 512


def jump(initramfs_at, initramfs_size):
    """32-bit code, entered with the zero page in ESI, as is the kernel itself."""
    def store(offset, value):   # mov dword [esi + offset], value
        return b"\xc7\x86" + struct.pack("<II", offset, value)
    return (store(RAMDISK_IMAGE, initramfs_at) + store(RAMDISK_SIZE, initramfs_size) +
            b"\xb8" + struct.pack("<I", KERNEL) + b"\xff\xe0")    # mov eax, KERNEL; jmp eax


def initramfs_at(image):
    """Behind all that the kernel needs while it unpacks itself."""
    need, = struct.unpack_from("<I", image, INIT_SIZE)
    return (KERNEL + need + ALIGN - 1) // ALIGN * ALIGN


def make(vmlinuz, initramfs, folder):
    image, ram = vmlinuz.read_bytes(), initramfs.read_bytes()
    at = initramfs_at(image)
    setup = image[:setup_size(image)]
    (folder / "boot").write_bytes(setup + jump(at, len(ram)).ljust(4096, b"\0"))
    (folder / "kernel").write_bytes(image[len(setup):])
    (folder / "initramfs").write_bytes(ram)
    (folder / "address").write_text(f"{at:#x}\n")


def arguments(folder, where):
    """QEMU's, for files that make() put into `folder` and that QEMU sees in `where`."""
    at = (folder / "address").read_text().strip()
    return ["-device", f"loader,file={where}/kernel,addr={KERNEL:#x},force-raw=on",
            "-device", f"loader,file={where}/initramfs,addr={at},force-raw=on"]


if __name__ == "__main__":
    make(*(pathlib.Path(x) for x in sys.argv[1:]))
