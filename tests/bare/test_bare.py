#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest without an operating system, under TCG, and under KVM where that works."""

import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vm"))
import tap  # noqa: E402
from vm import Daemon, qemu_command  # noqa: E402

GUEST = os.environ.get("VGPU_BARE_GUEST", "")
COUNT = 10000


def kvm_works():
    """It opens, and QEMU can make a machine of it."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError:
        return False
    argv = qemu_command() + ["-accel", "kvm", "-machine", "pc", "-display", "none", "-S",
                             "-monitor", "stdio"]
    done = subprocess.run(argv, input=b"quit\n", capture_output=True, timeout=60)
    return done.returncode == 0


class Bare(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon(backend="cpu").start()
        self.addCleanup(self.daemon.stop)

    def run_guest(self, accel, words, shared=True):
        backend = "memory-backend-memfd,id=ram,size=64M,share=" + ("on" if shared else "off")
        argv = qemu_command() + [
            "-name", f"bare-{accel}", "-accel", accel, "-display", "none", "-m", "64M",
            "-machine", "pc,memory-backend=ram", "-object", backend, "-no-reboot",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-serial", "stdio",
            "-kernel", GUEST, "-append", words,
            "-device", f"vgpu-stub,socket={self.daemon.socket}"]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
        out = done.stdout.decode(errors="replace").replace("\r", "")
        for line in out.splitlines():
            print(f"# {accel}: {line}")
        self.assertEqual(done.returncode, 33, out + done.stderr.decode(errors="replace"))
        self.assertIn("NOP command successful", out)
        self.assertIn("Vector add passed: 1024 elements, 0 errors", out)
        self.assertIn("all done", out)
        return out

    def numbers(self, out, pattern):
        match = re.search(pattern, out)
        self.assertTrue(match, f"{pattern!r} in {out}")
        return tuple(map(int, match.groups()))

    def check_queue(self, out):
        requests, taken = self.numbers(out, r"(\d+) requests, (\d+) interrupts taken")
        kicks, calls = self.numbers(out, r"kicks (\d+), calls (\d+)")
        self.assertEqual(requests, COUNT + 1)
        # While the worker was awake several of either may have become one.
        self.assertGreater(kicks, 0)
        self.assertLessEqual(kicks, requests)
        self.assertGreater(taken, 0)
        self.assertLessEqual(taken, calls + 1)  # the last call may come before its count
        self.assertIn("queue stopped", out)
        return self.numbers(out, r"slow doorbells (\d+), slow interrupts (\d+)") + (taken,)

    def test_registers_tcg(self):
        """Works where no memory is shared at all."""
        self.run_guest("tcg", "registers 100", shared=False)

    def test_queue_tcg(self):
        doorbells, slow, taken = self.check_queue(self.run_guest("tcg", str(COUNT)))
        # Without KVM all of them pass through QEMU.
        self.assertEqual(doorbells, COUNT + 1)
        self.assertGreaterEqual(slow, taken)

    @unittest.skipUnless(kvm_works(), "no usable /dev/kvm")
    def test_queue_kvm(self):
        """Under KVM a doorbell that is not an ioeventfd, and an interrupt that is not an
        irqfd, would be counted."""
        doorbells, slow, taken = self.check_queue(self.run_guest("kvm", str(COUNT)))
        self.assertEqual((doorbells, slow), (0, 0))


if __name__ == "__main__":
    if not GUEST:
        sys.exit("VGPU_BARE_GUEST must name the guest's ELF file")
    tap.main()
