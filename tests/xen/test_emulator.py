#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The stand-alone emulator on a real Xen, beside an unchanged device model."""

import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import cuda_program  # noqa: E402
import hostile  # noqa: E402
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
"""
UID_BASE = 65535


class Dom0:
    """Daemon and emulators in dom0."""

    def __init__(self, host):
        self.host = host
        host.check("mkdir -p /run/gpu")

    def start_mediator(self, domains="user"):
        self.host.check(f"cat >/run/gpu.conf <<'END'\n{CONFIG}domains={domains}\nEND")
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

    def begin_stress(self, domain, seconds):
        """Starts it and returns once its session has begun; domain.collect("stress") ends it."""
        begun = self.log().count("session started")
        domain.background(f"gpu_test stress --seconds {seconds}", "stress")
        wait_until("the session's begin", lambda: self.log().count("session started") > begun, 60, 0.3)

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

    def test_03b_cuda_program(self):
        cuda_program.check(self, self.alpha)

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
        self.dom0.begin_stress(self.alpha, 10)
        # The log knows before the guest does; what the guest asks for now is answered later.
        self.alpha.check("gpu_test nop")
        self.dom0.crash_mediator()
        self.dom0.expect_state(self.alpha, "waiting")
        self.assertIn("not connected", self.dom0.store(self.alpha, "error"))
        self.dom0.start_mediator()
        self.dom0.expect_state(self.alpha, "connected")
        result = self.alpha.collect("stress", 180)
        self.assertEqual(result.status, 0, result)
        self.assertIn(" 0 errors", result.output)
        self.alpha.check("gpu_test vector_add")

    def test_075_daemon_that_maps_no_memory(self):
        """The driver came to know the device while it did: now there are small commands, and
        words for whoever misses the others."""
        self.dom0.crash_mediator()
        self.dom0.start_mediator("none")
        self.dom0.expect_state(self.alpha, "limited")
        self.assertIn("see [xen] in its configuration", self.dom0.store(self.alpha, "error"))
        self.alpha.check("echo SMALL > /dev/vgpu_stub")
        self.assertRegex(self.dom0.log(), 'session started: queue registers(.*\n)*.*"SMALL"')
        self.assertIn("NOP command successful", self.alpha.check("gpu_test nop"))
        wait_until("the driver's word", lambda: "host connected, but the host does not see this "
                   "VM's memory" in self.alpha.check("dmesg"), 30, 0.3)
        result = self.alpha.run("gpu_test matmul --dims 67x33x129")
        self.assertNotEqual(result.status, 0)
        self.assertIn("not shared with the host", result.output)
        self.dom0.crash_mediator()
        self.dom0.start_mediator()
        self.dom0.expect_state(self.alpha, "connected")
        self.assertEqual(self.dom0.store(self.alpha, "error"), "")
        self.assertIn("0 errors", self.alpha.check("gpu_test vector_add"))

    def test_08_other_domain(self):
        """A device model that is another domain's is refused this one's memory."""
        type(self).beta = beta = Domain(self.host, "beta", vcpus=2).create("-p")
        self.dom0.emulate(beta, f"--uid {UID_BASE + self.alpha.domid}")
        self.dom0.expect_state(beta, "refused")
        self.assertIn("may not name memory of this domain", self.dom0.store(beta, "error"))
        second = self.host.run(f"vgpu-stub-xen --domid {beta.domid} --socket {SOCKET}")
        self.assertEqual(second.status, 1)
        self.assertIn("another vgpu-stub-xen serves this domain", second.output)
        self.host.check(f"kill $(cat /run/vgpu-stub-xen.{beta.domid}.pid)")
        wait_until("its end", lambda: not self.dom0.store(beta, "state"), 30, 0.3)

    def expect_refused_save(self, domain):
        """Tries to save it; what xl and the guest's end of it say."""
        result = self.host.run(f"xl save {domain.domid} /tmp/saved", 240)
        self.assertNotEqual(result.status, 0, result)
        self.assertIn(f"qemu-save.{domain.domid}", result.output)
        self.host.check("rm -f /tmp/saved")
        self.assertRegex(self.host.check("xl list"), rf"(?m)^{domain.name} +{domain.domid} ")

    def saving_is_free(self, domid):
        """Nothing is left of what keeps toolstacks from saving a domain of this number."""
        return self.host.run(f"ls -d /var/lib/xen/qemu-save.{domid} 2>/dev/null || xenstore-read "
                             f"/local/domain/{domid}/data/cant_suspend_reason 2>/dev/null"
                             ).status != 0

    def test_093_saving_is_refused(self):
        """Sessions go on: one that is idle, and one that works if it is not too soon over."""
        alpha = self.alpha
        self.assertEqual(self.dom0.store(alpha, "save"), "refused")
        alpha.hold_session()
        alpha.background("gpu_test stress --seconds 10", "stress")
        wait_until("two sessions", lambda: len(self.dom0.workers()) >= 2, 30, 0.3)
        for _ in range(2):      # a try does not clear the way for the next
            self.expect_refused_save(alpha)
        self.assertEqual(alpha.work_again(), 2 * alpha.NOP)
        words = alpha.check("dmesg")
        self.assertIn("the host is about to save this VM", words)
        self.assertIn("the VM was not saved; sessions go on", words)
        result = alpha.collect("stress", 180)
        self.assertEqual(result.status, 0, result)
        self.assertIn(" 0 errors", result.output)
        self.assertIn("0 errors", alpha.check("gpu_test vector_add"))

    def test_094_saving_a_guest_without_a_driver_is_refused(self):
        """It has not even begun to run, so nobody asks it."""
        self.assertTrue(self.saving_is_free(self.beta.domid))   # since the last emulator's end
        # Few vectors: when a driver is unbound Linux 6.1 does not give its interrupts back
        # to Xen, and hits a BUG of its own once all 32 are gone.
        self.dom0.emulate(self.beta, "--queues 3")
        self.expect_refused_save(self.beta)

    def test_095_xapi_is_told_why(self):
        """And again, if its key is taken away, as xenopsd does."""
        key = f"/local/domain/{self.alpha.domid}/data/cant_suspend_reason"
        self.assertIn("cannot be saved", self.host.check(f"xenstore-read {key}"))
        self.assertIn(f"(n0,r{self.alpha.domid})", self.host.check(f"xenstore-ls -p {key[:-20]}"))
        self.host.check(f"xenstore-rm {key}")
        wait_until("the reason's return", lambda: "cannot be saved" in self.host.run(
            f"xenstore-read {key} 2>&1").output, 30, 0.3)

    def test_09_two_domains(self):
        self.host.check(f"xl unpause {self.beta.domid}")
        self.beta.ready()
        for domain in (self.alpha, self.beta):
            domain.send("gpu_test stress --seconds 10")
        for domain in (self.alpha, self.beta):
            result = domain.finish()
            self.assertEqual(result.status, 0, result)
            self.assertIn("0 errors", result.output)
        self.assertRegex(self.dom0.log(), r"vm=beta session=\d+ session started")

    def test_10_ballooned(self):
        """Pages that go and come back while work is done in others, and then in them."""
        alpha = self.alpha
        self.dom0.begin_stress(alpha, 20)
        for mib in (200, 256, 208, 256):
            self.host.check(f"xl mem-set {alpha.domid} {mib}")
            wait_until(f"{mib} MiB", lambda: abs(alpha.megabytes() - mib) < 8, 60, 0.5)
        result = alpha.collect("stress")
        self.assertEqual(result.status, 0, result)
        self.assertIn("0 errors", result.output)
        # All that is free now: the pages that came back are among them.
        self.assertIn("0 errors", alpha.check("gpu_test vector_add --size 8M"))

    def test_11_hostile_guest(self):
        """A guest without a driver that attacks; its neighbour does not notice."""
        hostile.attack(self, self.beta, self.alpha, self.dom0.begin_stress)

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
        self.assertTrue(self.saving_is_free(beta.domid))
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
        self.assertTrue(self.saving_is_free(self.alpha.domid))
        self.assertIn("the domain has ended", self.host.check(
            f"cat /var/log/vgpu-stub-xen.{self.alpha.domid}.log"))


if __name__ == "__main__":
    tap.main()
