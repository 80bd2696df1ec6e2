#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""./run shell: one VM with the device and its shell on this terminal; exit ends it."""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from vm import VM, Daemon  # noqa: E402

with Daemon() as daemon:
    vm = VM(daemon, "shell", append="vgpu.interactive")
    at = vm.argv.index("-serial")
    vm.argv[at + 1] = "stdio"
    print("booting; the daemon's log is", daemon.log_path, flush=True)
    sys.exit(subprocess.call(vm.argv))
