#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the sources against the module table of docs/architecture.md: who may import whom, and who may include what.

The rules, beside the table itself:
- an interface (.cppm) imports what the column "interface imports" allows, and includes standard headers of C++ only
  (annals.sdk also the C header, whose structs it fills);
- an implementation imports that, and what the column "implementation imports" adds;
- other headers than those of C++ only where the column "headers" names them;
- every module of the table has an interface at the path its name says, and every interface is in the table;
- includes come before imports in every file, but for headers of the module's own folder that include nothing themselves.
"""
import re
import sys
from pathlib import Path

STANDARD = set("""algorithm array atomic bit charconv chrono climits clocale cmath compare concepts condition_variable cerrno csignal cstddef cstdint cstdio cstdlib
cstring ctime deque exception filesystem fstream functional initializer_list iostream iterator limits list map memory mutex new
numeric optional random set shared_mutex source_location span sstream stdexcept string string_view system_error thread tuple type_traits typeinfo
unordered_map unordered_set utility variant vector""".split())
HEADERS = {
    "POSIX": re.compile(r"^(dirent|fcntl|limits|poll|pthread|sched|signal|stdio|time|unistd|sys/\w+|pwd|linux/\w+)\.h$"),
    "Boost.DLL": re.compile(r"^(boost/dll/|dlfcn\.h$)"),
    "ELF": re.compile(r"^(elf|link)\.h$"),
    "plugin ABI": re.compile(r"^annals_plugin\.h$"),
    "Boost.JSON": re.compile(r"^boost/(json|system)/"),
    "zstd": re.compile(r"^zstd(_errors)?\.h$"),
}
IMPORT = re.compile(r"^\s*(?:export\s+)?import\s+([\w.]+)\s*;", re.M)
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)
MODULE = re.compile(r"^\s*(export\s+)?module\s+([\w.]+)\s*;", re.M)


def names(cell):
    return set(re.findall(r"`([\w.]+)`", cell))


def read_table(text):
    table = {}
    for row in re.findall(r"^\| `(annals[\w.]*)` \|(.*)\|$", text, re.M):
        cells = row[1].split("|")
        table[row[0]] = {"interface": names(cells[1]), "implementation": names(cells[2]),
                         "headers": {h for h in HEADERS if h in cells[3]}}
    return table


def paths_of(module):
    """Where the interface of a module can be, as a pattern: the folder of annals.a is in a group, that of annals.a.b in the folder of annals.a."""
    parts = module.split(".")
    if parts == ["annals"]:
        return "modules/annals.cppm"
    if parts == ["annals", "sdk"]:
        return "plugins/sdk/sdk.cppm"
    if parts == ["annals", "sink"]:
        return "sinks/sink.cppm"
    if parts[1] == "sinks":
        return f"sinks/{parts[2]}/{parts[2]}.cppm"
    return f"modules/*/{'/'.join(parts[1:])}/{parts[-1]}.cppm"


def check(root):
    table = read_table((root / "docs/architecture.md").read_text())
    problems = []
    if len(table) < 9:
        return [f"docs/architecture.md: found {len(table)} rows of the module table; expected at least 9"]
    for module in table:
        if len(list(root.glob(paths_of(module)))) != 1:
            problems.append(f"{module}: expected one interface at {paths_of(module)}")
    files = 0
    for folder in ("modules", "sinks", "plugins/sdk"):
        for file in sorted((root / folder).rglob("*")):
            if file.suffix not in (".cppm", ".cpp", ".h"):
                continue
            files += 1
            where = file.relative_to(root)
            text = file.read_text()
            code = re.sub(r"//[^\n]*", "", text)
            declared = MODULE.search(code)
            if file.suffix == ".h":
                sibling = next(file.parent.glob("*.cppm"))
                module = MODULE.search(re.sub(r"//[^\n]*", "", sibling.read_text())).group(2)
            elif not declared:
                problems.append(f"{where}: declares no module")
                continue
            else:
                module = declared.group(2)
            if module not in table:
                problems.append(f"{where}: module {module} is not in the table of docs/architecture.md")
                continue
            row = table[module]
            interface = file.suffix == ".cppm"
            if interface and not where.match(paths_of(module)):
                problems.append(f"{where}: module {module} belongs at {paths_of(module)}")
            allowed = row["interface"] if interface else row["interface"] | row["implementation"]
            for imported in IMPORT.findall(code):
                if imported not in allowed:
                    problems.append(f"{where}: imports {imported}, which the table does not allow for {module}")
            for bracket, header in INCLUDE.findall(code):
                if bracket == '"':
                    if interface or not (file.parent / header).is_file():
                        problems.append(f"{where}: includes \"{header}\"; expected a header of the module's own folder, and none in an interface")
                elif header in STANDARD:
                    continue
                elif (interface and module != "annals.sdk") or not any(HEADERS[h].match(header) for h in row["headers"]):
                    problems.append(f"{where}: includes <{header}>, which the table does not allow for {module}")
            if file.suffix != ".h":
                # What speaks of imported names comes behind the imports; it includes nothing itself (docs/decisions.md).
                own = [m for m in INCLUDE.finditer(code) if m.group(1) == '"' and (file.parent / m.group(2)).is_file()
                       and not INCLUDE.search((file.parent / m.group(2)).read_text())]
                last_include = max((m.start() for m in INCLUDE.finditer(code) if m.group(2) not in {o.group(2) for o in own}), default=-1)
                first_import = next((m.start() for m in IMPORT.finditer(code)), len(code))
                if last_include > first_import:
                    problems.append(f"{where}: has an #include behind an import")
    if files < 15:
        problems.append(f"found {files} source files only; is {root} the project's folder?")
    return problems


problems = check(Path(sys.argv[1]))
for problem in problems:
    print(problem)
if problems:
    sys.exit(1)
print("imports and includes are as docs/architecture.md says")
