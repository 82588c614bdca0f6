#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""annals plugins.
usage: plugins_test.py ANNALS PLUGINS    PLUGINS: where the plugins of the tests were built"""
import json
import os
import unittest

from command import CommandTest, main
from plugin_files import copy_plugin


class Plugins(CommandTest):
    def setUp(self):
        super().setUp()
        self.directory = os.path.realpath(self.directory)

    def make(self, name):
        path = os.path.join(self.directory, name)
        os.mkdir(path, 0o755)
        return path

    def json(self, *arguments, code=0):
        """The entries by path, of the directories of this test alone: the installed one may hold others."""
        out, err = self.run_annals("plugins", "--output", "json", *arguments, code=code)
        self.assertEqual(err, "")
        found = [json.loads(line) for line in out.splitlines()]
        return {entry["path"]: entry for entry in found if entry["path"].startswith(self.directory)}

    def text(self, *arguments, code=0):
        return self.run_annals("plugins", *arguments, code=code)[0]

    def test_good_ones_are_told_with_what_they_say_of_themselves(self):
        null, throwing = (copy_plugin(name, name, self.directory) for name in ("null", "throwing"))
        found = self.json("--directory", self.directory)
        self.assertEqual(list(found), [null, throwing])
        self.assertRegex(found[null].pop("compiler"), r"^(clang|gcc) \d+")
        self.assertEqual(found[null], {"path": null, "name": "null", "version": "1.0.0", "license": "MIT", "abi": "2.0",
                                       "capabilities": ["sink"]})
        self.assertEqual(found[throwing]["capabilities"], ["sink", "archiver"])
        text = self.text("--directory", self.directory)
        self.assertIn(f"null 1.0.0  {null}\n", text)
        self.assertRegex(text, r"ABI 2\.0, licence MIT, built by (clang|gcc) \S+, capabilities: sink\n")
        self.assertIn("capabilities: sink, archiver\n", text)

    def test_capabilities_are_told_by_name(self):
        path = copy_plugin("../check", "good_in_c", self.directory)
        self.assertEqual(self.json("--directory", self.directory)[path]["capabilities"], ["sink", "archiver", "writes_log"])
        self.assertIn("capabilities: sink, archiver, writes the log\n", self.text("--directory", self.directory))

    def test_a_relative_directory_is_that_of_the_caller(self):
        path = copy_plugin("null", "null", self.directory)
        self.assertEqual(list(self.json("--directory", os.path.relpath(self.directory))), [path])

    def test_refused_ones_are_told_with_the_reason_and_exit_code_1(self):
        reasons = {"FUTURE_MAJOR": "built for ABI 3.0; this host has ABI 2.0", "WRONG_MAGIC": 'begins with "NOTMAGIC"',
                   "SYMBOL_MISSING": "does not export 'annals_plugin'", "OTHER_NAME": 'has the name "other"'}
        for variant, reason in reasons.items():
            directory = self.make(variant)
            path = copy_plugin(variant, "broken", directory)
            found = self.json("--directory", directory, code=1)
            self.assertEqual(set(found[path]), {"path", "refused"})
            self.assertIn(reason, found[path]["refused"])
            self.assertIn(f"refused  {path}\n", self.text("--directory", directory, code=1))

    def test_what_the_system_or_its_owner_makes_unfit_is_told_too(self):
        open_file = copy_plugin("null", "null", self.make("open"))
        os.chmod(open_file, 0o666)
        self.assertIn("chmod go-w", self.json("--directory", os.path.dirname(open_file), code=1)[open_file]["refused"])
        links = self.make("links")
        os.symlink(open_file, os.path.join(links, "annals_null.so"))
        os.symlink("nowhere", os.path.join(links, "annals_dangling.so"))
        os.mkfifo(os.path.join(links, "annals_fifo.so"))
        os.mkdir(os.path.join(links, "annals_directory.so"))
        found = self.json("--directory", links, code=1)
        self.assertEqual([os.path.basename(path) for path in found],
                         ["annals_dangling.so", "annals_directory.so", "annals_fifo.so", "annals_null.so"])
        for entry, reason in zip(found.values(), ("symbolic link", "is a directory", "a FIFO, socket or device", "symbolic link")):
            self.assertIn(reason, entry["refused"])

    def test_nothing_of_a_plugin_runs(self):
        copy_plugin("good", "broken", self.directory)
        ran = os.path.join(self.directory, "ran")
        for form in ("text", "json"):
            self.run_annals("plugins", "--directory", self.directory, "--output", form, ANNALS_TEST_RAN=ran)
        self.assertFalse(os.path.exists(ran))

    def test_foreign_names_are_shown_and_never_obeyed(self):
        odd = os.path.join(os.fsencode(self.directory), b"annals_\x1b[2J\n\xff\xe2\x80\xae.so")
        with open(odd, "wb"):
            pass
        text = self.text("--directory", self.directory, code=1)
        self.assertFalse([c for c in text if c != "\n" and not c.isprintable()], text)
        self.assertIn("annals_\\u001b[2J\\n\\xff\\u202e.so\n", text)
        out, _ = self.run_annals("plugins", "--directory", self.directory, "--output", "json", code=1)
        self.assertTrue(out.isascii())
        [path] = self.json("--directory", self.directory, code=1)
        self.assertTrue(path.endswith("annals_\x1b[2J\n\ufffd\u202e.so"), path)

    def test_files_of_other_names_are_none(self):
        copy_plugin("null", "null", self.directory)
        for name in ("annals_.so", "annals_null.so.1", "null.so", "libannals_null.so", "annals_null.txt", ".annals_null.so"):
            with open(os.path.join(self.directory, name), "wb"):
                pass
        self.assertEqual(len(self.json("--directory", self.directory)), 1)

    def test_directories_are_searched_in_their_order_then_those_of_a_configuration(self):
        first, second, third = (self.make(name) for name in ("c", "b", "a"))
        expected = [copy_plugin("null", "null", directory) for directory in (first, second, third)]
        config = os.path.join(self.directory, "annals.json")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"path": "x", "plugin_directories": ["a"]}, file)
        arguments = ("--directory", first, "--directory", second, "--config", config)
        self.assertEqual(list(self.json(*arguments)), expected)
        searched = self.text(*arguments).split("\n\n")[0].splitlines()
        self.assertRegex(searched[0], r"^This host has ABI 2\.\d+\. Searched, in this order:$")
        self.assertEqual([line.strip() for line in searched[1:4]], [first, second, third])
        self.assertTrue(searched[4].endswith("/annals/plugins"), searched)

    def test_a_directory_that_is_missing_is_none_and_one_that_is_no_directory_is_told(self):
        self.assertEqual(self.json("--directory", os.path.join(self.directory, "nowhere")), {})
        file = os.path.join(self.directory, "file")
        with open(file, "wb"):
            pass
        self.assertIn("Not a directory", self.json("--directory", file, code=1)[file]["refused"])

    def test_a_bad_configuration_is_exit_code_1_and_one_that_cannot_be_read_3(self):
        config = os.path.join(self.directory, "annals.json")
        self.run_annals("plugins", "--config", config, code=3)
        with open(config, "w", encoding="utf-8") as file:
            file.write('{"enabled": 1}')
        _, err = self.run_annals("plugins", "--config", config, code=1)
        self.assertIn("2 problems:", err)

    def test_wrong_usage_is_exit_code_2(self):
        for arguments in (("x",), ("--output", "xml"), ("--directory", ""), ("--config", ""), ("--directory",)):
            self.run_annals("plugins", *arguments, code=2)


if __name__ == "__main__":
    main()
