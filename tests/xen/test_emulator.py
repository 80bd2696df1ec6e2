#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The stand-alone emulator on a real Xen, beside an unchanged device model."""

import pathlib
import re
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from xen import Domain, Host, wait_until  # noqa: E402  (also makes tests/vm importable)
import tap  # noqa: E402

SOCKET = "/run/gpu/gpu_mediator.sock"
LOG = "/var/log/mediator.log"
CONFIG = f"""[daemon]
socket-path={SOCKET}
socket-group=vgpu
runtime-dir=/run/gpu
log-file={LOG}
[backend]
backend=cpu
[xen]
domains=user
"""
UID_BASE = 65535


class Dom0:
    """Daemon and emulators in dom0."""

    def __init__(self, host):
        self.host = host
        host.check("mkdir -p /run/gpu")
        host.check(f"cat >/run/gpu.conf <<'END'\n{CONFIG}END")

    def start_mediator(self):
        self.host.check("gpu_mediator --foreground --open --config /run/gpu.conf </dev/null "
                        ">/var/log/mediator.err 2>&1 &")
        wait_until("the daemon's socket", lambda: self.host.run(
            f"grep -q 'listening at' {LOG}").status == 0, 60, 0.3)

    def crash_mediator(self):
        self.host.check(f"kill -9 $(cat /run/gpu/gpu_mediator.pid); mv {LOG} {LOG}.old")

    def log(self):
        return self.host.run(f"cat {LOG}.old {LOG} 2>/dev/null").output

    def emulate(self, domain, options=""):
        """Starts the emulator of a paused domain; returns once the device is there."""
        self.host.check(f"vgpu-stub-xen --daemon --verbose --domid {domain.domid} "
                        f"--socket {SOCKET} --queues 8 {options}")

    def store(self, domain, key):
        """A value that the emulator wrote; '' if there is none."""
        path = f"/local/domain/0/backend/vgpu-stub/{domain.domid}/0/{key}"
        return self.host.run(f"xenstore-read {path} 2>/dev/null").output.strip()

    def expect_state(self, domain, state, seconds=60):
        wait_until(f"state {state} of {domain.name} in XenStore",
                   lambda: self.store(domain, "state") == state, seconds, 0.3)

    def processes(self, name):
        """(pid, uid) of each process of this program."""
        out = self.host.check(
            f"for p in /proc/[0-9]*; do [ \"$(cat $p/comm 2>/dev/null)\" = {name} ] && "
            "echo ${p#/proc/} $(awk '/^Uid/ {print $2}' $p/status); done; true")
        return [tuple(int(x) for x in line.split()) for line in out.splitlines()]

    def serving(self, domain):
        """The process that serves the domain."""
        return next(pid for pid, uid in self.processes("vgpu-stub-xen")
                    if uid == UID_BASE + domain.domid)

    def workers(self):
        """Workers, by how they were called: they have run themselves again."""
        return self.host.run("grep -l 'gpu_mediator-w[o]rker' /proc/[0-9]*/cmdline 2>/dev/null"
                             ).output.split()


class Emulator(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = Host().start()
        cls.addClassCleanup(cls.host.kill)
        cls.host.ready()
        cls.dom0 = Dom0(cls.host)
        cls.alpha = Domain(cls.host, "alpha").create("-p")
        # Before there is a daemon, and so a socket to see the group of.
        cls.dom0.emulate(cls.alpha, "--socket-group vgpu")
        cls.dom0.expect_state(cls.alpha, "waiting")
        assert "gpu_mediator" in cls.dom0.store(cls.alpha, "error")
        cls.dom0.start_mediator()
        cls.dom0.expect_state(cls.alpha, "connected")
        cls.beta = None
        cls.host.check(f"xl unpause {cls.alpha.domid}")
        cls.alpha.ready()

    def test_01_lspci(self):
        out = self.alpha.check("lspci -nn -vv -d 1af4:1111")
        self.assertIn("[1200]: ", out)
        self.assertRegex(out, r"Region 0: Memory at .*\[size=4K\]")
        self.assertRegex(out, r"Region 2: Memory at .*\[size=32K\]")
        self.assertRegex(out, r"Region 4: Memory at .*\[size=4K\]")
        self.assertRegex(out, r"MSI-X: Enable\+ Count=9")
        self.assertIn("Kernel driver in use: vgpu_stub", out)

    def test_02_text_reaches_the_log(self):
        self.alpha.check("echo TEST > /dev/vgpu_stub")
        self.assertRegex(self.dom0.log(), r'vm=alpha session=\d+ request=\d+ text "TEST"')

    def test_03_each_command(self):
        check = self.alpha.check
        self.assertIn("NOP command successful", check("gpu_test nop"))
        self.assertIn("1024 elements, 0 errors", check("gpu_test vector_add"))
        check("gpu_test vector_add --size 100000")
        check("gpu_test matmul --dims 67x33x129")
        check("gpu_test bandwidth --size 4194304")
        self.assertIn("cpu", check("gpu_test info").lower())
        self.assertIn("0 errors", check("gpu_test stress --seconds 5"))

    def test_04_interrupts(self):
        """Whoever sleeps until the interrupt is woken by it: a lost one would cost a minute."""
        self.alpha.check("gpu_test nop --wait interrupt --repeat 50", 40)
        calls = wait_until("the session's end in the log", lambda: re.findall(
            r"requests=50 errors=0 .* calls=(\d+)", self.dom0.log()), 20, 0.3)
        self.assertGreaterEqual(int(calls[-1]), 25)

    def test_05_confined(self):
        pid = self.dom0.serving(self.alpha)
        status = self.host.check(f"cat /proc/{pid}/status")
        uid = UID_BASE + self.alpha.domid
        self.assertRegex(status, rf"Uid:\s+{uid}\s+{uid}\s+{uid}\s+{uid}")
        self.assertRegex(status, r"Groups:\s*900\s")
        for line in (r"CapEff:\s+0+\n", r"CapPrm:\s+0+\n", r"NoNewPrivs:\s+1", r"Seccomp:\s+2"):
            self.assertRegex(status, line)
        self.assertEqual(self.host.check(f"readlink /proc/{pid}/root").strip(), "/run/gpu")
        self.assertNotEqual(self.host.check(f"readlink /proc/{pid}/ns/net"),
                            self.host.check("readlink /proc/1/ns/net"))
        # XenStore's connection is not among what it has left.
        files = self.host.check(f"ls -l /proc/{pid}/fd")
        self.assertEqual(len(re.findall(r"/dev/xen/evtchn", files)), 1, files)
        sockets = len(re.findall(r"socket:", files))
        self.assertLessEqual(sockets, 2, files)     # the daemon's, and that to the other process

    def test_06_store(self):
        out = self.host.check(f"xenstore-ls -p /local/domain/{self.alpha.domid}/vgpu-stub")
        self.assertRegex(out, rf'state = "connected"[ .]+\(n0,r{self.alpha.domid}\)')
        self.assertEqual(self.dom0.store(self.alpha, "error"), "")

    def test_07_daemon_restart(self):
        """Work goes on without a daemon, and with the next one."""
        self.alpha.check("(gpu_test stress --seconds 20; echo $? >/tmp/status) >/tmp/stress 2>&1 &")
        wait_until("a session", lambda: self.dom0.workers(), 30, 0.3)
        self.dom0.crash_mediator()
        self.dom0.expect_state(self.alpha, "waiting")
        self.assertIn("not connected", self.dom0.store(self.alpha, "error"))
        self.dom0.start_mediator()
        self.dom0.expect_state(self.alpha, "connected")
        wait_until("the end of the stress", lambda: self.alpha.run(
            "test -s /tmp/status").status == 0, 120, 1)
        out = self.alpha.check("cat /tmp/stress /tmp/status")
        self.assertTrue(out.endswith("0\n"), out)
        self.assertIn("0 errors", out)
        self.alpha.check("gpu_test vector_add")

    def test_08_other_domain(self):
        """A device model that is another domain's is refused this one's memory."""
        type(self).beta = beta = Domain(self.host, "beta").create("-p")
        self.dom0.emulate(beta, f"--uid {UID_BASE + self.alpha.domid}")
        self.dom0.expect_state(beta, "refused")
        self.assertIn("may not name memory of this domain", self.dom0.store(beta, "error"))
        second = self.host.run(f"vgpu-stub-xen --domid {beta.domid} --socket {SOCKET}")
        self.assertEqual(second.status, 1)
        self.assertIn("another vgpu-stub-xen serves this domain", second.output)
        self.host.check(f"kill $(cat /run/vgpu-stub-xen.{beta.domid}.pid)")
        wait_until("its end", lambda: not self.dom0.store(beta, "state"), 30, 0.3)

    def test_09_two_domains(self):
        # Few vectors: when a driver is unbound Linux 6.1 does not give its interrupts back
        # to Xen, and hits a BUG of its own once all 32 are gone.
        self.dom0.emulate(self.beta, "--queues 3")
        self.host.check(f"xl unpause {self.beta.domid}")
        self.beta.ready()
        for domain in (self.alpha, self.beta):
            domain.send("gpu_test stress --seconds 15")
        for domain in (self.alpha, self.beta):
            result = domain.finish()
            self.assertEqual(result.status, 0, result)
            self.assertIn("0 errors", result.output)
        self.assertRegex(self.dom0.log(), r"vm=beta session=\d+ session started")

    def test_10_ballooned(self):
        """Pages that go and come back while work is done in others, and then in them."""
        alpha = self.alpha
        alpha.send("gpu_test stress --seconds 20")
        for mib in (200, 256, 208, 256):
            self.host.check(f"xl mem-set {alpha.domid} {mib}")
            time.sleep(3)
        result = alpha.finish()
        self.assertEqual(result.status, 0, result)
        self.assertIn("0 errors", result.output)
        # All that is free now: the pages that came back are among them.
        self.assertIn("0 errors", alpha.check("gpu_test vector_add --size 8M"))

    def test_11_hostile_guest(self):
        """A guest without a driver that attacks; its neighbour does not notice."""
        failed = []
        for attack in ("registers", "queues", "rings", "buffers", "bars"):
            self.alpha.send("gpu_test stress --seconds 3")
            result = self.beta.run(f"hostile {attack}", 240)
            if result.status != 0 or "not ok" in result.output:
                failed.append(result)
                self.beta.run("echo 0000:00:1e.0 >/sys/bus/pci/drivers/vgpu_stub/bind")
            self.assertEqual(self.alpha.finish().status, 0)
        self.assertEqual(failed, [])
        self.assertIn("0 errors", self.beta.check("gpu_test vector_add"))

    def test_12_serving_process_dies(self):
        """The device is lost, the domain is not: no vCPU waits for it for ever."""
        beta = self.beta
        self.beta.check("(while gpu_test nop; do :; done) >/dev/null 2>&1 &")
        self.host.check(f"kill -9 {self.dom0.serving(beta)}")
        self.dom0.expect_state(beta, "failed")
        self.assertIn("signal 9", self.dom0.store(beta, "error"))
        self.assertEqual(beta.check("echo alive", 60).strip(), "alive")
        slot = beta.check("cat /sys/bus/pci/devices/0000:00:1e.0/config | hexdump -n 4 -e '1/4 \"%08x\"'")
        self.assertEqual(slot.strip(), "ffffffff")
        self.assertNotEqual(beta.run("gpu_test nop --timeout 5", 60).status, 0)
        self.alpha.check("gpu_test vector_add")

    def test_13_destroyed_in_mid_command(self):
        self.alpha.check("gpu_test stress --seconds 60 >/dev/null 2>&1 &")
        wait_until("a session", lambda: self.dom0.workers(), 30, 0.3)
        self.host.check(f"xl destroy {self.alpha.domid}")
        wait_until("the end of its processes", lambda: not self.dom0.workers() and
                   UID_BASE + self.alpha.domid not in
                   [uid for _, uid in self.dom0.processes("vgpu-stub-xen")], 60, 0.5)
        wait_until("the end of the domain", lambda: not re.search(
            r"^\S+\s+%d\s" % self.alpha.domid, self.host.check("xl list"), re.M), 60, 0.5)
        self.assertEqual(self.host.run(
            f"xenstore-ls /local/domain/0/backend/vgpu-stub/{self.alpha.domid} 2>&1").status, 1)
        self.assertIn("the domain has ended", self.host.check(
            f"cat /var/log/vgpu-stub-xen.{self.alpha.domid}.log"))


if __name__ == "__main__":
    tap.main()
