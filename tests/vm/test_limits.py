#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a VM may do and have of the GPU, seen from its guest, while that changes."""

import json
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tap  # noqa: E402
from vm import VM, Daemon, wait_until  # noqa: E402

MIB = 1 << 20
ALLOWED = {"untrusted": ["builtin"], "low": ["builtin", "memory", "kernels"]}
ALLOWED["medium"] = ALLOWED["high"] = ["builtin", "memory", "kernels", "graphs", "callbacks",
                                       "pinned"]
ALLOWED["system"] = ALLOWED["medium"] + ["admin"]
MEMORY = {"untrusted": 128, "low": 256, "medium": 512, "high": 1024, "system": 2048}


class Limits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(backend="cpu", tenants={})
        cls.daemon.tenant("vm1", cls.text("level=untrusted\n"))
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.vm = cls.enterClassContext(VM(cls.daemon, "limited"))
        cls.vm.ready()

    @classmethod
    def text(cls, more):
        return f"[tenant]\nusers={os.getuid()}\n{more}"

    def change(self, more):
        self.daemon.tenant("vm1", self.text(more))
        self.daemon.reload()

    def smi(self):
        return json.loads(self.vm.check("vgpu-smi --json"))

    def test_1_smi(self):
        for level, allowed in ALLOWED.items():
            self.change(f"level={level}\n")
            seen = self.smi()
            self.assertEqual(seen["allowed"], allowed, level)
            self.assertEqual(seen["memory_limit"], MEMORY[level] * MIB, level)
        table = self.vm.check("vgpu-smi")
        self.assertIn("host CPU (cpu)", table)
        self.assertIn("ok", table)

    def test_2_no_commands(self):
        self.change("[allowed]\nclasses=memory\n")
        for command in ("vector_add", "matmul", "bandwidth", "info"):
            self.assertIn("Operation not permitted",
                          self.vm.check(f"gpu_test {command} 2>&1 || true"), command)
        # Neither by the registers, nor with a bare echo.
        self.assertIn("not permitted", self.vm.check("echo VECTOR_ADD 2>&1 >/dev/vgpu_stub "
                                                     "|| true"))
        self.assertIn("NOP command successful", self.vm.check("gpu_test nop"))
        self.assertIn("Status: ready", self.vm.check("gpu_test status"))
        wait_until("word of it in the log", lambda: "refused: " in self.daemon.log())
        self.change("")
        self.assertIn("1024 elements, 0 errors", self.vm.check("gpu_test vector_add"))

    def test_3_memory(self):
        self.change("[limits]\nmemory=1M\n")
        self.assertIn("Cannot allocate memory",
                      self.vm.check("gpu_test bandwidth --size 4M 2>&1 || true"))
        self.vm.check("gpu_test bandwidth --size 512K")
        self.change("[limits]\nmemory=8M\n")
        self.vm.check("gpu_test bandwidth --size 4M")

    def test_4_rate(self):
        """Stress under a rate: slower, and nothing fails."""
        self.change("[limits]\ncalls-per-second=100\ncalls-burst=10\n")
        self.assertIn("0 errors", self.vm.check("gpu_test stress --seconds 3"))
        self.change("")

    def test_5_reload_under_load(self):
        """Limits that change all the time while the guest works: no error that need not be."""
        self.vm.check("gpu_test stress --seconds 15 >/tmp/stress 2>&1 & echo $! >/tmp/pid")
        for i in range(20):
            self.change(("", "[limits]\nmemory=64M\nweight=3\n",
                         "[limits]\ncalls-per-second=100000\ncap=50%\n")[i % 3])
        self.vm.check("while kill -0 $(cat /tmp/pid) 2>/dev/null; do sleep 1; done")
        self.assertIn("0 errors", self.vm.check("cat /tmp/stress"))


if __name__ == "__main__":
    tap.main()
