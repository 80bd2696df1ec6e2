#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the seed corpus of the emulator's fuzzer beside itself."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus" / "fuzz_ioreq"
AS_IT_IS, CONFIG, IN_BAR, FROM_RAM = range(4)
READ, BACKWARD, POINTER = 1, 2, 4


def request(kind, addr, data=0, count=1, size=2, kind_of=0, flags=0, bar=0):
    return bytes([kind]) + struct.pack("<QQHBBB3x", addr, data, count, size, kind_of,
                                       flags | bar << 3)


def config(offset, value, size=2):
    return request(CONFIG, offset, value, size=size)


FIRMWARE = (config(0x10, 0xFFFFFFFF) + config(0x10, 0xF0000000) + config(0x18, 0xF0100000)
            + config(0x20, 0xF0001000) + config(4, 6, size=1))
MSIX = (request(IN_BAR, 0, 0xFEE00000, bar=4) + request(IN_BAR, 12, 0, bar=4)
        + config(0x42, 0x8000, size=1))

SEEDS = {
    "firmware": FIRMWARE,
    "registers": FIRMWARE + request(IN_BAR, 0xC, flags=READ)
    + request(IN_BAR, 0x38, 7) + request(IN_BAR, 0, 0),
    "interrupt": FIRMWARE + MSIX + request(IN_BAR, 0x38, 7) + request(IN_BAR, 0, 0)
    + config(4, 2, size=1) + config(4, 6, size=1),
    "strings": FIRMWARE + request(FROM_RAM, 0x100, 64, count=15)
    + request(FROM_RAM, 0x100, 4096, count=15, flags=READ | BACKWARD),
    "moves": FIRMWARE + config(0x10, 0xF0100000) + config(0x18, 0xE0000000) + config(4, 0, size=1),
    "raw": FIRMWARE + request(AS_IT_IS, 0xF0000000, 0, count=0xFFFF, size=8, kind_of=1,
                              flags=POINTER) + request(AS_IT_IS, 0, kind_of=8),
    "doorbell": FIRMWARE + request(IN_BAR, 0, 1, bar=2),
}

CORPUS.mkdir(parents=True, exist_ok=True)
for name, data in SEEDS.items():
    (CORPUS / name).write_bytes(data)
