#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tenants that share the GPU: what each gets of its time, and what that costs.

Part of gpu_test.py (--tenants); also by itself, in the tree and in the bundle.
Each tenant is a program that keeps the GPU busy over the daemon's socket, with
kernels of 10 us, 1 ms or 100 ms, or with graphs; all pairs of them, with weights
1:1, 1:2 and 1:4.  What is unscheduled are two sessions of one tenant, which share
the GPU as the driver does it.  overhead.py is a part of it, too: what a tenant's
accounts cost a launch.  Exit status: 0, 1, or 77 without a GPU.
"""

import argparse
import contextlib
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("VGPU_QEMU", "graft")
TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "cuda"), str(TOP / "tests" / "vm")]
import overhead  # noqa: E402
import programs  # noqa: E402
from vm import HOST, Daemon, Failure, wait_until  # noqa: E402

LOAD = programs.GUEST / "tests" / "bench" / "gpu" / "tenant_load"
WEIGHTS = (1, 2, 4)
# Name, milliseconds of a kernel, nodes of a graph, launches between events, batches ahead:
# more than a turn of work, so that a program that has no processor for a moment still wants it.
LOADS = {
    "10us": (0.01, 0, 50, 48),
    "1ms": (1.0, 0, 1, 32),
    "100ms": (100.0, 0, 1, 2),
    "graph": (0.05, 20, 1, 32),
}
SHARE_POINTS = 5
THROUGHPUT = 0.95
LONE = 0.98
# A share cannot be told better than by this many kernels more or less.
LUMPS = 1.5
START_S = 120
# So many times a measurement's length is one tenant to fault beside another.
FAULT_RUNS = 6
PARTS = ("lone", "faults", "overhead", "pairs")
# What a run takes beside its measurement, and the overhead in all: on an H200, to plan by.
RUN_S = 0.4
OVERHEAD_S = 65


class Load:
    """One program that waits for the word to begin."""

    def __init__(self, kind, rounds_per_ms, env, seconds):
        self.milliseconds, nodes, batch, ahead = LOADS[kind]
        command = [LOAD, "--rounds", max(1, round(self.milliseconds * rounds_per_ms)),
                   "--nodes", nodes, "--batch", batch, "--ahead", ahead, "--seconds", seconds]
        self.seconds = seconds
        self.err = tempfile.TemporaryFile()
        self.process = subprocess.Popen([str(c) for c in command], env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.err, text=True)

    def fail(self, what):
        self.err.seek(0)
        raise Failure(f"tenant_load {what}: " + self.err.read().decode(errors="replace")[-500:])

    def ready(self):
        if self.process.stdout.readline().strip() != "ready":
            self.fail("did not get ready")

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self):
        """Milliseconds of GPU time that it had in a second."""
        try:
            out, _ = self.process.communicate(timeout=self.seconds + START_S)
        except subprocess.TimeoutExpired:
            self.fail("does not end")
        if self.process.returncode != 0:
            self.fail(f"ended with {self.process.returncode}")
        return json.loads(out.splitlines()[-1])["kernels"] * self.milliseconds / self.seconds

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self.err.close()


def together(loads):
    """Runs them at the same time; what each had."""
    with contextlib.ExitStack() as stack:
        for load in loads:
            stack.callback(load.close)
        for load in loads:
            load.ready()
        for load in loads:
            load.go()
        return [load.result() for load in loads]


class Measurement:
    """All of it; `verdicts` are (name, ok, words)."""

    plain = "a"     # a tenant to measure by where there is no native driver

    def __init__(self, backend, seconds, out, reference=None, fault_seconds=None):
        self.backend, self.seconds = backend, seconds
        self.reference = reference or seconds
        self.fault_seconds = fault_seconds or FAULT_RUNS * seconds
        self._own = tempfile.TemporaryDirectory(prefix="vgpu-tenants-")
        self.folder = pathlib.Path(self._own.name)
        self.out = pathlib.Path(out) if out else self.folder
        self.out.mkdir(parents=True, exist_ok=True)
        config, texts = self.describe()
        self.daemon = Daemon(self.folder, backend=backend, config=config, tenants=texts)
        self.rounds = None
        self.numbers = {"lone": {}, "pairs": []}
        self.verdicts = []

    def describe(self):
        """The daemon's configuration, and the texts of the tenants' files by name."""
        texts = {}
        for side, weight in itertools.product("ab", WEIGHTS):
            texts[f"{side}{weight}"] = (f"[tenant]\nlevel=system\nsocket={self.socket(side, weight)}\n"
                                        f"[limits]\nweight={weight}\n")
        # One whose work faults all the time, and is let in again each time.
        texts["faulty"] = (f"[tenant]\nlevel=system\nsocket={self.socket('faulty', 1)}\n"
                           "[faults]\nfaults=0\n")
        return f"[tenants]\nrecord={self.out / 'leases.record'}\n", texts

    def __enter__(self):
        self.daemon.start()
        self.stand_ins = programs.stand_in_folder(self.folder)
        return self

    def __exit__(self, *exc):
        try:
            (self.out / "tenants.log").write_text(self.daemon.log())
            (self.out / "tenants.json").write_text(json.dumps(self.numbers, indent=1) + "\n")
            self.daemon.stop()
        finally:
            self._own.cleanup()

    def socket(self, side, weight):
        return self.folder / f"{side}{weight}.sock"

    def environment(self, side, weight):
        if side is None:
            return programs.environment()
        return programs.environment(f"unix:{self.socket(side, weight)}", self.stand_ins)

    def say(self, name, ok, words):
        self.verdicts.append((name, ok, words))
        print(f"{name}: {'ok' if ok else 'FAILED'}: {words}", flush=True)

    def calibrate(self):
        env = self.environment(None if self.backend == "cuda" else self.plain, 1)
        out = programs.run([LOAD, "--calibrate", "--seconds", 1], env, START_S)
        if out.status != 0:
            raise Failure(f"tenant_load --calibrate: {out.status}: {out.output[-500:]}")
        self.rounds = json.loads(out.output.splitlines()[-1])["rounds_per_ms"]
        self.numbers["rounds_per_ms"] = self.rounds

    def load(self, kind, side, weight=1, seconds=None):
        env = self.environment(side, weight)
        return Load(kind, self.rounds, env, seconds or self.seconds)

    def alone(self, side):
        """The daemon has no session any more: the next ones are told so."""
        wait_until("the end of the sessions",
                   lambda: self.daemon.log().count("session started") ==
                   self.daemon.log().count("session ended"))
        return side

    def lone(self, kind):
        """Through us and natively, in turns."""
        native, ours = [], []
        for _ in range(2):
            native += together([self.load(kind, None, seconds=self.reference)])
            ours += together([self.load(kind, self.alone("a"), seconds=self.reference)])
        ratio = sum(ours) / sum(native)
        self.numbers["lone"][kind] = ratio
        self.say(f"tenants/lone/{kind}", ratio >= LONE,
                 f"{ratio:.3f} of native, to be reached: {LONE}")

    def unscheduled(self, one, other):
        self.alone("a")
        return together([self.load(kind, "a", seconds=self.reference) for kind in (one, other)])

    def tolerance(self, one, other):
        longest = max(LOADS[k][0] * max(1, LOADS[k][1]) for k in (one, other))
        return SHARE_POINTS + LUMPS * longest / (self.seconds * 1000) * 100

    def pair(self, one, other, weight, before):
        self.alone("a")
        had = together([self.load(one, "a"), self.load(other, "b", weight)])
        wanted = 100 / (1 + weight)
        share = 100 * had[0] / (sum(had) or 1)
        ratio = sum(had) / (sum(before) or 1)
        apart = abs(share - wanted)
        name = f"tenants/{one}:{other}/1:{weight}"
        self.numbers["pairs"].append({"one": one, "other": other, "weight": weight, "had": had,
                                      "unscheduled": before, "share": share, "ratio": ratio})
        self.say(name, apart <= self.tolerance(one, other),
                 f"{share:.1f} % of GPU time, should be {wanted:.1f}; unscheduled "
                 f"{100 * before[0] / (sum(before) or 1):.1f}")
        # What a share costs can only be told where the GPU is the same for all.
        if self.backend == "cuda":
            self.say(name + "/throughput", ratio >= THROUGHPUT,
                     f"{ratio:.3f} of unscheduled, to be reached: {THROUGHPUT}")

    def faults(self):
        """One tenant's kernel faults each second; another's work has no failure."""
        with contextlib.ExitStack() as stack:
            env, count = self.environment("faulty", 1), 0
            neighbour = self.load("1ms", self.alone("a"), seconds=self.fault_seconds)
            stack.callback(neighbour.close)
            neighbour.ready()
            neighbour.go()
            end = time.monotonic() + neighbour.seconds
            while time.monotonic() < end - 1 and neighbour.process.poll() is None:
                began = time.monotonic()
                out = programs.run([programs.DRIVER_TESTS, "error.illegal_address"], env, START_S)
                if out.status != 0:
                    raise Failure(f"a fault that ends with {out.status}: {out.output[-500:]}")
                count += 1
                time.sleep(max(0, began + 1 - time.monotonic()))
            had = neighbour.result()
        self.numbers["faults"] = {"count": count, "neighbour": had}
        self.say("tenants/faults", count > 0, f"{count} faults of one tenant in "
                 f"{neighbour.seconds:.0f} s, no failed call of the other, which had "
                 f"{had / 10:.1f} % of the GPU")


    def overhead(self):
        """In daemons of its own, beside which this one has nothing to do."""
        self.alone("a")
        backend = "cuda" if self.backend == "cuda" else "instant"
        self.numbers["overhead"] = overhead.Overhead(backend, self.say).run()


def planned(parts, kinds, weights, m):
    """About how long that takes, in seconds."""
    pairs = len(kinds) ** 2
    took = {"lone": 4 * len(kinds) * (m.reference + RUN_S), "faults": m.fault_seconds,
            "overhead": OVERHEAD_S,
            "pairs": pairs * (m.reference + RUN_S + len(weights) * (m.seconds + RUN_S))}
    return sum(took[p] for p in parts)


def measure(backend="cuda", seconds=10, out=None, kinds=tuple(LOADS), weights=WEIGHTS, parts=PARTS,
            reference=None, fault_seconds=None):
    """The verdicts: (name, ok, words)."""
    parts = [p for p in parts if p != "lone" or backend == "cuda"]
    with Measurement(backend, seconds, out, reference, fault_seconds) as m:
        print(f"about {planned(parts, kinds, weights, m):.0f} s: {', '.join(parts)}", flush=True)
        if parts != ["overhead"]:
            m.calibrate()
        for kind in kinds if "lone" in parts else ():
            m.lone(kind)
        if "faults" in parts:
            m.faults()
        if "overhead" in parts:
            m.overhead()
        for one, other in itertools.product(kinds, repeat=2) if "pairs" in parts else ():
            before = m.unscheduled(one, other)
            for weight in weights:
                m.pair(one, other, weight, before)
        return m.verdicts


def report(verdicts, began):
    """The last line; the exit status."""
    failed = sum(not ok for _, ok, _ in verdicts)
    print(f"{len(verdicts) - failed} passed, {failed} failed, 0 skipped "
          f"({time.monotonic() - began:.0f} s)")
    return 1 if failed or not verdicts else 0


def main():
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10, help="for each pair (10)")
    parser.add_argument("--reference-seconds", type=float,
                        help="for each run of one program, and unscheduled ones (as --seconds)")
    parser.add_argument("--fault-seconds", type=float,
                        help="of a fault a second (six times --seconds)")
    parser.add_argument("--only", default=",".join(PARTS), help="parts: " + ",".join(PARTS))
    parser.add_argument("--backend", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--kinds", default=",".join(LOADS), help="which loads: " + ",".join(LOADS))
    parser.add_argument("--weights", default="1,2,4", help="of the second tenant: of 1,2,4")
    parser.add_argument("--out", help="folder for tenants.json, the daemon's log and its record")
    args = parser.parse_args()
    parts = [p for p in PARTS if p in args.only.split(",")]
    if set(args.only.split(",")) != set(parts):
        parser.error(f"--only: of {','.join(PARTS)}")
    probe = [str(HOST / "mediator" / "gpu_mediator-worker"), "--probe", "--backend", args.backend]
    if subprocess.run(probe, check=False).returncode != 0:
        print("no usable NVIDIA GPU on this machine (the worker's probe says why): skipped")
        return 77
    verdicts = measure(args.backend, args.seconds, args.out, tuple(args.kinds.split(",")),
                       tuple(int(w) for w in args.weights.split(",")), parts,
                       args.reference_seconds, args.fault_seconds)
    return report(verdicts, began)


if __name__ == "__main__":
    sys.exit(main())
