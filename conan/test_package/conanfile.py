# SPDX-License-Identifier: Apache-2.0
# Proves a package: a program imports the library from it, and logs.
import os

from conan import ConanFile
from conan.tools.build import can_run
from conan.tools.cmake import CMake, cmake_layout


class AnnalsTestConan(ConanFile):
    settings = "os", "arch", "compiler", "build_type"
    generators = "CMakeToolchain", "CMakeDeps", "VirtualRunEnv"

    def requirements(self):
        self.requires(self.tested_reference_str)

    def layout(self):
        cmake_layout(self)

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def test(self):
        if can_run(self):
            log = os.path.join(self.build_folder, "audit.jsonl")
            self.run(f'"{os.path.join(self.cpp.build.bindir, "test_package")}" "{log}"', env="conanrun")
