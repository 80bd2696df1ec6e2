#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two and eight VMs with different weights want the GPU all the time: what each has of it.

Judged by the daemon's account of GPU time alone, over as much of it as it takes: how
fast this machine is, and what else it does, is no matter.
"""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tap  # noqa: E402
from vm import VM, Daemon, wait_until  # noqa: E402

WEIGHTS = (1, 1, 2, 2, 4, 4, 8, 8)
# Seconds of GPU time over which shares are told, all tenants' together: many rounds of
# turns, which take 160 ms.
ENOUGH_S = 4
# A share is right if it is off by less than this factor; all alike would be off by
# 2.5 or more.  Who had no processor for long may be at a loss: then once more.
FACTOR = 1.8
ROUNDS = 5
# So much in the ring that a guest without a processor for a while still wants the GPU.
SIZE, AHEAD = 192, 400


class Shares(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(backend="cpu", tenants={})
        cls.addClassCleanup(cls.daemon.stop)
        for number, weight in enumerate(WEIGHTS):
            cls.weigh(number, weight)
        cls.daemon.start()
        cls.vms = []
        for number in range(len(WEIGHTS)):
            vm = VM(cls.socket(number), f"t{number}", memory="192M").start()
            cls.addClassCleanup(vm.__exit__)
            cls.vms.append(vm)
        for vm in cls.vms:
            vm.ready()

    @classmethod
    def socket(cls, number):
        return cls.daemon.folder / f"t{number}.sock"

    @classmethod
    def weigh(cls, number, weight):
        cls.daemon.tenant(f"t{number}", f"[tenant]\nlevel=medium\nsocket={cls.socket(number)}\n"
                                        f"[limits]\nweight={weight}\n")

    def begin(self, vms):
        """Each at work, with requests waiting."""
        for vm in vms:
            vm.background(f"busy {SIZE} {AHEAD}", "busy")
        had = self.account(vms)
        wait_until("all to have had a turn",
                   lambda: all(b > a for a, b in zip(had, self.account(vms))), pause=0.2)

    def end(self, vms):
        """No call of anybody has failed."""
        for vm in vms:
            vm.check("kill $(pidof busy)")
        for vm in vms:
            result = vm.collect("busy")
            self.assertEqual(result.status, 0, result)
            self.assertIn("none failed", result.output)
            self.assertNotIn("busy: 0 products", result.output)

    def account(self, vms):
        """Seconds of GPU time that each has had."""
        had = {t["name"]: t["usage"]["gpu_seconds"] for t in self.daemon.ctl("tenants")}
        return [had[vm.name] for vm in vms]

    def shares(self, vms):
        """What each has of the next seconds."""
        before = self.account(vms)
        more = []

        def enough():
            more[:] = [b - a for a, b in zip(before, self.account(vms))]
            return sum(more) >= ENOUGH_S
        wait_until("GPU time", enough, pause=0.2)
        return [m / sum(more) for m in more]

    def expect(self, vms, weights):
        for turn in range(ROUNDS):
            had = self.shares(vms)
            wanted = [w / sum(weights) for w in weights]
            words = ", ".join(f"{w}: {h:.3f} of {s:.3f}" for w, h, s in zip(weights, had, wanted))
            print(f"# shares by weight, {words}", flush=True)
            self.assertGreater(min(had), 0)
            if all(s / FACTOR < h < s * FACTOR for h, s in zip(had, wanted)):
                return
        self.fail(f"not as their weights in {ROUNDS} rounds: {words}")

    def test_1_two(self):
        """... and the other way round, by a reload while they work."""
        vms = self.vms[:2]
        self.begin(vms)
        for weights in ((1, 4), (4, 1)):
            for number, weight in enumerate(weights):
                self.weigh(number, weight)
            self.daemon.reload()
            self.expect(vms, weights)
        self.end(vms)

    def test_2_eight(self):
        for number, weight in enumerate(WEIGHTS):
            self.weigh(number, weight)
        self.daemon.reload()
        self.begin(self.vms)
        self.expect(self.vms, WEIGHTS)
        self.end(self.vms)


if __name__ == "__main__":
    tap.main()
