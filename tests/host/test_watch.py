#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gpu_mediator-watch on a management library made up here, and without any."""

import os
import subprocess
import sys
import unittest

WATCH, LIBRARY = sys.argv.pop(1), os.path.dirname(sys.argv.pop(1))
GIB = 1 << 30


def start(*args, library=LIBRARY):
    return subprocess.Popen([WATCH, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, env=dict(os.environ, LD_LIBRARY_PATH=library))


class Watch(unittest.TestCase):
    def test_rounds(self):
        watch = start("--interval", "10")
        for _ in range(3):
            lines = []
            while (line := watch.stdout.readline().strip()) != "end":
                self.assertTrue(line, "it has ended")
                lines.append(line)
            self.assertEqual(lines, [f"gpu 0 {80 * GIB}", f"process 100 {GIB}",
                                     f"process 200 {2 * GIB}", f"gpu 1 {160 * GIB}",
                                     f"process 200 {2 * GIB}"])
        # Nobody reads any more: it ends by itself.
        watch.stdout.close()
        self.assertNotEqual(watch.wait(timeout=120), None)
        watch.stderr.close()

    def test_no_driver(self):
        watch = start(library="/nonexistent")
        out, err = watch.communicate(timeout=120)
        if watch.returncode == 0:
            self.skipTest("there is a driver here")
        self.assertEqual(out, "")
        self.assertIn("gpu_mediator-watch: ", err)

    def test_usage(self):
        for args in (("--interval", "x"), ("--interval", "1"), ("--no-such-option",)):
            watch = start(*args)
            watch.communicate(timeout=120)
            self.assertEqual(watch.returncode, 2, args)


if __name__ == "__main__":
    unittest.main()
