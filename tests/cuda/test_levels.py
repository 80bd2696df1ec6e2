#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""CUDA programs of tenants that may not do everything: what works, and how the rest fails.

Over the daemon's socket, on the backend without a GPU.
"""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vm"))
import tap  # noqa: E402
from vm import HOST, Daemon, wait_until  # noqa: E402

DRIVER_TESTS = HOST / "tests" / "cuda" / "driver" / "driver_tests"
LIBRARIES = f"{HOST}/guest-driver/cuda:{HOST}/guest-driver/nvml"
GPU_TEST = HOST / "guest-driver" / "tools" / "gpu_test"
SMI = HOST / "guest-driver" / "tools" / "vgpu-smi"
MIB = 1 << 20

# Copies of every size, rows and boxes too, need no pinned memory.
WORKS_AT_LOW = ("copy.sizes", "copy.mib_8", "copy.odd_sources", "copy.two_dimensions",
                "copy.three_dimensions", "launch.vector_add_ptx", "launch.matmul_ptx",
                "memory.plain", "memory.asynchronous", "memory.virtual_memory", "stream.order")

# What every program may ask, and what not: a line each.
ASK_EVERYTHING = """
import ctypes
cuda = ctypes.CDLL("libcuda.so.1")
n, name, words = ctypes.c_int(), ctypes.create_string_buffer(100), ctypes.c_char_p()
p, size, more = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
assert cuda.cuInit(0) == 0
print(cuda.cuDeviceGetCount(ctypes.byref(n)), n.value)
print(cuda.cuDeviceGetName(name, 100, 0), name.value.decode())
print(cuda.cuDeviceTotalMem_v2(ctypes.byref(size), 0), size.value)
print(cuda.cuCtxCreate_v2(ctypes.byref(p), 0, 0))
print(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(p), 0))
print(cuda.cuMemGetInfo_v2(ctypes.byref(size), ctypes.byref(more)))
print(cuda.cuMemAlloc_v2(ctypes.byref(p), ctypes.c_size_t(4096)))
assert cuda.cuGetErrorString(800, ctypes.byref(words)) == 0
print(words.value.decode())
"""
PTX = HOST / "tests" / "cuda" / "kernels.ptx"
# A program that loses its context, and stays.
LOSE_CONTEXT = """
import ctypes, pathlib, sys
cuda, p = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p
context, module, function = p(), p(), p()
bad, value = ctypes.c_uint64(16), ctypes.c_uint32(1)
args = (p * 2)(ctypes.addressof(bad), ctypes.addressof(value))
text = pathlib.Path(sys.argv[1]).read_bytes() + bytes(1)
assert cuda.cuInit(0) == 0
assert cuda.cuCtxCreate_v2(ctypes.byref(context), 0, 0) == 0
assert cuda.cuModuleLoadData(ctypes.byref(module), text) == 0
assert cuda.cuModuleGetFunction(ctypes.byref(function), module, b"store_at") == 0
assert cuda.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, None, args, None) == 0
assert cuda.cuCtxSynchronize() == 700
print("lost", flush=True)
sys.stdin.read()
"""


class Levels(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon(backend="cpu", tenants={})

    def tearDown(self):
        self.daemon.stop()

    def start(self, text):
        self.daemon.tenant("vm1", f"[tenant]\nusers={os.getuid()}\n{text}")
        self.daemon.start()

    def environment(self):
        return dict(os.environ, VGPU_TRANSPORT=f"unix:{self.daemon.socket}",
                    LD_LIBRARY_PATH=LIBRARIES)

    def run_case(self, case):
        return subprocess.run([DRIVER_TESTS, case], env=self.environment(), timeout=600,
                              capture_output=True, text=True, check=False)

    def cases(self):
        listed = subprocess.run([DRIVER_TESTS, "--list"], env=self.environment(), text=True,
                                capture_output=True, check=True)
        return listed.stdout.split()

    def smi(self):
        done = subprocess.run([SMI, "--json"], env=self.environment(), text=True,
                              capture_output=True, check=True)
        return json.loads(done.stdout)

    def run_code(self, code):
        """A program with these lines; its standard output."""
        done = subprocess.run([sys.executable, "-c", code], env=self.environment(), text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_untrusted(self):
        """Commands of the device; of CUDA what tells of the GPU, and no context."""
        self.start("level=untrusted\n")
        # Device, its memory; 800 is CUDA_ERROR_NOT_PERMITTED, 201 that there is no context.
        self.assertEqual(self.run_code(ASK_EVERYTHING).split("\n")[:-1],
                         ["0 1", "0 host CPU", f"0 {128 * MIB}", "800", "800", "201", "201",
                          "operation not permitted"])
        for case in self.cases():
            done = self.run_case(case)
            if case in ("query.before_init", "query.error_strings", "classes.any"):
                self.assertEqual(done.returncode, 0, (case, done.stdout))
            elif done.returncode != 77:
                self.assertEqual(done.returncode, 1, (case, done.stdout))
                self.assertIn("800, CUDA_ERROR_NOT_PERMITTED", done.stdout, case)
        self.daemon_says("refused: vgpuCtxRetainPrimary, not allowed to this tenant")
        for command in ("vector_add", "matmul", "bandwidth"):
            done = subprocess.run([GPU_TEST, "--device", f"unix:{self.daemon.socket}", command],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
        seen = self.smi()
        self.assertEqual((seen["allowed"], seen["memory_total"], seen["memory_used"]),
                         (["builtin"], 128 * MIB, 0))
        self.assertEqual(self.nvml_memory(), [128 * MIB, 128 * MIB, 0])

    def test_low(self):
        """Own kernels, and nothing that a graph, a callback or pinned memory is needed for."""
        self.start("level=low\n[limits]\nmemory=8G\nbytes-per-second=none\n"
                   "[faults]\nfaults=0\n")  # some cases are about them
        cases, refused = self.cases(), set()
        for case in WORKS_AT_LOW:
            self.assertIn(case, cases)
        for case in cases:
            done = self.run_case(case)
            if done.returncode in (0, 77):
                continue
            with self.subTest(case):
                self.assertEqual(done.returncode, 1, done.stdout)
                # By CUDA's own code, at the call itself or at the wait after it.
                self.assertIn("800, CUDA_ERROR_NOT_PERMITTED", done.stdout)
                self.assertNotIn(case, WORKS_AT_LOW)
            refused.add(case.split(".")[0])
        self.assertTrue({"callback", "graph", "capture", "pinned"} <= refused, refused)
        self.assertEqual(self.smi()["allowed"], ["builtin", "memory", "kernels"])

    def test_out_of_memory(self):
        """At the limit programs see what they see on a full GPU, and the rest goes on."""
        self.start("level=high\n[limits]\nmemory=32M\n")
        done = subprocess.run([DRIVER_TESTS, "memory.plain"], env=self.environment(), text=True,
                              capture_output=True, check=False, timeout=600)
        self.assertEqual(done.returncode, 0, done.stdout)
        # 256 MiB there and back.
        done = self.run_case("copy.mib_256")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("2, CUDA_ERROR_OUT_OF_MEMORY", done.stdout)
        self.daemon_says("cuMemAlloc_v2, ", "bytes of device memory beyond the tenant's limit")
        # They ended with their programs: vgpu-smi sees a tenant without charge.
        self.assertEqual(self.smi()["memory_used"], 0)
        self.assertEqual(self.smi()["memory_total"], 32 * MIB)

    def test_contexts(self):
        """A program's second context is memory of its tenant: so long as there is some."""
        self.start("level=high\n[limits]\nmemory=767M\n")
        self.assertEqual(self.run_case("memory.plain").returncode, 0)
        done = self.run_case("query.contexts")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("cuCtxCreate(&other, NULL, 0, device): 2, CUDA_ERROR_OUT_OF_MEMORY",
                      done.stdout)
        self.daemon_says(f"refused: vgpuCtxCreate, {768 * MIB} bytes of device memory beyond")
        self.daemon.tenant("vm1", f"[tenant]\nusers={os.getuid()}\nlevel=high\n"
                                  "[limits]\nmemory=770M\n")
        self.daemon.reload()
        for case in ("query.contexts", "memory.context_after_free"):
            done = self.run_case(case)
            self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(self.smi()["memory_used"], 0)

    def daemon_says(self, *words):
        for word in words:
            self.assertIn(word, self.daemon.log())

    def nvml_memory(self):
        """In a process of its own, since libraries stay."""
        code = ("import ctypes\n"
                "n = ctypes.CDLL('libnvidia-ml.so.1')\n"
                "m = (ctypes.c_ulonglong * 3)()\n"
                "d = ctypes.c_void_p()\n"
                "assert n.nvmlInit_v2() == 0\n"
                "assert n.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(d)) == 0\n"
                "assert n.nvmlDeviceGetMemoryInfo(d, m) == 0\n"
                "print(*m)\n")
        return [int(n) for n in self.run_code(code).split()]

    def test_lost_context(self):
        """A kernel's wrong address is a fault of its tenant, which is shut out then."""
        self.start("level=low\n[limits]\nbytes-per-second=none\n"
                   "[faults]\nfaults=2\nquarantine=1h\n")
        for case in ("memory.plain", "error.illegal_address", "memory.plain",
                     "error.illegal_address"):
            done = self.run_case(case)
            self.assertEqual(done.returncode, 0, (case, done.stdout, done.stderr))
        done = self.run_case("memory.plain")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("the tenant is quarantined as its sessions failed too often",
                      self.daemon.log())

    def sessions(self):
        """As the control socket shows them."""
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as control:
            control.connect(str(self.daemon.folder / "run" / "control.sock"))
            control.sendall(b'{"verb":"sessions"}\n')
            return json.loads(control.makefile().readline())["result"]

    def faults(self):
        text = (self.daemon.folder / "run" / "audit.log").read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        return [line["details"]["fault"] for line in lines if line["kind"] == "fault"]

    def test_one_fault(self):
        """A session that had its fault with one daemon has no other with the next."""
        self.start("level=low\n[limits]\nbytes-per-second=none\n")
        with subprocess.Popen([sys.executable, "-c", LOSE_CONTEXT, PTX], env=self.environment(),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as lost:
            self.assertEqual(lost.stdout.readline(), "lost\n")
            wait_until("the fault", lambda: self.faults() == ["gpu-error"])
            self.daemon.kill()
            self.daemon.start()
            # The worker has come by once what it has used is known.
            wait_until("the worker", lambda: self.sessions() and
                       self.sessions()[0]["usage"]["calls"] > 0)
            os.kill(self.sessions()[0]["pid"], signal.SIGKILL)
            wait_until("its end", lambda: not self.sessions())
            lost.stdin.close()
        self.daemon_says("the worker crashed, or was killed")
        self.assertEqual(self.faults(), ["gpu-error"])

    def test_nvml(self):
        """The same word from NVML, also to who may not have a context at all."""
        for classes in ("builtin", "builtin;memory"):
            self.start(f"level=untrusted\n[allowed]\nclasses={classes}\n[limits]\nmemory=64M\n")
            total, free, used = self.nvml_memory()
            self.assertEqual((total, free, used), (64 * MIB, 64 * MIB, 0), classes)
            self.daemon.stop()

    def test_smi(self):
        self.start("level=medium\n[limits]\nmemory=25%\nweight=7\ncap=40%\nsessions=3\n"
                   "calls-per-second=1000\nbytes-per-second=1M\n")
        seen = self.smi()
        self.assertEqual({k: seen[k] for k in ("backend", "weight", "cap_percent", "sessions",
                                               "sessions_most", "requests_rate", "bytes_rate",
                                               "quarantined", "refused")},
                         {"backend": "cpu", "weight": 7, "cap_percent": 40, "sessions": 1,
                          "sessions_most": 3, "requests_rate": 1000, "bytes_rate": MIB,
                          "quarantined": False, "refused": 0})
        self.assertEqual(seen["memory_total"], seen["memory_limit"])
        self.assertGreater(seen["memory_total"], 0)
        self.assertEqual(seen["gpu"], "host CPU")
        self.assertNotIn("admin", seen["allowed"])
        table = subprocess.run([SMI], env=self.environment(), text=True, capture_output=True,
                               check=True).stdout
        for words in ("weight 7, at most 40 % of the time", "1 of 3", "at most 1000 a second",
                      "State        ok"):
            self.assertIn(words, table)


if __name__ == "__main__":
    tap.main()
