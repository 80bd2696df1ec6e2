# SPDX-License-Identifier: GPL-2.0-or-later
"""Running CUDA programs natively, over the daemon's socket and in a guest.

The programs are the same files in all three; only where libcuda.so.1 comes
from differs.  Works in the tree and in the bundle, which has the same folders.
"""

import glob
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vm"))
from vm import BUILD, GUEST, TOP, Failure  # noqa: E402,F401

DRIVER_TESTS = GUEST / "tests" / "cuda" / "driver" / "driver_tests"
RAW_HOSTILE = GUEST / "tests" / "cuda" / "hostile" / "cuda_hostile"
RUNTIME = GUEST / "tests" / "cuda" / "runtime"
MICRO = GUEST / "tests" / "bench" / "gpu" / "gpu_micro"
TORCH_CASES = TOP / "tests" / "cuda" / "torch" / "torch_cases.py"
TORCH_BENCH = TOP / "tests" / "bench" / "gpu" / "torch_bench.py"
SKIPPED = 77


def guest_libraries():
    """The libraries that stand in for the driver's, by soname."""
    found = {}
    for name in ("libcuda.so.1", "libnvidia-ml.so.1"):
        for path in sorted((GUEST / "guest-driver").rglob(name)):
            found[name] = path.resolve()
            break
    if "libcuda.so.1" not in found:
        raise Failure(f"there is no libcuda.so.1 below {GUEST / 'guest-driver'}: is nvcc installed, "
                      "and is the cuda option of the build on?")
    return found


def toolkit_libraries():
    """Folders with cuBLAS and the like: the toolkit's, and those of Python's packages."""
    folders = []
    for pattern in ("/usr/local/cuda/lib64", "/usr/local/cuda/targets/x86_64-linux/lib",
                    "/usr/local/cuda-13*/lib64"):
        folders += glob.glob(pattern)
    python = torch_python()
    if python:
        out = subprocess.run([python, "-c", "import nvidia; print(*nvidia.__path__, sep='\\n')"],
                             capture_output=True, text=True, check=False)
        for root in out.stdout.split():
            folders += glob.glob(f"{root}/*/lib")
    return [f for f in dict.fromkeys(folders) if glob.glob(f"{f}/lib*.so*")]


def torch_python():
    """A Python that has PyTorch, or None."""
    for python in dict.fromkeys(filter(None, (os.environ.get("VGPU_TORCH_PYTHON"), sys.executable,
                                              shutil.which("python3", path=CALLERS_PATH)))):
        code = "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is None)"
        if subprocess.run([python, "-c", code], check=False, capture_output=True).returncode == 0:
            return python
    return None


# ./run puts the system's own tools first.
CALLERS_PATH = os.environ.get("VGPU_CALLERS_PATH", os.environ.get("PATH", ""))


def environment(transport=None, stand_ins=None, extra=None, toolkit=()):
    """Natively without arguments; with a transport and a folder of stand-ins, ours."""
    env = dict(os.environ)
    path = [p for p in env.get("LD_LIBRARY_PATH", "").split(":") if p]
    path += toolkit
    if transport:
        env["VGPU_TRANSPORT"] = transport
        path.insert(0, str(stand_ins))
    else:
        env.pop("VGPU_TRANSPORT", None)
    if path:
        env["LD_LIBRARY_PATH"] = ":".join(path)
    env.update(extra or {})
    return env


def stand_in_folder(parent):
    """A folder with our libraries under the names that programs look for."""
    folder = pathlib.Path(parent) / "lib"
    folder.mkdir(exist_ok=True)
    for name, path in guest_libraries().items():
        link = folder / name
        if not link.exists():
            link.symlink_to(path)
    return folder


class Outcome:
    def __init__(self, status, output, seconds):
        self.status, self.output, self.seconds = status, output, seconds


def run(command, env, seconds):
    """Runs a program with all its children in a group, at most so long."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([str(c) for c in command], env=env, stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = f"no end within {seconds:.0f} s"
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        out.seek(0)
        text = out.read().decode(errors="replace")
    return Outcome(status, text, time.monotonic() - began)


def runtime_programs():
    return sorted(p for p in RUNTIME.glob("rt_*") if os.access(p, os.X_OK) and p.suffix == "")


def needed_libraries(program):
    """Absolute paths of what the loader brings for a program, but for libcuda."""
    out = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    return [pathlib.Path(p) for p in re.findall(r"(/[^ )]+)", out) if "libcuda.so" not in p]


# ------------------------------------------------------------------ the guest

def newc(entries):
    """A cpio archive as the kernel unpacks it, of (name, mode, bytes)."""
    out = bytearray()

    def add(name, mode, data, number):
        encoded = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        out.extend(b"070701" + b"".join(b"%08X" % f for f in fields) + encoded)
        out.extend(b"\0" * (-len(out) % 4))
        out.extend(data)
        out.extend(b"\0" * (-len(out) % 4))

    for number, (name, mode, data) in enumerate(entries, 1):
        add(name, mode, data, number)
    add("TRAILER!!!", 0, b"", 0)
    return bytes(out)


def guest_entries(programs, base="opt/cuda"):
    """Programs, our libraries and what they all need, as entries for newc()."""
    files = {}
    for program in programs:
        files[f"{base}/{pathlib.Path(program).name}"] = program
    libraries = guest_libraries()
    home = None
    for program in [*programs, *libraries.values()]:
        for path in needed_libraries(program):
            # The bundle's own libraries go where the guest's loader looks.
            target = path if path.is_relative_to("/lib") or path.is_relative_to("/lib64") \
                or path.is_relative_to("/usr/lib") else pathlib.Path("/lib64") / path.name
            files[str(target).lstrip("/")] = path
            if path.name == "libc.so.6":
                home = target.parent
    for name, path in libraries.items():
        files[f"{str(home or '/lib64').lstrip('/')}/{name}"] = path
    folders = sorted({str(p) for f in files for p in pathlib.PurePath(f).parents if str(p) != "."},
                     key=len)
    entries = [(f, stat.S_IFDIR | 0o755, b"") for f in folders]
    entries += [(name, stat.S_IFREG | 0o755, pathlib.Path(path).read_bytes())
                for name, path in sorted(files.items())]
    return entries


def make_initrd(target, entries):
    """The tests' initramfs with more files in it."""
    with open(target, "wb") as out:
        out.write((BUILD / "image" / "initramfs.cpio.gz").read_bytes())
        out.write(b"\0" * (-out.tell() % 512))
        out.write(newc(entries))
    return target


def driver_initrd(folder):
    """One with the driver's cases, as /opt/cuda/driver_tests; None where they were not built."""
    if not DRIVER_TESTS.exists():
        return None
    return make_initrd(folder / "initrd", guest_entries([DRIVER_TESTS]))


# ------------------------------------------------ host folders for the guest

def mksquashfs():
    """The program that packs folders: the bundle's own or the system's."""
    own = BUILD / "tools" / "mksquashfs"
    return str(own) if own.exists() else shutil.which("mksquashfs", path=CALLERS_PATH + ":/usr/bin")


# In the order in which they have to be loaded.
MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci",
           "virtio_blk", "squashfs", "overlay")


def module_entries():
    entries = []
    for name in MODULES:
        path = BUILD / "image" / "modules" / f"{name}.ko"
        if path.exists():
            entries.append((f"lib/modules/{name}.ko", stat.S_IFREG | 0o644, path.read_bytes()))
    return entries


def drive(path):
    """Arguments that give an image to a VM as a disk that it can only read."""
    return ["-drive", f"if=none,id=share,format=raw,readonly=on,file={path}",
            "-device", "virtio-blk-pci,drive=share"]


# Mounts the disk as a root of its own below /share, writable in memory.
MOUNT_SHARE = """set -x
for m in {modules}; do [ -e /lib/modules/$m.ko ] && insmod /lib/modules/$m.ko; done
mkdir -p /share /share.ro
i=0; while [ ! -b /dev/vda ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done
mount -t squashfs -o ro /dev/vda /share.ro || exit 1
mkdir -p /tmp/upper /tmp/work
mount -t overlay -o lowerdir=/share.ro,upperdir=/tmp/upper,workdir=/tmp/work none /share || exit 1
mkdir -p /share/dev /share/proc /share/tmp /share/sys
mount -t proc proc /share/proc && mount -t sysfs sys /share/sys && mount -o bind /dev /share/dev
mkdir -p /dev/shm && mount -t tmpfs shm /dev/shm
""".format(modules=" ".join(MODULES))
