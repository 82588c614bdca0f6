#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is hostile in a log, in its fields, its names and its path, reaches no terminal through any command for people."""
import json
import os
import subprocess

from command import ANNALS, CommandTest, main

# What moves cursors, changes colours or titles, hides text or turns it round; and what would begin a line of its own.
HOSTILE = "".join(map(chr, [*range(0x01, 0x20), *range(0x7f, 0xa0)])) + \
    "\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\U000e0041"
SEQUENCES = ["\x1b[2J", "\x1b]0;title\x07", "\x1b]52;c;YQ==\x07", "\x9b31m", "\x1bP1$r\x1b\\", "\u202etxt.exe", "\r\nforged"]


class HostileOutput(CommandTest):
    def setUp(self):
        super().setUp()
        self.evil = os.path.join(self.directory, "\x1b[2J\u202e\n\x9b")
        os.mkdir(self.evil)
        self.log = os.path.join(self.evil, "audit.jsonl")
        lines = []
        for i, value in enumerate([HOSTILE, *SEQUENCES]):
            event = {"ts": value if i == 0 else "2020-01-01T00:00:00+00:00", "container": value, "action": value, "dest": value,
                     "detail": value, value: value, "deep": {value: [value]}}
            lines.append(json.dumps(event, ensure_ascii=i % 2 == 0) + "\n")
        lines.append("garbage \x1b[2J\u202e\n")
        text = "".join(lines).encode()
        with open(os.path.join(self.evil, "audit-000001-20200101T000000Z.jsonl"), "wb") as file:
            file.write(text)
        with open(os.path.join(self.evil, "audit-000002-20200101T000000Z.jsonl"), "wb") as file:
            file.write(text)
        self.write(text)

    def assert_tame(self, text, what):
        for c in set(HOSTILE) - {"\n"}:
            self.assertFalse(c in text, f"{what}: {ord(c):#x}, after {text[:text.find(c)][-200:]!r}")

    def shown(self, *arguments, code=0):
        """Standard output on a terminal without colours; then standard error, which people read as well."""
        out = self.run_on_terminal(*arguments, code=code, NO_COLOR="1").replace("\r\n", "\n")  # as lines of CSV end
        done = subprocess.run([ANNALS, *arguments], capture_output=True, timeout=60, stdin=subprocess.DEVNULL, env=self.environment)
        self.assert_tame(out, arguments)
        self.assert_tame(done.stderr.decode(), arguments)
        return out

    def test_is_shown_escaped_by_every_command_for_people(self):
        self.run_annals("hold", "add", self.log, "h\u202eold")
        for form in ("pretty", "json", "csv"):
            self.assertIn("u202e", self.shown("query", self.log, "--output", form, code=4))
        for arguments in (("tail", self.log), ("tail", self.log, "--output", "json")):
            self.assertIn("u202e", self.shown(*arguments, code=4))
        self.assertIn("u202e", self.shown("cat", self.log))
        self.assertIn("h\\u202eold", self.shown("hold", "list", self.log))
        self.assertIn("h\\u202eold", self.shown("segments", self.log))
        self.shown("segments", self.log, "--output", "json")
        self.shown("prune", self.log, "--keep-segments", "1", "--dry-run", code=1)
        self.shown("rotate", self.log)
        self.shown("recover", self.log)

    def test_a_line_break_in_a_name_begins_no_message(self):
        forged = "nothing is damaged"
        directory = os.path.join(self.directory, f"x\nannals: {forged}\n")
        os.mkdir(directory)
        log = os.path.join(directory, "audit.jsonl")
        with open(log, "wb") as file:
            file.write(b"garbage\n")
        os.mkdir(os.path.join(directory, "audit-000001-20200101T000000Z.jsonl"))
        missing = os.path.join(directory, "missing")
        for arguments in (("tail", log), ("tail", missing), ("cat", log, missing), ("query", log), ("segments", log),
                          ("adopt", log, missing), ("adopt", log, log), ("prune", log, "--keep-segments", "1", "--yes"),
                          ("archive", log), ("archive", missing), ("rotate", directory), ("log", directory, "a", "b"),
                          ("log", "--config", missing, "a", "b"), ("config", "check", log), ("plugins", "info", log),
                          ("hold", "remove", log, "x")):
            done = subprocess.run([ANNALS, *arguments], capture_output=True, env=self.environment, timeout=60)
            for line in done.stderr.decode().split("\n"):
                self.assertFalse(line.startswith(f"annals: {forged}"), arguments)
                self.assertTrue(line == "" or line.startswith("annals: "), (arguments, line))

    def test_a_suggested_command_is_one_that_a_shell_can_run(self):
        name = os.path.join(self.directory, "x'; touch injected; '.gz")
        with open(name, "wb") as file:
            file.write(b"\x1f\x8b\x08\x00")
        done = subprocess.run([ANNALS, "adopt", os.path.join(self.directory, "l.jsonl"), name], capture_output=True, env=self.environment)
        self.assertIn("zcat ", done.stderr.decode())
        command = done.stderr.decode().split("convert it first: ")[1].strip()
        subprocess.run(["sh", "-c", command.replace("zcat", "true").replace("| zstd", "| true")], cwd=self.directory, check=True)
        self.assertFalse(os.path.exists(os.path.join(self.directory, "injected")))

    def test_is_shown_escaped_in_messages_of_what_is_wrong(self):
        for arguments in (("tail", self.log + "\x1b[2J/x"), ("cat", self.log + "\u202e"), ("query", self.log, "--since", "\x1b[2J"),
                          ("hold", "add", self.log, "\x1b[2J"), ("config", "check", self.evil + "/\x1b]0;x\x07.json"),
                          ("segments", self.evil + "\x9b"), ("\x1b[2J",), ("adopt", self.log, self.evil + "/\x1b[2J")):
            done = subprocess.run([ANNALS, *arguments], capture_output=True, timeout=60, env=self.environment)
            self.assert_tame(done.stdout.decode(errors="backslashreplace"), arguments)
            self.assert_tame(done.stderr.decode(errors="backslashreplace"), arguments)


main()
