#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Fails if a specification or a man page lacks something that the sources have.

Registers, bits, commands, messages, fields and limits come from the headers in
protocol/, CUDA calls from the table there; ioctls from the uapi header; options,
configuration keys, device properties, trace events, module parameters and
environment variables from the sources.  Each must be
named in its document, with its offset, number, range or default where it has
one.  For what users type, the other way round is checked as well: a man page
must not promise what no source has.

usage: doc/check-docs.py [ROOT]
Prints each fault as FILE: TEXT; exit status 1 if there is one.
"""

import pathlib
import re
import sys
import tomllib

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


WIDTHS = {"vgpu_u8": 1, "vgpu_le16": 2, "vgpu_le32": 4, "vgpu_le64": 8, "char": 1,
          "uint8_t": 1, "uint32_t": 4, "int32_t": 4, "uint64_t": 8}


def layout(header, struct):
    """(offset, size, field) of a struct of naturally aligned fields, nested structs left out."""
    body = re.search(rf"^struct {struct} \{{\n(.*?)^\}};", header, re.M | re.S).group(1)
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
    sizes = dict(re.findall(r"sizeof\(struct (\w+)\) == (\d+)", header))
    names = dict((n, v) for n, v, _ in defines(header, ""))
    at = 0
    for kind, field, length in re.findall(r"((?:struct )?\w+) (\w+)(?:\[(\w+)[^]]*\])?;", body):
        if kind.startswith("struct "):
            at += int(sizes[kind[7:]])
            continue
        size = WIDTHS[kind] * int(names.get(length, length) or 1)
        yield at, size, field
        at += size


def check_layout(name, document, header, structs):
    for struct in structs:
        for offset, size, field in found(f"layout of {struct}", layout(header, struct)):
            if not row(document, offset, size, f"`{field}`"):
                fault(name, f"no row | {offset} | {size} | `{field}` | of struct {struct}")


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
    check_layout(name, document, header, (
        "vgpu_request", "vgpu_desc", "vgpu_response", "vgpu_buffer_entry",
        "vgpu_compute_result", "vgpu_status_result", "vgpu_info_result",
        "vgpu_bandwidth_result", "vgpu_tenant_result"))


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
    check_layout(name, document, header, (
        "vgpu_msg_header", "vgpu_msg_hello", "vgpu_msg_status", "vgpu_msg_hello_reply",
        "vgpu_mem_region", "vgpu_msg_queue_start", "vgpu_msg_queue_start_reply",
        "vgpu_session_page"))


def check_cuda(tree):
    name, header = "protocol/cuda.md", tree.text("protocol/vgpu_cuda.h")
    document = tree.text(name)
    check_layout(name, document, header,
                 ("vgpu_cuda_call", "vgpu_cuda_result", "vgpu_cuda_note"))
    for struct in ("vgpu_cuda_call", "vgpu_cuda_result", "vgpu_cuda_note"):
        size = re.search(rf"sizeof\(struct {struct}\) == (\d+)", header).group(1)
        if not re.search(rf"`(struct )?{struct}`, {size} bytes", document):
            fault(name, f"`{struct}`, {size} bytes, is not mentioned")
    notes = [n for n in defines(header, "VGPU_CUDA_NOTE_") if n[0] != "ID"]
    for note, value, _ in found("notes", notes):
        if not row(document, value, note):
            fault(name, f"no row for note {value} | {note}")
    types = re.search(r"enum vgpu_cuda_type \{(.*?)VGPU_CUDA_TYPES", header, re.S).group(1)
    for number_, kind in enumerate(found("types", re.findall(r"VGPU_CUDA_(\w+)", types)), 1):
        if not row(document, number_, kind):
            fault(name, f"no row for type {number_} | {kind}")
    inline = re.search(r"VGPU_CUDA_INLINE_MAX (\d+)u", tree.text("protocol/cuda/vgpu_calls.h"))
    if not inline or not word(document, inline.group(1)):
        fault(name, "VGPU_CUDA_INLINE_MAX is not mentioned")
    check_cuda_table(tree, name, document)


def check_cuda_table(tree, name, document):
    """Calls of our own, with number and way; keys and kinds, as the generator knows them."""
    groups = tomllib.loads(tree.text("protocol/cuda/api.toml")).values()
    own = {f"`{call}`": spec for group in groups for call, spec in group.items()
           if call.startswith("vgpu")}
    for call, spec in found("calls of our own", own.items()):
        if not row(document, spec["id"], call, spec["send"]):
            fault(name, f"no row | {spec['id']} | {call} | {spec['send']} |")
    for call in sorted(set(re.findall(r"^\| \d+ \| (`vgpu\w+`)", document, re.M)) - set(own)):
        fault(name, f"{call} is not in the table")
    generator = tree.text("protocol/cuda/generate.py")
    keys = re.search(r"^KEYS = \{(.*?)\}", generator, re.M | re.S).group(1)
    kinds = re.search(r"\bkinds = \{(.*?)\}", generator, re.S).group(1)
    for what, names in (("key", keys), ("kind", kinds)):
        for item in found(what, re.findall(r'"(\w+)"', names)):
            if not re.search(rf"^\|(?: |[^|]*, )`{item}[:`]", document, re.M):
                fault(name, f"no row for {what} {item}")


def items(text, pattern):
    """The items of a page's lists whose .It line matches: (name, the text below it)."""
    parts = re.split(r"^\.It ", text, flags=re.M)[1:]
    for part in parts:
        head, _, below = part.partition("\n")
        name = re.match(pattern, head)
        if name:
            yield name.group(1), below


def section(text, kind, title):
    """What stands below a .Sh or .Ss line."""
    m = re.search(rf"^\.{kind} {re.escape(title)}\n(.*?)(?=^\.S[hs] |\Z)", text, re.M | re.S)
    return m.group(1) if m else ""


def compare(page, what, there, documented):
    """Both ways: what the sources have and what the page lists."""
    there = found(what, there)
    for item in sorted(set(there) - set(documented)):
        fault(page, f"{what} '{item}' is missing")
    for item in sorted(set(documented) - set(there)):
        fault(page, f"{what} '{item}' is in no source")


def check_config(tree):
    page = "doc/man/gpu_mediator.conf.5"
    text = tree.text(page)
    source = tree.text("mediator/daemon/config.c")
    keys = re.findall(r'KEY\("([\w-]+)", "([\w-]+)", (\w+), (\w+), (\d+), (\d+), (\w+)\)',
                      source)
    defaults = dict(re.findall(r"^\tc->(\w+) = (\d+);", source, re.M))
    documented = {}
    for group in found("groups", re.findall(r"^\.Ss Group \[(\w+)\]", text, re.M)):
        for name, below in items(section(text, "Ss", f"Group [{group}]"), r"Cm ([\w-]+)$"):
            documented[group, name] = below
    compare(page, "key", [k[:2] for k in keys], documented)
    for group, name, kind, member, low, high, restart in keys:
        below = documented.get((group, name), "")
        default = f"Default: {defaults.get(member, 0)}."
        if kind == "NUMBER" and not re.search(rf"\b{low} to {high}\b", below):
            fault(page, f"[{group}] {name}: the range {low} to {high} is missing")
        if kind in ("NUMBER", "MODE") and default not in below:
            fault(page, f"[{group}] {name}: '{default}' is missing")
        if (restart == "true") != (".Em Restart" in below):
            fault(page, f"[{group}] {name}: restart is {restart} in the source")


def check_example(tree):
    """The configuration file that is installed shows every key with its default."""
    page = "mediator/config.conf.in"
    group, shown = "", {}
    for line in tree.text(page).splitlines():
        if m := re.match(r"\[(\w+)\]$", line):
            group = m.group(1)
        elif m := re.match(r"#?([\w-]+)=(.*)$", line):
            shown[group, m.group(1)] = m.group(2)
    source = tree.text("mediator/daemon/config.c")
    keys = re.findall(r'KEY\("([\w-]+)", "([\w-]+)", \w+, (\w+),', source)
    compare(page, "key", [k[:2] for k in keys], shown)
    defaults = dict(re.findall(r"^\tc->(\w+) = (\d+);", source, re.M))
    for group, name, member in keys:
        if member in defaults and shown.get((group, name)) != defaults[member]:
            fault(page, f"[{group}] {name} is not {defaults[member]}")


def check_tenants(tree):
    """A tenant's file: the page has every key, with range, and the levels; the example all keys."""
    page, example = "doc/man/gpu_mediator.tenant.5", "mediator/policy/vm1.conf"
    text = tree.text(page)
    keys = re.findall(r'KEY\("(\w+)", "([\w-]+)", (\w+), [\w.]+, (\d+), (\d+),',
                      tree.text("mediator/policy/keys.c"))
    documented, shown, group = {}, set(), ""
    for name in found("groups", re.findall(r"^\.Ss Group \[(\w+)\]", text, re.M)):
        for key, below in items(section(text, "Ss", f"Group [{name}]"), r"Cm ([\w-]+)$"):
            documented[name, key] = below
    compare(page, "key", [k[:2] for k in keys], documented)
    for name, key, kind, low, high in keys:
        if kind == "store_number" and not re.search(rf"\b{low} to {high}\b",
                                                    documented.get((name, key), "")):
            fault(page, f"[{name}] {key}: the range {low} to {high} is missing")
    for line in tree.text(example).splitlines():
        if m := re.match(r"\[(\w+)\]$", line):
            group = m.group(1)
        elif m := re.match(r"#?([\w-]+)=", line):
            shown.add((group, m.group(1)))
    compare(example, "key", [k[:2] for k in keys], shown)
    levels = re.findall(r'\{"(\w+)", \w+, (\d+), (\d+), \d+, (\d+) \* MIB,',
                        tree.text("mediator/policy/levels.c"))
    for level, weight, sessions, mib in found("levels", levels):
        if f".It Cm {level} Ta {mib}M Ta {weight} Ta {sessions} Ta" not in text:
            fault(page, f"level {level}: no row with {mib}M, {weight} and {sessions}")


def glib_options(source):
    return re.findall(r'\{"([a-z][a-z-]*)",\s*(?:\'.\'|0),\s*[^,]+,\s*G_OPTION_ARG', source)


def long_options(text):
    """Long options of a page's lists, also where an item has two: `.It Fl -uid ... , Fl -gid`."""
    for head in re.findall(r"^\.It (.*Fl -.*)$", text, re.M):
        yield from re.findall(r"Fl -([\w-]+)", head)


def check_programs(tree):
    for page, pattern in (("doc/man/gpu_mediator.8", "mediator/daemon/*.c"),
                          ("doc/man/gpu_mediator-worker.8", "mediator/worker/*.c"),
                          ("doc/man/gpu_mediatorctl.1", "mediator/ctl/*.c"),
                          ("doc/man/gpu_mediator-exporter.8", "mediator/exporter/*.c"),
                          ("doc/man/vgpu-stub-xen.8", "xcp-ng/emulator/*.c")):
        # GLib brings --help along.
        compare(page, "option", glib_options(tree.sources(pattern)),
                set(long_options(tree.text(page))) - {"help"})


def check_control(tree):
    """Verbs, members, errors, kinds and causes of the control socket; what can be seen there."""
    name = "protocol/control.md"
    document = tree.text(name)
    request = tree.text("mediator/daemon/control_request.c")
    names = tree.text("mediator/daemon/audit_names.c")
    answer = tree.text("mediator/daemon/control_verbs.c")
    views = tree.text("mediator/daemon/control_views.c")
    verbs = re.findall(r'\[CONTROL_\w+\] = \{"(\w+)", ', request)
    table = section_md(document, "3. Verbs").split("\n### ")[0]
    compare(name, "verb", verbs, re.findall(r"^\| `(\w+)` \|", table, re.M))
    kinds, causes = (re.findall(r'\[AUDIT_\w+\] = "([\w-]+)"', part)
                     for part in names.split("causes[AUDIT_CAUSES]"))
    tables = section_md(document, "4. Lines of the audit log").split("| Cause |")
    for what, there, table in (("kind", kinds, tables[0]), ("cause", causes, tables[-1])):
        cells = re.findall(r"^\| (`.*?) \|", table, re.M)
        compare(name, what, there, [w for cell in cells for w in re.findall(r"`([\w-]+)`", cell)])
    errors = [e for e in re.findall(r'\[CONTROL_\w+\] = "([\w-]+)"', answer) if e != "none"]
    members = re.findall(r'\[[A-Z]+\] = \{"(\w+)", (?:TEXT|NUMBER|FLAG)\}', request)
    shown = re.findall(r'(?:_member|set_uint|set_limit|set_seconds)\(\s*\w+, "(\w+)"', views)
    for word_ in found("errors", errors) + found("members", members) + found("values", shown):
        if f"`{word_}`" not in document:
            fault(name, f"`{word_}` is not mentioned")
    page = "doc/man/gpu_mediatorctl.1"
    verbs = re.findall(r'^\t\{"(\w+)",', tree.text("mediator/ctl/main.c"), re.M)
    compare(page, "verb", verbs, [verb for verb, _ in items(
        section(tree.text(page), "Ss", "Verbs"), r"Cm (\w+)")])


def section_md(text, title):
    """What stands below a heading of a Markdown document, up to the next one of its kind."""
    m = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return m.group(1) if m else ""


def check_gpu_test(tree):
    page = "doc/man/gpu_test.1"
    text = tree.text(page)
    source = tree.sources("guest-driver/tools/main.c")
    long = re.findall(r'\{"([\w-]+)", (?:required|no)_argument, NULL, (\'\w\')?', source)
    compare(page, "option", [name for name, _ in long], long_options(text))
    for name, letter in long:
        if letter and f".It Fl {letter[1]} , Fl -{name}" not in text:
            fault(page, f"option '-{letter[1]}' is missing beside '--{name}'")
    words = re.findall(r'\{"(\w+)", run_\w+,', source)
    commands = section(text, "Ss", "Commands")
    compare(page, "command", words, [name for name, _ in items(commands, r"Cm (\w+)$")])
    for line in found("words", re.findall(r"^\w.*$", section(text, "Ss", "Output"), re.M)):
        constant = line.split(":")[0]
        if constant.startswith(("NOP", "Error")) and constant not in tree.sources(
                "guest-driver/tools/*.c"):
            fault(page, f"the tool does not say '{constant}'")


def level_classes(source):
    """The classes of each level, from levels.c."""
    macros = {name: text for name, text in
              re.findall(r"^#define (CLASSES_\w+) \((.*?)\)$", source, re.M)}

    def expand(text):
        names = set()
        for item in re.findall(r"\w+", text):
            names |= expand(macros[item]) if item in macros else {item}
        return names
    return {level: expand(text) for level, text in
            re.findall(r'\] = \{"(\w+)",\s+([\w |]+), \d+, \d+,', source)}


def check_classes(tree):
    """The matrix of levels, commands and functions in doc/tenants.md."""
    page = "doc/tenants.md"
    text = tree.text(page)
    classes = [name.lower() for name in
               re.findall(r"POLICY_(\w+) = 1u <<", tree.text("mediator/policy/policy.h"))]
    if not row(text, "Level", *found("classes", classes)):
        fault(page, f"no heading Level | {' | '.join(classes)}")
    levels = level_classes(tree.text("mediator/policy/levels.c"))
    for level, has in found("levels", levels.items()):
        cells = ["yes" if f"POLICY_{name.upper()}" in has or "POLICY_ALL" in has else "no"
                 for name in classes]
        if not row(text, level, *cells):
            fault(page, f"no row {level} | {' | '.join(cells)}")
    commands = re.findall(r'\[VGPU_CMD_(\w+)\] = \{cmd_\w+, "\w+", (?:POLICY_)?(\w+),',
                          tree.text("mediator/worker/commands.c"))
    for command, name in found("commands", commands):
        if not row(text, command, name.lower()):
            fault(page, f"no row {command} | {name.lower()}")
    table = {}
    for group in tomllib.loads(tree.text("protocol/cuda/api.toml")).values():
        for function, spec in group.items():
            if not function.startswith("vgpu") and "refuse" not in spec:
                table.setdefault(spec["class"], set()).add(function)
    listed = text.partition("<!-- functions")[2].partition("<!-- end -->")[0]
    lists = {name: set(re.findall(r"`(cu\w+)`", below)) for name, below in
             re.findall(r"^\*\*([\w+]+)\*\* .*?:\n(.*?)\n$", listed, re.M | re.S)}
    for name in sorted(set(found("functions", table)) | set(lists)):
        for function in sorted(table.get(name, set()) ^ lists.get(name, set())):
            fault(page, f"function {function} is not in both the table and the list of '{name}'")


def check_smi(tree):
    page = "doc/man/vgpu-smi.1"
    text, source = tree.text(page), tree.sources("guest-driver/tools/smi.c")
    long = re.findall(r'\{"([\w-]+)", (?:required|no)_argument, NULL, (\'\w\')?', source)
    compare(page, "option", [name for name, _ in long], long_options(text))
    for name, letter in long:
        if letter and f".It Fl {letter[1]} , Fl -{name}" not in text:
            fault(page, f"option '-{letter[1]}' is missing beside '--{name}'")
    for row in found("rows", re.findall(r'\brow\("([\w ]+)"\)', source)):
        if not re.search(rf"^\.It {row}$", text, re.M):
            fault(page, f"line '{row}' is missing")


def check_device(tree):
    page = "doc/man/qemu-vgpu-stub.7"
    text = tree.text(page)
    source = tree.sources("qemu-device/qemu/*.c")
    properties = section(text, "Ss", "Properties")
    compare(page, "property", re.findall(r'DEFINE_PROP_\w+\("([\w-]+)"', source),
            [name for name, _ in items(properties, r"Cm ([\w-]+)= ")])
    events = re.findall(r"^(\w+)\(", tree.text("qemu-device/qemu/trace-events"), re.M)
    tracing = section(text, "Ss", "Tracing")
    compare(page, "trace event", events, [name for name, _ in items(tracing, r"Cm (\w+)$")])


def check_module(tree):
    page = "doc/man/vgpu_stub.4"
    text = tree.text(page)
    source = tree.sources("guest-driver/module/*.c")
    listed = dict(items(section(text, "Sh", "MODULE PARAMETERS"), r"Cm (\w+)$"))
    compare(page, "parameter", re.findall(r"module_param(?:_named)?\((\w+),", source), listed)
    for name, default in re.findall(r'MODULE_PARM_DESC\((\w+), "[^"]*\((\d+)\)"', source):
        if f"Default: {default}." not in listed.get(name, ""):
            fault(page, f"parameter {name}: 'Default: {default}.' is missing")
    header = tree.text("guest-driver/module/uapi/vgpu_stub.h")
    ioctls = [f"VGPU_STUB_IOC_{name}" for name, _, _ in defines(header, "VGPU_STUB_IOC_")]
    compare(page, "ioctl", [name for name in ioctls if not name.endswith("_MAGIC")],
            [name for name, _ in items(text, r"Dv (VGPU_STUB_IOC_\w+)")])
    for struct, field in found("structs", struct_fields(header)):
        if not re.search(rf"^\.Fa {field}\b", text, re.M):
            fault(page, f"field {field} of struct {struct} is not mentioned")


def check_environment(tree):
    """What is asked of the environment, page by page; the tests' own do not count."""
    for page, patterns in (
            ("doc/man/gpu_mediator-cuda.7", ("guest-driver/cuda/**/*.c", "guest-driver/nvml/*.c",
                                             "guest-driver/lib/*.c")),
            ("doc/man/gpu_test.1", ("guest-driver/tools/*.c",)),
            ("doc/man/gpu_mediator-worker.8", ("mediator/worker/**/*.c",))):
        listed = section(tree.text(page), "Sh", "ENVIRONMENT")
        compare(page, "variable", re.findall(r'getenv\("(\w+)"\)', tree.sources(*patterns)),
                [name for name, _ in items(listed, r"Ev (\w+)")])


def check_pages(tree):
    """Every man page is installed and is named by another one."""
    build = tree.text("doc/meson.build")
    pages = found("man pages", sorted((tree.root / "doc/man").glob("*.[1-8]")))
    for page in pages:
        if f"'man/{page.name}'" not in build:
            fault("doc/meson.build", f"does not install man/{page.name}")
        title, part = page.name.rsplit(".", 1)
        others = "\n".join(p.read_text(encoding="utf-8") for p in pages if p != page)
        if not re.search(rf"^\.Xr {re.escape(title)} {part}\b", others, re.M):
            fault(f"doc/man/{page.name}", "no other page names it")


def check_version(tree):
    """The version stands in each file that some packager reads."""
    version = re.search(r"^  version: '([^']+)'", tree.text("meson.build"), re.M).group(1)
    for name, pattern in (("guest-driver/module/dkms.conf", r'^PACKAGE_VERSION="([^"]+)"'),
                          ("guest-driver/module/Makefile", r"/usr/src/vgpu_stub-(\S+)"),
                          ("debian/changelog", r"\A\S+ \(([^)]+)\)"),
                          ("xcp-ng/rpm/vgpu-stub.spec", r"^Version: +(\S+)")):
        there = re.search(pattern, tree.text(name), re.M)
        if not there or there.group(1) != version:
            fault(name, f"the version is not {version}, that of meson.build")


def main(argv):
    tree = Tree(argv[1] if len(argv) > 1 else pathlib.Path(__file__).resolve().parents[1])
    for check in (check_abi, check_socket, check_cuda, check_config, check_example, check_tenants,
                  check_classes, check_programs, check_control, check_gpu_test, check_smi,
                  check_device, check_module,
                  check_environment, check_pages, check_version):
        check(tree)
    for text in faults:
        print(text, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
