#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose sessions fail is shut out, reads why, and is let in again; another's works on."""

import os
import pathlib
import signal
import sys
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent),
                str(pathlib.Path(__file__).resolve().parents[1] / "cuda")]
import programs  # noqa: E402
import tap  # noqa: E402
from test_two import operations  # noqa: E402
from vm import VM, Daemon, wait_until  # noqa: E402

REASON = "the tenant is quarantined as its sessions failed too often, for another "
REFUSAL = "/sys/class/vgpu_stub/vgpu_stub/refusal"
# More than a command may take that is not too long.
LONGEST = "longest-kernel=100ms\nmemory=1G\n"


class Quarantine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(backend="cpu", tenants={})
        cls.addClassCleanup(cls.daemon.stop)
        for name in ("good", "bad"):
            cls.write(name, "")
        cls.daemon.start()
        initrd = programs.driver_initrd(cls.daemon.folder)
        cls.cuda = initrd is not None
        cls.good = cls.enterClassContext(VM(cls.socket("good"), "good"))
        cls.bad = cls.enterClassContext(VM(cls.socket("bad"), "bad", initrd=initrd))
        for vm in (cls.good, cls.bad):
            vm.ready()

    @classmethod
    def socket(cls, name):
        return cls.daemon.folder / f"{name}.sock"

    @classmethod
    def write(cls, name, more):
        cls.daemon.tenant(name, f"[tenant]\nlevel=medium\nsocket={cls.socket(name)}\n{more}")

    def change(self, more):
        self.write("bad", more)
        self.daemon.reload()

    def setUp(self):
        """Whatever the bad one does, the good one works."""
        self.good.background("while [ ! -e /tmp/enough ]; do "
                             "gpu_test stress --seconds 2 || exit 1; done", "work")

    def tearDown(self):
        self.good.check("touch /tmp/enough")
        result = self.good.collect("work")
        self.good.check("rm /tmp/enough")
        self.assertEqual(result.status, 0, result)
        self.assertGreater(operations(result.output)[0], 0)
        self.assertIsNone(self.daemon.process.poll())
        for vm in (self.good, self.bad):
            self.assertNotIn("Call Trace", vm.console())

    def tenant(self, name="bad"):
        return self.daemon.ctl("tenants", name)[0]

    def audit(self, kind):
        """The lines of a kind about the bad one."""
        return [line for line in self.daemon.audit()
                if line["kind"] == kind and line.get("tenant") == "bad"]

    def events(self):
        return [line["details"]["event"] for line in self.audit("quarantine")]

    # -------------------------------------------------------------- its faults
    def too_long(self):
        result = self.bad.run("busy 4096 1 1 2>&1")
        self.assertEqual(result.status, 1, result)

    def crash(self):
        theirs = {s["pid"] for s in self.daemon.ctl("sessions", "bad")}
        self.bad.background("busy", "victim")

        def more():
            return {s["pid"] for s in self.daemon.ctl("sessions", "bad")
                    if s["state"] == "running"} - theirs
        os.kill(wait_until("the victim's worker", more).pop(), signal.SIGABRT)
        self.assertIn("Input/output error", self.bad.collect("victim").output)

    def lost_context(self):
        self.assertIn("error.illegal_address: ok",
                      self.bad.check("/opt/cuda/driver_tests error.illegal_address"))

    # ------------------------------------------------------------------- cases
    def test_1_shut_out_and_lifted(self):
        kinds = ["kernel-time", "crash", *["gpu-error"] * self.cuda, "queue"]
        self.change(f"[limits]\n{LONGEST}[faults]\nfaults={len(kinds)}\nwithin=1h\nquarantine=1h\n")
        self.bad.hold_session()
        for kind, act in (("kernel-time", self.too_long), ("crash", self.crash),
                          ("gpu-error", self.lost_context)):
            if kind in kinds:
                act()
                wait_until(f"a fault: {kind}", lambda k=kind: self.tenant()["faults"][k] == 1)
        self.assertEqual(self.events(), [])
        self.bad.check("gpu_test vector_add")    # so many are nothing yet
        # The rest is an attack that goes on until nobody answers.
        self.bad.run("hostile user-rings")
        self.expect_shut_out()
        self.assertEqual({k for k, n in self.tenant()["faults"].items() if n}, set(kinds))
        self.assertLessEqual(set(kinds) - {"queue"},
                             {f["details"]["fault"] for f in self.audit("fault")})
        self.assertEqual(self.bad.work_again().count("NOP command successful"), 2)
        self.assertFalse(self.tenant("good")["quarantine"]["active"])
        self.daemon.ctl("quarantine", "bad", "lift")
        self.assertIn("1024 elements, 0 errors", self.bad.check("gpu_test vector_add"))
        self.assertEqual(self.bad.check(f"cat {REFUSAL}").strip(), "")
        self.assertEqual(self.events(), ["begun", "lifted"])

    def expect_shut_out(self):
        """What the guest reads, wherever it looks."""
        vm = self.bad
        for command in ("gpu_test nop", "gpu_test vector_add", "vgpu-smi"):
            result = vm.run(f"{command} 2>&1")
            self.assertEqual(result.status, 1, result)
            self.assertIn(REASON, result.output)
        self.assertIn(REASON, vm.check("dmesg"))
        self.assertIn(REASON, vm.check(f"cat {REFUSAL}"))
        self.assertIn("Permission denied", vm.run("( echo NOP >/dev/vgpu_stub ) 2>&1").output)
        if self.cuda:
            result = vm.run("/opt/cuda/driver_tests classes.any")
            self.assertIn("100, CUDA_ERROR_NO_DEVICE", result.output)
        self.assertTrue(self.tenant()["quarantine"]["active"])
        self.assertEqual(self.tenant()["quarantine"]["by"], "faults")
        self.assertEqual(self.events(), ["begun"])
        # So many lines a second and no more, and an attack makes many.
        wait_until("a line about it", lambda: vm.run("gpu_test nop").status == 1 and "quarantined"
                   in [line["cause"] for line in self.audit("session-refused")], pause=0.1)

    def test_2_ends_by_itself(self):
        self.change("[faults]\nfaults=1\nquarantine=3s\nquarantine-most=3s\n")
        before = len(self.events())
        self.crash()
        wait_until("the quarantine", lambda: self.events()[before:before + 1] == ["begun"])
        wait_until("a session again", lambda: self.bad.run("gpu_test nop").status == 0, pause=0.1)
        self.assertEqual(self.events()[before:], ["begun", "ended"])
        self.assertIn("1024 elements, 0 errors", self.bad.check("gpu_test vector_add"))


if __name__ == "__main__":
    tap.main()
