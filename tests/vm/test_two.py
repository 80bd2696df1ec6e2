#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two VMs: one after the other, at once, and under stress with nothing left behind."""

import os
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tap  # noqa: E402
from vm import VM, Daemon, wait_until  # noqa: E402

STRESS_SECONDS = int(os.environ.get("VGPU_STRESS_SECONDS", "60"))
# A shorter time than this tells nothing about who got how much of a busy machine.
FAIR_SECONDS = 30
FAIR_ROUNDS = 3


def operations(output):
    """(operations, errors) from the line that gpu_test stress ends with."""
    match = re.search(r"stress: (\d+) operations, (\d+) errors", output)
    return (int(match.group(1)), int(match.group(2))) if match else (0, -1)


class Two(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()
        cls.addClassCleanup(cls.daemon.stop)

    def workers_gone(self):
        wait_until("all workers gone", lambda: not self.daemon.workers())

    def test_1_one_after_the_other(self):
        for name in ("first", "second"):
            with VM(self.daemon, name) as vm:
                vm.ready()
                vm.check(f"echo I am {name} > /dev/vgpu_stub")
                self.assertIn("1024 elements, 0 errors", vm.check("gpu_test vector_add"))
            self.workers_gone()
            self.assertRegex(self.daemon.log(), rf"vm={name}\b.*I am {name}")

    def test_2_at_the_same_time(self):
        with VM(self.daemon, "left") as left, VM(self.daemon, "right") as right:
            for vm in (left, right):
                vm.ready()
            for turn in range(3):
                for seed, vm in enumerate((left, right), 1):
                    vm.send(f"gpu_test vector_add --size 300000 --seed {seed + turn} "
                            f"&& gpu_test matmul --dims 96x64x80 --seed {seed + turn}")
                for vm in (left, right):
                    result = vm.finish()
                    self.assertEqual(result.status, 0, result)
                    self.assertIn("300000 elements, 0 errors", result.output)

    def stress(self, vms, seconds, seed):
        """Operations of each VM, under stress at the same time, without any error."""
        counts = []
        for vm in vms:
            vm.send(f"gpu_test stress --seconds {seconds} --seed {seed}")
            seed += 1
        for vm in vms:
            result = vm.finish(seconds + 300)
            self.assertEqual(result.status, 0, result)
            count, errors = operations(result.output)
            self.assertEqual(errors, 0)
            counts.append(count)
        print(f"# stress, {seconds} s in two VMs at once: {counts[0]} and {counts[1]} operations")
        return counts

    def test_3_stress_in_both(self):
        seconds = STRESS_SECONDS
        with VM(self.daemon, "left") as left, VM(self.daemon, "right") as right:
            for vm in (left, right):
                vm.ready()
                vm.check("gpu_test stress --seconds 2")
            self.workers_gone()
            descriptors, memory = self.daemon.descriptors(), self.daemon.memory_kib()
            counts = self.stress((left, right), seconds, 1)
            # What else the host does may hit one VM more: then over a longer time.
            for turn in range(1, FAIR_ROUNDS):
                if seconds < FAIR_SECONDS or min(counts) >= 0.4 * sum(counts):
                    break
                more = self.stress((left, right), seconds, 2 * turn + 1)
                counts = [a + b for a, b in zip(counts, more)]
            self.assertGreater(min(counts), 0)
            if seconds >= FAIR_SECONDS:
                self.assertGreaterEqual(min(counts), 0.4 * sum(counts))
            self.workers_gone()
            wait_until("the daemon's descriptors back to what they were",
                       lambda: self.daemon.descriptors() <= descriptors)
            grown = self.daemon.memory_kib() - memory
            print(f"# the daemon's private memory: {memory} KiB before, {grown:+} KiB after")
            self.assertLess(grown, 4096)


if __name__ == "__main__":
    tap.main()
