// SPDX-License-Identifier: Apache-2.0
//
// Every allocation fails, one after the other, alone or with all after it, on the ways of writing and of reading. Nothing ends
// the process, each call is done or tells an error, what was acknowledged is in the log once, and all goes on when there is
// memory again.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
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

#include "memory/failing_memory.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.rotation;
import annals.content.seekable;
import annals.segment;
#include "archive.h"
#include "rotation/rotating.h"
#include "support/hooked_calls.h"

namespace {

using support::failing_memory;
using namespace std::chrono_literals;

// A monotonic clock that a test puts forward: a caller that waits before it tries again does so at once. No syncs.
class later {
 public:
  void come() { calls_.advance(1h); }

 private:
  support::hooked_calls calls_{[](support::system_call& one) {
    return one.which == support::call::sync_data || one.which == support::call::sync_all ? std::int64_t{0} : one.run();
  }};
};

constexpr std::size_t events_under_fault = 4;
constexpr std::size_t events_in_all = events_under_fault + 2;
using flags = std::array<bool, events_in_all>;

bool log_one(annals::audit_logger& log, std::size_t number) {
  static const std::string long_text(9000, 'x');  // more than is encoded on the stack
  const std::string_view detail = number % 2 == 0 ? std::string_view("short") : std::string_view(long_text);
  return log.log_event("web", "x", {.detail = detail, .fields = {{"number", number}}}).accepted();
}

void expect_once(const std::string& path, const flags& accepted, const std::string& when) {
  std::array<int, events_in_all> found{};
  std::string damaged;
  for (const annals::event& e :
       annals::tail_log(path, 1000, {.on_damage = [&](const annals::damage& one) { damaged += one.cause; }})) {
    if (e.action == "x") ++found.at(static_cast<std::size_t>(std::get<std::int64_t>(*e.find("number"))));
  }
  for (std::size_t i = 0; i < events_in_all; ++i) {
    if (accepted[i]) {
      EXPECT_EQ(found[i], 1) << when << ": event " << i;
    }
    EXPECT_LE(found[i], 1) << when << ": event " << i;
  }
  EXPECT_EQ(damaged, "") << when;
}

using make_options = std::function<annals::logger_options(const std::string& path)>;

// True where that many allocations were made.
bool log_while_one_fails(const make_options& options, long nth, bool for_ever, bool until_the_end) {
  const support::temp_directory directory;
  const std::string path = directory / "sub/audit.jsonl";
  later clock;
  flags accepted{};
  bool is_made = false;
  const std::string when = "allocation " + std::to_string(nth) + (for_ever ? " and all after it fail" : " fails");
  failing_memory memory(nth, for_ever);
  try {
    annals::audit_logger log(options(path));
    is_made = true;
    for (std::size_t i = 0; i < events_under_fault; ++i) {
      accepted[i] = log_one(log, i);
      if (i == 1) (void)log.sync();
    }
    if (!until_the_end) {
      failing_memory::heal();
      clock.come();
      accepted[events_under_fault] = log_one(log, events_under_fault);
      EXPECT_TRUE(accepted[events_under_fault]) << when << ": there is memory again";
      const annals::receipt synced = log.sync();
      EXPECT_TRUE(synced) << when << ": " << synced.message();
    }
  } catch (const std::exception&) {  // of the constructor
    failing_memory::heal();
    EXPECT_FALSE(is_made) << when;
  }
  failing_memory::heal();
  annals::audit_logger log(options(path));
  accepted.back() = log_one(log, events_in_all - 1);
  EXPECT_TRUE(accepted.back()) << when;
  EXPECT_TRUE(log.sync()) << when;
  expect_once(path, accepted, when);
  return failing_memory::count() >= nth;
}

void log_while_each_fails(const make_options& options) {
  long most = 0;
  for (const bool for_ever : {false, true}) {
    for (const bool until_the_end : {false, true}) {
      for (long nth = 1; log_while_one_fails(options, nth, for_ever, until_the_end); ++nth) {
        ASSERT_FALSE(testing::Test::HasFailure());
        most = std::max(most, nth);
      }
    }
  }
  std::printf("%ld allocations, each failed alone and with all after it\n", most);
  EXPECT_GT(most, 10);
}

annals::logger_options silent(const std::string& path, annals::delivery delivery) {
  annals::logger_options made;
  made.path = path;
  made.delivery = delivery;
  made.ring_bytes = annals::limits::ring_bytes_floor;
  made.on_error = [](const annals::error&) {};
  return made;
}

annals::logger_options rotating(const std::string& path, annals::delivery delivery) {
  annals::logger_options made = silent(path, delivery);
  made.sink = std::make_unique<support::rotating_sink>(path, support::of_size(1));
  return made;
}

TEST(memory_that_fails, loses_no_event_that_was_delivered_directly) {
  log_while_each_fails([](const std::string& path) { return silent(path, annals::delivery::direct); });
}

TEST(memory_that_fails, loses_no_event_that_was_synced) {
  log_while_each_fails([](const std::string& path) { return silent(path, annals::delivery::durable); });
}

TEST(memory_that_fails, loses_no_event_that_was_put_into_a_ring) {
  log_while_each_fails([](const std::string& path) { return silent(path, annals::delivery::ring); });
}

TEST(memory_that_fails, loses_no_event_of_a_log_that_rotates) {
  log_while_each_fails([](const std::string& path) { return rotating(path, annals::delivery::direct); });
}

TEST(memory_that_fails, loses_no_event_that_was_synced_in_a_log_that_rotates) {
  log_while_each_fails([](const std::string& path) { return rotating(path, annals::delivery::durable); });
}

TEST(memory_that_fails, loses_no_event_that_was_put_into_the_ring_of_a_log_that_rotates) {
  log_while_each_fails([](const std::string& path) { return rotating(path, annals::delivery::ring); });
}

// --- reading ----------------------------------------------------------------------------------------------------------------

// A log of a compressed segment, a plain one and a live one, and a call that reads it: how many events it saw, or nothing where
// it told an error.
class log_to_read : public testing::Test {
 protected:
  log_to_read() {
    annals::logger_options made = silent(path_, annals::delivery::direct);
    made.sink = std::make_unique<support::rotating_sink>(path_, support::of_size(4000));
    annals::audit_logger log(std::move(made));
    for (std::size_t i = 0; i < count_; ++i) EXPECT_TRUE(log.log_event("web", "x", {.detail = std::string(100, 'y')}));
    const auto closed = annals::segment::closed_segments(path_).value();
    EXPECT_GE(closed.size(), 2U);
    EXPECT_FALSE(annals_zstd::archive_segment(closed[0].path, {}));
  }

  void read_while_each_fails(const std::function<std::optional<std::size_t>()>& read) {
    EXPECT_EQ(read(), count_);
    long most = 0;
    for (const bool for_ever : {false, true}) {
      for (long nth = 1;; ++nth) {
        std::optional<std::size_t> got;
        long count = 0;
        {
          failing_memory memory(nth, for_ever);
          try {
            got = read();
          } catch (const std::exception&) {
          }
          count = failing_memory::count();
        }
        if (got) {
          EXPECT_EQ(*got, count_) << "allocation " << nth << " failed, and nobody was told";
        }
        ASSERT_FALSE(HasFailure());
        if (count < nth) break;
        most = std::max(most, nth);
      }
    }
    std::printf("%ld allocations, each failed alone and with all after it\n", most);
    EXPECT_GT(most, 3);
  }

  annals::read_options reading() {
    damaged_ = false;
    return {.on_damage = [this](const annals::damage&) { damaged_ = true; }};
  }
  std::optional<std::size_t> unless_damaged(std::size_t count) const { return damaged_ ? std::nullopt : std::optional(count); }

  support::temp_directory directory_;
  const std::string path_ = directory_ / "audit.jsonl";
  const std::size_t count_ = 60;
  bool damaged_ = false;
};

TEST_F(log_to_read, is_told_in_full_by_tail_or_not_at_all) {
  read_while_each_fails([this] { return unless_damaged(annals::tail_log(path_, 1000, reading()).size()); });
}

TEST_F(log_to_read, is_told_in_full_by_a_follower_or_not_at_all) {
  // In one file: behind a closed segment it waits for late writers.
  const std::string single = directory_ / "single.jsonl";
  (void)annals::read_lines(path_, [&](std::string_view piece) { return support::append_to(single, piece), true; });
  read_while_each_fails([&] {
    annals::follower follower = annals::follow(single, {}, reading());
    std::size_t count = 0;
    while (count < count_ && follower.next(50ms)) ++count;
    return count < count_ ? std::nullopt : unless_damaged(count);  // it may still look for the rest
  });
}

TEST_F(log_to_read, is_told_in_full_by_scan_or_not_at_all) {
  for (const unsigned threads : {1U, 2U}) {
    read_while_each_fails([&] {
      std::size_t count = 0;
      annals::scan_options options;
      options.reading = reading();
      options.threads = threads;
      annals::scan_filter filter;
      filter.container = annals::text_match{"web"};
      filter.contains = "yy";
      (void)annals::scan(path_, filter, [&](const annals::event&) { return ++count != 0; }, options);
      return unless_damaged(count);
    });
  }
}

TEST_F(log_to_read, is_told_in_full_by_cat_or_not_at_all) {
  read_while_each_fails([this] {
    std::size_t count = 0;
    const auto take = [&](std::string_view piece) {
      count += static_cast<std::size_t>(std::count(piece.begin(), piece.end(), '\n'));
      return true;
    };
    (void)annals::read_lines(path_, take, reading());
    return unless_damaged(count);
  });
}

TEST_F(log_to_read, is_listed_in_full_or_not_at_all) {
  const std::size_t segments = annals::list_segments(path_).value().size();
  read_while_each_fails([&]() -> std::optional<std::size_t> {
    const auto listed = annals::list_segments(path_);
    if (!listed) return std::nullopt;
    EXPECT_EQ(listed->size(), segments);
    return count_;
  });
}

// --- archiving --------------------------------------------------------------------------------------------------------------

TEST_F(log_to_read, is_whole_whatever_fails_in_archiving_it) {
  const std::string segment = annals::segment::closed_segments(path_).value().at(1).path;
  const std::string lines = support::content_of(segment);
  for (const bool for_ever : {false, true}) {
    for (long nth = 1;; ++nth) {
      bool is_done = false;
      {
        failing_memory memory(nth, for_ever);
        try {
          (void)annals_zstd::archive_segment(segment, {});
        } catch (const std::exception&) {
        }
        is_done = failing_memory::count() < nth;
      }
      ASSERT_EQ(annals::tail_log(path_, 1000).size(), count_) << "allocation " << nth;
      EXPECT_FALSE(annals_zstd::archive_segment(segment, {})) << "there is memory again";
      EXPECT_FALSE(std::filesystem::exists(segment));
      std::filesystem::remove(segment + ".zst");
      support::write_file(segment, lines);
      if (is_done) break;
    }
  }
}

}  // namespace
