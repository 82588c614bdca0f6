// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/child.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
#include "support/faulty_calls.h"

namespace {

using namespace std::chrono_literals;
using support::call;

TEST(error_handler, hears_the_first_failure_at_once_and_then_one_a_second_with_a_count) {
  const support::temp_directory dir;
  support::faulty_calls calls;
  calls.freeze();
  std::vector<std::string> heard;
  annals::audit_logger log(
      {.path = dir / "audit.jsonl", .on_error = [&](const annals::error& e) { heard.push_back(e.message); }});
  calls.fail(call::open, EACCES);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(log.log_event("web", "x"));
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(heard[0], "cannot open for appending '" + dir / "audit.jsonl" + "': Permission denied");
  calls.advance(1s);
  EXPECT_FALSE(log.log_event("web", "x"));
  ASSERT_EQ(heard.size(), 2U);
  EXPECT_EQ(heard[1], heard[0] + " (and 99 more of this kind since the last report)");
  EXPECT_EQ(log.stats().failed, 101U);
}

TEST(error_handler, hears_of_another_kind_of_failure_at_once) {
  const support::temp_directory dir;
  support::faulty_calls calls;
  std::vector<annals::errc> heard;
  annals::audit_logger log({.path = dir / "audit.jsonl", .on_error = [&](const annals::error& e) { heard.push_back(e.code); }});
  calls.fail(call::open, EACCES);
  EXPECT_FALSE(log.log_event("web", "x"));
  EXPECT_FALSE(log.log_event("web", "x", {.fields = {{"ts", 1}}}));
  EXPECT_EQ(heard, (std::vector{annals::errc::io, annals::errc::invalid_field}));
}

TEST(error_handler, may_throw_and_may_log) {
  const support::temp_directory dir;
  support::faulty_calls calls;
  int heard = 0;
  annals::audit_logger* self = nullptr;
  annals::audit_logger log({.path = dir / "audit.jsonl", .on_error = [&](const annals::error&) {
                              ++heard;
                              EXPECT_FALSE(self->log_event("web", "from the handler"));
                              throw std::runtime_error("never mind");
                            }});
  self = &log;
  calls.fail(call::open, EACCES);
  EXPECT_FALSE(log.log_event("web", "x"));
  EXPECT_EQ(heard, 1);
  EXPECT_EQ(log.stats().failed, 2U);
  calls.heal();
  EXPECT_TRUE(log.log_event("web", "x"));
}

TEST(error_handler, may_log_a_long_line_when_a_long_line_failed) {
  const support::temp_directory dir;
  support::faulty_calls calls;
  const std::string detail(100'000, 'x');
  int heard = 0;
  annals::audit_logger* self = nullptr;
  annals::audit_logger log({.path = dir / "audit.jsonl", .on_error = [&](const annals::error&) {
                              ++heard;
                              EXPECT_FALSE(self->log_event("web", "from the handler", {.detail = detail}));
                            }});
  self = &log;
  calls.fail(call::open, EACCES);
  EXPECT_FALSE(log.log_event("web", "x", {.detail = detail}));
  EXPECT_EQ(heard, 1);
}

TEST(error_handler, finds_the_failure_counted_already) {
  const support::temp_directory dir;
  support::faulty_calls calls;
  std::uint64_t failed = 0;
  annals::audit_logger* self = nullptr;
  annals::audit_logger log(
      {.path = dir / "audit.jsonl", .on_error = [&](const annals::error&) { failed = self->stats().failed; }});
  self = &log;
  calls.fail(call::open, EACCES);
  EXPECT_FALSE(log.log_event("web", "x"));
  EXPECT_EQ(failed, 1U);
}

TEST(notice_handler, is_called_for_lines_that_tail_log_skips) {
  const support::temp_directory dir;
  support::write_file(dir / "audit.jsonl", "{}\ngarbage\n{}\n");
  std::vector<annals::notice> heard;
  const annals::audit_logger log(
      {.path = dir / "audit.jsonl", .on_notice = [&](const annals::notice& n) { heard.push_back(n); }});
  EXPECT_EQ(log.tail_log().size(), 2U);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(heard[0].code, annals::notice_code::lines_skipped);
  EXPECT_EQ(heard[0].severity, annals::severity::warning);
  EXPECT_NE(heard[0].message.find("1 line skipped; at offset 3: not valid JSON"), std::string::npos) << heard[0].message;
}

// Gives a notice of each severity with each write.
class talkative_sink final : public annals::sink {
 public:
  void write(const annals::batch&) override {
    using annals::severity;
    notify({annals::notice_code::segment_closed, severity::info, 0, "closed"});
    notify({annals::notice_code::partial_line, severity::warning, 0, "ended"});
    notify({annals::notice_code::rotation_failed, severity::error, 28, "cannot rotate"});
  }
  void sync() override {}
  void reopen() override {}
  annals::position position() override { return {}; }
};

TEST(notice_handler, gets_every_notice_and_then_no_error_is_reported) {
  std::vector<annals::notice_code> notices;
  std::vector<annals::errc> errors;
  annals::audit_logger log({.on_error = [&](const annals::error& e) { errors.push_back(e.code); },
                            .on_notice = [&](const annals::notice& n) { notices.push_back(n.code); },
                            .sink = std::make_unique<talkative_sink>()});
  EXPECT_TRUE(log.log_event("web", "x"));
  using annals::notice_code;
  EXPECT_EQ(notices, (std::vector{notice_code::segment_closed, notice_code::partial_line, notice_code::rotation_failed}));
  EXPECT_TRUE(errors.empty());
  EXPECT_EQ(log.stats().notices, 3U);
}

TEST(notice_handler, that_is_missing_leaves_failed_background_work_to_the_error_handler) {
  std::vector<annals::error> errors;
  annals::audit_logger log(
      {.on_error = [&](const annals::error& e) { errors.push_back(e); }, .sink = std::make_unique<talkative_sink>()});
  EXPECT_TRUE(log.log_event("web", "x"));
  ASSERT_EQ(errors.size(), 1U) << "information and warnings are discarded";
  EXPECT_EQ(errors[0].code, annals::errc::background_failed);
  EXPECT_EQ(errors[0].system_code, 28);
  EXPECT_EQ(errors[0].message, "cannot rotate");
}

// An event fails, and the error goes to this standard error. 0 when logging said so and the process is still there.
int fail_with_standard_error(int fd) {
  const support::temp_directory dir;
  ::dup2(fd, STDERR_FILENO);
  support::faulty_calls calls;
  annals::audit_logger log({.path = dir / "audit.jsonl"});
  calls.fail(call::open, EACCES);
  return log.log_event("web", "x") ? 1 : 0;
}

// Where a standard descriptor is closed, the next file that is opened takes its number.
TEST(error_handler, does_not_write_to_the_log_when_standard_error_is_closed) {
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  support::expect_zero_in_child([&] {
    ::close(STDERR_FILENO);
    annals::audit_logger log({.path = path});
    if (!log.log_event("web", "x")) return 1;
    if (log.log_event("web", "x", {.fields = {{"ts", 1}}})) return 2;  // which is told to standard error
    return log.log_event("web", "x") ? 0 : 3;
  });
  EXPECT_EQ(support::lines_of(path).size(), 2U);
  EXPECT_EQ(annals::tail_log(path).size(), 2U);
}

TEST(error_handler, shows_control_characters_of_a_path_escaped) {
  const support::temp_directory dir;
  std::filesystem::create_directory(dir / "ev\x1b[31m\xc2\x9bil\xc3\xa9");
  annals::audit_logger log({.path = dir / "ev\x1b[31m\xc2\x9bil\xc3\xa9"});
  testing::internal::CaptureStderr();
  EXPECT_FALSE(log.log_event("web", "x"));
  const std::string printed = testing::internal::GetCapturedStderr();
  EXPECT_NE(printed.find("/ev\\u001b[31m\\u009bil\xc3\xa9'"), std::string::npos) << printed;
}

TEST(error_handler, shows_characters_that_reorder_or_hide_text_escaped) {
  const support::temp_directory dir;
  // U+202E in two parts, which editors show in the order of the bytes.
  const std::string path = dir / "a\xe2\x80" + "\xae" + "b\u00a0c\u200bd";
  std::filesystem::create_directory(path);
  annals::audit_logger log({.path = path});
  testing::internal::CaptureStderr();
  EXPECT_FALSE(log.log_event("web", "x"));
  const std::string printed = testing::internal::GetCapturedStderr();
  EXPECT_NE(printed.find("/a\\u202eb\\u00a0c\\u200bd'"), std::string::npos) << printed;
}

// Nobody reads standard error any more: writing to it would end the process.
TEST(error_handler, does_not_die_of_a_broken_standard_error) {
  support::expect_zero_in_child([] {
    int pipe[2];
    if (::pipe(pipe) != 0) return 2;
    ::close(pipe[0]);
    ::signal(SIGPIPE, SIG_DFL);
    return fail_with_standard_error(pipe[1]);
  });
}

TEST(error_handler, does_not_wait_for_a_standard_error_that_nobody_empties) {
  support::expect_zero_in_child([] {
    int pipe[2];
    if (::pipe2(pipe, O_NONBLOCK) != 0) return 2;
    const std::string full(4096, 'x');
    while (::write(pipe[1], full.data(), full.size()) > 0) continue;
    ::fcntl(pipe[1], F_SETFL, 0);  // from now on a write would block
    return fail_with_standard_error(pipe[1]);
  });
}

TEST(error_handler, is_standard_error_when_there_is_none) {
  const support::temp_directory dir;
  support::faulty_calls calls;
  annals::audit_logger log({.path = dir / "audit.jsonl"});
  calls.fail(call::open, EACCES);
  testing::internal::CaptureStderr();
  EXPECT_FALSE(log.log_event("web", "x"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "annals: cannot open for appending '" + dir / "audit.jsonl" + "': Permission denied\n");
}

}  // namespace
