// SPDX-License-Identifier: Apache-2.0
//
// The journal's file, whatever a loss of power left of it, and what it brings back into the log.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "support/child.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.durable;
import annals.recovery;
import annals.segment;
#include "support/faulty_calls.h"

namespace {

using annals::journal;

constexpr std::size_t page = journal::page_bytes;

std::string line_of(std::size_t number, std::size_t bytes = 40) {
  std::string line = R"({"ts":"2026-11-25T00:00:00+00:00","container":"web","action":")" + std::to_string(number) + '"';
  line.resize(std::max(bytes, line.size()), ' ');
  return line + "}\n";
}

class a_journal : public testing::Test {
 protected:
  journal open(std::size_t pages = 64) {
    return journal::open(log_path, pages * page, [this](const annals::notice& what) { heard.push_back(what.message); }).value();
  }
  void append(journal& to, const std::string& lines) {
    const auto failed = to.append(lines, static_cast<std::size_t>(std::count(lines.begin(), lines.end(), '\n')));
    ASSERT_FALSE(failed) << failed->message;
  }
  // Brings back what the journal has, as a logger does. Returns how many lines the log lacked.
  std::uint64_t recover(const journal& from) {
    const auto write = [this](std::string_view lines, std::size_t) { support::append_to(log_path, lines); };
    const auto note = [this](const annals::notice& what) { heard.push_back(what.message); };
    return annals::recover(from.read_lap().value(), {log_path, 0600, write, note}).value();
  }
  annals::segment::log_place place_of_log() {
    const auto status = annals::io::status_at(log_path).value();
    return status ? annals::segment::log_place{1, status->bytes, status->device, status->inode}
                  : annals::segment::log_place{1, 0, 0, 0};
  }

  const support::temp_directory directory;
  const std::string log_path = directory / "audit.jsonl";
  const std::string journal_path = journal::path_of(log_path);
  std::vector<std::string> heard;
};

TEST_F(a_journal, gives_back_what_was_appended_in_this_lap) {
  {
    journal one = open();
    EXPECT_EQ(one.read_lap().value().count, 0U);
    one.begin_lap({7, 1234, 5, 6});
    append(one, line_of(1));
    append(one, line_of(2) + line_of(3, 9000));
    EXPECT_EQ(one.read_lap().value().lines, line_of(1) + line_of(2) + line_of(3, 9000));
  }
  const journal again = open();
  const annals::journal_lap lap = again.read_lap().value();
  EXPECT_EQ(lap.lines, line_of(1) + line_of(2) + line_of(3, 9000));
  EXPECT_EQ(lap.count, 3U);
  EXPECT_EQ(lap.from.segment, 7U);
  EXPECT_EQ(lap.from.offset, 1234U);
  EXPECT_EQ(lap.from.device, 5U);
  EXPECT_EQ(lap.from.inode, 6U);
  EXPECT_TRUE(heard.empty());
}

TEST_F(a_journal, forgets_a_lap_with_the_first_group_of_the_next) {
  journal one = open(4);
  one.begin_lap({1, 0, 0, 0});
  for (int i = 0; i < 4; ++i) append(one, line_of(static_cast<std::size_t>(i)));
  EXPECT_FALSE(one.has_room_for(1));
  one.begin_lap({1, 100, 0, 0});
  EXPECT_TRUE(one.has_room_for(4 * page - 72));
  EXPECT_FALSE(one.has_room_for(4 * page - 71));
  append(one, line_of(9));
  const annals::journal_lap lap = one.read_lap().value();
  EXPECT_EQ(lap.lines, line_of(9));
  EXPECT_EQ(lap.from.offset, 100U);
}

TEST_F(a_journal, that_cannot_be_read_is_an_error_and_stays_where_it_is) {
  {
    journal one = open();
    one.begin_lap({1, 0, 0, 0});
    append(one, line_of(1));
  }
  {
    support::faulty_calls calls;
    calls.fail(support::call::read_at, EIO);
    const auto refused = journal::open(log_path, page, [this](const annals::notice& what) { heard.push_back(what.message); });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, annals::errc::io) << refused.error().message;
  }
  EXPECT_TRUE(heard.empty());
  EXPECT_EQ(open().read_lap().value().lines, line_of(1));
}

TEST_F(a_journal, without_lines_tells_that_the_lap_before_is_done_with) {
  {
    journal one = open();
    one.begin_lap({1, 0, 0, 0});
    append(one, line_of(1));
    one.begin_lap({2, 0, 0, 0});
    append(one, "");
  }
  EXPECT_EQ(open().read_lap().value().count, 0U);
}

TEST_F(a_journal, has_an_owner) {
  const journal one = open();
  const auto refused = journal::open(log_path, 4 * page, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, annals::errc::ring_not_owned);
}

TEST_F(a_journal, that_is_none_is_set_aside) {
  support::write_file(journal_path, "not a journal at all");
  EXPECT_EQ(open().read_lap().value().count, 0U);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_NE(heard[0].find("does not begin with ANNALSJN"), std::string::npos);
  bool kept = false;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(journal_path).parent_path())) {
    kept = kept || support::content_of(entry.path()) == "not a journal at all";
  }
  EXPECT_TRUE(kept);
}

TEST_F(a_journal, that_others_can_write_is_set_aside_and_not_read) {
  {
    journal one = open();
    one.begin_lap({1, 0, 0, 0});
    append(one, line_of(1));
  }
  ASSERT_EQ(::chmod(journal_path.c_str(), 0660), 0);
  EXPECT_EQ(open().read_lap().value().count, 0U);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_NE(heard[0].find("users other than its owner can write to it"), std::string::npos) << heard[0];
}

TEST_F(a_journal, that_another_user_made_is_set_aside_and_not_read) {
  {
    journal one = open();
    one.begin_lap({1, 0, 0, 0});
    append(one, line_of(1));
  }
  const auto made = annals::io::status_at(journal_path).value();
  const support::hooked_calls calls([&](support::system_call& one) {
    const std::int64_t done = one.run();
    if (one.which == support::call::status_of && one.status->inode == made->inode) one.status->owner = 4321;
    return done;
  });
  EXPECT_EQ(open().read_lap().value().count, 0U);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_NE(heard[0].find("it belongs to user 4321"), std::string::npos) << heard[0];
}

// Whatever its check says: anybody can compute that.
TEST_F(a_journal, whose_groups_hold_no_lines_brings_nothing_into_the_log) {
  const std::pair<std::string, std::size_t> cases[] = {
      {"\x1b[2J\n", 1}, {std::string("a\0b\n", 4), 1}, {"\xc3\xa4\n", 1},        {"\n\r\n", 2},
      {line_of(1), 2},  {line_of(1) + line_of(2), 1},  {line_of(1) + "\t\n", 2}, {std::string(100, '\x7f') + "\n", 1}};
  for (const auto& [lines, count] : cases) {
    heard.clear();
    support::write_file(log_path, line_of(0));
    journal one = open(16);
    one.begin_lap(place_of_log());
    ASSERT_FALSE(one.append(line_of(7), 1));
    ASSERT_FALSE(one.append(lines, count));
    ASSERT_FALSE(one.append(line_of(8), 1));
    EXPECT_EQ(recover(one), 1U) << "the group before it";
    EXPECT_EQ(support::content_of(log_path), line_of(0) + line_of(7));
    ASSERT_EQ(heard.size(), 1U);
    EXPECT_NE(heard[0].find("are not brought into the log"), std::string::npos) << heard[0];
    std::filesystem::remove(journal_path);
  }
}

TEST_F(a_journal, of_zeros_is_one_whose_maker_died) {
  support::write_file(journal_path, std::string(3 * page, '\0'));
  EXPECT_EQ(open().read_lap().value().count, 0U);
  EXPECT_TRUE(heard.empty());
}

// What a loss of power may leave of the group that was not acknowledged: any mixture of its new sectors and the old ones.
TEST_F(a_journal, with_any_sectors_of_the_last_group_missing_has_all_groups_before) {
  {
    journal one = open(16);
    one.begin_lap({1, 0, 0, 0});
    for (std::size_t i = 0; i < 16; ++i) append(one, line_of(100 + i));  // an older lap
    one.begin_lap({1, 0, 0, 0});
    append(one, line_of(0));
    append(one, line_of(1, 5000));
  }
  {
    const journal one = open(16);
    ASSERT_EQ(one.read_lap().value().count, 2U);
  }
  // The same again with a third group of two pages, by a writer whose lap has the same number.
  std::string after;
  {
    journal one = open(16);
    one.begin_lap({1, 0, 0, 0});
    append(one, line_of(0));
    append(one, line_of(1, 5000));
    const std::string acknowledged = support::content_of(journal_path);
    append(one, line_of(2, 6000));
    after = support::content_of(journal_path);
    constexpr std::size_t sector = 512;
    const std::size_t begin = page + 3 * page;
    const std::size_t sectors = 2 * page / sector;
    for (std::uint32_t which = 0; which < 1U << sectors; which += which < 4096 ? 1 : 97) {
      std::string mixed = acknowledged;
      for (std::size_t s = 0; s < sectors; ++s) {
        if ((which >> s & 1) != 0) mixed.replace(begin + s * sector, sector, after, begin + s * sector, sector);
      }
      support::write_file(journal_path, mixed);
      const annals::journal_lap lap = one.read_lap().value();
      const bool is_whole = std::equal(mixed.begin() + begin, mixed.begin() + begin + 72 + 6000, after.begin() + begin);
      ASSERT_EQ(lap.count, is_whole ? 3U : 2U) << which;
      ASSERT_TRUE(lap.lines.starts_with(line_of(0) + line_of(1, 5000)));
    }
  }
}

TEST_F(a_journal, with_any_bit_flipped_gives_no_line_that_was_not_put) {
  std::string all;
  {
    journal one = open(8);
    one.begin_lap({1, 0, 0, 0});
    for (std::size_t i = 0; i < 3; ++i) {
      append(one, line_of(i));
      all += line_of(i);
    }
  }
  const std::string whole = support::content_of(journal_path);
  for (std::size_t at = 0; at < 4 * page; at += at % page < 200 ? 1 : 61) {
    for (int bit = 0; bit < 8; bit += at % page < 100 ? 1 : 5) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ 1 << bit);
      support::write_file(journal_path, flipped);
      heard.clear();
      const journal one = open(8);
      const annals::journal_lap lap = one.read_lap().value();
      ASSERT_TRUE(all.starts_with(lap.lines)) << at << " bit " << bit;
      if (at < 48) {
        ASSERT_EQ(heard.size(), 1U);
        for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(journal_path).parent_path())) {
          if (entry.path().string().find(".damaged-") != std::string::npos) std::filesystem::remove(entry.path());
        }
      }
    }
  }
}

TEST_F(a_journal, brings_back_exactly_what_the_log_lacks_wherever_that_was_cut) {
  const std::string before = line_of(0) + line_of(1);
  std::string lines;
  for (const std::size_t number : {1U, 2U, 2U, 3U, 1U, 2U}) lines += line_of(number);  // equal ones
  for (std::size_t kept = 0; kept <= lines.size(); ++kept) {
    support::write_file(log_path, before);
    {
      journal one = open(16);
      one.begin_lap(place_of_log());
      append(one, lines.substr(0, 2 * line_of(1).size()));
      append(one, lines.substr(2 * line_of(1).size()));
    }
    support::append_to(log_path, lines.substr(0, kept));
    const journal again = open(16);
    const std::uint64_t missing = recover(again);
    ASSERT_EQ(recover(again), 0U) << "done once more, it does nothing more";
    const std::string log = support::content_of(log_path);
    ASSERT_TRUE(log.starts_with(before + lines.substr(0, kept))) << kept;
    ASSERT_EQ(log, before + lines);
    ASSERT_EQ(missing, (lines.size() - kept) / line_of(1).size()) << "a torn line is finished, and not written again";
  }
  EXPECT_TRUE(heard.empty());
}

TEST_F(a_journal, writes_everything_again_where_the_log_was_replaced_and_says_so) {
  support::write_file(log_path, line_of(0));
  journal one = open(16);
  one.begin_lap(place_of_log());
  append(one, line_of(1) + line_of(2));
  std::filesystem::rename(log_path, log_path + ".away");
  support::write_file(log_path, line_of(9));
  EXPECT_EQ(recover(one), 2U);
  EXPECT_EQ(support::content_of(log_path), line_of(9) + line_of(1) + line_of(2));
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_NE(heard[0].find("the live segment was replaced"), std::string::npos);
}

TEST_F(a_journal, writes_nothing_again_that_a_copy_of_the_log_has) {
  support::write_file(log_path, line_of(0));
  journal one = open(16);
  one.begin_lap(place_of_log());
  append(one, line_of(1) + line_of(2) + line_of(3));
  support::append_to(log_path, line_of(1) + line_of(2));
  std::filesystem::copy_file(log_path, log_path + ".copy");  // as cp -a does: the same lines in another file
  std::filesystem::rename(log_path + ".copy", log_path);
  EXPECT_EQ(recover(one), 1U);
  EXPECT_EQ(support::content_of(log_path), line_of(0) + line_of(1) + line_of(2) + line_of(3));
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_NE(heard[0].find("holds 1 events"), std::string::npos) << heard[0];
  EXPECT_EQ(recover(one), 0U);
  EXPECT_EQ(heard.size(), 1U);
}

// A process that is killed in the middle of anything, and a log of which a loss of power leaves a part.
TEST_F(a_journal, keeps_what_was_acknowledged_over_a_kill_and_a_cut_of_the_log) {
  std::mt19937 random(11);
  for (int round = 0; round < 20; ++round) {
    std::filesystem::remove(log_path);
    const int events = static_cast<int>(random() % 200 + 1);
    support::expect_killed_child([&] {
      annals::logger_options options;
      options.path = log_path;
      options.delivery = annals::delivery::durable;
      annals::audit_logger log(std::move(options));
      for (int i = 0; i < events; ++i) {
        if (!log.log_event("web", std::to_string(i)).accepted()) return 1;
      }
      return ::kill(::getpid(), SIGKILL);
    });
    const auto bytes = std::filesystem::file_size(log_path);
    std::filesystem::resize_file(log_path, random() % (bytes + 1));
    if (round % 2 == 0) {
      annals::logger_options options;
      options.path = log_path;
      options.delivery = annals::delivery::durable;
      annals::audit_logger log(std::move(options));
      ASSERT_TRUE(log.log_event("web", std::to_string(events)).accepted());
    } else {
      const auto done = annals::recover_log(log_path);
      ASSERT_TRUE(done) << done.error().message;
      EXPECT_TRUE(done->found);
    }
    EXPECT_FALSE(std::filesystem::exists(journal_path));
    std::vector<std::string> actions;
    for (const annals::event& e : annals::tail_log(log_path, 10'000)) actions.push_back(e.action);
    ASSERT_EQ(actions.size(), static_cast<std::size_t>(events + (round % 2 == 0 ? 1 : 0)));
    for (std::size_t i = 0; i < actions.size(); ++i) ASSERT_EQ(actions[i], std::to_string(i));
  }
}

}  // namespace
