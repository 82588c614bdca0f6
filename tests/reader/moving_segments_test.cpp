// SPDX-License-Identifier: Apache-2.0
//
// Readers while the log is rotated, compressed and deleted from beneath them.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.content.seekable;
import annals.segment;
#include "support/segmented_log.h"

namespace {

using namespace std::chrono_literals;
using support::append_to;
using support::content_of;
using support::segmented_log;
using support::write_file;
using clock_type = std::chrono::steady_clock;

constexpr auto age_to_compress = 1000ms;  // as the archiver: writers that hold no lock have noticed the rename long before

// Does to a log, every few milliseconds, what the rotate sink, the archiver and retention do; each in its order.
class maintainer {
 public:
  maintainer(std::string path, std::size_t segments_max) : path_(std::move(path)), segments_max_(segments_max) {}

  void step() {
    rename(path_, path_of(number_, false));
    append_to(path_, "");  // which the writer may have made already, and written to
    closed_.push_back({number_++, clock_type::now(), false});
    for (auto& segment : closed_) {
      if (segment.compressed || clock_type::now() - segment.since < age_to_compress) continue;
      compress(segment.number);
      segment.compressed = true;
      break;
    }
    if (closed_.size() > segments_max_ && closed_.front().compressed) {
      remove(closed_.front().number);
      closed_.pop_front();
    }
  }
  std::uint64_t deleted() const noexcept { return deleted_; }
  std::uint64_t deleted_events() const noexcept { return deleted_events_; }

 private:
  struct closed_segment {
    std::uint64_t number;
    clock_type::time_point since;
    bool compressed;
  };

  std::string path_of(std::uint64_t number, bool compressed) const {
    return annals::segment::closed_path(path_, number, annals::time_point{}, compressed);
  }
  static void rename(const std::string& from, const std::string& to) { std::filesystem::rename(from, to); }

  void compress(std::uint64_t number) {
    const std::string content = content_of(path_of(number, false));
    held_[number] = content;
    write_file(path_of(number, true) + ".tmp", segmented_log::compressed(content));
    rename(path_of(number, true) + ".tmp", path_of(number, true));
    std::filesystem::remove(path_of(number, false));
  }

  void remove(std::uint64_t number) {
    const std::string& content = held_.at(number);
    annals::segment::deleted_segment record;
    record.number = number;
    record.events = static_cast<std::uint64_t>(std::count(content.begin(), content.end(), '\n'));
    record.bytes = content.size();
    record.reason = "segments";
    append_to(annals::segment::deletion_log_path(path_), annals::segment::record_of(record));
    std::filesystem::remove(path_of(number, true));
    ++deleted_;
    deleted_events_ += *record.events;
    held_.erase(number);
  }

  std::string path_;
  std::size_t segments_max_;
  std::uint64_t number_ = 1;
  std::deque<closed_segment> closed_;
  std::map<std::uint64_t, std::string> held_;  // what the compressed ones hold
  std::uint64_t deleted_ = 0;
  std::uint64_t deleted_events_ = 0;
};

struct read_by_one {
  std::vector<std::uint32_t> numbers;  // of the events, in the order in which they were read
  std::uint64_t gaps = 0;
  std::uint64_t missed = 0;  // events, by what the gaps say
  std::vector<std::string> problems;
};

// Follows from saved cursors, stops after a while, and goes on; until the event with the number `until` has come.
read_by_one follow_in_parts(const std::string& path, std::uint32_t seed, std::chrono::milliseconds pause, std::uint32_t until) {
  read_by_one all;
  std::mt19937 random(seed);
  std::string saved = to_string(annals::cursor{{1, 0}, 0});  // the very beginning, should it be gone by then
  std::map<std::uint64_t, std::uint64_t> read_of;            // events of each segment
  const auto deadline = clock_type::now() + 120s;
  while (all.numbers.empty() || all.numbers.back() != until) {
    annals::read_options options;
    options.on_damage = [&](const annals::damage& d) {
      if (!d.cause.starts_with("it is empty")) all.problems.push_back(d.cause);  // the maintainer closes some
    };
    options.on_gap = [&](const annals::gap& g) {
      ++all.gaps;
      if (!g.events) {
        all.problems.push_back(to_string(g));
      } else {
        all.missed += *g.events - read_of[g.first];
      }
    };
    annals::follower follower = annals::follow(path, *annals::parse_cursor(saved), options);
    for (auto left = random() % 3000; left > 0 && (all.numbers.empty() || all.numbers.back() != until); --left) {
      const auto e = follower.next(100ms);
      if (!e) break;
      all.numbers.push_back(static_cast<std::uint32_t>(std::stoul(e->action)));
      ++read_of[follower.position().at.segment];
    }
    saved = to_string(follower.position());
    if (clock_type::now() > deadline) {
      all.problems.emplace_back("the last event did not come");
      break;
    }
    std::this_thread::sleep_for(pause);  // to fall behind
  }
  return all;
}

TEST(moving_segments, are_followed_without_loss_or_repetition_and_what_was_deleted_is_told_exactly) {
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  constexpr std::uint32_t events = 30'000;
  constexpr auto duration = 2s;
  std::atomic<bool> written = false;
  std::vector<read_by_one> readers(4);
  std::vector<std::thread> threads;
  maintainer maintenance(path, 120);
  write_file(path, "");
  threads.emplace_back([&] {
    // A plain file sink, which knows nothing of rotation: it notices late, and its lines go to a closed segment till then.
    annals::audit_logger log({.path = path, .on_error = [](const annals::error&) {}});
    const auto begun = clock_type::now();
    for (std::uint32_t i = 0; i < events; ++i) {
      EXPECT_TRUE(log.log_event("web", std::to_string(i)));
      if (i % 100 == 0) std::this_thread::sleep_until(begun + duration * i / events);
    }
    written = true;
  });
  threads.emplace_back([&] {
    while (!written) {
      maintenance.step();
      std::this_thread::sleep_for(5ms);
    }
  });
  for (std::uint32_t i = 0; i < readers.size(); ++i) {
    threads.emplace_back([&, i] { readers[i] = follow_in_parts(path, i, i == 3 ? 700ms : 5ms * i, events - 1); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const read_by_one& reader : readers) {
    for (std::size_t i = 1; i < reader.numbers.size(); ++i) {
      ASSERT_LT(reader.numbers[i - 1], reader.numbers[i]) << "event " << i;
    }
    EXPECT_EQ(reader.numbers.size() + reader.missed, events) << reader.gaps << " gaps";
    EXPECT_LE(reader.missed, maintenance.deleted_events());
    EXPECT_TRUE(reader.problems.empty()) << reader.problems.front();
  }
  EXPECT_GT(maintenance.deleted(), 0U);
}

// Whatever goes on, a look at all of it sees a piece of the stream without a hole, and what was acknowledged before.
TEST(moving_segments, are_seen_whole_by_tail_and_scan_at_any_moment) {
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  std::atomic<std::uint32_t> acknowledged = 0;
  std::atomic<bool> ended = false;
  write_file(path, "");
  std::thread writer([&] {
    annals::audit_logger log({.path = path, .on_error = [](const annals::error&) {}});
    maintainer maintenance(path, 60);
    for (std::uint32_t i = 1; !ended; ++i) {
      EXPECT_TRUE(log.log_event("web", std::to_string(i)));
      acknowledged = i;
      if (i % 50 != 0) continue;
      maintenance.step();
      EXPECT_TRUE(log.reopen());
      std::this_thread::sleep_for(2ms);
    }
  });
  const auto check = [&](const std::vector<std::uint32_t>& numbers, std::uint32_t at_least, std::string_view who) {
    EXPECT_GE(numbers.empty() ? 0 : numbers.back(), at_least) << who;
    for (std::size_t i = 1; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], numbers[i - 1] + 1) << who;
  };
  const auto deadline = clock_type::now() + 4s;
  for (int i = 0; clock_type::now() < deadline; ++i) {
    std::vector<std::uint32_t> numbers;
    const std::uint32_t before = acknowledged;
    if (i % 2 == 0) {
      for (const annals::event& e : annals::tail_log(path, 1 + i * 37 % 2000)) {
        numbers.push_back(static_cast<std::uint32_t>(std::stoul(e.action)));
      }
      check(numbers, before, "tail");
    } else {
      (void)annals::scan(
          path, {},
          [&](const annals::event& e) {
            numbers.push_back(static_cast<std::uint32_t>(std::stoul(e.action)));
            return true;
          },
          {.reading = {.on_gap = [&](const annals::gap&) { numbers.clear(); }}, .threads = i % 4 == 1 ? 1U : 2U});
      check(numbers, before, "scan");
    }
    if (testing::Test::HasFatalFailure()) break;
  }
  ended = true;
  writer.join();
}

}  // namespace
