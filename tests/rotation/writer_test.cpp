// SPDX-License-Identifier: Apache-2.0
//
// The writer that rotates: what a rotation leaves behind, what sync() speaks for, and what strangers do to the live segment.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
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
#include "support/faulty_calls.h"

namespace {

using namespace std::chrono_literals;
using support::call;
using support::whole_log;

class rotating_log : public testing::Test {
 protected:
  rotating_log() { begin(); }
  void begin(std::uint64_t bytes_max = annals::rotation::triggers::no_limit) {
    log.reset();
    auto made = std::make_unique<support::rotating_sink>(path, support::of_size(bytes_max));
    sink = made.get();
    log = std::make_unique<annals::audit_logger>(
        annals::logger_options{.path = path,
                               .on_error = [this](const annals::error& e) { errors.push_back(e); },
                               .on_notice = [this](const annals::notice& n) { heard.push_back(n); },
                               .sink = std::move(made)});
  }
  annals::receipt log_one() {
    annals::receipt made = log->log_event("web", "x", {.fields = {{"number", number}}});
    if (made) ++number;
    return made;
  }
  void rotate() {
    const auto closed = annals::rotation::rotate(path);
    ASSERT_TRUE(closed) << closed.error().message;
    EXPECT_TRUE(*closed);
  }
  void expect_all_in_order() {
    const whole_log whole(path);
    std::int64_t next = 0;
    for (const std::string& line : whole.lines) EXPECT_EQ(support::number_in(line, "number"), next++);
    EXPECT_EQ(next, number);
  }
  static int descriptors() {
    int count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
  }

  support::temp_directory dir;
  support::faulty_calls calls;
  std::string path = dir / "audit.jsonl";
  std::vector<annals::error> errors;
  std::vector<annals::notice> heard;
  std::unique_ptr<annals::audit_logger> log;
  support::rotating_sink* sink = nullptr;
  int number = 0;
};

TEST_F(rotating_log, opens_nothing_before_the_first_event) {
  EXPECT_EQ(sink->position().segment, 1U);
  EXPECT_TRUE(log->sync());
  EXPECT_TRUE(log->reopen());
  log.reset();
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST_F(rotating_log, goes_on_in_a_new_segment_when_another_process_rotates) {
  EXPECT_TRUE(log_one());
  rotate();
  EXPECT_TRUE(log_one());
  const whole_log whole(path);
  ASSERT_EQ(whole.closed.size(), 1U);
  EXPECT_EQ(support::lines_of(path).size(), 1U) << "without waiting for a look at the path";
  EXPECT_TRUE(heard.empty()) << heard[0].message;
  expect_all_in_order();
}

TEST_F(rotating_log, is_not_rotated_where_it_is_empty_or_missing) {
  EXPECT_FALSE(*annals::rotation::rotate(path));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path())) << "nothing is created for that";
  EXPECT_TRUE(log_one());
  rotate();
  EXPECT_FALSE(*annals::rotation::rotate(path));
  EXPECT_EQ(whole_log(path).closed.size(), 1U);
}

TEST_F(rotating_log, keeps_mode_and_group_of_its_segments) {
  EXPECT_TRUE(log_one());
  struct ::stat found;
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0600U);
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  const ::mode_t before = ::umask(077);
  rotate();
  ::umask(before);
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0640U);
}

TEST_F(rotating_log, creates_no_segment_that_its_owner_could_not_write) {
  EXPECT_TRUE(log_one());
  class another_user : public support::faulty_calls {
   public:
    std::uint32_t effective_user() noexcept override { return 4321; }
    int set_owner(int, std::uint32_t, std::uint32_t) noexcept override { return -EPERM; }
  };
  {
    const another_user other;
    rotate();
  }
  EXPECT_FALSE(std::filesystem::exists(path)) << "that is for the next writer";
  EXPECT_TRUE(log_one());
  expect_all_in_order();
}

TEST_F(rotating_log, by_root_who_may_not_change_owners_creates_no_segment_that_its_owner_could_not_write) {
  if (::geteuid() != 0) GTEST_SKIP() << "NOT TESTED: only root may make files of other users (chown(2)): run this test as root";
  EXPECT_TRUE(log_one());
  ASSERT_EQ(::chown(path.c_str(), 1234, 1234), 0);
  class root_without_chown : public support::faulty_calls {
   public:
    int set_owner(int, std::uint32_t, std::uint32_t) noexcept override { return -EPERM; }
  };
  {
    const root_without_chown other;
    rotate();
  }
  EXPECT_FALSE(std::filesystem::exists(path)) << "that is for the next writer";
  EXPECT_TRUE(log_one());
  expect_all_in_order();
}

TEST_F(rotating_log, tells_of_each_rotation_of_its_own) {
  begin(1000);
  while (heard.empty()) ASSERT_TRUE(log_one());
  EXPECT_EQ(heard[0].code, annals::notice_code::segment_closed);
  const whole_log whole(path);
  ASSERT_EQ(whole.closed.size(), 1U);
  EXPECT_NE(heard[0].message.find("'" + path + "' was closed as '" + whole.closed[0].path + "' ("), std::string::npos)
      << heard[0].message;
  EXPECT_NE(heard[0].message.find("the next event would exceed its size"), std::string::npos) << heard[0].message;
}

TEST_F(rotating_log, ends_a_torn_line_before_it_closes_the_segment) {
  support::write_file(path, "{\"number\":0}\n{\"numb");
  ++number;
  rotate();
  const auto closed = whole_log(path).closed;
  EXPECT_EQ(support::content_of(closed.at(0).path), "{\"number\":0}\n{\"numb\n");
}

TEST_F(rotating_log, has_a_position_in_the_segment_that_the_next_line_goes_to) {
  EXPECT_EQ(sink->position(), (annals::position{1, 0}));
  EXPECT_TRUE(log_one());
  EXPECT_EQ(sink->position(), (annals::position{1, std::filesystem::file_size(path)}));
  rotate();
  EXPECT_EQ(sink->position(), (annals::position{2, 0}));
  EXPECT_TRUE(log_one());
  EXPECT_EQ(sink->position(), (annals::position{2, std::filesystem::file_size(path)}));
  expect_all_in_order();
}

TEST_F(rotating_log, tells_by_its_position_how_far_a_batch_came) {
  begin(100);
  std::string lines;
  for (int i = 0; i < 20; ++i) lines += "{\"number\":" + std::to_string(number++) + "}\n";
  class full_disk : public support::faulty_calls {
   public:
    std::int64_t write(int fd, const char* bytes, std::size_t count) noexcept override {
      return writes++ == 2 ? -ENOSPC : system_calls::write(fd, bytes, count);
    }
    int writes = 0;
  };
  {
    const full_disk full;
    EXPECT_THROW(sink->write({lines, 20, 1, calls.now()}), annals::sink_error);
  }
  const annals::position at = sink->position();
  EXPECT_EQ(at.segment, 3U);
  const whole_log whole(path);
  std::size_t before = std::filesystem::file_size(path);
  for (const auto& segment : whole.closed) before += std::filesystem::file_size(segment.path);
  EXPECT_EQ(at.offset, std::filesystem::file_size(path));
  sink->write({std::string_view(lines).substr(before), 20 - whole.lines.size(), 1, calls.now()});
  expect_all_in_order();
}

// --- sync -------------------------------------------------------------------------------------------------------------------

TEST_F(rotating_log, that_is_synced_is_durable_in_closed_segments_too) {
  EXPECT_TRUE(log_one());
  rotate();
  EXPECT_TRUE(log_one());
  rotate();
  EXPECT_TRUE(log_one());
  const int before = calls.count(call::sync_data);
  EXPECT_TRUE(log->sync());
  EXPECT_EQ(calls.count(call::sync_data) - before, 3) << "each segment that this process wrote to";
  EXPECT_TRUE(log->sync());
  EXPECT_EQ(calls.count(call::sync_data) - before, 3);
}

TEST_F(rotating_log, whose_closed_segment_fails_to_sync_says_so_until_reopen) {
  EXPECT_TRUE(log_one());
  rotate();
  EXPECT_TRUE(log_one());
  calls.fail(call::sync_data, EIO).times(1);
  EXPECT_FALSE(log->sync());
  EXPECT_FALSE(log->sync()) << "to everybody who asks";
  EXPECT_TRUE(log_one());
  EXPECT_FALSE(log->sync());
  EXPECT_TRUE(log->reopen());
  EXPECT_TRUE(log_one());
  EXPECT_TRUE(log->sync());
}

TEST_F(rotating_log, keeps_few_descriptors_of_segments_that_wait_for_a_sync) {
  begin(1);  // each event closes the segment before
  EXPECT_TRUE(log_one());
  const int before = descriptors();
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(log_one());
  EXPECT_LE(descriptors() - before, 8);
  EXPECT_EQ(calls.count(call::sync_data), 22);
  EXPECT_TRUE(log->sync());
  EXPECT_EQ(calls.count(call::sync_data), 31);
  EXPECT_EQ(descriptors(), before);
}

TEST_F(rotating_log, syncs_its_directory_at_each_rotation) {
  begin(1);
  EXPECT_TRUE(log_one());
  const int before = calls.count(call::sync_all);
  EXPECT_TRUE(log_one());
  EXPECT_EQ(calls.count(call::sync_all) - before, 1);
  calls.fail(call::sync_all, EIO).times(1);
  EXPECT_TRUE(log_one()) << "the kernel has it all the same";
  EXPECT_TRUE(log->sync()) << "it is tried again";
}

TEST_F(rotating_log, leaves_no_descriptor_behind_in_ten_thousand_rotations) {
  class without_disk : public support::faulty_calls {  // whose syncs would take most of the time
   public:
    int sync_data(int) noexcept override { return 0; }
    int sync_all(int) noexcept override { return 0; }
  };
  const without_disk fast;
  begin(1);
  EXPECT_TRUE(log_one());
  EXPECT_TRUE(log->sync());
  const int before = descriptors();
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(log->log_event("web", "x"));
    if (i % 100 != 0) continue;
    const auto closed = annals::segment::closed_segments(path);
    for (std::size_t old = 0; old + 1 < closed->size(); ++old) std::filesystem::remove((*closed)[old].path);
  }
  EXPECT_TRUE(log->sync());
  EXPECT_EQ(descriptors(), before);
  EXPECT_EQ(sink->position().segment, 10'001U);
}

// --- strangers -------------------------------------------------------------------------------------------------------------

TEST_F(rotating_log, that_somebody_renames_without_a_lock_goes_on_at_its_path_within_100_ms) {
  EXPECT_TRUE(log_one());
  std::filesystem::rename(path, path + ".1");
  calls.advance(100ms);
  EXPECT_TRUE(log->log_event("web", "after"));
  EXPECT_EQ(support::lines_of(path).size(), 1U);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(heard[0].code, annals::notice_code::file_replaced);
  EXPECT_NE(heard[0].message.find("the last event may be in the old file"), std::string::npos) << heard[0].message;
}

TEST_F(rotating_log, that_somebody_removes_says_so_and_sync_does_too) {
  EXPECT_TRUE(log_one());
  std::filesystem::remove(path);
  EXPECT_FALSE(log->sync());
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(log_one());
  EXPECT_FALSE(log->sync());
  EXPECT_TRUE(log->reopen());
  EXPECT_TRUE(log_one());
  EXPECT_TRUE(log->sync());
}

TEST_F(rotating_log, reopens_at_once_what_was_renamed_on_purpose) {
  EXPECT_TRUE(log_one());
  std::filesystem::rename(path, path + ".1");
  EXPECT_TRUE(log->reopen());
  EXPECT_TRUE(log_one());
  EXPECT_EQ(support::lines_of(path).size(), 1U);
  EXPECT_TRUE(heard.empty());
  EXPECT_TRUE(errors.empty());
}

TEST_F(rotating_log, whose_lock_is_removed_goes_on_with_a_new_one) {
  EXPECT_TRUE(log_one());
  std::filesystem::remove(path + ".lock");
  calls.advance(100ms);
  EXPECT_TRUE(log_one());
  EXPECT_TRUE(std::filesystem::exists(path + ".lock"));
  rotate();
  EXPECT_TRUE(log_one());
  EXPECT_TRUE(heard.empty());
  EXPECT_TRUE(errors.empty());
  expect_all_in_order();
}

TEST_F(rotating_log, whose_lock_cannot_be_had_refuses_events_and_says_why) {
  support::write_file(path + ".lock", std::string(4096, 'x'));
  const annals::receipt made = log_one();
  ASSERT_FALSE(made);
  EXPECT_NE(made.message().find("it is no lock of a log"), std::string::npos) << made.message();
  EXPECT_FALSE(std::filesystem::exists(path));
  std::filesystem::remove(path + ".lock");
  EXPECT_TRUE(log_one());
  expect_all_in_order();
}

TEST_F(rotating_log, never_replaces_a_file_that_stands_in_the_way) {
  begin(200);
  EXPECT_TRUE(log_one());
  // A name that the listing does not show, and which is there all the same.
  class blind : public support::faulty_calls {
   public:
    int list_directory(const char*, std::string_view, std::size_t, std::vector<std::string>&) noexcept override { return 0; }
  };
  rotate();
  const auto closed = whole_log(path).closed;
  const std::string content = support::content_of(closed.at(0).path);
  {
    const blind calls_now;
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(log_one()) << "events are not lost by a rotation that fails";
  }
  EXPECT_EQ(support::content_of(closed.at(0).path), content);
  expect_all_in_order();
}

TEST_F(rotating_log, is_rotated_once_for_what_a_signal_handler_asked) {
  static annals::rotation_request request;
  ::signal(SIGHUP, [](int) { request.ask(); });
  EXPECT_TRUE(log_one());
  EXPECT_FALSE(*request.serve(path)) << "nobody has asked";
  ::raise(SIGHUP);
  ::raise(SIGHUP);
  ::signal(SIGHUP, SIG_DFL);
  EXPECT_TRUE(request.is_asked());
  calls.fail(call::rename_new, EIO);
  EXPECT_FALSE(request.serve(path));
  calls.heal();
  const auto closed = request.serve(path);
  ASSERT_TRUE(closed && *closed) << "it was not forgotten";
  EXPECT_EQ((*closed)->number, 1U);
  EXPECT_TRUE(log_one());
  EXPECT_FALSE(*request.serve(path));
  expect_all_in_order();
}

// --- lines under the exclusive lock ----------------------------------------------------------------------------------------

TEST_F(rotating_log, takes_lines_from_who_holds_its_lock) {
  EXPECT_TRUE(log_one());
  {
    const auto held = sink->writer.lock().lock();
    ASSERT_TRUE(held);
    sink->writer.append(*held, "{\"number\":" + std::to_string(number++) + "}\n", 1);
  }
  EXPECT_TRUE(log_one());
  expect_all_in_order();
}

}  // namespace
