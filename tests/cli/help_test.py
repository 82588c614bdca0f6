#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The help, the manual page and the completions speak of the same commands and options."""
import os
import re
import subprocess
import sys
import unittest

from command import CommandTest, main

MANUAL = sys.argv[2]
CLI = sys.argv[3]
COMMANDS = {"log": ("--dest", "--detail", "--field", "--jsonl"), "tail": ("--lines", "--follow", "--output"),
            "cat": (), "query": ("--since", "--until", "--local", "--container", "--action", "--dest", "--address", "--contains", "--output",
                                 "--threads"),
            "archive": ("--level", "--plugin"), "plugins": ("--config", "--directory", "--output"), "segments": ("--output",), "rotate": (), "verify": ("--threads",),
            "prune": ("--config", "--keep-for", "--keep-bytes", "--keep-segments", "--keep-free", "--dry-run", "--yes", "--allow-younger"), "adopt": ("--yes",)}


def completions_of_bash(*words):
    script = (f'source "{CLI}/completions/annals.bash"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _annals; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, check=True, text=True)
    return set(done.stdout.split())


class Help(CommandTest):
    def test_each_command_has_help_with_an_example(self):
        out, err = self.run_annals("--help")
        self.assertIn("Example", out)
        self.assertEqual(err, "")
        for command, options in COMMANDS.items():
            self.assertIn(command, out)
            help_text, _ = self.run_annals(command, "--help")
            self.assertRegex(help_text, rf"Examples:\s+annals {command} ")
            for option in options:
                self.assertIn(option, help_text)

    def test_every_option_of_the_help_is_in_the_manual_and_in_both_completions(self):
        with open(MANUAL) as file:
            manual = file.read().replace("\\-", "-")
        with open(os.path.join(CLI, "completions", "_annals")) as file:
            zsh = file.read()
        for command in COMMANDS:
            help_text, _ = self.run_annals(command, "--help")
            shown = set(re.findall(r"(?:^|[ ,])(--[a-z-]+)", help_text, re.M)) - {"--help"}
            self.assertGreaterEqual(shown, set(COMMANDS[command]))
            for option in shown:
                self.assertIn(option, manual)
                self.assertIn(option, zsh)
            self.assertGreaterEqual(completions_of_bash("annals", command, "--"), shown)
        for command in (("plugin", "check"), ("plugin", "new"), ("config", "check"), ("hold", "add"), ("hold", "list")):
            help_text, _ = self.run_annals(*command, "--help")
            shown = set(re.findall(r"(?:^|[ ,])(--[a-z-]+)", help_text, re.M)) - {"--help"}
            self.assertTrue(shown)
            for option in shown:
                self.assertIn(option, manual)
                self.assertIn(option, zsh)
                self.assertIn(option, completions_of_bash("annals", *command, "--"))
        self.assertEqual(completions_of_bash("annals", "t"), {"tail"})
        self.assertEqual(completions_of_bash("annals", "tail", "--output", ""), {"pretty", "json"})

    def test_prints_its_version(self):
        self.assertRegex(self.run_annals("--version")[0], r"^annals \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    main()
