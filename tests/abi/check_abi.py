#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Guards the layout of annals_plugin.h, which plugins that are out there were built with.

Makes a C program out of the header that prints all structs, with every member's offset, size and declaration, and all
constants; compiles and runs it; and compares what it prints with the golden file of the header's version. The golden files of
one major version are then compared with each other: a later one may only have appended.

usage: check_abi.py HEADER COMPILER GOLDEN_DIRECTORY [--print]
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

STRUCT = re.compile(r"typedef struct (\w+) \{\n(.*?)\n\} \1;", re.S)
TYPE = re.compile(r"^typedef (\w+) (\w+);", re.M)
MACRO = re.compile(r"^#define (ANNALS_\w+)[ ]+(\S.*)$", re.M)
FOR_AUTHORS = "/* --- for the author"  # macros from here on make no difference to the other side
# The size of these is in another struct: identity.descriptor_size, host.option_size.
SIZED_ELSEWHERE = {"annals_plugin_descriptor", "annals_option"}
VERSION = {"ANNALS_PLUGIN_ABI_MAJOR", "ANNALS_PLUGIN_ABI_MINOR"}


def without_comments(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def declarations(body):
    """(name, declaration) of every member."""
    for part in body.split(";"):
        text = " ".join(part.split())
        if not text:
            continue
        found = re.search(r"\(\*(\w+)\)", text) or re.search(r"(\w+)(?:\[\w+\])?$", text)
        yield found.group(1), text


def program(header):
    full = header.read_text()
    plain = without_comments(full)
    out = ["#include <stddef.h>", "#include <stdio.h>", f'#include "{header.resolve()}"', "int main(void) {"]
    structs = STRUCT.findall(plain)
    if len(structs) != len(re.findall(r"\bstruct \w+ \{", plain)) or not structs:
        sys.exit(f"{header}: not every struct could be read; expected each as `typedef struct NAME {{` ... `}} NAME;`")
    for name, body in structs:
        out.append(f'printf("struct {name} size %zu align %zu\\n", sizeof({name}), _Alignof({name}));')
        for member, text in declarations(body):
            out.append(f'printf("  %zu %zu {member} : {text}\\n", offsetof({name}, {member}), sizeof((({name}*)0)->{member}));')
    for of, name in TYPE.findall(plain):
        out.append(f'printf("constant {name} is {of} size %zu\\n", sizeof({name}));')
    for name, value in MACRO.findall(without_comments(full[: full.index(FOR_AUTHORS)])):
        value = value.strip().replace("\\", "\\\\").replace('"', '\\"')
        if value.startswith(("{", '\\"')):
            out.append(f'printf("constant {name} %s\\n", "{value}");')
        else:
            out.append(f'printf("constant {name} %lld\\n", (long long)({name}));')
    return "\n".join([*out, "return 0;", "}", ""])


def dump(header, compiler):
    with tempfile.TemporaryDirectory() as directory:
        source, binary = Path(directory, "dump.c"), Path(directory, "dump")
        source.write_text(program(header))
        environment = {k: v for k, v in os.environ.items() if k not in ("CFLAGS", "LDFLAGS")}
        built = subprocess.run([compiler, "-std=c11", "-o", binary, source], capture_output=True, text=True, env=environment)
        if built.returncode != 0:
            sys.exit(f"cannot compile what prints the layout of {header}:\n{built.stderr}")
        return subprocess.run([binary], capture_output=True, text=True, check=True).stdout


def read(text):
    """The dump as (structs: name -> (size, align, [(offset, size, name, declaration)]), constants: name -> text)."""
    structs, constants = {}, {}
    for line in text.splitlines():
        words = line.split(" ")
        if words[0] == "struct":
            members = []
            structs[words[1]] = (int(words[3]), int(words[5]), members)
        elif words[0] == "constant":
            constants[words[1]] = " ".join(words[2:])
        else:
            offset, size, name, _, declaration = line.strip().split(" ", 4)
            members.append((int(offset), int(size), name, declaration))
    return structs, constants


def may_grow(name, members):
    return name in SIZED_ELSEWHERE or members[0][2] == "struct_size"


def broken_promises(earlier, later):
    """What a later minor version did to an earlier one, and must not."""
    (old_structs, old_constants), (new_structs, new_constants) = earlier, later
    for name, (size, align, members) in old_structs.items():
        if name not in new_structs:
            yield f"struct {name} was removed"
            continue
        new_size, new_align, new_members = new_structs[name]
        if new_align != align:
            yield f"struct {name} is aligned to {new_align} bytes, no longer to {align}"
        if new_size < size or (new_size > size and not may_grow(name, members)):
            yield f"struct {name} has {new_size} bytes, no longer {size}, and its readers have no way to tell"
        for member in members:
            if member in new_members:
                continue
            if not member[2].startswith("reserved"):
                now = next((m for m in new_members if m[2] == member[2]), None)
                yield f"{name}.{member[2]} was {member}; it is {now}"
        for offset, member_size, member, _ in new_members:
            if any(m[2] == member for m in members):
                continue
            taken = [m for m in members if offset < m[0] + m[1] and m[0] < offset + member_size]
            if any(not m[2].startswith("reserved") for m in taken) or (not taken and offset < size):
                yield f"{name}.{member} at offset {offset} is neither at the end nor in place of a reserved member"
    for name, value in old_constants.items():
        if name not in VERSION and new_constants.get(name) != value:
            yield f"{name} was {value}; it is {new_constants.get(name)}"


def version_of(constants):
    return int(constants["ANNALS_PLUGIN_ABI_MAJOR"]), int(constants["ANNALS_PLUGIN_ABI_MINOR"])


def main(header, compiler, goldens):
    now = dump(header, compiler)
    major, minor = version_of(read(now)[1])
    golden = goldens / f"abi-{major}.{minor}.txt"
    how_to_add = f"check_abi.py {header} {compiler} {goldens} --print >{golden}"
    if not golden.exists():
        return [f"there is no {golden} for the header's version {major}.{minor}: add it with\n  {how_to_add}"]
    problems = []
    expected = golden.read_text()
    if now != expected:
        changed = sorted(set(now.splitlines()) ^ set(expected.splitlines()), key=str.strip)
        marked = [("now:    " if line in now.splitlines() else "golden: ") + line for line in changed]
        problems.append(
            f"the header is not what {golden.name} says, but calls itself {major}.{minor}, and plugins of that version are out "
            "there:\n  " + "\n  ".join(marked) + "\n"
            f"Appended something? Set ANNALS_PLUGIN_ABI_MINOR to {minor + 1} and add abi-{major}.{minor + 1}.txt (--print). Moved, "
            f"removed or changed something?\nThen no plugin that exists will work: set ANNALS_PLUGIN_ABI_MAJOR to {major + 1}.")
    known = sorted((version_of(read(p.read_text())[1]), p) for p in goldens.glob("abi-*.txt"))
    for (version, path) in known:
        if path.name != f"abi-{version[0]}.{version[1]}.txt":
            problems.append(f"{path} describes {version[0]}.{version[1]}")
    for (before, a), (after, b) in zip(known, known[1:]):
        if before[0] == after[0]:
            problems += [f"{b.name} breaks {a.name}: {why}" for why in broken_promises(read(a.read_text()), read(b.read_text()))]
    return problems


if __name__ == "__main__":
    the_header, the_compiler, the_goldens = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    if sys.argv[4:] == ["--print"]:
        sys.stdout.write(dump(the_header, the_compiler))
        sys.exit(0)
    found = main(the_header, the_compiler, the_goldens)
    for problem in found:
        print(problem)
    sys.exit(1 if found else 0)
