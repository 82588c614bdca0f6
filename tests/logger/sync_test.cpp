// SPDX-License-Identifier: Apache-2.0
//
// What sync() may say, and what it must never say.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
#include "support/faulty_calls.h"

namespace {

using support::call;

class sync_of_a_log : public testing::Test {
 protected:
  void log_one() { EXPECT_TRUE(log.log_event("web", "x")); }

  support::temp_directory dir;
  support::faulty_calls calls;
  std::string path = dir / "audit.jsonl";
  annals::audit_logger log{{.path = path, .on_error = [](const annals::error&) {}}};
};

TEST_F(sync_of_a_log, covers_the_file_and_once_its_directory) {
  log_one();
  const annals::receipt synced = log.sync();
  EXPECT_TRUE(synced);
  EXPECT_EQ(synced.sequence(), 1U);
  EXPECT_EQ(calls.count(call::sync_data), 1);
  EXPECT_EQ(calls.count(call::sync_all), 1);
  log_one();
  EXPECT_TRUE(log.sync());
  EXPECT_EQ(calls.count(call::sync_data), 2);
  EXPECT_EQ(calls.count(call::sync_all), 1);
}

TEST_F(sync_of_a_log, costs_nothing_when_there_is_nothing_to_sync) {
  EXPECT_TRUE(log.sync());
  log_one();
  EXPECT_TRUE(log.sync());
  EXPECT_TRUE(log.sync());
  EXPECT_EQ(calls.count(call::sync_data), 1);
  EXPECT_FALSE(std::filesystem::exists(dir / "other"));
}

TEST_F(sync_of_a_log, that_failed_once_is_never_said_to_have_succeeded) {
  log_one();
  calls.fail(call::sync_data, EIO).times(1);
  const annals::receipt failed = log.sync();
  EXPECT_FALSE(failed);
  EXPECT_EQ(failed.cause()->code, annals::errc::sync_failed);
  EXPECT_NE(failed.message().find("cannot sync '" + path + "': Input/output error"), std::string::npos) << failed.message();
  EXPECT_FALSE(log.sync()) << "the kernel would say yes now, and lie";
  EXPECT_TRUE(log.log_event("web", "x")) << "direct promises no more than the kernel holds";
  EXPECT_FALSE(log.sync());
  EXPECT_TRUE(log.reopen());
  log_one();
  EXPECT_FALSE(log.sync()) << "it is the same file";
  EXPECT_EQ(calls.count(call::sync_data), 1);
}

TEST_F(sync_of_a_log, is_believed_again_in_a_new_file) {
  log_one();
  calls.fail(call::sync_data, EIO).times(1);
  EXPECT_FALSE(log.sync());
  std::filesystem::rename(path, path + ".suspect");
  EXPECT_TRUE(log.reopen());
  log_one();
  EXPECT_FALSE(log.sync()) << "it speaks for the events of the old file too";
  EXPECT_FALSE(log.sync()) << "to everybody who asks";
  EXPECT_TRUE(log.reopen());
  log_one();
  EXPECT_TRUE(log.sync());
}

TEST_F(sync_of_a_log, whose_directory_cannot_be_synced_fails_and_may_be_repeated) {
  log_one();
  calls.fail(call::sync_all, EIO).times(1);
  const annals::receipt failed = log.sync();
  EXPECT_FALSE(failed);
  EXPECT_NE(failed.message().find("cannot sync the directory '" + dir.path() + "'"), std::string::npos) << failed.message();
  EXPECT_TRUE(log.sync());
  EXPECT_EQ(calls.count(call::sync_all), 2);
}

TEST_F(sync_of_a_log, covers_a_file_that_was_renamed_before_it) {
  log_one();
  std::filesystem::rename(path, path + ".1");
  EXPECT_TRUE(log.reopen());
  EXPECT_EQ(calls.count(call::sync_data), 1) << "the old file, before it is let go";
  log_one();
  EXPECT_TRUE(log.sync());
  EXPECT_EQ(calls.count(call::sync_data), 2);
}

TEST_F(sync_of_a_log, tells_that_events_were_removed_with_their_file_until_reopen) {
  log_one();
  std::filesystem::remove(path);
  calls.advance(std::chrono::seconds(1));
  log_one();
  for (int i = 0; i < 2; ++i) {
    const annals::receipt failed = log.sync();
    EXPECT_FALSE(failed);
    EXPECT_NE(failed.message().find("was removed by somebody else"), std::string::npos) << failed.message();
  }
  EXPECT_TRUE(log.reopen());
  log_one();
  EXPECT_TRUE(log.sync());
}

TEST_F(sync_of_a_log, looks_itself_whether_the_file_is_still_there) {
  log_one();
  std::filesystem::remove(path);
  EXPECT_FALSE(log.sync());
  EXPECT_FALSE(std::filesystem::exists(path)) << "the next event makes it anew, not the sync";
}

TEST_F(sync_of_a_log, covers_the_directory_of_a_file_that_was_let_go) {
  log_one();
  EXPECT_TRUE(log.reopen());
  EXPECT_TRUE(log.sync());
  EXPECT_EQ(calls.count(call::sync_all), 1);
}

TEST_F(sync_of_a_log, covers_the_directories_in_which_directories_were_made) {
  annals::audit_logger deep({.path = dir / "a/b/c/audit.jsonl"});
  EXPECT_TRUE(deep.log_event("web", "x"));
  EXPECT_TRUE(deep.sync());
  EXPECT_EQ(calls.count(call::sync_all), 4) << "the test's directory, a, b and c";
}

TEST_F(sync_of_a_log, that_is_interrupted_goes_on) {
  log_one();
  calls.fail(call::sync_data, EINTR).times(3);
  EXPECT_TRUE(log.sync());
}

}  // namespace
