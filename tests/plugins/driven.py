# SPDX-License-Identifier: Apache-2.0
"""What the tests of the project's own sinks share: a sink in a process of its own, driven through its C table; hostile events."""
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

DRIVER, PLUGIN = (os.path.abspath(p) for p in sys.argv[1:3])
KINDS = {bool: 1, int: 2, float: 3, str: 4, list: 5, dict: 6}

HOSTILE = ['quote " and "quotes"', "back\\slash \\n \\\\", "bracket ] [x@1 y=\"z\"] ]", "new\nline\r\nand\ttab", "NUL \x00 inside",
           "escape \x1b[31m red \x07", "bidi \u202eevil\u202c", "umlaut \u00e4\u00f6\u00fc \u65e5\u672c\u8a9e \U0001f512", "%s%n %d $1 {0}",
           "<0>1 - - - - - - fake", "", " leading and trailing ", "7 octets", "\ufeffbyte order mark", "del \x7f c1 \x85 ls \u2028",
           "x" * 2000]


def line_of(number, **more):
    """A line as the library writes it; the values go through all that is hostile."""
    value = HOSTILE[number % len(HOSTILE)]
    event = {"ts": f"2026-11-23T09:{number // 60 % 60:02}:{number % 60:02}.{number % 1000000:06}+00:00",
             "container": f"c{number} {value[:100]}", "action": ["denied", "allowed", value[:40]][number % 3]}
    if number % 4:
        event["dest"] = HOSTILE[(number + 5) % len(HOSTILE)][:200]
    event["detail"] = value
    event["number"] = number
    return encoded({**event, **more})


def encoded(event):
    return json.dumps(event, separators=(",", ":")).replace("\x7f", "\\u007f")


def wait_or_kill(process):
    """Waits for the end of a process that was asked to end, and kills it after 30 seconds."""
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


class Sink:
    """A sink in a process of its own. `stderr` is where that process's standard error goes."""

    def __init__(self, test, options, stderr=None, **popen):
        arguments = [f"{name}={KINDS[type(value)]}:{json.dumps(value) if not isinstance(value, str) else value}"
                     for name, value in options.items()]
        self.process = subprocess.Popen([DRIVER, PLUGIN, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=stderr, text=True, bufsize=1, **popen)
        self.notices = []
        test.addCleanup(self.end)
        self.created = self.answer()

    def answer(self):
        while True:
            line = self.process.stdout.readline().rstrip("\n")
            if not line.startswith("notice "):
                return line
            self.notices.append(line)

    def ask(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()
        return self.answer()

    def write(self, *lines):
        return self.ask(f"write {len(lines)}", *lines)

    def end(self):
        """Destroys the sink. Returns the exit status of its process."""
        if not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
            wait_or_kill(self.process)
        return self.process.returncode


class SinkTest(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="annals-sink-")
        self.addCleanup(holder.cleanup)
        self.directory = holder.name

    def path(self, name):
        return os.path.join(self.directory, name)

    def wait_for(self, what, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            self.assertLess(time.monotonic(), deadline, f"{what} did not come")
            time.sleep(0.01)  # between two looks at the condition


def main():
    unittest.main(argv=[sys.argv[0], "-v"])
