# SPDX-License-Identifier: GPL-2.0-or-later
"""The CUDA cases one after the other, in each place that they are to run in.

A place is `native`, `unix` (the daemon's socket, no VM) or `vm`.  A case's name
is PLACE/KIND/CASE, such as unix/driver/memory.plain; patterns select by it.
"""

import fnmatch
import json
import os
import pathlib
import re
import stat
import subprocess
import tempfile
import time

import programs
import share
from programs import DRIVER_TESTS, RAW_HOSTILE, SKIPPED, TORCH_CASES
from vm import VM, Daemon, Failure, quote

LINE = re.compile(r"^(\S+): (ok|FAILED|skipped)\b ?(.*)$")
# Those that open a library of the toolkit.
TOOLKIT_PROGRAMS = ("cublas", "cufft", "nvrtc")


class Suite:
    """Collects results; `report` is called with each of them as it comes."""

    def __init__(self, backend="cuda", only=(), out=None, report=None, small=False):
        self.backend, self.only, self.report, self.small = backend, list(only), report, small
        self._own = tempfile.TemporaryDirectory(prefix="vgpu-cuda-")
        self.folder = pathlib.Path(self._own.name)
        self.out = pathlib.Path(out) if out else self.folder / "out"
        self.out.mkdir(parents=True, exist_ok=True)
        self.results = []
        self.daemon = None

    # -------------------------------------------------------------- results
    def wanted(self, name):
        return not self.only or any(fnmatch.fnmatch(name, p) or name.startswith(p + "/")
                                    for p in self.only)

    def any_wanted(self, prefix, names):
        return any(self.wanted(f"{prefix}/{n}") for n in names)

    def add(self, name, verdict, note="", seconds=0.0, output=""):
        """verdict: ok, FAILED or skipped."""
        self.results.append({"name": name, "verdict": verdict, "note": note.strip(),
                             "seconds": round(seconds, 2), "output": output[-8000:]})
        if self.report:
            self.report(self.results[-1])

    def counts(self):
        return tuple(sum(r["verdict"] == v for r in self.results)
                     for v in ("ok", "FAILED", "skipped"))

    def save(self, name="results.json"):
        (self.out / name).write_text(json.dumps(self.results, indent=1) + "\n")

    # -------------------------------------------------------------- places
    def start_daemon(self):
        if self.daemon is None:
            (self.folder / "daemon").mkdir(exist_ok=True)
            self.daemon = Daemon(self.folder / "daemon", backend=self.backend).start()
        elif self.daemon.process.poll() is not None:
            raise Failure("gpu_mediator has ended: " + self.daemon.log()[-2000:])
        return self.daemon

    def close(self):
        try:
            if self.daemon:
                (self.out / "mediator.log").write_text(self.daemon.log())
                self.daemon.stop()
        finally:
            self._own.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def environment(self, place, toolkit=(), extra=None):
        extra = {"VGPU_TEST_SECONDS": "300", **(extra or {})}
        if place == "native":
            return programs.environment(extra=extra, toolkit=toolkit)
        self.start_daemon()
        folder = programs.stand_in_folder(self.folder)
        return programs.environment(f"unix:{self.daemon.socket}", folder, extra, toolkit)

    # -------------------------------------------------------------- drivers
    def driver_case_names(self):
        # Listing needs no CUDA, but the loader wants a libcuda.so.1.
        env = programs.environment("unix:/nonexistent", programs.stand_in_folder(self.folder))
        out = programs.run([DRIVER_TESTS, "--list"], env, 30)
        if out.status != 0:
            raise Failure(f"driver_tests --list: {out.status}: {out.output}")
        return out.output.split()

    def lines(self, prefix, names, outcome, seen):
        """Cases out of a program's lines; what was said before a line belongs to it."""
        said = []
        for line in outcome.output.splitlines():
            match = LINE.match(line)
            if match and match.group(1) in names:
                seconds = re.search(r"\(([\d.]+) s\)\s*$", line)
                note = re.sub(r"\(?[\d.]+ s\)$", "", match.group(3)).strip(" (,")
                note = note or (said[-1].strip() if said else "")
                self.add(f"{prefix}/{match.group(1)}", match.group(2),
                         note if match.group(2) != "ok" else "",
                         float(seconds.group(1)) if seconds else 0, "\n".join(said))
                seen.add(match.group(1))
                said = []
            else:
                said.append(line)
        return said

    def driver(self, place, seconds=900):
        prefix = f"{place}/driver"
        names = [n for n in self.driver_case_names() if self.wanted(f"{prefix}/{n}")]
        for group in dict.fromkeys(n.split(".")[0] for n in names):
            mine = [n for n in names if n.split(".")[0] == group]
            out = programs.run([DRIVER_TESTS, *mine], self.environment(place), seconds)
            seen = set()
            rest = self.lines(prefix, mine, out, seen)
            for name in mine:
                if name not in seen:
                    self.add(f"{prefix}/{name}", "FAILED", f"{out.status}", 0, "\n".join(rest))

    # -------------------------------------------------------------- runtime
    def one(self, name, command, env, seconds):
        out = programs.run(command, env, seconds)
        if out.status == 0:
            self.add(name, "ok", "", out.seconds, out.output)
        elif out.status == SKIPPED:
            self.add(name, "skipped", out.output.strip().splitlines()[-1] if out.output else "",
                     out.seconds, out.output)
        else:
            lines = out.output.strip().splitlines()
            self.add(name, "FAILED", f"{out.status}: {lines[-1] if lines else ''}"[:300],
                     out.seconds, out.output)
        return out

    def runtime(self, place, seconds=600):
        toolkit = programs.toolkit_libraries()
        for path in programs.runtime_programs():
            name = path.name[3:]
            if self.wanted(f"{place}/runtime/{name}"):
                env = self.environment(place, toolkit if name in TOOLKIT_PROGRAMS else ())
                self.one(f"{place}/runtime/{name}", [path], env, seconds)

    def hostile(self, seconds=600):
        """A client that keeps to no rule, beside one that works."""
        if not RAW_HOSTILE.exists():
            return
        env = self.environment("unix")
        socket = str(self.daemon.socket)
        names = programs.run([RAW_HOSTILE, "--list"], env, 30).output.split()
        for name in names:
            if self.wanted(f"unix/hostile/{name}"):
                self.one(f"unix/hostile/{name}", [RAW_HOSTILE, socket, name], env, seconds)

    # -------------------------------------------------------------- PyTorch
    def torch_names(self):
        text = TORCH_CASES.read_text()
        return re.findall(r"^@case\ndef (\w+)", text, re.M)

    def torch(self, place, compare=None, seconds=500):
        """Every wanted case in one process; a new one for the rest if it dies."""
        prefix = f"{place}/torch"
        # A native run is there to be compared with.
        names = [n for n in self.torch_names() if self.wanted(f"{prefix}/{n}")
                 or place == "native" and self.wanted(f"unix/torch/{n}")]
        python = programs.torch_python()
        if not names:
            return
        if not python:
            for name in names:
                self.add(f"{prefix}/{name}", "skipped", "no Python with PyTorch here")
            return
        folder = self.out / f"torch-{place}"
        folder.mkdir(exist_ok=True)
        caches = self.folder / f"caches-{place}"  # what is compiled here is loaded here
        env = self.environment(place, extra={"PYTHONUNBUFFERED": "1",
                                             "TORCHINDUCTOR_COMPILE_THREADS": "1",
                                             "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
                                             "TRITON_CACHE_DIR": str(caches / "triton"),
                                             "HF_HUB_OFFLINE": "1"})
        end = time.monotonic() + seconds
        left = list(names)
        while left:
            command = [python, TORCH_CASES, "--out", folder]
            if compare:
                command += ["--compare", compare]
            out = programs.run(command + left, env, max(10, end - time.monotonic()))
            seen = set()
            rest = self.lines(prefix, left, out, seen)
            begun = re.findall(r"^begin (\w+)", out.output, re.M)
            left = [n for n in left if n not in seen]
            if not left:
                break
            # The one that was at work when it ended, or all if none had begun.
            dead = [n for n in left if n in begun[-1:]] or left
            for name in dead:
                self.add(f"{prefix}/{name}", "FAILED",
                         f"{out.status}: {rest[-1] if rest else ''}"[:300], 0, "\n".join(rest))
                left.remove(name)

    # ------------------------------------------------------------------ VM
    def machine(self, entries, memory, extra=(), name="cuda"):
        initrd = programs.make_initrd(self.folder / f"{name}.initrd", entries)
        return VM(self.start_daemon(), name, memory=memory, smp=min(4, os.cpu_count() or 1),
                  initrd=initrd, extra=extra)

    def in_vm(self, vm, name, command, seconds):
        began = time.monotonic()
        try:
            result = vm.run(command, seconds)
        except Failure as e:
            self.add(name, "FAILED", str(e)[:300], time.monotonic() - began, str(e))
            raise
        text = result.output.replace("\r", "")
        verdict = {0: "ok", SKIPPED: "skipped"}.get(result.status, "FAILED")
        note = "" if verdict == "ok" else f"{result.status}: {text.strip()[-300:]}"
        self.add(name, verdict, note, time.monotonic() - began, text)
        return verdict

    def guest(self, memory="4G", seconds=900):
        """The driver's and the runtime's programs inside a VM."""
        driver = [n for n in self.driver_case_names() if self.wanted(f"vm/driver/{n}")]
        runtime = [p for p in programs.runtime_programs() if p.name[3:] not in TOOLKIT_PROGRAMS
                   and self.wanted(f"vm/runtime/{p.name[3:]}")]
        if not driver and not runtime:
            return
        entries = programs.guest_entries(([DRIVER_TESTS] if driver else []) + runtime)
        try:
            with self.machine(entries, memory) as vm:
                vm.ready()
                for group in dict.fromkeys(n.split(".")[0] for n in driver):
                    self._guest_group(vm, [n for n in driver if n.split(".")[0] == group], seconds)
                for path in runtime:
                    self.in_vm(vm, f"vm/runtime/{path.name[3:]}", f"/opt/cuda/{path.name}", seconds)
        except Failure as e:
            self.add("vm/guest", "FAILED", str(e)[:500], 0, str(e))

    def _guest_group(self, vm, names, seconds):
        result = vm.run("VGPU_TEST_SECONDS=600 /opt/cuda/driver_tests "
                        + " ".join(quote(n) for n in names), seconds * 2)
        out = programs.Outcome(result.status, result.output.replace("\r", ""), 0)
        seen = set()
        rest = self.lines("vm/driver", names, out, seen)
        for name in names:
            if name not in seen:
                self.add(f"vm/driver/{name}", "FAILED", f"{out.status}", 0, "\n".join(rest))

    def guest_share(self, memory="16G", seconds=400, torch_too=True):
        """What is too large to copy: PyTorch and the toolkit's libraries, shared read-only."""
        toolkit = [p for p in programs.runtime_programs() if p.name[3:] in TOOLKIT_PROGRAMS
                   and self.wanted(f"vm/runtime/{p.name[3:]}")]
        torch = [n for n in ("matmul", "mlp_training")
                 if torch_too and self.wanted(f"vm/torch/{n}")]
        python = programs.torch_python()
        if torch and not python:
            for name in torch:
                self.add(f"vm/torch/{name}", "skipped", "no Python with PyTorch here")
            torch = []
        if not torch and not toolkit:
            return
        try:
            self._guest_share(toolkit, torch, python, memory, seconds)
        except (Failure, OSError, subprocess.SubprocessError) as e:
            self.add("vm/share", "FAILED", str(e)[:500], 0, str(e))

    def _guest_share(self, toolkit, torch, python, memory, seconds):
        files, variables, executable = share.root_links(), {}, None
        folders = programs.toolkit_libraries()
        if toolkit:
            for stem in ("libcublas", "libcublasLt", "libcufft", "libnvrtc", "libnvrtc-builtins",
                         "libnvJitLink"):
                for folder in folders:
                    for path in pathlib.Path(folder).glob(f"{stem}.so.*"):
                        files |= {str(path)} | share.with_links(os.path.realpath(path))
                        files |= share.libraries_of(path)
        if torch:
            native = self.out / "torch-native"
            native.mkdir(exist_ok=True)
            used, variables, executable = share.python_files(
                python, TORCH_CASES, ["--out", str(native), *torch], self.folder)
            files |= used
        image = share.pack(self.folder / "share.img", files)
        # Below the guest's own root lie the programs and the stand-ins alone.
        libraries = [(f"opt/cuda/lib/{name}", stat.S_IFREG | 0o755, path.read_bytes())
                     for name, path in programs.guest_libraries().items()]
        entries = [("opt", stat.S_IFDIR | 0o755, b""), ("opt/cuda", stat.S_IFDIR | 0o755, b""),
                   ("opt/cuda/lib", stat.S_IFDIR | 0o755, b""), *libraries,
                   *((f"opt/cuda/{p.name}", stat.S_IFREG | 0o755, p.read_bytes()) for p in toolkit),
                   *programs.module_entries()]
        if torch:
            entries += [("opt/cuda/torch_cases.py", stat.S_IFREG | 0o644, TORCH_CASES.read_bytes())]
            entries += [(f"opt/cuda/native-{n}.npz", stat.S_IFREG | 0o644,
                         (self.out / "torch-native" / f"{n}.npz").read_bytes()) for n in torch]
        # The host's libraries may be built for newer processors than QEMU's default.
        extra = [*programs.drive(image), "-cpu", "max"]
        with self.machine(entries, memory, extra, "share") as vm:
            vm.ready()
            vm.check(programs.MOUNT_SHARE, 120)
            vm.check("mkdir -p /share/opt/cuda && cp -r /opt/cuda/. /share/opt/cuda/ && "
                     "mkdir -p /share/tmp/native && for f in /opt/cuda/native-*.npz; do "
                     "[ ! -e $f ] || cp $f /share/tmp/native/${f#/opt/cuda/native-}; done", 60)
            path = ":".join(["/opt/cuda/lib", *folders])
            for program in toolkit:
                self.in_vm(vm, f"vm/runtime/{program.name[3:]}",
                           f"LD_LIBRARY_PATH={path} chroot /share /opt/cuda/{program.name}", seconds)
            settings = " ".join(f"{k}={quote(v)}" for k, v in variables.items())
            for name in torch:
                self.in_vm(vm, f"vm/torch/{name}",
                           f"cd /share && {settings} HOME=/tmp LD_LIBRARY_PATH=/opt/cuda/lib "
                           f"chroot /share {executable} -B /opt/cuda/torch_cases.py --compare /tmp/native {name}",
                           seconds)
