# SPDX-License-Identifier: GPL-2.0-or-later
"""The device as a patch series, for trees of both of QEMU's build systems.

The trees are made up of the lines that the scripts look for; `./run graft` and
`./run compat` use real ones.
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/vm"))
import tap  # noqa: E402

SCRIPTS = ROOT / "qemu-device/qemu"
DEVICES = "#CONFIG_TPM=n\n#CONFIG_VTD=n\n\n# Boards:\n#\nCONFIG_I440FX=y\n"
REQUESTS = """static void cpu_ioreq_config(XenIOState *state, ioreq_t *req)
{
}

static void handle_ioreq(XenIOState *state, ioreq_t *req)
{
    switch (req->type) {
        case IOREQ_TYPE_TIMEOFFSET:
            break;
        case IOREQ_TYPE_INVALIDATE:
            xen_invalidate_map_cache();
            break;
        default:
            hw_error("Invalid ioreq type 0x%x\\n", req->type);
    }
}
"""
NOTICE = b"""        case IOREQ_TYPE_INVALIDATE:
            if (vgpu_stub_ram_changed) {
                vgpu_stub_ram_changed();
            }
            xen_invalidate_map_cache();
"""
BY_MAKE = {
    "VERSION": "4.2.1\n",
    "Makefile.objs": "trace-events-subdirs += hw/misc\ntrace-events-subdirs += hw/misc/macio\n",
    "default-configs/i386-softmmu.mak": DEVICES,
    "hw/misc/Kconfig": "config EDU\n    bool\n\nsource macio/Kconfig\n",
    "hw/misc/Makefile.objs": "common-obj-$(CONFIG_EDU) += edu.o\n",
    "hw/i386/xen/xen-hvm.c": REQUESTS,
}
BY_MESON = {
    "VERSION": "10.1.0\n",
    "meson.build": "  trace_events_subdirs += [\n    'hw/isa',\n    'hw/misc',\n    'hw/net',\n  ]\n",
    "configs/devices/i386-softmmu/default.mak": DEVICES,
    "hw/misc/Kconfig": "config EDU\n    bool\n",
    "hw/misc/meson.build": "system_ss.add(when: 'CONFIG_EDU', if_true: files('edu.c'))\n",
    # newer trees have both; the requests have moved to the second
    "hw/i386/xen/xen-hvm.c": "void xen_hvm_init_pc(void)\n{\n}\n",
    "hw/xen/xen-hvm-common.c": REQUESTS,
}


def files(tree):
    """The tree's files, but who may execute them."""
    return {str(p.relative_to(tree)): p.read_bytes() for p in tree.rglob("*") if p.is_file()}


class Patches(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vgpu-patches-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def tree(self, name, content):
        tree = self.folder / name
        for path, text in content.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text)
        return tree

    def run_script(self, name, *args, fails=False):
        done = subprocess.run([SCRIPTS / name, *args], capture_output=True, text=True)
        self.assertEqual(done.returncode != 0, fails, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def series(self, source, out="out"):
        out = self.folder / out
        self.run_script("patches.sh", source, out)
        return sorted(out.iterdir())

    def apply(self, series, tree):
        for patch in series:
            subprocess.run(["patch", "-p1", "--fuzz=0", "--silent", "-i", patch], cwd=tree,
                           check=True, capture_output=True)

    def check(self, content):
        source = self.tree("source", content)
        series = self.series(source)
        self.assertEqual(files(source), files(self.tree("same", content)))
        patched, grafted = self.tree("patched", content), self.tree("grafted", content)
        self.apply(series, patched)
        self.run_script("graft.sh", grafted)
        self.assertEqual(files(patched), files(grafted))
        # once more changes nothing, and gives the same patches as an untouched tree
        self.run_script("graft.sh", grafted)
        self.assertEqual(files(patched), files(grafted))
        again = self.series(grafted, "again")
        self.assertEqual([p.read_bytes() for p in series], [p.read_bytes() for p in again])
        return files(patched)

    def test_make(self):
        there = self.check(BY_MAKE)
        self.assertIn("hw/misc/vgpu-stub/Makefile.objs", there)
        self.assertNotIn("hw/misc/vgpu-stub/meson.build", there)
        # make generates one of this name
        self.assertNotIn("hw/misc/vgpu-stub/trace.h", there)
        self.assertIn(b"CONFIG_VGPU_STUB=y\n", there["default-configs/i386-softmmu.mak"])
        self.assertIn(NOTICE, there["hw/i386/xen/xen-hvm.c"])

    def test_meson(self):
        there = self.check(BY_MESON)
        self.assertIn(b"system_ss.add", there["hw/misc/vgpu-stub/meson.build"])
        self.assertIn(b"    'hw/misc',\n    'hw/misc/vgpu-stub',\n", there["meson.build"])
        self.assertIn(b"CONFIG_VGPU_STUB=y\n", there["configs/devices/i386-softmmu/default.mak"])
        self.assertIn(NOTICE, there["hw/xen/xen-hvm-common.c"])
        self.assertNotIn(b"vgpu", there["hw/i386/xen/xen-hvm.c"])

    def test_other_boards_fit(self):
        """XCP-ng's own patches change the boards, right below our line."""
        series = self.series(self.tree("source", BY_MAKE))
        other = dict(BY_MAKE)
        other["default-configs/i386-softmmu.mak"] = DEVICES.replace("I440FX=y", "ISAPC=n\nX=y")
        self.apply(series, self.tree("other", other))

    def test_no_place(self):
        for path, line in (("meson.build", "'hw/misc',"),
                           ("configs/devices/i386-softmmu/default.mak", "#CONFIG_VTD=n")):
            content = dict(BY_MESON)
            content[path] = content[path].replace(line, "")
            tree = self.tree(path.replace("/", "-"), content)
            self.assertIn("has no line", self.run_script("graft.sh", tree, fails=True))

    def test_no_requests_of_xen(self):
        """Without the notice the daemon would go on with pages that the guest gave back."""
        for name, old, new, words in (
                ("moved", "IOREQ_TYPE_INVALIDATE", "IOREQ_TYPE_OTHER", "in no file"),
                ("renamed", "void handle_ioreq", "bool handle_ioreq", "has no place")):
            content = dict(BY_MESON)
            content["hw/xen/xen-hvm-common.c"] = REQUESTS.replace(old, new)
            out = self.run_script("graft.sh", self.tree(name, content), fails=True)
            self.assertIn(words, out)


if __name__ == "__main__":
    tap.main()
