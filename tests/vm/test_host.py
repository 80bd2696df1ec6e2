#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon as root on a kernel of its own: control groups of version 2, memory that
runs out, all of a worker's confinement."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import host  # noqa: E402
import tap  # noqa: E402
from vm import wait_until  # noqa: E402

MIB = 1 << 20
CGROUPS = "/sys/fs/cgroup"
GROUPS = f"{CGROUPS}/vgpu"
UNIT = f"{CGROUPS}/system.slice/gpu_mediator.service"
OWN_SOCKET = "/run/vm2.sock"
REQUIRE = f"confine=require\\ncgroup={GROUPS}"


class Client:
    """A program with a session, at work or stopped."""

    def __init__(self, test, tenant="vm1"):
        self.test, self.host = test, test.host
        before = {s["session"] for s in test.sessions(tenant)}
        where = OWN_SOCKET if tenant == "vm2" else host.Mediator.SOCKET
        test.addCleanup(lambda: self.host.run(f"kill -KILL {self.pid}"))
        out = self.host.check(f"gpu_test stress --seconds 100000 --device unix:{where} "
                              "</dev/null >/run/client 2>&1 & echo $!")
        self.pid = int(out)

        def begun():
            found = [s for s in test.sessions(tenant)
                     if s["session"] not in before and s["state"] == "running"]
            return found and found[0]
        session = wait_until("the client's session", begun, pause=0.1)
        self.session, self.worker, self.tenant = session["session"], session["pid"], tenant
        self.pause()

    def pause(self):
        self.host.check(f"kill -STOP {self.pid}")

    def requests(self):
        """How many it has made; None: its session is gone."""
        for s in self.test.sessions(self.tenant):
            if s["session"] == self.session and s["state"] == "running":
                return s["requests"]
        return None

    def works(self):
        """Lets it work until it has: fails if its session is gone."""
        before = self.requests()
        self.host.check(f"kill -CONT {self.pid}")
        wait_until(f"work of session {self.session}",
                   lambda: (self.requests() or 0) > (before or 0), pause=0.1)
        self.pause()

    def end(self):
        self.host.run(f"kill -KILL {self.pid}")
        wait_until(f"the end of session {self.session}", lambda: self.requests() is None,
                   pause=0.1)


class OnHost(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not host.PROGRAMS[-1].exists():
            raise unittest.SkipTest("a bundle has no gpu_mediatorctl")
        folder = tempfile.TemporaryDirectory(prefix="vgpu-host-")
        cls.addClassCleanup(folder.cleanup)
        try:
            more = host.programs.guest_entries([host.programs.DRIVER_TESTS])
        except (host.Failure, OSError):
            more = []
        cls.has_cuda = bool(more)
        cls.host = cls.enterClassContext(host.Host(folder.name, more=more))
        cls.host.ready()

    def daemon(self, worker=REQUIRE, vm1="", level="", **more):
        """Two tenants: root at the common socket, and whoever is at the other one."""
        self.mediator = host.Mediator(self.host, worker, {
            "vm1": f"users=0\n{level}[limits]\n{vm1}",
            "vm2": f"socket={OWN_SOCKET}\n[limits]\nhost-memory=none"}, **more)
        self.addCleanup(self.mediator.__exit__)
        return self.mediator

    def make_groups(self):
        """As an administrator would; each case alone needs it, too."""
        self.host.check(f"mountpoint -q {CGROUPS} || mount -t cgroup2 none {CGROUPS}; "
                        f"mkdir -p {GROUPS} && "
                        f"echo +memory +pids >{CGROUPS}/cgroup.subtree_control")

    def sessions(self, tenant=""):
        return self.mediator.ctl(f"sessions {tenant}")

    def expect_audit(self, text):
        wait_until(f"{text} in the audit log",
                   lambda: text in self.host.read("/run/audit.log"), pause=0.1)

    def unconfined(self):
        return self.mediator.ctl("status")["unconfined"]

    def limit(self, name, tenant="vm1"):
        return self.host.read(f"{GROUPS}/tenant-{tenant}/{name}")

    def faults(self):
        return self.mediator.ctl("tenants vm1")[0]["faults"]

    def group_of(self, pid):
        return self.host.read(f"/proc/{pid}/cgroup")

    def gpu_test(self, words):
        return self.host.run(f"gpu_test {words} --device unix:{host.Mediator.SOCKET}")

    def expect_useless(self, why):
        """No control groups can be had, as the log says; who does not insist is served."""
        with self.daemon(f"cgroup={GROUPS}") as m:
            self.assertIn(f"no limits of host memory and processes: {GROUPS}: controller memory "
                          f"cannot be used: {why}", m.log())
            self.assertEqual(self.unconfined(), ["cgroup"])
            self.assertEqual(self.gpu_test("nop").status, 0)

    def test_1_no_cgroups(self):
        with self.daemon("confine=try") as m:
            self.assertIn("processes: [worker] cgroup is not set, and", m.log())
            self.assertEqual(self.unconfined(), ["cgroup"])
            self.assertEqual(self.gpu_test("nop").status, 0)
        with self.daemon(REQUIRE) as m:
            self.assertIn("it is no control group of version 2", m.log())
            result = self.gpu_test("nop")
            self.assertNotEqual(result.status, 0)
            self.assertIn("the host has no control group to limit", result.output)
            self.assertEqual(self.sessions(), [])

    def test_2_groups_of_no_use(self):
        self.host.check(f"mount -t cgroup2 none {CGROUPS} && mkdir {GROUPS}")
        self.expect_useless("it does not have the controller")
        self.host.check(f"echo +memory +pids >{CGROUPS}/cgroup.subtree_control")
        pid = self.host.check(f"sleep 100000 </dev/null >/dev/null 2>&1 & "
                              f"echo $! >{GROUPS}/cgroup.procs; echo $!").strip()
        self.expect_useless("a process is in it")
        self.host.check(f"kill {pid}")
        wait_until("an empty group", lambda: not self.host.read(f"{GROUPS}/cgroup.procs"))

    def test_3_limits(self):
        """Who is where, with which limits, while these and the daemon change."""
        self.make_groups()
        self.host.check(f"mkdir {GROUPS}/tenant-gone")
        m = self.daemon(vm1="host-memory=96M\nhost-processes=77").start()
        self.assertEqual(self.host.run(f"ls -d {GROUPS}/tenant-*").status, 1)
        one, two = Client(self), Client(self, "vm2")
        self.assertEqual(self.unconfined(), [])
        self.assertEqual(self.group_of(one.worker), "0::/vgpu/tenant-vm1")
        self.assertEqual(self.group_of(two.worker), "0::/vgpu/tenant-vm2")
        self.assertEqual(self.limit("memory.max"), str(96 * MIB))
        self.assertEqual(self.limit("memory.swap.max"), "0")
        self.assertEqual(self.limit("pids.max"), "77")
        self.assertEqual(self.limit("memory.max", "vm2"), "max")
        self.assertEqual(self.limit("memory.swap.max", "vm2"), "max")
        self.see_confinement(one.worker)
        self.host.check("gpu_mediatorctl set vm1 host-memory=128M host-processes=88")
        self.assertEqual(self.limit("memory.max"), str(128 * MIB))
        self.assertEqual(self.limit("pids.max"), "88")
        m.tenant("vm1", "users=0\n[limits]\nhost-memory=160M")
        self.host.check("gpu_mediatorctl reload")
        self.assertEqual(self.limit("memory.max"), str(160 * MIB))
        # The next daemon finds all that again, and what has changed in the meantime.
        m.end("KILL")
        m.tenant("vm1", "users=0\n[limits]\nhost-memory=192M")
        self.host.check(f"echo {two.worker} >{CGROUPS}/cgroup.procs")
        m.start()
        one.works()
        two.works()
        self.assertEqual(self.limit("memory.max"), str(192 * MIB))
        self.assertEqual(self.group_of(one.worker), "0::/vgpu/tenant-vm1")
        self.assertEqual(self.group_of(two.worker), "0::/vgpu/tenant-vm2")
        one.end()
        m.end()
        self.assertEqual(self.host.run(f"ls -d {GROUPS}/tenant-*").status, 1)

    def see_confinement(self, worker):
        """What status says is missing is nothing; some of it is looked at from outside."""
        status = self.host.read(f"/proc/{worker}/status").replace("\t", " ")
        for line in ("Uid: 1900000001", "CapEff: 0000000000000000", "CapBnd: 0000000000000000",
                     "NoNewPrivs: 1", "Seccomp: 2"):
            self.assertIn(line, status)
        self.assertEqual(self.host.read(f"/proc/{worker}/comm"), "gpu_mediator-wo")
        self.assertEqual(self.host.check(f"ls /proc/{worker}/root/").split(), ["adopt"])
        # The old root is not covered, it is gone: two mounts are all that there is.
        mounts = self.host.read(f"/proc/{worker}/mountinfo").splitlines()
        self.assertEqual([m.split()[4] for m in mounts], ["/", "/adopt"])
        for ns in ("net", "ipc", "uts", "mnt"):
            self.assertNotEqual(self.host.check(f"readlink /proc/{worker}/ns/{ns}"),
                                self.host.check(f"readlink /proc/self/ns/{ns}"))

    def test_4_over_memory(self):
        """The kernel takes the worker that is over the limit and no other, swap or not."""
        self.make_groups()
        self.host.swap_on()
        with self.daemon(vm1="host-memory=96M"):
            one, two = Client(self), Client(self, "vm2")
            result = self.gpu_test("bandwidth --size 128M")
            self.assertNotEqual(result.status, 0)
            self.assertIn("Input/output error", result.output)
            self.expect_audit('"reason":"the kernel killed the worker: those of its tenant '
                              'together are over host-memory"')
            self.assertEqual(self.faults()["host-memory"], 1)
            self.assertEqual(self.faults()["crash"], 0)
            one.works()
            two.works()
            self.assertEqual(self.gpu_test("bandwidth --size 1M").status, 0)
            # Not for its own limit: for that of all.
            self.host.check("gpu_mediatorctl set vm1 host-memory=none")
            self.host.check(f"echo 0 >{GROUPS}/memory.swap.max; echo 96M >{GROUPS}/memory.max")
            self.assertNotEqual(self.gpu_test("bandwidth --size 128M").status, 0)
            self.host.check(f"echo max >{GROUPS}/memory.max")
            self.expect_audit("the kernel killed the worker: the host has no memory left")
            self.assertEqual(self.faults()["host-memory"], 1)
            self.assertEqual(self.faults()["crash"], 0)
            two.end()

            # A limit that is lowered below what a worker holds, one of a daemon before.
            self.mediator.end("KILL")
            self.mediator.start()
            one.works()
            self.host.check("gpu_mediatorctl set vm1 host-memory=1M")
            wait_until("the worker's end", lambda: one.requests() is None, pause=0.1)
            self.expect_audit("over host-memory")
            self.assertEqual(self.faults()["host-memory"], 1)

    def test_5_processes(self):
        self.make_groups()
        with self.daemon(vm1="host-processes=2"):
            one, two = Client(self), Client(self)
            result = self.gpu_test("nop")
            self.assertNotEqual(result.status, 0)
            self.assertIn("the 2 processes and threads that they may (host-processes); "
                          "end a session", result.output)
            self.expect_audit('"cause":"host-processes"')
            two.end()
            self.assertEqual(self.gpu_test("nop").status, 0)
            one.works()
            one.end()

    def test_6_threads(self):
        """A worker that can make no thread says so, and nobody waits for it."""
        if not self.has_cuda:
            self.skipTest("no CUDA program was built")
        self.make_groups()
        with self.daemon(vm1="host-processes=1", level="level=high\n"):
            result = self.host.run(f"VGPU_TRANSPORT=unix:{host.Mediator.SOCKET} "
                                   "/opt/cuda/driver_tests stream.order")
            self.assertEqual(result.status, 1, result)
            self.assertIn("CUDA_ERROR_OUT_OF_MEMORY", result.output)
            self.host.check("gpu_mediatorctl set vm1 host-processes=256")
            self.assertEqual(self.gpu_test("nop").status, 0)

    def test_7_as_a_unit(self):
        """Where our unit has systemd put it, it finds what it was delegated."""
        self.make_groups()
        self.host.check(f"mkdir -p {UNIT}/daemon && "
                        f"echo +memory +pids >{CGROUPS}/system.slice/cgroup.subtree_control")
        with self.daemon("confine=require", group=f"{UNIT}/daemon") as m:
            self.assertIn(f"tenants have control groups in {UNIT}", m.log())
            one = Client(self)
            self.assertEqual(self.unconfined(), [])
            self.assertEqual(self.group_of(m.pid),
                             "0::/system.slice/gpu_mediator.service/daemon")
            self.assertEqual(self.group_of(one.worker),
                             "0::/system.slice/gpu_mediator.service/tenant-vm1")
            one.end()


if __name__ == "__main__":
    tap.main()
