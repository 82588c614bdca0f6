# SPDX-License-Identifier: Apache-2.0
"""Who is loaded: ours, the floors and the peers, what each promises, and how its program is made."""
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from measure import Failed, run
from row import Absent, Bench

HERE = Path(__file__).parent
PINO = "pino@9.5.0"
WORKLOADS = ("fixed", "mix", "escapes", "4k")


@dataclass(frozen=True)
class Subject:
    name: str
    program: str
    survives_kill: str  # does an event whose call returned survive kill -9 ...
    survives_power: str  # ... and the loss of power
    may_drop: str
    blocks: str  # what a caller may wait for
    queued: bool = True  # whoever has a queue is flooded with 20 times its bytes
    exact: bool = True  # its lines are ours, byte for byte, but for the time
    flood_events: int | None = None  # in place of what follows from the queue
    producers_max: int = 64

    def promises(self) -> dict:
        return {
            "survives_kill": self.survives_kill,
            "survives_power": self.survives_power,
            "may_drop": self.may_drop,
            "blocks": self.blocks,
        }


FILE = "the file"
SUBJECTS = [
    Subject("ring", "annals", "yes", "after sync()", "no", "only when the ring is full"),
    Subject("direct", "annals", "yes", "after sync()", "no", FILE, queued=False),
    Subject("durable", "annals", "yes", "yes", "no", "the disk", queued=False),
    Subject("memcpy", "floors", "yes", "no", "overwrites", "nothing"),
    Subject("write", "floors", "yes", "no", "no", FILE, queued=False),
    Subject("pwrite-fdatasync", "floors", "yes", "yes", "no", "the disk", queued=False),
    Subject("spdlog-async", "spdlog", "no: a queue in the heap", "no", "no", "when the queue is full"),
    Subject("spdlog-sync", "spdlog", "yes", "no", "no", FILE, queued=False),
    Subject("quill", "quill", "no: a queue in the heap", "no", "no", "when the queue is full", exact=False),
    Subject("boost-log", "boost_log", "no: a queue in the heap", "no", "no", "when the queue is full"),
    Subject("glog", "glog", "no: a buffer in the heap", "no", "no", "the file, now and then", queued=False, exact=False),
    Subject("zerolog", "go", "yes", "no", "no", FILE, queued=False, exact=False),
    Subject("zap", "go", "yes", "no", "no", FILE, queued=False, exact=False),
    Subject("zap-buffered", "go", "no: a buffer in the heap", "no", "no", "the file, now and then", exact=False),
    Subject("pino", "pino", "no: a buffer in the heap", "no", "no", "nothing: the buffer grows", exact=False,
            flood_events=300_000, producers_max=1),
]
NAMED = {subject.name: subject for subject in SUBJECTS}


def workload_directory(bench: Bench) -> Path:
    """The workloads as lines, for the programs that are not in C++."""

    def make() -> Path:
        directory = bench.files / "workloads"
        directory.mkdir()
        for name in WORKLOADS:
            (directory / f"{name}.jsonl").write_text(run([bench.binaries / "workload_lines", name]))
        return directory

    return bench.once("workloads", make)


def go_program(bench: Bench) -> list:
    if not shutil.which("go"):
        raise Absent("Go is not installed")
    directory = bench.peers / "go"
    shutil.copytree(HERE / "peers" / "go", directory, dirs_exist_ok=True)
    try:
        run(["go", "build", "-o", "load_go", "."], cwd=directory, timeout=300)
    except (Failed, subprocess.TimeoutExpired) as cause:
        raise Absent(f"the Go modules could not be fetched and built: {cause}") from cause
    return [directory / "load_go", workload_directory(bench)]


def pino_program(bench: Bench) -> list:
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            raise Absent(f"{tool} is not installed")
    directory = bench.peers / "pino"
    directory.mkdir(parents=True, exist_ok=True)
    install = ["npm", "install", "--prefix", directory, "--no-save", "--no-package-lock", "--no-audit", "--no-fund", PINO]
    try:
        run(install, timeout=300)
    except (Failed, subprocess.TimeoutExpired) as cause:
        raise Absent(f"{PINO} could not be fetched: {cause}") from cause
    return ["node", HERE / "peers" / "pino" / "load_pino.js", directory, workload_directory(bench)]


def program_of(bench: Bench, subject: Subject) -> list:
    """The command of the program that loads the subject; raises Absent where there is none."""
    if subject.program == "go":
        return go_program(bench)
    if subject.program == "pino":
        return pino_program(bench)
    program = bench.binaries / f"load_{subject.program}"
    if not program.exists():
        raise Absent(f"{subject.name} was not found when the benchmarks were built")
    return [program]
