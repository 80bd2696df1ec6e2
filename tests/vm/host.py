# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that plays the host: the daemon runs in it, as root of a kernel of its own.

So the tests see what the kernel that they run on may lack: control groups of version 2
with their controllers, memory that runs out, swap."""

import json
import pathlib
import stat
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cuda"))
import programs  # noqa: E402
from vm import HOST, VM, Failure, wait_until  # noqa: E402

PROGRAMS = [HOST / "mediator" / "gpu_mediator", HOST / "mediator" / "gpu_mediator-worker",
            HOST / "mediator" / "ctl" / "gpu_mediatorctl"]
INIT = pathlib.Path(__file__).parent / "guest" / "host-init"


def entries():
    """The daemon and all that it needs, as entries of an initramfs."""
    files = {"host-init": INIT}
    for program in PROGRAMS:
        files[f"bin/{program.name}"] = program
        for library in programs.needed_libraries(program):
            files[str(library).lstrip("/")] = library
    folders = sorted({str(p) for f in files for p in pathlib.PurePath(f).parents if str(p) != "."},
                     key=len)
    found = [(f, stat.S_IFDIR | 0o755, b"") for f in folders]
    found += [(name, stat.S_IFREG | 0o755, path.read_bytes()) for name, path in files.items()]
    return found + programs.module_entries()


class Host(VM):
    """The machine.  `folder`: where its initramfs and its disk of `swap_mib` go.

    `more`: what else it has, as entries of an initramfs."""

    def __init__(self, folder, name="host", memory="768M", smp=2, swap_mib=256, more=()):
        folder = pathlib.Path(folder)
        initrd = programs.make_initrd(folder / "host.cpio", [*entries(), *more])
        disk = folder / "swap"
        with open(disk, "wb") as f:
            f.truncate(swap_mib << 20)
        super().__init__(None, name, memory=memory, smp=smp, device=False, initrd=initrd,
                         append="rdinit=/host-init vgpu.nomodule", extra=[
                             "-drive", f"if=none,id=swap,format=raw,file={disk}",
                             "-device", "virtio-blk-pci,drive=swap"])

    def swap_on(self):
        modules = " ".join(m for m in programs.MODULES if m.startswith("virtio"))
        self.check(f"for m in {modules}; do f=/lib/modules/$m.ko; "
                   "[ ! -e $f ] || insmod $f || exit 1; done; "
                   "mkswap /dev/vda >/dev/null && swapon /dev/vda")

    def read(self, path):
        return self.check(f"cat {path}").strip()


class Mediator:
    """The daemon in a Host.  `group`: the control group that it is put into, if any."""

    LOG = "/run/mediator.log"
    SOCKET = "/run/vgpu.sock"

    def __init__(self, host, worker="", tenants=None, group=None):
        self.host, self.group, self.pid = host, group, None
        host.check(f"rm -rf /run/tenants {self.LOG} /run/audit.log /run/gpu_mediator; mkdir /run/tenants")
        self.configure(worker)
        for name, text in (tenants or {}).items():
            self.tenant(name, text)

    def configure(self, worker):
        self.host.check(f"printf '[audit]\\nfile=/run/audit.log\\n[worker]\\n{worker}\\n' >/run/config")

    def tenant(self, name, text):
        """Writes a tenant's file: root's if it has no socket of its own."""
        text = text.replace("\n", "\\n")
        self.host.check(f"printf '[tenant]\\n{text}\\n' >/run/tenants/{name}.conf")

    def start(self):
        enter = f"echo $$ >{self.group}/cgroup.procs && " if self.group else ""
        daemon = (f"gpu_mediator --foreground --backend cpu --config /run/config "
                  f"--tenants /run/tenants --socket-path {self.SOCKET} "
                  f"--runtime-dir /run/gpu_mediator --log-file {self.LOG}")
        self.host.check("mkdir -p /run/gpu_mediator")
        self.pid = int(self.host.check(f"sh -c '{enter}exec {daemon}' </dev/null "
                                       f">/run/mediator.err 2>&1 & echo $!"))
        wait_until("the daemon", self._answers, pause=0.1)
        return self

    def _answers(self):
        if not self._lives():
            raise Failure(f"gpu_mediator ended: {self.host.read('/run/mediator.err')}")
        return self.host.run("gpu_mediatorctl status").status == 0

    def _lives(self):
        return self.host.run(f"kill -0 {self.pid}").status == 0

    def log(self):
        return self.host.check(f"cat {self.LOG}")

    def ctl(self, words):
        return json.loads(self.host.check(f"gpu_mediatorctl --json {words}"))

    def end(self, signal="TERM"):
        """Sends a signal, and waits for the end."""
        self.host.check(f"kill -{signal} {self.pid}")
        wait_until("the daemon's end", lambda: not self._lives(), pause=0.1)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        if self._lives():
            self.end()
