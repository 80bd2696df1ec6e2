#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""./run bench --xen: the same as bench.py in guests of a real Xen, one for each shell.

The shells are the device in the guest's device model and vgpu-stub-xen beside
an unchanged one.  The reference, QEMU's edu, sits in the same guest, in its
device model.  dom0 and the guest have a processor each, as on a real machine:
with one for both, nobody can poll.  The machine is emulated, so that entering
and leaving a guest takes a hundred times as long as it should: the ratios say
something, the times do not.
"""

import json
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "xen"))
import figures  # noqa: E402
from xen import SOCKET, Domain, Failure, Host, in_qemu  # noqa: E402

EDU = ["-device", "edu"]
COUNT = 1000
QUEUES = 8      # a driver that is bound again takes as many interrupts of 32 again (Linux 6.1)


def in_device_model(host):
    device = in_qemu(f"queues={QUEUES}")
    device["arguments"] += EDU
    return Domain(host, "bench-dm", **device).create()


def beside_it(host):
    domain = Domain(host, "bench-emu", arguments=EDU).create("-p")
    host.check(f"vgpu-stub-xen --daemon --domid {domain.domid} --socket {SOCKET} "
               f"--queues {QUEUES}")
    host.check(f"xl unpause {domain.domid}")
    return domain


SHELLS = {"qemu": in_device_model, "emulator": beside_it}


def daemon_counters(host, name):
    """What the daemon's log says that all sessions of a domain moved, in bytes."""
    out = {}
    for line in host.log().splitlines():
        if f"vm={name} " in line and "session ended" in line:
            for key in ("bytes_in", "bytes_out", "host_copied"):
                out[key] = out.get(key, 0) + int(re.search(rf"{key}=(\d+)", line).group(1))
    return out


def check_copies(report, moved):
    """The worker's own count is worth something if it saw the payload pass at all."""
    payload = moved.get("bytes_in", 0) + moved.get("bytes_out", 0)
    if payload < report["payload_bytes"]:
        raise Failure(f"{report['payload_bytes']} bytes were sent, the daemon knows of {payload}")
    if moved["host_copied"] < report["host_copied_bytes"]:
        raise Failure(f"the guest was told of {report['host_copied_bytes']} copied bytes, "
                      f"the daemon of {moved['host_copied']}")


def measure(host, shell):
    domain = SHELLS[shell](host)
    try:
        domain.ready()
        domain.check("insmod /lib/modules/edu_rtt.ko")
        report = json.loads(domain.check(f"vgpu_bench --count {COUNT}", 1800))
    finally:
        domain.destroy()
    report["daemon_counters"] = daemon_counters(host, domain.name)
    check_copies(report, report["daemon_counters"])
    report["ratios"] = figures.ratios(report)
    if not report["ratios"]:
        raise Failure(f"{shell}: no edu round trip was measured; is edu_rtt.ko loaded?")
    return report


def machine():
    qemu = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True,
                          check=True).stdout
    return figures.machine(re.search(r"version (\S+)", qemu).group(1), "tcg, Xen in it")


def main():
    report = {"machine": machine(), "shells": {}}
    with Host(cpus=2) as host:
        host.ready()
        host.start_mediator(more="[daemon]\nsocket-group=vgpu\n")
        for shell in SHELLS:
            report["shells"][shell] = measure(host, shell)
    figures.show_machine(report["machine"], "cpu")
    for shell, of_it in report["shells"].items():
        print(f"\n{'-' * 20} {shell} {'-' * 20}")
        figures.show(of_it)
    if len(sys.argv) > 1:
        figures.write(sys.argv[1], report)


if __name__ == "__main__":
    try:
        main()
    except unittest.SkipTest as skip:
        print(f"bench: {skip}", file=sys.stderr)
        sys.exit(77)
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        sys.exit(1)
