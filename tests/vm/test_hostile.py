#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A hostile guest beside a working one: each attack is refused or contained."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tap  # noqa: E402
from test_two import operations  # noqa: E402
from vm import VM, Daemon, wait_until  # noqa: E402

ATTACKS = ("registers", "queues", "rings", "requests", "buffers", "flips",
           "user-rings", "user-ioctls", "user-maps", "user-buffers", "user-files")


class Hostile(unittest.TestCase):
    """One attacker and one bystander for all; the bystander works through each attack."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.attacker = VM(cls.daemon, "attacker").start()
        cls.addClassCleanup(cls.attacker.stop)
        cls.bystander = VM(cls.daemon, "bystander").start()
        cls.addClassCleanup(cls.bystander.stop)
        cls.attacker.ready()
        cls.bystander.ready()
        wait_until("no worker left of the start", lambda: not cls.daemon.workers())
        cls.descriptors = cls.daemon.descriptors()

    def attack(self, name):
        self.bystander.background("gpu_test stress --seconds 3", "work")
        result = self.attacker.run(f"hostile {name}", 180)
        for line in result.output.splitlines():
            if not line.startswith(("ok ", "hostile: 0 ")):
                print(f"# {line.rstrip()}")
        self.assertEqual(result.status, 0)
        self.assertGreater(result.output.count("ok "), 0)
        bystander = self.bystander.collect("work", 60)
        self.assertEqual(bystander.status, 0, bystander)
        count, errors = operations(bystander.output)
        self.assertGreater(count, 0)
        self.assertEqual(errors, 0)
        # The attacker is its own victim at most, and not for long.
        wait_until("the attacker's device to work again",
                   lambda: self.attacker.run("gpu_test vector_add").status == 0, pause=0.2)
        self.assertIsNone(self.daemon.process.poll())
        self.assertIsNone(self.attacker.process.poll())
        for vm in (self.attacker, self.bystander):
            for bad in ("Call Trace", "BUG:", "Oops"):
                self.assertNotIn(bad, vm.console())

    def test_z_nothing_left(self):
        """After all attacks: no worker, no descriptor more than before."""
        wait_until("all workers gone", lambda: not self.daemon.workers())
        wait_until("the daemon's descriptors back to what they were",
                   lambda: self.daemon.descriptors() <= self.descriptors)


for attack_name in ATTACKS:
    setattr(Hostile, f"test_{attack_name.replace('-', '_')}",
            lambda self, name=attack_name: self.attack(name))


if __name__ == "__main__":
    tap.main()
