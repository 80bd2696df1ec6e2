#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What breaks and comes back: daemon, workers, VMs, guest processes, the device itself."""

import contextlib
import os
import pathlib
import signal
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tap  # noqa: E402
from test_two import operations  # noqa: E402
from vm import VM, Daemon, Failure, wait_until  # noqa: E402


MI = 1 << 20


class Faults(unittest.TestCase):
    """One daemon and one VM for all; each case leaves both working."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.vm = VM(cls.daemon, "alpha").start()
        cls.addClassCleanup(cls.vm.stop)
        cls.vm.ready()

    def tearDown(self):
        """Whatever happened: the next command works with the guest untouched."""
        wait_until("the VM works again",
                   lambda: self.vm.run("gpu_test vector_add").status == 0, pause=0.2)

    def spawn_stress(self, tag, seconds, options="--reopen"):
        self.vm.background(f"gpu_test stress --seconds {seconds} {options}", tag)
        wait_until("the stress to have a worker", self.daemon.workers)
        time.sleep(1)

    def test_daemon_killed_under_load(self):
        self.spawn_stress("load", 8)
        before = set(self.daemon.workers())
        self.daemon.kill()
        time.sleep(1)
        self.daemon.start()
        result = self.vm.collect("load")
        self.assertEqual(result.status, 0, result)
        self.assertGreater(operations(result.output)[0], 0)
        print(f"# {result.output.strip().splitlines()[0]}; workers before: {len(before)}")

    def test_daemon_and_workers_killed_under_load(self):
        """What was in flight is lost with EIO; the program opens again and goes on."""
        self.spawn_stress("load", 8)
        workers = self.daemon.workers()
        self.daemon.kill()
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        time.sleep(1)
        self.daemon.start()
        result = self.vm.collect("load")
        self.assertEqual(result.status, 0, result)

    def test_worker_killed(self):
        """Its session alone fails, with EIO; another session of the same VM goes on."""
        self.spawn_stress("bystander", 8, "")
        others = set(self.daemon.workers())
        self.vm.background("gpu_test stress --seconds 30", "victim")
        victim = wait_until("the victim's worker",
                            lambda: set(self.daemon.workers()) - others)
        time.sleep(1)
        os.kill(victim.pop(), signal.SIGKILL)
        result = self.vm.collect("victim")
        self.assertEqual(result.status, 1, result)
        self.assertIn("Input/output error", result.output)
        result = self.vm.collect("bystander")
        self.assertEqual(result.status, 0, result)

    def test_vm_killed(self):
        with VM(self.daemon, "doomed") as doomed:
            doomed.ready()
            mine = set(self.daemon.workers())
            doomed.background("gpu_test stress --seconds 60", "load")
            theirs = wait_until("workers of the doomed VM",
                                lambda: set(self.daemon.workers()) - mine)
            doomed.kill()
            began = time.monotonic()
            wait_until("the killed VM's workers gone",
                       lambda: not theirs & set(self.daemon.workers()), pause=0.01)
            print(f"# workers gone {time.monotonic() - began:.2f} s after the VM's SIGKILL")

    def test_guest_process_killed(self):
        self.spawn_stress("load", 60)
        theirs = set(self.daemon.workers())
        self.vm.check("kill -9 $(pidof gpu_test)")
        wait_until("its worker gone", lambda: not theirs & set(self.daemon.workers()))
        self.assertEqual(self.vm.run("pidof gpu_test").status, 1)

    def test_guest_process_killed_while_reading(self):
        """A blocked read() can be interrupted: nothing answers, and the process still dies."""
        self.vm.check("( cat /dev/vgpu_stub >/dev/null & echo $! >/tmp/pid; wait $! ) "
                      ">/dev/null 2>&1 &")
        wait_until("cat in the guest", lambda: self.vm.run("test -s /tmp/pid").status == 0)
        time.sleep(0.5)
        self.vm.check("kill -9 $(cat /tmp/pid)")
        wait_until("cat gone", lambda: self.vm.run("kill -0 $(cat /tmp/pid)").status != 0)

    def test_unplug_with_files_open(self):
        vm = self.vm
        self.spawn_stress("load", 60, "")
        vm.background("exec 3<>/dev/vgpu_stub; touch /tmp/open; "
                      "while [ ! -e /tmp/gone ]; do sleep 0.1; done; echo NOP >&3", "holder")
        wait_until("the holder's open file", lambda: vm.run("test -e /tmp/open").status == 0)
        self.assertIn("vgpu0", self.peripherals())
        vm.qmp("device_del", id="vgpu0")
        wait_until("the device unplugged", lambda: "vgpu0" not in self.peripherals())
        result = vm.collect("load")
        self.assertEqual(result.status, 1, result)
        vm.check("touch /tmp/gone")
        result = vm.collect("holder")
        self.assertNotEqual(result.status, 0)
        self.assertIn("No such device", result.output)
        self.assertEqual(vm.run("gpu_test nop").status, 77)
        self.plug()
        wait_until("the device in the guest again",
                   lambda: vm.run("gpu_test nop").status == 0, pause=0.3)
        self.assertNotIn("Call Trace", vm.console())

    def test_plug_and_unplug_ten_times(self):
        for _ in range(10):
            self.vm.qmp("device_del", id="vgpu0")
            wait_until("the device unplugged", lambda: "vgpu0" not in self.peripherals())
            self.plug()
            wait_until("the device in the guest again",
                       lambda: self.vm.run("gpu_test nop").status == 0, pause=0.2)
        self.assertNotIn("Call Trace", self.vm.console())

    def peripherals(self):
        return {x["name"] for x in self.vm.qmp("qom-list", path="/machine/peripheral")}

    def plug(self):
        self.vm.qmp("device_add", driver="vgpu-stub", id="vgpu0", socket=str(self.daemon.socket))

    def test_module_reloaded_fifty_times(self):
        self.vm.check("for i in $(seq 50); do rmmod vgpu_stub && "
                      "insmod /lib/modules/vgpu_stub.ko || exit 1; done", 300)
        self.assertNotIn("Call Trace", self.vm.console())

    def test_module_in_use_stays(self):
        self.vm.background("exec 3<>/dev/vgpu_stub; sleep 3", "holder")
        time.sleep(1)
        self.assertNotEqual(self.vm.run("rmmod vgpu_stub").status, 0)
        self.vm.collect("holder")

    def test_migration_is_refused(self):
        with self.assertRaises(Failure) as caught:
            self.vm.qmp("migrate", uri="exec:cat >/dev/null")
        self.assertIn("vgpu-stub", str(caught.exception))

    def lost_over(self, fall_asleep):
        """A session does not survive a sleep; files that are opened afterwards work."""
        self.vm.hold_session()
        fall_asleep()
        self.assertRegex(self.vm.work_again(), "(?i)i/o error|input/output error")
        self.vm.check("gpu_test vector_add")

    def test_suspend_to_memory(self):
        def sleep():
            self.vm.background("echo mem >/sys/power/state", "sleep")
            wait_until("S3", lambda: self.vm.qmp("query-status")["status"] == "suspended")
            self.vm.qmp("system_wakeup")
            self.assertEqual(self.vm.collect("sleep").status, 0)
        self.lost_over(sleep)

    def test_hibernation(self):
        """To the point where the image is to be written, for which there is no place."""
        def hibernate():
            result = self.vm.run("echo shutdown >/sys/power/disk; echo disk >/sys/power/state")
            self.assertNotEqual(result.status, 0)
            self.assertIn("hibernation", self.vm.check("dmesg | tail -n 60").lower())
        self.lost_over(hibernate)

    def test_more_sessions_than_queues(self):
        out = self.vm.check(
            "for i in $(seq 40); do ( exec 3<>/dev/vgpu_stub && echo opened && sleep 8 ) & done; "
            "wait", 60)
        opened = out.count("opened")
        self.assertEqual(opened, 32)
        self.assertIn("busy", out.lower())


class Sandboxed(unittest.TestCase):
    """QEMU with its own filter of system calls, no path, no user, no network, no large files."""

    FILTER = "on,obsolete=deny,elevateprivileges=allow,spawn=deny,resourcecontrol=deny"
    USER = 65541

    @unittest.skipIf(os.geteuid() != 0, "only root can make the sandbox")
    def test_work_and_a_new_daemon(self):
        with contextlib.ExitStack() as stack:
            empty = stack.enter_context(tempfile.TemporaryDirectory(prefix="vgpu-root-"))
            daemon = Daemon().start()
            stack.callback(daemon.stop)
            vm = VM(daemon, "sandboxed", extra=["-chroot", empty, "-sandbox", self.FILTER,
                                                "-runas", f"{self.USER}:{self.USER}"])
            self.give_memory(vm, stack)
            vm.argv[:0] = ["prlimit", f"--fsize={MI}", "unshare", "--net", "--ipc", "--mount"]
            stack.enter_context(vm)
            vm.ready()
            pid = vm.process.pid
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            self.assertRegex(status, rf"Uid:\s+{self.USER}\s+{self.USER}\s")
            self.assertRegex(status, r"Seccomp:\s+2")
            self.assertEqual(os.readlink(f"/proc/{pid}/root"), empty)
            self.work(vm)
            daemon.kill()
            daemon.start()
            wait_until("the device's return", lambda: vm.run("gpu_test nop").status == 0, pause=0.2)
            self.work(vm)

    def give_memory(self, vm, stack):
        """A file that is there: one in such a sandbox cannot make it, nor has to under Xen."""
        ram = stack.enter_context(tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="vgpu-"))
        ram.truncate(512 * MI)
        at = vm.argv.index("-object") + 1
        vm.argv[at] = f"memory-backend-file,id=ram,size=512M,share=on,mem-path={ram.name}"

    def work(self, vm):
        vm.check("gpu_test vector_add --size 1048576")
        vm.check("gpu_test bandwidth --size 4194304")
        vm.check("gpu_test stress --seconds 2")


class Absent(unittest.TestCase):
    """Things that need a VM of their own."""

    def test_daemon_absent_at_start(self):
        daemon = Daemon()
        with VM(daemon, "early") as vm:
            vm.ready()
            result = vm.run("gpu_test nop")
            self.assertEqual(result.status, 1, result)
            self.assertNotEqual(vm.run("echo TEST > /dev/vgpu_stub").status, 0)
            with daemon:
                wait_until("the first command to work",
                           lambda: vm.run("gpu_test nop").status == 0, pause=0.2)

    def test_guest_reset(self):
        with Daemon() as daemon, VM(daemon, "phoenix", reboot=True) as vm:
            vm.ready()
            vm.background("gpu_test stress --seconds 60", "load")
            wait_until("a worker", daemon.workers)
            vm.qmp("system_reset")
            vm.ready()
            vm.check("gpu_test vector_add")
            wait_until("no worker of before the reset", lambda: not daemon.workers())

    def test_ram_that_cannot_be_shared(self):
        """Only registers are left; text commands take them, and the device says why."""
        with Daemon() as daemon, VM(daemon, "private", shared=False) as vm:
            vm.ready()
            self.assertIn("share", vm.stderr())
            out = vm.check("exec 3<>/dev/vgpu_stub; echo RUN_VECTOR_ADD >&3; head -n 1 <&3")
            self.assertIn("Vector add passed: 1024 elements, 0 errors", out)


if __name__ == "__main__":
    tap.main()
