# SPDX-License-Identifier: GPL-2.0-or-later
"""A daemon with tenants, sessions of them, and its control socket; for the tests here."""

import contextlib
import ctypes
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "vm"))
import tap  # noqa: E402,F401  (for those who import this)
import vm  # noqa: E402

HOST = vm.HOST
CTL = HOST / "mediator" / "ctl" / "gpu_mediatorctl"
EXPORTER = HOST / "mediator" / "exporter" / "gpu_mediator-exporter"
GPU_TEST = HOST / "guest-driver" / "tools" / "gpu_test"
HOLD = HOST / "tests" / "ctl" / "hold"
OWNER = 54321     # owns vm2
STRANGER = 54322  # owns nothing

wait_until = vm.wait_until

_libc = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def end_with_test():
    """For a child before it is another program: a test that aborts leaves nothing."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Bench:
    """One daemon; tenants vm1 (level low) and vm2 (owned), each with a socket of its own."""

    def __init__(self, config="", extra=()):
        self._dir = tempfile.TemporaryDirectory(prefix="vgpu-ctl-")
        self.dir = pathlib.Path(self._dir.name)
        os.chmod(self.dir, 0o755)
        self.extra = list(extra)
        (self.dir / "tenants").mkdir()
        (self.dir / "config").write_text("[backend]\nbackend=cpu\n" + config)
        self.tenant("vm1", "level=low")
        self.tenant("vm2", f"level=medium\nowner={OWNER}")
        self.control = self.dir / "run" / "control.sock"
        self.audit_file = self.dir / "run" / "audit.log"
        self.holders = []
        self.daemon = None

    def tenant(self, name, lines, more=""):
        (self.dir / "tenants" / f"{name}.conf").write_text(
            f"[tenant]\nsocket={self.dir}/{name}.sock\n{lines}\n{more}\n")

    def start(self):
        self.daemon = subprocess.Popen(
            [str(vm.DAEMON), "--foreground", f"--config={self.dir}/config",
             f"--socket-path={self.dir}/shared.sock", f"--runtime-dir={self.dir}/run",
             f"--tenants={self.dir}/tenants", f"--log-file={self.dir}/log", *self.extra],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(self.dir / "err", "ab"), preexec_fn=end_with_test)
        wait_until("the control socket", self._listens)
        return self

    def _listens(self):
        if self.daemon.poll() is not None:
            raise vm.Failure((self.dir / "err").read_text())
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
            try:
                probe.connect(str(self.control))
            except OSError:
                return False
        return True

    def stop(self):
        for holder in self.holders:
            holder.stdin.close()
            holder.wait(vm.PATIENCE)
            holder.stdout.close()
        self.holders = []
        self.daemon.terminate()
        status = self.daemon.wait(vm.PATIENCE)
        self._dir.cleanup()
        if status != 0:
            raise vm.Failure(f"the daemon ended with {status}")

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def hold(self, name, sessions=1, nops=1):
        """Sessions of a tenant until stop(); the first line that the holder says."""
        holder = subprocess.Popen(
            [str(HOLD), f"unix:{self.dir}/{name}.sock", str(sessions), str(nops)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.holders.append(holder)
        return holder.stdout.readline().strip()

    def gpu_test(self, name, *words):
        """Runs gpu_test as a tenant's guest; its exit status."""
        return subprocess.run([str(GPU_TEST), "--device", f"unix:{self.dir}/{name}.sock", *words],
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=vm.PATIENCE).returncode

    def connect(self):
        return Control(self.control)

    def ask(self, verb, **members):
        with contextlib.closing(self.connect()) as control:
            return control.ask(verb, **members)

    def result(self, verb, **members):
        answer = self.ask(verb, **members)
        assert answer["ok"], answer
        return answer["result"]

    def audit(self, kind=None):
        """Lines of the file, each of them JSON."""
        lines = [json.loads(line) for line in self.audit_file.read_text().splitlines()]
        return [line for line in lines if kind in (None, line["kind"])]

    def ctl(self, *words, user=None, status=0):
        """Standard output of gpu_mediatorctl, which must end with this status."""
        done = subprocess.run([str(CTL), f"--socket={self.control}", *map(str, words)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              user=user, group=user, extra_groups=[] if user else None,
                              timeout=vm.PATIENCE, env={**os.environ, "TERM": "dumb"})
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr


class Control:
    """A connection to the control socket, which speaks raw lines."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))  # waits where many do
        self.socket.settimeout(vm.PATIENCE)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        """The next answer; None at the end."""
        text = self.file.readline()
        return json.loads(text) if text else None

    def ask(self, verb, **members):
        # One that refuses us has said so before it was asked.
        with contextlib.suppress(BrokenPipeError):
            self.send(json.dumps({"verb": verb, **members}) + "\n")
        return self.line()

    def close(self):
        self.file.close()
        self.socket.close()


@contextlib.contextmanager
def as_user(uid):
    """What this process opens meanwhile, it opens as another user."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
