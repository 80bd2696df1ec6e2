#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Puts kernels into a C file: embed.py OUTPUT PTX [ARCH=CUBIN...]."""

import pathlib
import sys


def words(data):
    return "".join(f"{b:#04x},\n" if i % 16 == 15 else f"{b:#04x}," for i, b in enumerate(data))


def main():
    output, ptx, *cubins = sys.argv[1:]
    out = ['#include "harness.h"\n',
           f"const char kernels_ptx[] = {{\n{words(pathlib.Path(ptx).read_bytes())}0}};\n"]
    table = ""
    for spec in cubins:
        arch, path = spec.split("=", 1)
        data = pathlib.Path(path).read_bytes()
        out.append(f"static const unsigned char code_{arch}[] "
                   f"__attribute__((aligned(16))) = {{\n{words(data)}}};\n")
        table += f"\t{{{arch}, code_{arch}, sizeof(code_{arch})}},\n"
    out.append(f"const struct machine_code kernels_cubin[] = {{\n{table}\t{{0, 0, 0}}}};\n")
    out.append(f"const size_t kernels_cubin_count = {len(cubins)};\n")
    pathlib.Path(output).write_text("".join(out), encoding="ascii")


if __name__ == "__main__":
    main()
