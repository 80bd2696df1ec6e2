#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""./run bench: the device's round trips and rates beside references of the same run.

In one VM: NOP by registers, by queue with interrupt, by queue polled; the round
trip of QEMU's own edu device with its MSI; requests a second; host copies.  On
the host: an eventfd ping-pong between two processes.  Prints a table and writes
JSON beside it.  A target missed is said, and is no failure: machines differ.
"""

import datetime
import json
import pathlib
import platform
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vm"))
from vm import HOST, VM, Daemon, Failure, accelerator, qemu_command  # noqa: E402


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    qemu = subprocess.run([qemu_command()[0], "--version"], capture_output=True, text=True,
                          check=True).stdout
    return {
        "date": datetime.date.today().isoformat(),
        "processor": cpu.group(1) if cpu else platform.machine(),
        "cores": len(re.findall(r"^processor", pathlib.Path("/proc/cpuinfo").read_text(), re.M)),
        "kernel": platform.release(),
        "qemu": re.search(r"version (\S+)", qemu).group(1),
        "accelerator": accelerator(),
    }


def measure():
    pingpong = subprocess.run([str(HOST / "tests" / "bench" / "pingpong")], capture_output=True,
                              text=True, check=True)
    with Daemon() as daemon, VM(daemon, "bench", extra=["-device", "edu"]) as vm:
        vm.ready()
        vm.check("insmod /lib/modules/edu_rtt.ko")
        report = json.loads(vm.check("vgpu_bench", 600))
    report["pingpong"] = json.loads(pingpong.stdout)
    report["machine"] = machine()
    return report


def ratios(report):
    edu = report["edu"]["median_us"] if report.get("edu") else None
    if not edu:
        raise Failure("no edu round trip was measured; is edu_rtt.ko loaded?")
    return {
        "interrupt_to_edu": report["nop_interrupt"]["median_us"] / edu,
        "polled_to_edu": report["nop_polled"]["median_us"] / edu,
        "registers_to_edu": report["nop_registers"]["median_us"] / edu,
        "interrupt_to_pingpong": report["nop_interrupt"]["median_us"]
        / report["pingpong"]["median_us"],
    }


ROWS = (
    ("NOP by registers", "nop_registers"),
    ("NOP by queue, interrupt", "nop_interrupt"),
    ("NOP by queue, adaptive", "nop_adaptive"),
    ("NOP by queue, polled", "nop_polled"),
    ("edu, register write to MSI", "edu"),
    ("after a pause: NOP, interrupt", "nop_interrupt_after_pause"),
    ("after a pause: edu", "edu_after_pause"),
    ("eventfd ping-pong on the host", "pingpong"),
)


def show(report, ratio):
    m = report["machine"]
    print(f"{m['processor']}, {m['cores']} cores, QEMU {m['qemu']} ({m['accelerator']}), "
          f"backend {report['backend']}, {m['date']}")
    print(f"\n{'round trip':34}{'median us':>11}{'p99 us':>11}{'to edu':>9}")
    edu = report["edu"]["median_us"]
    for name, key in ROWS:
        row = report.get(key)
        if row:
            print(f"{name:34}{row['median_us']:11.2f}{row['p99_us']:11.2f}"
                  f"{row['median_us'] / edu:8.2f}x")
    print("\nrequests a second, by way of waiting and requests in flight:")
    for name, value in report["requests_per_second"].items():
        print(f"  {name:32}{value:11.0f}")
    print(f"\nbytes copied by the host's CPU for each byte of payload: "
          f"{report['host_copied_per_byte']:.3f}")
    print()
    for text, value, limit in (
            ("interrupt path to edu", ratio["interrupt_to_edu"], 2.0),
            ("polled path to edu", ratio["polled_to_edu"], 0.5),
            ("host copies a byte", report["host_copied_per_byte"], 0.0)):
        verdict = "reached" if value <= limit else "MISSED"
        print(f"target: {text:24} {value:6.2f}, at most {limit:.1f}: {verdict}")


def main():
    report = measure()
    report["ratios"] = ratios(report)
    show(report, report["ratios"])
    if len(sys.argv) > 1:
        path = pathlib.Path(sys.argv[1])
        path.write_text(json.dumps(report, indent=2) + "\n")
        print(f"\nthe same as JSON: {path}")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        sys.exit(1)
