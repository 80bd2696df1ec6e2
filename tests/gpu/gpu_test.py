#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every CUDA case on this machine's GPU: over the socket, in a VM, PyTorch too.

Runs from the tree (./run gpu-test) or from the bundle that ./run bundle makes.
One line a case, then `N passed, N failed, N skipped`.  Exit status: 0, 1, or 77
where there is no usable GPU.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time

os.environ.setdefault("VGPU_QEMU", "graft")
TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "cuda"), str(TOP / "tests" / "vm")]
import memory  # noqa: E402
import placement  # noqa: E402
import tenants  # noqa: E402
from suite import Suite  # noqa: E402
from vm import HOST, Failure  # noqa: E402


def gpu_works():
    worker = HOST / "mediator" / "gpu_mediator-worker"
    probe = subprocess.run([str(worker), "--probe", "--backend", "cuda"], check=False)
    return probe.returncode == 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN",
                        help="cases such as unix/driver/memory.* or vm/torch (again for more)")
    parser.add_argument("--native", action="store_true", help="run every case natively first")
    parser.add_argument("--no-unix", action="store_true", help="nothing over the socket")
    parser.add_argument("--no-vm", action="store_true", help="nothing inside a VM")
    parser.add_argument("--no-torch", action="store_true", help="nothing with PyTorch")
    parser.add_argument("--no-share", action="store_true",
                        help="nothing in a VM that needs the host's Python or toolkit")
    parser.add_argument("--tenants", action="store_true",
                        help="instead of the cases: tenants that share the GPU, see tenants.py")
    parser.add_argument("--seconds", type=float, default=10,
                        help="with --tenants: of each measurement (10)")
    parser.add_argument("--backend", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--out", help="folder for results.json, the daemon's log, PyTorch's numbers")
    parser.add_argument("--bundle", help="ignored: the bundle is found by where this file lies")
    return parser.parse_args()


def report(result):
    note = f": {result['note']}" if result["note"] and result["verdict"] != "ok" else ""
    print(f"{result['name']}: {result['verdict']} ({result['seconds']:.1f} s){note}", flush=True)
    if result["verdict"] == "FAILED":
        for line in result["output"].splitlines()[-15:]:
            print(f"    {line}", flush=True)


def steps(suite, args):
    if args.native:
        yield lambda: suite.driver("native")
        yield lambda: suite.runtime("native")
    if not args.no_unix:
        yield lambda: suite.driver("unix")
        yield lambda: suite.runtime("unix")
        yield suite.hostile
        if not args.no_torch:
            # The numbers to compare with come from a run of the same cases without us.
            yield lambda: suite.torch("native")
            yield lambda: suite.torch("unix", compare=suite.out / "torch-native")
    if not args.no_vm:
        yield suite.guest
        if not args.no_share:
            yield lambda: suite.guest_share(torch_too=not args.no_torch)


def of_tenants(args):
    """Verdicts on all that needs a GPU, and on a second one where there is one."""
    verdicts = tenants.measure(args.backend, args.seconds, args.out)
    if args.backend != "cuda":
        return verdicts
    parts = [("memory", memory.measure)]
    if placement.missing() is None:
        parts.append(("placement", lambda: placement.measure(args.seconds)))
    for name, measure in parts:
        try:
            verdicts += measure()
        except Failure as e:
            print(f"{name}: FAILED: {e}", flush=True)
            verdicts.append((name, False, str(e)))
    return verdicts


def main():
    args = arguments()
    began = time.monotonic()
    if args.backend == "cuda" and not gpu_works():
        print("no usable NVIDIA GPU on this machine (the worker's probe says why): skipped")
        return 77
    if args.tenants:
        return tenants.report(of_tenants(args), began)
    with Suite(args.backend, args.only, args.out, report) as suite:
        for step in steps(suite, args):
            try:
                step()
            except Failure as e:
                suite.add("suite", "FAILED", str(e)[:500])
            suite.save()
    ok, failed, skipped = suite.counts()
    print(f"{ok} passed, {failed} failed, {skipped} skipped ({time.monotonic() - began:.0f} s)")
    return 1 if failed or not ok else 0


if __name__ == "__main__":
    sys.exit(main())
