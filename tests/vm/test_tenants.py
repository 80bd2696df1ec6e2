#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who a VM is: by its socket, by its user, nobody; what its guest reads of it."""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tap  # noqa: E402
from vm import VM, Daemon, wait_until  # noqa: E402

STRANGER = 54321
CONFIG = "[daemon]\nsocket-mode=0666\n"
REFUSAL = "no tenant: the host does not know user 0; its administrator must name it in a " \
          "tenant's file (users=0) or give the VM a socket of its own"


class Tenants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(config=CONFIG, tenants={"gamma": f"[tenant]\nusers={STRANGER}\n"})
        cls.daemon.folder.chmod(0o711)
        for name in ("alpha", "beta"):
            cls.daemon.tenant(name, f"[tenant]\nlevel=low\nsocket={cls.socket(name)}\n"
                                    "[limits]\nsessions=2\n")
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.stop)

    @classmethod
    def socket(cls, name):
        return cls.daemon.folder / f"{name}.sock"

    def expect_tenant(self, vm, tenant):
        self.assertRegex(self.daemon.log(), rf"vm={vm}\b.* device connected: .* tenant {tenant}\n")

    def test_1_by_socket(self):
        # What it is called is no matter: alpha's VM says that it is beta.
        with VM(self.socket("alpha"), "beta") as one, VM(self.socket("beta"), "second") as two:
            for vm in (one, two):
                vm.ready()
                self.assertIn("1024 elements, 0 errors", vm.check("gpu_test vector_add"))
            self.expect_tenant("beta", "alpha")
            self.expect_tenant("second", "beta")
            # Each has its own sessions: one that has all it may does not take from the other.
            one.check("exec 8<>/dev/vgpu_stub 9<>/dev/vgpu_stub; "
                      "gpu_test nop 2>&1 | grep -q 'the tenant has the 2 sessions that it may "
                      "have' && ! gpu_test nop")
            self.assertIn("1024 elements, 0 errors", two.check("gpu_test vector_add"))
            self.assertIn("1024 elements, 0 errors", one.check("gpu_test vector_add"))

    @unittest.skipUnless(os.getuid() == 0, "only root can start QEMU as another user")
    def test_2_by_user(self):
        with VM(self.daemon, "third", user=STRANGER) as vm:
            vm.ready()
            self.assertIn("1024 elements, 0 errors", vm.check("gpu_test vector_add"))
            self.expect_tenant("third", "gamma")

    @unittest.skipUnless(os.getuid() == 0, "the reason names user 0")
    def test_3_nobody(self):
        with VM(self.daemon, "nobody") as vm:
            vm.ready()
            wait_until("the refusal", lambda: REFUSAL in vm.check("dmesg"))
            self.assertIn(REFUSAL, vm.check("cat /sys/class/vgpu_stub/vgpu_stub/refusal"))
            for command in ("status", "nop", "vector_add"):
                result = vm.run(f"gpu_test {command} 2>&1")
                self.assertEqual(result.status, 1, result)
                self.assertIn(f"the host refuses: {REFUSAL}", result.output)
            self.assertRegex(self.daemon.log(), r"vm=nobody\b.* device refused: no tenant: ")
            self.assertIn("Connection refused", vm.run("echo hello > /dev/vgpu_stub 2>&1").output)
            # The administrator does what it says; the device comes by itself.
            self.daemon.tenant("delta", "[tenant]\nusers=0\n")
            self.daemon.reload()
            wait_until("the device", lambda: vm.run("gpu_test nop").status == 0)
            self.expect_tenant("nobody", "delta")
            self.assertEqual(vm.check("cat /sys/class/vgpu_stub/vgpu_stub/refusal").strip(), "")
            # And takes it back while work runs.
            vm.background("gpu_test stress --seconds 600", "stress")
            wait_until("a session", self.daemon.workers)
            self.daemon.tenant("delta", None)
            self.daemon.reload()
            self.assertNotEqual(vm.collect("stress").status, 0)
            wait_until("no session", lambda: not self.daemon.workers())
            wait_until("the refusal", lambda: REFUSAL in vm.run("gpu_test nop 2>&1").output)


if __name__ == "__main__":
    tap.main()
