#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""libnvidia-ml.so.1 over the daemon's socket, as a program sees it; TAP.

usage: test_nvml.py [--backend cpu|cuda]

What it tells is compared with libcuda.so.1 of the same build, if that is there.
"""

import argparse
import ctypes
import os
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(TOP / "tests" / "vm"))
from vm import HOST, Daemon  # noqa: E402

SUCCESS, UNINITIALIZED, INVALID, NOT_SUPPORTED, NOT_FOUND, SMALL, NO_DRIVER, VERSION = \
    0, 1, 2, 3, 6, 7, 9, 25
NO_DEVICE = 100  # CUDA's
NUMBER = ctypes.c_uint


class PciInfo(ctypes.Structure):
    _fields_ = [("legacy", ctypes.c_char * 16), ("domain", NUMBER), ("bus", NUMBER),
                ("device", NUMBER), ("id", NUMBER), ("subsystem", NUMBER),
                ("bus_id", ctypes.c_char * 32)]


class Memory(ctypes.Structure):
    _fields_ = [(n, ctypes.c_ulonglong) for n in ("total", "free", "used")]


class Memory2(ctypes.Structure):
    _fields_ = [("version", NUMBER)] + [(n, ctypes.c_ulonglong)
                                       for n in ("total", "reserved", "free", "used")]


class Cases:
    """Each method that begins with case_ is one, in the order of the text."""

    def __init__(self):
        self.nvml = ctypes.CDLL("libnvidia-ml.so.1")
        self.nvml.nvmlErrorString.restype = ctypes.c_char_p
        self.device = ctypes.c_void_p()

    def ask(self, name, *args, expect=SUCCESS):
        result = getattr(self.nvml, name)(*args)
        if result != expect:
            said = self.nvml.nvmlErrorString(result).decode()
            raise AssertionError(f"{name}: {result} ({said}), expected {expect}")

    def number(self, name, *args):
        value = NUMBER()
        self.ask(name, *args, ctypes.byref(value))
        return value.value

    def text(self, name):
        value = ctypes.create_string_buffer(96)
        self.ask(name, self.device, value, len(value))
        return value.value.decode()

    def case_before_init(self):
        self.ask("nvmlDeviceGetCount_v2", ctypes.byref(NUMBER()), expect=UNINITIALIZED)
        self.ask("nvmlDeviceGetFanSpeed", None, None, expect=UNINITIALIZED)
        self.ask("nvmlShutdown", expect=UNINITIALIZED)

    def case_init(self):
        for name in ("nvmlInit", "nvmlInit_v2"):
            self.ask(name)
        self.ask("nvmlInitWithFlags", 0)
        for _ in range(2):
            self.ask("nvmlShutdown")
        assert self.number("nvmlDeviceGetCount_v2") >= 1
        assert self.number("nvmlDeviceGetCount") == self.number("nvmlDeviceGetCount_v2")

    def case_handles(self):
        self.ask("nvmlDeviceGetHandleByIndex_v2", 0, ctypes.byref(self.device))
        assert self.number("nvmlDeviceGetIndex", self.device) == 0
        other = ctypes.c_void_p()
        self.ask("nvmlDeviceGetHandleByIndex_v2", 1000, ctypes.byref(other), expect=INVALID)
        pci = PciInfo()
        self.ask("nvmlDeviceGetPciInfo_v3", self.device, ctypes.byref(pci))
        assert re.fullmatch(rb"[0-9A-F]{8}:[0-9A-F]{2}:[0-9A-F]{2}\.0", pci.bus_id), pci.bus_id
        for way, key in (("ByPciBusId_v2", pci.bus_id), ("ByPciBusId", pci.legacy),
                         ("ByUUID", self.text("nvmlDeviceGetUUID").encode())):
            self.ask("nvmlDeviceGetHandle" + way, key, ctypes.byref(other))
            assert other.value == self.device.value
        for way, key in (("ByPciBusId_v2", b"ffff:ff:1f.0"), ("ByUUID", b"GPU-no"),
                         ("BySerial", b"1")):
            self.ask("nvmlDeviceGetHandle" + way, key, ctypes.byref(other), expect=NOT_FOUND)
        self.ask("nvmlDeviceGetName", ctypes.c_void_p(12345), ctypes.create_string_buffer(96), 96,
                 expect=INVALID)

    def case_identity(self):
        assert self.text("nvmlDeviceGetName")
        assert re.fullmatch(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
                            self.text("nvmlDeviceGetUUID"))
        small = ctypes.create_string_buffer(4)
        self.ask("nvmlDeviceGetUUID", self.device, small, len(small), expect=SMALL)
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.ask("nvmlDeviceGetCudaComputeCapability", self.device, ctypes.byref(major),
                 ctypes.byref(minor))
        assert major.value >= 5

    def case_memory(self):
        memory, second = Memory(), Memory2()
        self.ask("nvmlDeviceGetMemoryInfo", self.device, ctypes.byref(memory))
        assert memory.total > 0 and memory.used + memory.free == memory.total
        self.ask("nvmlDeviceGetMemoryInfo_v2", self.device, ctypes.byref(second), expect=VERSION)
        second.version = ctypes.sizeof(second) | 2 << 24
        self.ask("nvmlDeviceGetMemoryInfo_v2", self.device, ctypes.byref(second))
        assert second.total == memory.total and second.used + second.free == second.total

    def case_refusals(self):
        value = NUMBER()
        for name in ("nvmlDeviceGetFanSpeed", "nvmlDeviceGetPowerUsage",
                     "nvmlDeviceGetUtilizationRates"):
            self.ask(name, self.device, ctypes.byref(value), expect=NOT_SUPPORTED)
        self.ask("nvmlDeviceGetTemperature", self.device, 0, ctypes.byref(value),
                 expect=NOT_SUPPORTED)
        value = NUMBER(10)
        self.ask("nvmlDeviceGetComputeRunningProcesses_v3", self.device, ctypes.byref(value), None)
        assert value.value == 0

    def case_fork(self):
        """The child of a process that has looked at devices can look, and use CUDA."""
        child = os.fork()
        if child == 0:
            try:
                memory = Memory()
                self.ask("nvmlDeviceGetMemoryInfo", self.device, ctypes.byref(memory))
                cuda = cuda_library()
                os._exit(1 if cuda and cuda.cuInit(0) else 0)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def case_same_as_cuda(self):
        cuda = cuda_library()
        if not cuda:
            return "there is no libcuda.so.1"
        assert cuda.cuInit(0) == 0
        name, count, total = ctypes.create_string_buffer(96), ctypes.c_int(), ctypes.c_size_t()
        version, free, context = ctypes.c_int(), ctypes.c_size_t(), ctypes.c_void_p()
        assert cuda.cuDeviceGetCount(ctypes.byref(count)) == 0
        assert count.value == self.number("nvmlDeviceGetCount_v2")
        assert cuda.cuDeviceGetName(name, len(name), 0) == 0
        assert name.value.decode() == self.text("nvmlDeviceGetName")
        assert cuda.cuDriverGetVersion(ctypes.byref(version)) == 0
        assert version.value == self.number("nvmlSystemGetCudaDriverVersion_v2")
        # Memory that this process holds shows in both.
        assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
        assert cuda.cuCtxSetCurrent(context) == 0
        held = ctypes.c_uint64()
        assert cuda.cuMemAlloc_v2(ctypes.byref(held), ctypes.c_size_t(256 << 20)) == 0
        assert cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)) == 0
        memory = Memory()
        self.ask("nvmlDeviceGetMemoryInfo", self.device, ctypes.byref(memory))
        assert (memory.total, memory.free) == (total.value, free.value)
        assert memory.used >= 256 << 20
        current = ctypes.c_void_p()
        assert cuda.cuCtxGetCurrent(ctypes.byref(current)) == 0 and current.value == context.value
        return None

    def case_visible_devices(self):
        """CUDA_VISIBLE_DEVICES is CUDA's affair; NVML sees all devices."""
        if not cuda_library():
            return "there is no libcuda.so.1"
        code = ("import ctypes, sys; n = ctypes.CDLL('libnvidia-ml.so.1'); v = ctypes.c_uint(); "
                "assert n.nvmlInit_v2() == 0; assert n.nvmlDeviceGetCount_v2(ctypes.byref(v)) == 0; "
                "assert v.value >= 1; sys.exit(ctypes.CDLL('libcuda.so.1').cuInit(0))")
        uuid = self.text("nvmlDeviceGetUUID")
        for value, result in (("0", 0), (" 0 ,77", 0), (uuid, 0), (uuid[:12], 0), ("", NO_DEVICE),
                              ("-1", NO_DEVICE), ("77", NO_DEVICE), ("GPU-", NO_DEVICE),
                              ("none", NO_DEVICE), ("GPU-0123456789", NO_DEVICE)):
            env = {**os.environ, "CUDA_VISIBLE_DEVICES": value}
            done = subprocess.run([sys.executable, "-c", code], env=env, check=False, timeout=60)
            assert done.returncode == result, f"{value!r}: {done.returncode}"
        return None

    def case_shutdown(self):
        self.ask("nvmlShutdown")
        self.ask("nvmlShutdown", expect=UNINITIALIZED)

    def case_no_daemon(self):
        code = ("import ctypes, sys; "
                "sys.exit(ctypes.CDLL('libnvidia-ml.so.1').nvmlInit_v2())")
        env = {**os.environ, "VGPU_TRANSPORT": "unix:/nonexistent/socket"}
        assert subprocess.run([sys.executable, "-c", code], env=env, check=False,
                              timeout=60).returncode == NO_DRIVER


def cuda_library():
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None


def client():
    cases = Cases()
    names = [n for n in vars(Cases) if n.startswith("case_")]
    failed = 0
    print(f"1..{len(names)}")
    for i, name in enumerate(names, 1):
        note, verdict = None, "ok"
        try:
            note = getattr(cases, name)()
        except (AssertionError, OSError) as e:
            verdict, failed = "not ok", failed + 1
            where = e.__traceback__.tb_next or e.__traceback__
            print(f"# {name}, line {where.tb_lineno}: {e!r}")
        print(f"{verdict} {i} - {name[5:]}" + (f" # SKIP {note}" if note else ""), flush=True)
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.client:
        return client()
    folders = [str(HOST / "guest-driver" / f) for f in ("nvml", "cuda")]
    daemon = Daemon(backend=args.backend).start()
    try:
        env = {**os.environ, "VGPU_TRANSPORT": f"unix:{daemon.socket}",
               "LD_LIBRARY_PATH": ":".join(folders)}
        return subprocess.run([sys.executable, __file__, "--client"], env=env,
                              check=False, timeout=300).returncode
    finally:
        daemon.stop()


if __name__ == "__main__":
    sys.exit(main())
