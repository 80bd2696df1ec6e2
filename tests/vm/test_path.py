#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole path in one VM: the device, the module, each command, real data."""

import array
import pathlib
import random
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tap  # noqa: E402
from vm import BUILD, VM, Daemon, quote, wait_until  # noqa: E402

MI = 1 << 20


class Path(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.vm = VM(cls.daemon, "alpha", memory="1G").start()
        cls.addClassCleanup(cls.vm.stop)
        cls.vm.ready()

    def test_1_lspci(self):
        out = self.vm.check("lspci -nn -vv -d 1af4:1111")
        self.assertIn("[1200]: ", out)
        self.assertIn("[1af4:1111]", out)
        self.assertRegex(out, r"Region 0: Memory at .*\[size=4K\]")
        self.assertRegex(out, r"Region 2: Memory at .*\[size=\d+K\]")
        self.assertRegex(out, r"Region 4: Memory at ")
        self.assertRegex(out, r"MSI-X: Enable\+")
        self.assertIn("Kernel driver in use: vgpu_stub", out)

    def test_2_text_reaches_the_log(self):
        self.vm.check("echo TEST > /dev/vgpu_stub")
        line = wait_until("TEST in the daemon's log", lambda: next(
            (x for x in self.daemon.log().splitlines() if '"TEST"' in x), None))
        self.assertIn("vm=alpha", line)
        self.assertRegex(line, r"session=\d+")
        self.assertRegex(line, r"request=\d+")

    def test_3_text_commands(self):
        out = self.vm.check("exec 3<>/dev/vgpu_stub; echo NOP >&3; head -n 1 <&3;"
                            "echo RUN_VECTOR_ADD >&3; head -n 1 <&3;"
                            "echo QUERY_STATUS >&3; head -n 1 <&3")
        self.assertIn("NOP command successful", out)
        self.assertIn("Vector add passed: 1024 elements, 0 errors", out)
        self.assertIn("backend", out.lower())

    def test_4_each_gpu_test_command(self):
        self.assertIn("NOP command successful", self.vm.check("gpu_test nop"))
        self.assertIn("Vector add passed: 1024 elements, 0 errors",
                      self.vm.check("gpu_test vector_add"))
        self.vm.check("gpu_test matmul --dims 67x33x129")
        self.vm.check("gpu_test bandwidth --size 4194304")
        self.assertIn("cpu", self.vm.check("gpu_test info").lower())
        self.vm.check("gpu_test status")
        self.vm.check("gpu_test stress --seconds 2")

    def test_5_ten_in_a_row(self):
        out = self.vm.check("for i in 1 2 3 4 5 6 7 8 9 10; do gpu_test vector_add || exit 1; done")
        self.assertEqual(out.count("Vector add passed: 1024 elements, 0 errors"), 10)

    def test_6_invalid_command(self):
        result = self.vm.run("gpu_test frobnicate")
        self.assertEqual(result.status, 2)
        self.assertIn("Error: Invalid command", result.output)
        self.vm.check("gpu_test nop")

    def test_7_no_device(self):
        result = self.vm.run("gpu_test --device /dev/absent nop")
        self.assertEqual(result.status, 77)

    def test_8_sixteen_mi_floats_from_a_file(self):
        """Inputs and the expected sum are made on the host, apart from all code under test."""
        folder = self.vm.folder
        rng = random.Random(20)
        a, b, want = folder / "a.f32", folder / "b.f32", folder / "want.f32"
        # 64 Ki random floats each, tiled with a changing rotation: still 16 Mi sums to check.
        base_a = array.array("f", (rng.uniform(-1e6, 1e6) for _ in range(65536)))
        base_b = array.array("f", (rng.uniform(-1e-3, 1e3) for _ in range(65536)))
        with open(a, "wb") as fa, open(b, "wb") as fb:
            for turn in range(16 * MI // 65536):
                fa.write((base_a[turn:] + base_a[:turn]).tobytes())
                fb.write((base_b[3 * turn:] + base_b[:3 * turn]).tobytes())
        subprocess.run([BUILD / "host" / "tests" / "vm" / "sum_f32", a, b, want], check=True)
        subprocess.run("cpio -o -H newc --quiet -R 0:0 >data.cpio", shell=True, cwd=folder,
                       input=b"a.f32\nb.f32\nwant.f32\n", check=True)
        with open(folder / "initrd", "wb") as out:
            out.write((BUILD / "image" / "initramfs.cpio.gz").read_bytes())
            out.write(b"\0" * (-out.tell() % 512))
            out.write((folder / "data.cpio").read_bytes())
        with VM(self.daemon, "big", memory="2G", initrd=folder / "initrd") as vm:
            vm.ready()
            out = vm.check("gpu_test vector_add --input /a.f32 --input /b.f32 "
                           "--output /tmp/out.f32", 300)
            self.assertIn("Vector add passed: 16777216 elements, 0 errors", out)
            vm.check("cmp /tmp/out.f32 /want.f32")

    def test_9_long_and_odd_text(self):
        for text in ("x" * 1024, "tab\there", "percent %s %n", "VM=forged session=1"):
            self.vm.check(f"printf '%s' {quote(text)} > /dev/vgpu_stub")
        self.assertNotEqual(self.vm.run(f"printf '%s' {'y' * 1025} > /dev/vgpu_stub").status, 0)
        self.vm.check("gpu_test nop")


if __name__ == "__main__":
    tap.main()
