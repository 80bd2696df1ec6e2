#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that tries everything at every level: what is allowed works, the rest is refused.

By commands on a queue, by commands in the device's registers (a second VM of the same
tenant, whose RAM cannot be shared), with a bare echo, and by CUDA; beside another
tenant, whose work has no failure.
"""

import json
import pathlib
import sys
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent),
                str(pathlib.Path(__file__).resolve().parents[1] / "cuda")]
import programs  # noqa: E402
import tap  # noqa: E402
from test_limits import ALLOWED  # noqa: E402
from test_two import operations  # noqa: E402
from vm import VM, Daemon, wait_until  # noqa: E402

# What is tried: the classes that it needs, and what shows that it was done.
COMMANDS = {
    "gpu_test nop": ([], "NOP command successful"),
    "gpu_test status": ([], "Status: ready"),
    "vgpu-smi": ([], "host CPU (cpu)"),
    "gpu_test vector_add": (["builtin"], "1024 elements, 0 errors"),
    "gpu_test matmul": (["builtin"], "elements, 0 errors"),
    "gpu_test bandwidth --repeat 1 --size 64K": (["builtin"], "65536 bytes"),
    "gpu_test info": (["builtin"], "host CPU"),
}
WORDS = {
    "NOP": ([], "NOP command successful"),
    "QUERY_STATUS": ([], "Status: backend cpu"),
    "RUN_VECTOR_ADD": (["builtin"], "1024 elements, 0 errors"),
    "hello": (["builtin"], "OK"),
}
# Each class by itself, and what programs make of them.
CUDA = {
    "classes.any": [],
    "classes.memory": ["memory"],
    "classes.kernels": ["memory", "kernels"],
    "classes.graphs": ["memory", "graphs"],
    "classes.callbacks": ["memory", "callbacks"],
    "classes.pinned": ["memory", "pinned"],
    "memory.virtual_memory": ["memory", "kernels"],
    "copy.two_dimensions": ["memory", "kernels"],
    "launch.matmul_ptx": ["memory", "kernels"],
    "module.library": ["memory", "kernels"],
    "stream.order": ["memory", "kernels"],
    "graph.captured": ["memory", "kernels", "graphs"],
    "graph.host_node": ["memory", "kernels", "graphs", "callbacks"],
    "graph_memory.captured": ["memory", "kernels", "graphs"],
    "capture.modes": ["memory", "kernels", "graphs"],
    "callback.in_order": ["memory", "kernels", "callbacks"],
    "pinned.registered": ["memory", "kernels", "pinned"],
}
NOT_PERMITTED = "800, CUDA_ERROR_NOT_PERMITTED"


class Matrix(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(backend="cpu", tenants={})
        cls.addClassCleanup(cls.daemon.stop)
        for name in ("guest", "other"):
            cls.write(name, "level=low\n")
        cls.daemon.start()
        initrd = programs.driver_initrd(cls.daemon.folder)
        cls.cuda = initrd is not None
        cls.guest = cls.enterClassContext(VM(cls.socket("guest"), "guest", initrd=initrd))
        cls.registers = cls.enterClassContext(VM(cls.socket("guest"), "registers", shared=False,
                                                 memory="192M"))
        cls.other = cls.enterClassContext(VM(cls.socket("other"), "other", memory="192M"))
        for vm in (cls.guest, cls.registers, cls.other):
            vm.ready()

    @classmethod
    def socket(cls, name):
        return cls.daemon.folder / f"{name}.sock"

    @classmethod
    def write(cls, name, more):
        cls.daemon.tenant(name, f"[tenant]\nsocket={cls.socket(name)}\n{more}")

    def setUp(self):
        self.other.background("while [ ! -e /tmp/enough ]; do "
                              "gpu_test stress --seconds 2 || exit 1; done", "work")

    def tearDown(self):
        """Whatever was tried: daemon, guests and the other tenant are well."""
        self.other.check("touch /tmp/enough")
        result = self.other.collect("work")
        self.other.check("rm /tmp/enough")
        self.assertEqual(result.status, 0, result)
        self.assertGreater(operations(result.output)[0], 0)
        self.assertIsNone(self.daemon.process.poll())
        self.assertEqual(sum(self.daemon.ctl("tenants", "guest")[0]["faults"].values()), 0)
        for vm in (self.guest, self.registers, self.other):
            self.assertNotIn("Call Trace", vm.console())

    # ----------------------------------------------------------------- attempts
    def attempt(self, vm, command, done, words):
        """`done`: it may be done, and says `words`; else it is refused."""
        result = vm.run(f"{command} 2>&1")
        if done:
            self.assertEqual(result.status, 0, result)
            self.assertIn(words, result.output, result)
        else:
            self.assertNotEqual(result.status, 0, result)
            self.assertIn("not permitted", result.output, result)

    def try_commands(self, allowed):
        for command, (needs, words) in COMMANDS.items():
            self.attempt(self.guest, command, set(needs) <= allowed, words)
        for vm in (self.guest, self.registers):
            for word, (needs, words) in WORDS.items():
                command = f"exec 3<>/dev/vgpu_stub; echo {word} >&3 && head -n 1 <&3"
                self.attempt(vm, command, set(needs) <= allowed, words)

    def try_cuda(self, allowed):
        result = self.guest.run("/opt/cuda/driver_tests " + " ".join(CUDA))
        said, seen = [], set()
        for line in result.output.replace("\r", "").splitlines():
            name, _, verdict = line.partition(": ")
            said.append(line)
            if name not in CUDA:
                continue
            seen.add(name)
            with self.subTest(name, allowed=sorted(allowed)):
                if set(CUDA[name]) <= allowed:
                    self.assertTrue(verdict.startswith("ok"), said)
                else:
                    self.assertTrue(verdict.startswith("FAILED"), said)
                    self.assertIn(NOT_PERMITTED, "\n".join(said))
            said = []
        self.assertEqual(seen, set(CUDA))

    def refused(self, tenant):
        """How much was refused to it, by the daemon's account."""
        return self.daemon.ctl("tenants", tenant)[0]["usage"]["refused"]

    def expect(self, allowed):
        """The guest tries everything, and everything is as the table says."""
        refused = self.refused("guest")
        seen = json.loads(self.guest.check("vgpu-smi --json"))["allowed"]
        self.assertEqual(seen, allowed)
        self.try_commands(set(allowed))
        if self.cuda:
            self.try_cuda(set(allowed))
        tried = [*(needs for needs, _ in (*COMMANDS.values(), *WORDS.values())),
                 *(CUDA.values() if self.cuda else [])]
        if any(set(needs) - set(allowed) for needs in tried):
            wait_until("its refusals in the account",
                       lambda: self.refused("guest") > refused)
        else:
            self.assertEqual(self.refused("guest"), refused)

    # -------------------------------------------------------------------- cases
    def test_1_levels(self):
        for level, allowed in ALLOWED.items():
            self.write("guest", f"level={level}\n")
            self.daemon.reload()
            self.expect(allowed)

    def test_2_each_class_taken_away(self):
        for missing in ALLOWED["medium"]:
            allowed = [c for c in ALLOWED["medium"] if c != missing]
            self.write("guest", f"level=medium\n[allowed]\nclasses={';'.join(allowed)}\n")
            self.daemon.reload()
            self.expect(allowed)
        causes = [line["cause"] for line in self.daemon.audit()
                  if line["kind"] == "operation-refused" and line.get("tenant") == "guest"]
        self.assertIn("class", causes)
        self.assertEqual(self.refused("other"), 0)


if __name__ == "__main__":
    tap.main()
