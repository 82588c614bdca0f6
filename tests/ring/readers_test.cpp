// SPDX-License-Identifier: Apache-2.0
//
// Readers of a ring: they change nothing, hold nobody up, and take little memory.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.io.owned_file;
import annals.recovery;
import annals.ring;
#include "fuzz/fuzz.h"
#include "ring_file.h"
#include "ring_logger.h"
#include "support/hooked_calls.h"

namespace {

using namespace std::chrono_literals;
using annals::ring::mark;
using support::a_ring;
using support::as_dead_owner_leaves_it;

class readers_of_a_ring : public a_ring {};

TEST_F(readers_of_a_ring, create_nothing_and_lock_nothing_that_they_keep) {
  support::append_to(log_path, "");
  (void)as_dead_owner_leaves_it(ring_path, 20, 80);
  int creating = 0;
  int locked = 0;
  const support::hooked_calls calls([&](support::system_call& one) {
    using annals::io::open_for;
    if (one.which == support::call::open && one.purpose != open_for::reading && one.purpose != open_for::examining) ++creating;
    const std::int64_t done = one.run();
    if (one.which == support::call::lock && done == 0) ++locked;
    if (one.which == support::call::unlock) --locked;
    return done;
  });
  std::size_t seen = 0;
  annals::scan(log_path, {}, [&](const annals::event&) {
    EXPECT_EQ(locked, 0);
    ++seen;
    return true;
  });
  EXPECT_EQ(annals::tail_log(log_path, 50).size(), 20U);
  (void)annals::read_lines(log_path, [&](std::string_view) {
    EXPECT_EQ(locked, 0);
    return true;
  });
  EXPECT_EQ(seen, 20U);
  EXPECT_EQ(creating, 0);
  EXPECT_EQ(locked, 0);
}

// A pager, for example, takes its time.
TEST_F(readers_of_a_ring, keep_no_process_from_owning_it_and_see_each_event_once) {
  support::append_to(log_path, R"({"ts":"2026-01-31T23:59:58+00:00","container":"web","action":"first"})"
                               "\n");
  (void)as_dead_owner_leaves_it(ring_path, 20, 80);
  std::vector<std::string> scanned;
  annals::scan(log_path, {}, [&](const annals::event& one) {
    if (scanned.empty()) {
      annals::audit_logger log(options());
      EXPECT_TRUE(log.log_event("web", "during").accepted());
    }
    scanned.push_back(one.action);
    return true;
  });
  EXPECT_EQ(scanned.size(), 21U);
  EXPECT_EQ(std::set<std::string>(scanned.begin(), scanned.end()).size(), 21U) << "none of them twice";
  EXPECT_EQ(support::lines_of(log_path).size(), 22U);
  EXPECT_EQ(annals::tail_log(log_path, 50).size(), 22U);
}

TEST_F(readers_of_a_ring, say_when_it_cannot_be_opened_or_is_none) {
  support::append_to(log_path, "");
  const auto damage_of_tail = [&] {
    std::string all;
    (void)annals::tail_log(log_path, 10,
                           {.on_damage = [&](const annals::damage& one) { all += one.file + ": " + one.cause + '\n'; }});
    return all;
  };
  EXPECT_EQ(damage_of_tail(), "");
  support::write_file(ring_path, std::string(100'000, 'x'));
  EXPECT_NE(damage_of_tail().find("it does not begin with ANNALSRG"), std::string::npos) << damage_of_tail();
  std::filesystem::remove(ring_path);
  std::filesystem::create_symlink("elsewhere", ring_path);
  EXPECT_NE(damage_of_tail().find("a symbolic link"), std::string::npos) << damage_of_tail();
  std::filesystem::remove(ring_path);
  (void)as_dead_owner_leaves_it(ring_path, 3, 80);
  const support::hooked_calls calls([&](support::system_call& one) -> std::int64_t {
    if (one.which == support::call::open && one.path == ring_path) return -EACCES;
    return one.run();
  });
  EXPECT_NE(damage_of_tail().find("Permission denied"), std::string::npos) << damage_of_tail();
}

TEST_F(readers_of_a_ring, that_may_not_open_it_are_not_told_of_damage_while_its_owner_lives) {
  annals::audit_logger log(options());
  ASSERT_TRUE(log.log_event("web", "x"));
  ASSERT_TRUE(log.sync());
  const support::hooked_calls calls([&](support::system_call& one) -> std::int64_t {
    if (one.which == support::call::open && one.path == ring_path) return -EACCES;
    return one.run();
  });
  int damages = 0;
  EXPECT_EQ(annals::tail_log(log_path, 10, {.on_damage = [&](const annals::damage&) { ++damages; }}).size(), 1U);
  EXPECT_EQ(damages, 0);
}

// A ring of one-byte lines has the most records there can be. Where memory is counted, it stays far below a copy of the ring.
TEST_F(readers_of_a_ring, and_its_next_owner_take_little_memory_for_very_many_records) {
  constexpr std::uint64_t bytes = 8 * 1024 * 1024;
  constexpr std::uint64_t count = bytes / 16;
  constexpr std::uint64_t memory_max = 28 * 1024 * 1024;
  for (const mark state : {mark::committed, mark::taken}) {
    std::filesystem::remove(log_path);
    support::append_to(log_path, "");
    std::string file(annals::ring::page_bytes + bytes, '\0');
    {
      alignas(annals::ring::file_header) char page[sizeof(annals::ring::file_header)] = {};
      auto& header = *reinterpret_cast<annals::ring::file_header*>(page);
      annals::ring::make_header(header, bytes, {}, 1);
      if (state == mark::taken) header.phase = static_cast<std::uint32_t>(annals::ring::phase::writing);
      std::memcpy(file.data(), page, sizeof page);
    }
    for (std::uint64_t word = 0; word < 2 * count; word += 2) {
      const std::uint64_t first =
          annals::ring::with_mark(annals::ring::committed_header(1, annals::ring::sum_of("\n"), word), state);
      std::memcpy(file.data() + annals::ring::page_bytes + word * 8, &first, sizeof first);
      file[annals::ring::page_bytes + word * 8 + 8] = '\n';
    }
    support::write_file(ring_path, file);
    {
      const fuzz::peak_memory used;
      std::uint64_t seen = 0;
      auto left = annals::left_in_ring::of(log_path);
      EXPECT_TRUE(left.each([&](std::string_view) { return ++seen != 0; }));
      EXPECT_EQ(seen, count);
      EXPECT_LT(used.bytes(), memory_max);
    }
    const fuzz::peak_memory used;
    const auto done = annals::recover_log(log_path);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->events, count);
    EXPECT_LT(used.bytes(), memory_max);
    EXPECT_EQ(std::filesystem::file_size(log_path), count);
  }
}

}  // namespace
