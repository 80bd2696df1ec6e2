# SPDX-License-Identifier: GPL-2.0-or-later
"""A host's Python with PyTorch, and the toolkit's libraries, for a guest to read.

The host runs the case once and says which files it used; these, under their own
paths, become a disk that the guest mounts read-only and changes root into.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import programs

# Runs the script named by its first argument, then writes what it used to a file.
SPY = r"""
import json, os, runpy, sys
report = sys.argv.pop(1)
sys.argv.pop(0)
sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))
status = 0
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as e:
    status = e.code or 0
mapped = sorted({line.split(None, 5)[5].strip() for line in open("/proc/self/maps")
                 if len(line.split(None, 5)) == 6 and line.split(None, 5)[5].startswith("/")})
tops = {}
for name, module in list(sys.modules.items()):
    top, path = name.split(".")[0], getattr(module, "__file__", None)
    if path and "." not in name:
        tops[top] = path
json.dump({"mapped": [m for m in mapped if os.path.isfile(m)], "tops": tops,
           "stdlib": os.path.dirname(os.__file__), "path": [p for p in sys.path if p],
           "executable": os.path.realpath(sys.executable), "status": status},
          open(report, "w"))
sys.stdout.flush()
os._exit(status if isinstance(status, int) else 1)
"""


def with_links(path):
    """A file and every name in its folder that leads to it, and the folders' links."""
    path = pathlib.Path(path)
    names = {str(path)}
    stem = re.split(r"\.so\b", path.name)[0]
    for other in path.parent.glob(f"{stem}*"):
        if other.is_symlink() and other.resolve() == path.resolve():
            names.add(str(other))
    for name in list(names):
        if os.path.islink(name):
            names.add(os.path.realpath(name))
    return names


def chain(path):
    """A link, what it leads to, what that leads to."""
    found = []
    while path not in found:
        found.append(path)
        if os.path.islink(path):
            path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return set(found)


def cached_names(files):
    """Other names under which the loader finds files of these, by its cache."""
    tool = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
    if not tool:
        return set()
    out = subprocess.run([tool, "-p"], capture_output=True, text=True, check=False).stdout
    found = set()
    for path in re.findall(r"=> (/\S+)", out):
        if os.path.realpath(path) in files:
            found |= chain(path)
    return found


def root_links():
    """/lib, /lib64, /bin where they are links, what the loader needs, and its cache."""
    found = set()
    for name in ("/lib", "/lib64", "/bin"):
        if os.path.islink(name):
            found.add(name)
    found |= with_links(os.path.realpath("/lib64/ld-linux-x86-64.so.2"))
    found.add("/lib64/ld-linux-x86-64.so.2")
    for name in ("/etc/ld.so.cache", "/etc/passwd", "/etc/nsswitch.conf"):
        if os.path.exists(name):
            found.add(name)
    for tool in ("sh", "env", "true"):
        path = f"/usr/bin/{tool}"
        if os.path.exists(path):
            found.add(path)
            found |= with_links(os.path.realpath(path))
            found |= libraries_of(path)
    return found


def libraries_of(program):
    found = set()
    for path in programs.needed_libraries(program):
        found |= with_links(os.path.realpath(path)) | {str(path)}
    return found


def driver_owned(path):
    return re.search(r"libcuda\.so|libnvidia-|libcudadebugger|/nvidia[^/]*ctl|/dev/", path)


def python_files(python, script, arguments, folder):
    """Runs it natively; (files and folders that it needs, how to run it in the guest)."""
    report = pathlib.Path(folder) / "used.json"
    pyc = pathlib.Path(folder) / "pyc"
    env = programs.environment(extra={"PYTHONPYCACHEPREFIX": str(pyc)})
    out = subprocess.run([python, "-c", SPY, str(report), str(script), *arguments], env=env,
                         capture_output=True, text=True, timeout=300, check=False)
    if not report.exists():
        raise programs.Failure(f"{script}: {out.returncode}: {out.stderr[-2000:]}")
    used = json.loads(report.read_text())
    files = {str(script), used["executable"]} | libraries_of(used["executable"])
    for path in used["mapped"]:
        if not driver_owned(path):
            files |= with_links(path)
    files |= cached_names(files)
    sites = [p for p in used["path"] if p.endswith(("site-packages", "dist-packages"))]
    files.add(used["stdlib"])
    for path in used["tops"].values():
        for site in sites:
            if path.startswith(site + "/"):
                rest = path[len(site) + 1:].split("/")
                # Libraries of NVIDIA's packages are huge; those in use are mapped.
                if rest[0] != "nvidia":
                    files.add(f"{site}/{rest[0]}")
                    files |= {str(p) for p in pathlib.Path(site).glob(f"{rest[0].split('.')[0]}-*info")}
    if pyc.exists():
        files.add(str(pyc))
    guest = {"PYTHONPATH": ":".join(sites), "PYTHONPYCACHEPREFIX": str(pyc),
             "PYTHONHOME": str(pathlib.Path(used["stdlib"]).parents[1])}
    return files, guest, used["executable"]


# Parts of PyTorch that no program at run time reads.
UNUSED = re.compile(r"-packages/torch/(include|test|share)/|/torch/lib/lib(torch_cuda_linalg|nvshmem)[^/]*$"
                    r"|-packages/.*/tests/.*\.(py|npz|pyc)$|/share/doc/")


def expand(files):
    """Files of folders, without what nobody needs in a guest."""
    found = {}
    for name in sorted(files):
        if os.path.isdir(name) and not os.path.islink(name):
            for base, folders, names in os.walk(name):
                folders[:] = [f for f in folders if f not in ("site-packages", "dist-packages")
                              or base != name]
                found.update((f"{base}/{n}", 1) for n in names if not n.endswith((".a", ".h", ".cuh")))
        elif os.path.lexists(name):
            found[name] = 1
    return [n for n in found if not UNUSED.search(n)]


def stage(folder, files):
    """A tree of the files under their own paths; links where the file system has them."""
    made = set()
    for name in expand(files):
        target = f"{folder}{name}"
        parent = os.path.dirname(target)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        if os.path.lexists(target):
            continue
        if os.path.islink(name):
            os.symlink(os.readlink(name), target)
        elif os.path.isfile(name):
            shutil.copyfile(name, target)
            shutil.copymode(name, target)
    return folder


def through_links(name):
    """The path without links in its folders: below /lib, which is a link, nothing can be made."""
    return os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name))


def pack(target, files, seconds=400):
    tool = programs.mksquashfs()
    if not tool:
        raise programs.Failure("no mksquashfs here (package squashfs-tools)")
    folder = f"{target}.tree"
    try:
        stage(folder, {through_links(f) for f in files})
        out = subprocess.run([tool, folder, str(target), "-noI", "-noD", "-noF", "-noX",
                              "-no-progress", "-noappend", "-no-xattrs"],
                             stdin=subprocess.DEVNULL, text=True, capture_output=True,
                             timeout=seconds, check=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if out.returncode != 0 or not os.path.exists(target):
        raise programs.Failure(f"mksquashfs: {out.returncode}: {out.stderr[-1000:]}")
    print(f"# {target}: {os.path.getsize(target) >> 20} MiB", file=sys.stderr, flush=True)
    return target
