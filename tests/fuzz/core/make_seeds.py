#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the seed corpus of fuzz_core: short plays in the fuzzer's own input format."""

import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent / "corpus" / "fuzz_core"
HELLO, TABLE, ADD, REM, RESET, START, STOP, RESUME, LOST = range(9)
REGISTERS = 4  # as a queue


def memory(n=1):
    return bytes([n]) + b"".join(bytes([i, 16]) for i in range(n))


def write(offset, value):
    return b"\0" + struct.pack("<HIB", offset, value, 0)


def message(kind, q=0, status=0, fds=0, session=5, spoil=b"\0"):
    body = bytes([4, kind, -status & 0xff, q, int(status == 0)])
    if kind == START:
        body += bytes([session])
    return body + bytes([fds]) + spoil


def time(ms):
    return b"\6" + struct.pack("<H", ms)


LINK = memory() + message(HELLO) + message(TABLE)
QUEUE = b"\x0c\0" + message(START, 0, fds=2)
COMMAND = write(0, 0) + message(START, REGISTERS, fds=3)
ANSWER = b"\x0b" + struct.pack("<HI", 2, 8)  # to id 1

SEEDS = {
    "link": LINK,
    "refused": memory() + message(HELLO, status=-13) + time(5000) + message(HELLO),
    "queue": LINK + QUEUE + b"\x09\0" + write(0x54, 0) + message(STOP, 0),
    "lost": LINK + QUEUE + message(LOST, 0, status=-5) + write(0x54, 0),
    "hup": LINK + QUEUE + b"\x0a\0" + write(0x54, 0) + message(STOP, 0),
    "resume": LINK + QUEUE + b"\7\1" + time(100) + message(HELLO) + message(TABLE)
              + message(RESUME, 0) + write(0x54, 0) + message(STOP, 0),
    "resume-refused": LINK + QUEUE + b"\7\1" + time(100) + message(HELLO) + message(TABLE)
                      + message(RESUME, 0, status=-2) + write(0x54, 0) + b"\x0a\0",
    "command": LINK + COMMAND + ANSWER + write(0, 1),
    "bad-ring": LINK + COMMAND + b"\x0b" + struct.pack("<HI", 0x81, 0xffffffff),
    "worker-dies": LINK + COMMAND + b"\x0a\4" + write(0, 0) + message(STOP, REGISTERS)
                   + message(START, REGISTERS, fds=3),
    "reset": LINK + QUEUE + COMMAND + write(0x24, 1) + message(RESET),
    "reset-offline": LINK + QUEUE + b"\7\1" + write(0x24, 1) + b"\x0a\0",
    "memory": LINK + b"\x08" + memory(9) + message(REM) + message(ADD) + b"\x08" + memory(0),
    "send-fails": LINK + b"\x0d\4" + b"\x0c\0" + write(0x54, 0) + time(2000),
    "raw": LINK + b"\3" + bytes([12, 0]) + struct.pack("<III", 0x180, 1, 184) + b"\3" + bytes([63, 1]),
}

HERE.mkdir(parents=True, exist_ok=True)
for name, data in SEEDS.items():
    (HERE / name).write_bytes(data)
