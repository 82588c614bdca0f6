// SPDX-License-Identifier: Apache-2.0
//
// What a later owner finds in the file of a ring, whatever the last one was doing, and what it does not take for one.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/temp_directory.h"
import annals.event;
import annals.io;
import annals.io.owned_file;
import annals.ring;
#include "ring_file.h"

namespace {

using namespace std::chrono_literals;
using annals::ring::mark;
using support::a_queue;
using support::drain;
using support::line_of;
using support::put;
using support::ring_file;
using support::set_mark;

TEST_F(a_queue, gives_its_lines_to_the_next_owner_whatever_the_last_one_was_doing) {
  {
    auto queue = file.queue();
    for (std::size_t i = 0; i < 8; ++i) put(queue, line_of(i));
    EXPECT_EQ(queue.take(40, 0ns, 0ns).count, 2U);  // taken, and not given to the log
    set_mark(file, 4 * 3, mark::reserved, 1);       // never committed
    file.word(4 * 5) = 0;                           // not even begun
  }
  EXPECT_EQ(file.lines(), (std::vector{line_of(0), line_of(1), line_of(2), line_of(4), line_of(6), line_of(7)}));
  auto queue = file.queue(false);
  EXPECT_EQ(queue.found(), 6U);
  EXPECT_EQ(put(queue, "new\n"), 7U);
  EXPECT_EQ(drain(queue), line_of(0) + line_of(1) + line_of(2) + line_of(4) + line_of(6) + line_of(7) + "new\n");
  EXPECT_EQ(queue.used_bytes(), 0U);
  for (std::uint64_t word = 0; word < annals::ring::bytes_min / 8; ++word)
    ASSERT_EQ(annals::ring::mark_of(file.word(word)), mark::none);
}

TEST_F(a_queue, is_the_same_wherever_in_the_ring_an_owner_dies) {
  std::size_t number = 0;
  std::vector<std::string> left;
  for (int life = 0; life < 300; ++life) {
    auto queue = file.queue(life == 0);
    ASSERT_EQ(queue.found(), left.size());
    for (std::size_t i = 0; i < 17; ++i) {
      ++number;
      left.push_back(line_of(number, 10 + number % 90));
      ASSERT_NE(put(queue, left.back()), 0U);
    }
    const auto batch = queue.take(1500, 0ns, 0ns);
    std::string expected;
    for (std::size_t i = 0; i < batch.count; ++i) expected += left[i];
    ASSERT_EQ(batch.lines, expected);
    queue.begin_writing({});
    queue.release();
    left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(batch.count));
    ASSERT_EQ(file.lines(), left);
  }
}

TEST_F(a_queue, settles_what_a_dead_owner_was_writing) {
  std::vector<annals::ring::taken_record> taken;
  {
    auto queue = file.queue();
    for (std::size_t i = 0; i < 4; ++i) put(queue, line_of(i));
    queue.take(60, 0ns, 0ns);
    queue.begin_writing({});
    taken = annals::ring::taken_of(file.facts(), file.source()).records;
  }
  ASSERT_EQ(taken.size(), 3U);
  annals::ring::settle(file.header(), file.words(), taken, {true, false, true});
  auto queue = file.queue(false);
  EXPECT_EQ(drain(queue), line_of(1) + line_of(3));
}

TEST_F(a_queue, tells_a_later_owner_what_is_no_line_and_finds_those_behind_it) {
  {
    auto queue = file.queue();
    for (std::size_t i = 0; i < 5; ++i) put(queue, line_of(i));
  }
  file.word(0) = annals::ring::header_of(mark::committed, 0);
  file.word(4) = annals::ring::header_of(mark::committed, 19);                    // without its last byte, the newline
  file.word(9) = 0;                                                               // NULs in the third one
  file.word(12) = annals::ring::header_of(mark::taken, annals::ring::bytes_min);  // longer than there is room for
  std::vector<std::pair<std::uint64_t, std::string>> told;
  std::vector<std::string> lines;
  file.each_record([&](const annals::ring::record& one) {
    if (one.damage.empty()) {
      lines.emplace_back(one.line);
    } else {
      told.emplace_back(one.at, one.damage);
    }
  });
  EXPECT_EQ(lines, std::vector{line_of(4)});
  EXPECT_EQ(told, (std::vector<std::pair<std::uint64_t, std::string>>{{0, "a line without its newline"},
                                                                      {4, "a line without its newline"},
                                                                      {8, "a line with bytes that no line has"}}));
  EXPECT_EQ(file.lines(), lines) << "whether anybody wants to know or not";
  auto queue = file.queue(false);
  EXPECT_EQ(drain(queue), line_of(4));
  EXPECT_EQ(queue.used_bytes(), 0U);
}

// Whatever is in the file: no access outside of it, no endless loop, and what is returned are lines.
// As a loss of power leaves it: parts of the file are those of another lap.
TEST_F(a_queue, tells_a_later_owner_what_is_another_line_than_its_header_was_made_for) {
  for (const std::size_t bytes : {2U, 7U, 8U, 9U, 15U, 16U, 17U, 31U, 32U, 33U, 200U}) {
    file.header().tail = 0;
    std::memset(file.records(), 0, annals::ring::bytes_min);
    const std::string line = std::string(bytes - 1, 'a') + "\n";
    {
      auto queue = file.queue();
      ASSERT_EQ(put(queue, line), 1U);
    }
    EXPECT_EQ(file.lines(), std::vector{line});
    char* const text = file.records() + annals::ring::word_bytes;
    for (std::size_t i = 0; i + 1 < bytes; ++i) {
      text[i] = 'b';
      EXPECT_TRUE(file.lines().empty()) << "byte " << i << " of " << bytes;
      text[i] = 'a';
    }
    EXPECT_EQ(file.lines(), std::vector{line});
    file.header().tail = annals::ring::bytes_min / annals::ring::word_bytes;  // where the same words are the next lap's
    EXPECT_TRUE(file.lines().empty()) << "of the lap before";
  }
}

TEST_F(a_queue, of_random_bytes_harms_nobody) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 60; ++round) {
    {
      auto queue = file.queue(false);
      while (queue.used_bytes() > 0 && !drain(queue).empty()) continue;
      for (std::size_t i = 0; i < 200; ++i) put(queue, line_of(i, 10 + random() % 200));
    }
    for (int i = 0; i < 40; ++i) {
      const std::uint64_t word = random() % (annals::ring::bytes_min / 8);
      switch (random() % 4) {
        case 0: file.word(word) = random(); break;
        case 1: file.word(word) = annals::ring::header_of(mark::committed, random() & annals::ring::line_bytes_mask); break;
        case 2: file.word(word) ^= std::uint64_t{1} << random() % 64; break;
        default: file.word(word) = annals::ring::header_of(static_cast<mark>(0xa1 + random() % 4), random() % 400, 1);
      }
    }
    for (const std::string& line : file.lines()) {
      ASSERT_EQ(line.find('\n'), line.size() - 1);
    }
    auto queue = file.queue(false);
    const std::size_t found = queue.found();
    std::size_t lines = 0;
    for (std::string got = drain(queue); !got.empty(); got = drain(queue))
      lines += static_cast<std::size_t>(std::count(got.begin(), got.end(), '\n'));
    ASSERT_EQ(lines, found);
    ASSERT_EQ(queue.used_bytes(), 0U);
  }
}

TEST(the_header_of_a_ring, is_refused_when_any_of_it_is_changed) {
  const support::temp_directory directory;
  ring_file file(directory / "ring");
  const std::uint64_t bytes = annals::ring::page_bytes + annals::ring::bytes_min;
  EXPECT_FALSE(annals::ring::fault_of(file.header(), bytes));
  EXPECT_TRUE(annals::ring::fault_of(file.header(), bytes - 1));
  EXPECT_TRUE(annals::ring::fault_of(file.header(), bytes + 1));
  char* const first = reinterpret_cast<char*>(&file.header());
  for (std::size_t bit = 0; bit < 8 * offsetof(annals::ring::file_header, filler); ++bit) {
    first[bit / 8] = static_cast<char>(first[bit / 8] ^ 1 << bit % 8);
    EXPECT_TRUE(annals::ring::fault_of(file.header(), bytes)) << "bit " << bit;
    first[bit / 8] = static_cast<char>(first[bit / 8] ^ 1 << bit % 8);
  }
}

// Made by whoever can compute the check, too.
TEST(the_header_of_a_ring, is_refused_when_it_has_sizes_that_no_ring_has_however_well_the_check_fits) {
  const support::temp_directory directory;
  ring_file file(directory / "ring");
  annals::ring::file_header& header = file.header();
  const auto check = [&] {
    const char* const bytes = reinterpret_cast<const char*>(&header);
    header.check = 0xcbf29ce484222325;
    for (std::size_t i = 0; i < offsetof(annals::ring::file_header, check); ++i)
      header.check = (header.check ^ static_cast<std::uint8_t>(bytes[i])) * 0x100000001b3;
  };
  for (const std::uint64_t bytes :
       {std::uint64_t{0}, std::uint64_t{annals::ring::bytes_min / 2}, std::uint64_t{annals::ring::bytes_min + 4096},
        std::uint64_t{annals::ring::bytes_max} * 2, std::uint64_t{1} << 63, UINT64_MAX}) {
    annals::ring::make_header(header, bytes, {}, 1);
    EXPECT_EQ(annals::ring::fault_of(header, annals::ring::page_bytes + bytes), "its header has sizes that no ring has")
        << bytes;
  }
  annals::ring::make_header(header, annals::ring::bytes_min, {}, 1);
  header.page_bytes = 8192;
  check();
  EXPECT_EQ(annals::ring::fault_of(header, 8192 + annals::ring::bytes_min), "its header has sizes that no ring has");
  header.page_bytes = annals::ring::page_bytes;
  header.version = 1;
  check();
  EXPECT_EQ(annals::ring::fault_of(header, annals::ring::page_bytes + annals::ring::bytes_min),
            "it is a ring of version 1; this library knows version 3");
  header.version = 3;
  check();
  EXPECT_FALSE(annals::ring::fault_of(header, annals::ring::page_bytes + annals::ring::bytes_min));
}

// From there on the words of a lap would have no numbers.
TEST(the_header_of_a_ring, is_refused_when_its_tail_is_where_no_ring_ever_is) {
  const support::temp_directory directory;
  ring_file file(directory / "ring");
  const std::uint64_t bytes = annals::ring::page_bytes + annals::ring::bytes_min;
  file.header().tail = UINT64_MAX / 2;
  EXPECT_FALSE(annals::ring::fault_of(file.header(), bytes));
  file.header().tail = UINT64_MAX / 2 + 1;
  EXPECT_TRUE(annals::ring::fault_of(file.header(), bytes));
}

}  // namespace
