// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "seekable/forged.h"
#include "support/child.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.content.seekable;
#include "seekable/archives.h"
#include "support/faulty_calls.h"

namespace {

using annals::seekable::frame;
using support::all_of;
using support::compressed;
using support::many_lines;
using support::one_frame;
using support::put;
using support::seek_table;
using support::skippable;

constexpr std::size_t small_frame = annals::seekable::frame_bytes_min;

// A file of four frames, and its lines frame by frame.
struct four_frames {
  std::string file;
  std::vector<std::string> lines;
  std::vector<frame> frames;

  four_frames() {
    const std::string all = many_lines(600);
    file = compressed(all, {.frame_bytes = small_frame});
    frames = annals::seekable::read_table(annals::seekable::source(file)).value().frames;
    for (const frame& f : frames) lines.push_back(all.substr(f.offset, *f.bytes));
  }
};

TEST(seekable_damage, of_a_file_cut_at_any_byte_every_whole_frame_is_had_and_the_beginning_of_the_cut_one) {
  const four_frames made;
  ASSERT_EQ(made.frames.size(), 4U);
  std::string all;
  for (const std::string& of_one : made.lines) all += of_one;
  for (std::size_t size = 0; size < made.file.size(); ++size) {
    const auto had = all_of(std::string_view(made.file).substr(0, size));
    std::string whole;
    bool within = false;
    for (std::size_t i = 0; i < made.frames.size(); ++i) {
      const std::uint64_t end = made.frames[i].compressed_offset + made.frames[i].compressed_bytes;
      if (end <= size) whole += made.lines[i];
      within = within || (made.frames[i].compressed_offset < size && size < end);
    }
    ASSERT_TRUE(had.lines.starts_with(whole)) << size;
    ASSERT_TRUE(all.starts_with(had.lines)) << size;
    ASSERT_FALSE(had.table.from_seek_table) << size;
    if (within) {
      ASSERT_TRUE(had.has_damage()) << size;
    }
  }
}

TEST(seekable_damage, a_cut_frame_of_several_blocks_gives_those_that_are_whole) {
  const std::string lines = many_lines(20000);
  const std::string file = one_frame(lines);
  const auto had = all_of(std::string_view(file).substr(0, file.size() - 10));
  EXPECT_GT(had.lines.size(), lines.size() / 2);
  EXPECT_TRUE(lines.starts_with(had.lines));
  ASSERT_EQ(had.damage.size(), 1U);
  EXPECT_NE(had.damage.front().cause.find("the file ends within the frame"), std::string::npos) << had.damage.front().cause;
}

// Every line that is handed out is one that was written, in order; and what is missing is told of.
TEST(seekable_damage, of_a_file_with_any_bit_flipped_all_other_frames_are_had_and_the_damage_is_told) {
  const four_frames made;
  const std::size_t frames_end = made.frames.back().compressed_offset + made.frames.back().compressed_bytes;
  std::string file = made.file;
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ (1 << bit % 8));
    const auto had = all_of(file);
    std::string expected;
    bool hit = false;
    for (std::size_t i = 0; i < made.frames.size(); ++i) {
      const std::uint64_t begin = made.frames[i].compressed_offset;
      const bool here = begin <= bit / 8 && bit / 8 < begin + made.frames[i].compressed_bytes;
      hit = hit || here;
      if (!here) expected += made.lines[i];
    }
    std::string all;
    for (const std::string& of_one : made.lines) all += of_one;
    // Some bits mean nothing (unused ones of a header): then the frame is had, too.
    const bool fine = had.lines == expected || had.lines == all;
    ASSERT_TRUE(fine) << "bit " << bit << ": " << had.lines.size();
    if (had.lines != all) {
      ASSERT_TRUE(had.has_damage()) << "bit " << bit;
    }
    ASSERT_TRUE(hit || bit / 8 >= frames_end);
    for (const frame& f : had.table.frames) {  // positions in the lines are those of before
      const auto same = std::find_if(made.frames.begin(), made.frames.end(),
                                     [&](const frame& g) { return g.compressed_offset == f.compressed_offset; });
      if (same != made.frames.end() && bit / 8 < frames_end) {
        ASSERT_EQ(same->offset, f.offset) << "bit " << bit;
      }
    }
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ (1 << bit % 8));
  }
}

TEST(seekable_damage, a_seek_table_that_lies_costs_nothing_but_a_walk) {
  const std::string a = many_lines(100);
  const std::string b = many_lines(100, 100);
  const std::string first = one_frame(a);
  const std::string second = one_frame(b);
  const auto n = [](std::size_t value) { return static_cast<std::uint32_t>(value); };
  const std::vector<std::vector<std::pair<std::uint32_t, std::uint32_t>>> tables = {
      {{n(first.size() + 1), n(a.size())}, {n(second.size() - 1), n(b.size())}},
      {{n(first.size()), n(a.size() + 1)}, {n(second.size()), n(b.size() - 1)}},
      {{n(first.size() + second.size()), n(a.size() + b.size())}},
      {{n(first.size()), n(a.size())}},
      {{n(first.size()), n(a.size())}, {n(second.size() + 1), n(b.size())}},
      {{0xFFFFFFFF, 0xFFFFFFFF}, {0xFFFFFFFF, 0xFFFFFFFF}},
      {{0, 0}, {n(first.size()), n(a.size())}, {n(second.size()), n(b.size())}},
      {{n(first.size()), 0}, {n(second.size()), 0}},
      {},
  };
  for (const auto& entries : tables) {
    const auto had = all_of(first + second + seek_table(entries));
    EXPECT_TRUE(had.lines == a + b);
    EXPECT_TRUE(had.damage.empty());
    EXPECT_EQ(had.table.findings.size(), 1U);
    EXPECT_FALSE(had.table.from_seek_table);
    ASSERT_EQ(had.table.frames.size(), 2U);
    EXPECT_EQ(had.table.frames[1].offset, a.size());
  }
  const auto had = all_of(first + second + seek_table({{n(first.size()), n(a.size())}, {n(second.size()), n(b.size())}}));
  EXPECT_TRUE(had.table.from_seek_table && !had.has_damage() && had.lines == a + b);
}

TEST(seekable_damage, a_seek_table_with_an_impossible_count_is_told_of) {
  const std::string lines = many_lines(10);
  for (const std::uint32_t count : {1U, 100U, 0x10000000U, 0xFFFFFFFFU}) {
    std::string file = one_frame(lines);
    put(file, count);
    file += '\0';
    put(file, 0x8F92EAB1);
    const auto had = all_of(file);
    EXPECT_EQ(had.lines, lines);
    EXPECT_FALSE(had.table.findings.empty());
  }
}

TEST(seekable_damage, skippable_frames_anywhere_mean_nothing) {
  const std::string a = many_lines(100);
  const std::string b = many_lines(100, 100);
  const auto had = all_of(skippable("x") + one_frame(a) + skippable("") + skippable(std::string(100'000, '\x28')) +
                          one_frame(b) + skippable("y"));
  EXPECT_EQ(had.lines, a + b);
  EXPECT_FALSE(had.has_damage());
}

TEST(seekable_damage, garbage_before_between_and_behind_frames_is_told_of_and_hides_none) {
  const std::string a = many_lines(100);
  const std::string b = many_lines(100, 100);
  const std::string first = one_frame(a);
  const std::string garbage =
      "\x28\xB5\x2F\xFDgarbage \x28\xB5\x2F that begins like a frame" + std::string(100'000, '\0') + "\x28\xB5\x2F\xFD\x04";
  const auto had = all_of(garbage + first + garbage + one_frame(b) + "the end");
  EXPECT_EQ(had.lines, a + b);
  ASSERT_EQ(had.table.findings.size(), 3U);
  EXPECT_EQ(had.table.findings[1].compressed_offset, garbage.size() + first.size());
  EXPECT_EQ(had.table.findings[1].compressed_bytes, garbage.size());
}

TEST(seekable_damage, what_is_no_zstd_file_gives_nothing_and_says_so) {
  for (const std::string& file :
       {many_lines(1000), std::string("\x1f\x8b\x08"), std::string(1'000'000, '\0'), std::string("\x50\x2A\x4D\x18")}) {
    const auto had = all_of(file);
    EXPECT_EQ(had.lines, "");
    EXPECT_TRUE(had.has_damage());
  }
  EXPECT_FALSE(all_of("").has_damage());
}

TEST(seekable_damage, a_checksum_that_does_not_fit_gives_nothing_of_the_frame) {
  const std::string a = many_lines(100);
  std::string damaged = one_frame(many_lines(100, 100));
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  const auto had = all_of(one_frame(a) + damaged + one_frame(a));
  EXPECT_EQ(had.lines, a + a);
  ASSERT_EQ(had.damage.size(), 1U);
  EXPECT_EQ(had.damage.front().compressed_bytes, damaged.size());
}

TEST(seekable_damage, more_frames_than_a_table_has_entries_are_read_in_runs) {
  const std::string tiny = one_frame("x\n");
  std::string file;
  constexpr std::size_t count = annals::seekable::frames_max * 2 + 100;
  for (std::size_t i = 0; i < count; ++i) file += tiny;
  const auto had = all_of(file);
  EXPECT_EQ(had.lines.size(), 2 * count);
  EXPECT_FALSE(had.has_damage());
  EXPECT_LE(had.table.frames.size(), annals::seekable::frames_max);
  EXPECT_EQ(had.table.bytes, 2 * count);
}

// Too many to be told of one by one, and none that touch another, so that no two of them can be one entry.
TEST(seekable_damage, more_frames_than_a_table_has_entries_with_something_between_are_told_of) {
  const std::string piece = one_frame("x\n") + skippable("");
  std::string file;
  for (std::size_t i = 0; i < 6 * annals::seekable::frames_max; ++i) file += piece;  // and it does not take for ever
  const auto had = all_of(file + one_frame("y\n") + "garbage");
  EXPECT_EQ(had.lines.size(), 2 * annals::seekable::frames_max);
  ASSERT_EQ(had.table.findings.size(), annals::seekable::findings_max);
  EXPECT_NE(had.table.findings.front().cause.find("more than 65536 frames"), std::string::npos);
  EXPECT_EQ(had.table.findings.front().compressed_offset, annals::seekable::frames_max * piece.size());
  const annals::seekable::finding& last = had.table.findings.back();
  EXPECT_NE(last.cause.find("more damage than is told of one by one"), std::string::npos) << last.cause;
  EXPECT_EQ(last.compressed_offset + last.compressed_bytes, file.size() + one_frame("y\n").size() + 7) << "up to the end";
  EXPECT_EQ(had.table.bytes, std::nullopt);
}

// There are entries for all but one of the first, and one for all that touch behind them.
TEST(seekable_damage, frames_in_a_row_behind_very_many_that_are_not_are_had_all_the_same) {
  const std::string tiny = one_frame("x\n");
  std::string file;
  for (std::size_t i = 0; i + 1 < annals::seekable::frames_max; ++i) file += tiny + skippable("");
  constexpr std::size_t in_a_row = 4 * annals::seekable::frames_max;
  for (std::size_t i = 0; i < in_a_row; ++i) file += tiny;
  const auto had = all_of(file);
  EXPECT_EQ(had.lines.size(), 2 * (annals::seekable::frames_max - 1 + in_a_row));
  EXPECT_FALSE(had.has_damage());
  EXPECT_EQ(had.table.frames.size(), annals::seekable::frames_max);
  EXPECT_EQ(had.table.bytes, had.lines.size());
}

TEST(seekable_damage, runs_of_frames_that_do_not_all_say_their_size_are_read_whole) {
  const std::string pieces[] = {one_frame("x\n"), one_frame("x\n", false), one_frame("x\n"), skippable("")};
  std::string file;
  std::string expected;
  for (std::size_t i = 0; i < annals::seekable::frames_max + 3000; ++i) {
    file += pieces[i % 3];
    expected += "x\n";
    if (i == 0 || i % 10'000 == 0) file += pieces[3];
  }
  const auto had = all_of(file);
  EXPECT_TRUE(had.lines == expected) << had.lines.size();
  EXPECT_FALSE(had.has_damage());
  EXPECT_LE(had.table.frames.size(), annals::seekable::frames_max);
  EXPECT_EQ(had.table.bytes, std::nullopt);
}

TEST(seekable_damage, a_frame_whose_blocks_reach_beyond_the_next_one_costs_no_other) {
  const std::string a = many_lines(100);
  const std::string b = many_lines(100, 100);
  std::string reaches = one_frame(many_lines(100, 200));
  const std::size_t block = 4 + 1 + 2;  // magic number, descriptor, size of the content
  ASSERT_EQ(static_cast<std::uint8_t>(reaches[4]) >> 5, 3) << "a size of two bytes, and no window";
  reaches[block + 2] = 15;  // 122,880 bytes more
  const auto had = all_of(one_frame(a) + reaches + one_frame(b));
  EXPECT_EQ(had.lines, a + b);
  ASSERT_EQ(had.table.findings.size(), 1U);
  EXPECT_EQ(had.table.findings[0].compressed_offset, one_frame(a).size());
  EXPECT_EQ(had.table.findings[0].compressed_bytes, reaches.size());
  EXPECT_NE(had.table.findings[0].cause.find("reaches beyond the next one"), std::string::npos);
}

// One raw block, without a checksum: what compresses nothing is easily read by eye.
std::string raw_frame(const std::string& header, std::string_view content) {
  std::string frame = "\x28\xB5\x2F\xFD" + header;
  const auto block = static_cast<std::uint32_t>(content.size()) << 3 | 1U;
  for (int i = 0; i < 3; ++i) frame += static_cast<char>(block >> (8 * i) & 255);
  return frame.append(content);
}

TEST(seekable_damage, a_frame_that_needs_a_dictionary_is_told_of_and_one_that_names_none_is_read) {
  using namespace std::string_literals;
  // Descriptor, window where it says so, the dictionary's number of 1, 2 or 4 bytes, size of the content where it says so.
  const std::vector<std::pair<std::string, std::string>> headers = {
      {"\x21\x07\x05"s, "\x21\x00\x05"s},
      {"\x22\x00\x01\x05"s, "\x22\x00\x00\x05"s},
      {"\x03\x58\x00\x00\x00\x80"s, "\x03\x58\x00\x00\x00\x00"s},
  };
  for (const auto& [needs, needs_none] : headers) {
    const auto had = all_of(one_frame("a\n") + raw_frame(needs, "none\n") + raw_frame(needs_none, "fine\n") + one_frame("b\n"));
    EXPECT_EQ(had.lines, "a\nfine\nb\n");
    ASSERT_EQ(had.damage.size(), 1U);
    EXPECT_NE(had.damage[0].cause.find("needs a dictionary"), std::string::npos);
    EXPECT_EQ(had.damage[0].compressed_offset, one_frame("a\n").size());
  }
}

// --- bombs -----------------------------------------------------------------------------------------------------------------

// A frame without a size whose blocks each say: 128 KiB of this byte.
std::string bomb(std::uint64_t blocks, std::uint8_t window) {
  std::string file = "\x28\xB5\x2F\xFD";
  file += '\0';
  file += static_cast<char>(window);
  for (std::uint64_t i = 0; i < blocks; ++i) {
    const std::uint32_t header = 128U * 1024 << 3 | 1U << 1 | (i + 1 == blocks ? 1U : 0U);
    file += static_cast<char>(header & 255);
    file += static_cast<char>(header >> 8 & 255);
    file += static_cast<char>(header >> 16 & 255);
    file += 'x';
  }
  return file;
}

constexpr std::uint8_t window_of_32_mib = 15 << 3;  // 1 << (10 + 15)

long peak_kib() {
  rusage used;
  ::getrusage(RUSAGE_SELF, &used);
  return used.ru_maxrss;
}

// Decodes all of a file in a process of its own, whose memory must not grow beyond what is promised.
void expect_bounded(const std::string& path, std::uint64_t bytes, bool damage) {
  support::expect_zero_in_child([&] {
    const long before = peak_kib();
    const auto file = annals::io::file::open(path, annals::io::open_for::reading).value();
    const annals::seekable::source from(file, path);
    const auto table = annals::seekable::read_table(from).value();
    annals::seekable::decoder decode(from);
    std::uint64_t had = 0;
    bool damaged = !table.findings.empty();
    for (int round = 0; round < 2; ++round) {
      had = 0;
      for (const frame& f : table.frames) {
        const auto outcome = decode.decode(f, [&](std::string_view part) {
          had += part.size();
          return true;
        });
        damaged = damaged || outcome.damage;
      }
    }
    const long grown_kib = peak_kib() - before;
#ifdef SANITIZED
    constexpr long promised_kib = 1024 * 1024;  // of which most is the sanitizers'
#else
    constexpr long promised_kib = 48 * 1024;  // 40 MiB of the decoder, 8 of the table
#endif
    if (had != bytes || damaged != damage || grown_kib > promised_kib) {
      std::cerr << "bytes " << had << ", damaged " << damaged << ", grown by " << grown_kib << " KiB\n";
      return 1;
    }
    return 0;
  });
}

TEST(seekable_bomb, a_small_file_of_gigabytes_takes_no_more_memory_than_any) {
  const support::temp_directory directory;
  constexpr std::uint64_t blocks = 16 * 1024;  // 2 GiB out of 64 KiB
  support::write_file(directory / "bomb.zst",
                      bomb(blocks, window_of_32_mib) + one_frame(many_lines(60'000), false) + one_frame("y"));
  expect_bounded(directory / "bomb.zst", blocks * 128 * 1024 + many_lines(60'000).size() + 1, false);
}

TEST(seekable_bomb, a_frame_that_claims_terabytes_gives_what_it_has) {
  const support::temp_directory directory;
  // A single segment of 2^50 bytes: its window would be as long. And one that only says so.
  std::string single = "\x28\xB5\x2F\xFD\xE0";
  single += std::string("\0\0\0\0\0\0\4\0", 8) + std::string("\x01\0\0", 3);
  std::string claims = "\x28\xB5\x2F\xFD\xC0\x58";
  claims += std::string("\0\0\0\0\0\0\4\0", 8) + std::string("\x01\0\0", 3);
  support::write_file(directory / "bomb.zst", single + claims + one_frame("fine\n"));
  expect_bounded(directory / "bomb.zst", 5, true);
}

TEST(seekable_bomb, a_table_of_very_many_frames_takes_no_more_memory_than_any) {
  const support::temp_directory directory;
  const std::string tiny = one_frame("");
  std::string file;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> entries;
  for (std::size_t i = 0; i < 600'000; ++i) {
    file += tiny;
    entries.emplace_back(static_cast<std::uint32_t>(tiny.size()), 0U);
  }
  support::write_file(directory / "walked.zst", file);
  support::write_file(directory / "table.zst", file + seek_table(entries));
  expect_bounded(directory / "walked.zst", 0, false);
  expect_bounded(directory / "table.zst", 0, false);
}

TEST(seekable_bomb, beginnings_of_frames_everywhere_do_not_take_for_ever) {
  // Each of these begins a chain of blocks that reaches to the end of the file, and is broken there.
  std::string file;
  for (std::size_t i = 0; i < 300'000; ++i) file += std::string("\x28\xB5\x2F\xFD\0\x58", 6) + std::string("\x30\0\0", 3);
  file += std::string(64, '\xFF');
  const auto had = all_of(file);
  EXPECT_EQ(had.lines, "");
  EXPECT_TRUE(had.has_damage());
}

}  // namespace
