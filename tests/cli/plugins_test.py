#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`annals plugins` lists what can be loaded, and says why the rest cannot."""
import json
import os
import shutil
import sys
import unittest

from command import CommandTest, main

GOOD = os.path.join(os.path.realpath(sys.argv[2]), "annals_good_in_c.so")


class Plugins(CommandTest):
    def setUp(self):
        super().setUp()
        self.plugins = os.path.join(os.path.realpath(self.directory), "plugins")
        os.mkdir(self.plugins)
        shutil.copy(GOOD, self.plugins)

    def listed(self, *arguments, code=0):
        """Those in our directory: the installed ones are listed, too."""
        out, _ = self.run_annals("plugins", "--output", "json", *arguments, code=code)
        return [one for one in map(json.loads, out.splitlines()) if one["path"].startswith(self.plugins)]

    def test_tells_everything_a_plugin_says_of_itself(self):
        [found] = self.listed("--directory", self.plugins)
        self.assertRegex(found.pop("compiler"), r"^(clang|gcc) \d+\.\d+\.\d+$")
        self.assertEqual(found, {"path": os.path.join(self.plugins, "annals_good_in_c.so"), "name": "good_in_c",
                                 "version": "1.0.0", "license": "Apache-2.0", "abi": "1.0",
                                 "capabilities": "archives segments, writes the log"})

    def test_the_text_has_the_hosts_abi_and_the_directories(self):
        out, err = self.run_annals("plugins", "--directory", self.plugins)
        self.assertEqual(err, "")
        self.assertIn("This host has ABI 1.0.", out)
        self.assertIn(f"\n  {self.plugins}\n", out)
        self.assertIn("good_in_c 1.0.0", out)
        self.assertIn("archives segments, writes the log", out)

    def test_a_refused_one_is_told_with_the_reason_and_exit_code_1(self):
        with open(os.path.join(self.plugins, "annals_a\x1b[2J.so"), "w") as file:
            file.write("no shared object")
        good, bad = sorted(self.listed("--directory", self.plugins, code=1), key=lambda one: "refused" in one)
        self.assertEqual(good["name"], "good_in_c")
        self.assertIn("cannot load the plugin", bad["refused"])
        out, _ = self.run_annals("plugins", "--directory", self.plugins, code=1)
        self.assertNotIn("\x1b", out)
        self.assertIn("annals_a\\u001b[2J.so", out)

    def test_a_relative_directory_is_that_of_the_caller(self):
        self.assertEqual(len(self.listed("--directory", os.path.relpath(self.plugins))), 1)

    def test_the_directories_of_a_configuration_are_searched(self):
        config = os.path.join(self.directory, "annals.json")
        with open(config, "w") as file:
            json.dump({"path": "audit.jsonl", "plugin_directories": [self.plugins]}, file)
        self.assertEqual([one["name"] for one in self.listed("--config", config)], ["good_in_c"])
        _, err = self.run_annals("plugins", "--config", config + ".missing", code=3)
        self.assertIn("annals.json.missing", err)

    def test_wrong_usage_is_exit_code_2(self):
        for arguments in (("--output", "xml"), ("--directory", ""), ("nonsense",)):
            self.run_annals("plugins", *arguments, code=2)


if __name__ == "__main__":
    main()
