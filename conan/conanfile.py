# SPDX-License-Identifier: Apache-2.0
# The Conan 2 recipe: the library alone, as its own CMake package. `conan create conan -pr:a conan/profiles/NAME`.
import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load

required_conan_version = ">=2.5"


class AnnalsConan(ConanFile):
    name = "annals"
    description = "An audit log you import"
    license = "Apache-2.0"
    topics = ("audit", "logging", "json", "modules")
    package_type = "shared-library"
    settings = "os", "arch", "compiler", "build_type"

    def set_version(self):
        lists = load(self, os.path.join(self.recipe_folder, "..", "CMakeLists.txt"))
        self.version = re.search(r"project\(annals VERSION ([0-9.]+)", lists).group(1)

    def export_sources(self):
        root = os.path.join(self.recipe_folder, "..")
        for pattern in ("CMakeLists.txt", "LICENSE", "cmake/*", "modules/*", "sinks/*", "plugins/*", "share/*",
                        "docs/annals.schema.json"):
            copy(self, pattern, src=root, dst=self.export_sources_folder)

    def layout(self):
        self.folders.root = ".."
        cmake_layout(self)

    def build_requirements(self):
        self.tool_requires("cmake/[>=3.28 <4.4]")

    def requirements(self):
        # Not for consumers' code: the interfaces include the standard library only.
        self.requires("boost/[>=1.81 <2]", headers=False)
        self.requires("zstd/[>=1.5 <2]", headers=False)

    def validate(self):
        check_min_cppstd(self, 20)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["ANNALS_CLI"] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", src=self.source_folder, dst=os.path.join(self.package_folder, "licenses"))

    def package_info(self):
        # No generator of Conan describes module file sets, so consumers get the CMake package that is installed.
        self.cpp_info.libs = ["annals"]
        self.cpp_info.includedirs = []
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = ["lib/cmake/annals"]
