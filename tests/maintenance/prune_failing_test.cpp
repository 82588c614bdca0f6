// SPDX-License-Identifier: Apache-2.0
//
// Deleting segments, killed or failing at each system call.
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
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.content.seekable;
import annals.segment;
#include "log_files.h"
#include "prune_log.h"
#include "support/counted_calls.h"
#include "support/faulty_calls.h"

namespace {

using namespace std::chrono_literals;
using annals::retention_policy;
using support::long_ago;
using support::Prune;

// --- death ------------------------------------------------------------------------------------------------------------------

class PruneKilled : public Prune {
 protected:
  static constexpr std::uint64_t segments = 5;
  const retention_policy policy_ = {.keep_segments = 2};

  // Whatever happened: what is gone was told and recorded before, and everything else reads whole.
  void expect_sound(const std::map<std::uint64_t, std::vector<std::string>>& before) {
    std::set<std::uint64_t> told;
    for (const annals::event& one : log_.events_of("segment_deleted")) {
      EXPECT_TRUE(told.insert(support::number_of(one, "segment")).second) << "told twice: " << one.line;
    }
    std::set<std::uint64_t> recorded;
    const auto records = annals::segment::deleted_segments(path_);
    ASSERT_TRUE(records);
    for (const annals::segment::deleted_segment& one : *records) {
      EXPECT_TRUE(recorded.insert(one.number).second) << "recorded twice: " << one.number;
      EXPECT_TRUE(told.contains(one.number)) << "recorded, and not told: " << one.number;
    }
    const auto now = log_.lines_on_disk();
    for (const auto& [number, lines] : before) {
      const auto found = now.find(number);
      if (found == now.end()) {
        EXPECT_TRUE(recorded.contains(number)) << "gone, and not recorded: " << number;
        continue;
      }
      const std::vector<std::string> kept(
          found->second.begin(),
          found->second.begin() + static_cast<std::ptrdiff_t>(std::min(lines.size(), found->second.size())));
      EXPECT_EQ(kept, lines) << "segment " << number;
    }
  }

  void start_over() {
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) std::filesystem::remove_all(entry.path());
    log_ = support::log_files(path_);
    make_log(segments);
  }
};

TEST_F(PruneKilled, at_each_system_call_and_again_in_the_repeat_is_finished_by_the_next_run) {
  std::mt19937 random(std::random_device{}());
  const auto work = [this] { (void)annals::prune(path_, policy_); };
  int last_first = 0;
  for (int first = 1;; ++first) {
    start_over();
    const auto before = log_.lines_on_disk();
    if (support::survives_until_killed_at(first, work)) {
      last_first = first;
      break;
    }
    expect_sound(before);
    for (int repeat = 0; repeat < 3; ++repeat) {  // dies again, somewhere in the repeat
      const int second = std::uniform_int_distribution<int>(1, 150)(random);
      SCOPED_TRACE("killed at call " + std::to_string(first) + ", then at " + std::to_string(second));
      if (support::survives_until_killed_at(second, work)) break;
      expect_sound(before);
    }
    SCOPED_TRACE("killed at call " + std::to_string(first));
    const auto outcome = annals::prune(path_, policy_);
    ASSERT_TRUE(outcome) << outcome.error().message;
    expect_sound(before);
    expect_one_event_and_one_record_for({1, 2, 3});
    EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{4, 5}));
    EXPECT_EQ(*annals::segment::live_number(path_), 6u);
    if (HasFailure()) return;
  }
  EXPECT_GT(last_first, 60);  // it was killed at all of them
}

TEST_F(PruneKilled, at_every_call_of_the_repeat_after_a_death_between_event_and_record) {
  // The death: everything up to the sync of the events, nothing behind it.
  const auto die_between = [this] {
    const pid_t child = ::fork();
    if (child == 0) {
      const support::hooked_calls calls([](support::system_call& one) {
        const bool is_record =
            one.which == support::call::write && std::string_view(one.bytes, one.count).starts_with("{\"segment\":");
        if (is_record) ::kill(::getpid(), SIGKILL);
        return one.run();
      });
      (void)annals::prune(path_, policy_);
      ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  };
  for (int nth = 1;; ++nth) {
    start_over();
    const auto before = log_.lines_on_disk();
    die_between();
    ASSERT_EQ(log_.events_of("segment_deleted").size(), 3u);
    ASSERT_TRUE(annals::segment::deleted_segments(path_)->empty());
    if (nth % 2 == 0) {  // meanwhile the log is rotated, and even compressed
      const std::string lines = support::content_of(path_);
      const auto first = long_ago + 24h * 6;
      std::filesystem::remove(path_);
      nth % 4 == 0 ? log_.add_plain(6, first, lines) : log_.add_compressed(6, first, lines);
      log_.write_live(log_.lines(1, long_ago));
    }
    const bool is_done = support::survives_until_killed_at(nth, [this] { (void)annals::prune(path_, policy_); });
    SCOPED_TRACE("killed at call " + std::to_string(nth));
    const auto outcome = annals::prune(path_, {.keep_segments = nth % 2 == 0 ? 3u : 2u});
    ASSERT_TRUE(outcome) << outcome.error().message;
    const auto records = annals::segment::deleted_segments(path_);
    std::multiset<std::uint64_t> told;
    for (const annals::event& one : log_.events_of("segment_deleted")) told.insert(support::number_of(one, "segment"));
    std::multiset<std::uint64_t> recorded;
    for (const auto& one : *records) recorded.insert(one.number);
    EXPECT_EQ(told, recorded);
    EXPECT_EQ(std::set<std::uint64_t>(told.begin(), told.end()).size(), told.size());
    for (const std::uint64_t number : {1u, 2u, 3u}) EXPECT_TRUE(told.contains(number)) << number;
    for (const std::uint64_t number : recorded) EXPECT_FALSE(log_.numbers_on_disk().contains(number)) << number;
    if (HasFailure() || is_done) return;
  }
}

// --- faults -----------------------------------------------------------------------------------------------------------------

class PruneFaults : public PruneKilled {
 protected:
  void try_every_call(support::at_call what, int code) {
    int calls_failed = 0;
    for (int nth = 1;; ++nth) {
      start_over();
      const auto before = log_.lines_on_disk();
      std::string name;
      bool failed = false;
      {
        support::counted_calls calls(what, nth, code);
        const auto outcome = annals::prune(path_, policy_);
        name = calls.name();
        failed = !outcome;
        if (failed) {
          EXPECT_FALSE(outcome.error().message.empty());
        }
      }
      if (name.empty()) break;
      ++calls_failed;
      SCOPED_TRACE("call " + std::to_string(nth) + ", " + name + ", fails with " + std::to_string(code));
      expect_sound(before);
      const auto again = annals::prune(path_, policy_);
      if (!again) {
        // The live segment is not trusted any more. Rotated, it is.
        ASSERT_EQ(again.error().code, annals::errc::sync_failed) << again.error().message;
        ASSERT_TRUE(name == "sync_data" || name == "sync_all" || what == support::at_call::fail_for_ever) << name;
        std::filesystem::rename(path_, log_.closed_name(6, long_ago, false));
        log_.write_live("");
        const auto rotated = annals::prune(path_, {.keep_segments = 3});
        ASSERT_TRUE(rotated) << rotated.error().message;
        std::set<std::uint64_t> told;
        for (const annals::event& one : log_.events_of("segment_deleted")) told.insert(support::number_of(one, "segment"));
        EXPECT_EQ(told, (std::set<std::uint64_t>{1, 2, 3}));
        expect_one_record_for({1, 2, 3});
      } else {
        expect_one_event_and_one_record_for({1, 2, 3});
        EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{4, 5}));
      }
      expect_sound_records();
      if (HasFailure()) return;
    }
    EXPECT_GT(calls_failed, 60);
  }
  void expect_sound_records() {
    for (const std::uint64_t number : {1u, 2u, 3u}) EXPECT_FALSE(log_.numbers_on_disk().contains(number));
  }
};

TEST_F(PruneFaults, each_system_call_that_fails_once_leaves_a_log_that_the_next_run_puts_right) {
  for (const int code : {EIO, ENOSPC, EMFILE, EDQUOT, EROFS, EINTR}) try_every_call(support::at_call::fail_once, code);
}

TEST_F(PruneFaults, each_system_call_from_which_on_all_fail_leaves_a_log_that_the_next_run_puts_right) {
  for (const int code : {EIO, ENOSPC, EMFILE, EDQUOT, EROFS}) try_every_call(support::at_call::fail_for_ever, code);
}

TEST_F(PruneFaults, a_disk_that_stays_full_loses_no_more_than_the_policy_says_and_reports_it) {
  make_log(3);
  support::faulty_calls calls;
  calls.fail(support::call::write, ENOSPC);
  const auto outcome = annals::prune(path_, {.keep_segments = 2});
  ASSERT_FALSE(outcome);
  EXPECT_NE(outcome.error().message.find("No space left on device"), std::string::npos) << outcome.error().message;
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{2, 3}));
}

TEST_F(PruneFaults, an_event_that_is_not_durable_deletes_nothing_until_the_log_is_rotated) {
  make_log(3);
  {
    std::optional<support::hooked_calls> calls;
    calls.emplace([&](support::system_call& one) {
      const auto live = calls->kernel_status(path_.c_str());
      const bool is_live =
          one.which == support::call::sync_data && live && annals::io::same_file(calls->kernel_status(one.fd), *live);
      return is_live ? -EIO : one.run();
    });
    const auto outcome = annals::prune(path_, {.keep_segments = 1});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, annals::errc::sync_failed);
  }
  const auto again = annals::prune(path_, {.keep_segments = 1});
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message.find("annals rotate"), std::string::npos) << again.error().message;
  EXPECT_EQ(log_.numbers_on_disk().size(), 3u);
  std::filesystem::rename(path_, log_.closed_name(4, long_ago, false));
  ASSERT_TRUE(annals::prune(path_, {.keep_segments = 2}));
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{3, 4}));
}

}  // namespace
