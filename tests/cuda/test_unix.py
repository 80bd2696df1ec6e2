#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The driver API's programs over the daemon's socket, on the backend without a GPU; TAP.

usage: test_unix.py [PATTERN...]   patterns as unix/driver/memory.*
"""

import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent),
                str(pathlib.Path(__file__).resolve().parents[1] / "vm")]
from suite import Suite  # noqa: E402


def tap_reporter():
    number = 0

    def report(result):
        nonlocal number
        number += 1
        bad = result["verdict"] == "FAILED"
        note = f" # SKIP {result['note']}" if result["verdict"] == "skipped" else ""
        print(f"{'not ok' if bad else 'ok'} {number} - {result['name']} "
              f"({result['seconds']:.1f} s){note}", flush=True)
        if bad:
            for line in [result["note"], *result["output"].splitlines()]:
                print(f"# {line}", flush=True)
    return report


def finish(suite):
    print(f"1..{len(suite.results)}", flush=True)
    ok, failed, _ = suite.counts()
    sys.exit(1 if failed or not ok else 0)


def main():
    with Suite("cpu", sys.argv[1:], report=tap_reporter()) as suite:
        suite.driver("unix")
        suite.runtime("unix")
        suite.hostile()
    finish(suite)


if __name__ == "__main__":
    main()
