#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""./run demo: two VMs hand their own data to the host at once and get the sum back."""

import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from vm import VM, Daemon, Failure, accelerator  # noqa: E402

began = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - began:4.0f}s] {text}", flush=True)


def show(vm, output):
    for line in output.strip().splitlines():
        print(f"        {vm.name}: {line.strip()}", flush=True)


# Own data, different in each VM, made in the guest and kept in files there.
WORK = """
gpu_test vector_add --size 1048576 --seed {seed} --output /tmp/sum.f32 &&
gpu_test matmul --dims 192x160x128 --seed {seed} &&
ls -l /tmp/sum.f32 | awk '{{ print "the sum: " $5 " bytes in " $9 }}'
"""


def demo():
    with Daemon() as daemon:
        backend = re.search(r"backend[ =]+(\w+)", daemon.log())
        say(f"gpu_mediator runs, backend {backend.group(1) if backend else '?'}")
        with VM(daemon, "vm1") as one, VM(daemon, "vm2") as two:
            say(f"booting two VMs ({accelerator()}), each with a 1af4:1111 device")
            for vm in (one, two):
                vm.ready()
            say("both are up; what a VM sees:")
            show(one, one.check("lspci -nn -d 1af4:1111; ls -l /dev/vgpu_stub"))
            say("a line of text to each device, and a NOP:")
            for vm in (one, two):
                vm.check(f"echo hello from {vm.name} > /dev/vgpu_stub")
                show(vm, vm.check("gpu_test nop"))
            say("both at once: a million floats each added by the host, and a matrix product")
            for seed, vm in enumerate((one, two), 1):
                vm.send(WORK.format(seed=seed))
            for vm in (one, two):
                result = vm.finish(300)
                show(vm, result.output)
                if result.status != 0:
                    raise Failure(f"{vm.name} failed with {result.status}")
            say("what the host says it ran on:")
            show(one, one.check("gpu_test info"))
        say("the daemon's log has each VM by its name:")
        for line in daemon.log().splitlines():
            if "hello from" in line:
                print(f"        {line}")
    say("done: two VMs used one host's device, and neither owns it")


if __name__ == "__main__":
    try:
        demo()
    except Failure as failure:
        print(f"demo: {failure}", file=sys.stderr)
        sys.exit(1)
