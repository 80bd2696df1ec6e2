# SPDX-License-Identifier: GPL-2.0-or-later
"""Virtual machines and the daemon, for the demo, the tests and the benchmark.

A VM here is QEMU with Debian's kernel, a small initramfs and the vgpu-stub
device; its root shell sits on the second serial line.  Everything lives in a
temporary folder and ends with the object: use the classes as context managers.
Paths come from the environment where a caller wants other builds:
VGPU_HOST_BUILD (daemon and worker), VGPU_QEMU (distro, graft), VGPU_ACCEL.
"""

import base64
import contextlib
import hashlib
import itertools
import json
import os
import pathlib
import re
import select
import shlex
import signal
import socket
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = TOP / "build"
HOST = pathlib.Path(os.environ.get("VGPU_HOST_BUILD", BUILD / "host"))
# Where what runs in a guest comes from: not sanitized where the host's side is.
GUEST = pathlib.Path(os.environ.get("VGPU_GUEST_BUILD", HOST))
DAEMON = HOST / "mediator" / "gpu_mediator"
CTL = HOST / "mediator" / "ctl" / "gpu_mediatorctl"

_nonce = itertools.count(1)


class Failure(Exception):
    """Something did not happen; the text says what."""


def accelerator():
    """tcg unless VGPU_ACCEL says otherwise: a /dev/kvm that opens may still not boot Linux."""
    return os.environ.get("VGPU_ACCEL", "tcg")


def qemu_command():
    """The QEMU to use and the arguments that bring the device in."""
    if os.environ.get("VGPU_QEMU", "distro") == "graft":
        graft = BUILD / "graft"
        firmware = ([graft / "share"] if (graft / "share").exists()
                    else ["/usr/share/qemu", "/usr/share/seabios"])
        return [str(graft / "qemu-system-x86_64"), "-nodefaults",
                *(x for path in firmware for x in ("-L", str(path)))]
    return ["qemu-system-x86_64", "-nodefaults",
            "-plugin", f"file={BUILD / 'plugin' / 'vgpu-stub.so'}"]


# What surely comes comes within this: a busy machine can be ten times as slow as a quiet one.
PATIENCE = 120


def wait_until(what, condition, seconds=PATIENCE, pause=0.02):
    """Waits for condition() to be true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"waited {seconds} s in vain for: {what}")
        time.sleep(pause)


class Daemon:
    """A gpu_mediator in the foreground with a socket and log of its own.

    It lets in everybody, unless there are `tenants`: the texts of their files by name."""

    def __init__(self, folder=None, backend="auto", extra=(), config=None, tenants=None):
        self._own = None
        if folder is None:
            self._own = tempfile.TemporaryDirectory(prefix="vgpu-")
            folder = self._own.name
        self.folder = pathlib.Path(folder)
        self.socket = self.folder / "vgpu.sock"
        self.log_path = self.folder / "mediator.log"
        self.backend = backend
        self.extra = list(extra)
        if config is not None:
            path = self.folder / "config.conf"
            path.write_text(config)
            self.extra += ["--config", str(path)]
        self.tenants = self.folder / "tenants"
        self.extra += ["--tenants", str(self.tenants)]
        if tenants is None:
            self.extra.append("--open")
        for name, text in (tenants or {}).items():
            self.tenant(name, text)
        self.process = None

    def tenant(self, name, text):
        """Writes a tenant's file; `text` None: removes it."""
        self.tenants.mkdir(exist_ok=True)
        path = self.tenants / f"{name}.conf"
        if text is None:
            path.unlink()
        else:
            path.write_text(text)

    def reload(self):
        """SIGHUP, and the daemon's word that it has done so."""
        before = self.log().count("reloaded")
        self.process.send_signal(signal.SIGHUP)
        wait_until("the reload", lambda: self.log().count("reloaded") > before)

    def start(self):
        run = self.folder / "run"
        run.mkdir(exist_ok=True)
        self.log_mark = len(self.log())
        self.process = subprocess.Popen(
            [str(DAEMON), "--foreground", "--backend", self.backend,
             "--socket-path", str(self.socket), "--runtime-dir", str(run),
             "--log-file", str(self.log_path), *self.extra],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(self.folder / "mediator.err", "ab"))
        wait_until("the daemon's socket", self._listening)
        return self

    def _listening(self):
        if self.process.poll() is not None:
            err = (self.folder / "mediator.err").read_text(errors="replace")
            raise Failure(f"gpu_mediator ended with {self.process.returncode}: {err}{self.log()}")
        probe = socket.socket(socket.AF_UNIX)
        with contextlib.closing(probe):
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
        return True

    def log(self):
        try:
            return self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def ctl(self, *words):
        """What gpu_mediatorctl says at the control socket, out of its JSON; None: nothing."""
        command = [str(CTL), "--socket", str(self.folder / "run" / "control.sock"), "--json", *words]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        if done.returncode != 0:
            raise Failure(f"gpu_mediatorctl {words}: {done.returncode}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout else None

    def audit(self):
        """The audit log's lines."""
        text = (self.folder / "run" / "audit.log").read_text()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def workers(self):
        """Process ids of the workers of this folder's daemons, dead or alive."""
        return [pid for pid, cmd in processes()
                if "gpu_mediator-worker" in cmd and self._mine(pid)]

    def _mine(self, pid):
        # Workers belong to a daemon of ours, or (orphans) say our folder in their environment
        # or arguments; a test never looks at other people's.
        try:
            text = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
            text += pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return False
        if str(self.folder).encode() in text:
            return True
        parent = re.search(r"^PPid:\s+(\d+)", status, re.M)
        return bool(parent and self.process and int(parent.group(1)) == self.process.pid)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory_kib(self):
        return memory_kib(self.process.pid)

    def kill(self, sig=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
        if self.process:
            self.process.wait(30)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise Failure("gpu_mediator did not end within 20 s of SIGTERM")
            if self.process.returncode != 0:
                err = (self.folder / "mediator.err").read_text(errors="replace")
                raise Failure(f"gpu_mediator ended with {self.process.returncode}: {err[-4000:]}")

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, *exc):
        try:
            self.stop()
        finally:
            if self._own:
                self._own.cleanup()


def processes():
    """(pid, command line) of every process."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                cmd = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if cmd:
                yield int(entry), cmd.replace(b"\0", b" ").decode(errors="replace")


def memory_kib(pid):
    """Private resident memory of a process (guest RAM is shared and not counted)."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(m) for m in re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+)", text, re.M))


class Result:
    def __init__(self, command, status, output):
        self.command, self.status, self.output = command, status, output

    def __repr__(self):
        return f"{self.command!r} -> {self.status}: {self.output!r}"


class Shell:
    """A root shell at the other end of a socket (tests/vm/guest/shell).

    For those who have one: `name`, and `_shell`, which is connected by then."""

    NOP = "NOP command successful\n"     # what the text command of this name answers

    name = "?"
    _shell = None

    def __init__(self):
        self.buffer = b""

    def ended(self):
        """Why nothing more can come, or None."""

    def console(self):
        """What to show of the machine when something fails."""
        return ""

    def ready(self, seconds=600):
        """Waits for the shell."""
        self._read_until(rb"@@ready\r?\n", seconds, "the guest's init")
        return self

    def _read_until(self, pattern, seconds, what):
        end = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.buffer)
            if match:
                before, self.buffer = self.buffer[:match.start()], self.buffer[match.end():]
                return before, match
            left = end - time.monotonic()
            if left <= 0:
                raise Failure(f"{self.name}: waited {seconds} s for {what}; "
                              f"shell: {self.buffer[-2000:]!r}; console: {self.console()[-2000:]}")
            readable, _, _ = select.select([self._shell], [], [], min(left, 1))
            if readable:
                data = self._shell.recv(65536)
                if not data:
                    raise Failure(f"{self.name}: the shell ended while waiting for {what}: "
                                  f"{self.ended() or ''} {self.console()[-2000:]}")
                self.buffer += data
            elif self.ended() is not None:
                raise Failure(f"{self.name}: {self.ended()}")

    def send(self, command):
        """Starts a command in the shell; finish() takes its result."""
        nonce = f"@@{next(_nonce)}@"
        script = f"( {command}\n)\necho \"{nonce} $?\"\n"
        body = base64.b64encode(script.encode())
        line = hashlib.md5(body).hexdigest().encode() + b" " + body + b"\n"
        self._shell.sendall(line)
        self._pending = (command, nonce, line)

    def finish(self, seconds=300):
        command, nonce, line = self._pending
        for _ in range(5):
            out, match = self._read_until(rb"(?:%s (\d+)|@@again)\r?\n" % nonce.encode(), seconds,
                                          repr(command))
            if match.group(1):
                return Result(command, int(match.group(1)), out.decode(errors="replace"))
            self._shell.sendall(line)
        raise Failure(f"{self.name}: {command!r} did not arrive whole in five attempts")

    def run(self, command, seconds=300):
        """Runs a command: a Result with exit status and output."""
        self.send(command)
        return self.finish(seconds)

    def check(self, command, seconds=300):
        """run(), but a status other than 0 is a Failure; returns the output."""
        result = self.run(command, seconds)
        if result.status != 0:
            raise Failure(f"{self.name}: {result}")
        return result.output

    def background(self, command, tag):
        """Starts a command that goes on beside others; collect(tag) takes its result."""
        self.check(f"rm -f /tmp/{tag}.rc; ( ( {command} ) >/tmp/{tag}.out 2>&1; echo $? >/tmp/{tag}.rc ) "
                   f"</dev/null >/dev/null 2>&1 &")

    def collect(self, tag, seconds=300):
        wait_until(f"{tag} in {self.name}",
                   lambda: self.run(f"test -s /tmp/{tag}.rc").status == 0, seconds, 0.3)
        status = int(self.check(f"cat /tmp/{tag}.rc"))
        return Result(tag, status, self.check(f"cat /tmp/{tag}.out"))

    def hold_session(self):
        """A program with a session that has worked once, and waits for work_again()."""
        nop = "echo NOP >&3; head -n 1 <&3"
        self.background(f"exec 3<>/dev/vgpu_stub; {nop}; >/tmp/held; "
                        f"while [ -e /tmp/held ]; do sleep 0.1; done; {nop}", "held")
        wait_until("a session", lambda: self.run("test -e /tmp/held").status == 0, pause=0.1)

    def work_again(self):
        """What the program said that hold_session() began: twice NOP, if all is well."""
        self.check("rm /tmp/held")
        return self.collect("held").output


class Emulated(Shell):
    """A QEMU process of ours, its files in a temporary folder; `argv` starts it."""

    def __init__(self, name):
        super().__init__()
        self.name = name
        self._dir = tempfile.TemporaryDirectory(prefix=f"vgpu-{name}-")
        self.folder = pathlib.Path(self._dir.name)
        self.process = None
        self.argv = []
        self._sockets = []

    def start(self):
        self.errors = open(self.folder / "qemu.err", "ab")
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL,
                                        stdout=self.errors, stderr=self.errors)
        self._shell = self._connect("shell")
        return self

    def _connect(self, name):
        path = self.folder / name

        def attempt():
            if self.process.poll() is not None:
                raise Failure(f"{self.name}: QEMU ended at once: {self.stderr()}")
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(str(path))
                self._sockets.append(s)
                return s
            except OSError:
                s.close()
                return None
        return wait_until(f"QEMU's {name} socket", attempt)

    def ended(self):
        return None if self.process.poll() is None else f"QEMU ended: {self.stderr()}"

    def stderr(self):
        return (self.folder / "qemu.err").read_text(errors="replace")

    def console(self):
        try:
            return (self.folder / "console.log").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait(30)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, *exc):
        try:
            self.stop()
            for s in self._sockets:
                s.close()
            self.errors.close()
        finally:
            self._dir.cleanup()


class VM(Emulated):
    """One QEMU with the device; `daemon` is a Daemon or a socket's path.

    QEMU runs as `user`, a number, if it is not None; only root can do that."""

    def __init__(self, daemon, name="vm1", memory="512M", smp=1, shared=True, device=True,
                 device_options="", append="", extra=(), initrd=None,
                 reboot=False, user=None):
        super().__init__(name)
        self.socket = daemon.socket if isinstance(daemon, Daemon) else daemon
        self.accel = accelerator()
        image = BUILD / "image"
        backend = (f"memory-backend-memfd,id=ram,size={memory},share=on" if shared
                   else f"memory-backend-ram,id=ram,size={memory}")
        self.argv = qemu_command() + [
            "-name", name, "-machine", "pc,memory-backend=ram", "-object", backend,
            "-m", memory, "-smp", str(smp), "-display", "none",
            *([] if reboot else ["-no-reboot"]),
            "-accel", "tcg,thread=multi" if self.accel == "tcg" else self.accel,
            "-kernel", str(image / "vmlinuz"),
            "-initrd", str(initrd or image / "initramfs.cpio.gz"),
            # A busy machine lets an emulated timer look broken.
            "-append", f"console=ttyS0 quiet loglevel=4 panic=-1 nokaslr no_timer_check "
                       f"vgpu.hostname={name} {append}",
            "-serial", f"file:{self.folder / 'console.log'}",
            "-chardev", f"socket,id=shell,path={self.folder / 'shell'},server=on,wait=off",
            "-serial", "chardev:shell",
            "-qmp", f"unix:{self.folder / 'qmp'},server=on,wait=off",
        ]
        if device:
            self.argv += ["-device", self.device_argument(device_options)]
        self.argv += list(extra)
        if user is not None:
            os.chown(self.folder, user, user)
            self.argv = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
                         *self.argv]

    def device_argument(self, options=""):
        return f"vgpu-stub,id=vgpu0,socket={self.socket}" + (f",{options}" if options else "")

    def start(self):
        super().start()
        self._qmp = self._connect("qmp").makefile("rw")
        json.loads(self._qmp.readline())
        self.qmp("qmp_capabilities")
        return self

    def qmp(self, command, **arguments):
        request = {"execute": command}
        if arguments:
            request["arguments"] = {k.replace("_", "-"): v for k, v in arguments.items()}
        self._qmp.write(json.dumps(request) + "\n")
        self._qmp.flush()
        while True:
            line = self._qmp.readline()
            if not line:
                raise Failure(f"{self.name}: QMP closed: {self.stderr()}")
            reply = json.loads(line)
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise Failure(f"{self.name}: QMP {command}: {reply['error']['desc']}")


def quote(text):
    return shlex.quote(text)
