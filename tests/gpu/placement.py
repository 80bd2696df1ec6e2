#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two GPUs: where sessions of tenants go, and what they get there.

Part of gpu_test.py (--tenants); also by itself, in the tree and in the bundle; exit
status 0, 1, or 77 where there are not two GPUs.
"""

import re
import subprocess
import sys
import time

import tenants
from vm import HOST

GPUS = 2
# Of a GPU that a session has for itself; and points by which a share may be off.
ALONE = 0.95
# ... and two processes together of one: the driver's changes between them cost some.
TOGETHER = 0.85
POINTS = 5
PLACES = {
    "spread": "placement=spread",
    "other": "placement=spread",
    "pack": "placement=pack",
    "first": "gpus=0",
    "second": "gpus=1",
    "rival": "gpus=1",
}


class Placement(tenants.Measurement):
    """As for shares on one GPU, but sockets are named after what their tenants may."""

    plain = "first"

    def describe(self):
        texts = {name: f"[tenant]\nlevel=system\nsocket={self.socket(name, 1)}\n"
                       f"[allowed]\n{where}\n" for name, where in PLACES.items()}
        return "[backend]\ndevices=0;1\n", texts

    def gpus(self, *names):
        """Runs a load in each; the GPUs that they were put on, and what share of one each had."""
        self.alone("")
        before = len(self.daemon.log())
        had = tenants.together([self.load("1ms", name) for name in names])
        placed = re.findall(r"session started.* GPU (\d+)", self.daemon.log()[before:])
        return [int(g) for g in placed], [ms / 1000 for ms in had]

    def apart(self, name, *who):
        placed, had = self.gpus(*who)
        self.say(name, sorted(placed) == [0, 1] and min(had) >= ALONE,
                 f"on GPUs {placed}, each had {' and '.join(f'{h:.3f}' for h in had)} of one")

    def shared(self, name, *who):
        placed, had = self.gpus(*who)
        share = 100 * had[0] / (sum(had) or 1)
        self.say(name, len(set(placed)) == 1 and abs(share - 50) <= POINTS and
                 sum(had) >= TOGETHER,
                 f"on GPUs {placed}, {share:.1f} % and {100 - share:.1f} % of {sum(had):.3f}")


def measure(seconds):
    with Placement("cuda", seconds, None) as m:
        m.calibrate()
        m.apart("placement/spread", "spread", "other")
        m.apart("placement/spread/one-tenant", "spread", "spread")
        m.apart("placement/fixed", "first", "second")
        m.shared("placement/fixed/together", "second", "rival")
        m.shared("placement/pack", "pack", "pack")
        return m.verdicts


def missing():
    """The number of a GPU that is needed and not there; None: all are."""
    worker = str(HOST / "mediator" / "gpu_mediator-worker")
    for gpu in range(GPUS):
        probe = [worker, "--probe", "--backend=cuda", f"--device={gpu}"]
        if subprocess.run(probe, check=False, stdout=subprocess.DEVNULL).returncode != 0:
            return gpu
    return None


def main():
    began = time.monotonic()
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    gpu = missing()
    if gpu is not None:
        print(f"there is no usable GPU {gpu} on this machine: skipped")
        return 77
    return tenants.report(measure(seconds), began)


if __name__ == "__main__":
    sys.exit(main())
