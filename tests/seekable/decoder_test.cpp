// SPDX-License-Identifier: Apache-2.0
//
// The decoder, of files that change or fail under it, and for takers that come and go.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "seekable/forged.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.content.seekable;
#include "seekable/archives.h"
#include "support/faulty_calls.h"

namespace {

using annals::seekable::frame;
using support::many_lines;
using support::one_frame;
using support::skippable;

// --- under the reader's hands -----------------------------------------------------------------------------------------------

TEST(seekable_decoder, a_file_that_is_cut_once_its_table_was_read_gives_what_is_left) {
  const std::string sized = many_lines(40);
  const std::string unsized = many_lines(40, 40);
  const std::string last = many_lines(40, 80);
  const std::string all = sized + unsized + last;
  const std::string file = one_frame(sized) + one_frame(unsized, false) + skippable("something") + one_frame(last);
  auto table = annals::seekable::read_table(annals::seekable::source(file)).value();
  ASSERT_EQ(table.frames.size(), 3U);
  for (std::size_t size = 0; size < file.size(); ++size) {
    const annals::seekable::source from(std::string_view(file).substr(0, size));
    annals::seekable::decoder decode(from);
    std::string had;
    std::size_t damaged = 0;
    for (const frame& f : table.frames) {
      const bool is_there = f.compressed_offset + f.compressed_bytes <= size;
      const std::size_t before = had.size();
      const auto outcome = decode.decode(f, [&](std::string_view part) {
        had += part;
        return true;
      });
      ASSERT_EQ(outcome.complete, is_there) << size;
      ASSERT_EQ(outcome.damage.has_value(), !is_there) << size;
      ASSERT_EQ(outcome.bytes, had.size() - before);
      damaged += is_there ? 0U : 1U;
    }
    ASSERT_TRUE(all.starts_with(had)) << size;
    ASSERT_GE(damaged, 1U);
  }
}

TEST(seekable_decoder, a_file_that_cannot_be_read_for_a_moment_is_no_damage_to_the_frames_behind) {
  const support::temp_directory directory;
  const std::string path = directory / "a.zst";
  const std::string a = many_lines(100);
  const std::string b = many_lines(100, 100);
  support::write_file(path, one_frame(a) + one_frame(a, false) + one_frame(b));
  const auto file = annals::io::file::open(path, annals::io::open_for::reading).value();
  const annals::seekable::source from(file, path);
  const auto table = annals::seekable::read_table(from).value();
  support::faulty_calls calls;
  for (int call = 0; call < 6; ++call) {
    annals::seekable::decoder decode(from);
    calls.fail(support::call::read_at, EIO).after(call).times(1);
    std::size_t whole = 0;
    for (const frame& f : table.frames) {
      std::string had;
      const auto outcome = decode.decode(f, [&](std::string_view part) {
        had += part;
        return true;
      });
      if (outcome.complete) {
        EXPECT_EQ(had, &f == &table.frames.back() ? b : a);
        ++whole;
      } else {
        ASSERT_TRUE(outcome.damage);
        EXPECT_NE(outcome.damage->cause.find("Input/output error"), std::string::npos) << outcome.damage->cause;
        EXPECT_EQ(had, "") << "nothing of it has been verified";
      }
    }
    EXPECT_EQ(whole, 2U) << call;
  }
  // A frame that ends before it should is damage, even where nobody can tell whether that is the file's end.
  frame shorter = table.frames[1];
  --shorter.compressed_bytes;
  for (const bool known : {true, false}) {
    calls.heal();
    if (!known) calls.fail(support::call::status_of, EIO);
    const auto outcome = annals::seekable::decoder(from).decode(shorter, [](std::string_view) { return true; });
    ASSERT_TRUE(outcome.damage);
    EXPECT_NE(outcome.damage->cause.find(known ? "does not end where it should" : "the file ends within the frame"),
              std::string::npos)
        << outcome.damage->cause;
  }
}

// --- who takes --------------------------------------------------------------------------------------------------------------

TEST(seekable_decoder, a_taker_that_has_enough_of_several_frames_that_are_one_entry_is_asked_no_more) {
  const std::string file = one_frame("a\n") + skippable("between") + one_frame("b\n") + one_frame("c\n");
  const annals::seekable::source from(file);
  const frame all = {0, file.size(), 0, 6};
  for (std::size_t wanted = 1; wanted <= 3; ++wanted) {
    std::string had;
    const auto outcome = annals::seekable::decoder(from).decode(all, [&](std::string_view part) {
      had += part;
      return had.size() < 2 * wanted;
    });
    EXPECT_EQ(had, std::string("a\nb\nc\n").substr(0, 2 * wanted));
    EXPECT_FALSE(outcome.complete);
    EXPECT_FALSE(outcome.damage);
  }
}

TEST(seekable_decoder, an_entry_that_ends_within_what_it_names_is_told_of) {
  const std::string file = one_frame("a\n") + skippable("to be skipped") + one_frame("b\n");
  const annals::seekable::source from(file);
  const frame ends_within = {one_frame("a\n").size(), 12, 2, std::nullopt};
  const auto outcome = annals::seekable::decoder(from).decode(ends_within, [](std::string_view) { return true; });
  EXPECT_FALSE(outcome.complete);
  ASSERT_TRUE(outcome.damage);
  EXPECT_NE(outcome.damage->cause.find("another than was expected: 21 bytes with 0 bytes in them; expected 12 bytes"),
            std::string::npos)
      << outcome.damage->cause;
}

TEST(seekable_decoder, two_long_frames_that_are_read_by_turns_are_both_had_whole) {
  const std::string a = many_lines(80'000);
  const std::string b = many_lines(80'000, 80'000);
  ASSERT_GT(a.size(), annals::seekable::checked_bytes_max);
  const std::string file = one_frame(a) + one_frame(b);
  const annals::seekable::source from(file);
  const auto table = annals::seekable::read_table(from).value();
  annals::seekable::decoder decode(from);
  std::string had[2];
  for (int turn = 0; had[0].size() < a.size() || had[1].size() < b.size(); ++turn) {
    const std::size_t which = static_cast<std::size_t>(turn % 2);
    int parts = 0;
    const auto outcome = decode.decode(
        table.frames[which],
        [&](std::string_view part) {
          had[which] += part;
          return ++parts < 3;
        },
        had[which].size());
    ASSERT_EQ(outcome.bytes, had[which].size());
    ASSERT_LT(turn, 40);
  }
  EXPECT_TRUE(had[0] == a && had[1] == b);
}

TEST(seekable_decoder, a_taker_that_has_enough_is_asked_no_more) {
  const std::string lines = many_lines(50'000);
  for (const bool sized : {true, false}) {
    const std::string file = one_frame(lines, sized);
    const annals::seekable::source from(file);
    const auto table = annals::seekable::read_table(from).value();
    int asked = 0;
    const auto outcome =
        annals::seekable::decoder(from).decode(table.frames.front(), [&](std::string_view) { return ++asked < 2; });
    EXPECT_EQ(asked, 2);
    EXPECT_FALSE(outcome.complete);
    EXPECT_FALSE(outcome.damage);
  }
}

// A long frame that is read in calls of a part or a few: all of it is had, and no byte of the file is read twice for it.
TEST(seekable_decoder, a_long_frame_that_is_left_is_gone_on_with) {
  const support::temp_directory directory;
  const std::string path = directory / "long.zst";
  const std::string lines = many_lines(250'000);
  ASSERT_GT(lines.size(), 3 * annals::seekable::checked_bytes_max);
  for (const bool whole : {true, false}) {
    std::string compressed_lines = one_frame(lines, whole);
    if (!whole) compressed_lines.resize(compressed_lines.size() / 10 * 9);
    std::ofstream(path, std::ios::binary) << compressed_lines;
    support::faulty_calls calls;
    const auto file = annals::io::file::open(path, annals::io::open_for::reading).value();
    const annals::seekable::source from(file, path);
    const auto table = annals::seekable::read_table(from).value();
    annals::seekable::decoder decode(from);
    const auto at_once = [&](int parts_max, std::string& had, std::uint64_t skipped) {
      int parts = 0;
      return decode.decode(
          table.frames.front(),
          [&](std::string_view part) {
            had += part;
            return ++parts < parts_max;
          },
          skipped);
    };
    std::string all;
    const int before = calls.count(support::call::read_at);
    const auto expected = at_once(1'000'000, all, 0);
    const int reads = calls.count(support::call::read_at) - before;
    EXPECT_TRUE(lines.starts_with(all));
    EXPECT_EQ(all == lines, whole);
    std::string had;
    for (int call = 0; had.size() < all.size(); ++call) {
      const auto outcome = at_once(call % 3 + 1, had, had.size());
      ASSERT_EQ(outcome.bytes, had.size());
      ASSERT_LT(call, 100);
    }
    EXPECT_EQ(had, all);
    EXPECT_LE(calls.count(support::call::read_at) - before, 2 * reads + 2);
    const auto outcome = at_once(1, had, had.size());
    EXPECT_EQ(had, all);
    EXPECT_EQ(outcome.complete, whole);
    EXPECT_EQ(outcome.damage.has_value(), expected.damage.has_value());
    // From elsewhere it begins anew.
    std::string tail;
    (void)at_once(2, tail, 12'345'678);
    EXPECT_EQ(tail.substr(0, 1000), all.substr(12'345'678, 1000));
    std::string again;
    (void)at_once(1, again, 1000);
    EXPECT_EQ(again.substr(0, 1000), all.substr(1000, 1000));
  }
}

}  // namespace
