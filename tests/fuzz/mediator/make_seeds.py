#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the seed corpora of the mediator's fuzzers beside itself."""
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent


def write(corpus, name, data):
    (HERE / "corpus" / corpus / name).write_bytes(data)


# ------------------------------------------------------------------ messages

def message(request, payload, fds=0, step=255, flags=1):
    """One message in steps of `step` bytes, as the socket fuzzer reads them."""
    data = struct.pack("<III", request, flags, len(payload)) + payload
    out = b""
    # The parser takes the header first, then the payload.
    parts = [data[:12]] + ([data[12:]] if payload else [])
    for part in parts:
        while part:
            chunk, part = part[:step], part[step:]
            out += bytes([len(chunk) - 1, fds]) + chunk
            fds = 0
    return out


def region(gpa, size, offset=0, domid=0):
    return struct.pack("<QQQQII", gpa, size, 0, offset, 1 if domid else 0, domid)


HELLO = message(0x100, struct.pack("<IIIIQQ16s64sII", 0x4B4F5356, 1, 0x10000, 16, 7,
                                   0x9008, bytes(16), b"vm", 0, 0))


def table(*regions):
    return struct.pack("<II", len(regions), 0) + b"".join(regions).ljust(320, b"\0")


START = struct.pack("<IIQQIIII", 0, 0, 0x100000, 0x200000, 256, 256, 16, 1)
SOCKET = {
    "hello": HELLO,
    "hello-slow": message(0x100, bytes(120), step=7),
    "table": HELLO + message(5, table(region(0, 0xA0000), region(0x100000, 0x100000, 0xA0000)), 2, flags=9),
    "add-remove": HELLO + message(37, bytes(8) + region(0x1000, 0x1000), 1)
    + message(38, bytes(8) + region(0x1000, 0x1000)),
    "overlap": HELLO + message(5, table(region(0, 0x2000), region(0x1000, 0x1000)), 2),
    "by-domain": HELLO + message(5, table(region(0, 0x2000, domid=5)))
    + message(37, bytes(8) + region(0, 0x2000, domid=5))
    + message(37, bytes(8) + region(0x2000, 0x1000, domid=6)),
    "start-stop": HELLO + message(0x101, START, 2) + message(0x102, struct.pack("<IIQ", 0, 0, 1)),
    "resume-reset": HELLO + message(0x103, struct.pack("<IIQ", 0, 0, 1), 1) + message(34, b"", flags=9),
    "too-early": message(34, b""),
    "too-long": HELLO + message(34, b"1234"),
}


# ------------------------------------------------------------------ requests

GPA, PAGE, PAGES = 0x10000, 4096, 32


class Ram:
    """Guest RAM of the request fuzzer."""

    def __init__(self):
        self.bytes = bytearray(PAGE * PAGES)
        self.prod = 0

    def request(self, command, descs=(), body=b"", flags=0):
        record = struct.pack("<IHHQHHIQ", 32 + 24 * len(descs) + len(body), command, flags,
                             self.prod + 1, len(descs), 0, 0, 0)
        record += b"".join(struct.pack("<IIQQ", b, 0, o, n) for b, o, n in descs) + body
        self.put(PAGE + self.prod * 64, record)
        self.prod += (len(record) + 63) // 64
        self.put(0, struct.pack("<I", self.prod))

    def put(self, at, data):
        self.bytes[at:at + len(data)] = data

    def buffer(self, index, segments, page, flags=3):
        length = sum(n for _, n in segments)
        self.put(6 * PAGE + 64 * index, struct.pack("<IIQQI", 1, flags, length, GPA + page * PAGE,
                                                    len(segments)))
        while segments:
            now, segments = segments[:255], segments[255:]
            self.put(page * PAGE, struct.pack("<QII", GPA + (page + 1) * PAGE if segments else 0,
                                              len(now), 0)
                     + b"".join(struct.pack("<QQ", a, n) for a, n in now))
            page += 1

    def save(self, name):
        write("fuzz_request", name, bytes(self.bytes).rstrip(b"\0"))


def requests():
    r = Ram()
    r.request(0)
    r.request(6, body=b"TEST")
    r.save("nop-text")

    r = Ram()
    r.buffer(0, [(GPA + 20 * PAGE, PAGE)], 7)
    r.buffer(1, [(GPA + (21 + 2 * i) * PAGE, PAGE) for i in range(4)], 8)
    r.request(1, [(0, 0, 1024), (1, 4000, 1024), (1, 8, 1024)], struct.pack("<Q", 256))
    r.request(1, [(0, 0, 4096), (0, 0, 4096), (1, 0, 4096)], struct.pack("<Q", 1024))
    r.save("vector-add")

    r = Ram()
    r.buffer(2, [(GPA + 20 * PAGE + 8 * i, 4) for i in range(600)], 7)
    r.request(5, [(2, 0, 2400)], struct.pack("<II", 1, 0))
    r.request(5, [(2, 1200, 8)], struct.pack("<II", 1, 0))
    r.save("chain")

    r = Ram()
    r.buffer(0, [(GPA + 15 * PAGE, 2 * PAGE)], 7)  # across the border of the regions
    r.buffer(1, [(GPA + 31 * PAGE, 2 * PAGE)], 8)  # beyond the end
    r.request(1, [(0, 0, 8192), (1, 0, 8192), (0, 0, 8192)], struct.pack("<Q", 2048))
    r.save("borders")

    r = Ram()
    r.request(0, flags=1)
    r.request(4, body=bytes(4000))
    r.put(0, struct.pack("<I", 129))
    r.save("broken")


# ------------------------------------------------------------------- tenants

def tenants():
    example = HERE.parents[2] / "mediator" / "policy" / "vm1.conf"
    # Its keys with values, all in force; who is the tenant, both ways.
    text = "".join(line.lstrip("#") for line in example.read_text().splitlines(keepends=True)
                   if line.strip() and not line.startswith("# ")
                   and not line.rstrip().endswith("="))
    write("fuzz_policy", "all", text.encode())
    write("fuzz_policy", "users", b"[tenant]\nusers=1000;root;\nowner=1000\nsocket-mode=0600\n"
                                  b"[allowed]\ngpus=0;1\nplacement=spread\n")
    write("fuzz_policy", "units", b"[tenant]\nsocket=/a\n[limits]\nmemory=25%\ncap=50%\n"
                                  b"calls-per-second=5K\ncalls-burst=1\nbytes-per-second=1G\n"
                                  b"longest-kernel=100ms\nover-limit=evict\n"
                                  b"[faults]\nwithin=7us\nquarantine=1ns\n")
    write("fuzz_policy", "wrong", b"[tenant]\nlevel=root\n[limit]\nmemory=1.5G\n")


CONTROL = {
    "status": b'{"verb":"status","id":1}',
    "audit": b'{"verb":"audit","tenant":"vm1","kind":"eviction","since":"2026-11-27T08:15:02.5Z",'
             b'"after":7,"most":100}',
    "surrogate": b'{"verb":"tenants","tenant":"5\\uDDO[\\uDDDD"}',
    "set": b'{"id":"a\\n","verb":"set","tenant":"vm1","key":"weight","value":"5\\u0041"}',
    "evict": b'{"verb":"evict","session":12}',
    "quarantine": b'{"verb":"quarantine","tenant":"vm1","for":"10m"}',
    "drain": b'{"verb":"drain","off":true}',
    "nested": b'{"verb":"sessions","tenant":[{}]}',
}

for key, value in SOCKET.items():
    write("fuzz_socket", key, value)
for key, value in CONTROL.items():
    write("fuzz_control", key, value)
requests()
tenants()
