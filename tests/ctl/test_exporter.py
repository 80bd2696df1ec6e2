#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The exporter with a real daemon; the dashboard and the alerts by what it has."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from bench import EXPORTER, TOP, Bench, end_with_test, tap, vm, wait_until

MONITORING = TOP / "doc" / "monitoring"
PROMTOOL = shutil.which("promtool")
needs_promtool = unittest.skipUnless(PROMTOOL, "needs promtool (Debian's package prometheus)")


def promtool(*words, stdin=None):
    return subprocess.run([PROMTOOL, *map(str, words)], input=stdin, capture_output=True, text=True)


def metric_names():
    out = subprocess.run([str(EXPORTER), "--list"], capture_output=True, text=True, check=True)
    return dict(line.split() for line in out.stdout.splitlines())


class Over(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=vm.PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Exporter:
    def __init__(self, folder, control, *words):
        self.path = pathlib.Path(folder) / "metrics.sock"
        self.process = subprocess.Popen(
            [str(EXPORTER), f"--control={control}", f"--listen=unix:{self.path}", *words],
            stderr=subprocess.PIPE, text=True, preexec_fn=end_with_test)
        assert self.process.stderr.readline().endswith("ready\n")

    def get(self, url="/metrics", method="GET", **more):
        with contextlib.closing(Over(self.path)) as connection:
            connection.request(method, url, **more)
            response = connection.getresponse()
            return response.status, response.read().decode(), response.headers

    def values(self):
        """{name{labels}: value}"""
        status, text, _ = self.get()
        assert status == 200
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                for line in text.splitlines() if not line.startswith("#")}

    def stop(self, status=0):
        self.process.terminate()
        ended = self.process.wait(vm.PATIENCE)
        rest = self.process.stderr.read()
        self.process.stderr.close()
        assert ended == status, (ended, rest)


class Scrapes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench().start()
        assert cls.bench.hold("vm1", 2) == "ready"
        cls.exporter = Exporter(cls.bench.dir, cls.bench.control)

    @classmethod
    def tearDownClass(cls):
        cls.exporter.stop()
        cls.bench.stop()

    def test_1_values(self):
        values = self.exporter.values()
        self.assertEqual(values["vgpu_up"], 1)
        self.assertEqual(values["vgpu_open_mode"], 0)
        self.assertEqual(values["vgpu_sessions"], 2)
        self.assertEqual(values['vgpu_tenant_sessions{tenant="vm1"}'], 2)
        self.assertEqual(values['vgpu_tenant_sessions_started_total{tenant="vm1"}'], 2)
        self.assertEqual(values['vgpu_tenant_memory_limit_bytes{tenant="vm1"}'], 256 << 20)
        self.assertIn('backend="cpu"', [k for k in values if k.startswith("vgpu_build_info")][0])
        self.assertAlmostEqual(values["vgpu_start_time_seconds"], os.stat(self.bench.dir).st_mtime,
                               delta=vm.PATIENCE)

    def test_2_format(self):
        status, text, headers = self.exporter.get()
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        names = metric_names()
        self.assertEqual(dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)), names)
        for name, kind in names.items():
            self.assertEqual(name.endswith("_total"), kind == "counter", name)
        if PROMTOOL:
            done = promtool("check", "metrics", stdin=text)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_3_refusals(self):
        self.bench.result("set", tenant="vm1", key="sessions", value="2")
        self.assertTrue(self.bench.hold("vm1").startswith("refused"))
        self.bench.result("reload")
        key = 'vgpu_tenant_refused_total{tenant="vm1",reason="sessions"}'
        self.assertEqual(self.exporter.values()[key], 1)
        self.assertTrue(self.bench.hold("shared").startswith("refused"))
        key = 'vgpu_connections_refused_total{reason="no-policy"}'
        self.assertGreaterEqual(self.exporter.values()[key], 1)

    def test_4_http(self):
        self.assertEqual(self.exporter.get("/")[0], 404)
        self.assertEqual(self.exporter.get("/metrics/../etc/passwd")[0], 404)
        self.assertEqual(self.exporter.get(method="POST")[0], 405)
        self.assertEqual(self.exporter.get(method="DELETE")[0], 405)
        status, text, _ = self.exporter.get(method="HEAD")
        self.assertEqual((status, text), (200, ""))
        self.assertGreaterEqual(self.exporter.get("/" + "x" * 60000)[0], 400)

    def test_5_hostile(self):
        """Garbage, and connections that say nothing, keep nobody from being served for long."""
        with contextlib.ExitStack() as stack:
            for data in (b"", b"\x00" * 5000, b"GET /metrics HTTP/1.1\r\nX: ", b"GET " * 9999):
                s = stack.enter_context(socket.socket(socket.AF_UNIX))
                s.connect(str(self.exporter.path))
                with contextlib.suppress(ConnectionError):
                    s.sendall(data)
            self.assertEqual(self.exporter.values()["vgpu_up"], 1)
            for _ in range(30):
                s = stack.enter_context(socket.socket(socket.AF_UNIX))
                s.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    s.connect(str(self.exporter.path))
        wait_until("service", self.is_served)

    def is_served(self):
        try:
            return self.exporter.values()["vgpu_up"] == 1
        except OSError:  # the queue of connections is still full
            return False

    def test_6_confined(self):
        status = pathlib.Path(f"/proc/{self.exporter.process.pid}/status").read_text()
        self.assertRegex(status, r"NoNewPrivs:\s+1")
        if not self.sanitized():
            self.assertRegex(status, r"Seccomp:\s+2")

    @staticmethod
    def sanitized():
        return b"__asan_init" in EXPORTER.read_bytes() or b"__tsan_init" in EXPORTER.read_bytes()

    def test_7_daemon_is_away(self):
        self.bench.daemon.send_signal(signal.SIGSTOP)
        try:
            self.assertEqual(self.exporter.values(), {"vgpu_up": 0})
        finally:
            self.bench.daemon.send_signal(signal.SIGCONT)
        wait_until("the daemon", lambda: self.exporter.values()["vgpu_up"] == 1)
        before = self.bench.result("status")["pid"]
        self.bench.daemon.kill()
        self.bench.daemon.wait()
        self.assertEqual(self.exporter.values(), {"vgpu_up": 0})
        self.bench.start()
        self.assertNotEqual(self.bench.result("status")["pid"], before)
        self.assertEqual(self.exporter.values()["vgpu_up"], 1)

    def test_8_eviction_is_counted(self):
        self.bench.result("evict", tenant="vm1")
        count = self.exporter.values()['vgpu_tenant_evictions_total{tenant="vm1"}']
        self.assertGreaterEqual(count, 1)


class Places(unittest.TestCase):
    def fails(self, *words):
        done = subprocess.run([str(EXPORTER), *words], capture_output=True, text=True,
                              timeout=vm.PATIENCE)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def test_only_this_machine(self):
        for where in ("0.0.0.0:9890", "192.168.1.1:9890", "localhost:9890", "[::]:9890", "9890",
                      "127.0.0.1:x", "127.0.0.1:99999", "127.0.0.1:9890:1", "x[::1]:5"):
            self.assertIn("neither unix:PATH", self.fails(f"--listen={where}"))
        self.assertIn("cannot listen", self.fails("--listen=unix:/no/such/folder/x"))
        self.assertIn("cannot listen", self.fails("--listen=unix:/" + "x" * 200))
        self.assertIn("not an option", self.fails("surplus"))

    def test_loopback(self):
        """On a port that the kernel chose a moment before."""
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen([str(EXPORTER), "--control=/none", f"--listen=127.0.0.1:{port}"],
                                   stderr=subprocess.PIPE, text=True)
        self.assertTrue(process.stderr.readline().endswith("ready\n"))
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            connection.request("GET", "/metrics")
            self.assertIn(b"vgpu_up 0", connection.getresponse().read())
        process.terminate()
        self.assertEqual(process.wait(), 0)
        process.stderr.close()

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to be somebody else")
    def test_user(self):
        """As a user who may see: monitor-users.  As one who may not: nothing is seen."""
        with Bench("[control]\nmonitor-users=daemon\n") as bench:
            exporter = Exporter(bench.dir, bench.control, "--user=daemon")
            self.assertEqual(exporter.values()["vgpu_up"], 1)
            exporter.stop()
            exporter = Exporter(bench.dir, bench.control, "--user=nobody")
            self.assertEqual(exporter.values(), {"vgpu_up": 0})
            exporter.stop()
            self.assertEqual(bench.audit("connection-refused")[-1]["cause"], "not-permitted")
        self.assertIn("user", self.fails("--user=no-such-user", "--listen=unix:/tmp/vgpu-none.sock"))

    def test_activation(self):
        """A socket from systemd, by its environment."""
        with tempfile.TemporaryDirectory() as folder, \
                contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
            listener.bind(f"{folder}/s")
            listener.listen()
            os.set_inheritable(listener.fileno(), True)
            script = ('fd=$1; shift; [ "$fd" = 3 ] || { eval "exec 3<&$fd"; }; '
                      'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"')
            process = subprocess.Popen(["sh", "-c", script, "sh", str(listener.fileno()),
                                        str(EXPORTER), "--control=/none"],
                                       pass_fds=[listener.fileno()], stderr=subprocess.PIPE,
                                       text=True)
            self.assertTrue(process.stderr.readline().endswith("ready\n"))
            with contextlib.closing(Over(f"{folder}/s")) as connection:
                connection.request("GET", "/metrics")
                self.assertIn(b"vgpu_up 0", connection.getresponse().read())
            process.terminate()
            self.assertEqual(process.wait(), 0)
            process.stderr.close()


class Monitoring(unittest.TestCase):
    """What lies ready for Grafana and Prometheus names metrics that there are."""

    def check_names(self, text, where):
        used = set(re.findall(r"\bvgpu_\w+", text))
        self.assertTrue(used)
        self.assertLessEqual(used, set(metric_names()), where)
        return used

    def test_dashboard(self):
        subprocess.run(["/usr/bin/python3", str(MONITORING / "make-dashboard.py"), "--check"],
                       check=True)
        board = json.loads((MONITORING / "dashboard.json").read_text())
        used = set()
        for panel in board["panels"]:
            for target in panel["targets"]:
                used |= self.check_names(target["expr"], panel["title"])
        for variable in board["templating"]["list"][1:]:
            self.check_names(variable["query"], variable["name"])
        ids = [panel["id"] for panel in board["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        # What is counted can be seen.
        hidden = {n for n, kind in metric_names().items() if kind == "counter"} - used
        self.assertEqual(hidden, {"vgpu_tenant_sessions_started_total"})

    @needs_promtool
    def test_expressions(self):
        """Prometheus understands every expression of the dashboard."""
        board = json.loads((MONITORING / "dashboard.json").read_text())
        rules = [{"record": f"a:b{i}_{k}",
                  "expr": target["expr"].replace("$__rate_interval", "5m")}
                 for i, panel in enumerate(board["panels"])
                 for k, target in enumerate(panel["targets"])]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as f:
            json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, f)
            f.flush()
            done = promtool("check", "rules", f.name)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{len(rules)} rules found", done.stdout)

    def test_alerts(self):
        text = (MONITORING / "alerts.yml").read_text()
        for expression in re.findall(r"^ +expr: (.*)$", text, re.M):
            self.check_names(expression, "alerts.yml")
        # Kinds that the texts name are kinds.
        kinds = set(re.findall(r"--kind=([a-z-]+)", text))
        script = subprocess.run([str(vm.HOST / "mediator" / "ctl" / "gpu_mediatorctl"),
                                 "completion"], capture_output=True, text=True, check=True).stdout
        known = re.search(r"--kind\).*?-W \"(.*?)\"", script).group(1).split()
        self.assertLessEqual(kinds, set(known))

    @needs_promtool
    def test_rules(self):
        for words in (("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")):
            done = promtool(*words[:2], MONITORING / words[2])
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        alerts = re.findall(r"alert: (\w+)", (MONITORING / "alerts.yml").read_text())
        tried = re.findall(r'alertname="(\w+)"', (MONITORING / "alerts_test.yml").read_text())
        self.assertEqual(alerts, tried)


if __name__ == "__main__":
    tap.main()
