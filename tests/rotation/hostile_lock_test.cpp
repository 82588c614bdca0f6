// SPDX-License-Identifier: Apache-2.0
//
// The lock of a log, whose page every process can change that can write the log: what it says is checked, and a lock of
// somebody else is refused. No content of it, and no cut of the file, ends the process or hides a segment.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.json;
import annals.rotation;
import annals.rotation.zone;
import annals.segment;
#include "rotation/rotating.h"
#include "support/hooked_calls.h"

namespace {

using namespace std::chrono_literals;
using annals::rotation::log_lock;

class hostile_lock : public testing::Test {
 protected:
  ~hostile_lock() override { ::umask(before_); }

  std::unique_ptr<annals::audit_logger> logger(annals::rotation::triggers when, unsigned mode = 0600) {
    auto sink = std::make_unique<support::rotating_sink>(path, std::move(when), mode);
    writer = &sink->writer;
    return std::make_unique<annals::audit_logger>(
        annals::logger_options{.path = path, .on_error = [](const annals::error&) {}, .sink = std::move(sink)});
  }
  void log_one(annals::audit_logger& log) {
    const annals::receipt made = log.log_event("web", "x", {.fields = {{"n", ++last}}});
    ASSERT_TRUE(made.accepted()) << made.message();
  }
  annals::rotation::lock_page& page() { return writer->lock().page(); }
  std::size_t events() { return annals::tail_log(path, 1'000'000).size(); }

  const support::temp_directory directory;
  const std::string path = directory / "audit.jsonl";
  const std::string lock_path = annals::rotation::lock_path(path);
  annals::rotation::segment_writer* writer = nullptr;
  std::int64_t last = 0;

 private:
  const ::mode_t before_ = ::umask(0);  // a lock of mode 0660 is to be one that others can write
};

TEST_F(hostile_lock, cut_by_one_who_can_write_it_while_it_is_in_use_ends_no_process_and_is_set_up_again) {
  log_lock lock(path, 0660);
  ASSERT_FALSE(lock.catch_up());
  ASSERT_TRUE(lock.enter());
  lock.leave();
  for (const off_t bytes : {0, 8, 4095}) {
    ASSERT_EQ(::truncate(lock_path.c_str(), bytes), 0);
    EXPECT_FALSE(lock.enter()) << bytes;
    lock.look();
    EXPECT_FALSE(lock.enter()) << bytes;
    ASSERT_FALSE(lock.catch_up()) << bytes;
    ASSERT_TRUE(lock.enter()) << bytes;
    lock.leave();
    EXPECT_EQ(std::filesystem::file_size(lock_path), 4096U);
  }
}

TEST_F(hostile_lock, cut_while_it_is_held_is_released_and_another_process_can_hold_it) {
  {
    log_lock lock(path, 0660);
    const auto held = lock.lock();
    ASSERT_TRUE(held);
    ASSERT_EQ(::truncate(lock_path.c_str(), 0), 0);
    EXPECT_TRUE(held->live_number());
  }
  log_lock other(path, 0660);
  EXPECT_TRUE(other.lock());
}

TEST_F(hostile_lock, cut_again_and_again_costs_a_rotating_log_no_event) {
  const auto log = logger(support::of_size(200), 0660);
  for (int i = 0; i < 50; ++i) {
    log_one(*log);
    ASSERT_EQ(::truncate(lock_path.c_str(), i % 3), 0);
  }
  EXPECT_EQ(events(), 50U);
}

TEST_F(hostile_lock, with_numbers_that_no_segment_has_is_not_believed) {
  const auto log = logger(support::of_size(1));  // each event in a segment of its own
  log_one(*log);
  std::uint64_t segments = 0;
  for (const std::uint64_t number : {std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<std::uint64_t>::max() - 1,
                                     std::uint64_t{1} << 63, annals::segment::number_max + 1}) {
    page().next_number.store(number);
    log_one(*log);
    const auto closed = annals::segment::closed_segments(path).value();
    ASSERT_EQ(closed.size(), ++segments) << number;
    EXPECT_EQ(closed.back().number, segments) << number;
    EXPECT_LE(page().next_number.load(), annals::segment::number_max);
  }
  EXPECT_EQ(events(), 5U);
}

TEST_F(hostile_lock, or_a_file_with_the_last_number_there_is_leaves_the_events_where_readers_find_them) {
  const auto log = logger(support::of_size(1));
  log_one(*log);
  support::write_file(directory / ("audit-" + std::to_string(annals::segment::number_max) + "-20260101T000000Z.jsonl"), "");
  log_one(*log);
  log_one(*log);
  EXPECT_EQ(support::lines_of(path).size(), 3U) << "the live segment goes on";
  EXPECT_EQ(events(), 3U);
}

TEST_F(hostile_lock, with_times_at_which_nothing_began_is_not_believed) {
  annals::rotation::triggers when;
  when.interval = 1h;
  when.age = 2h;
  when.align = annals::wall_unit::day;
  const auto log = logger(when);
  log_one(*log);
  for (const std::int64_t begun :
       {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::min() + 1, std::int64_t{-1},
        std::numeric_limits<std::int64_t>::max(), std::int64_t{253'402'300'800'000'000}}) {
    page().begun.store(begun);
    page().epoch.fetch_add(2);  // the writer has to look
    log_one(*log);
    EXPECT_GT(page().begun.load(), 0) << begun;
    EXPECT_LT(page().begun.load(), 253'402'300'800'000'000) << begun;
  }
  EXPECT_EQ(events(), static_cast<std::size_t>(last));
}

TEST_F(hostile_lock, with_any_size_for_the_live_segment_costs_no_event_and_no_segment_its_limit) {
  const auto log = logger(support::of_size(1000));
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1}, std::numeric_limits<std::uint64_t>::max(),
                                    std::numeric_limits<std::uint64_t>::max() - 100, std::uint64_t{1} << 63}) {
    for (int i = 0; i < 5; ++i) log_one(*log);
    page().bytes.store(bytes);
  }
  for (int i = 0; i < 5; ++i) log_one(*log);
  EXPECT_EQ(events(), static_cast<std::size_t>(last));
}

TEST_F(hostile_lock, that_says_all_the_time_that_the_segment_is_full_does_not_stop_the_log) {
  const auto log = logger(support::of_size(100'000));
  log_one(*log);
  std::atomic<bool> is_over = false;
  std::thread attacker([&, &page = page()] {
    while (!is_over) page.bytes.store(std::numeric_limits<std::uint64_t>::max());
  });
  for (int i = 0; i < 20; ++i) log_one(*log);
  is_over = true;
  attacker.join();
  EXPECT_EQ(events(), 21U);
}

// A process that has the page in memory, and one that may not, since others could cut it.
TEST_F(hostile_lock, that_is_not_mapped_orders_writers_and_rotations_with_one_that_is) {
  log_lock mapped(path);
  ASSERT_FALSE(mapped.catch_up());
  ASSERT_TRUE(mapped.has_slot());
  ASSERT_EQ(::chmod(lock_path.c_str(), 0660), 0);
  log_lock other(path, 0660);
  ASSERT_FALSE(other.catch_up());
  EXPECT_FALSE(other.has_slot());
  ASSERT_TRUE(other.enter());
  other.page().begun.store(7);
  other.leave();
  EXPECT_EQ(mapped.page().begun.load(), 7);
  {
    const auto held = other.lock();
    ASSERT_TRUE(held);
    EXPECT_FALSE(mapped.enter());
    other.page().bytes.store(42);
  }
  EXPECT_FALSE(mapped.enter()) << "something may have changed";
  ASSERT_FALSE(mapped.catch_up());
  EXPECT_EQ(mapped.page().bytes.load(), 42U);
  ASSERT_TRUE(mapped.enter());
  std::atomic<bool> has_left = false;
  std::thread rotator([&] {
    const auto held = other.lock();
    EXPECT_TRUE(held);
    EXPECT_TRUE(has_left);
  });
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (mapped.page().epoch.load() % 2 == 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  has_left = true;
  mapped.leave();
  rotator.join();
  other.closed(11);
  EXPECT_EQ(mapped.next_number(), 12U);
}

TEST_F(hostile_lock, that_is_not_mapped_keeps_the_limit_and_every_event_of_several_writers) {
  annals::rotation::triggers when = support::of_size(2000);
  const auto one = logger(when, 0660);
  const auto two = logger(when, 0660);
  for (int i = 0; i < 60; ++i) log_one(i % 2 == 0 ? *one : *two);
  EXPECT_EQ(events(), 60U);
  for (const auto& closed : annals::segment::closed_segments(path).value())
    EXPECT_LE(std::filesystem::file_size(closed.path), 2000U) << closed.path;
}

// What another user made could be held, cut or changed at any time.
TEST_F(hostile_lock, of_a_user_who_owns_neither_the_log_nor_its_directory_is_refused) {
  support::write_file(path, "");
  {
    log_lock made(path);
    ASSERT_TRUE(made.lock());
  }
  const std::uint64_t lock = annals::io::status_at(lock_path).value()->inode;
  const std::uint64_t live = annals::io::status_at(path).value()->inode;
  bool is_log_theirs = false;
  const support::hooked_calls calls([&](support::system_call& one) {
    const std::int64_t done = one.run();
    const bool is_status = one.which == support::call::status_of || one.which == support::call::status_at;
    if (is_status && (one.status->inode == lock || (is_log_theirs && one.status->inode == live))) one.status->owner = 4321;
    return done;
  });
  log_lock refused(path);
  const auto held = refused.lock();
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().system_code, EACCES);
  EXPECT_NE(held.error().message.find("cannot use '" + lock_path + "': it belongs to user 4321"), std::string::npos)
      << held.error().message;
  is_log_theirs = true;
  log_lock allowed(path);
  EXPECT_TRUE(allowed.lock());
}

TEST_F(hostile_lock, that_everybody_can_write_is_refused_unless_the_log_is_like_that) {
  support::write_file(path, "");
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  {
    log_lock made(path);
    ASSERT_TRUE(made.lock());
  }
  ASSERT_EQ(::chmod(lock_path.c_str(), 0666), 0);
  log_lock refused(path);
  const auto held = refused.lock();
  ASSERT_FALSE(held);
  EXPECT_NE(held.error().message.find("every user can write to it, but not to the log"), std::string::npos)
      << held.error().message;
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
  EXPECT_TRUE(refused.lock());
}

}  // namespace
