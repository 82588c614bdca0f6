# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command share: running it, in a directory of the test's own, with and without a terminal."""
import os
import pty
import select
import subprocess
import sys
import tempfile
import time
import unittest

ANNALS = os.path.abspath(sys.argv[1])


class CommandTest(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="annals-test-")
        self.addCleanup(holder.cleanup)
        self.directory = holder.name
        self.log = os.path.join(self.directory, "audit.jsonl")
        self.environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}

    def run_annals(self, *arguments, code=0, stdin=b"", **environment):
        done = subprocess.run([ANNALS, *arguments], input=stdin, capture_output=True, timeout=60,
                              env={**self.environment, **environment})
        self.assertEqual(done.returncode, code, done.stderr.decode(errors="replace"))
        return done.stdout.decode(), done.stderr.decode()

    def run_on_terminal(self, *arguments, code=0, **environment):
        """What the command writes when its standard output is a terminal."""
        ours, theirs = pty.openpty()
        with subprocess.Popen([ANNALS, *arguments], stdout=theirs, stdin=subprocess.DEVNULL,
                              env={**self.environment, "TERM": "xterm", **environment}) as process:
            os.close(theirs)
            output = b""
            while True:
                try:
                    chunk = os.read(ours, 65536)
                except OSError:
                    break
                if not chunk:
                    break
                output += chunk
            os.close(ours)
            self.assertEqual(process.wait(60), code)
        return output.decode().replace("\r\n", "\n")

    def write(self, content):
        with open(self.log, "wb") as file:
            file.write(content)

    def lines(self):
        with open(self.log, "rb") as file:
            return file.read().splitlines()


class Following:
    """`annals tail -f` in the background."""

    def __init__(self, *arguments, environment):
        self.process = subprocess.Popen([ANNALS, "tail", "-f", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=environment)
        self.pending = b""

    def line(self, seconds=30):
        deadline = time.monotonic() + seconds
        while b"\n" not in self.pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise AssertionError("no line came")
            chunk = os.read(self.process.stdout.fileno(), 65536)
            if not chunk:
                raise AssertionError("the command ended: " + self.process.stderr.read().decode())
            self.pending += chunk
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode()

    def end(self, signal):
        self.process.send_signal(signal)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors.decode()


def main():
    unittest.main(argv=[sys.argv[0], "-v"])
