#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole path from guests to a real GPU; exits 77 where there is none.

Runs from the tree or from the bundle that ./run bundle makes.  The conformance
suite of the cuda backend first, then VMs: info, vector_add, matmul, bandwidth,
two at once, stress in both.
"""

import os
import pathlib
import re
import subprocess
import sys
import unittest

os.environ.setdefault("VGPU_QEMU", "graft")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vm"))
import tap  # noqa: E402
from vm import HOST, VM, Daemon  # noqa: E402


class GpuPath(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(backend="cuda").start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.vms = []
        for name in ("left", "right"):
            vm = VM(cls.daemon, name, memory="2G").start()
            cls.addClassCleanup(vm.stop)
            cls.vms.append(vm)
        for vm in cls.vms:
            vm.ready()

    def both(self, command, seconds=300):
        for seed, vm in enumerate(self.vms, 1):
            vm.send(command.format(seed=seed))
        for vm in self.vms:
            result = vm.finish(seconds)
            for line in result.output.strip().splitlines():
                print(f"# {vm.name}: {line.rstrip()}")
            self.assertEqual(result.status, 0, result)
            yield result.output

    def test_1_info(self):
        for out in self.both("gpu_test info"):
            self.assertIn("cuda", out)

    def test_2_self_test(self):
        for out in self.both("gpu_test vector_add"):
            self.assertIn("Vector add passed: 1024 elements, 0 errors", out)

    def test_3_vector_add(self):
        for out in self.both("gpu_test vector_add --size 16777216 --seed {seed}"):
            self.assertIn("16777216 elements, 0 errors", out)

    def test_4_matmul(self):
        list(self.both("gpu_test matmul --dims 1000x515x777 --seed {seed}"))

    def test_5_bandwidth(self):
        list(self.both("gpu_test bandwidth --size 268435456 --repeat 5"))

    def test_6_stress(self):
        counts = []
        for out in self.both("gpu_test stress --seconds 20 --seed {seed}"):
            match = re.search(r"stress: (\d+) operations, 0 errors", out)
            self.assertTrue(match, out)
            counts.append(int(match.group(1)))
        self.assertGreaterEqual(min(counts), 0.4 * sum(counts))

    def test_7_status(self):
        """Nothing of all that was copied by the host's CPU in a session of its own."""
        list(self.both("gpu_test status"))


if __name__ == "__main__":
    if subprocess.run([str(HOST / "mediator" / "gpu_mediator-worker"), "--probe",
                       "--backend", "cuda"],
                      check=False).returncode != 0:
        print("no usable NVIDIA GPU on this machine (the worker's probe says why): skipped")
        sys.exit(77)
    tap.main()
