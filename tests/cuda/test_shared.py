#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The driver API's programs while another tenant keeps the GPU busy; TAP.

Every call has to wait for its tenant's turn now and then, and none for ever.  On
the backend without a GPU, over the daemon's socket.

usage: test_shared.py [PATTERN...]   patterns as shared/driver/memory.*
"""

import pathlib
import subprocess
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent),
                str(pathlib.Path(__file__).resolve().parents[1] / "vm")]
import programs  # noqa: E402
from suite import Suite  # noqa: E402
from test_unix import finish, tap_reporter  # noqa: E402
from vm import Daemon, wait_until  # noqa: E402

# More than any run of the cases takes.
LOAD_S = 1500


class Shared(Suite):
    """Two tenants, each with a socket of its own."""

    neighbour = None

    def socket(self, tenant):
        return self.folder / f"{tenant}.sock"

    def start_daemon(self):
        if self.daemon is None:
            texts = {t: f"[tenant]\nlevel=system\nsocket={self.socket(t)}\n"
                        "[limits]\nmemory=none\n"  # a case has contexts of many threads
                     for t in ("me", "you")}
            record = f"[tenants]\nrecord={self.folder / 'record'}\n"
            (self.folder / "daemon").mkdir()
            self.daemon = Daemon(self.folder / "daemon", backend="cpu", config=record,
                                 tenants=texts).start()
            self.start_neighbour()
        return super().start_daemon()

    def environment(self, place, toolkit=(), extra=None):
        env = super().environment("unix", toolkit, extra)
        env["VGPU_TRANSPORT"] = f"unix:{self.socket('me')}"
        return env

    def start_neighbour(self):
        env = programs.environment(f"unix:{self.socket('you')}",
                                   programs.stand_in_folder(self.folder))
        command = [programs.GUEST / "tests" / "bench" / "gpu" / "tenant_load", "--seconds", LOAD_S,
                   "--rounds", 200000]
        self.neighbour = subprocess.Popen([str(c) for c in command], env=env,
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.neighbour.stdout.readline()
        self.neighbour.stdin.write(b"go\n")
        self.neighbour.stdin.flush()

    def turns(self):
        """How often the lease was given to somebody until others want it."""
        lines = (self.folder / "record").read_text().splitlines()
        return sum(line.startswith("a ") and " grant " in line and "open" not in line
                   for line in lines)

    def close(self):
        if self.neighbour:
            self.neighbour.kill()
            self.neighbour.communicate()
        super().close()


def main():
    with Shared("cpu", sys.argv[1:], report=tap_reporter()) as suite:
        suite.driver("shared")
        # Else all that was in vain.
        wait_until("turns in the record", lambda: suite.turns() > 10, 1)
        if suite.neighbour.poll() is not None:
            suite.add("shared/neighbour", "FAILED", f"ended with {suite.neighbour.returncode}")
    finish(suite)


if __name__ == "__main__":
    main()
