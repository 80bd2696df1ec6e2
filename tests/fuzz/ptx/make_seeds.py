#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the seed corpus of the PTX fuzzer beside itself."""
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent / "corpus" / "fuzz_ptx"
HEAD = ".version 9.0\n.target sm_90, debug\n.address_size 64\n"
KERNEL = (".visible .entry _Z4tmplIfEvPT_i(\n\t.param .u64 .ptr .align 1 p_0,\n"
          "\t.param .align 8 .b8 p_1[24], .param .u8 p_2)\n.maxntid 128, 1, 1\n"
          ".minnctapersm 2\n{\n\t.reg .b32 %r<4>;\n\t.shared .align 4 .b8 st[256];\n"
          "\tld.param.u64 %rd1, [p_0]; // read\n\t{ ret; }\n}\n")
VARIABLES = ('.global .align 4 .u32 counter = 5;\n.const .align 4 .b8 c[64];\n'
             ".global .align 8 .b8 s[8] = {1, 0x2, -3, 0b1, 07};\n"
             ".global .f32 f[2] = {0f3FC00000, 1.5}, g;\n.global .f64 d = 0d3FD5555555555555;\n"
             ".global .u64 a = generic(counter);\n.global .v4 .f32 v[2];\n"
             ".extern .shared .align 16 .b8 dyn[];\n.global .b8 t[2][2] = {{1, 2}, {3, 4}};\n")
OTHERS = ('.file 1 "a.cu", 17, 4\n.extern .func (.param .b32 r) vprintf(.param .b64 f);\n'
          ".func (.param .b32 r) fn(.param .b64 f)\n{\n\tret;\n}\n.pragma \"nounroll\";\n"
          ".section .debug_info\n{\n.b8 1, 2\n}\n.alias a, fn;\n/* a\n comment */\n")


def fatbin(text, header=64):
    text = text.encode() + b"\0"
    text += bytes(-len(text) % 8)
    part = struct.pack("<HHIQIIHHIIIQQQ", 1, 0x101, header, len(text), 0, 0, 0, 9, 90, 0, 0,
                       0x11, 0, 0)
    code = struct.pack("<HHIQIIHHIIIQQQ", 2, 0x101, header, 8, 0, 0, 0, 1, 90, 0, 0, 0x11, 0, 0)
    body = code + bytes(8) + part + text
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def main():
    HERE.mkdir(parents=True, exist_ok=True)
    for name, text in {"kernel": KERNEL, "variables": VARIABLES, "others": OTHERS,
                       "all": OTHERS + VARIABLES + KERNEL}.items():
        (HERE / name).write_text(HEAD + text)
    (HERE / "fatbin").write_bytes(fatbin(HEAD + KERNEL))


if __name__ == "__main__":
    main()
