# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU without a running guest, driven from outside.

The CPU never starts (-S): this program plays the guest by QEMU's qtest
protocol, port by port and word by word, and the user by QMP.
"""

import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vm"))
from vm import Failure, qemu_command, wait_until  # noqa: E402,F401

BAR_AT = {0: 0xe0000000, 2: 0xe0100000, 4: 0xe0200000}
SLOT = 4

# Of protocol/vgpu_abi.h.
COMMAND, STATUS, DATA_OFFSET, MAGIC, ABI_VERSION = 0x00, 0x04, 0x08, 0x0c, 0x10
FEATURES_LO, DRIVER_FEATURES_LO, CONTROL, DATA_LENGTH = 0x14, 0x1c, 0x24, 0x28
RESULT, RESULT_LENGTH, INT_STATUS, INT_MASK = 0x2c, 0x30, 0x34, 0x38
MAX_QUEUES, NUM_VECTORS, QUEUE_SELECT, QUEUE_CONTROL = 0x40, 0x44, 0x50, 0x54
QUEUE_STATE, QUEUE_ERROR, QUEUE_ADDR_LO, QUEUE_ADDR_HI = 0x58, 0x5c, 0x60, 0x64
REQ_SLOTS, RSP_SLOTS, QUEUE_BUFFERS, QUEUE_VECTOR = 0x68, 0x6c, 0x78, 0x7c
REASON_SELECT, REASON = 0x88, 0x8c
COUNT_DOORBELLS, COUNT_INTERRUPTS, DATA = 0xc0, 0xc4, 0x100
BUSY, DONE, ERROR, LINK, QUEUES, REFUSED, UNSHARED = 1, 2, 4, 8, 16, 32, 64
STOPPED, STARTING, RUNNING, STOPPING, FAILED = range(5)
NOP, VECTOR_ADD, QUERY_STATUS, GPU_INFO, MATMUL, BANDWIDTH, TEXT = range(7)


class QTest:
    """One such QEMU; `device` is the argument of -device, or None."""

    def __init__(self, device, name="qtest", shared=True, extra=()):
        self._dir = tempfile.TemporaryDirectory(prefix="vgpu-qtest-")
        self.folder = pathlib.Path(self._dir.name)
        backend = "memory-backend-memfd,id=ram,size=64M,share=" + ("on" if shared else "off")
        self.argv = qemu_command() + [
            "-name", name, "-display", "none", "-S", "-accel", "tcg", "-nodefaults",
            "-machine", "pc,memory-backend=ram", "-object", backend, "-m", "64M",
            "-qtest", f"unix:{self.folder / 'qtest'}", "-qtest-log", "/dev/null",
            "-qmp", f"unix:{self.folder / 'qmp'}", *extra]
        if device:
            self.argv += ["-device", f"{device},addr={SLOT},id=vgpu0"]
        self.events = []

    def __enter__(self):
        listeners = [self._listen("qtest"), self._listen("qmp")]
        self.errors = open(self.folder / "stderr", "wb")
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL,
                                        stdout=self.errors, stderr=self.errors)
        try:
            self._qtest = self._accept(listeners[0])
            self._qmp = self._accept(listeners[1])
        except BaseException:
            self.__exit__()
            raise
        finally:
            for listener in listeners:
                listener.close()
        try:
            json.loads(self._line())
            self.qmp("qmp_capabilities")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()
        self.errors.close()
        self._dir.cleanup()

    def _listen(self, name):
        s = socket.socket(socket.AF_UNIX)
        s.bind(str(self.folder / name))
        s.listen(1)
        s.settimeout(30)
        return s

    def _accept(self, listener):
        while True:
            listener.settimeout(0.2)
            try:
                return listener.accept()[0].makefile("rw")
            except socket.timeout:
                if self.process.poll() is not None:
                    raise Failure(f"QEMU ended: {self.stderr()}")

    def stderr(self):
        return (self.folder / "stderr").read_text(errors="replace")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def ask(self, line):
        """One qtest command; its answer without the OK."""
        self._qtest.write(line + "\n")
        self._qtest.flush()
        while True:
            answer = self._qtest.readline().split()
            if not answer:
                raise Failure(f"QEMU ended after {line!r}: {self.stderr()}")
            if answer[0] == "IRQ":
                continue
            if answer[0] != "OK":
                raise Failure(f"{line!r}: {answer}")
            return answer[1] if len(answer) > 1 else None

    def qmp(self, command, **arguments):
        """One QMP command; its return, or a Failure with QEMU's words."""
        try:
            self._qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            self._qmp.flush()
        except OSError:
            self.process.wait(30)  # it has closed its end: it is about to end
            raise Failure(f"QEMU ended before {command}: {self.stderr()}")
        while True:
            message = self._next()
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise Failure(message["error"]["desc"])

    def _next(self):
        message = json.loads(self._line())
        if "event" in message:
            self.events.append(message["event"])
        return message

    def _line(self):
        try:
            line = self._qmp.readline()
        except ConnectionResetError:
            line = ""
        if not line:
            self.process.wait(30)
            raise Failure(f"QEMU ended: {self.stderr()}")
        return line

    def wait_event(self, name):
        while name not in self.events:
            self._next()
        self.events.remove(name)

    # -- the guest's side

    def write(self, address, value, size="l"):
        self.ask(f"write{size} {address:#x} {value:#x}")

    def read(self, address, size="l"):
        return int(self.ask(f"read{size} {address:#x}"), 16)

    def write_bytes(self, address, data):
        self.ask(f"write {address:#x} {len(data):#x} 0x{data.hex()}")

    def read_bytes(self, address, length):
        return bytes.fromhex(self.ask(f"read {address:#x} {length:#x}")[2:])

    def config(self, offset, value=None):
        """A word of the device's PCI configuration space."""
        self.ask(f"outl 0xcf8 {0x80000000 | SLOT << 11 | offset:#x}")
        if value is None:
            return int(self.ask("inl 0xcfc"), 16)
        return self.ask(f"outl 0xcfc {value:#x}")

    def enable(self):
        """What firmware does: places the BARs, turns memory and bus mastering on."""
        for bar, address in BAR_AT.items():
            self.config(0x10 + 4 * bar, address)
        self.config(0x04, 6)
        return self

    def reg(self, offset, value=None):
        if value is None:
            return self.read(BAR_AT[0] + offset)
        return self.write(BAR_AT[0] + offset, value & 0xffffffff)

    def signed(self, offset):
        value = self.reg(offset)
        return value - (1 << 32) if value >> 31 else value

    def wait_status(self, bits, what="status"):
        return wait_until(f"{what} ({bits:#x})", lambda: self.reg(STATUS) & bits == bits)

    def command(self, number, body=b"", at=DATA):
        """Runs a register command: (result, answer)."""
        padded = body + bytes(-len(body) % 4)
        for i in range(0, len(padded), 4):
            self.reg(at + i, struct.unpack_from("<I", padded, i)[0])
        self.reg(DATA_OFFSET, at)
        self.reg(DATA_LENGTH, len(body))
        self.reg(COMMAND, number)
        self.wait_status(DONE, f"end of command {number}")
        length = self.reg(RESULT_LENGTH)
        return self.signed(RESULT), self.read_bytes_of_bar(at, length)

    def read_bytes_of_bar(self, at, length):
        words = [self.reg(at + i) for i in range(0, length, 4)]
        return struct.pack(f"<{len(words)}I", *words)[:length]

    # -- MSI-X

    def msix_capability(self):
        at = self.config(0x34) & 0xff
        while at:
            word = self.config(at)
            if word & 0xff == 0x11:
                return at
            at = word >> 8 & 0xff
        raise Failure("no MSI-X capability")

    def msix_enable(self):
        at = self.msix_capability()
        self.config(at, self.config(at) | 1 << 31)

    def msix_vector(self, vector, address, data, masked=False):
        """Aims a vector at a word of RAM, where a message can be read."""
        entry = BAR_AT[4] + 16 * vector
        self.write(entry, address)
        self.write(entry + 4, 0)
        self.write(entry + 8, data)
        self.write(entry + 12, int(masked))

    def pause(self):
        """Lets QEMU's main loop turn a few times."""
        for _ in range(3):
            self.qmp("query-status")
            time.sleep(0.01)


class Ring:
    """The guest's side of a queue at `address` in RAM, in the simplest way."""

    def __init__(self, qtest, q, address=0x100000, slots=256, vector=1):
        self.t, self.q, self.at, self.slots, self.vector = qtest, q, address, slots, vector
        self.prod = self.cons = 0

    def start(self):
        t = self.t
        t.write_bytes(self.at, bytes(4096))
        if not t.reg(CONTROL):
            t.reg(DRIVER_FEATURES_LO, 7)
            t.reg(CONTROL, 2)
        t.reg(QUEUE_SELECT, self.q)
        for offset, value in ((QUEUE_ADDR_LO, self.at), (QUEUE_ADDR_HI, 0),
                              (REQ_SLOTS, self.slots), (RSP_SLOTS, self.slots),
                              (QUEUE_BUFFERS, 0), (QUEUE_VECTOR, self.vector)):
            t.reg(offset, value)
        t.reg(QUEUE_CONTROL, 1)
        return wait_until("queue start", lambda: self.state() != STARTING and self.state())

    def state(self):
        self.t.reg(QUEUE_SELECT, self.q)
        return self.t.reg(QUEUE_STATE)

    def error(self):
        self.t.reg(QUEUE_SELECT, self.q)
        return self.t.signed(QUEUE_ERROR)

    def stop(self):
        self.t.reg(QUEUE_SELECT, self.q)
        self.t.reg(QUEUE_CONTROL, 0)
        wait_until("queue stop", lambda: self.state() == STOPPED)

    def push(self, command, ident):
        """Publishes a request without descriptors or body (one slot)."""
        record = struct.pack("<IHHQHHIQ", 32, command, 0, ident, 0, 0, 0, 0)
        self.t.write_bytes(self.at + 4096 + 64 * (self.prod % self.slots), record)
        self.prod += 1
        self.t.write(self.at, self.prod)

    def kick(self, size="l"):
        self.t.write(BAR_AT[2] + 4096 * self.q, 1, size)

    def pop(self):
        """The next response: (id, status); waits for it."""
        wait_until("response", lambda: self.t.read(self.at + 0x80) != self.cons)
        at = self.at + 4096 + 64 * self.slots + 64 * (self.cons % self.slots)
        length, status, ident = struct.unpack("<IiQ", self.t.read_bytes(at, 16))
        self.cons += (length + 63) // 64
        self.t.write(self.at + 0xc0, self.cons)
        return ident, status
