// SPDX-License-Identifier: Apache-2.0
//
// What a plugin is found by, what is known of it, and how long it stays.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "plugin_files.h"
import annals;

namespace {

using support::plugin_in;
using support::temp_directory;

bool is_mapped(std::string_view path) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(path) != std::string::npos) return true;
  }
  return false;
}

std::size_t open_descriptors() {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator()));
}

TEST(loader, reads_what_a_plugin_says_of_itself_without_loading_it) {
  const temp_directory directory;
  const std::string path = plugin_in(directory, "null", "null");
  const auto info = annals::examine_plugin(path);
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->path, path);
  EXPECT_EQ(info->name, "null");
  EXPECT_EQ(info->version, "1.0.0");
  EXPECT_EQ(info->license, "MIT");
  EXPECT_TRUE(info->compiler.starts_with("clang ") || info->compiler.starts_with("gcc ")) << info->compiler;
  EXPECT_EQ(info->abi_major, annals::host_abi().major);
  EXPECT_EQ(info->abi_minor, annals::host_abi().minor);
  EXPECT_EQ(info->capabilities, annals::plugin_info::offers_sink);
  EXPECT_FALSE(is_mapped(path));
}

TEST(loader, loads_by_name_from_the_first_directory_that_has_it) {
  const temp_directory empty;
  const temp_directory first;
  const temp_directory second;
  const std::string expected = plugin_in(first, "null", "null");
  plugin_in(second, "null", "null");
  const annals::plugin_registry plugins({empty.path(), first.path(), second.path()});
  const auto loaded = plugins.load("null");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->info().path, expected);
  EXPECT_TRUE(is_mapped(expected));
}

TEST(loader, does_not_fall_back_to_a_later_directory_when_the_first_has_a_bad_one) {
  const temp_directory first;
  const temp_directory second;
  support::write_file(first / "annals_null.so", "not a plugin");
  plugin_in(second, "null", "null");
  const auto loaded = annals::plugin_registry({first.path(), second.path()}).load("null");
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find(first.path()), std::string::npos) << loaded.error().message;
}

TEST(loader, tells_where_it_looked_for_a_plugin_that_is_nowhere) {
  const temp_directory directory;
  const auto loaded = annals::plugin_registry({directory.path()}).load("nowhere");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, annals::errc::plugin_refused);
  EXPECT_NE(loaded.error().message.find("annals_nowhere.so in '" + directory.path() + "'"), std::string::npos)
      << loaded.error().message;
  EXPECT_NE(loaded.error().message.find(annals::installed_plugin_directory()), std::string::npos);
}

TEST(loader, looks_neither_in_the_working_directory_nor_where_the_environment_says) {
  const temp_directory directory;
  plugin_in(directory, "null", "null");
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(directory.path());
  ::setenv("LD_LIBRARY_PATH", directory.path().c_str(), 1);
  const annals::plugin_registry plugins;
  for (const char* const name : {"null", "annals_null.so", "./annals_null.so", "annals_null", "", "../null", "a/b"}) {
    const auto loaded = plugins.load(name);
    ASSERT_FALSE(loaded) << name;
    EXPECT_EQ(loaded.error().code, annals::errc::plugin_refused);
  }
  const annals::plugin_registry relative({"."});
  EXPECT_FALSE(relative.load("null"));
  EXPECT_FALSE(relative.list().at(0).info);
  ::unsetenv("LD_LIBRARY_PATH");
  std::filesystem::current_path(before);
}

TEST(loader, lists_good_and_refused_plugins_and_no_other_file) {
  const temp_directory directory;
  const std::string null = plugin_in(directory, "null", "null");
  const std::string broken = plugin_in(directory, "FUTURE_MAJOR");
  support::write_file(directory / "annals_readme.txt", "");
  support::write_file(directory / "libother.so", "");
  const auto found = annals::plugin_registry({directory.path()}).list();
  ASSERT_GE(found.size(), 2U);
  EXPECT_EQ(found[0].path, broken);
  EXPECT_FALSE(found[0].info);
  EXPECT_EQ(found[1].path, null);
  EXPECT_TRUE(found[1].info);
  for (const auto& one : found) EXPECT_EQ(one.path.find("readme"), std::string::npos);
}

TEST(loader, keeps_a_plugin_for_ever_unless_told_otherwise) {
  const temp_directory directory;
  const std::string path = plugin_in(directory, "good");
  {
    ASSERT_TRUE(annals::load_plugin(path));
  }
  EXPECT_TRUE(is_mapped(path));
}

TEST(loader, unloads_with_the_last_sink_when_told_to) {
  const temp_directory directory;
  const std::string path = plugin_in(directory, "good");
  std::unique_ptr<annals::sink> sink;
  {
    const auto loaded = annals::load_plugin(path, annals::unload::when_unused);
    ASSERT_TRUE(loaded) << loaded.error().message;
    sink = loaded->make_sink({});
  }
  EXPECT_TRUE(is_mapped(path));
  sink->write({"{}\n", 1, 1});
  sink.reset();
  EXPECT_FALSE(is_mapped(path));
}

TEST(loader, loads_another_file_when_one_was_installed_at_the_same_path) {
  const temp_directory directory;
  const std::string path = plugin_in(directory, "null", "null");
  const auto old = annals::load_plugin(path);
  ASSERT_TRUE(old) << old.error().message;
  std::filesystem::remove(path);
  plugin_in(directory, "null", "null");
  const auto fresh = annals::load_plugin(path);
  ASSERT_TRUE(fresh) << fresh.error().message;
  EXPECT_NE(old->descriptor(), fresh->descriptor());
  const auto again = annals::load_plugin(path);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->descriptor(), fresh->descriptor());
}

TEST(loader, leaves_no_descriptor_open) {
  const temp_directory directory;
  const std::string path = plugin_in(directory, "null", "null");
  const std::string broken = plugin_in(directory, "NO_WRITE");
  ASSERT_TRUE(annals::load_plugin(path));
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(annals::load_plugin(path));
    ASSERT_FALSE(annals::load_plugin(broken));
    ASSERT_FALSE(annals::load_plugin(directory / "annals_missing.so"));
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(loader, loads_from_many_threads_at_once) {
  const temp_directory directory;
  const std::string path = plugin_in(directory, "null", "null");
  std::vector<std::thread> threads;
  std::vector<int> failures(4);
  for (int& failed : failures) {
    threads.emplace_back([&path, &failed] {
      for (int i = 0; i < 50; ++i) {
        auto loaded = annals::load_plugin(path);
        if (!loaded) {
          ++failed;
          continue;
        }
        auto sink = loaded->make_sink({});
        sink->write({"{}\n", 1, 1});
        if (sink->position().offset != 3) ++failed;
      }
    });
  }
  for (std::thread& one : threads) one.join();
  EXPECT_EQ(std::count(failures.begin(), failures.end(), 0), 4);
}

TEST(loader, knows_where_plugins_are_installed) {
  const std::string directory = annals::installed_plugin_directory();
  EXPECT_TRUE(directory.starts_with('/')) << directory;
  EXPECT_TRUE(directory.ends_with("/annals/plugins")) << directory;
}

}  // namespace
