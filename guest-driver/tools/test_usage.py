#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What gpu_test and vgpu-smi say and return where there is no device: words that scripts rely on."""

import json
import subprocess
import sys
import unittest

GPU_TEST = sys.argv.pop(1)
VGPU_SMI = sys.argv.pop(1)


def gpu_test(*args):
    return subprocess.run([GPU_TEST, "--device", "/nonexistent", *args],
                          capture_output=True, text=True, check=False)


class Usage(unittest.TestCase):
    def test_no_device(self):
        for command in ("nop", "vector_add", "matmul", "bandwidth", "info", "status", "stress"):
            result = gpu_test(command)
            self.assertEqual(result.returncode, 77, command)
            self.assertIn("/nonexistent: No such file or directory", result.stderr)

    def test_unknown_word(self):
        result = gpu_test("frobnicate")
        self.assertEqual(result.returncode, 2)
        self.assertIn("Error: Invalid command\n", result.stderr)

    def test_usage(self):
        for args in ((), ("nop", "nop"), ("--size", "x", "nop"), ("--size", "-1", "nop"),
                     ("--dims", "1x2", "matmul"), ("--dims", "0x1x1", "matmul"),
                     ("--wait", "long", "nop"), ("--input", "one", "vector_add"),
                     ("--no-such-option", "nop"), ("--output", "x", "vector_add"),
                     ("--input", "a", "--input", "b", "matmul")):
            self.assertEqual(gpu_test(*args).returncode, 2, args)

    def test_help(self):
        result = gpu_test("--help")
        self.assertEqual(result.returncode, 0)
        self.assertIn("vector_add", result.stdout)

    def test_json(self):
        report = json.loads(gpu_test("--json", "nop").stdout)
        self.assertEqual(report, {"command": "nop", "status": 77})


def vgpu_smi(*args):
    return subprocess.run([VGPU_SMI, *args], capture_output=True, text=True, check=False)


class Smi(unittest.TestCase):
    def test_no_device(self):
        for more in ((), ("--json",)):
            result = vgpu_smi("--device", "/nonexistent", *more)
            self.assertEqual(result.returncode, 77)
            self.assertIn("/nonexistent: No such file or directory", result.stderr)
            self.assertEqual(result.stdout, "")

    def test_usage(self):
        for args in (("word",), ("--loop", "x"), ("--loop", "0"), ("--loop", "-1"),
                     ("--no-such-option",), ("--device",)):
            self.assertEqual(vgpu_smi(*args).returncode, 2, args)

    def test_help(self):
        for option in ("--help", "--version"):
            result = vgpu_smi(option)
            self.assertEqual(result.returncode, 0)
            self.assertIn("vgpu-smi", result.stdout)


if __name__ == "__main__":
    unittest.main()
