#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""./run bench: the device's round trips and rates beside references of the same run.

In one VM: NOP by registers, by queue with interrupt, by queue polled; the round
trip of QEMU's own edu device with its MSI; requests a second; host copies.  On
the host: an eventfd ping-pong between two processes.  Prints a table and writes
JSON beside it.  A target missed is said, and is no failure: machines differ.
"""

import json
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vm"))
import figures  # noqa: E402
from vm import HOST, VM, Daemon, Failure, accelerator, qemu_command  # noqa: E402


def machine():
    qemu = subprocess.run([qemu_command()[0], "--version"], capture_output=True, text=True,
                          check=True).stdout
    return figures.machine(re.search(r"version (\S+)", qemu).group(1), accelerator())


def measure():
    pingpong = subprocess.run([str(HOST / "tests" / "bench" / "pingpong")], capture_output=True,
                              text=True, check=True)
    where = machine()
    with Daemon() as daemon, VM(daemon, "bench", extra=["-device", "edu"]) as vm:
        vm.ready()
        vm.check("insmod /lib/modules/edu_rtt.ko")
        report = json.loads(vm.check("vgpu_bench", 600))
    report["pingpong"] = json.loads(pingpong.stdout)
    report["machine"] = where
    return report


def main():
    report = measure()
    report["ratios"] = figures.ratios(report)
    if not report["ratios"]:
        raise Failure("no edu round trip was measured; is edu_rtt.ko loaded?")
    report["ratios"]["interrupt_to_pingpong"] = (report["nop_interrupt"]["median_us"] /
                                                 report["pingpong"]["median_us"])
    figures.show_machine(report["machine"], report["backend"])
    figures.show(report)
    if len(sys.argv) > 1:
        figures.write(sys.argv[1], report)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        sys.exit(1)
