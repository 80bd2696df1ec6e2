#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Device memory by the GPU's own word: what sessions are charged for, and what they hold.

Part of gpu_test.py (--tenants); also by itself, in the tree and in the bundle.  A
program takes memory in several ways; after each the worker's memory as
gpu_mediator-watch reads it from NVML is compared with the charge.
Then a tenant holds more than it may, and loses its session.  Exit status: 0, 1, or
77 without a GPU.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("VGPU_QEMU", "graft")
TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "cuda"), str(TOP / "tests" / "vm")]
import programs  # noqa: E402
import tenants  # noqa: E402
from vm import HOST, Daemon, Failure, wait_until  # noqa: E402

MIB = 1 << 20
LOCAL_BYTES = 16384
CONTEXT_MIB = 768       # config.conf's own
# The driver hands out memory in pieces of so much.
PIECE_MIB = 32
# Does what lines of standard input say, and answers each with CUDA's code.
PROGRAM = """
import ctypes, sys
cuda, p = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p
context, module, function, where = p(), p(), p(), p()

def launch(text):
    first, other, out = ctypes.c_uint32(1), ctypes.c_uint32(2), where
    args = (p * 3)(*(ctypes.addressof(a) for a in (first, other, out)))
    return (cuda.cuModuleLoadData(ctypes.byref(module), text.encode() + bytes(1)) or
            cuda.cuModuleGetFunction(ctypes.byref(function), module, b"deep") or
            cuda.cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, None, args, None) or
            cuda.cuCtxSynchronize())

do = {
    "begin": lambda n: cuda.cuInit(0) or cuda.cuCtxCreate_v2(ctypes.byref(context), 0, 0),
    "context": lambda n: cuda.cuCtxCreate_v2(ctypes.byref(p()), 0, 0),
    "alloc": lambda n: cuda.cuMemAlloc_v2(ctypes.byref(where), ctypes.c_size_t(n << 20)),
    "free": lambda n: cuda.cuMemFree_v2(where),
    "deep": lambda n: launch(sys.argv[1]),
    "sync": lambda n: cuda.cuCtxSynchronize(),
}
for line in sys.stdin:
    word, number = line.split()
    print(do[word](int(number)), flush=True)
"""
# A kernel whose threads have so much local memory, which no compiler can do without.
DEEP = f"""
.version 7.0
.target sm_80
.address_size 64
.visible .entry deep(.param .u32 first, .param .u32 other, .param .u64 out)
{{
	.local .align 4 .b8 store[{LOCAL_BYTES}];
	.reg .u32 %r<4>;
	.reg .u64 %d<7>;
	ld.param.u32 %r1, [first];
	ld.param.u32 %r2, [other];
	ld.param.u64 %d1, [out];
	cvta.to.global.u64 %d2, %d1;
	mov.u64 %d3, store;
	mul.wide.u32 %d4, %r1, 4;
	add.u64 %d5, %d3, %d4;
	st.local.u32 [%d5], %r2;
	mul.wide.u32 %d4, %r2, 4;
	add.u64 %d6, %d3, %d4;
	st.local.u32 [%d6], %r1;
	ld.local.u32 %r3, [%d5];
	st.global.u32 [%d2], %r3;
	ret;
}}
"""


class Program:
    """A CUDA program that does one thing after another."""

    def __init__(self, env):
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, DEEP], env=env, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def do(self, word, number=0):
        self.process.stdin.write(f"{word} {number}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"the program ended at {word} {number}")
        return int(line)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def held_mib(pid):
    """What NVML says that a process has, in one whole round of the watching program."""
    watch = subprocess.Popen([str(HOST / "mediator" / "gpu_mediator-watch"), "--interval", "100"],
                             stdout=subprocess.PIPE, text=True)
    with watch.stdout:
        held = 0
        while (line := watch.stdout.readline().split()) and line != ["end"]:
            if line[:2] == ["process", str(pid)]:
                held += int(line[2])
    watch.kill()
    watch.wait()
    if not line:
        raise Failure("gpu_mediator-watch has ended")
    return held / MIB


class Memory:
    """One daemon, its tenants; `verdicts` are (name, ok, words)."""

    def __init__(self, config, verdicts, **limits):
        self._own = tempfile.TemporaryDirectory(prefix="vgpu-memory-")
        self.folder = pathlib.Path(self._own.name)
        self.verdicts = verdicts
        texts = {name: f"[tenant]\nlevel=system\nsocket={self.folder / name}.sock\n"
                       f"[limits]\nmemory={memory}\n" for name, memory in limits.items()}
        self.daemon = Daemon(self.folder, backend="cuda", config=config, tenants=texts)
        self.stand_ins = programs.stand_in_folder(self.folder)
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        self.daemon.start()
        self.stack.callback(self.daemon.stop)
        return self

    def __exit__(self, *exc):
        self.stack.close()
        self._own.cleanup()

    def program(self, tenant):
        env = programs.environment(f"unix:{self.folder / tenant}.sock", self.stand_ins)
        started = Program(env)
        self.stack.callback(started.close)
        return started

    def say(self, name, ok, words):
        self.verdicts.append((name, ok, words))
        print(f"{name}: {'ok' if ok else 'FAILED'}: {words}", flush=True)

    def expect(self, program, word, number=0):
        status = program.do(word, number)
        if status != 0:
            raise Failure(f"{word} {number}: CUDA says {status}: {self.daemon.log()[-1000:]}")

    def session(self):
        """The only one: its worker's process and what it is charged for, in MiB."""
        found = self.daemon.ctl("sessions")
        return found[0]["pid"], found[0]["usage"]["memory_bytes"] / MIB

    def now(self):
        pid, charged = self.session()
        return held_mib(pid), charged


def charges(m):
    """Each thing that takes memory, and what the GPU and the accounts say of it."""
    program = m.program("vm1")
    m.expect(program, "begin")
    held, charged = m.now()
    m.say("memory/first-context", 0 < held <= CONTEXT_MIB,
          f"a session with its first context holds {held:.0f} MiB; it may {CONTEXT_MIB} beside "
          f"its charge of {charged:.0f}")
    for name, word, number in (("allocated", "alloc", 1024), ("second-context", "context", 0),
                               ("allocated-there", "alloc", 512), ("local-memory", "deep", 0)):
        m.expect(program, word, number)
        now, charge = m.now()
        more, paid = now - held, charge - charged
        # The first launch brings what the driver has for any kernel.
        m.say(f"memory/{name}", 0 < more <= paid + PIECE_MIB,
              f"it holds {more:.0f} MiB more, and is charged for {paid:.0f} MiB more")
        held, charged = now, charge
    m.expect(program, "free")
    now, charge = m.now()
    m.say("memory/freed", held - now >= 512 - PIECE_MIB and charged - charge == 512,
          f"it holds {held - now:.0f} MiB less, and is charged for {charged - charge:.0f} MiB less")
    m.say("memory/watched", "device memory of workers is watched by" in m.daemon.log(),
          "the daemon says that it watches")


def eviction(m):
    """Where contexts may have nothing beside the charge, one's own is too much."""
    other, greedy = m.program("other"), m.program("greedy")
    for program in (other, greedy):
        m.expect(program, "begin")
        m.expect(program, "alloc", 16)
    began = time.monotonic()
    wait_until("the eviction", lambda: "tenant greedy exceeds its limit" in m.daemon.log())
    took = time.monotonic() - began
    after = greedy.do("sync")
    kinds = [(line["tenant"], line["kind"]) for line in m.daemon.audit()
             if line["kind"] in ("eviction", "fault")]
    m.say("memory/evicted", after != 0 and other.do("sync") == 0 and other.do("alloc", 16) == 0,
          f"after {took:.1f} s; its next call had {after}, and the other tenant's none; "
          f"audit: {kinds}")


def measure():
    verdicts = []
    with Memory("", verdicts, vm1="32G") as m:
        charges(m)
    with Memory("[tenants]\ncontext-mib=0\n", verdicts, other="32G", greedy="32M") as m:
        eviction(m)
    return verdicts


def main():
    began = time.monotonic()
    probe = [str(HOST / "mediator" / "gpu_mediator-worker"), "--probe", "--backend=cuda"]
    if subprocess.run(probe, check=False).returncode != 0:
        print("no usable NVIDIA GPU on this machine (the worker's probe says why): skipped")
        return 77
    return tenants.report(measure(), began)


if __name__ == "__main__":
    sys.exit(main())
