#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the accounts of a tenant cost a queued launch.

Part of tenants.py; also by itself, in the tree and in the bundle.  Two daemons, one
with the real worker and one with the worker that keeps no accounts (tests/bench/
unaccounted.h), and the same program beneath both, asked in turns.  Of each turn
the ratio of both times is taken: the median of all is what counts.  Exit status:
0, 1, or 77 without a GPU.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "cuda"), str(TOP / "tests" / "vm")]
import programs  # noqa: E402
from vm import HOST, Daemon, Failure, wait_until  # noqa: E402

QUEUED = programs.GUEST / "tests" / "bench" / "gpu" / "queued"
WORKER = HOST / "mediator" / "gpu_mediator-worker"
INSTANT = HOST / "tests" / "bench" / "instant"
UNACCOUNTED = HOST / "tests" / "bench" / "gpu_mediator-worker-unaccounted"
MOST = 1.05
# Short rounds, and many: what else goes on on the machine then meets both alike.  And several
# pairs of processes: what one happens to have, of memory say, stays with it.
ROUNDS = 200
STARTS = 5
COUNT = 10000
# Rates that are looked at, and kept by anything that a program can do.
RATES = "calls-per-second=1000000000\nbytes-per-second=1T\n"
# Name, the tenant that launches, whether another has a session that does nothing, words.
CASES = (
    ("lone", "plain", False, "alone, no limits"),
    ("rates", "rated", False, "alone, with limits of requests and bytes a second"),
    ("leases", "plain", True, "beside another tenant's idle session"),
)


def processors():
    """Two cores near each other, for program and worker; None where there are few.

    Of both worlds only one works at a time, and where is the same for both."""
    allowed = sorted(os.sched_getaffinity(0))[1:]  # the first one often has the interrupts
    if len(allowed) < 3:
        return None
    topology = pathlib.Path(f"/sys/devices/system/cpu/cpu{allowed[0]}/topology")
    try:
        same = {int(n) for n in re.findall(r"\d+", (topology / "thread_siblings_list").read_text())}
    except FileNotFoundError:
        same = set()
    return allowed[0], next((n for n in allowed[1:] if n not in same), allowed[-1])


class Client:
    """A program that queues launches when it is told to."""

    def __init__(self, env, count, daemon):
        self.count = count
        self.err = tempfile.TemporaryFile()
        self.process = subprocess.Popen([str(QUEUED), "--count", str(count)], env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.err, text=True)
        if self.process.stdout.readline().strip() != "ready":
            self.fail("did not get ready")
        worker = int(re.findall(r"session started:.* worker (\d+)", daemon.log())[-1])
        # The clock of another process's processor time, as clock_getcpuclockid() has it.
        self.clock = ~worker << 3 | 2
        where = processors()
        if where:
            os.sched_setaffinity(self.process.pid, where[:1])
            # A container's root may not have a say about another user's process.
            with contextlib.suppress(PermissionError):
                os.sched_setaffinity(worker, where[1:])

    def fail(self, what):
        self.close()
        self.err.seek(0)
        raise Failure(f"queued {what}: " + self.err.read().decode(errors="replace")[-500:])

    def ask(self):
        """Microseconds a launch: until all are queued, until all are done, of the worker's."""
        before = time.clock_gettime(self.clock)
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.fail("has ended")
        found = json.loads(line)
        worked = (time.clock_gettime(self.clock) - before) * 1e6 / self.count
        return found["queued_us"], found["drained_us"], worked

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class World:
    """A daemon with one of the workers, and its tenants."""

    def __init__(self, folder, backend, worker):
        self.folder = folder
        folder.mkdir()
        texts = {name: f"[tenant]\nlevel=system\nsocket={folder / name}.sock\n[limits]\n{limits}"
                 for name, limits in (("plain", ""), ("rated", RATES), ("other", ""))}
        modules = INSTANT if backend == "instant" else next(
            (HOST / "mediator").rglob("libvgpu-backend-cuda.so")).parent
        config = f"[worker]\npath={worker}\n[backend]\nlibrary-dir={modules}\n"
        self.daemon = Daemon(folder, backend="cuda", config=config, tenants=texts)
        self.stand_ins = programs.stand_in_folder(folder)

    def client(self, tenant, count=1):
        return Client(programs.environment(f"unix:{self.folder / tenant}.sock", self.stand_ins),
                      count, self.daemon)

    def wait_for_none(self):
        wait_until("the end of the sessions",
                   lambda: self.daemon.log().count("session started") ==
                   self.daemon.log().count("session ended"))


def turns(real, none, rounds):
    """Each asked `rounds` times, in turns, the first one by turns too: (real, none) of each."""
    pairs = []
    for _ in (real, none):
        _.ask()
    for i in range(rounds):
        if i % 2:
            b = none.ask()
            pairs.append((real.ask(), b))
        else:
            a = real.ask()
            pairs.append((a, none.ask()))
    return pairs


def summary(pairs, which):
    """Medians of both in us, median, quartiles and ends of their ratios."""
    ratios = sorted(a[which] / b[which] for a, b in pairs)
    low, _, high = statistics.quantiles(ratios, n=4)
    return {"accounted_us": statistics.median(a[which] for a, _ in pairs),
            "unaccounted_us": statistics.median(b[which] for _, b in pairs),
            "more_ns": statistics.median(1000 * (a[which] - b[which]) for a, b in pairs),
            "ratio": statistics.median(ratios), "quartiles": [low, high],
            "ends": [ratios[0], ratios[-1]], "rounds": len(pairs)}


class Overhead:
    """`say` is told (name, ok, words) of each case."""

    def __init__(self, backend, say, rounds=ROUNDS, count=COUNT, worker=WORKER):
        self.backend, self.say, self.rounds, self.count = backend, say, rounds, count
        self.worker = worker
        self.numbers = {}

    def case(self, real, none, name, tenant, other, words):
        pairs, starts = [], min(STARTS, self.rounds)
        for start in range(starts):
            rounds = self.rounds * (start + 1) // starts - self.rounds * start // starts
            with contextlib.ExitStack() as stack:
                clients = []
                for world in (real, none):
                    world.wait_for_none()
                    for who in ([tenant, "other"] if other else [tenant]):
                        clients.append(world.client(who, self.count))
                        stack.callback(clients[-1].close)
                pairs += turns(clients[0], clients[len(clients) // 2], rounds)
        queued, drained, worked = (summary(pairs, i) for i in range(3))
        self.numbers[name] = {"queued": queued, "drained": drained, "worked": worked}
        # Where a launch is no GPU's, it is not what the limit is of.
        ok = queued["ratio"] <= MOST or self.backend != "cuda"
        self.say(f"overhead/{name}", ok,
                 f"{words}: a queued launch {queued['accounted_us']:.3f} us, without accounts "
                 f"{queued['unaccounted_us']:.3f}; ratio {queued['ratio']:.3f} (quartiles "
                 f"{queued['quartiles'][0]:.3f} to {queued['quartiles'][1]:.3f}, {self.rounds} "
                 f"rounds), to be reached on a GPU: {MOST}; until all are done "
                 f"{drained['ratio']:.3f}; the worker's processor time {worked['accounted_us']:.3f} "
                 f"us, {worked['more_ns']:.0f} ns more than without")

    def run(self, cases=CASES):
        with tempfile.TemporaryDirectory(prefix="vgpu-overhead-") as own:
            real = World(pathlib.Path(own) / "real", self.backend, self.worker)
            none = World(pathlib.Path(own) / "none", self.backend, UNACCOUNTED)
            with contextlib.ExitStack() as stack:
                for world in (real, none):
                    world.daemon.start()
                    stack.callback(world.daemon.stop)
                for case in cases:
                    self.case(real, none, *case)
        return self.numbers


def main():
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="cuda", choices=("cuda", "instant"))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each case ({ROUNDS})")
    parser.add_argument("--count", type=int, default=COUNT,
                        help=f"launches in a round ({COUNT})")
    parser.add_argument("--worker", default=WORKER, help="instead of this build's, an older one's")
    parser.add_argument("--out", help="file for the numbers, JSON")
    args = parser.parse_args()
    if args.backend == "cuda" and subprocess.run([str(WORKER), "--probe", "--backend", "cuda"],
                                                 check=False).returncode != 0:
        print("no usable NVIDIA GPU on this machine (the worker's probe says why): skipped")
        return 77
    failed = []

    def say(name, ok, words):
        print(f"{name}: {'ok' if ok else 'FAILED'}: {words}", flush=True)
        if not ok:
            failed.append(name)

    numbers = Overhead(args.backend, say, args.rounds, args.count, args.worker).run()
    if args.out:
        pathlib.Path(args.out).write_text(json.dumps(numbers, indent=1) + "\n")
    print(f"{len(numbers) - len(failed)} passed, {len(failed)} failed, 0 skipped "
          f"({time.monotonic() - began:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
