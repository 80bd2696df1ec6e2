#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket of a real daemon: who may what, bounds, verbs, what is written down."""

import contextlib
import datetime
import json
import os
import signal
import unittest

from bench import OWNER, STRANGER, Bench, as_user, tap, wait_until

ROOT = os.geteuid() == 0


class Verbs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench().start()
        assert cls.bench.hold("vm1", 2, 5) == "ready"
        assert cls.bench.hold("vm2", 1, 3) == "ready"

    @classmethod
    def tearDownClass(cls):
        cls.bench.stop()

    def test_1_status(self):
        s = self.bench.result("status")
        self.assertEqual((s["backend"], s["role"], s["sessions"]), ("cpu", "administrator", 3))
        self.assertEqual(s["devices"], [0])
        self.assertEqual((s["open"], s["draining"]), (False, False))
        self.assertNotIn("draining_since", s)
        self.assertEqual(s["audit"]["file"], str(self.bench.audit_file))
        self.assertFalse(s["audit"]["failing"])

    def test_2_tenants(self):
        one, two = self.bench.result("tenants")
        self.assertEqual((one["name"], one["level"], one["sessions"]), ("vm1", "low", 2))
        self.assertEqual(one["limits"]["memory_bytes"], 256 << 20)
        self.assertEqual((two["name"], two["sessions"]), ("vm2", 1))
        allowed = [d["count"] for d in one["decisions"] if d["kind"] == "session-allowed"]
        self.assertEqual(allowed, [2])
        only, = self.bench.result("tenants", tenant="vm2")
        self.assertEqual(only["name"], "vm2")
        self.assertEqual(self.bench.ask("tenants", tenant="vm9")["error"], "not-found")

    def test_3_sessions(self):
        sessions = self.bench.result("sessions", tenant="vm1")
        self.assertEqual([s["tenant"] for s in sessions], ["vm1", "vm1"])
        self.assertEqual([s["requests"] for s in sessions], [5, 5])
        self.assertEqual({s["state"] for s in sessions}, {"running"})
        self.assertEqual(len(self.bench.result("sessions")), 3)

    def test_4_audit(self):
        lines = self.bench.result("audit")["lines"]
        self.assertEqual(lines, self.bench.audit())
        self.assertEqual((lines[0]["kind"], lines[0]["reason"]), ("daemon", "it begins"))
        of_two = self.bench.result("audit", tenant="vm2", kind="session-allowed")["lines"]
        self.assertEqual(len(of_two), 1)
        self.assertEqual(of_two[0]["details"]["uid"], os.geteuid())
        last, = self.bench.result("audit", most=1)["lines"]
        self.assertEqual(last, lines[-1])
        self.assertEqual(self.bench.result("audit", since="2999-01-01T00:00:00Z")["lines"], [])
        # Going on from where one was: nothing twice, nothing left out.
        after, seen = 1, lines[:1]
        for _ in range(len(lines) + 2):
            page = self.bench.result("audit", after=after, most=1)
            seen += page["lines"]
            after = page["next"]
        self.assertEqual(seen, lines)

    def test_5_set(self):
        self.bench.result("set", tenant="vm1", key="weight", value="77")
        one = self.bench.result("tenants", tenant="vm1")[0]
        self.assertEqual((one["limits"]["weight"], one["changed"]), (77, True))
        answer = self.bench.ask("set", tenant="vm1", key="weight", value="0")
        self.assertEqual(answer["error"], "bad-value")
        self.assertIn("1 to 10000", answer["message"])
        self.assertEqual(self.bench.ask("set", tenant="vm9", key="weight", value="1")["error"],
                         "not-found")
        # A reload has the file's word again.
        self.bench.result("reload")
        one = self.bench.result("tenants", tenant="vm1")[0]
        self.assertEqual((one["limits"]["weight"] != 77, one["changed"]), (True, False))
        changes = self.bench.audit("policy-changed")
        self.assertIn("weight is now 77, until the next reload", [c["reason"] for c in changes])
        commands = self.bench.audit("command")
        self.assertEqual([c["details"]["value"] for c in commands if c["details"]["verb"] == "set"],
                         ["77", "0", "1"])

    def test_6_sessions_limit(self):
        """A lowered limit keeps what is there, refuses what comes, and says why."""
        self.bench.result("set", tenant="vm1", key="sessions", value="2")
        self.assertTrue(self.bench.hold("vm1").startswith("refused"))
        refused = self.bench.audit("session-refused")[-1]
        self.assertEqual((refused["tenant"], refused["cause"]), ("vm1", "sessions"))
        self.bench.result("reload")

    def test_7_drain(self):
        self.bench.result("drain")
        self.assertTrue(self.bench.result("status")["draining"])
        self.assertTrue(self.bench.hold("vm2").startswith("refused"))
        self.assertEqual(self.bench.audit("session-refused")[-1]["cause"], "draining")
        self.assertEqual(len(self.bench.result("sessions")), 3)
        self.bench.result("drain", off=True)
        self.assertEqual(self.bench.hold("vm2"), "ready")

    def test_8_evict(self):
        first = self.bench.result("sessions", tenant="vm1")[0]["session"]
        self.assertEqual(self.bench.result("evict", session=first), {"sessions": 1})
        wait_until("the session's end", lambda: first not in
                   [s["session"] for s in self.bench.result("sessions")])
        self.assertEqual(self.bench.audit("eviction")[-1]["session"], first)
        self.assertEqual(self.bench.audit("session-ended")[-1]["reason"],
                         "evicted by an administrator")
        self.assertEqual(self.bench.result("evict", tenant="vm1"), {"sessions": 1})
        wait_until("no session of vm1", lambda: not self.bench.result("sessions", tenant="vm1"))
        self.assertEqual(self.bench.ask("evict", session=first)["error"], "not-found")
        # What is used is remembered when the session is not there any more.
        self.assertEqual(self.bench.result("evict", tenant="vm1"), {"sessions": 0})

    def test_9_reload_fails(self):
        config = self.bench.dir / "config"
        good = config.read_text()
        config.write_text(good + "[audit]\nfile=/proc/no/such/place\n")
        answer = self.bench.ask("reload")
        self.assertEqual(answer["error"], "failed")
        self.assertIn("/proc/no/such/place", answer["message"])
        config.write_text(good)
        self.bench.result("reload")
        self.assertIn("nothing has changed", self.bench.audit("policy-changed")[-2]["reason"])


class Use(unittest.TestCase):
    """What is used and what is refused, as workers tell it."""

    @classmethod
    def setUpClass(cls):
        cls.bench = Bench()
        cls.bench.tenant("vm3", "level=low", "[allowed]\nclasses=memory")
        cls.bench.start()

    @classmethod
    def tearDownClass(cls):
        cls.bench.stop()

    def usage(self, tenant):
        return self.bench.result("tenants", tenant=tenant)[0]["usage"]

    def test_used(self):
        self.assertEqual(self.bench.hold("vm1", 1, 7), "ready")
        wait_until("seven calls", lambda: self.usage("vm1")["calls"] >= 7)
        before = self.usage("vm1")["calls"]
        self.assertEqual(self.bench.gpu_test("vm1", "vector_add", "--size", "1M"), 0)
        wait_until("its end", lambda: self.bench.result("tenants", tenant="vm1")[0]["sessions"] == 1)
        # The session has ended; what it used is remembered.
        after = self.usage("vm1")
        self.assertGreater(after["calls"], before)
        self.assertGreaterEqual(after["bytes"], 3 * 4 << 20)
        self.assertEqual(self.usage("vm2")["calls"], 0)

    def test_refused(self):
        self.assertNotEqual(self.bench.gpu_test("vm3", "vector_add"), 0)
        wait_until("a line of it", lambda: self.bench.audit("operation-refused"))
        line = self.bench.audit("operation-refused")[0]
        self.assertEqual((line["tenant"], line["cause"]), ("vm3", "class"))
        self.assertEqual(line["details"]["classes"], "builtin")
        self.assertEqual(line["details"]["operation"], "VECTOR_ADD")
        self.assertGreaterEqual(self.usage("vm3")["refused"], 1)
        # A class more, while it runs.
        self.bench.result("set", tenant="vm3", key="classes", value="builtin;memory")
        self.assertEqual(self.bench.gpu_test("vm3", "vector_add"), 0)


@unittest.skipUnless(ROOT, "needs root, to be somebody else")
class Rights(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench(f"[control]\nmonitor-users={STRANGER + 1}\n"
                          f"admin-users={STRANGER + 2};{STRANGER + 3}\n")
        cls.bench.tenant("vm3", f"level=system\nowner={STRANGER + 4}")
        cls.bench.start()
        assert cls.bench.hold("vm1") == "ready"
        assert cls.bench.hold("vm2") == "ready"

    @classmethod
    def tearDownClass(cls):
        cls.bench.stop()

    def connect(self, uid):
        with as_user(uid):
            control = self.bench.connect()
        self.addCleanup(control.close)
        return control

    def test_stranger(self):
        control = self.connect(STRANGER)
        self.assertEqual(control.line()["error"], "not-permitted")
        self.assertIsNone(control.line())
        line = self.bench.audit("connection-refused")[-1]
        self.assertEqual((line["cause"], line["details"]["uid"]), ("not-permitted", STRANGER))

    def test_owner(self):
        control = self.connect(OWNER)
        status = control.ask("status")["result"]
        self.assertEqual(status["role"], "owner")
        self.assertNotIn("audit", status)
        self.assertEqual([t["name"] for t in control.ask("tenants")["result"]], ["vm2"])
        self.assertEqual([s["tenant"] for s in control.ask("sessions")["result"]], ["vm2"])
        lines = control.ask("audit")["result"]["lines"]
        self.assertEqual({line["tenant"] for line in lines}, {"vm2"})
        self.assertEqual(control.ask("audit", tenant="vm1")["result"]["lines"], [])
        # What is there is not told apart from what is not.
        for tenant in ("vm1", "vm9"):
            self.assertEqual(control.ask("tenants", tenant=tenant)["error"], "not-found")
            self.assertEqual(control.ask("sessions", tenant=tenant)["error"], "not-found")
        for verb, members in (("set", {"tenant": "vm2", "key": "weight", "value": "9"}),
                              ("evict", {"tenant": "vm2"}), ("drain", {}), ("reload", {})):
            self.assertEqual(control.ask(verb, **members)["error"], "not-permitted")
        self.assertEqual(len(self.bench.result("sessions", tenant="vm2")), 1)
        self.assertFalse(self.bench.result("status")["draining"])
        self.assertEqual(self.bench.audit("command")[-1]["cause"], "not-permitted")

    def test_monitor(self):
        control = self.connect(STRANGER + 1)
        self.assertEqual(control.ask("status")["result"]["role"], "monitor")
        self.assertEqual(len(control.ask("tenants")["result"]), 3)
        self.assertEqual(control.ask("evict", tenant="vm1")["error"], "not-permitted")

    def test_administrators(self):
        for uid in (STRANGER + 2, STRANGER + 3, STRANGER + 4):
            control = self.connect(uid)
            self.assertEqual(control.ask("status")["result"]["role"], "administrator")
            self.assertTrue(control.ask("set", tenant="vm1", key="weight", value="9")["ok"])

    def test_right_is_lost(self):
        """A reload takes a right from one that is connected."""
        self.bench.tenant("vm4", f"level=low\nowner={STRANGER + 5}")
        self.bench.result("reload")
        control = self.connect(STRANGER + 5)
        self.assertEqual([t["name"] for t in control.ask("tenants")["result"]], ["vm4"])
        (self.bench.dir / "tenants" / "vm4.conf").unlink()
        self.bench.result("reload")
        self.assertEqual(control.ask("tenants")["error"], "not-permitted")

    def test_z_crowd(self):
        """An owner cannot keep the administrator out by connections."""
        crowd = [self.connect(OWNER) for _ in range(80)]
        refused = [c for c in crowd if "not-permitted" in json.dumps(c.ask("status"))]
        self.assertEqual(len(refused), 80 - 8)
        self.assertEqual(self.bench.result("status")["role"], "administrator")


class Bounds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench().start()

    @classmethod
    def tearDownClass(cls):
        cls.bench.stop()

    def setUp(self):
        self.control = self.bench.connect()
        self.addCleanup(self.control.close)

    def alive(self):
        self.assertEqual(self.bench.result("status")["backend"], "cpu")

    def test_nonsense(self):
        for line in (b"\n", b"{}\n", b"\xff\x00\n", b"[" * 4000 + b"\n", b'{"verb":"x"}\n',
                     b'{"verb":"status","verb":7}\n', b'{"id":' + b"9" * 400 + b"}\n"):
            self.control.send(line)
            self.assertFalse(self.control.line()["ok"])
        self.assertTrue(self.control.ask("status")["ok"])

    def test_pieces(self):
        for byte in b'{"verb":"status","id":5}\n{"verb":"sta':
            self.control.send(bytes([byte]))
        self.assertEqual(self.control.line()["id"], 5)
        self.control.send(b'tus","id":6}\n')
        self.assertEqual(self.control.line()["id"], 6)

    def test_many_at_once(self):
        self.control.send(b"".join(b'{"verb":"status","id":%d}\n' % i for i in range(100)))
        self.assertEqual([self.control.line()["id"] for _ in range(100)], list(range(100)))

    def test_endless_line(self):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.control.send(b"x" * 1000000)
        with contextlib.suppress(ConnectionResetError):
            self.assertIsNone(self.control.line())
        self.alive()

    def test_slow_reader(self):
        """Who asks and never reads is bounded, disconnected, and nobody's concern."""
        for _ in range(300):
            self.bench.ask("evict", session=1)  # lines for the answers
        before = self.memory()
        self.control.socket.settimeout(0.2)
        with contextlib.suppress(TimeoutError, BlockingIOError, ConnectionError):
            while True:
                self.control.send(b'{"verb":"audit"}\n' * 100)
        self.alive()
        self.assertLess(self.memory() - before, 8192)
        wait_until("its end", self.is_cut_off)
        self.assertIn("does not read its answer", (self.bench.dir / "log").read_text())
        self.alive()

    def memory(self):
        """KiB that the daemon has for itself."""
        text = open(f"/proc/{self.bench.daemon.pid}/status", encoding="ascii").read()
        return int(text.split("VmData:")[1].split()[0])

    def is_cut_off(self):
        self.control.socket.setblocking(False)
        try:
            self.control.socket.send(b"\n")
        except BlockingIOError:
            return False
        except OSError:
            return True
        return False

    def test_half_a_line(self):
        self.control.send(b'{"verb":')
        self.assertIsNone(self.control.line())
        self.alive()

    def test_goes_away(self):
        for _ in range(50):
            control = self.bench.connect()
            control.send(b'{"verb":"audit"}\n')
            control.close()
        self.alive()

    def test_full(self):
        """There are only so many connections, also for root."""
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(contextlib.closing(self.bench.connect()))
                     for _ in range(70)]
            refused = [c for c in crowd if not c.ask("status")["ok"]]
            self.assertGreaterEqual(len(refused), 70 - 64)
        wait_until("room again", lambda: self.bench.ask("status").get("ok"))


class Crowded(unittest.TestCase):
    def test_connections(self):
        """Who is turned away as there are too many devices is written down, too."""
        with Bench("[limits]\nmax-connections=1\n") as bench:
            self.assertEqual(bench.hold("vm1"), "ready")
            self.assertTrue(bench.hold("vm2").startswith("refused"))
            line = bench.audit("connection-refused")[-1]
            self.assertEqual((line["cause"], line["details"]["uid"]), ("host-limit", os.geteuid()))


class Files(unittest.TestCase):
    """The audit log's file through a daemon's life."""

    def test_crash(self):
        """Every line that was written is there after a kill; the next daemon goes on in it."""
        with Bench() as bench:
            self.assertEqual(bench.hold("vm1"), "ready")
            before = bench.audit()
            bench.daemon.kill()
            bench.daemon.wait()
            self.assertEqual(bench.audit(), before)
            bench.start()
            self.assertEqual(bench.audit()[:len(before)], before)
            self.assertEqual(bench.audit("daemon")[-1]["reason"], "it begins")

    def test_hangup(self):
        with Bench() as bench:
            moved = bench.dir / "moved"
            bench.audit_file.rename(moved)
            bench.daemon.send_signal(signal.SIGHUP)
            wait_until("a new file", bench.audit_file.exists)
            wait_until("its first line", lambda: bench.audit("policy-changed"))

    def test_no_room(self):
        """A full disk stops no work, and is told."""
        with Bench("[audit]\nfile=/dev/full\n") as bench:
            self.assertEqual(bench.hold("vm1", 1, 10), "ready")
            audit = bench.result("status")["audit"]
            self.assertTrue(audit["failing"])
            self.assertIn("No space left", audit["error"])
            self.assertGreaterEqual(audit["lost"], 2)
            self.assertEqual(len(bench.result("audit", kind="session-allowed")["lines"]), 1)
            self.assertIn("work goes on", (bench.dir / "log").read_text())
            # Room again: somewhere else, by a reload.
            (bench.dir / "config").write_text("[backend]\nbackend=cpu\n")
            bench.result("reload")
            wait_until("lines in the new file", lambda: bench.audit_file.exists() and
                       bench.audit("lines-lost"))
            self.assertFalse(bench.result("status")["audit"]["failing"])

    def test_wrong_place(self):
        bench = Bench("[audit]\nfile=/proc/no/such/place\n")
        try:
            bench.start()
            self.fail("it started")
        except Exception as err:  # what vm.Failure carries is standard error
            self.assertIn("[audit] file", str(err))
        finally:
            bench.daemon.wait()
            bench._dir.cleanup()


class Drained(unittest.TestCase):
    """A host that is drained stays so, whatever becomes of its daemon."""

    def setUp(self):
        self.bench = Bench().start()
        self.addCleanup(self.bench.stop)
        self.file = self.bench.dir / "run" / "drain"

    def again(self, sig=signal.SIGKILL):
        """Another daemon; what it says about draining."""
        self.bench.daemon.send_signal(sig)
        self.bench.daemon.wait()
        (self.bench.dir / "log").unlink()
        self.bench.start()
        s = self.bench.result("status")
        return s["draining"], s.get("draining_since")

    def log(self):
        return (self.bench.dir / "log").read_text()

    def test_restart(self):
        began = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        self.bench.result("drain")
        since = self.bench.result("status")["draining_since"]
        self.assertLessEqual(began, datetime.datetime.fromisoformat(since.replace("Z", "+00:00")))
        for sig in (signal.SIGKILL, signal.SIGTERM):
            self.assertEqual(self.again(sig), (True, since), sig)
            self.assertIn(f"DRAINING since {since}", self.log())
            self.assertTrue(self.bench.hold("vm1").startswith("refused"))
        self.assertEqual(self.bench.audit("session-refused")[-1]["cause"], "draining")
        self.assertTrue(self.bench.audit("daemon")[-1]["details"]["draining"])
        self.assertIn(f"DRAINING since {since}", self.bench.ctl("status"))
        # Said once more it is the same; a reload is nothing to it.
        self.bench.result("drain")
        self.bench.result("reload")
        self.assertEqual(self.again(), (True, since))
        self.bench.result("drain", off=True)
        self.assertFalse(self.file.exists())
        self.bench.result("drain", off=True)  # no harm
        self.assertEqual(self.again(), (False, None))
        self.assertEqual(self.bench.hold("vm1"), "ready")

    def put(self, text="[drain]\nsince=2026-11-27T08:15:02Z\n", mode=0o600, owner=os.geteuid()):
        self.file.write_text(text)
        self.file.chmod(mode)
        os.chown(self.file, owner, -1)

    def put_link(self):
        self.put()
        self.file.rename(self.bench.dir / "elsewhere")
        self.file.symlink_to(self.bench.dir / "elsewhere")

    def test_strange_file(self):
        strange = [lambda: self.put(""), lambda: self.put("[drain]\nsince=yesterday\n"),
                   lambda: self.put("[drain]\nsince=2026-11-27T08:15:02Z\n" + "#" * 70000),
                   lambda: self.put(mode=0o620), self.put_link, lambda: os.mkfifo(self.file)]
        if ROOT:
            strange.append(lambda: self.put(owner=OWNER))
        for put in strange:
            put()
            self.assertEqual(self.again(), (False, None))
            self.assertIn("whether the host was drained is not known", self.log())
            self.file.unlink()
        self.put()
        self.assertEqual(self.again(), (True, "2026-11-27T08:15:02Z"))

    def test_no_place(self):
        """What cannot be kept is said, and holds all the same."""
        self.file.mkdir()
        for off, word in ((False, "no session may begin"), (True, "sessions may begin")):
            answer = self.bench.ask("drain", **({"off": True} if off else {}))
            self.assertEqual(answer["error"], "failed")
            self.assertIn(word + " for now, but the next daemon will not know: ",
                          answer["message"])
            self.assertEqual(self.bench.result("status")["draining"], not off)
        self.file.rmdir()


if __name__ == "__main__":
    tap.main()
