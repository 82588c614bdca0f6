// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <zstd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.content.seekable;
#include "seekable/archives.h"
#include "support/long_lines.h"

namespace {

using annals::seekable::frame;
using support::all_of;
using support::compressed;
using support::many_lines;

constexpr std::size_t small_frame = annals::seekable::frame_bytes_min;

std::uint32_t number_at(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return value;
}

annals::time_point time_of(std::string_view text) {
  return annals::parse_timestamp(text)->time;
}

// What facts the writer records for these lines, in one frame.
annals::seekable::facts facts_of(std::string_view lines) {
  const auto had = all_of(compressed(lines));
  EXPECT_TRUE(had.table.from_seek_table);
  EXPECT_EQ(had.table.frames.size(), 1U);
  EXPECT_EQ(had.lines, lines);
  return *had.table.frames.front().known;
}

TEST(seekable_format, what_is_written_is_read_back) {
  const std::string lines = many_lines(2000);
  const auto had = all_of(compressed(lines, {.level = 3, .frame_bytes = small_frame}));
  EXPECT_EQ(had.lines, lines);
  EXPECT_FALSE(had.has_damage());
  EXPECT_TRUE(had.table.from_seek_table);
  EXPECT_EQ(had.table.bytes, lines.size());
  EXPECT_GT(had.table.frames.size(), 10U);
  ASSERT_TRUE(had.table.known);
  EXPECT_EQ(had.table.known->lines, 2000U);
  EXPECT_EQ(had.table.known->earliest, annals::time_point(std::chrono::seconds(1'700'000'000)));
  EXPECT_EQ(had.table.known->latest, annals::time_point(std::chrono::seconds(1'700'001'999)));
}

TEST(seekable_format, frames_are_cut_at_line_ends_and_say_where_they_stand) {
  const std::string lines = many_lines(2000);
  const std::string file = compressed(lines, {.level = 3, .frame_bytes = small_frame});
  std::uint64_t offset = 0;
  std::uint64_t compressed_offset = 0;
  const auto table = annals::seekable::read_table(annals::seekable::source(file)).value();
  for (const frame& f : table.frames) {
    EXPECT_EQ(f.offset, offset);
    EXPECT_EQ(f.compressed_offset, compressed_offset);
    EXPECT_LE(*f.bytes, small_frame);
    offset += *f.bytes;
    compressed_offset += f.compressed_bytes;
    EXPECT_EQ(lines[offset - 1], '\n');
  }
  EXPECT_EQ(offset, lines.size());
}

TEST(seekable_format, a_line_longer_than_a_frame_makes_a_longer_frame_of_its_own) {
  const std::string before = many_lines(100);
  const std::string longer = std::string(5 * small_frame, 'x') + "\n";
  const std::string behind = many_lines(100, 100);
  const auto had = all_of(compressed(before + longer + behind, {.frame_bytes = small_frame}));
  EXPECT_EQ(had.lines, before + longer + behind);
  const auto is_the_line = [&](const frame& f) { return f.offset == before.size() && *f.bytes == longer.size(); };
  EXPECT_EQ(std::count_if(had.table.frames.begin(), had.table.frames.end(), is_the_line), 1);
}

TEST(seekable_format, bytes_without_a_newline_are_cut_where_no_reader_would_look_at_the_line) {
  const std::string bytes(annals::limits::read_line_bytes_max + 1000, 'x');
  const auto had = all_of(compressed(bytes, {.level = 1}));
  EXPECT_TRUE(had.lines == bytes);
  EXPECT_EQ(had.table.frames.size(), 2U);
  EXPECT_FALSE(had.has_damage());
}

TEST(seekable_format, bytes_may_come_in_pieces_of_any_size) {
  const std::string lines = many_lines(700);
  const std::string at_once = compressed(lines, {.frame_bytes = small_frame});
  for (const std::size_t piece : {1UL, 7UL, 4096UL, 40000UL}) {
    std::string file;
    annals::seekable::writer to({.frame_bytes = small_frame}, [&](std::string_view bytes) -> std::optional<annals::error> {
      file += bytes;
      return std::nullopt;
    });
    for (std::size_t at = 0; at < lines.size(); at += piece) EXPECT_FALSE(to.add(std::string_view(lines).substr(at, piece)));
    EXPECT_FALSE(to.finish());
    EXPECT_TRUE(file == at_once) << piece;
  }
}

TEST(seekable_format, every_level_gives_back_what_it_was_given) {
  const std::string lines = many_lines(400);
  for (const int level : {-5, 0, 1, 4, 5, 9, 10, 11, 19, 22, 1000}) {
    const auto had = all_of(compressed(lines, {.level = level, .frame_bytes = small_frame}));
    EXPECT_EQ(had.lines, lines) << level;
    EXPECT_FALSE(had.has_damage()) << level;
  }
}

TEST(seekable_format, a_segment_that_just_fills_its_frames_has_no_empty_one_behind) {
  for (const std::size_t frames : {1U, 3U}) {
    std::string lines;
    for (std::size_t i = 0; i < frames; ++i) lines += std::string(small_frame - 1, static_cast<char>('a' + i)) + "\n";
    const auto had = all_of(compressed(lines, {.frame_bytes = small_frame}));
    EXPECT_EQ(had.lines, lines);
    EXPECT_EQ(had.table.frames.size(), frames);
    EXPECT_FALSE(had.has_damage());
  }
}

TEST(seekable_format, an_output_that_fails_at_any_piece_is_told_at_once) {
  const std::string lines = many_lines(600);
  int pieces = 0;
  for (int fails_at = 0;; ++fails_at) {
    pieces = 0;
    annals::seekable::writer to({.frame_bytes = small_frame}, [&](std::string_view) -> std::optional<annals::error> {
      if (pieces++ == fails_at) return annals::error{annals::errc::io, 28, "the disk is full"};
      return std::nullopt;
    });
    auto failed = to.add(lines);
    if (!failed) failed = to.finish();
    if (!failed) break;
    EXPECT_EQ(failed->message, "the disk is full");
    EXPECT_EQ(pieces, fails_at + 1) << "nothing is put behind what failed";
  }
  EXPECT_EQ(pieces, 6) << "four frames, the facts, the seek table";
}

TEST(seekable_format, an_empty_segment_is_a_file_that_others_read) {
  const std::string file = compressed("");
  const auto had = all_of(file);
  EXPECT_EQ(had.lines, "");
  EXPECT_FALSE(had.has_damage());
  EXPECT_EQ(had.table.bytes, 0U);
  EXPECT_EQ(ZSTD_getFrameContentSize(file.data(), file.size()), 0U);
}

TEST(seekable_format, a_last_line_without_its_newline_stays_as_it_is) {
  const std::string lines = many_lines(3) + R"({"ts":"2026-11-23T09:00:00+00:00")";
  EXPECT_EQ(facts_of(lines).lines, 4U);
}

TEST(seekable_format, the_seek_table_is_the_standard_one) {
  const std::string lines = many_lines(500);
  const std::string file = compressed(lines, {.frame_bytes = small_frame});
  ASSERT_EQ(number_at(file, file.size() - 4), 0x8F92EAB1U);
  EXPECT_EQ(static_cast<std::uint8_t>(file[file.size() - 5]), 0x80U);
  const std::uint32_t count = number_at(file, file.size() - 9);
  const std::size_t table = file.size() - 9 - 12 * count;
  EXPECT_EQ(number_at(file, table - 8), 0x184D2A5EU);
  EXPECT_EQ(number_at(file, table - 4), 12 * count + 9);
  std::size_t at = 0;
  std::size_t lines_at = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t bytes = number_at(file, table + 12 * i);
    const std::uint32_t content = number_at(file, table + 12 * i + 4);
    if (i + 1 == count) {
      EXPECT_EQ(number_at(file, at), 0x184D2A5AU);  // our facts
      EXPECT_EQ(content, 0U);
      EXPECT_EQ(number_at(file, table + 12 * i + 8), 0x51D8E999U);
    } else {
      EXPECT_EQ(ZSTD_getFrameContentSize(file.data() + at, bytes), content);
      EXPECT_EQ(number_at(file, table + 12 * i + 8), number_at(file, at + bytes - 4));
      lines_at += content;
    }
    at += bytes;
  }
  EXPECT_EQ(at, table - 8);
  EXPECT_EQ(lines_at, lines.size());
}

TEST(seekable_format, the_facts_stand_where_the_documentation_says) {
  const std::string lines = many_lines(3);
  const std::string file = compressed(lines);
  const std::size_t begin = file.find(std::string("annalsF1"));
  ASSERT_NE(begin, std::string::npos);
  EXPECT_EQ(number_at(file, begin - 8), 0x184D2A5AU);
  EXPECT_EQ(number_at(file, begin - 4), 32 + 32 + 8U);
  EXPECT_EQ(number_at(file, begin + 8), 32U);
  EXPECT_EQ(number_at(file, begin + 12), 32U);
  EXPECT_EQ(number_at(file, begin + 16), 1U);
  std::uint64_t entries = 0xcbf29ce484222325;
  const std::size_t table = file.size() - 9 - 2 * 12;
  for (std::size_t i = table; i < table + 12; ++i) entries = (entries ^ static_cast<std::uint8_t>(file[i])) * 0x100000001b3;
  EXPECT_EQ(number_at(file, begin + 24), static_cast<std::uint32_t>(entries));
  EXPECT_EQ(number_at(file, begin + 28), static_cast<std::uint32_t>(entries >> 32));
  EXPECT_EQ(number_at(file, begin + 32), 3U);
  EXPECT_EQ(number_at(file, begin + 40), 1U);
  const auto earliest = static_cast<std::uint64_t>(std::chrono::microseconds(std::chrono::seconds(1'700'000'000)).count());
  EXPECT_EQ(number_at(file, begin + 48), static_cast<std::uint32_t>(earliest));
  EXPECT_EQ(number_at(file, begin + 52), static_cast<std::uint32_t>(earliest >> 32));
  std::uint64_t check = 0xcbf29ce484222325;
  for (std::size_t i = begin; i < begin + 64; ++i) check = (check ^ static_cast<std::uint8_t>(file[i])) * 0x100000001b3;
  EXPECT_EQ(number_at(file, begin + 64), static_cast<std::uint32_t>(check));
  EXPECT_EQ(number_at(file, begin + 68), static_cast<std::uint32_t>(check >> 32));
}

TEST(seekable_facts, times_of_any_precision_and_offset_count) {
  const auto found = facts_of(
      "{\"ts\":\"2026-11-23T09:00:00+00:00\"}\n"
      "{\"ts\":\"2026-11-23T08:59:59.999999+00:00\"}\n"
      "{\"ts\":\"2026-11-23T10:00:00.250+00:00\"}\n"
      "{\"ts\":\"2026-11-24T00:00:00+14:00\",\"action\":\"b\"}\n");
  EXPECT_EQ(found.lines, 4U);
  EXPECT_EQ(found.earliest, time_of("2026-11-23T08:59:59.999999Z"));
  EXPECT_EQ(found.latest, time_of("2026-11-23T10:00:00.25Z"));
  const auto by_blank = facts_of("{\"ts\":\"2026-11-23 09:00:00+00:00\"}\n");  // as readers have it, whatever that is
  const auto parsed = annals::parse_timestamp("2026-11-23 09:00:00+00:00");
  EXPECT_EQ(by_blank.earliest, parsed ? std::optional(parsed->time) : std::nullopt);
}

TEST(seekable_facts, lines_of_any_legal_length_count) {
  const auto time = time_of("2026-11-23T09:00:00Z");
  for (const std::size_t bytes : {std::size_t{1024 * 1024 + 1}, annals::limits::line_bytes_ceiling - 1}) {
    const auto found = facts_of(support::long_line(bytes, time, support::written_by::annals) + "\n");
    EXPECT_EQ(found.lines, 1U);
    EXPECT_EQ(found.earliest, time);
    EXPECT_EQ(found.latest, time);
    const auto foreign = facts_of(support::long_line(bytes, time, support::written_by::others) + "\n");
    EXPECT_EQ(foreign.lines, 1U);
    EXPECT_EQ(foreign.latest, std::nullopt) << "unknown, so no search skips it";
  }
}

TEST(seekable_facts, a_line_without_a_readable_time_leaves_the_range_unknown) {
  for (const std::string_view line :
       {"{}", "", "{\"ts\":17}", "{\"ts\":\"yesterday\"}", "{\"ts\":\"2026-02-30T09:00:00+00:00\"}",
        "{\"ts\":\"2026-11-23T09:61:00+00:00\"}", "{\"ts\":\"2026-11-23T24:00:00+00:00\"}", "{\"ts\":\"2026-11-23 09:00",
        " {\"ts\":\"2026-11-23T09:00:00+00:00\"}", "{\"ts\":\"2026-11-23T0:900:00+00:00\"}",
        "{\"ts\":\"2026-11-23T09:00:00+00:00"}) {
    const auto found = facts_of("{\"ts\":\"2026-11-23T09:00:00+00:00\"}\n" + std::string(line) + "\n");
    EXPECT_EQ(found.lines, 2U);
    EXPECT_EQ(found.earliest, std::nullopt) << line;
    EXPECT_EQ(found.latest, std::nullopt) << line;
  }
}

TEST(seekable_facts, have_the_times_that_readers_see_in_odd_lines) {
  const auto appended = facts_of("{\"ts\":\"2026-11-23T09:00:00+00:00\",\"conta{\"ts\":\"2026-11-23T10:00:00+00:00\"}\n");
  EXPECT_EQ(appended.earliest, time_of("2026-11-23T10:00:00Z"));
  EXPECT_EQ(appended.latest, time_of("2026-11-23T10:00:00Z"));
  const auto repeated = facts_of("{\"ts\":\"2026-11-23T09:00:00+00:00\",\"ts\" : \"2026-11-22T10:00:00+00:00\"}\n");
  EXPECT_EQ(repeated.earliest, time_of("2026-11-22T10:00:00Z"));
  EXPECT_EQ(repeated.latest, time_of("2026-11-22T10:00:00Z"));
  const auto nested = facts_of(
      "{\"ts\":\"2026-11-23T09:00:00+00:00\",\"a\":{\"ts\":\"9999-11-22T10:00:00Z\",\"b\":[{\"ts\":\"x\"}]}}\n"
      "{\"ts\":\"2026-11-23T11:00:00+00:00\"}\n");
  EXPECT_EQ(nested.earliest, time_of("2026-11-23T09:00:00Z"));
  EXPECT_EQ(nested.latest, time_of("2026-11-23T11:00:00Z"));
}

TEST(seekable_facts, a_repeated_name_whose_letters_are_escaped_leaves_the_range_unknown) {
  for (const std::string_view name : {"t\\u0073", "\\u0074s", "\\u0074\\u0073"}) {
    const auto found =
        facts_of("{\"ts\":\"2026-11-23T09:00:00+00:00\",\"" + std::string(name) + "\":\"1990-01-01T00:00:00Z\"}\n");
    EXPECT_EQ(found.earliest, std::nullopt) << name;
  }
  EXPECT_EQ(facts_of("{\"ts\":\"2026-11-23T09:00:00+00:00\",\"detail\":\"\\u007f\"}\n").earliest,
            time_of("2026-11-23T09:00:00Z"));
}

TEST(seekable_facts, the_name_at_the_end_of_a_text_or_of_the_lines_means_nothing) {
  for (const std::string_view more :
       {R"(,"detail":"ts"})", R"(,"detail":"the \"ts","x":1})", R"(,"\"ts":"1999-01-01T00:00:00Z"})"}) {
    const auto found = facts_of("{\"ts\":\"2026-11-23T09:00:00+00:00\"" + std::string(more));
    EXPECT_EQ(found.earliest, time_of("2026-11-23T09:00:00Z")) << more;
    EXPECT_EQ(found.latest, time_of("2026-11-23T09:00:00Z")) << more;
  }
}

// Readers cannot tell the time of such a line either.
TEST(seekable_facts, a_line_that_breaks_off_behind_the_name_again_leaves_the_range_unknown) {
  for (const std::string_view more : {R"(,"ts")", R"(,"ts"  )", R"(,"ts":)", R"(,"ts" : )", R"(,"ts" 7)", R"(,"ts":[)"}) {
    EXPECT_EQ(facts_of("{\"ts\":\"2026-11-23T09:00:00+00:00\"" + std::string(more)).earliest, std::nullopt) << more;
  }
}

TEST(seekable_facts, the_name_in_a_text_or_with_a_number_means_nothing) {
  const auto found = facts_of(
      "{\"ts\":\"2026-11-23T09:00:00+00:00\",\"detail\":\"\\\"ts\\\":\\\"1999-01-01T00:00:00Z\\\"\",\"o\":{\"ts\":17}}\n");
  EXPECT_EQ(found.earliest, time_of("2026-11-23T09:00:00Z"));
  EXPECT_EQ(found.latest, time_of("2026-11-23T09:00:00Z"));
}

// --- other programs --------------------------------------------------------------------------------------------------------

bool run(const std::string& command) {
  return std::system(command.c_str()) == 0;
}

TEST(seekable_interoperation, zstd_tests_and_decompresses_our_files) {
  const support::temp_directory directory;
  const std::string lines = many_lines(20000);
  for (const std::string& content : {lines, std::string(), std::string("\n")}) {
    support::write_file(directory / "a.jsonl.zst", compressed(content, {.frame_bytes = 64 * 1024}));
    EXPECT_TRUE(run("cd '" + directory.path() + "' && zstd -qt a.jsonl.zst && zstdcat a.jsonl.zst > a.jsonl"));
    EXPECT_TRUE(support::content_of(directory / "a.jsonl") == content);
  }
}

TEST(seekable_interoperation, files_of_zstd_are_read_one_frame_or_many_with_and_without_sizes_and_checksums) {
  const support::temp_directory directory;
  const std::string lines = many_lines(100'000);
  support::write_file(directory / "a", lines);
  for (const std::string command :
       {"zstd -q -3 a -o a.zst", "zstd -q --no-check a -o a.zst", "zstd -q < a > a.zst", "zstd -q -19 --long=25 a -o a.zst",
        "split -l 30000 a part. && zstd -q part.* && cat part.*.zst > a.zst", "zstd -q --no-check --no-content-size a -o a.zst",
        "zstd -q -T2 -B64KB a -o a.zst"}) {
    ASSERT_TRUE(run("cd '" + directory.path() + "' && rm -f a.zst part.* && " + command)) << command;
    const auto file = annals::io::file::open(directory / "a.zst", annals::io::open_for::reading).value();
    const auto had = all_of(annals::seekable::source(file, directory / "a.zst"));
    EXPECT_TRUE(had.lines == lines) << command;
    EXPECT_FALSE(had.has_damage()) << command;
    EXPECT_FALSE(had.table.from_seek_table);
  }
}

TEST(seekable_interoperation, a_window_too_large_is_refused_with_what_to_do) {
  const support::temp_directory directory;
  support::write_file(directory / "a", many_lines(600'000));  // longer than the window, or it would be smaller
  ASSERT_TRUE(run("cd '" + directory.path() + "' && zstd -q -1 --long=26 < a > a.zst"));
  const auto had = all_of(support::content_of(directory / "a.zst"));
  ASSERT_EQ(had.damage.size(), 1U);
  EXPECT_NE(had.damage.front().cause.find("--long=31"), std::string::npos) << had.damage.front().cause;
  EXPECT_EQ(had.lines, "");
}

}  // namespace
