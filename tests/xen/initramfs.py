#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests' initramfs: that of the vm suite and, where it was built, a CUDA program with the
library that it calls.  Usage: initramfs.py FILE"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cuda"))
import programs  # noqa: E402


def entries():
    try:
        return programs.guest_entries([programs.DRIVER_TESTS])
    except (programs.Failure, OSError) as without:
        print(f"no CUDA program in guests of Xen: {without}", file=sys.stderr)
        return []


if __name__ == "__main__":
    programs.make_initrd(sys.argv[1], entries())
