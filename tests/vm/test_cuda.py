#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The CUDA programs inside a VM, on the backend without a GPU; TAP.

usage: test_cuda.py [PATTERN...]   patterns as vm/driver/memory.*
"""

import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "cuda"),
                str(pathlib.Path(__file__).resolve().parent)]
from suite import Suite  # noqa: E402
from test_unix import finish, tap_reporter  # noqa: E402


def main():
    with Suite("cpu", sys.argv[1:], report=tap_reporter()) as suite:
        suite.guest(memory="1500M")
    finish(suite)


if __name__ == "__main__":
    main()
