#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The device in an xl guest's device model, on a real Xen: commands, and the life of a domain."""

import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import cuda_program  # noqa: E402
import hostile  # noqa: E402
from xen import Domain, Host, SOCKET, in_qemu, quote, wait_until  # noqa: E402
import tap  # noqa: E402

ADDED = "Vector add passed: 1024 elements, 0 errors"


class DeviceModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = Host().__enter__()
        cls.addClassCleanup(cls.host.__exit__, None, None, None)
        cls.host.ready()
        cls.host.start_mediator()
        cls.vm = Domain(cls.host, "alpha", **in_qemu()).create().ready()

    def line_with(self, text):
        return wait_until(f"{text} in the daemon's log", lambda: next(
            (x for x in self.host.log().splitlines() if text in x), None), 30, 0.3)

    def begin_stress(self, vm, seconds):
        """Starts it and returns once its session has begun; vm.collect("stress") ends it."""
        begun = self.host.log().count("session started")
        vm.background(f"gpu_test stress --seconds {seconds}", "stress")
        wait_until("the session's begin", lambda: self.host.log().count(
            "session started") > begun, 60, 0.3)

    def interrupts(self, vm):
        """How many came by MSI-X of the device, by Xen's or the kernel's own way."""
        lines = re.findall(r"^ *\d+: +(\d+) .*msi-x.*vgpu", vm.check("cat /proc/interrupts"),
                           re.M | re.I)
        return sum(map(int, lines))

    def test_1_lspci(self):
        out = self.vm.check("lspci -nn -vv -d 1af4:1111")
        self.assertIn("[1af4:1111]", out)
        self.assertRegex(out, r"Region 0: Memory at .*\[size=4K\]")
        self.assertRegex(out, r"MSI-X: Enable\+")
        self.assertIn("Kernel driver in use: vgpu_stub", out)

    def test_2_text_reaches_the_log_in_dom0(self):
        self.vm.check("echo TEST > /dev/vgpu_stub")
        line = self.line_with('"TEST"')
        self.assertIn("vm=alpha", line)
        self.assertRegex(line, r"session=\d+ request=\d+")

    def test_3_each_gpu_test_command(self):
        self.assertIn("NOP command successful", self.vm.check("gpu_test nop"))
        self.assertIn(ADDED, self.vm.check("gpu_test vector_add"))
        self.vm.check("gpu_test matmul --dims 67x33x129")
        self.vm.check("gpu_test bandwidth --size 4194304")
        self.assertIn("cpu", self.vm.check("gpu_test info"))
        self.vm.check("gpu_test status")
        before = self.interrupts(self.vm)
        self.vm.check("gpu_test stress --seconds 5")
        self.assertGreater(self.interrupts(self.vm), before)

    def test_3b_cuda_program(self):
        cuda_program.check(self, self.vm)

    def test_4_no_session_is_by_registers(self):
        """With the memory of the domain mapped there is no need for them."""
        self.assertNotIn("queue registers", self.host.log())

    def test_5_two_domains_at_once(self):
        # Few queues: each attack has the driver bound again, which in Linux 6.1 takes new
        # interrupts of 32 each time.
        type(self).beta = second = Domain(
            self.host, "beta", vcpus=2, **in_qemu("queues=2")).create().ready()
        for vm in (self.vm, second):
            vm.background("gpu_test stress --seconds 10", "stress")
        for vm in (self.vm, second):
            result = vm.collect("stress", 180)
            self.assertEqual(result.status, 0, result)
            self.assertRegex(result.output, r"stress: [1-9]\d* operations, 0 errors")
        second.check("echo I am beta > /dev/vgpu_stub")
        self.assertIn("vm=beta", self.line_with("I am beta"))

    def test_5b_hostile_guest(self):
        """A guest without a driver that attacks; its neighbour does not notice."""
        self.addCleanup(self.beta.destroy)
        slot = self.beta.check("lspci -D -d 1af4:1111").split()[0]
        hostile.attack(self, self.beta, self.vm, self.begin_stress, slot)

    def test_6_daemon_restart(self):
        """Work goes on without a daemon, and new work with the next one."""
        self.begin_stress(self.vm, 10)
        # The log knows before the guest does; what the guest asks for now is answered later.
        self.vm.check("gpu_test nop")
        self.host.kill_mediator()
        self.host.start_mediator()
        result = self.vm.collect("stress", 180)
        self.assertEqual(result.status, 0, result)
        self.assertIn(" 0 errors", result.output)
        wait_until("the device's return", lambda: self.vm.run("gpu_test nop").status == 0, 60, 1)

    def sandboxed(self, name):
        """A guest whose device model can reach no path once it runs; its user id is the
        domain's number and this much."""
        self.host.check("grep -q xen-qemuuser /etc/passwd || printf '%s\\n' "
                        "xen-qemuuser-range-base:x:65535:65535::/:/bin/false "
                        "xen-qemuuser-reaper:x:65534:65534::/:/bin/false >>/etc/passwd")
        sandbox = pathlib.Path(__file__).with_name("sandbox").read_text()
        self.host.check(f"printf %s {quote(sandbox)} >/tmp/sandbox; chmod +x /tmp/sandbox")
        return Domain(self.host, name, arguments=in_qemu()["arguments"], config=(
            'device_model_override = "/tmp/sandbox"\ndm_restrict = 1'))

    def test_65_sandbox(self):
        """As XCP-ng's, but for its filter of system calls: work, and the way back to a daemon
        that was restarted."""
        vm = self.sandboxed("delta").create().ready()
        self.addCleanup(vm.destroy)
        pid, uid = vm.device_model(), 65535 + vm.domid
        status = self.host.check(f"cat /proc/{pid}/status /proc/{pid}/limits")
        self.assertRegex(status, rf"Uid:\s+{uid}\s+{uid}\s+{uid}\s+{uid}")
        self.assertRegex(status, r"Max file size +1048576 +1048576 ")
        self.assertNotEqual(self.host.check(f"readlink /proc/{pid}/root").strip(), "/")
        self.assertEqual(self.host.run(f"ls /proc/{pid}/root{SOCKET} 2>/dev/null").status, 1)
        self.assertNotEqual(self.host.check(f"readlink /proc/{pid}/ns/net"),
                            self.host.check("readlink /proc/1/ns/net"))
        vm.check("gpu_test bandwidth --size 4194304")
        vm.hold_session()
        self.host.kill_mediator()
        self.host.start_mediator()
        wait_until("the device's return", lambda: vm.run("gpu_test nop").status == 0, 60, 1)
        self.assertEqual(vm.work_again(), 2 * vm.NOP)
        self.assertIn(ADDED, vm.check("gpu_test vector_add"))
        vm.check("gpu_test bandwidth --size 4194304")

    def test_7_reboot(self):
        self.begin_stress(self.vm, 600)
        before = self.vm.domid
        self.vm.send("reboot -f")
        wait_until("the domain's successor", lambda: re.fullmatch(r"\d+\n", (
            domid := self.host.run("xl domid alpha").output)) and int(domid) > before, 120, 0.5)
        self.vm.attach().ready()
        self.assertEqual(self.host.workers(), [])
        self.assertIn(ADDED, self.vm.check("gpu_test vector_add"))

    def test_8_balloon(self):
        """Pages go and others come while a session works."""
        self.begin_stress(self.vm, 30)
        for megabytes in (150, 256, 150, 256):
            self.host.check(f"xl mem-set alpha {megabytes}m")
            wait_until(f"{megabytes} MiB", lambda: abs(self.vm.megabytes() - megabytes) < 8, 60, 0.5)
        result = self.vm.collect("stress", 180)
        self.assertEqual(result.status, 0, result)
        self.assertIn(" 0 errors", result.output)

    def test_91_device_model_dies_and_domain_is_destroyed(self):
        """In mid-command; nothing of it is left, and the daemon serves the next."""
        for end in (lambda vm: self.host.check(f"kill -9 {vm.device_model()}"),
                    lambda vm: self.host.check(f"xl destroy {vm.name}")):
            vm = Domain(self.host, "gamma", **in_qemu()).create().ready()
            self.addCleanup(vm.destroy)
            self.begin_stress(vm, 600)
            end(vm)
            wait_until("the worker's end", lambda: not self.host.workers(), 30, 0.3)
            vm.destroy()
            wait_until("the domain's end", lambda: "gamma" not in self.host.check("xl list") and
                       "(null)" not in self.host.check("xl list"), 60, 0.5)
        self.assertIn(ADDED, self.vm.check("gpu_test vector_add"))

    def test_92_save_is_refused(self):
        """With a word why, and the guest goes on as if nothing had been, with its session.  The
        last with this guest: after a try to save, `xl` looks after it no more."""
        self.vm.hold_session()
        result = self.host.run("xl save alpha /tmp/alpha.save", 240)
        self.assertNotEqual(result.status, 0, result)
        self.assertIn("cannot be saved", self.host.check("cat /var/log/xen/qemu-dm-alpha.log"))
        self.assertEqual(self.vm.work_again(), 2 * self.vm.NOP)
        self.assertIn(ADDED, self.vm.check("gpu_test vector_add"))

    def test_93_registers_only(self):
        """A daemon that maps no domain's memory, as by default."""
        self.vm.destroy()
        self.host.kill_mediator()
        self.host.start_mediator(domains="none")
        before = len(self.host.log())
        vm = Domain(self.host, "delta", **in_qemu()).create().ready()
        self.assertIn("text and small commands only", vm.check("dmesg"))
        vm.check("echo TEST > /dev/vgpu_stub")
        self.assertRegex(self.host.log()[before:],
                         'vm=delta.*session started: queue registers(.*\n)*.*"TEST"')
        self.assertIn("NOP command successful", vm.check("gpu_test nop"))
        out = vm.check("exec 3<>/dev/vgpu_stub; echo RUN_VECTOR_ADD >&3; head -n 1 <&3")
        self.assertIn(ADDED, out)
        self.assertIn("see [xen] in its configuration",
                      self.host.check("cat /var/log/xen/qemu-dm-delta.log"))


if __name__ == "__main__":
    tap.main()
