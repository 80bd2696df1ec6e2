#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the table says is written by hand must have been written.

Until it is, a weak function of the same name refuses; this finds those.
"""
import subprocess
import sys


def weak(path, prefix, dynamic):
    """Weak definitions in a library or program whose names begin with `prefix`."""
    cmd = ["nm", "--defined-only"] + (["-D"] if dynamic else []) + [path]
    out = subprocess.run(cmd, capture_output=True, text=True, check=True).stdout
    symbols = [line.split() for line in out.splitlines()]
    found = [s for s in symbols if len(s) == 3 and s[2].startswith(prefix)]
    if len(found) < 50:
        sys.exit(f"{path}: {len(found)} functions {prefix}*: is this the right file?")
    return sorted(s[2] for s in found if s[1] in "Ww")


def main():
    libcuda, worker = sys.argv[1:3]
    missing = weak(libcuda, "cu", True) + weak(worker, "host_", False)
    if missing:
        sys.exit("not written yet: " + " ".join(missing))


if __name__ == "__main__":
    main()
