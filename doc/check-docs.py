#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Fails if a specification or a man page lacks something that the sources have.

Registers, bits, commands, messages, fields and limits come from the headers in
protocol/; ioctls from the uapi header; options, configuration keys, device
properties, module parameters and verbs from the sources.  Each must be named
in its document.  For what users type, the other way round is checked as well:
a man page must not promise what no source has.

usage: doc/check-docs.py [ROOT]
Prints each fault as FILE: TEXT; exit status 1 if there is one.
"""

import pathlib
import re
import subprocess
import sys

faults = []


def fault(document, text):
    faults.append(f"{document}: {text}")


class Tree:
    """The project's files, by name relative to its root."""

    def __init__(self, root):
        self.root = pathlib.Path(root)

    def text(self, name):
        return (self.root / name).read_text(encoding="utf-8")

    def sources(self, *patterns):
        """The text of all files that match, in one string; there must be one at least."""
        paths = sorted({p for pattern in patterns for p in self.root.glob(pattern)})
        if not paths:
            fault(", ".join(patterns), "no such source; is this checker out of date?")
        return "\n".join(p.read_text(encoding="utf-8") for p in paths)


def found(what, items):
    """A pattern that finds nothing checks nothing: that is a fault of its own."""
    items = list(items)
    if not items:
        fault("doc/check-docs.py", f"finds no {what} in the sources")
    return items


def number(text):
    """The value of a constant of the headers, as far as they need it."""
    text = re.sub(r"(?<=[0-9a-fA-F])(?:ull|u)\b", "", text.strip())
    return eval(text, {"__builtins__": {}}) if re.fullmatch(r"[0-9a-fA-Fx<()\s]+", text) else None


def defines(header, prefix):
    """(name without prefix, value or None, the comment's first word) of each macro."""
    pattern = rf"^#define {prefix}(\w+)[ \t]+(.+?)[ \t]*(?:/\*\W*(\w+).*)?$"
    for m in re.finditer(pattern, header, re.M):
        yield m.group(1), number(m.group(2)), m.group(3)


def struct_fields(header):
    """(struct, field) of each struct, padding left out."""
    for m in re.finditer(r"^struct (\w+) \{\n(.*?)^\};", header, re.M | re.S):
        body = re.sub(r"/\*.*?\*/", "", m.group(2), flags=re.S)
        for field in re.findall(r"(\w+)(?:\[[^]]*\])?;", body):
            if not field.startswith("pad"):
                yield m.group(1), field


def row(document, *cells):
    """Is there a table row with these cells, in this order, side by side?"""
    inner = r" *\| *".join(re.escape(str(c)) for c in cells)
    return re.search(rf"^\|(?:.*\|)? *{inner} *\|", document, re.M)


def word(document, text):
    return re.search(rf"(?<![\w-]){re.escape(text)}(?![\w-])", document)


def check_abi(tree):
    name, header = "protocol/abi.md", tree.text("protocol/vgpu_abi.h")
    document = tree.text(name)
    for reg, offset, access in found("registers", defines(header, "VGPU_REG_")):
        cells = (f"0x{offset:03x}", reg, access)
        if not row(document, *cells):
            fault(name, f"no row for register {' | '.join(cells)}")
    for prefix in ("STATUS_", "CONTROL_", "INT_"):
        for bit, value, _ in found(prefix, defines(header, f"VGPU_{prefix}")):
            width = 2 if prefix == "STATUS_" else 1
            if bit != "ALL" and not row(document, f"0x{value:0{width}x}", bit):
                fault(name, f"no row for bit {prefix}{bit}")
    for prefix in ("QUEUE_STATE_", "CMD_"):
        for item, value, _ in found(prefix, defines(header, f"VGPU_{prefix}")):
            if not row(document, value, item):
                fault(name, f"no row for {prefix}{item}")
    for item, value, _ in found("features", defines(header, "VGPU_F_")):
        if item != "ALL" and not row(document, value.bit_length() - 1, item):
            fault(name, f"no row for feature {item}")
    for prefix in ("GUEST_", "HOST_"):
        for item, _, _ in found(prefix, defines(header, f"VGPU_{prefix}")):
            if not word(document, prefix + item):
                fault(name, f"{prefix}{item} is not mentioned")
    macros = {n: v for n, v, _ in defines(header, "VGPU_")}
    for macro, value in macros.items():
        if re.search(r"_(MAX|MIN)$|^SELF_TEST", macro):
            power = f"2^{value.bit_length() - 1}"
            if not word(document, str(value)) and not word(document, power):
                fault(name, f"limit {macro} = {value} is not mentioned")
    for macro in ("PCI_VENDOR_ID", "PCI_DEVICE_ID", "PCI_CLASS", "MAGIC"):
        if not word(document, f"0x{macros[macro]:04x}"):
            fault(name, f"{macro} is not 0x{macros[macro]:04x} there")
    check_fields(name, document, header)


def check_fields(name, document, header, but=()):
    for struct, field in found("structs", struct_fields(header)):
        if field not in but and f"`{field}`" not in document:
            fault(name, f"field {field} of struct {struct} is not mentioned")


def check_socket(tree):
    name, header = "protocol/socket.md", tree.text("protocol/vgpu_socket.h")
    document = tree.text(name)
    messages = re.findall(r"^\tVGPU_MSG_(\w+) = (\w+),", header, re.M)
    for message, value in found("messages", messages):
        if not row(document, value, message):
            fault(name, f"no row for message {value} | {message}")
        if not re.search(rf"^### .*\b{message}, {value}\b", document, re.M):
            fault(name, f"no section for message {message}, {value}")
    for feature, value, _ in found("protocol features", defines(header, "VGPU_PF_")):
        if feature != "ALL" and not row(document, value.bit_length() - 1, feature):
            fault(name, f"no row for protocol feature {feature}")
    sizes = re.findall(r"sizeof\(struct (vgpu_msg_\w+)\) == (\d+)", header)
    for struct, size in found("message sizes", sizes):
        mentioned = re.search(rf"`{struct}`, {size}\b", document)
        part = struct in ("vgpu_msg_header", "vgpu_msg_queue")
        if not mentioned and not part:
            fault(name, f"`{struct}`, {size} is not mentioned")
    check_fields(name, document, header, but=("region", "regions", "queue"))


def plain(tree, page):
    """A man page as plain text."""
    run = subprocess.run(["mandoc", "-T", "utf8", "-O", "width=400", str(tree.root / page)],
                         stdout=subprocess.PIPE, check=True)
    return re.sub(".\b", "", run.stdout.decode("utf-8")).replace("\u2010", "-")


def macro_args(tree, page, macro):
    """What the items of a page's lists name: `.It Fl -foo` and the like."""
    return re.findall(rf"^\.It (?:Xo )?{macro} (\S+)", tree.text(page), re.M)


def compare(page, what, there, documented):
    """Both ways: what the source has and what the page lists."""
    for item in sorted(set(there) - set(documented)):
        fault(page, f"{what} '{item}' is missing")
    for item in sorted(set(documented) - set(there)):
        fault(page, f"{what} '{item}' is in no source")


def check_daemon(tree):
    page = "doc/man/gpu_mediator.8"
    source = tree.sources("mediator/daemon/*.c")
    options = found("options of gpu_mediator",
                    re.findall(r'^\t+\{"([a-z][a-z-]+)",\s*(?:\'.\'|0),\s*G_OPTION|'
                               r'^\t+\{"([a-z][a-z-]+)",\s*(?:\'.\'|0),\s*0,', source, re.M))
    compare(page, "option", [a or b for a, b in options],
            [o.lstrip("-") for o in macro_args(tree, page, r"(?:Fl \w , )?Fl") if o != "h"])


def main(argv):
    tree = Tree(argv[1] if len(argv) > 1 else pathlib.Path(__file__).resolve().parents[1])
    check_abi(tree)
    check_socket(tree)
    for text in faults:
        print(text, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
