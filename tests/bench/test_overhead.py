#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""That what tests/gpu/overhead.py compares is what it says: one worker counts, one does not.

No figure is judged.  Over the daemon's socket, with a backend that does nothing.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "vm"), str(TOP / "tests" / "gpu")]
import overhead  # noqa: E402
import programs  # noqa: E402
import tap  # noqa: E402
from vm import HOST  # noqa: E402

SMI = HOST / "guest-driver" / "tools" / "vgpu-smi"
LAUNCHES = 100


class Workers(unittest.TestCase):
    def setUp(self):
        self.own = tempfile.TemporaryDirectory(prefix="vgpu-overhead-")
        self.addCleanup(self.own.cleanup)

    def counted(self, worker):
        """What the tenant is seen to have used after so many launches: requests, launches."""
        folder = pathlib.Path(self.own.name) / worker.name
        world = overhead.World(folder, "instant", worker)
        world.daemon.start()
        self.addCleanup(world.daemon.stop)
        client = world.client("plain", LAUNCHES)
        self.addCleanup(client.close)
        client.ask()
        env = programs.environment(f"unix:{folder / 'plain'}.sock", world.stand_ins)
        out = subprocess.run([SMI, "--json"], env=env, text=True, capture_output=True, check=True)
        used = json.loads(out.stdout)
        return used["requests"], used["launches"]

    def test_1_the_real_one_counts(self):
        requests, launches = self.counted(overhead.WORKER)
        self.assertEqual(launches, LAUNCHES + 1)    # and one to begin with
        self.assertGreater(requests, launches)

    def test_2_the_other_does_not(self):
        self.assertEqual(self.counted(overhead.UNACCOUNTED), (0, 0))

    def test_3_all_is_measured(self):
        said = []
        numbers = overhead.Overhead("instant", lambda *words: said.append(words), 4, 10).run()
        self.assertEqual(list(numbers), [c[0] for c in overhead.CASES])
        self.assertEqual([name for name, _, _ in said], [f"overhead/{n}" for n in numbers])
        for of_it in numbers.values():
            self.assertGreater(of_it["queued"]["ratio"], 0)


if __name__ == "__main__":
    tap.main()
