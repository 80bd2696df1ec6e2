#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The same programs natively and through us, in turns, on the same GPU: ratios.

Runs from the tree (./run gpu-bench) or from the bundle.  Prints a table, with
what is to be reached and what the best peer measured reached, and writes
bench.json into --out.  Exit status: 0, 1 if something did not run, 77 without
a GPU.  A figure missed is said, and is no failure.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

os.environ.setdefault("VGPU_QEMU", "graft")
TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "cuda"), str(TOP / "tests" / "vm")]
import programs  # noqa: E402
from gpu_test import gpu_works  # noqa: E402
from suite import Suite  # noqa: E402
from vm import Failure, wait_until  # noqa: E402

# key, words, how the ratio is made, what is to be reached, the best peer's ratio.
# "time": mediated time / native time, smaller is better; "rate": mediated speed /
# native speed, larger is better.  The peer (Lupine, over loopback, built for CUDA
# 13.0) was measured on one H200 with a program like this one on 2026-11-21.
ROWS = (
    ("launch_us", "queued launches a second", "rate", 0.8, 0.81),
    ("launch_drained_us", "the same, until all are done", "rate", None, 0.53),
    ("launch_sync_us", "launch + synchronise", "time", 1.5, 4.9),
    ("event_pair_us", "event pair + synchronise", "time", None, 5.1),
    ("alloc_free_us", "alloc + free of 1 MiB", "time", 2.0, 2.2),
    ("to_4k_us", "4 KiB to the device", "time", 2.0, 5.5),
    ("from_4k_us", "4 KiB back", "time", 2.0, 5.3),
    ("to_pageable_gbs", "256 MiB pageable to the device", "rate", 3.0, 0.48),
    ("from_pageable_gbs", "256 MiB pageable back", "rate", 3.0, 0.29),
    ("both_pageable_gbs", "the same, there and back", "rate", 3.0, 0.38),
    ("to_pinned_gbs", "256 MiB pinned to the device", "rate", 0.95, 0.10),
    ("from_pinned_gbs", "256 MiB pinned back", "rate", 0.95, 0.10),
    ("pin_256m_ms", "pinning 256 MiB", "time", None, None),
    ("start_s", "start to first result", "time", 1.2, None),
    ("resnet50", "ResNet-50 b8, ms", "rate", 0.95, 0.61),
    ("transformer", "transformer, 6 layers, ms", "rate", 0.95, 0.85),
    ("gpt2", "GPT-2 generate, 32 tokens, ms", "rate", 0.95, 0.63),
    ("mlp", "MLP training step, ms", "rate", 0.95, 0.40),
)
STATS = re.compile(r"^vgpu-stats: (.*)$", re.M)


def stats_of(text):
    """{"calls": n, "quiet": n, "waited": n, "host_copied": n} of the library's last word."""
    found = STATS.findall(text)
    return {k: int(v) for k, v in re.findall(r"(\w+) (\d+)", found[-1])} if found else None


ENDED = re.compile(r"session ended:.* requests=(\d+) .*host_copied=(\d+)")


def daemon_stats(daemon, mark):
    """The same as the daemon saw it; it does not know who waited."""
    def ended():
        return ENDED.findall(daemon.log()[mark:])
    try:
        found = wait_until("the end of the session in the log", ended, 3)
    except Failure:
        return None
    return {"calls": sum(int(r) for r, _ in found), "host_copied": sum(int(h) for _, h in found)}


class Bench:
    def __init__(self, suite, repeats):
        self.suite, self.repeats = suite, repeats
        self.native, self.ours, self.guest = {}, {}, {}
        self.stats, self.failures = {}, []

    def once(self, place, what, command, seconds=120):
        env = self.suite.environment(place, extra={"VGPU_STATS": "1"} if place != "native" else {})
        mark = len(self.suite.daemon.log()) if self.suite.daemon else 0
        out = programs.run(command, env, seconds)
        if out.status != 0:
            self.failures.append(f"{what} ({place}): {out.status}: {out.output[-500:]}")
            return None
        if place != "native":
            seen = daemon_stats(self.suite.daemon, mark) or {}
            self.stats[what] = {**seen, **(stats_of(out.output) or {})}
        return out

    def micro(self):
        runs = {"native": [], "unix": []}
        for _ in range(self.repeats):
            for place, list_ in runs.items():
                out = self.once(place, "measurements", [programs.MICRO])
                if out:
                    list_.append(json.loads(re.search(r"^\{.*\}$", out.output, re.M).group(0)))
        for place, table in (("native", self.native), ("unix", self.ours)):
            for key in (runs[place][0] if runs[place] else ()):
                table[key] = statistics.median(r[key] for r in runs[place])

    def start(self):
        program = programs.RUNTIME / "rt_vector_add"
        times = {"native": [], "unix": []}
        for _ in range(2 + 2 * self.repeats):
            for place, list_ in times.items():
                out = self.once(place, "vector_add", [program])
                if out:
                    list_.append(out.seconds)
        for place, table in (("native", self.native), ("unix", self.ours)):
            if len(times[place]) > 2:
                table["start_s"] = statistics.median(times[place][1:])

    def torch(self, names):
        python = programs.torch_python()
        if not python:
            print("no Python with PyTorch here: its rows are left out")
            return
        for name in names:
            for place, table in (("native", self.native), ("unix", self.ours)):
                out = self.once(place, name, [python, programs.TORCH_BENCH, name], 200)
                if out:
                    table[name] = json.loads(re.search(r"^\{.*\}$", out.output, re.M).group(0))["ms"]

    def in_guest(self):
        entries = programs.guest_entries([programs.MICRO])
        with self.suite.machine(entries, "3G", name="bench") as vm:
            vm.ready(240)
            result = vm.run("VGPU_STATS=1 /opt/cuda/gpu_micro 20", 400)
            text = result.output.replace("\r", "")
            match = re.search(r"^\{.*\}$", text, re.M)
            if result.status != 0 or not match:
                self.failures.append(f"measurements (vm): {result.status}: {text[-500:]}")
                return
            self.guest = json.loads(match.group(0))
            self.stats["measurements in the VM"] = stats_of(text)


def add_both_ways(table):
    """The speed of going there and coming back, one after the other."""
    to, back = table.get("to_pageable_gbs"), table.get("from_pageable_gbs")
    if to and back:
        table["both_pageable_gbs"] = 2 / (1 / to + 1 / back)


def ratio(key, kind, native, ours):
    slower = ours / native
    if kind == "time":
        return slower
    return slower if key.endswith("_gbs") else 1 / slower


def machine():
    try:
        gpu = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version",
                              "--format=csv,noheader"], capture_output=True, text=True,
                             check=False).stdout.strip()
    except OSError:
        gpu = ""
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {"gpu": gpu or "?", "processor": cpu.group(1) if cpu else "?",
            "cores": os.cpu_count(), "kernel": os.uname().release,
            "date": datetime.date.today().isoformat()}


def number(value):
    return "" if value is None else f"{value:.4g}"


def show(bench, where):
    print(f"{where['gpu']}; {where['processor']}, {where['cores']} cores, Linux {where['kernel']}; "
          f"{where['date']}\n")
    head = f"{'measure':34}{'native':>10}{'mediated':>10}{'ratio':>8}{'to reach':>10}{'peer':>7}"
    print(head + ("" if not bench.guest else f"{'in a VM':>10}"))
    for table in (bench.native, bench.ours, bench.guest):
        add_both_ways(table)
    rows = []
    for key, words, kind, target, peer in ROWS:
        native, ours = bench.native.get(key), bench.ours.get(key)
        if native is None and ours is None:
            continue
        got = ratio(key, kind, native, ours) if native and ours else None
        reached = None if got is None or target is None else (
            got <= target if kind == "time" else got >= target)
        sign = "" if target is None else ("<= " if kind == "time" else ">= ") + number(target)
        line = (f"{words:34}{number(native):>10}{number(ours):>10}{number(got):>8}{sign:>10}"
                f"{number(peer):>7}")
        if bench.guest:
            line += f"{number(bench.guest.get(key)):>10}"
        print(line + {None: "", True: "  reached", False: "  MISSED"}[reached])
        rows.append({"key": key, "measure": words, "native": native, "mediated": ours,
                     "kind": kind, "ratio": got, "target": target, "reached": reached, "peer": peer,
                     "vm": bench.guest.get(key)})
    print("\nunits: us, s, ms or GB/s as the name of the measure in bench.json says; ratio of times "
          "where at most (<=)\nand of speeds where at least (>=) so much is to be reached\n")
    print(f"{'program':26}{'calls crossed':>15}{'of them waited':>16}{'host CPU copied':>17}")
    for name, s in bench.stats.items():
        if s:
            print(f"{name:26}{s.get('calls', '?'):>15}{s.get('waited', '?'):>16}"
                  f"{s.get('host_copied', '?'):>17}")
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-vm", action="store_true")
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--torch", default="resnet50,transformer,gpt2,mlp", metavar="NAMES")
    parser.add_argument("--backend", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--out", help="folder for bench.json and the daemon's log")
    parser.add_argument("--bundle", help="ignored: the bundle is found by where this file lies")
    args = parser.parse_args()
    if args.backend == "cuda" and not gpu_works():
        print("no usable NVIDIA GPU on this machine (the worker's probe says why): skipped")
        return 77
    with Suite(args.backend, out=args.out) as suite:
        bench = Bench(suite, args.repeats)
        steps = [bench.micro, bench.start]
        if not args.no_torch:
            steps.append(lambda: bench.torch(args.torch.split(",")))
        if not args.no_vm:
            steps.append(bench.in_guest)
        for step in steps:
            try:
                step()
            except Failure as e:
                bench.failures.append(str(e)[:1000])
        where = machine()
        rows = show(bench, where)
        (suite.out / "bench.json").write_text(json.dumps(
            {"machine": where, "rows": rows, "native": bench.native, "mediated": bench.ours,
             "vm": bench.guest, "stats": bench.stats, "failures": bench.failures}, indent=1) + "\n")
    for failure in bench.failures:
        print(f"did not run: {failure}")
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
