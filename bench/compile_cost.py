# SPDX-License-Identifier: Apache-2.0
"""What `import annals;` costs a compilation, in a consumer of the installed package whose BMIs are built already."""
import json
import shlex
import shutil
import subprocess
import time
from pathlib import Path

from measure import Failed, Pairs, interleave

CMAKE_LISTS = """\
cmake_minimum_required(VERSION 3.28...4.3)
project(compile_cost LANGUAGES CXX)
find_package(annals CONFIG REQUIRED)
foreach(name IN ITEMS empty importing using)
  add_executable(${name} ${name}.cpp)
  target_link_libraries(${name} PRIVATE annals::annals)
  target_compile_features(${name} PRIVATE cxx_std_20)
  set_target_properties(${name} PROPERTIES CXX_SCAN_FOR_MODULES ON)
endforeach()
"""
SOURCES = {
    "empty": "int main() {}\n",
    "importing": "import annals;\nint main() {}\n",
    "using": """\
import annals;
int main() {
  annals::audit_logger log({.path = "audit.jsonl"});
  log.log_event("web", "denied", {.dest = "203.0.113.7:443", .detail = "not in allowlist"});
  return log.tail_log(50).empty();
}
""",
}


def run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Failed(f"{shlex.join(command)} failed:\n{done.stdout}")


def compile_commands(annals: Path, directory: Path, toolchain: dict) -> dict[str, dict]:
    """Builds the consumer once, modules included; returns each program's own command from the compilation database."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / "CMakeLists.txt").write_text(CMAKE_LISTS)
    for name, source in SOURCES.items():
        (directory / f"{name}.cpp").write_text(source)
    configure = [toolchain["cmake"], "-S", ".", "-B", "build", "-G", "Ninja", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
    configure += [f"-DCMAKE_BUILD_TYPE={toolchain['build_type']}", f"-DCMAKE_PREFIX_PATH={annals}"]
    configure += [f"-DCMAKE_CXX_COMPILER={toolchain['compiler']}"]
    if toolchain["scan_deps"]:
        configure += [f"-DCMAKE_CXX_COMPILER_CLANG_SCAN_DEPS={toolchain['scan_deps']}"]
    run(configure, directory)
    run([toolchain["cmake"], "--build", "build"], directory)
    database = json.loads((directory / "build" / "compile_commands.json").read_text())
    return {Path(entry["file"]).stem: entry for entry in database if Path(entry["file"]).stem in SOURCES}


def measure(source: str, annals: Path, directory: Path, toolchain: dict, rounds: int) -> Pairs:
    commands = compile_commands(annals, directory, toolchain)

    def compilation(name: str):
        command, cwd = shlex.split(commands[name]["command"]), commands[name]["directory"]

        def timed(_calls: int) -> float:
            start = time.perf_counter_ns()
            status = subprocess.run(command, cwd=cwd).returncode
            took = time.perf_counter_ns() - start
            if status != 0:
                raise Failed(f"{shlex.join(command)} failed in {cwd}")
            return took

        return timed

    return interleave(compilation(source), compilation("empty"), calls=1, rounds=rounds)
