// SPDX-License-Identifier: Apache-2.0
//
// A ring whose file another process changes while it is used: what is read from shared memory is copied once, checked, and set
// aside where it contradicts itself.
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
using support::a_queue;
using support::a_ring;
using support::as_dead_owner_leaves_it;
using support::line_of;
using support::put;
using support::ring_file;

constexpr std::uint64_t capacity = annals::ring::bytes_min / annals::ring::word_bytes;

// Takes and releases all there is, past what contradicts itself.
std::string drain_past_faults(annals::ring::queue& queue) {
  std::string all;
  for (int pass = 0; pass < 100; ++pass) {
    const auto batch = queue.take(1 << 20, 0ns, 0ns);
    all += batch.lines;
    queue.begin_writing({});
    queue.release();
    if (queue.fault()) queue.pass_over_faults();
  }
  return all;
}

std::vector<std::string> lines_in(std::string_view text) {
  std::vector<std::string> all;
  while (!text.empty()) {
    const std::size_t bytes = text.find('\n') + 1;
    all.emplace_back(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
  return all;
}

TEST_F(a_queue, copies_nothing_behind_the_last_record_when_a_committed_header_is_lengthened) {
  // To the longest there is, to the whole ring, to one word too many, and into the next record.
  for (const std::uint64_t bytes :
       {annals::ring::line_bytes_mask, std::uint64_t{annals::ring::bytes_min}, std::uint64_t{12 * 8}, std::uint64_t{40}}) {
    ring_file fresh(directory / ("ring" + std::to_string(bytes)));
    auto queue = fresh.queue();
    for (std::size_t i = 0; i < 5; ++i) put(queue, line_of(i));
    fresh.word(8) = (fresh.word(8) & ~annals::ring::line_bytes_mask) | bytes;
    EXPECT_EQ(queue.take(1 << 20, 0ns, 0ns).lines, line_of(0) + line_of(1));
    ASSERT_TRUE(queue.fault());
    EXPECT_EQ(queue.fault()->at, 8U);
    queue.begin_writing({});
    queue.release();
    EXPECT_EQ(queue.take(1 << 20, 0ns, 0ns).count, 0U) << "nothing is passed over before the ring is given up";
    EXPECT_EQ(drain_past_faults(queue), line_of(3) + line_of(4));
    EXPECT_TRUE(queue.is_drained_to(queue.mark_end()));
  }
}

TEST_F(a_queue, stops_at_any_mark_that_cannot_be_where_it_is) {
  const std::pair<mark, std::uint64_t> cases[] = {{mark::taken, 20},
                                                  {mark::released, annals::ring::line_bytes_mask},
                                                  {mark::reserved, annals::ring::bytes_min},
                                                  {mark::taken, annals::ring::line_bytes_mask}};
  for (const auto& [state, bytes] : cases) {
    ring_file fresh(directory / ("ring" + std::to_string(static_cast<int>(state)) + std::to_string(bytes)));
    auto queue = fresh.queue();
    for (std::size_t i = 0; i < 4; ++i) put(queue, line_of(i));
    fresh.word(4) = annals::ring::header_of(state, static_cast<std::size_t>(bytes), annals::io::thread_id());
    EXPECT_EQ(drain_past_faults(queue), line_of(0) + line_of(2) + line_of(3)) << static_cast<int>(state);
    EXPECT_TRUE(queue.fault()) << static_cast<int>(state);
    EXPECT_EQ(queue.used_bytes(), 0U);
  }
}

TEST_F(a_queue, stays_within_a_place_that_it_passed_over_whatever_is_written_there) {
  for (const mark state : {mark::committed, mark::taken, mark::released, mark::reserved}) {
    ring_file fresh(directory / ("ring" + std::to_string(static_cast<int>(state))));
    auto queue = fresh.queue();
    for (std::size_t i = 0; i < 4; ++i) put(queue, line_of(i));
    support::set_mark(fresh, 4, mark::reserved, annals::io::thread_id());
    EXPECT_EQ(queue.take(1 << 20, 0ns, 0ns).lines, line_of(0) + line_of(2) + line_of(3));
    queue.begin_writing({});
    queue.release();
    fresh.word(4) = annals::ring::header_of(state, annals::ring::bytes_min, annals::io::thread_id());
    EXPECT_EQ(drain_past_faults(queue), "");
    EXPECT_TRUE(queue.fault()) << static_cast<int>(state);
    EXPECT_EQ(queue.used_bytes(), 0U);
  }
}

TEST_F(a_queue, gives_no_line_that_was_not_put_when_its_bytes_are_changed) {
  auto queue = file.queue();
  for (std::size_t i = 0; i < 3; ++i) put(queue, line_of(i));
  std::memcpy(file.records() + 5 * 8, "\n\n\n", 3);  // three lines more, where a batch is cut at its newlines
  EXPECT_EQ(drain_past_faults(queue), line_of(0) + line_of(2));
  ASSERT_TRUE(queue.fault());
  EXPECT_EQ(queue.fault()->at, 4U);
}

TEST_F(a_queue, gives_only_lines_that_were_put_whatever_the_first_page_says_of_its_chunks) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 300; ++round) {
    ring_file fresh(directory / ("ring" + std::to_string(round)));
    std::set<std::string> known;
    {
      auto queue = fresh.queue();
      for (std::size_t i = 0; i < 1500; ++i) {
        put(queue, line_of(i));
        known.insert(line_of(i));
      }
    }
    for (auto changes = 1 + random() % 5; changes != 0; --changes) {
      const std::uint64_t values[] = {0, 1, 2, 3, 4, 5, random(), UINT64_MAX};
      fresh.header().chunks[random() % 6] = values[random() % std::size(values)];
    }
    auto queue = fresh.queue(false);
    for (const std::string& line : lines_in(drain_past_faults(queue))) ASSERT_TRUE(known.contains(line)) << line;
    ASSERT_NE(put(queue, line_of(7)), 0U);
    ASSERT_NE(drain_past_faults(queue).find(line_of(7)), std::string::npos);
  }
}

TEST_F(a_queue, knows_what_it_is_writing_whatever_the_first_page_says) {
  auto queue = file.queue();
  for (std::size_t i = 0; i < 3; ++i) put(queue, line_of(i));
  queue.take(1 << 20, 0ns, 0ns);
  queue.begin_writing({7, 8, 9, 10});
  file.header().phase = 0;
  file.header().batch = {1, 2, 3, 4};
  file.header().tail = std::uint64_t{1} << 40;
  file.header().bytes = annals::ring::bytes_max;
  file.header().dropped = 1'000'000;
  EXPECT_TRUE(queue.is_writing());
  EXPECT_EQ(queue.place().segment, 7U);
  EXPECT_EQ(queue.dropped(), 0U);
  queue.settle({true, false, true});
  EXPECT_EQ(drain_past_faults(queue), line_of(1));
  EXPECT_FALSE(queue.fault());
}

// Changes words and bytes of the records at random, as a process that has mapped the file can.
void mutate(ring_file& file, std::mt19937_64& random) {
  std::uint64_t& word = file.word(random() % capacity);
  const std::atomic_ref<std::uint64_t> shared(word);
  switch (random() % 4) {
    case 0: shared.store(random()); break;
    case 1:
      shared.store(
          annals::ring::header_of(mark::committed, static_cast<std::size_t>(random() & annals::ring::line_bytes_mask)));
      break;
    case 2: shared.store((shared.load() & ~annals::ring::line_bytes_mask) | (random() & 0xffff)); break;
    default: shared.store(annals::ring::header_of(static_cast<mark>(0xa1 + random() % 4), random() % 400, 1));
  }
}

TEST_F(a_queue, gives_only_lines_that_were_put_while_another_process_changes_its_memory) {
  std::mt19937_64 random(5);
  std::set<std::string> known;
  for (std::size_t i = 0; i < 200; ++i) known.insert(line_of(i, 10 + i % 190));
  for (int round = 0; round < 20; ++round) {
    const std::string path = directory / ("live" + std::to_string(round));
    ring_file fresh(path);
    auto queue = fresh.queue();
    std::mt19937_64 own(random());
    const pid_t attacker = ::fork();
    ASSERT_GE(attacker, 0);
    if (attacker == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ring_file mapped_once_more(path);
      while (true) mutate(mapped_once_more, own);
    }
    for (int pass = 0; pass < 60; ++pass) {
      for (std::size_t i = 0; i < 30; ++i)
        put(queue, line_of(i + static_cast<std::size_t>(pass), 10 + (i + static_cast<std::size_t>(pass)) % 190));
      const auto batch = queue.take(1 << 20, 0ns, 0ns);
      std::size_t count = 0;
      for (std::string_view rest = batch.lines; !rest.empty(); ++count) {
        const std::string line(rest.substr(0, rest.find('\n') + 1));
        EXPECT_TRUE(known.contains(line)) << line;
        rest.remove_prefix(line.size());
      }
      EXPECT_EQ(count, batch.count);
      queue.begin_writing({});
      if (pass % 7 == 3) {
        queue.settle(std::vector<bool>(batch.count, pass % 2 == 0));
      } else {
        queue.release();
      }
      if (queue.fault()) queue.pass_over_faults();
      for (const std::string& line : fresh.lines()) EXPECT_EQ(line.find('\n'), line.size() - 1);
    }
    ASSERT_EQ(::kill(attacker, SIGKILL), 0);
    ASSERT_EQ(::waitpid(attacker, nullptr, 0), attacker);
  }
}

// --- the file ---------------------------------------------------------------------------------------------------------------

// After the first page was read and before anything else is, the sizes in it grow.
support::hooked_calls::hook header_that_grows(const std::string& ring_path) {
  return [ring_path](support::system_call& one) -> std::int64_t {
    const std::int64_t done = one.run();
    if (one.which != support::call::read_at || one.count != annals::ring::page_copy::size) return done;
    const int fd = ::open(ring_path.c_str(), O_RDWR);
    const std::uint64_t bytes = annals::ring::bytes_max;
    const std::uint64_t tail = 12'345'678'901;
    if (fd >= 0) {
      (void)!::pwrite(fd, &bytes, sizeof bytes, offsetof(annals::ring::file_header, bytes));
      (void)!::pwrite(fd, &tail, sizeof tail, offsetof(annals::ring::file_header, tail));
      ::close(fd);
    }
    return done;
  };
}

TEST_F(a_ring, whose_header_changes_once_it_was_read_is_used_as_it_was_read) {
  support::append_to(log_path, "");
  const std::string lines = as_dead_owner_leaves_it(ring_path, 20, 80);
  const support::hooked_calls calls(header_that_grows(ring_path));
  const auto left = annals::left_in_ring::of(log_path);
  EXPECT_FALSE(left.is_unchanged());
  std::filesystem::remove(ring_path);
  (void)as_dead_owner_leaves_it(ring_path, 20, 80);
  {
    annals::audit_logger log(options());
    ASSERT_TRUE(log.log_event("web", "last"));
    ASSERT_TRUE(log.sync());
  }
  EXPECT_TRUE(support::content_of(log_path).starts_with(lines));
  EXPECT_EQ(support::lines_of(log_path).size(), 21U);
}

TEST_F(a_ring, that_another_program_changes_is_reported_set_aside_and_done_without) {
  support::gated_sink::control gate;
  auto made = options();
  made.sink = std::make_unique<support::gated_sink>(gate);
  {
    annals::audit_logger log(std::move(made));
    ASSERT_TRUE(log.log_event("web", "before"));
    ASSERT_TRUE(log.sync());
    gate.set(false);
    for (int i = 0; i < 9; ++i) ASSERT_TRUE(log.log_event("web", "event " + std::to_string(i)));
    {
      ring_file changed(ring_path);  // as a process with the right to write the file can
      const std::uint64_t tail = changed.header().tail;
      const std::uint64_t words = annals::ring::words_for(annals::ring::line_bytes_of(changed.word(tail)));
      changed.word(tail + 4 * words) |= annals::ring::line_bytes_mask;
    }
    gate.set(true);
    (void)log.sync();
    annals::receipt refused;
    for (int i = 0; i < 10'000 && refused; ++i) refused = log.log_event("web", "x");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.cause()->code, annals::errc::ring_damaged);
    EXPECT_TRUE(log.log_event("web", "after").accepted());
    EXPECT_TRUE(log.sync());
  }
  for (int i = 0; i < 9; ++i) EXPECT_EQ(gate.taken().find("event " + std::to_string(i)) != std::string::npos, i != 4) << i;
  EXPECT_NE(gate.taken().find("after"), std::string::npos);
  EXPECT_NE(said(annals::errc::ring_damaged).find("was changed by another program"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(ring_path));
  const std::filesystem::directory_iterator files(directory.path());
  EXPECT_TRUE(std::any_of(begin(files), end(files),
                          [](const auto& entry) { return entry.path().string().find(".ring.damaged-") != std::string::npos; }));
}

TEST_F(a_ring, is_its_users_alone_whatever_the_mode_of_the_log_is) {
  const ::mode_t before = ::umask(0);
  auto made = options();
  made.file_mode = 0666;
  annals::audit_logger log(std::move(made));
  ASSERT_TRUE(log.log_event("web", "x"));
  auto durable = options();
  durable.path = directory / "durable.jsonl";
  durable.file_mode = 0660;
  durable.delivery = annals::delivery::durable;
  annals::audit_logger other(std::move(durable));
  ASSERT_TRUE(other.log_event("web", "x"));
  ::umask(before);
  for (const std::string& path : {ring_path, directory / "durable.jsonl.journal"}) {
    struct ::stat found = {};
    ASSERT_EQ(::stat(path.c_str(), &found), 0) << path;
    EXPECT_EQ(found.st_mode & 07777, 0600U) << path;
  }
}

TEST_F(a_ring, that_others_can_write_is_set_aside_with_a_report) {
  for (const ::mode_t mode : {0660U, 0602U, 0620U}) {
    heard.clear();
    notices.clear();
    (void)as_dead_owner_leaves_it(ring_path, 3, 80);
    ASSERT_EQ(::chmod(ring_path.c_str(), mode), 0);
    {
      annals::audit_logger log(options());
      ASSERT_TRUE(log.log_event("web", "x").accepted());
    }
    EXPECT_NE(said(annals::notice_code::ring_damaged).find("users other than its owner can write to it"), std::string::npos)
        << mode;
  }
  EXPECT_EQ(support::lines_of(log_path).size(), 3U) << "nothing of these rings comes into the log";
}

TEST_F(a_ring, of_another_user_is_set_aside_with_a_report_and_not_read) {
  (void)as_dead_owner_leaves_it(ring_path, 3, 80);
  const auto ring = annals::io::status_at(ring_path).value();
  const support::hooked_calls calls([&](support::system_call& one) {
    const std::int64_t done = one.run();
    const bool is_status = one.which == support::call::status_of || one.which == support::call::status_at;
    if (is_status && one.status->inode == ring->inode) one.status->owner = 4321;
    return done;
  });
  std::vector<std::string> damages;
  const auto events =
      annals::tail_log(log_path, 10, {.on_damage = [&](const annals::damage& one) { damages.push_back(one.cause); }});
  EXPECT_TRUE(events.empty());
  ASSERT_EQ(damages.size(), 1U);
  EXPECT_NE(damages[0].find("it belongs to user 4321"), std::string::npos) << damages[0];
  {
    annals::audit_logger log(options());
    ASSERT_TRUE(log.log_event("web", "x").accepted());
  }
  EXPECT_NE(said(annals::notice_code::ring_damaged).find("it belongs to user 4321"), std::string::npos);
  EXPECT_EQ(support::lines_of(log_path).size(), 1U);
}

TEST_F(a_ring, that_is_foreign_is_neither_recovered_nor_moved_by_hand) {
  (void)as_dead_owner_leaves_it(ring_path, 3, 80);
  ASSERT_EQ(::chmod(ring_path.c_str(), 0622), 0);
  const std::string before = support::content_of(ring_path);
  const auto refused = annals::recover_log(log_path);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("Recover them as the user who owns it"), std::string::npos) << refused.error().message;
  EXPECT_EQ(support::content_of(ring_path), before);
  ASSERT_EQ(::chmod(ring_path.c_str(), 0600), 0);
  const auto done = annals::recover_log(log_path);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->events, 3U);
}

TEST_F(a_ring, that_others_could_read_is_taken_away_from_them) {
  (void)as_dead_owner_leaves_it(ring_path, 3, 80);
  ASSERT_EQ(::chmod(ring_path.c_str(), 0644), 0);
  annals::audit_logger log(options());
  ASSERT_TRUE(log.log_event("web", "x"));
  struct ::stat found = {};
  ASSERT_EQ(::stat(ring_path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0600U);
}

TEST_F(a_ring, of_another_program_in_the_directory_that_the_process_went_to_is_not_removed) {
  const std::string before = std::filesystem::current_path();
  std::filesystem::create_directory(directory / "one");
  std::filesystem::create_directory(directory / "two");
  std::filesystem::current_path(directory / "one");
  {
    auto made = options();
    made.path = "audit.jsonl";
    annals::audit_logger log(std::move(made));
    ASSERT_TRUE(log.log_event("web", "x"));
    std::filesystem::current_path(directory / "two");
    support::write_file("audit.jsonl.ring", "the ring of another program");
  }
  std::filesystem::current_path(before);
  EXPECT_EQ(support::content_of(directory / "two/audit.jsonl.ring"), "the ring of another program");
}

TEST_F(a_ring, that_another_process_owns_is_refused_at_once) {
  annals::audit_logger log(options());
  ASSERT_TRUE(log.log_event("web", "first"));
  std::atomic<int> locks = 0;  // the drain's thread makes calls, too
  const support::hooked_calls calls([&](support::system_call& one) {
    locks += one.which == support::call::lock ? 1 : 0;
    return one.run();
  });
  annals::audit_logger other(options());
  const annals::receipt refused = other.log_event("web", "no");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.cause()->code, annals::errc::ring_not_owned);
  EXPECT_EQ(locks, 0) << "it waited for the lock";
}

}  // namespace
