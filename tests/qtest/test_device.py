#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The device as a guest and a user of QEMU see it, with no guest running."""

import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import qtest as q  # noqa: E402
from qtest import QTest, Ring  # noqa: E402
import tap  # noqa: E402
from vm import BUILD, Daemon, Failure, wait_until  # noqa: E402

START, RESET_DEVICE = 0x101, 34  # of protocol/vgpu_socket.h
ENOENT, EIO, EFAULT, EINVAL, EOPNOTSUPP, ENOTCONN = -2, -5, -14, -22, -95, -107
ECONNREFUSED = -111


def device(daemon, options=""):
    path = daemon.socket if isinstance(daemon, Daemon) else daemon
    return f"vgpu-stub,socket={path}{options}"


class WithoutDaemon(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vgpu-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.nowhere = self.folder / "nobody.sock"

    def test_configuration_space(self):
        with QTest(device(self.nowhere, ",queues=5")) as t:
            self.assertEqual(t.config(0x00), 0x11111af4)
            self.assertEqual(t.config(0x08), 0x12000001)
            self.assertEqual(t.config(0x3c) >> 8 & 0xff, 0, "no INTx")
            for bar, size in ((0, 4096), (1, 0), (2, 8 * 4096), (3, 0), (4, 4096), (5, 0)):
                t.config(0x10 + 4 * bar, 0xffffffff)
                value = t.config(0x10 + 4 * bar)
                self.assertEqual(value & 0xf, 0)
                self.assertEqual(-value & 0xffffffff if value else 0, size, f"BAR {bar}")
            at = t.msix_capability()
            self.assertEqual(t.config(at) >> 16 & 0x7ff, 6 - 1, "vectors")
            self.assertEqual(t.config(at + 4) & 7, 4, "table in BAR 4")
            self.assertEqual(t.config(at + 8) & 7, 4, "pending bits in BAR 4")

    def test_vectors_are_limited(self):
        with QTest(device(self.nowhere, ",queues=256")) as t:
            self.assertEqual(t.config(t.msix_capability()) >> 16 & 0x7ff, 65 - 1)
            t.enable()
            self.assertEqual(t.reg(q.MAX_QUEUES), 256)
            self.assertEqual(t.reg(q.NUM_VECTORS), 65)

    def test_registers(self):
        with QTest(device(self.nowhere)) as t:
            t.enable()
            self.assertEqual(t.reg(q.MAGIC), 0x55504756)
            self.assertEqual(t.reg(q.ABI_VERSION), 0x10002)
            self.assertEqual(t.reg(q.STATUS), q.QUEUES)
            self.assertEqual(t.reg(q.FEATURES_LO), 7)
            self.assertEqual(t.reg(q.DATA_OFFSET), 0x100)
            self.assertEqual(t.reg(q.MAX_QUEUES), 32)

    def test_other_access_sizes(self):
        with QTest(device(self.nowhere), extra=["-d", "guest_errors"]) as t:
            t.enable()
            bar = q.BAR_AT[0]
            for size in "bwq":
                self.assertEqual(t.read(bar + q.MAGIC, size), 0)
                t.write(bar + q.DATA, 0x11, size)
            t.write(bar + q.DATA + 2, 0x11)
            self.assertEqual(t.reg(q.DATA), 0)
            self.assertEqual(t.reg(q.DATA + 4), 0)
            self.assertIn("only aligned 32-bit", t.stderr())

    def test_no_link(self):
        with QTest(device(self.nowhere)) as t:
            t.enable()
            self.assertEqual(t.command(q.NOP), (ENOTCONN, b""))
            ring = Ring(t, 0)
            self.assertEqual(ring.start(), q.FAILED)
            self.assertEqual(ring.error(), ENOTCONN)
            ring.stop()
            self.assertIn("not connected to gpu_mediator", t.stderr())

    def test_property_misuse(self):
        socketdev = ["-chardev", f"socket,id=c,path={self.folder}/x,server=on,wait=off"]
        cases = (
            ("vgpu-stub", [], "socket=PATH"),
            (f"vgpu-stub,socket={self.nowhere},chardev=c", socketdev, "not both"),
            ("vgpu-stub,chardev=none", [], "none"),
            ("vgpu-stub,socket=", [], "empty or too long"),
            (f"vgpu-stub,socket=/{'x' * 200}", [], "empty or too long"),
            (f"vgpu-stub,socket={self.nowhere},queues=0", [], "use 1 to 256"),
            (f"vgpu-stub,socket={self.nowhere},queues=257", [], "use 1 to 256"),
        )
        for argument, extra, words in cases:
            with self.assertRaises(Failure, msg=argument) as caught:
                with QTest(argument, extra=extra):
                    pass
            self.assertIn(words, str(caught.exception), argument)

    def test_misuse_leaves_nothing_behind(self):
        with QTest(None) as t:
            for argument in ({"queues": 0, "socket": "/x"}, {}):
                with self.assertRaises(Failure):
                    t.qmp("device_add", driver="vgpu-stub", **argument)
            t.qmp("migrate", uri="exec:cat >/dev/null")  # no blocker was left

    def test_ram_that_others_discard(self):
        plugged = ["-m", "64M,maxmem=1G", "-object",
                   "memory-backend-memfd,id=more,size=128M,share=on"]
        virtio_mem = ["-device", "virtio-mem-pci,id=vm0,memdev=more"]
        with self.assertRaises(Failure) as caught:
            with QTest(device(self.nowhere), extra=plugged + virtio_mem):
                pass
        self.assertIn("remove virtio-mem", str(caught.exception))
        with QTest(device(self.nowhere), shared=False, extra=plugged[:2] + [
                "-object", "memory-backend-memfd,id=more,size=128M,share=off"] + virtio_mem):
            pass  # nothing is handed out
        with QTest(device(self.nowhere), extra=plugged) as t:
            with self.assertRaises(Failure):
                t.qmp("device_add", driver="virtio-mem-pci", id="vm0", memdev="more")

    def test_migration_is_blocked(self):
        with QTest(device(self.nowhere)) as t:
            with self.assertRaises(Failure) as caught:
                t.qmp("migrate", uri="exec:cat >/dev/null")
            self.assertIn("cannot be saved or migrated", str(caught.exception))

    @unittest.skipIf(os.environ.get("VGPU_QEMU") == "graft", "of the plugin only")
    def test_other_version_is_refused(self):
        source = (BUILD / "plugin" / "qemu-build" / ".vgpu-configured").read_text().strip()
        out = self.folder / "other"
        (out / "qemu-build").parent.mkdir(parents=True)
        os.symlink(BUILD / "plugin" / "qemu-build", out / "qemu-build")
        script = pathlib.Path(__file__).parents[2] / "qemu-device" / "qemu" / "build-plugin.sh"
        subprocess.run([script, source, out], check=True,
                       env={**os.environ, "CPPFLAGS": "-DVGPU_BUILT_FOR_MICRO=99"})
        command = ["qemu-system-x86_64", "-display", "none", "-S", "-accel", "tcg", "-nodefaults"]
        for way in (["-plugin", f"file={out}/vgpu-stub.so"], []):
            env = dict(os.environ)
            if not way:
                env["LD_PRELOAD"] = f"{out}/vgpu-stub-preload.so"
            done = subprocess.run(command + way, env=env, stderr=subprocess.PIPE, timeout=30)
            self.assertNotEqual(done.returncode, 0)
            self.assertRegex(done.stderr.decode(), r"built for QEMU \d+\.\d+\.99, but this is")

    @unittest.skipIf(os.environ.get("VGPU_QEMU") == "graft", "of the plugin only")
    def test_preload(self):
        shim = str(BUILD / "plugin" / "vgpu-stub-preload.so")
        done = subprocess.run(["qemu-system-x86_64", "-device", "vgpu-stub,help"],
                              env={**os.environ, "LD_PRELOAD": shim}, capture_output=True)
        self.assertIn(b"socket=", done.stdout)
        done = subprocess.run(["/bin/echo", "unharmed"], env={"LD_PRELOAD": shim},
                              capture_output=True)
        self.assertEqual((done.stdout, done.stderr), (b"unharmed\n", b""))


class WithDaemon(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon(backend="cpu").start()
        self.addCleanup(self.daemon.stop)

    def qtest(self, **more):
        t = QTest(device(self.daemon), name="vm-q", **more)
        t.__enter__()
        self.addCleanup(t.__exit__)
        t.enable()
        t.wait_status(q.LINK, "link")
        return t

    def test_register_commands(self):
        t = self.qtest()
        self.assertEqual(t.command(q.NOP), (0, b""))
        result, answer = t.command(q.VECTOR_ADD)
        self.assertEqual(result, 0)
        backend, errors, elements = struct.unpack_from("<IIQ", answer)
        self.assertEqual((backend, errors, elements), (1, 0, 1024))
        self.assertEqual(t.command(q.TEXT, b"hello from qtest", 0x200)[0], 0)
        wait_until("the text in the log", lambda: "hello from qtest" in self.daemon.log())
        self.assertRegex(self.daemon.log(), r"vm=vm-q .*hello from qtest")
        self.assertEqual(t.command(0x7777)[0], EOPNOTSUPP)
        # Inline: two elements.
        body = struct.pack("<Q4f", 2, 1.5, 2.5, 10.0, 20.0)
        result, answer = t.command(q.VECTOR_ADD, body)
        self.assertEqual(result, 0)
        self.assertEqual(struct.unpack("<2f", answer[32:]), (11.5, 22.5))

    def test_unshared_memory(self):
        t = self.qtest(shared=False)
        self.assertEqual(t.reg(q.STATUS) & (q.UNSHARED | q.QUEUES), q.UNSHARED)
        self.assertEqual(t.reg(q.FEATURES_LO), 0)
        self.assertEqual(t.command(q.VECTOR_ADD)[0], 0)
        self.assertIn("share=on", t.stderr())

    def test_command_interrupt(self):
        t = self.qtest()
        t.msix_vector(0, 0x2000, 0xabcd)
        t.msix_enable()
        t.reg(q.INT_STATUS, 7)
        t.reg(q.INT_MASK, 1)
        t.command(q.NOP)
        self.assertEqual(t.reg(q.INT_STATUS), 1)
        wait_until("message of vector 0", lambda: t.read(0x2000) == 0xabcd)

    def test_queue(self):
        t = self.qtest()
        for queue in (0, 31):
            t.msix_vector(queue + 1, 0x3000 + 4 * queue, 0x100 + queue)
        t.msix_enable()
        for queue in (0, 31):
            ring = Ring(t, queue, 0x100000 * (1 + queue % 2), vector=queue + 1)
            self.assertEqual(ring.start(), q.RUNNING, ring.error())
            before = t.reg(q.COUNT_DOORBELLS)
            for i in range(300):  # more than the ring has slots
                ring.push(q.NOP, i)
                ring.kick()
                self.assertEqual(ring.pop(), (i, 0))
            self.assertEqual(t.reg(q.COUNT_DOORBELLS), before + 300, "no KVM, no ioeventfd")
            wait_until("interrupt", lambda: t.read(0x3000 + 4 * queue) == 0x100 + queue)
            # A doorbell of another size arrives too.
            ring.push(q.NOP, 1000)
            ring.kick("w")
            self.assertEqual(ring.pop(), (1000, 0))
            self.assertEqual(t.reg(q.COUNT_DOORBELLS), before + 301)
            ring.stop()
        wait_until("workers to end", lambda: not self.daemon.workers())

    def test_vectors_aimed_at_itself(self):
        t = self.qtest()
        t.msix_vector(0, q.BAR_AT[0] + q.DATA + 0x80, 0xabcd)
        t.msix_vector(1, q.BAR_AT[2], 0)  # the doorbell of the queue that calls
        t.msix_enable()
        t.reg(q.INT_STATUS, 7)
        t.reg(q.INT_MASK, 1)
        self.assertEqual(t.command(q.NOP)[0], 0)
        self.assertEqual(t.reg(q.INT_STATUS), 1)
        self.assertEqual(t.reg(q.DATA + 0x80), 0)
        t.reg(q.INT_MASK, 0)
        ring = Ring(t, 0)
        ring.start()
        for ident in range(1, 20):
            ring.push(q.NOP, ident)
            ring.kick()
            self.assertEqual(ring.pop(), (ident, 0))
        self.assertEqual(t.reg(q.COUNT_DOORBELLS), 19)
        ring.stop()

    def test_masked_vector_is_pending(self):
        t = self.qtest()
        t.msix_vector(1, 0x3000, 0x55, masked=True)
        t.msix_enable()
        ring = Ring(t, 0)
        ring.start()
        ring.push(q.NOP, 1)
        ring.kick()
        ring.pop()
        pending = q.BAR_AT[4] + (t.config(t.msix_capability() + 8) & ~7)
        wait_until("pending bit", lambda: t.read(pending) & 2)
        self.assertEqual(t.read(0x3000), 0)
        t.msix_vector(1, 0x3000, 0x55)
        self.assertEqual(t.read(0x3000), 0x55)
        self.assertEqual(t.read(pending) & 2, 0)

    def test_queue_outside_memory(self):
        t = self.qtest()
        ring = Ring(t, 0, address=0x100000)
        t.reg(q.DRIVER_FEATURES_LO, 7)
        t.reg(q.CONTROL, 2)
        for address in (0x40000000, 0x3fff000, 0xfffff000):  # beyond, across the end, firmware
            t.reg(q.QUEUE_SELECT, 0)
            for offset, value in ((q.QUEUE_ADDR_LO, address), (q.REQ_SLOTS, 256),
                                  (q.RSP_SLOTS, 256)):
                t.reg(offset, value)
            t.reg(q.QUEUE_CONTROL, 1)
            wait_until("refusal", lambda: ring.state() == q.FAILED)
            self.assertEqual(ring.error(), EFAULT)
            ring.stop()
        self.assertEqual(ring.start(), q.RUNNING)

    def test_machine_reset(self):
        t = self.qtest()
        ring = Ring(t, 0)
        ring.start()
        t.command(q.NOP)
        wait_until("two workers", lambda: len(self.daemon.workers()) == 2)
        t.qmp("system_reset")
        t.wait_event("RESET")
        # The reset itself waited for them.
        self.assertEqual(self.daemon.workers(), [])
        t.enable()
        wait_until("end of reset", lambda: t.reg(q.CONTROL) == 0)
        self.assertEqual(ring.state(), q.STOPPED)
        ring = Ring(t, 0)
        self.assertEqual(ring.start(), q.RUNNING)
        self.assertEqual(t.command(q.NOP)[0], 0)

    def test_unplug_and_replug(self):
        t = self.qtest()
        fds = None
        for i in range(12):
            ring = Ring(t, i)
            self.assertEqual(ring.start(), q.RUNNING)
            ring.push(q.NOP, i)
            ring.kick()
            self.assertEqual(ring.pop(), (i, 0))
            self.assertEqual(t.command(q.VECTOR_ADD)[0], 0)
            t.qmp("device_del", id="vgpu0")
            t.ask(f"outl 0xae08 {1 << q.SLOT:#x}")  # the guest's ACPI lets it go
            t.wait_event("DEVICE_DELETED")
            self.assertEqual(t.config(0), 0xffffffff)
            wait_until("workers to end", lambda: not self.daemon.workers())
            t.pause()
            if i == 1:
                fds = t.descriptors()
            t.qmp("device_add", driver="vgpu-stub", id="vgpu0", addr=f"{q.SLOT}",
                  socket=str(self.daemon.socket))
            t.enable()
            t.wait_status(q.LINK, "link of the new device")
        t.qmp("device_del", id="vgpu0")
        t.ask(f"outl 0xae08 {1 << q.SLOT:#x}")
        t.wait_event("DEVICE_DELETED")
        t.pause()
        self.assertEqual(t.descriptors(), fds)

    def test_daemon_restarts(self):
        t = self.qtest()
        ring = Ring(t, 0)
        ring.start()
        t.command(q.NOP)
        self.daemon.kill()
        wait_until("link to go", lambda: not t.reg(q.STATUS) & q.LINK)
        # The queue's worker lives on.
        ring.push(q.NOP, 1)
        ring.kick()
        self.assertEqual(ring.pop(), (1, 0))
        self.assertEqual(t.command(q.NOP)[0], ENOTCONN)
        self.daemon.start()
        t.wait_status(q.LINK, "link to return")
        self.assertEqual(ring.state(), q.RUNNING)
        ring.push(q.NOP, 2)
        ring.kick()
        self.assertEqual(ring.pop(), (2, 0))
        self.assertEqual(t.command(q.NOP)[0], 0)
        ring.stop()
        self.assertEqual(Ring(t, 0).start(), q.RUNNING)

    def test_stop_without_daemon(self):
        t = self.qtest()
        ring = Ring(t, 0)
        ring.start()
        self.daemon.kill()
        wait_until("link to go", lambda: not t.reg(q.STATUS) & q.LINK)
        ring.stop()

    def test_worker_dies(self):
        t = self.qtest()
        ring, other = Ring(t, 0), Ring(t, 1, 0x200000)
        ring.start()
        victim, = self.daemon.workers()
        other.start()
        os.kill(victim, 9)
        wait_until("loss", lambda: ring.state() == q.FAILED)
        self.assertEqual(ring.error(), EIO)
        other.push(q.NOP, 5)
        other.kick()
        self.assertEqual(other.pop(), (5, 0))
        ring.stop()
        ring = Ring(t, 0)
        self.assertEqual(ring.start(), q.RUNNING)

    def test_late_daemon(self):
        self.daemon.stop()
        with QTest(device(self.daemon)) as t:
            t.enable()
            self.assertEqual(t.reg(q.STATUS) & q.LINK, 0)
            self.daemon.start()
            t.wait_status(q.LINK, "link")
            self.assertEqual(t.command(q.NOP)[0], 0)

    def test_chardev(self):
        chardev = f"socket,id=c,path={self.daemon.socket},reconnect=1"
        with QTest("vgpu-stub,chardev=c", name="by-chardev", extra=["-chardev", chardev]) as t:
            t.enable()
            t.wait_status(q.LINK, "link by chardev")
            self.assertEqual(t.command(q.VECTOR_ADD)[0], 0)
            ring = Ring(t, 0)
            self.assertEqual(ring.start(), q.RUNNING)
            ring.push(q.NOP, 7)
            ring.kick()
            self.assertEqual(ring.pop(), (7, 0))
            self.daemon.kill()
            wait_until("link to go", lambda: not t.reg(q.STATUS) & q.LINK)
            self.daemon.start()
            t.wait_status(q.LINK, "link to return by chardev")
            ring.push(q.NOP, 8)
            ring.kick()
            self.assertEqual(ring.pop(), (8, 0))


class FakeDaemon:
    """Listens, and treats each connection with `serve(socket)` in a thread."""

    def __init__(self, folder, serve):
        self.socket = pathlib.Path(folder) / "fake.sock"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.socket))
        self.listener.listen(8)
        self.serve, self.connections = serve, 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with peer:
                try:
                    self.serve(peer)
                except OSError:
                    pass


def message(request, payload, flags=5):
    return struct.pack("<III", request, flags, len(payload)) + payload


def hello_reply(status=0, reason=b"", protocol=1, abi=0x10000):
    return message(0x100, struct.pack("<iI160sIIIIQQ", status, 0, reason, protocol, abi, 32, 1, 7,
                                      1 << 3 | 1 << 12 | 1 << 15))


class BadDaemons(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vgpu-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def refused(self, reply, words):
        def serve(peer):
            peer.recv(4096)
            peer.sendall(reply)
            peer.recv(1)
        fake = FakeDaemon(self.folder, serve)
        self.addCleanup(fake.listener.close)
        with QTest(f"vgpu-stub,socket={fake.socket}") as t:
            t.enable()
            t.wait_status(q.REFUSED, "refusal")
            self.assertEqual(t.reg(q.STATUS) & q.LINK, 0)
            self.assertIn(words, t.stderr())
            self.assertEqual(t.command(q.NOP)[0], ECONNREFUSED)
            self.assertIn(words, self.reason(t))

    def reason(self, t):
        """What the guest reads of it."""
        text = b""
        for i in range(64):
            t.reg(q.REASON_SELECT, i)
            text += t.reg(q.REASON).to_bytes(4, "little")
        return text.rstrip(b"\0").decode()

    def test_wrong_protocol(self):
        self.refused(hello_reply(protocol=2), "version 2 of the socket protocol")

    def test_wrong_abi(self):
        self.refused(hello_reply(abi=0x20000), "version 2 of the guest's ABI")

    def test_refusal_with_words(self):
        self.refused(hello_reply(-13, b"no policy for this VM"), "no policy for this VM")

    def test_garbage(self):
        """Whatever a daemon sends, the device ends the connection and tries again."""
        garbage = [b"\0" * 12, b"\xff" * 5000, message(0x100, b"\1" * 1024), hello_reply()[:100],
                   message(0x101, bytes(184)), message(0x180, bytes(184), 1),
                   hello_reply() + message(34, bytes(168)), b""]
        state = {"n": 0}

        def serve(peer):
            peer.recv(4096)
            peer.sendall(garbage[state["n"] % len(garbage)])
            state["n"] += 1
            # With descriptors too many, and out of place.
            try:
                socket.send_fds(peer, [b"x"], [0] * 20)
            except OSError:
                pass
        fake = FakeDaemon(self.folder, serve)
        self.addCleanup(fake.listener.close)
        with QTest(f"vgpu-stub,socket={fake.socket}") as t:
            t.enable()
            before = t.descriptors()
            wait_until("several tries", lambda: fake.connections >= 6)
            self.assertEqual(t.reg(q.STATUS) & q.LINK, 0)
            t.pause()
            self.assertLessEqual(t.descriptors(), before + 1)

    def test_never_reads(self):
        """A daemon that agrees and then stops reading: QEMU does not block."""
        def serve(peer):
            peer.recv(4096)
            peer.sendall(hello_reply() + message(5, bytes(168)))
            stop.wait(60)
        stop = threading.Event()
        self.addCleanup(stop.set)
        fake = FakeDaemon(self.folder, serve)
        self.addCleanup(fake.listener.close)
        with QTest(f"vgpu-stub,socket={fake.socket},queues=256") as t:
            t.enable()
            wait_until("link or next try", lambda: t.reg(q.STATUS) & q.LINK)
            t.reg(q.DRIVER_FEATURES_LO, 7)
            t.reg(q.CONTROL, 2)
            for queue in range(t.reg(q.MAX_QUEUES)):
                t.reg(q.QUEUE_SELECT, queue)
                for offset, value in ((q.QUEUE_ADDR_LO, 0x100000), (q.REQ_SLOTS, 256),
                                      (q.RSP_SLOTS, 256)):
                    t.reg(offset, value)
                t.reg(q.QUEUE_CONTROL, 1)
                self.assertIn(t.reg(q.QUEUE_STATE), (q.STARTING, q.FAILED))
            # The device gives it up; every queue then says so.
            wait_until("giving up", lambda: t.reg(q.QUEUE_STATE) == q.FAILED)

    def reset_while_starting(self, late_answer):
        """A reset of the machine while a start is unanswered; what QEMU says of it."""
        asked, reset = threading.Event(), threading.Event()

        def serve(peer):
            peer.recv(4096)
            peer.sendall(hello_reply() + message(5, bytes(168)))
            data = b""
            while True:
                data += peer.recv(4096)
                while len(data) >= 12 and len(data) >= 12 + struct.unpack_from("<I", data, 8)[0]:
                    request, _, size = struct.unpack_from("<III", data)
                    data = data[12 + size:]
                    if request == START:
                        asked.set()
                    if request == RESET_DEVICE:
                        reset.set()
                        if late_answer:
                            refusal = struct.pack("<iI160sIIQ", EIO, 0, b"late", 0, 0, 0)
                            peer.sendall(message(START, refusal) +
                                         message(RESET_DEVICE, bytes(168)))
        fake = FakeDaemon(self.folder, serve)
        self.addCleanup(fake.listener.close)
        with QTest(f"vgpu-stub,socket={fake.socket}") as t:
            t.enable()
            t.wait_status(q.LINK, "link")
            t.reg(q.DRIVER_FEATURES_LO, 7)
            t.reg(q.CONTROL, 2)
            for offset, value in ((q.QUEUE_SELECT, 0), (q.QUEUE_ADDR_LO, 0x100000),
                                  (q.REQ_SLOTS, 256), (q.RSP_SLOTS, 256), (q.QUEUE_CONTROL, 1)):
                t.reg(offset, value)
            self.assertTrue(asked.wait(10))
            t.qmp("system_reset")
            t.wait_event("RESET")
            self.assertTrue(reset.is_set())
            return t.stderr()

    def test_reset_while_starting(self):
        self.assertIn("not known to have ended", self.reset_while_starting(False))

    def test_reset_waits_for_the_answer(self):
        self.assertNotIn("not known to have ended", self.reset_while_starting(True))


if __name__ == "__main__":
    tap.main()
