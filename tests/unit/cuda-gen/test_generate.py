#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The generator of protocol/cuda against headers and tables made up here."""
import contextlib
import io
import os
import re
import sys
import tempfile
import unittest

TOP = os.path.dirname(os.path.abspath(__file__)) + "/../../.."
sys.path.insert(0, os.path.join(TOP, "protocol", "cuda"))
sys.dont_write_bytecode = True
import generate  # noqa: E402

HEADER = """
typedef enum CUmode_enum { A = 0, B = 1 } CUmode;
typedef CUmode CUmode_v1;
typedef CUdeviceptr_v2 CUdeviceptr;
CUresult cuInit(unsigned int Flags);
CUresult cuMake(CUstream *out, unsigned int flags);
CUresult cuGone(CUstream hStream);
CUresult cuGone_v2(CUstream hStream);
CUresult cuFill(CUdeviceptr_v1 d, unsigned int n);
CUresult cuFill_v2(CUdeviceptr d, size_t n);
CUresult cuFill_v2_ptds(CUdeviceptr d, size_t n);
CUresult cuAsk(CUmode_v1 mode, size_t *value, CUstream hStream);
CUresult cuAsk_ptsz(CUmode_v1 mode, size_t *value, CUstream hStream);
CUresult cuMany(const CUevent *events, size_t n, const void *blob, const char *name);
CUresult cuLost(void);
"""
TYPEDEFS = """
typedef CUresult (CUDAAPI *PFN_cuInit_v2000)(unsigned int Flags);
typedef CUresult (CUDAAPI *PFN_cuMake_v2000)(CUstream *out, unsigned int flags);
typedef CUresult (CUDAAPI *PFN_cuGone_v2000)(CUstream hStream);
typedef CUresult (CUDAAPI *PFN_cuGone_v4000)(CUstream hStream);
typedef CUresult (CUDAAPI *PFN_cuFill_v2000)(CUdeviceptr_v1 d, unsigned int n);
typedef CUresult (CUDAAPI *PFN_cuFill_v3020)(CUdeviceptr_v2 d, size_t n);
typedef CUresult (CUDAAPI *PFN_cuFill_v7000_ptds)(CUdeviceptr_v2 d, size_t n);
typedef CUresult (CUDAAPI *PFN_cuAsk_v9000)(CUmode mode, size_t *value, CUstream hStream);
typedef CUresult (CUDAAPI *PFN_cuAsk_v9000_ptsz)(CUmode mode, size_t *value, CUstream hStream);
typedef CUresult (CUDAAPI *PFN_cuMany_v9000)(const CUevent *e, size_t n, const void *b, const char *s);
typedef CUresult (CUDAAPI *PFN_cuLost_v9000)(void);
"""
CALLS = "CUresult vgpuOwn(unsigned int n, const void *data); /* CUresult vgpuNot(void); */"


def headers(text=HEADER, typedefs=TYPEDEFS):
    return generate.Headers(text, typedefs, CALLS)


def table(text, h=None):
    """Most tables here are not about classes: who says nothing gets one."""
    lines = [line if re.search(r"(class|refuse) =", line) else
             line.replace("= { ", '= { class = "memory", ', 1) for line in text.split("\n")]
    return plain_table("\n".join(lines), h)


def plain_table(text, h=None):
    return generate.load_table("[group]\n" + text, h or headers())


def one(text):
    return table(text)[0]


class Headers(unittest.TestCase):
    def test_prototypes(self):
        h = headers()
        self.assertEqual([a.name for a in h.protos["cuMany"].args], ["events", "n", "blob", "name"])
        self.assertEqual(h.protos["cuMany"].args[0].ctype, "const CUevent *")
        self.assertEqual(h.protos["cuLost"].args, [])
        self.assertIn("CUmode_v1", h.enums)
        self.assertEqual(list(h.calls), ["vgpuOwn"])

    def test_forms(self):
        self.assertEqual(generate.split_export("cuMemcpyHtoD_v2_ptds"), ("cuMemcpyHtoD", 2, "ptds"))
        self.assertEqual(generate.split_export("cuMemcpy3D"), ("cuMemcpy3D", 1, None))

    def test_versions(self):
        entries, problems = generate.proc_entries(headers())
        self.assertEqual(problems, [])
        self.assertIn(("cuFill", 2000, False, "cuFill"), entries)
        self.assertIn(("cuFill", 3020, False, "cuFill_v2"), entries)
        self.assertIn(("cuFill", 7000, True, "cuFill_v2_ptds"), entries)
        self.assertIn(("cuGone", 4000, False, "cuGone_v2"), entries)

    def test_versions_that_do_not_fit(self):
        swapped = TYPEDEFS.replace("cuFill_v2000", "cuFill_v9999")
        _, problems = generate.proc_entries(headers(typedefs=swapped))
        self.assertTrue(any("cuFill" in p for p in problems), problems)


class Table(unittest.TestCase):
    def refused(self, text, why):
        with self.assertRaisesRegex(generate.TableError, why):
            table(text)

    def test_wire_structures(self):
        f = one('cuAsk = { id = 1, send = "reply", arg = { value = "out" } }')
        self.assertEqual(f.req_fields(), [("hStream", 8), ("mode", 4), ("reserved", 4)])
        self.assertEqual(f.rsp_fields(), [("value", 8)])
        f = one('cuMany = { id = 1, send = "quiet", arg = { events = "in:n?", blob = "in:n*4", name = "string" } }')
        self.assertEqual(f.req_fields(), [("n", 8), ("name_length", 4), ("present", 4)])

    def test_what_cannot_be(self):
        self.refused('cuMake = { id = 1, send = "later", arg = { out = "new" } }', "send")
        self.refused('cuMake = { id = 1, send = "quiet" }', "pointer travels")
        self.refused('cuMake = { id = 1, send = "quiet", arg = { out = "sideways" } }', "unknown kind")
        self.refused('cuMake = { id = 1, send = "quiet", arg = { none = "new" } }', "no argument")
        self.refused('cuMake = { id = 1, send = "quiet", colour = 1 }', "unknown keys")
        self.refused('cuAsk = { id = 1, send = "quiet", arg = { value = "out" } }', "no results")
        self.refused('cuGone_v2 = { id = 1, send = "quiet" }\n'
                     'cuFill_v2 = { id = 1, send = "quiet", arg = { d = "range:n" } }', "number 1")
        self.refused('cuMany = { id = 1, send = "quiet", arg = { events = "in:m", blob = "in:n", name = "string" } }',
                     "'m'")
        self.refused('cuFill_v2 = { id = 1, send = "quiet", arg = { d = "range" } }', "length")
        self.refused('vgpuNot = { id = 1, send = "quiet" }', "no prototype")

    def test_counts(self):
        name = lambda w: "q->" + w
        self.assertEqual(generate.expand("n", name), "q->n")
        self.assertEqual(generate.expand("n*4", name), "vgpu_cuda_product(q->n, 4)")
        self.assertEqual(generate.expand("n - 1", name), "q->n - 1")
        with self.assertRaises(generate.TableError):
            generate.expand("n+1", name)

    def test_classes(self):
        def of(text):
            return plain_table('cuInit = { %s guest = "custom" }' % text)[0].class_bits()
        self.assertEqual(of('class = "any",'), "0")
        self.assertEqual(of('class = "graphs+kernels",'), "POLICY_GRAPHS | POLICY_KERNELS")
        for wrong in ("", 'class = "none",', 'class = "any+memory",', 'class = "",',
                      'class = "admin",', 'class = "builtin",'):
            with self.assertRaises(generate.TableError, msg=wrong) as caught:
                of(wrong)
            self.assertIn("class", str(caught.exception))
        plain_table('cuMany = { refuse = "CUDA_ERROR_NOT_SUPPORTED" }')
        with self.assertRaises(generate.TableError):
            plain_table('cuGone_v2 = { id = 1, send = "quiet", arg = { hStream = "del" } }')

    def test_a_function_that_this_toolkit_lacks(self):
        f = one('cuFuture = { id = 9, send = "quiet" }')
        self.assertTrue(f.missing)
        self.assertNotIn("cuFuture", generate.emit_rpc_h([f]))


class Exports(unittest.TestCase):
    TABLE = ('cuInit = { guest = "custom" }\n'
             'cuGone_v2 = { id = 1, send = "quiet", arg = { hStream = "del" } }\n'
             'cuFill_v2 = { id = 2, send = "quiet", guest = "custom", arg = { d = "range:n" } }\n'
             'cuAsk = { id = 3, send = "reply", arg = { value = "out" } }\n'
             'cuMany = { refuse = "CUDA_ERROR_NOT_SUPPORTED" }\n')

    def test_who_answers(self):
        h = headers()
        functions = table(self.TABLE, h)
        how = {n: k for n, (k, _) in generate.Exports(functions, h).how.items()}
        self.assertEqual(how, {
            "cuInit": "custom", "cuMake": "none", "cuGone": "alias", "cuGone_v2": "auto",
            "cuFill": "none", "cuFill_v2": "custom", "cuFill_v2_ptds": "pt", "cuAsk": "auto",
            "cuAsk_ptsz": "pt", "cuMany": "refuse", "cuLost": "none"})

    def test_streams_of_per_thread_forms(self):
        h = headers()
        text, _, _, _ = generate.emit_exports_c(table(self.TABLE, h), h)
        self.assertIn("shim_stream_ptsz(hStream, &hStream)", text)
        self.assertIn("shim_default_per_thread = true", text)
        self.assertIn('{"cuFill", 3020, false, __extension__(void *)cuFill_v2}', text)

    def test_all_are_reachable(self):
        h = headers()
        exports = generate.Exports(table(self.TABLE, h), h)
        entries, _ = generate.proc_entries(h)
        generate.check_reachable(exports, entries)
        with self.assertRaises(generate.TableError):
            generate.check_reachable(exports, [e for e in entries if e[3] != "cuAsk_ptsz"])


class RealTable(unittest.TestCase):
    """The table of this tree with the toolkit's headers, where there are any."""

    def test_generates(self):
        include = os.environ.get("CUDA_INCLUDE")
        if not include:
            self.skipTest("no CUDA toolkit")
        with tempfile.TemporaryDirectory() as out:
            here = os.path.join(TOP, "protocol", "cuda")
            args = type("Args", (), dict(
                table=os.path.join(here, "api.toml"), calls=os.path.join(here, "vgpu_calls.h"),
                include=include, out=out, cc=os.environ.get("CC", "cc").split()))
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                generate.generate(args)
            self.assertNotIn("other arguments", said.getvalue())
            with open(os.path.join(out, "cuda-functions.md"), encoding="utf-8") as f:
                doc = f.read()
            self.assertIn("| `cuEventRecord` | quiet | memory |", doc)
            self.assertIn("`cuMemAllocManaged` | refused", doc)


if __name__ == "__main__":
    unittest.main()
