// SPDX-License-Identifier: Apache-2.0
//
// Scanning: what is looked for against decoding every line, lines that lie in the parts of several threads, and takers that
// stop.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "seekable/forged.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.content.seekable;
import annals.segment;
#include "support/faulty_calls.h"
#include "support/segmented_log.h"

namespace {

using namespace std::chrono_literals;
using support::append_to;
using support::segmented_log;
using support::write_file;

struct found {
  std::vector<std::string> lines;
  std::vector<annals::damage> damages;
  annals::scan_result result;
};

found scanned(const std::string& path, const annals::scan_filter& filter = {}, unsigned threads = 1,
              std::size_t lines_max = static_cast<std::size_t>(-1)) {
  found all;
  all.result =
      annals::scan(path, filter,
                   [&](const annals::event& e) {
                     all.lines.push_back(e.line);
                     return all.lines.size() < lines_max;
                   },
                   {.reading = {.on_damage = [&](const annals::damage& d) { all.damages.push_back(d); }}, .threads = threads});
  return all;
}

// --- what is looked for -----------------------------------------------------------------------------------------------------

// `text` as a JSON string that escapes what need not be escaped, or not.
std::string spelled(std::u32string_view text, std::mt19937& random) {
  std::string all;
  for (const char32_t c : text) {
    char unit[16];
    const char* const form = random() % 2 == 0 ? "\\u%04x" : "\\u%04X";
    std::snprintf(unit, sizeof unit, form, static_cast<unsigned>(c));
    const bool must = c < 0x20 || c == U'"' || c == U'\\';
    if (must || random() % 3 == 0) {
      all += c == U'/' && random() % 2 == 0 ? "\\/" : c == U'\t' && random() % 2 == 0 ? "\\t" : unit;
    } else if (c < 0x80) {
      all += static_cast<char>(c);
    } else if (c < 0x800) {
      all += static_cast<char>(0xc0 | c >> 6);
      all += static_cast<char>(0x80 | (c & 63));
    } else {
      all += static_cast<char>(0xe0 | c >> 12);
      all += static_cast<char>(0x80 | (c >> 6 & 63));
      all += static_cast<char>(0x80 | (c & 63));
    }
  }
  return all;
}

std::u32string random_text(std::mt19937& random) {
  static constexpr std::u32string_view letters = U"ab ~/\"\\\t\x01\x7f\x81\xfc\u0123\u1234\u2077";
  std::u32string text;
  for (std::size_t i = random() % 6; i > 0; --i) text += letters[random() % letters.size()];
  return text;
}

bool matches(const annals::text_match& wanted, const std::optional<std::string>& value) {
  if (!value) return false;
  return wanted.is_prefix ? value->starts_with(wanted.text) : *value == wanted.text;
}

// Whichever way a line spells its strings, and whether it has its time first, late, twice or not at all.
TEST(scan, finds_what_decoding_every_line_finds) {
  const support::temp_directory dir;
  std::mt19937 random(3);
  std::string text;
  std::vector<annals::event> events;
  for (int i = 0; i < 600; ++i) {
    const std::string ts = "2026-03-01T00:00:" + std::to_string(10 + random() % 50) + "Z";
    std::string line = "{";
    if (random() % 4 != 0) line += "\"ts\":\"" + (random() % 9 == 0 ? std::string(60, 'x') : ts) + "\",";
    if (random() % 9 == 0) line += "\"t\\u0073\":\"2026-03-01T00:00:30Z\",";
    if (random() % 3 != 0) line += "\"dest\" : \"" + spelled(random_text(random), random) + "\",";
    line += "\"container\":\"" + spelled(random_text(random), random) + "\"";
    if (random() % 9 == 0) line += ",\"ts\":\"" + ts + "\"";
    if (random() % 9 == 0) line += ",\"ts\":7";
    line += "}";
    auto read = annals::json::decode_line(line);
    ASSERT_TRUE(read) << line;
    events.push_back(std::move(*read));
    text += line + "\n";
  }
  // Lines that nobody ended, at whose ends an escape is not whole.
  for (const char* torn :
       {"{\"dest\":\"\\", "{\"dest\":\"\\u", "{\"dest\":\"\\u00", "{\"dest\":\"\\u004", "{\"ts\":\"2026", "{"}) {
    write_file(dir / "audit.jsonl", text + torn);
    for (int i = 0; i < 60; ++i) {
      annals::scan_filter filter;
      const auto value = [&] {
        const annals::event& any = events[random() % events.size()];
        std::string wanted = random() % 2 == 0 ? any.container : any.dest.value_or("");
        const bool is_prefix = random() % 2 == 0;
        if (is_prefix) wanted.resize(random() % (wanted.size() + 1));
        return annals::text_match{wanted, is_prefix};
      };
      if (random() % 2 == 0) filter.dest = value();
      if (random() % 3 == 0) filter.container = value();
      const auto second = [&] {
        return annals::parse_timestamp("2026-03-01T00:00:" + std::to_string(10 + random() % 50) + "Z")->time;
      };
      if (random() % 3 == 0) filter.since = second();
      if (random() % 3 == 0) filter.until = second();
      std::vector<std::string> expected;
      for (const annals::event& e : events) {
        const auto ts = annals::parse_timestamp(e.ts);
        const bool in_time = (!filter.since && !filter.until) || (ts && (!filter.since || ts->time >= *filter.since) &&
                                                                  (!filter.until || ts->time < *filter.until));
        if (in_time && (!filter.dest || matches(*filter.dest, e.dest)) &&
            (!filter.container || matches(*filter.container, e.container)))
          expected.push_back(e.line);
      }
      ASSERT_EQ(scanned(dir / "audit.jsonl", filter, 1 + static_cast<unsigned>(i) % 2).lines, expected)
          << (filter.dest ? filter.dest->text : "-") << ' ' << (filter.container ? filter.container->text : "-");
    }
  }
}

TEST(scan, finds_a_part_of_a_line_wherever_it_stands) {
  const support::temp_directory dir;
  segmented_log log(dir / "audit.jsonl");
  log.append_events(3, R"(,"detail":"first\nsecond")");
  log.append_events(2, R"(,"detail":"an end")");
  const auto count = [&](std::string_view part, unsigned threads) {
    return scanned(log.path(), {.contains = std::string(part)}, threads).lines.size();
  };
  for (const unsigned threads : {1U, 2U}) {
    EXPECT_EQ(count("{\"ts\":\"2026-03-01T00:00:00", threads), 1U) << "the beginning of the file";
    EXPECT_EQ(count("{", threads), 5U);
    EXPECT_EQ(count("end\"}", threads), 2U) << "and its end";
    EXPECT_EQ(count("first\nsecond", threads), 3U) << "escaped";
    EXPECT_EQ(count("\\nsec", threads), 3U) << "as it is there";
    EXPECT_EQ(count("\n", threads), 3U) << "of a text, and not the end of a line";
    EXPECT_EQ(count("}\n{", threads), 0U);
  }
}

// Frames without recorded times may hold anything.
TEST(scan, looks_at_archives_whose_times_are_not_known) {
  const support::temp_directory dir;
  segmented_log log(dir / "audit.jsonl");
  log.append_events(500);
  log.append(R"({"action":"without a time"})");
  log.rotate();
  log.append_events(3);
  log.compress(1);
  const auto since = annals::parse_timestamp("2026-03-01T00:08:00Z")->time;
  for (const unsigned threads : {1U, 3U}) EXPECT_EQ(scanned(log.path(), {.since = since}, threads).lines.size(), 23U);
}

// --- lines in the parts of several threads ----------------------------------------------------------------------------------

constexpr std::size_t part_bytes = 1024 * 1024;  // of a plain file, that one thread looks at

std::string line_of_bytes(std::size_t bytes, char c) {  // with its newline
  const std::string empty = "{\"detail\":\"\"}\n";
  std::string line = empty;
  line.insert(line.size() - 3, bytes - empty.size(), c);
  return line;
}

TEST(scan, by_threads_finds_every_line_wherever_it_begins_and_ends) {
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  for (const int off_by : {-14, -1, 0, 1, 2}) {
    // Behind these bytes a part of a thread ends, more or less.
    const auto bytes = [&](std::size_t parts, std::size_t before) {
      return parts * part_bytes - before + static_cast<std::size_t>(off_by + 14) - 14;
    };
    std::vector<std::string> lines = {line_of_bytes(bytes(1, 0), 'a'), line_of_bytes(20, 'b')};
    lines.push_back(line_of_bytes(2 * part_bytes - 20, 'c'));   // one part has nothing of its own in it
    lines.push_back(line_of_bytes(3 * part_bytes + 500, 'd'));  // and three,
    lines.push_back(line_of_bytes(part_bytes - 500, 'e'));      // until the ends meet again
    for (int i = 0; i < 30; ++i) lines.push_back(line_of_bytes(20'000 + 777 * static_cast<std::size_t>(i), 'f'));
    std::string all;
    for (std::string& line : lines) {
      all += line;
      line.pop_back();
    }
    for (const bool ends : {true, false}) {
      write_file(path, ends ? all : all.substr(0, all.size() - 1));
      for (const unsigned threads : {1U, 2U, 5U}) {
        const found had = scanned(path, {}, threads);
        EXPECT_TRUE(had.lines == lines) << off_by << ' ' << threads << ": " << had.lines.size();
        EXPECT_TRUE(had.damages.empty());
      }
    }
  }
}

TEST(scan, tells_of_a_line_that_is_too_long_once_however_many_threads_there_are) {
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  const std::string longest(annals::limits::read_line_bytes_max + 5 * part_bytes, 'x');
  const std::string before = line_of_bytes(3'000'000, 'a');
  write_file(path, before + longest + "\n" + line_of_bytes(50, 'b') + longest);  // the last one may yet be written
  for (const unsigned threads : {1U, 2U, 5U}) {
    const found had = scanned(path, {}, threads);
    EXPECT_EQ(had.lines.size(), 2U);
    ASSERT_EQ(had.damages.size(), 1U) << threads;
    EXPECT_EQ(had.damages[0].offset, before.size());
    EXPECT_EQ(had.damages[0].bytes, longest.size());
  }
}

// Only frames of ours that are not too long are given to threads.
TEST(scan, by_threads_reads_archives_of_every_kind_in_their_order) {
  const support::temp_directory dir;
  segmented_log log(dir / "audit.jsonl");
  for (int segment = 0; segment < 6; ++segment) {
    log.append_events(segment == 2 ? 40'000 : 300);
    log.rotate();
  }
  log.append_events(3);
  log.compress(1);
  write_file(log.path_of(2, true), support::one_frame(support::content_of(log.path_of(2, false))));
  std::filesystem::remove(log.path_of(2, false));
  log.compress(3, annals::seekable::frame_bytes_ceiling);
  log.compress(5);
  for (const unsigned threads : {1U, 2U, 8U}) EXPECT_EQ(scanned(log.path(), {}, threads).lines, log.events()) << threads;
}

// --- takers that stop -------------------------------------------------------------------------------------------------------

TEST(scan, stops_at_any_event_and_gives_none_behind_it) {
  const support::temp_directory dir;
  segmented_log log(dir / "audit.jsonl");
  for (int segment = 0; segment < 4; ++segment) {
    log.append_events(400);
    log.rotate();
  }
  log.append_events(200);
  append_to(log.path(), R"({"action":"without its newline"})");
  log.lines.push_back({log.number(), R"({"action":"without its newline"})", true});
  log.compress(1);
  write_file(log.path_of(3, true),
             support::one_frame(support::content_of(log.path_of(3, false))));  // of others: not for threads
  std::filesystem::remove(log.path_of(3, false));
  const auto all = log.events();
  for (std::size_t wanted = 1; wanted <= all.size(); wanted += wanted < 1750 ? 47 : 1) {
    for (const unsigned threads : {1U, 2U, 4U}) {
      const found had = scanned(log.path(), {}, threads, wanted);
      ASSERT_EQ(had.lines, std::vector(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(wanted))) << threads;
      ASSERT_TRUE(had.result.stopped);
    }
  }
}

TEST(scan, that_was_stopped_tells_of_no_gap_behind) {
  const support::temp_directory dir;
  segmented_log log(dir / "audit.jsonl");
  for (int segment = 0; segment < 3; ++segment) {
    log.append_events(10);
    log.rotate();
  }
  log.remove(2);
  for (const unsigned threads : {1U, 3U}) {
    EXPECT_EQ(scanned(log.path(), {}, threads, 5).result.gaps, 0U) << threads;
    EXPECT_EQ(scanned(log.path(), {}, threads, 15).result.gaps, 1U) << threads;
    EXPECT_EQ(scanned(log.path(), {}, threads).result.gaps, 1U) << threads;
  }
}

// --- the system fails -------------------------------------------------------------------------------------------------------

TEST(scan, throws_or_reports_what_the_system_says_whichever_read_fails_and_whoever_made_it) {
  const support::temp_directory dir;
  segmented_log log(dir / "audit.jsonl");
  log.append_events(20'000);
  log.rotate();
  log.append_events(20'000);
  const auto expected = log.events();
  support::faulty_calls calls;
  for (const unsigned threads : {1U, 3U}) {
    int told = 0;
    for (int call = 0;; ++call) {
      calls.fail(support::call::read_at, EIO).after(call).times(1);
      const int before = calls.count(support::call::read_at);
      std::vector<std::string> lines;
      bool is_unreadable = false;
      annals::scan_options options{.threads = threads};
      options.reading.on_damage = [&](const annals::damage& found) { is_unreadable = is_unreadable || found.is_unreadable; };
      const auto take = [&](const annals::event& e) {
        lines.push_back(e.line);
        return true;
      };
      try {
        (void)annals::scan(log.path(), {}, take, options);
      } catch (const annals::failure& e) {
        EXPECT_EQ(e.cause().system_code, EIO);
        is_unreadable = true;
      }
      if (!is_unreadable) {
        EXPECT_EQ(lines, expected);
      } else {
        EXPECT_LT(lines.size(), expected.size()) << "call " << call;
        EXPECT_TRUE(std::includes(expected.begin(), expected.end(), lines.begin(), lines.end())) << "call " << call;
      }
      told += static_cast<int>(is_unreadable);
      if (calls.count(support::call::read_at) - before <= call) break;
    }
    EXPECT_GE(told, 6) << threads;
  }
}

// The size was asked for, and then the file is cut: who reads on finds nothing there.
TEST(scan, of_a_file_that_is_cut_meanwhile_ends_where_it_does) {
  class cut_calls : public support::faulty_calls {
   public:
    std::uint64_t end = 0;
    std::int64_t read_at(int fd, char* bytes, std::size_t count, std::uint64_t offset) noexcept override {
      if (offset >= end) return 0;
      return support::faulty_calls::read_at(fd, bytes, static_cast<std::size_t>(std::min<std::uint64_t>(count, end - offset)),
                                            offset);
    }
  };
  const support::temp_directory dir;
  const std::vector<std::string> lines = {line_of_bytes(100, 'a'), line_of_bytes(3 * part_bytes, 'b'), line_of_bytes(100, 'c')};
  write_file(dir / "audit.jsonl", lines[0] + lines[1] + lines[2]);
  cut_calls calls;
  for (const std::uint64_t end :
       {std::uint64_t{50}, std::uint64_t{100}, std::uint64_t{part_bytes}, std::uint64_t{part_bytes + 7},
        std::uint64_t{2 * part_bytes + 7}, std::uint64_t{3 * part_bytes + 99}, std::uint64_t{3 * part_bytes + 100}}) {
    for (const unsigned threads : {1U, 4U}) {
      calls.end = end;
      const found had = scanned(dir / "audit.jsonl", {}, threads);
      const std::size_t whole = end >= lines[0].size() + lines[1].size() - 1 ? 2 : end >= lines[0].size() - 1 ? 1 : 0;
      EXPECT_EQ(had.lines.size(), whole) << end << ' ' << threads;
      EXPECT_TRUE(had.damages.empty()) << "its writer may be at it";
    }
  }
}

}  // namespace
