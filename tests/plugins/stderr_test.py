#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""stderr_test.py DRIVER PLUGIN: the sink stderr, on files, pipes, terminals, and with nothing there at all."""
import errno
import fcntl
import os
import pty
import re
import time

from driven import HOSTILE, Sink, SinkTest, encoded, line_of, main


def read_available(fd):
    """What a pipe holds now."""
    os.set_blocking(fd, False)
    out = b""
    while True:
        try:
            chunk = os.read(fd, 65536)
        except BlockingIOError:
            return out
        if not chunk:
            return out
        out += chunk


class StderrTest(SinkTest):
    def pipe(self):
        read, write = os.pipe()
        self.addCleanup(lambda: [os.close(fd) for fd in (read, write) if self.is_open(fd)])
        return read, write

    @staticmethod
    def is_open(fd):
        try:
            os.fstat(fd)
            return True
        except OSError:
            return False

    def to_file(self, **options):
        file = open(self.path("out"), "ab")
        self.addCleanup(file.close)
        return Sink(self, options, stderr=file)

    def content(self):
        with open(self.path("out"), "rb") as file:
            return file.read()

    def failure(self, answer, code):
        self.assertRegex(answer, rf"^failed \d+ {code} ", answer)
        return answer

    def test_lines_arrive_as_they_are_and_in_order(self):
        sink = self.to_file()
        lines = [line_of(i) for i in range(1000)]
        for i in range(0, 1000, 4):
            self.assertEqual(sink.write(*lines[i:i + 4]), "ok")
        self.assertEqual(sink.ask("sync"), "ok")
        self.assertEqual(self.content().decode(), "".join(line + "\n" for line in lines))
        self.assertEqual(sink.ask("position"), f"ok 1 {len(self.content())}")

    def test_a_prefix_and_a_priority_stand_before_every_line(self):
        sink = self.to_file(prefix="audit: ", journal_priority=5)
        self.assertEqual(sink.write(line_of(1), line_of(2)), "ok")
        self.assertEqual(self.content().decode(), f"<5>audit: {line_of(1)}\n<5>audit: {line_of(2)}\n")

    def test_pretty_lines_hold_nothing_that_a_terminal_obeys(self):
        sink = self.to_file(format="pretty")
        for i in range(len(HOSTILE) * 3):
            self.assertEqual(sink.write(line_of(i)), "ok")
        text = self.content().decode()
        self.assertEqual(len(text.splitlines()), len(HOSTILE) * 3)
        self.assertIsNone(re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202a-\u202e\ufeff]", text))
        self.assertIn("umlaut äöü 日本語", text)
        self.assertIn("\\u001b[31m", text)
        self.assertIn("  number=7", text)

    def test_colour_is_for_terminals_unless_it_is_asked_for(self):
        line = encoded({"ts": "2026-11-23T09:00:00+00:00", "container": "web", "action": "denied"})
        cases = [({}, False, {}, False), ({"colour": "always"}, False, {}, True), ({}, True, {}, True),
                 ({"colour": "never"}, True, {}, False), ({}, True, {"NO_COLOR": "1"}, False),
                 ({"colour": "always"}, True, {"NO_COLOR": "1"}, True)]
        for options, is_terminal, environment, expected in cases:
            with self.subTest(options=options, terminal=is_terminal, environment=environment):
                read, write = pty.openpty() if is_terminal else os.pipe()
                kept = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
                sink = Sink(self, {"format": "pretty", **options}, stderr=write, env={**kept, "TERM": "xterm", **environment})
                self.assertEqual(sink.write(line), "ok")
                shown = os.read(read, 65536)
                self.assertEqual(b"\x1b[31mdenied\x1b[0m" in shown, expected, shown)
                os.close(read)
                os.close(write)

    def test_a_full_pipe_fails_within_the_timeout_and_nothing_is_glued(self):
        for is_blocking in (True, False):
            with self.subTest(blocking=is_blocking):
                read, write = self.pipe()
                os.set_blocking(write, is_blocking)
                fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 65536)
                sink = Sink(self, {"timeout": "200ms"}, stderr=write)
                long_line = line_of(1, padding="y" * 300000)
                start = time.monotonic()
                answer = self.failure(sink.write(line_of(0), long_line), errno.ETIMEDOUT)
                self.assertGreater(time.monotonic() - start, 0.19)
                self.assertIn("nobody has read from it for 200 ms", answer)
                self.assertIn("the last line of them incomplete", answer)
                torn = read_available(read)
                self.assertEqual(sink.write(line_of(2)), "ok")
                lines = (torn + read_available(read)).decode().split("\n")
                self.assertEqual(lines[0], line_of(0))
                self.assertTrue(long_line.startswith(lines[1]))
                self.assertEqual(lines[2:], [line_of(2), ""])
                self.assertEqual(sink.ask("position"), f"ok 1 {len(line_of(2)) + 1}")

    def test_a_slow_reader_gets_everything(self):
        read, write = self.pipe()
        os.set_blocking(write, False)
        sink = Sink(self, {}, stderr=write)
        big = line_of(3, padding="z" * 1000000)
        sink.process.stdin.write(f"write 1\n{big}\n")
        got = b""
        while len(got) < len(big) + 1:
            got += os.read(read, 1000)
        self.assertEqual(sink.answer(), "ok")
        self.assertEqual(got.decode(), big + "\n")

    def test_a_pipe_without_a_reader_fails_and_no_signal_reaches_the_host(self):
        read, write = self.pipe()
        sink = Sink(self, {}, stderr=write, restore_signals=True)
        self.assertEqual(sink.write(line_of(1)), "ok")
        os.close(read)
        for _ in range(3):
            self.failure(sink.write(line_of(2)), errno.EPIPE)
            self.assertEqual(sink.ask("sigpipe"), "ok 00")
        self.assertEqual(sink.end(), 0)

    def test_a_closed_standard_error_is_a_failure(self):
        sink = Sink(self, {}, preexec_fn=lambda: os.close(2))
        self.assertEqual(sink.created, "ok")
        self.assertEqual(sink.ask("sync"), "ok")  # nothing was written
        self.failure(sink.write(line_of(1)), errno.EBADF)
        self.assertEqual(sink.end(), 0)

    def test_short_lines_of_many_processes_do_not_mix_on_a_pipe(self):
        read, write = self.pipe()
        sinks = [Sink(self, {}, stderr=write) for _ in range(4)]
        lines = [[line_of(i, who=who) for i in range(0, 800, 3)] for who in range(4)]
        for sink, mine in zip(sinks, lines):
            sink.process.stdin.write("".join(f"write 1\n{line}\n" for line in mine[:100]))
            sink.process.stdin.flush()
        expected = sorted(line for mine in lines for line in mine[:100] if len(line) < 4096)
        self.assertEqual(len(expected), 400)
        got = b""
        while got.count(b"\n") < 400:
            got += os.read(read, 65536)
        self.assertEqual(sorted(got.decode().splitlines()), expected)

    def test_after_a_fork_nothing_is_written_twice(self):
        sink = self.to_file()
        self.assertEqual(sink.write(line_of(1)), "ok")
        self.assertRegex(sink.ask("fork-write", line_of(2)), "^ok ")
        self.assertEqual(sink.write(line_of(3)), "ok")
        self.assertEqual(sink.end(), 0)
        self.assertEqual(self.content().decode().splitlines(), [line_of(1), line_of(2), line_of(3)])

    def test_options_that_make_no_sense_are_all_named(self):
        sink = self.to_file(format="xml", colour="yes", journal_priority=8, prefix="a\x1b", timeout="0s", colur="auto")
        for name in ("format", "colour", "journal_priority", "prefix", "timeout", "colur"):
            self.assertIn(f"$.sink.{name}: ", sink.created)
        self.assertTrue(sink.created.startswith("failed 1 "), sink.created)


main()
