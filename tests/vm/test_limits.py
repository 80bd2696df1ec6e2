#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a VM may do and have of the GPU, seen from its guest, while that changes."""

import json
import os
import pathlib
import sys
import time
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent),
                str(pathlib.Path(__file__).resolve().parents[1] / "cuda")]
import programs  # noqa: E402
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
        initrd = programs.driver_initrd(cls.daemon.folder)
        cls.vm = cls.enterClassContext(VM(cls.daemon, "limited", initrd=initrd))
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

    def usage(self):
        return self.daemon.ctl("tenants", "vm1")[0]["usage"]

    def used(self, key, command):
        """What a command in the guest has used by the account, and no less than the seconds
        that it took."""
        before, began = self.usage()[key], time.monotonic()
        output = self.vm.check(command)
        return self.usage()[key] - before, time.monotonic() - began, output

    def test_4_rate(self):
        """Stress under a rate: slower, and nothing fails."""
        self.change("[limits]\ncalls-per-second=100\ncalls-burst=10\n")
        waited = self.usage()["throttled_seconds"]
        calls, seconds, output = self.used("calls", "gpu_test stress --seconds 3")
        self.assertIn(" 0 errors", output)
        self.assertLessEqual(calls, 10 + 100 * seconds)
        self.change("[limits]\nbytes-per-second=4M\nbytes-burst=1M\n")
        moved, seconds, _ = self.used("bytes", "gpu_test bandwidth --size 1M --repeat 4")
        self.assertGreater(moved, 4 * MIB)
        # One request may be beyond it: 2 MiB for each of its repetitions, there and back.
        self.assertLessEqual(moved, 4 * MIB * seconds + (1 + 2 * 4) * MIB)
        self.assertGreater(self.usage()["throttled_seconds"], waited)
        self.change("")

    def test_5_reload_under_load(self):
        """Limits that change all the time while the guest works: no error that need not be."""
        self.vm.check("gpu_test stress --seconds 15 >/tmp/stress 2>&1 & echo $! >/tmp/pid")
        for i in range(20):
            self.change(("", "[limits]\nmemory=64M\nweight=3\n",
                         "[limits]\ncalls-per-second=100000\ncap=50%\n")[i % 3])
        self.vm.check("while kill -0 $(cat /tmp/pid) 2>/dev/null; do sleep 1; done")
        self.assertIn(" 0 errors", self.vm.check("cat /tmp/stress"))

    @unittest.skipUnless(programs.DRIVER_TESTS.exists(), "no CUDA programs without nvcc")
    def test_6_cuda_memory(self):
        """By every way that CUDA has the guest reads that there is no more, and goes on."""
        for mib in (48, 96):
            self.change(f"level=high\n[limits]\nmemory={mib}M\n")
            output = self.vm.check("/opt/cuda/driver_tests exhaustion.every_way query.nvml_memory")
            for case in ("exhaustion.every_way", "query.nvml_memory"):
                self.assertIn(f"{case}: ok", output)
            self.assertIn(f"NVML: {mib * MIB} bytes", output)
            self.assertIn(f"CUDA: {mib * MIB}, ", output)
            # What it was refused cost nothing, and what it had went with it.
            wait_until("its memory given back", lambda: self.usage()["memory_bytes"] == 0)
            causes = [line["cause"] for line in self.daemon.audit()
                      if line["kind"] == "limit-reached"]
            self.assertIn("memory", causes)

    def test_7_sessions_and_queue_depth(self):
        """How many there may be and how deep: the guest reads which limit it is."""
        self.change("[limits]\nsessions=1\n")
        self.vm.hold_session()
        output = self.vm.run("gpu_test nop 2>&1").output
        self.assertIn("the host refuses: the tenant has the 1 sessions that it may have", output)
        self.assertEqual(self.vm.work_again().count("NOP command successful"), 2)
        self.change("[limits]\nqueue-depth=1024\n")
        result = self.vm.run("gpu_test nop 2>&1")
        self.assertEqual(result.status, 1, result)
        self.assertIn("the host refuses: the tenant's queues may not be so deep", result.output)
        slots = "/sys/module/vgpu_stub/parameters/slots"
        self.vm.check(f"echo 1024 >{slots}; gpu_test nop; echo 2048 >{slots}")
        self.change("")
        self.vm.check("gpu_test nop")

    def test_8_cap(self):
        """A share of the clock's time that it never exceeds, though nobody else is there."""
        self.change("[limits]\ncap=20%\n")
        before, began = self.usage()["gpu_seconds"], time.monotonic()
        self.vm.background("busy", "busy")
        wait_until("GPU time", lambda: self.usage()["gpu_seconds"] - before > 0.6, pause=0.1)
        had = self.usage()["gpu_seconds"] - before
        seconds = time.monotonic() - began
        print(f"# {had:.2f} s of GPU time in {seconds:.2f} s", flush=True)
        # Besides it a burst and a command that began at its end.
        self.assertLessEqual(had, 0.2 * seconds + 0.2)
        self.vm.check("kill $(pidof busy)")
        self.assertIn("none failed", self.vm.collect("busy").output)
        self.change("")


if __name__ == "__main__":
    tap.main()
