# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benchmarks print: round trips beside edu's, rates, copies, targets."""

import datetime
import json
import os
import pathlib
import platform
import re

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


def machine(qemu, accelerator):
    """Where this runs; the load says how far others took part in it."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    cpu = re.search(r"model name\s*: (.*)", info)
    return {
        "date": datetime.date.today().isoformat(),
        "processor": cpu.group(1) if cpu else platform.machine(),
        "cores": len(re.findall(r"^processor", info, re.M)),
        "load": os.getloadavg()[0],
        "kernel": platform.release(),
        "qemu": qemu,
        "accelerator": accelerator,
    }


def ratios(report):
    """To edu's round trip; report without one: None."""
    if not report.get("edu"):
        return None
    edu = report["edu"]["median_us"]
    of = {"interrupt_to_edu": "nop_interrupt", "polled_to_edu": "nop_polled",
          "registers_to_edu": "nop_registers"}
    return {name: report[key]["median_us"] / edu for name, key in of.items()}


def show_machine(m, backend):
    print(f"{m['processor']}, {m['cores']} cores, QEMU {m['qemu']} ({m['accelerator']}), "
          f"backend {backend}, load {m['load']:.1f}, {m['date']}")


def show(report):
    print(f"\n{'round trip':34}{'median us':>11}{'p99 us':>11}{'to edu':>9}")
    edu = report["edu"]["median_us"]
    for name, key in ROWS:
        row = report.get(key)
        if row:
            print(f"{name:34}{row['median_us']:11.2f}{row['p99_us']:11.2f}"
                  f"{row['median_us'] / edu:8.3g}x")
    print("\nrequests a second, by way of waiting and requests in flight:")
    for name, value in report["requests_per_second"].items():
        print(f"  {name:32}{value:11.0f}")
    print(f"\nbytes copied by the host's CPU for each byte of payload: "
          f"{report['host_copied_per_byte']:.3f}")
    print()
    for text, value, limit in (
            ("interrupt path to edu", report["ratios"]["interrupt_to_edu"], 2.0),
            ("polled path to edu", report["ratios"]["polled_to_edu"], 0.5),
            ("host copies a byte", report["host_copied_per_byte"], 0.0)):
        verdict = "reached" if value <= limit else "MISSED"
        print(f"target: {text:24} {value:7.3g}, at most {limit:.1f}: {verdict}")


def write(path, report):
    pathlib.Path(path).write_text(json.dumps(report, indent=2) + "\n")
    print(f"\nthe same as JSON: {path}")
