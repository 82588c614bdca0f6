// SPDX-License-Identifier: Apache-2.0
//
// Archives whose facts, seek tables and frames say what is not so.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
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

using annals::seekable::facts;
using support::all_of;
using support::forged_archive;
using support::many_lines;
using support::one_frame;

facts facts_of(std::uint64_t lines, std::int64_t earliest_us, std::int64_t latest_us) {
  return {lines, annals::time_point(std::chrono::microseconds(earliest_us)),
          annals::time_point(std::chrono::microseconds(latest_us))};
}

class forged : public testing::Test {
 protected:
  // Two frames of a hundred lines, and facts that are true as far as anybody can tell.
  static forged_archive archive() {
    forged_archive made;
    for (const std::int64_t number : {0, 1}) {
      const std::string lines = many_lines(100, static_cast<std::uint64_t>(100 * number));
      made.frames.push_back(
          {one_frame(lines), static_cast<std::uint32_t>(lines.size()), 100, true, 1'000 * number, 1'000 * number + 500});
    }
    return made;
  }
  static std::optional<facts> all_facts(const std::string& file) {
    return annals::seekable::read_facts(annals::seekable::source(file)).value();
  }
  const std::string lines = many_lines(100) + many_lines(100, 100);
};

TEST_F(forged, facts_of_a_later_version_that_says_more_are_read) {
  for (const std::uint32_t more : {0U, 8U, 40U, 100'000U}) {
    forged_archive later = archive();
    later.header_bytes += more;
    later.entry_bytes += more;
    const std::string file = later.bytes();
    const auto had = all_of(file);
    EXPECT_TRUE(had.table.from_seek_table && !had.has_damage());
    EXPECT_TRUE(had.lines == lines);
    EXPECT_EQ(had.table.known, facts_of(200, 0, 1'500)) << more;
    EXPECT_EQ(had.table.frames[1].known, facts_of(100, 1'000, 1'500)) << more;
    EXPECT_EQ(all_facts(file), facts_of(200, 0, 1'500)) << more;
  }
}

TEST_F(forged, facts_that_do_not_fit_are_done_without) {
  const std::vector<std::function<void(forged_archive&)>> lies = {
      [](auto& made) { made.name = "annalsF2"; },
      [](auto& made) { made.header_bytes = 31; },
      [](auto& made) { made.entry_bytes = 31; },
      [](auto& made) { made.all_facts = archive().facts({}).replace(12, 4, 4, '\xFF'); },
      [](auto& made) { made.count = 3; },
      [](auto& made) { made.count = UINT64_MAX; },
      [](auto& made) { made.count = UINT64_MAX / 32 + 3; },  // times 32 it is 64 once more
      [](auto& made) { made.check_off_by = 1; },
      [](auto& made) { made.entries_off_by = 1; },
      [](auto& made) { made.all_facts = ""; },
      [](auto& made) { made.all_facts = std::string(39, 'x'); },
      [](auto& made) { made.all_facts = std::string(5000, 'x'); },
  };
  for (std::size_t i = 0; i < lies.size(); ++i) {
    forged_archive made = archive();
    lies[i](made);
    const std::string file = made.bytes();
    const auto had = all_of(file);
    EXPECT_TRUE(had.lines == lines) << i;
    EXPECT_TRUE(had.table.from_seek_table) << i;
    EXPECT_FALSE(had.has_damage()) << i;
    EXPECT_EQ(had.table.known, std::nullopt) << i;
    for (const auto& f : had.table.frames) EXPECT_EQ(f.known, std::nullopt) << i;
    EXPECT_EQ(all_facts(file), std::nullopt) << i;
  }
}

// They know of one frame less, and everything about them fits but that.
TEST_F(forged, facts_of_fewer_frames_than_there_are_vouch_for_none) {
  forged_archive fewer = archive();
  fewer.frames.pop_back();
  std::vector<std::pair<std::uint32_t, std::uint32_t>> entries;
  forged_archive made = archive();
  for (const auto& f : made.frames) entries.emplace_back(static_cast<std::uint32_t>(f.compressed.size()), f.bytes);
  made.all_facts = fewer.facts(entries);
  const auto had = all_of(made.bytes());
  EXPECT_TRUE(had.lines == lines);
  EXPECT_EQ(had.table.known, std::nullopt);
  EXPECT_EQ(had.table.frames[0].known, std::nullopt);
  EXPECT_EQ(all_facts(made.bytes()), std::nullopt);
}

TEST_F(forged, facts_that_the_seek_table_has_elsewhere_are_not_found) {
  for (const std::uint32_t off_by : {1U, 0U - 1U, 1000U, 0x80000000U, 0U - 48U}) {
    forged_archive made = archive();
    made.facts_off_by = off_by;
    const auto had = all_of(made.bytes());
    EXPECT_TRUE(had.lines == lines);
    EXPECT_EQ(had.table.known, std::nullopt);
    EXPECT_EQ(had.table.findings.size(), 1U) << "the seek table is wrong";
    EXPECT_EQ(all_facts(made.bytes()), std::nullopt);
  }
}

// A search would believe them, and pass lines over.
TEST_F(forged, facts_of_more_lines_than_bytes_are_believed_of_the_other_frames_alone) {
  forged_archive made = archive();
  made.frames[0].lines = made.frames[0].bytes + 1U;
  const auto had = all_of(made.bytes());
  EXPECT_TRUE(had.lines == lines);
  EXPECT_EQ(had.table.frames[0].known, std::nullopt);
  EXPECT_EQ(had.table.frames[1].known, facts_of(100, 1'000, 1'500));
  EXPECT_EQ(had.table.known, std::nullopt);
  EXPECT_EQ(all_facts(made.bytes()), std::nullopt);
}

TEST_F(forged, facts_of_frames_without_lines_or_times_are_joined_as_they_are) {
  forged_archive made = archive();
  made.frames.push_back({one_frame(""), 0, 0, false});
  EXPECT_EQ(all_of(made.bytes()).table.known, facts_of(200, 0, 1'500));
  made.frames.insert(made.frames.begin(), made.frames.back());
  EXPECT_EQ(all_of(made.bytes()).table.known, facts_of(200, 0, 1'500));
  made.frames[1].has_times = false;
  EXPECT_EQ(all_facts(made.bytes()), (facts{200, std::nullopt, std::nullopt}));
}

TEST_F(forged, facts_of_more_frames_than_a_table_has_entries_are_joined_where_frames_are) {
  forged_archive made;
  const forged_archive::frame tiny = {one_frame("x\n"), 2, 1, true, 7, 9};
  made.frames.assign(annals::seekable::frames_max + 101, tiny);
  const auto had = all_of(made.bytes());
  EXPECT_EQ(had.lines.size(), 2 * made.frames.size());
  EXPECT_EQ(had.table.known, facts_of(made.frames.size(), 7, 9));
  EXPECT_EQ(had.table.frames[0].known, facts_of(2, 7, 9));
  EXPECT_EQ(all_facts(made.bytes()), std::nullopt) << "entries that are several frames guide nobody";
  made.frames[0].lines = made.frames[3].lines = 3;  // of two bytes
  const auto less = all_of(made.bytes());
  EXPECT_TRUE(less.lines == had.lines);
  EXPECT_EQ(less.table.frames[0].known, std::nullopt);
  EXPECT_EQ(less.table.frames[1].known, std::nullopt);
  EXPECT_EQ(less.table.frames[2].known, facts_of(2, 7, 9));
}

TEST_F(forged, facts_behind_garbage_that_the_seek_table_does_not_know_of_are_done_without) {
  const std::string file = "garbage" + archive().bytes();
  const auto had = all_of(file);
  EXPECT_TRUE(had.lines == lines);
  EXPECT_FALSE(had.table.from_seek_table);
  EXPECT_EQ(had.table.known, std::nullopt);
  EXPECT_EQ(had.table.findings.size(), 2U) << "the garbage, and the seek table";
  EXPECT_EQ(all_facts(file), std::nullopt);
}

// --- facts alone ------------------------------------------------------------------------------------------------------------

TEST_F(forged, facts_are_none_where_there_is_no_seek_table_or_a_broken_one) {
  const std::string ours = support::compressed(lines);
  EXPECT_TRUE(all_facts(ours));
  for (const std::string& file :
       {std::string(), std::string(16, '\xB1'), one_frame(lines), lines, ours.substr(0, ours.size() - 1),
        ours.substr(ours.size() / 2), one_frame(lines) + support::seek_table({}),
        one_frame(lines) + support::seek_table({{1, 1}})}) {
    EXPECT_EQ(all_facts(file), std::nullopt);
  }
}

// --- frames -----------------------------------------------------------------------------------------------------------------

TEST_F(forged, an_entry_of_a_foreign_seek_table_may_have_something_to_skip_behind_its_frame) {
  const std::string first = one_frame(many_lines(100)) + support::skippable("a comment");
  const std::string second = one_frame(many_lines(100, 100));
  const auto had =
      all_of(first + second +
             support::seek_table(
                 {{static_cast<std::uint32_t>(first.size()), static_cast<std::uint32_t>(many_lines(100).size())},
                  {static_cast<std::uint32_t>(second.size()), static_cast<std::uint32_t>(many_lines(100, 100).size())}}));
  EXPECT_TRUE(had.table.from_seek_table);
  EXPECT_FALSE(had.has_damage());
  EXPECT_TRUE(had.lines == lines);
}

// What is in a damaged frame may itself look like one. The frames behind it stay where they were in the lines.
TEST_F(forged, a_frame_within_a_damaged_frame_moves_none_of_those_behind) {
  forged_archive made = archive();
  const std::string hidden = one_frame("{\"action\":\"hidden\"}\n");
  std::string outer("\x28\xB5\x2F\xFD\x20", 5);
  outer += static_cast<char>(hidden.size());
  const auto block = static_cast<std::uint32_t>(hidden.size()) << 3 | 1U;
  for (int i = 0; i < 3; ++i) outer += static_cast<char>(block >> (8 * i) & 255);
  outer += hidden;
  made.frames.insert(made.frames.begin(), {outer, static_cast<std::uint32_t>(hidden.size()), 1, true, 0, 0});
  EXPECT_TRUE(all_of(made.bytes()).lines == hidden + lines);
  std::string damaged = made.bytes();
  damaged[0] = '\0';
  const auto had = all_of(damaged);
  ASSERT_EQ(had.table.frames.size(), 3U);
  EXPECT_EQ(had.table.frames[0].known, std::nullopt);
  EXPECT_EQ(had.table.frames[1].offset, hidden.size());
  EXPECT_EQ(had.table.frames[1].known, facts_of(100, 0, 500));
  EXPECT_TRUE(had.lines.ends_with(lines));
  EXPECT_FALSE(had.table.findings.empty());
}

// The patience with beginnings that are none is used up by the first, so that the chain of blocks behind the frame, as long as
// it is, cannot be gone along to its end.
TEST_F(forged, beginnings_that_are_none_leave_no_patience_for_a_long_one_behind) {
  std::string file;
  for (int i = 0; i < 1500; ++i) file += std::string("\x28\xB5\x2F\xFD\0\x58", 6) + std::string("\x30\0\0", 3);
  file += std::string(64, '\xFF') + one_frame("x\n");
  const std::size_t end = file.size();
  file += std::string("\x28\xB5\x2F\xFD\0\x58", 6) + std::string(3 * 200'000, '\0') + std::string("\x01\0\0", 3);
  const auto had = all_of(file);
  EXPECT_EQ(had.lines, "x\n");
  ASSERT_EQ(had.table.findings.size(), 2U);
  EXPECT_EQ(had.table.findings[1].compressed_offset, end);
  EXPECT_NE(had.table.findings[1].cause.find("too many beginnings of frames"), std::string::npos);
  EXPECT_FALSE(all_of(std::string_view(file).substr(end)).has_damage()) << "alone, it is a frame like any other";
}

// --- the system fails -------------------------------------------------------------------------------------------------------

class failing_reads : public forged {
 protected:
  // Whatever call fails: the error, or all that there is; and never a word of damage where there is none.
  void expect_errors_or_everything(const std::string& content, bool is_whole) {
    support::write_file(path, content);
    const auto file = annals::io::file::open(path, annals::io::open_for::reading).value();
    const annals::seekable::source from(file, path);
    const auto expected = annals::seekable::read_table(from).value();
    support::faulty_calls calls;
    int failed = 0;
    for (int call = 0;; ++call) {
      calls.fail(support::call::read_at, EIO).after(call).times(1);
      const int before = calls.count(support::call::read_at);
      const auto table = annals::seekable::read_table(from);
      if (!table) {
        ++failed;
        EXPECT_NE(table.error().message.find(path), std::string::npos) << table.error().message;
      } else {
        EXPECT_EQ(table->findings.size(), expected.findings.size()) << call;
        ASSERT_EQ(table->frames.size(), expected.frames.size()) << call;
        for (std::size_t i = 0; i < expected.frames.size(); ++i)
          EXPECT_EQ(table->frames[i].compressed_offset, expected.frames[i].compressed_offset) << call;
      }
      if (calls.count(support::call::read_at) - before <= call) break;  // it was not reached
    }
    EXPECT_GE(failed, 3);
    calls.fail(support::call::status_of, EIO);
    EXPECT_FALSE(annals::seekable::read_table(from));
    EXPECT_FALSE(annals::seekable::read_facts(from));
    if (!is_whole) return;
    failed = 0;
    for (int call = 0;; ++call) {
      calls.fail(support::call::read_at, EIO).after(call).times(1);
      const int before = calls.count(support::call::read_at);
      const auto known = annals::seekable::read_facts(from);
      failed += known ? 0 : 1;
      if (known && *known) {
        EXPECT_EQ(*known, expected.known);
      }
      if (calls.count(support::call::read_at) - before <= call) break;
    }
    EXPECT_GE(failed, 2);
  }

  const support::temp_directory directory;
  const std::string path = directory / "a.zst";
};

TEST_F(failing_reads, of_a_whole_archive_are_errors_and_no_damage) {
  const std::string many = many_lines(20'000);
  expect_errors_or_everything(support::compressed(many, {.level = 1, .frame_bytes = annals::seekable::frame_bytes_min}), true);
}

TEST_F(failing_reads, of_a_damaged_archive_are_errors_and_no_other_damage) {
  const std::string many = many_lines(5'000);
  std::string file = support::compressed(many, {.level = 1, .frame_bytes = annals::seekable::frame_bytes_min});
  const auto frames = annals::seekable::read_table(annals::seekable::source(file)).value().frames;
  file[frames[3].compressed_offset] = 'x';
  expect_errors_or_everything(file, false);
}

TEST_F(failing_reads, of_a_file_that_is_being_emptied_invent_nothing) {
  class emptied_calls : public support::faulty_calls {  // from some read on, there is nothing to be read
   public:
    int reads_left = 0;
    std::int64_t read_at(int fd, char* bytes, std::size_t count, std::uint64_t offset) noexcept override {
      return reads_left-- > 0 ? support::faulty_calls::read_at(fd, bytes, count, offset) : 0;
    }
  };
  const std::string many = many_lines(2'000);
  support::write_file(path, support::compressed(many, {.level = 1, .frame_bytes = annals::seekable::frame_bytes_min}));
  const auto file = annals::io::file::open(path, annals::io::open_for::reading).value();
  const annals::seekable::source from(file, path);
  emptied_calls calls;
  for (int reads = 0; reads < 60; ++reads) {
    calls.reads_left = reads;
    EXPECT_TRUE(many.starts_with(all_of(from).lines)) << reads;
    calls.reads_left = reads;
    const auto known = annals::seekable::read_facts(from).value();
    EXPECT_TRUE(!known || known->lines == 2'000U) << reads;
  }
}

}  // namespace
