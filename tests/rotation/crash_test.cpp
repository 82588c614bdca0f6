// SPDX-License-Identifier: Apache-2.0
//
// Rotation is killed at each system call, and the opening after it, too; and each call fails, once or for ever. The log opens
// and reads whole each time, and the numbers stay in order.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.rotation;
import annals.segment;
#include "rotation/rotating.h"
#include "support/counted_calls.h"

namespace {

using support::at_call;
using support::whole_log;

// Logs events that say which they are, in a log in which each is a segment's last; returns how many were accepted.
int log_some(const std::string& path, int writer, int count) {
  annals::audit_logger log({.path = path,
                            .on_error = [](const annals::error&) {},
                            .sink = std::make_unique<support::rotating_sink>(path, support::of_size(1))});
  int accepted = 0;
  for (int i = 0; i < count; ++i) {
    if (log.log_event("web", "x", {.fields = {{"writer", writer}, {"number", accepted}}})) ++accepted;
  }
  return accepted;
}

// Whole, in order: of the writer 0 the first events, as many as `least` to `most`, then all of writer 1, and so on.
void expect_whole(const std::string& path, int writers) {
  const whole_log whole(path);
  std::vector<std::int64_t> next(static_cast<std::size_t>(writers), 0);
  int last_writer = 0;
  for (const std::string& line : whole.lines) {
    const auto writer = static_cast<int>(support::number_in(line, "writer"));
    ASSERT_GE(writer, last_writer) << "an event before one that was logged earlier";
    last_writer = writer;
    ASSERT_EQ(support::number_in(line, "number"), next.at(static_cast<std::size_t>(writer))++);
  }
  for (int i = 0; i + 1 < writers; ++i) EXPECT_LE(next[static_cast<std::size_t>(i)], 3);
  EXPECT_EQ(next.back(), 3) << "the last logger was left alone";
}

TEST(rotation, killed_at_each_system_call_leaves_a_log_that_goes_on) {
  for (int nth = 1;; ++nth) {
    const support::temp_directory dir;
    const std::string path = dir / "audit.jsonl";
    const bool is_done = support::survives_until_killed_at(nth, [&] { (void)log_some(path, 0, 3); });
    EXPECT_EQ(log_some(path, 1, 3), 3) << "killed at call " << nth;
    expect_whole(path, 2);
    ASSERT_FALSE(testing::Test::HasFailure()) << "killed at call " << nth;
    if (is_done) {
      EXPECT_GT(nth, 40);
      break;
    }
  }
}

TEST(rotation, killed_and_killed_again_while_it_opens_leaves_a_log_that_goes_on) {
  int second_max = 0;
  for (int first = 1;; ++first) {
    bool first_is_done = false;
    for (int second = 1 + first % 3;; second += 3) {  // all of them, in the course of the test
      const support::temp_directory dir;
      const std::string path = dir / "audit.jsonl";
      first_is_done = support::survives_until_killed_at(first, [&] { (void)log_some(path, 0, 2); });
      const bool is_done = support::survives_until_killed_at(second, [&] { (void)log_some(path, 1, 1); });
      EXPECT_EQ(log_some(path, 2, 3), 3) << "killed at call " << first << " and at call " << second;
      expect_whole(path, 3);
      ASSERT_FALSE(testing::Test::HasFailure()) << "killed at call " << first << " and at call " << second;
      second_max = std::max(second_max, second);
      if (is_done) break;
    }
    if (first_is_done) break;
  }
  EXPECT_GT(second_max, 15);
}

// `annals rotate` beside a writer that lives.
TEST(rotation, by_another_process_that_is_killed_at_each_system_call_does_not_disturb_a_writer) {
  for (int nth = 1;; ++nth) {
    const support::temp_directory dir;
    const std::string path = dir / "audit.jsonl";
    annals::audit_logger log({.path = path,
                              .on_error = [](const annals::error&) {},
                              .sink = std::make_unique<support::rotating_sink>(path, annals::rotation::triggers{})});
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(log.log_event("web", "x", {.fields = {{"writer", 0}, {"number", i}}}));
    const bool is_done = support::survives_until_killed_at(nth, [&] { (void)annals::rotation::rotate(path); });
    for (int i = 2; i < 4; ++i) EXPECT_TRUE(log.log_event("web", "x", {.fields = {{"writer", 0}, {"number", i}}}));
    support::expect_all(whole_log(path), 1, 4);
    ASSERT_FALSE(testing::Test::HasFailure()) << "killed at call " << nth;
    if (is_done) break;
  }
}

// An event whose receipt says so is in the log, whatever failed; and when the cause is gone, all goes on.
void fail_each_call(at_call what, int error) {
  for (int nth = 1;; ++nth) {
    const support::temp_directory dir;
    const std::string path = dir / "audit.jsonl";
    bool is_done = false;
    int accepted = 0;
    std::string name;
    annals::audit_logger log({.path = path,
                              .on_error = [](const annals::error&) {},
                              .sink = std::make_unique<support::rotating_sink>(path, support::of_size(1))});
    const auto log_one = [&] {
      if (log.log_event("web", "x", {.fields = {{"number", accepted}}})) ++accepted;
    };
    {
      const support::counted_calls calls(what, nth, error);
      for (int i = 0; i < 3; ++i) log_one();
      is_done = calls.count() < nth;
      name = calls.name();
    }
    const int before = accepted;
    for (int i = 0; i < 2; ++i) log_one();
    EXPECT_EQ(accepted, before + 2) << "the cause is gone";
    std::int64_t next = 0;
    for (const std::string& line : whole_log(path).lines) EXPECT_EQ(support::number_in(line, "number"), next++);
    EXPECT_EQ(next, accepted);
    ASSERT_FALSE(testing::Test::HasFailure()) << "call " << nth << ", " << name << ", failed with " << error;
    if (is_done) return;
  }
}

TEST(rotation, loses_no_accepted_event_when_a_call_fails_once) {
  for (const int error : {EIO, ENOSPC, EMFILE, EROFS, EDQUOT, EINTR}) fail_each_call(at_call::fail_once, error);
}

TEST(rotation, loses_no_accepted_event_when_all_calls_fail_from_one_on) {
  for (const int error : {EIO, ENOSPC, EMFILE, EROFS, EDQUOT}) fail_each_call(at_call::fail_for_ever, error);
}

}  // namespace
