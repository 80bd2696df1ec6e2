# SPDX-License-Identifier: GPL-2.0-or-later
"""A Xen host in an emulated machine, and the guests that it runs.

Host is QEMU (always TCG, which emulates SVM with nested paging) with Debian's
Xen and a dom0 whose root shell sits on a virtio port.  Domain is an HVM guest
that dom0's xl makes; its shell is on its Xen console, which xenconsole brings to
another virtio port.  Both have the methods of vm.Shell.
"""

import json
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "vm"))
import preload  # noqa: E402
from vm import BUILD, Emulated, Failure, Shell, quote, wait_until  # noqa: E402,F401

XEN = BUILD / "xen"
PORTS = 4                       # how many domains can have a shell at once
DEVICE_MODEL = "/opt/vgpu/bin/qemu-system-x86_64"
SOCKET = "/run/gpu/vgpu.sock"
BOOT_SECONDS = 300              # on a loaded machine: a quiet one needs a tenth


class Host(Emulated):
    """Xen and dom0; also starts gpu_mediator in dom0.

    Of several `cpus` dom0 has the first, and the guests the others."""

    def __init__(self, memory=1536, dom0_memory=640, extra=(), cpus=1):
        super().__init__("xen")
        self.cpus = cpus
        base = XEN / "base"
        if not (base / "dom0.img").exists() or not (XEN / "programs.img").exists():
            raise unittest.SkipTest("Xen's packages were not to be had; see ./run xen-image")
        ports = ["shell", *(f"domain{n}" for n in range(PORTS))]
        # Without -smap dom0 dies at once; cpuidle=0 keeps Xen away from mwait; with lazy
        # switching of FPU registers guests that are emulated so get each other's.
        self.argv = [
            "qemu-system-x86_64", "-nodefaults", "-name", "xen", "-machine", "pc",
            "-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "max,-smap,-rdtscp",
            "-smp", str(cpus), "-m", str(memory), "-display", "none", "-no-reboot",
            "-kernel", str(base / "xen"),
            "-append", "console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all sched=credit "
                       f"dom0_mem={dom0_memory}M,max:{dom0_memory}M dom0_max_vcpus=1 cpuidle=0 "
                       f"spec-ctrl=eager-fpu{' dom0_vcpus_pin' if cpus > 1 else ''}",
            "-initrd", f"{base / 'vmlinuz'} console=hvc0 loglevel=4 panic=5 mitigations=off,"
                       f"{base / 'initrd'}",
            "-serial", f"file:{self.folder / 'console.log'}",
            "-device", "virtio-serial-pci,max_ports=8",     # the first: its ports are vport0p*
            "-drive", f"file={base / 'dom0.img'},if=none,id=root,format=raw,snapshot=on",
            "-device", "virtio-blk-pci,drive=root",
            "-drive", f"file={XEN / 'programs.img'},if=none,id=programs,format=raw,snapshot=on",
            "-device", "virtio-blk-pci,drive=programs",
        ]
        for port in ports:
            self.argv += ["-chardev", f"socket,id={port},path={self.folder / port},"
                                      "server=on,wait=off",
                          "-device", f"virtserialport,chardev={port}"]
        self.argv += list(extra)
        self.domains = [None] * PORTS

    def start(self):
        super().start()
        self.ports = [self._connect(f"domain{n}") for n in range(PORTS)]
        return self

    def ready(self, seconds=BOOT_SECONDS):
        return super().ready(seconds)

    def start_mediator(self, domains="root", more=""):
        """The daemon; `domains` says who may name a domain's memory (gpu_mediator.conf(5)).

        `more` are further lines of its configuration."""
        before = self.log().count("listening at")
        config = f"[xen]\ndomains={domains}\n{more}"
        self.check(f"printf %s {quote(config)} >/run/mediator.conf; mkdir -p /run/gpu")
        self.check(f"gpu_mediator --foreground --open --config /run/mediator.conf --backend cpu "
                   f"--socket-path {SOCKET} --runtime-dir /run/vgpu --log-file /var/log/mediator.log "
                   "</dev/null >/var/log/mediator.err 2>&1 & echo $! >/run/mediator.pid")
        wait_until("the daemon in dom0", lambda: self.log().count("listening at") > before, 60, 0.3)

    def kill_mediator(self):
        self.check("kill -9 $(cat /run/mediator.pid)")

    def log(self):
        """What the daemon wrote."""
        return self.run("cat /var/log/mediator.log 2>/dev/null").output

    def workers(self):
        """Process ids of the workers in dom0, by how they were called."""
        return [int(x) for x in re.findall(r"/proc/(\d+)/", self.run(
            "grep -l [g]pu_mediator-worker /proc/[0-9]*/cmdline 2>/dev/null").output)]

    def __exit__(self, *exc):
        self.kill()     # nothing in it is worth an orderly end
        return super().__exit__(*exc)


class Domain(Shell):
    """An HVM guest of `host`.

    `config` are further lines of xl.cfg, `arguments` go to its device model."""

    def __init__(self, host, name, memory=256, config="", arguments=(), append="", vcpus=1):
        super().__init__()
        self.host, self.name = host, name
        if host.cpus > 1:
            config += f'\ncpus = "1-{host.cpus - 1}"'
        arguments = json.dumps(preload.arguments(XEN / "programs/guest", "/opt/vgpu/guest") +
                               list(arguments))
        self.config = f'''name = "{name}"
type = "hvm"
memory = {memory}
vcpus = {vcpus}
kernel = "/opt/vgpu/guest/boot"
cmdline = "console=hvc0 quiet loglevel=1 panic=-1 nokaslr vgpu.hostname={name} vgpu.shell=hvc0 {append}"
vga = "none"
vnc = 0
usb = 0
tsc_mode = "native"
device_model_version = "qemu-xen"
device_model_args_hvm = {arguments}
{config}
'''
        self.port = self.domid = None

    def create(self, options=""):
        """`xl create`; the domain runs, unless options say -p."""
        host = self.host
        self.port = host.domains.index(None)
        host.domains[self.port] = self
        self._shell = host.ports[self.port]
        host.check(f"printf %s {quote(self.config)} >/tmp/{self.name}.cfg")
        result = host.run(f"xl create {options} /tmp/{self.name}.cfg", 240)
        if result.status != 0:
            raise Failure(f"{self.name}: {result}; {self.console()}")
        return self.attach()

    def attach(self):
        """Brings the console of the domain, as it is now, to the port."""
        # A port has one user at a time; dom0's shell has the first.  `xl console` would not
        # read what is no terminal.
        self.domid = int(self.host.check(f"xl domid {self.name}"))
        self.host.check(f"exec 5<>/dev/vport0p{self.port + 2} && xenconsole {self.domid} --type pv "
                        f"--interactive <&5 >&5 2>/tmp/{self.name}.console &")
        return self

    def device_model(self):
        """Process id of its QEMU."""
        return int(self.host.check(
            f"xenstore-read /local/domain/0/device-model/{self.domid}/device-model-pid "
            f"2>/dev/null || xenstore-read /local/domain/{self.domid}/image/device-model-pid"))

    def megabytes(self):
        """MiB of memory that it has now."""
        return int(re.search(rf"^{self.name} +\d+ +(\d+)", self.host.check("xl list"), re.M).group(1))

    def ended(self):
        return self.host.ended()

    def console(self):
        """The device model's words and Xen's."""
        return self.host.run(f"cat /var/log/xen/qemu-dm-{self.name}.log; xl list; xl dmesg | tail -n 20"
                             ).output if self.host.ended() is None else ""

    def ready(self, seconds=BOOT_SECONDS):
        return super().ready(seconds)

    def destroy(self):
        if self.port is None:
            return
        self.host.run(f"xl destroy {self.name}")
        self.host.domains[self.port] = None
        self.port = None


def in_qemu(options=""):
    """For Domain: the QEMU that has the device in it."""
    device = f"vgpu-stub,id=vgpu0,socket={SOCKET}{',' + options if options else ''}"
    return {"config": f'device_model_override = "{DEVICE_MODEL}"',
            "arguments": ["-L", "/usr/share/qemu", "-L", "/usr/share/seabios", "-device", device]}
