#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gpu_mediatorctl as a program: what it prints, how it ends, what it is told to do."""

import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

from bench import CTL, OWNER, STRANGER, Bench, tap, vm, wait_until

ROOT = os.geteuid() == 0
USAGE, NO_DAEMON, NOT_PERMITTED, NOT_FOUND = 2, 3, 4, 5


def run(*words, **environment):
    """(exit status, standard output, standard error), with no daemon."""
    # meson puts the library that stands for NVIDIA's in front of every test.
    plain = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    done = subprocess.run([str(CTL), *map(str, words)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=vm.PATIENCE,
                          env={**plain, **environment})
    return done.returncode, done.stdout, done.stderr


class WithDaemon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench().start()
        assert cls.bench.hold("vm1", 2) == "ready"
        assert cls.bench.hold("vm2") == "ready"
        cls.ctl = cls.bench.ctl

    @classmethod
    def tearDownClass(cls):
        cls.bench.stop()

    def json(self, *words, **options):
        return json.loads(self.ctl(*words, "--json", **options))

    def test_status(self):
        text = self.ctl("status")
        self.assertRegex(text, r"(?m)^gpu_mediator \S+, up for \d+ s$")
        self.assertRegex(text, r"(?m)^sessions +\d+ of 256$")
        self.assertRegex(text, r"(?m)^audit log +\S+/audit.log: \d+ lines$")
        self.assertNotIn("OPEN", text)
        self.assertEqual(self.json("status")["backend"], "cpu")

    def test_tenants(self):
        lines = self.ctl("tenants").splitlines()
        self.assertRegex(lines[0], r"^TENANT +LEVEL +SESSIONS +OF ")
        self.assertRegex(lines[1], r"^vm1 +low +2 +\d+ +0 B +256 MiB +\d+ ")
        self.assertRegex(lines[2], r"^vm2 +medium +1 +\d+ +0 B +512 MiB +\d+ ")
        self.assertEqual(len(self.ctl("tenants", "vm2").splitlines()), 2)
        self.assertEqual([t["name"] for t in self.json("tenants")], ["vm1", "vm2"])
        self.assertIn("no such tenant", self.ctl("tenants", "vm9", status=NOT_FOUND))

    def test_sessions(self):
        lines = self.ctl("sessions", "vm1").splitlines()
        self.assertRegex(lines[1], r"^ *\d+  vm1 +\S+ +running +0 +\d+ +\d+ s ")
        self.assertEqual(len(lines), 3)
        self.assertEqual(len(self.json("sessions")), 3)

    def test_set(self):
        self.assertEqual(self.ctl("set", "vm2", "weight=7", "limits.sessions=5"), "")
        limits = self.json("tenants", "vm2")[0]["limits"]
        self.assertEqual((limits["weight"], limits["sessions"]), (7, 5))
        self.assertIn("changed until the next reload", self.ctl("tenants", "vm2"))
        self.assertIn("1 to 10000", self.ctl("set", "vm2", "weight=0", status=1))
        self.assertIn("KEY=VALUE", self.ctl("set", "vm2", "weight", status=USAGE))
        self.assertIn("no tenant", self.ctl("set", "vm9", "weight=1", status=NOT_FOUND))
        self.ctl("reload")

    def test_audit(self):
        lines = self.ctl("audit").splitlines()
        self.assertRegex(lines[0], r"^\d{4}-\d\d-\d\dT\S+Z  daemon +none +it begins$")
        one = self.ctl("audit", "--tenant=vm2", "--kind", "session-allowed").splitlines()
        self.assertRegex(one[0], r"  session-allowed +none +vm2  session \d+  it begins$")
        self.assertEqual(len(one), 1)
        self.assertEqual(len(self.ctl("audit", "-n", 2).splitlines()), 2)
        self.assertEqual(json.loads(self.ctl("audit", "--json").splitlines()[0])["kind"], "daemon")
        self.assertEqual(self.ctl("audit", "--since=1h").splitlines()[0], lines[0])
        self.assertEqual(self.ctl("audit", "--since=2999-01-01T00:00:00Z"), "")
        self.assertIn("a time such as", self.ctl("audit", "--since=noon", status=1))
        self.assertIn("kind", self.ctl("audit", "--kind=x", status=1))

    def test_follow(self):
        follower = subprocess.Popen(
            [str(CTL), f"--socket={self.bench.control}", "audit", "--follow", "--kind=command"],
            stdout=subprocess.PIPE, text=True)
        try:
            self.ctl("evict", 99999, status=NOT_FOUND)
            readable, _, _ = select.select([follower.stdout], [], [], vm.PATIENCE)
            self.assertTrue(readable)
            self.assertIn("  command ", follower.stdout.readline())
        finally:
            follower.send_signal(signal.SIGTERM)
            follower.wait()
            follower.stdout.close()

    def test_top(self):
        """Piped it is a single look."""
        lines = self.ctl("top").splitlines()
        self.assertRegex(lines[0], r"^gpu_mediator \S+, backend cpu, up for ")
        self.assertRegex(lines[1], r"^TENANT +SESSIONS +GPU % ")
        self.assertRegex(lines[2], r"^vm1 +\d+ +0.0 ")
        self.assertEqual(len(self.json("top")["tenants"]), 2)

    def test_top_lives(self):
        """On a terminal it goes on until q, and leaves the terminal as it was."""
        pid, master = pty.fork()
        if pid == 0:
            os.execve(str(CTL), [str(CTL), f"--socket={self.bench.control}", "top"],
                      {**os.environ, "TERM": "xterm"})
        seen = b""
        try:
            while seen.count(b"\x1b[H\x1b[J") < 2:
                readable, _, _ = select.select([master], [], [], vm.PATIENCE)
                self.assertTrue(readable, seen)
                seen += os.read(master, 65536)
            self.assertIn(b"vm1", seen)
            os.write(master, b"q")
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        finally:
            os.close(master)

    @unittest.skipUnless(ROOT, "needs root, to be somebody else")
    def test_rights(self):
        self.assertIn("neither an administrator", self.ctl("status", user=STRANGER,
                                                           status=NOT_PERMITTED))
        self.assertIn("neither an administrator", self.ctl("drain", user=STRANGER,
                                                           status=NOT_PERMITTED))
        lines = self.ctl("tenants", user=OWNER).splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["TENANT", "vm2"])
        self.assertIn("only an administrator", self.ctl("evict", "vm2", user=OWNER,
                                                        status=NOT_PERMITTED))
        self.assertEqual(len(self.ctl("top", user=OWNER).splitlines()), 3)

    def test_z1_drain(self):
        self.assertIn("sessions have not ended", self.ctl("drain", "--wait=1", status=1))
        self.assertIn("DRAINING", self.ctl("status"))
        self.ctl("drain", "--off")
        self.assertNotIn("DRAINING", self.ctl("status"))

    def test_z2_evict(self):
        self.assertIn("2 sessions end", self.ctl("evict", "vm1"))
        wait_until("one session", lambda: len(self.json("sessions")) == 1)
        last = self.json("sessions")[0]["session"]
        self.assertIn("1 sessions end", self.ctl("evict", last))
        self.assertIn("no session is left", self.ctl("drain"))


class Alone(unittest.TestCase):
    """What needs no daemon."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vgpu-ctl-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        (self.dir / "tenants").mkdir()
        self.config = self.dir / "config"
        self.config.write_text(f"[tenants]\ndirectory={self.dir}/tenants\n")

    def tenant(self, name, text):
        (self.dir / "tenants" / f"{name}.conf").write_text("[tenant]\n" + text)

    def test_usage(self):
        for words in ((), ("frobnicate",), ("evict",), ("evict", "a", "b"), ("--colour", "status"),
                      ("status", "--follow"), ("drain", "--kind=x"), ("args", "vm1"),
                      ("args", "vm1", "--for=bochs"), ("top", "--lines", "x")):
            status, out, err = run(*words)
            self.assertEqual((status, out), (USAGE, ""), words)
            self.assertRegex(err, "^gpu_mediatorctl: ")
        self.assertRegex(run("--version")[1], r"^gpu_mediatorctl \d")
        self.assertIn("evict SESSION|TENANT", run("--help")[1])

    def test_no_daemon(self):
        for words in (("status",), ("top",), ("audit",), ("evict", "1"), ("set", "a", "b=c")):
            status, out, err = run("--socket", self.dir / "none", *words)
            self.assertEqual((status, out), (NO_DAEMON, ""), words)
            self.assertIn("is gpu_mediator running?", err)
        # One that listens and never answers; and then its queue of connections is full.
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{self.dir}/hung")
            listener.listen(0)
            self.assertEqual(run("--socket", self.dir / "hung", "status")[0], NO_DAEMON)
            self.assertEqual(run("--socket", self.dir / "hung", "status")[0], NO_DAEMON)
        self.assertEqual(run("--socket", "/" + "x" * 200, "status")[0], NO_DAEMON)

    def test_check(self):
        self.tenant("vm1", "level=low\nusers=0\n")
        status, out, _ = run("check", "--config", self.config)
        self.assertEqual(status, 0)
        self.assertIn("tenant vm1: level low", out)
        self.tenant("vm2", "level=lower\nusers=1\n")
        status, _, err = run("check", "--config", self.config)
        self.assertEqual(status, 1)
        self.assertIn("vm2.conf: [tenant] level", err)

    def args(self, *words):
        return run("args", *words, "--config", self.config)

    def test_args_mediated(self):
        self.tenant("vm1", "level=low\nsocket=/run/a,b <&'.sock\n")
        status, out, _ = self.args("vm1", "--for=qemu", "--memory=2G")
        self.assertEqual(status, 0)
        lines = out.splitlines()
        self.assertEqual(lines[0], "-object memory-backend-memfd,id=vgpu-ram,size=2G,share=on")
        self.assertRegex(lines[2], r"^-plugin file=/\S+/qemu-vgpu-stub/vgpu-stub.so$")
        # As a shell reads it, and QEMU then.
        shell = subprocess.run(["sh", "-c", "printf '%s\\n' " + lines[3]], capture_output=True,
                               text=True, check=True).stdout.splitlines()
        self.assertEqual(shell, ["-device", "vgpu-stub,socket=/run/a,,b <&'.sock"])
        domain = ElementTree.fromstring(self.args("vm1", "--for=libvirt")[1])
        values = [e.get("value") for e in domain.iter() if e.tag.endswith("}arg")]
        self.assertEqual(values[2:], ["-device", "vgpu-stub,socket=/run/a,,b <&'.sock"])
        out = self.args("vm1", "--for=xl", "--vm=a b")[1]
        self.assertEqual(out, "vgpu-stub-xen --daemon --domid=$(xl domid 'a b') "
                              "--socket='/run/a,b <&'\\''.sock'\n")
        status, _, err = self.args("vm1", "--for=xe")
        self.assertEqual(status, 1)
        self.assertIn("looks for the tenant's socket at /run/gpu_mediator/vm1.sock", err)
        self.tenant("vm3", "level=low\nsocket=/run/gpu_mediator/vm3.sock\n")
        self.assertIn("platform:vgpu-stub=on,tenant=vm3\n", self.args("vm3", "--for=xe")[1])
        self.tenant("vm2", "level=low\nusers=65536\n")
        self.assertEqual(self.args("vm2", "--for=xe")[1],
                         "xe vm-param-set uuid=$(xe vm-list name-label=vm2 --minimal) "
                         "platform:vgpu-stub=on\n")
        self.assertEqual(self.args("vm9", "--for=qemu")[0], NOT_FOUND)
        self.assertEqual(self.args("../vm1", "--for=qemu")[0], NOT_FOUND)
        self.assertEqual(self.args("vm1", "--for=qemu", "--mode=none")[:2], (0, ""))

    def test_args_are_qemus(self):
        """A real QEMU takes what is printed, but for the device, which is a plugin's."""
        self.tenant("vm1", "level=low\nusers=0\n")
        out = self.args("vm1", "--for=qemu", "--memory=64M")[1].splitlines()
        words = " ".join(out[:2]).split()
        done = subprocess.run(["qemu-system-x86_64", "-nodefaults", "-display", "none", "-S", "-m",
                               "64M", "-machine", "pc", *words, "-monitor", "stdio"],
                              input="info memdev\nquit\n", capture_output=True, text=True,
                              timeout=vm.PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("share: true", done.stdout)

    def test_completion(self):
        """Every verb, and every option of each, is offered; and nothing that is not there."""
        script = run("completion")[1]
        (self.dir / "completion").write_text(script)

        def complete(*words):
            done = subprocess.run(
                ["bash", "-c", f"source {self.dir}/completion; COMP_WORDS=({' '.join(words)} ''); "
                               f"COMP_CWORD={len(words)}; _gpu_mediatorctl; "
                               "printf '%s\\n' \"${COMPREPLY[@]}\""],
                capture_output=True, text=True, check=True)
            return done.stdout.split()

        help_text = run("--help")[1]
        verbs = re.findall(r"^  ([a-z]+) ", help_text.split("Verbs:")[1].split("Help Options")[0],
                           re.M)
        offered = complete("gpu_mediatorctl")
        self.assertEqual([w for w in offered if not w.startswith("-")], verbs)
        known = set(re.findall(r"--([a-z]+)", help_text))
        of_verbs = set()
        for verb in verbs:
            options = [w[2:] for w in complete("gpu_mediatorctl", verb) if w.startswith("--")]
            self.assertLessEqual(set(options), known, verb)
            of_verbs |= set(options)
        self.assertEqual(of_verbs | {"version"}, known)
        self.assertIn("eviction", complete("gpu_mediatorctl", "audit", "--kind"))
        self.assertIn("libvirt", complete("gpu_mediatorctl", "args", "vm1", "--for"))


class Gpus(unittest.TestCase):
    """On a host that is made up: a folder instead of /sys/bus/pci."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vgpu-sysfs-")
        self.addCleanup(folder.cleanup)
        self.sysfs = pathlib.Path(folder.name)
        (self.sysfs / "devices").mkdir()

    def device(self, address, vendor, device, pci_class, driver=None, group=None, **files):
        path = self.sysfs / "devices" / address
        path.mkdir()
        for name, text in {"vendor": f"0x{vendor:04x}", "device": f"0x{device:04x}",
                           "class": f"0x{pci_class:06x}", "irq": "0", "revision": "0x00",
                           "subsystem_vendor": "0x0000", "subsystem_device": "0x0000",
                           "resource": "0x0 0x0 0x0\n" * 7, **files}.items():
            (path / name).write_text(text + "\n")
        (path / "config").write_bytes(
            vendor.to_bytes(2, "little") + device.to_bytes(2, "little") + bytes(5) +
            pci_class.to_bytes(3, "little") + bytes(52))
        if driver:
            (path / "driver").symlink_to(f"../../../drivers/{driver}")
        if group is not None:
            (path / "iommu_group").symlink_to(f"../../../iommu_groups/{group}")

    def gpus(self, **environment):
        status, out, err = run("gpus", "--json", "--sysfs", self.sysfs, "--socket", "/none",
                               **environment)
        self.assertEqual((status, err), (0, ""))
        return json.loads(out)

    def nvidia(self, **more):
        self.device("0000:01:00.0", 0x10de, 0x2330, 0x030200, "nvidia", **more)

    def test_none(self):
        self.device("0000:00:00.0", 0x8086, 0x0d57, 0x060000)
        self.assertEqual(self.gpus(), [])
        self.assertIn("no GPU", run("gpus", "--sysfs", self.sysfs)[1])
        self.assertEqual(run("gpus", "--sysfs", "/none", "--json")[1].strip(), "[]")

    def test_alone(self):
        self.nvidia(group=7)
        gpu, = self.gpus()
        self.assertEqual((gpu["address"], gpu["vendor_id"], gpu["driver"], gpu["iommu_group"]),
                         ("0000:01:00.0", 0x10de, "nvidia", 7))
        self.assertTrue(gpu["passthrough"])
        self.assertIn("driver nvidia must let go", gpu["passthrough_notes"][0])
        text = run("gpus", "--sysfs", self.sysfs)[1]
        self.assertRegex(text, r"(?m)^0000:01:00.0 .* nvidia +\? +7 +possible$")

    def test_no_iommu(self):
        self.nvidia()
        gpu, = self.gpus()
        self.assertFalse(gpu["passthrough"])
        self.assertIn("IOMMU", gpu["passthrough_notes"][0])

    def test_group(self):
        """Its sound goes with it, a bridge does not matter, another's disk does."""
        self.nvidia(group=7, boot_vga="1")
        self.device("0000:01:00.1", 0x10de, 0x10f0, 0x040300, "snd_hda_intel", 7)
        self.device("0000:00:01.0", 0x8086, 0x1901, 0x060400, "pcieport", 7)
        gpu, = self.gpus()
        self.assertTrue(gpu["passthrough"])
        notes = "\n".join(gpu["passthrough_notes"])
        self.assertIn("0000:01:00.1, another function", notes)
        self.assertIn("console", notes)
        self.assertNotIn("0000:00:01.0", notes)
        status, out, _ = run("args", "vm1", "--for=qemu", "--mode=passthrough", "--sysfs",
                             self.sysfs)
        self.assertEqual((status, out), (0, "-device vfio-pci,host=0000:01:00.0\n"
                                            "-device vfio-pci,host=0000:01:00.1\n"))
        out = run("args", "vm1", "--for=xl", "--mode=passthrough", "--sysfs", self.sysfs)[1]
        self.assertEqual(out, "pci = [ '0000:01:00.0', '0000:01:00.1' ]\n")
        out = run("args", "vm1", "--for=xe", "--mode=passthrough", "--sysfs", self.sysfs)[1]
        self.assertTrue(out.endswith("other-config:pci=0/0000:01:00.0,0/0000:01:00.1\n"))
        out = run("args", "vm1", "--for=libvirt", "--mode=passthrough", "--sysfs", self.sysfs)[1]
        second = ElementTree.fromstring(f"<all>{out}</all>")[1].find("source/address").attrib
        self.assertEqual(second, {"domain": "0x0000", "bus": "0x01", "slot": "0x00",
                                  "function": "0x1"})
        self.device("0000:00:1f.2", 0x8086, 0x1234, 0x010601, "ahci", 7)
        gpu, = self.gpus()
        self.assertFalse(gpu["passthrough"])
        self.assertIn("also holds 0000:00:1f.2", "\n".join(gpu["passthrough_notes"]))
        status, out, err = run("args", "vm1", "--for=qemu", "--mode=passthrough", "--sysfs",
                               self.sysfs)
        self.assertEqual((status, out), (1, ""))
        self.assertIn("ahci", err)

    def test_choice(self):
        self.nvidia(group=7)
        self.device("0000:02:00.0", 0x1002, 0x73a3, 0x030000, "amdgpu", 8,
                    mem_info_vram_total=str(16 << 30), mem_info_vram_used=str(1 << 30))
        first, second = self.gpus()
        self.assertEqual((second["memory_bytes"], second["memory_used_bytes"]),
                         (16 << 30, 1 << 30))
        words = ("args", "vm1", "--for=xl", "--mode=passthrough", "--sysfs", self.sysfs)
        self.assertEqual(run(*words)[0], NOT_FOUND)
        self.assertEqual(run(*words, "--gpu=02:00.0")[1], "pci = [ '0000:02:00.0' ]\n")
        self.assertEqual(run(*words, "--gpu=03:00.0")[0], NOT_FOUND)

    def test_nvml(self):
        self.nvidia(group=7)
        fake = pathlib.Path(os.environ.get("FAKE_NVML_DIR", vm.HOST / "tests" / "ctl" / "nvml"))
        gpu, = self.gpus(LD_LIBRARY_PATH=str(fake))
        self.assertEqual((gpu["device"], gpu["driver_version"], gpu["index"]),
                         ("Fake GPU 80GB", "580.00", 3))
        self.assertEqual((gpu["memory_bytes"], gpu["memory_used_bytes"]), (80 << 30, 1 << 30))


if __name__ == "__main__":
    tap.main()
