// SPDX-License-Identifier: Apache-2.0
//
// A host and plugins of different minor versions of the ABI. Built twice: the newer host with today's plugins, and today's host
// with plugins of the next version. The plugins append to a file. ANNALS_TEST_PLUGIN names another plugin to try instead.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/temp_directory.h"
#include "version_files.h"
import annals;

namespace {

using support::temp_directory;

class version_test : public testing::TestWithParam<const char*> {
 protected:
  version_test() {
    const std::filesystem::path from = GetParam();
    path_ = directory_ / from.filename().string();
    std::filesystem::copy_file(from, path_);
    EXPECT_EQ(::chmod(path_.c_str(), 0644), 0);
  }

  std::unique_ptr<annals::sink> sink(const std::vector<annals::option>& options) {
    const auto loaded = annals::load_plugin(path_);
    if (!loaded) throw annals::failure(loaded.error());
    return loaded->make_sink({.options = options});
  }

  const temp_directory directory_;
  std::string path_;
  const std::string out_ = directory_ / "out.jsonl";
  const std::vector<annals::option> good_ = {{"path", annals::option_kind::text, out_}};
};

TEST_P(version_test, host_and_plugin_have_the_versions_this_is_about) {
  const auto info = annals::examine_plugin(path_);
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(annals::host_abi().minor, unsigned{HOST_MINOR});
  EXPECT_EQ(info->abi_minor, unsigned{PLUGIN_MINOR});
}

TEST_P(version_test, lines_arrive_through_every_function) {
  const auto made = sink(good_);
  EXPECT_EQ(made->position(), (annals::position{1, 0}));
  made->write({.lines = "one\ntwo\n", .count = 2, .first_sequence = 1});
  made->sync();
  EXPECT_EQ(made->position(), (annals::position{1, 8}));
  std::filesystem::rename(out_, out_ + ".1");
  made->reopen();
  made->write({.lines = "three\n", .count = 1, .first_sequence = 3});
  EXPECT_EQ(support::content_of(out_ + ".1"), "one\ntwo\n");
  EXPECT_EQ(support::content_of(out_), "three\n");
}

TEST_P(version_test, an_error_brings_its_code_and_its_words) {
  std::filesystem::create_directory(out_);
  const auto made = sink(good_);
  try {
    made->write({.lines = "one\n", .count = 1, .first_sequence = 1});
    FAIL() << "expected a failure: the destination is a directory";
  } catch (const annals::failure& failed) {
    EXPECT_NE(failed.cause().code, annals::errc::sink_failed);
    EXPECT_NE(std::string_view(failed.what()).find(out_), std::string_view::npos) << failed.what();
  }
}

TEST_P(version_test, the_second_of_two_options_is_read) {
  auto options = good_;
  options.push_back({"colour", annals::option_kind::text, "red"});
  try {
    sink(options);
    FAIL() << "expected a failure: there is no such option";
  } catch (const annals::failure& failed) {
    EXPECT_EQ(failed.cause().code, annals::errc::invalid_config);
    EXPECT_NE(std::string_view(failed.what()).find("colour"), std::string_view::npos) << failed.what();
  }
}

TEST_P(version_test, a_logger_writes_through_it) {
  {
    annals::audit_logger log({.sink = sink(good_)});
    EXPECT_TRUE(log.log_event("web", "login"));
  }
  EXPECT_NE(support::content_of(out_).find("\"login\""), std::string::npos);
}

std::vector<const char*> files() {
  if (const char* const one = std::getenv("ANNALS_TEST_PLUGIN")) return {one};
  return {std::begin(version_files), std::end(version_files)};
}

INSTANTIATE_TEST_SUITE_P(plugins, version_test, testing::ValuesIn(files()));

}  // namespace
