# SPDX-License-Identifier: Apache-2.0
"""The project's C++ sources, and what each reaches: the headers it includes, the interfaces it imports, and what those reach in turn."""
import re

FOLDERS = ["modules", "sinks", "plugins", "cli", "tests", "bench", "examples", "conan"]
IMPORT = re.compile(r"^\s*(?:export\s+)?import\s+([\w.]+)\s*;", re.M)
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
MODULE = re.compile(r"^\s*(?:export\s+)?module\s+([\w.]+)\s*;", re.M)


class Sources:
    def __init__(self, root):
        files = [path for folder in FOLDERS for path in (root / folder).rglob("*") if path.suffix in (".c", ".cpp", ".cppm", ".h")]
        self.text = {path: path.read_text() for path in files}
        self.interfaces = {self.module_of(path): path for path in files if path.suffix == ".cppm"}
        self.headers = {}
        for path in files:
            if path.suffix == ".h":
                self.headers.setdefault(path.name, []).append(path)

    def module_of(self, path):
        """The module that a file declares or implements, or that a header beside an interface belongs to; None for other files."""
        found = MODULE.search(self.text[path])
        if found or path.suffix != ".h":
            return found and found.group(1)
        interface = next(path.parent.glob("*.cppm"), None)
        return interface and self.module_of(interface)

    def imports(self, path):
        return set(IMPORT.findall(self.text[path]))

    def includes(self, path):
        """The project's headers that a file includes: every header of that name, since folders are not looked up."""
        return {header for name in INCLUDE.findall(self.text[path]) for header in self.headers.get(name.rsplit("/", 1)[-1], [])}

    def reached(self, path):
        """The file itself and all that it reaches. An implementation reaches its own interface."""
        found, left = set(), [path]
        while left:
            path = left.pop()
            if path in self.text and path not in found:
                found.add(path)
                modules = self.imports(path) | ({self.module_of(path)} if path.suffix != ".h" else set())
                left += [self.interfaces[module] for module in modules if module in self.interfaces]
                left += self.includes(path)
        return found
