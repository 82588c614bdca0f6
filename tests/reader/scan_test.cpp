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

// A wanted text, and what it asks of a value.
struct wanted_text {
  annals::text_match match;
  std::string beginning;
  std::string end;  // of a pattern
};

bool matches(const wanted_text& wanted, const std::optional<std::string>& value) {
  if (!value) return false;
  if (!wanted.match.is_pattern) return *value == wanted.match.text;
  return value->size() >= wanted.beginning.size() + wanted.end.size() && value->starts_with(wanted.beginning) &&
         value->ends_with(wanted.end);
}

std::string quoted_pattern(const std::string& text) {
  std::string pattern;
  for (const char c : text) pattern += (c == '*' || c == '?' || c == '\\' ? "\\" : "") + std::string(1, c);
  return pattern;
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
        const std::string text = random() % 2 == 0 ? any.container : any.dest.value_or("");
        if (random() % 2 == 0) return wanted_text{{text, false}, {}, {}};
        const std::size_t cut = random() % (text.size() + 1);
        const std::string end = random() % 2 == 0 ? text.substr(cut + random() % (text.size() - cut + 1)) : std::string();
        return wanted_text{{quoted_pattern(text.substr(0, cut)) + "*" + quoted_pattern(end), true}, text.substr(0, cut), end};
      };
      std::optional<wanted_text> dest;
      std::optional<wanted_text> container;
      if (random() % 2 == 0) filter.dest = (dest = value())->match;
      if (random() % 3 == 0) filter.container = (container = value())->match;
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
        if (in_time && (!dest || matches(*dest, e.dest)) && (!container || matches(*container, e.container)))
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

// However a line spells its strings: the text is found in what they mean, or in the bytes of the line.
TEST(scan, finds_a_part_of_a_line_whoever_escaped_it) {
  const support::temp_directory dir;
  std::mt19937 random(5);
  std::string text;
  std::vector<annals::event> events;
  for (int i = 0; i < 500; ++i) {
    const std::string line = "{\"dest\":\"" + spelled(random_text(random), random) + "\"}";
    events.push_back(*annals::json::decode_line(line));
    text += line + "\n";
  }
  write_file(dir / "audit.jsonl", text);
  for (int i = 0; i < 200; ++i) {
    const std::string& value = *events[random() % events.size()].dest;
    std::size_t begin = random() % (value.size() + 1);
    while (begin != 0 && begin < value.size() && (static_cast<unsigned char>(value[begin]) & 0xc0U) == 0x80) --begin;
    const std::string part = value.substr(begin);
    if (part.empty()) continue;
    std::vector<std::string> found = scanned(dir / "audit.jsonl", {.contains = part}, 1 + static_cast<unsigned>(i) % 2).lines;
    std::sort(found.begin(), found.end());
    for (const annals::event& e : events) {
      if (e.dest->find(part) == std::string::npos) continue;
      EXPECT_TRUE(std::binary_search(found.begin(), found.end(), e.line)) << part << " in " << e.line;
    }
  }
}

TEST(scan, finds_escapes_of_other_programs) {
  const support::temp_directory dir;
  const std::vector<std::string> lines = {R"({"detail":"a\u0026b"})", R"({"detail":"https:\/\/x"})",
                                          R"({"detail":"\u62D2\u5426"})", "{\"detail\":\"\xe6\x8b\x92\xe5\x90\xa6\"}",
                                          R"({"detail":"\ud83d\ude00"})"};
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  write_file(dir / "audit.jsonl", text);
  const auto found = [&](const std::string& part) { return scanned(dir / "audit.jsonl", {.contains = part}).lines; };
  EXPECT_EQ(found("a&b"), std::vector{lines[0]});
  EXPECT_EQ(found("a\\u0026b"), std::vector{lines[0]}) << "as it stands there";
  EXPECT_EQ(found("https://x"), std::vector{lines[1]});
  EXPECT_EQ(found("\xe6\x8b\x92\xe5\x90\xa6"), (std::vector{lines[2], lines[3]}));
  EXPECT_EQ(found("\xf0\x9f\x98\x80"), std::vector{lines[4]});
}

// One that looked for each form of a text behind each line would take minutes.
// Work that grows with the square of the size would end this test by its time limit.
TEST(search, takes_no_more_time_for_a_text_that_has_an_escaped_form) {
  const support::temp_directory dir;
  std::string text;
  const std::size_t count = 400'000;
  for (std::size_t i = 0; i < count; ++i) text += "{\"action\":\"closed\"}\n";
  write_file(dir / "audit.jsonl", text);
  EXPECT_EQ(scanned(dir / "audit.jsonl", {.contains = "\"closed\""}).result.events, count);
  EXPECT_EQ(scanned(dir / "audit.jsonl", {.contains = "\xe6\x8b\x92"}).result.events, 0U);
}

TEST(scan, knows_patterns) {
  const support::temp_directory dir;
  const std::vector<std::string> values = {
      "203.0.113.7:443", "203.0.113.70:443", "198.51.100.7:443", "axb", "a\xc3\xbc\x62", "a*b", "", "a\\b"};
  std::string text;
  for (const std::string& value : values) {
    std::string escaped;
    for (const char c : value) escaped += c == '\\' ? "\\\\" : std::string(1, c);
    text += "{\"dest\":\"" + escaped + "\"}\n";
  }
  write_file(dir / "audit.jsonl", text + "{\"action\":\"without a destination\"}\n");
  const auto found = [&](const std::string& pattern) {
    std::string all;
    (void)annals::scan(dir / "audit.jsonl", {.dest = annals::text_match{pattern, true}}, [&](const annals::event& e) {
      all += *e.dest + " ";
      return true;
    });
    return all;
  };
  EXPECT_EQ(found("203.*:443"), "203.0.113.7:443 203.0.113.70:443 ");
  EXPECT_EQ(found("*.7:443"), "203.0.113.7:443 198.51.100.7:443 ");
  EXPECT_EQ(found("*0*7*:443"), "203.0.113.7:443 203.0.113.70:443 198.51.100.7:443 ");
  EXPECT_EQ(found("a?b"),
            "axb a\xc3\xbc"
            "b a*b a\\b ")
      << "a character, of any number of bytes";
  EXPECT_EQ(found("a\\*b"), "a*b ");
  EXPECT_EQ(found("?*\\\\?"), "a\\b ");
  EXPECT_EQ(found(""), " ");
  EXPECT_EQ(found("?"), "");
  EXPECT_EQ(found("*").size(), found("**").size());
}

TEST(scan, finds_addresses_in_ranges_and_with_ports) {
  const support::temp_directory dir;
  std::string text;
  for (const char* dest :
       {"203.0.113.7:443", "203.0.113.7", "203.0.113.70:443", "203.0.112.7:443", "[2001:db8::1]:443", "2001:DB8:0::1",
        "[2001:db8:1::1]:8443", "[::ffff:203.0.113.7]:443", "fe80::1%eth0", "203.0.113.7:https", "x:203.0.113.7:443"}) {
    text += std::string("{\"dest\":\"") + dest + "\"}\n";
  }
  write_file(dir / "audit.jsonl", text + "{\"action\":\"203.0.113.7\"}\n");
  const auto found = [&](const std::string& wanted) {
    const auto address = annals::parse_address_match(wanted);
    EXPECT_TRUE(address) << wanted;
    std::string all;
    (void)annals::scan(dir / "audit.jsonl", {.address = address}, [&](const annals::event& e) {
      all += *e.dest + " ";
      return true;
    });
    return all;
  };
  EXPECT_EQ(found("203.0.113.7"), "203.0.113.7:443 203.0.113.7 [::ffff:203.0.113.7]:443 203.0.113.7:https ");
  EXPECT_EQ(found("203.0.113.7:443"), "203.0.113.7:443 [::ffff:203.0.113.7]:443 ");
  EXPECT_EQ(found("203.0.113.0/25:443"), "203.0.113.7:443 203.0.113.70:443 [::ffff:203.0.113.7]:443 ");
  EXPECT_EQ(found("203.0.112.0/23:443"), "203.0.113.7:443 203.0.113.70:443 203.0.112.7:443 [::ffff:203.0.113.7]:443 ");
  EXPECT_EQ(found("2001:db8::1"), "[2001:db8::1]:443 2001:DB8:0::1 ");
  EXPECT_EQ(found("[2001:db8::1]:443"), "[2001:db8::1]:443 ");
  EXPECT_EQ(found("2001:db8::/32"), "[2001:db8::1]:443 2001:DB8:0::1 [2001:db8:1::1]:8443 ");
  EXPECT_EQ(found("[2001:db8::/32]:8443"), "[2001:db8:1::1]:8443 ");
  EXPECT_EQ(found("fe80::1"), "fe80::1%eth0 ");
  for (const char* none :
       {"", "203.0.113", "203.0.113.7/33", "203.0.113.7:", "203.0.113.7:65536", "203.0.113.7/", "2001:db8::/129",
        "[2001:db8::1", "[2001:db8::1]443", "cdn.example", "203.0.113.*", "::ffff:203.0.113.0/120", "203.0.113.7/8/8"}) {
    EXPECT_FALSE(annals::parse_address_match(none)) << none;
  }
}

// Only whole frames whose recorded times lie in the range, and nothing where a text is looked for.
TEST(scan, counts_lines_by_their_records_when_told_so) {
  const support::temp_directory dir;
  segmented_log log(dir / "audit.jsonl");
  for (int i = 0; i < 3; ++i) {
    log.append_events(1000);
    log.rotate();
  }
  log.append_events(10);
  log.compress(1);
  log.compress(2);
  for (const unsigned threads : {1U, 3U}) {
    const auto counted = [&](const annals::scan_filter& filter) {
      return annals::scan(log.path(), filter, [](const annals::event&) { return true; },
                          {.threads = threads, .count_recorded = true});
    };
    const auto all = counted({});
    EXPECT_EQ(all.recorded, 2000U);
    EXPECT_EQ(all.events, 1010U);
    const auto since = annals::parse_timestamp("2026-03-01T00:08:20Z")->time;  // the 500th event
    const auto until = annals::parse_timestamp("2026-03-01T00:25:00Z")->time;  // the 1500th
    const auto some = counted({.since = since, .until = until});
    EXPECT_EQ(some.recorded + some.events, 1000U);
    EXPECT_GT(some.recorded, 0U);
    EXPECT_GT(some.events, 0U) << "of frames that are only partly in the range";
    const auto texts = counted({.action = annals::text_match{"7"}});
    EXPECT_EQ(texts.recorded, 0U);
    EXPECT_EQ(texts.events, 1U);
    EXPECT_EQ(scanned(log.path(), {}, threads).result.recorded, 0U) << "not told so";
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
