# SPDX-License-Identifier: GPL-2.0-or-later
"""xcp-ng/host: the wrapper before xenopsd's, and the plug-in of xapi.

XenStore, the stock wrapper, the emulator and the host are test doubles: nothing
of Xen runs here.
"""

import ast
import importlib.machinery
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import xmlrpc.client

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/vm"))
import tap  # noqa: E402

HOST = ROOT / "xcp-ng/host"


def load(name):
    """A script without .py as a module, and no cache of it beside the source."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(HOST / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    with unittest.mock.patch.object(sys, "dont_write_bytecode", True):
        loader.exec_module(module)
    return module


wrapper, plugin = load("qemu-wrapper"), load("plugin")
ARGV = ["wrapper", "7", "-videoram", "8", "-xen-domid", "7", "-m", "size=1024"]


class FakeXenstore:
    """Test double of XenStore: a dictionary."""

    def __init__(self, **values):
        self.values = {f"/local/domain/7/{k.replace('__', '/').replace('_', '-')}": v
                       for k, v in values.items()}

    def read(self, path):
        return self.values.get(path)


class FakeEmulator:
    """Test double of subprocess.run() for the emulator."""

    def __init__(self, code=0, out=b"", error=None):
        self.code, self.out, self.error, self.calls = code, out, error, []

    def __call__(self, command, **options):
        self.calls.append(command)
        if self.error:
            raise self.error
        return subprocess.CompletedProcess(command, self.code, self.out)


class Key(unittest.TestCase):
    def test_off(self):
        for text in ("", " ", "off", "false", "0", "off,queues=4"):
            self.assertIsNone(wrapper.parse(text))

    def test_ways(self):
        for text in ("on", "true", "1", "emulator", " emulator\n"):
            self.assertEqual(wrapper.parse(text), ("emulator", 32, 30, None))
        self.assertEqual(wrapper.parse("qemu,queues=256,slot=1"), ("qemu", 256, 1, None))
        self.assertEqual(wrapper.parse("on,tenant=vm-7.a"), ("emulator", 32, 30, "vm-7.a"))

    def test_refused(self):
        for text in ("yes", "emulator,queues=0", "emulator,queues=257", "qemu,queues=", "qemu,slot=32",
                     "qemu,slot=-1", "qemu,slot=0x1e", "qemu,slot =1", "qemu,socket=/tmp/s", "qemu,",
                     "qemu,queues=٣", "emulator,queues=9999999999", "on,tenant=", "on,tenant=../x",
                     "on,tenant=.x", "on,tenant=a b", "on,tenant=a/b", "on,tenant=" + 64 * "a"):
            with self.assertRaises(wrapper.Refused, msg=text):
                wrapper.parse(text)


class Wrapper(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vgpu-wrapper-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.said = []

    def prepare(self, argv, emulator=None, **values):
        emulator = emulator or FakeEmulator()
        self.emulator = emulator
        with unittest.mock.patch.object(wrapper.beside_qemu, "__defaults__", (emulator,)):
            return wrapper.prepare(argv, FakeXenstore(**values), self.said.append)

    def qemu(self, content):
        path = self.folder / "qemu"
        path.write_bytes(content)
        return unittest.mock.patch.object(wrapper.in_qemu, "__defaults__", (str(path),))

    def test_untouched(self):
        self.assertEqual(self.prepare(ARGV), ARGV)
        self.assertEqual(self.prepare(ARGV, platform__vgpu_stub="off"), ARGV)
        self.assertEqual(self.emulator.calls, [])
        self.assertEqual(self.said, [])

    def test_odd_command_lines_are_the_stock_wrappers(self):
        for argv in (["wrapper"], ["wrapper", "--help"], ["wrapper", "x", "-xen-domid"],
                     ["wrapper", "-xen-domid", "x"]):
            self.assertEqual(self.prepare(argv, platform__vgpu_stub="on"), argv)

    def test_domain(self):
        self.assertEqual(wrapper.domain(ARGV), 7)
        self.assertEqual(wrapper.domain(["wrapper", "7", "-m", "1"]), 7)

    def test_emulator(self):
        emulator = FakeEmulator(out=b"words\n")
        self.assertEqual(self.prepare(ARGV, emulator, platform__vgpu_stub="on,queues=4,slot=29"), ARGV)
        self.assertEqual(emulator.calls, [[
            "/usr/sbin/vgpu-stub-xen", "--daemon", "--domid=7",
            "--socket=/run/gpu_mediator/gpu_mediator.sock", "--socket-group=vgpu", "--queues=4",
            "--slot=29"]])
        self.assertEqual(self.said, ["domain 7: emulator, 4 queues, slot 29", "words"])

    def test_tenant(self):
        for groups, group in (({"vgpu", "vgpu-one"}, "vgpu-one"), ({"vgpu", "vgpu-two"}, "vgpu")):
            def getgrnam(name):
                if name not in groups:
                    raise KeyError(name)
                return unittest.mock.Mock(gr_name=name)
            emulator = FakeEmulator()
            with unittest.mock.patch.object(wrapper.grp, "getgrnam", getgrnam):
                self.prepare(ARGV, emulator, platform__vgpu_stub="on,tenant=one")
            self.assertIn("--socket=/run/gpu_mediator/one.sock", emulator.calls[0])
            self.assertIn("--socket-group=" + group, emulator.calls[0])
            self.assertEqual(self.said.pop(), "domain 7: emulator, 32 queues, slot 30, tenant one")
        with self.qemu(b"\x7fELF...vgpu-stub\0..."):
            argv = self.prepare(ARGV, platform__vgpu_stub="qemu,tenant=one")
        self.assertIn("vgpu-stub,socket=/run/gpu_mediator/one.sock,queues=32,addr=1e", argv)

    def test_emulator_fails(self):
        for emulator, words in (
                (FakeEmulator(1, b"vgpu-stub-xen: there is no domain 7\n"), "there is no domain 7"),
                (FakeEmulator(3), "ended with 3"),
                (FakeEmulator(error=FileNotFoundError(2, "No such file or directory")), "No such file"),
                (FakeEmulator(error=subprocess.TimeoutExpired("x", 60)), "did not start")):
            with self.assertRaisesRegex(wrapper.Refused, words):
                self.prepare(ARGV, emulator, platform__vgpu_stub="emulator")

    def test_in_qemu(self):
        with self.qemu(b"\x7fELF...vgpu-stub\0..."):
            argv = self.prepare(ARGV, platform__vgpu_stub="qemu", name="one, two")
        self.assertEqual(argv, ARGV + [
            "-device", "vgpu-stub,socket=/run/gpu_mediator/gpu_mediator.sock,queues=32,addr=1e",
            "-name", "one,, two"])
        self.assertEqual(self.emulator.calls, [])

    def test_in_qemu_that_has_a_name(self):
        with self.qemu(b"vgpu-stub"):
            argv = self.prepare(ARGV + ["-name", "x"], platform__vgpu_stub="qemu", name="y")
        self.assertEqual(argv.count("-name"), 1)

    def test_qemu_without_the_device(self):
        with self.qemu(b"\x7fELF no such thing"):
            with self.assertRaisesRegex(wrapper.Refused, "built without the device"):
                self.prepare(ARGV, platform__vgpu_stub="qemu")


class WholeWrapper(unittest.TestCase):
    """The script as xenopsd starts it; the programs around it are test doubles."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vgpu-wrapper-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        stock = self.program("stock", 'printf "stock:"; printf " %s" "$@"; exit 5')
        emulator = self.program("emulator", 'echo "emulator: $*"')
        text = (HOST / "qemu-wrapper").read_text()
        for name, path in (("STOCK", stock), ("EMULATOR", emulator)):
            line = next(x for x in text.splitlines() if x.startswith(name + " = "))
            text = text.replace(line, f'{name} = "{path}"')
        self.script = self.folder / "qemu-wrapper"
        self.script.write_text(text)

    def program(self, name, text):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def start(self, key):
        self.program("xenstore-read", f'test "$1" = /local/domain/7/platform/vgpu-stub && echo "{key}"'
                     if key else "exit 1")
        return subprocess.run([sys.executable, self.script, *ARGV[1:]], capture_output=True, text=True,
                              env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"})

    def test_without(self):
        done = self.start("")
        self.assertEqual((done.returncode, done.stdout), (5, "stock: " + " ".join(ARGV[1:])))

    def test_with(self):
        done = self.start("on")
        self.assertEqual(done.returncode, 5)
        self.assertIn("emulator: --daemon --domid=7 ", done.stdout)
        self.assertTrue(done.stdout.endswith("stock: " + " ".join(ARGV[1:])), done.stdout)

    def test_refused(self):
        done = self.start("nonsense")
        self.assertEqual(done.returncode, 1)
        self.assertIn("vgpu-stub: 'nonsense' is no way", done.stdout)
        self.assertNotIn("stock:", done.stdout)


class FakeHost:
    """Test double of the host: two domains with the device, one without."""

    tree = {
        "/local/domain/7/name": "one",
        "/local/domain/7/platform/vgpu-stub": "on",
        "/local/domain/0/backend/vgpu-stub/7/0/state": "connected",
        "/local/domain/8/name": "two",
        "/local/domain/12/name": "three\x1b[1m",
        "/local/domain/12/platform/vgpu-stub": "qemu",
    }

    def read(self, path):
        return self.tree.get(path)

    def list(self, path):
        below = [p[len(path) + 1:].split("/")[0] for p in self.tree if p.startswith(path + "/")]
        return list(dict.fromkeys(below))

    def daemon(self):
        return "running"


class NoXen(FakeHost):
    tree = {}


STATUS = """gpu_mediator: running
domain 7: name one; wanted on; state connected
domain 12: name three?[1m; wanted qemu"""


class Plugin(unittest.TestCase):
    def call(self, function, host):
        request = xmlrpc.client.dumps(("OpaqueRef:session", {}), function)
        (value,), _ = xmlrpc.client.loads(plugin.answer(request, host))
        return value

    def test_status(self):
        self.assertEqual(plugin.status(FakeHost()), STATUS)
        self.assertEqual(plugin.status(NoXen()), "gpu_mediator: running\nno domain has the device")

    def test_call(self):
        self.assertEqual(self.call("status", FakeHost()), {"Status": "Success", "Value": STATUS})

    def test_unknown(self):
        self.assertEqual(self.call("format_disks", FakeHost()), {
            "Status": "Failure",
            "ErrorDescription": ["UNKNOWN_XENAPI_PLUGIN_FUNCTION", "format_disks"]})

    def test_as_xapi_starts_it(self):
        request = xmlrpc.client.dumps(("OpaqueRef:session", {}), "status")
        done = subprocess.run([HOST / "plugin", request], capture_output=True, text=True, check=True)
        (value,), _ = xmlrpc.client.loads(done.stdout)
        self.assertEqual(value["Status"], "Success")
        self.assertEqual(subprocess.run([HOST / "plugin"], capture_output=True).returncode, 2)


class Old(unittest.TestCase):
    def test_python_3_6(self):
        for script in (HOST / "qemu-wrapper", HOST / "plugin"):
            ast.parse(script.read_text(), feature_version=(3, 6))


if __name__ == "__main__":
    tap.main()
