// SPDX-License-Identifier: Apache-2.0
//
// Readers over logs of several segments, held against a plain list of what was written.
#include <gtest/gtest.h>

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

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.content.seekable;
import annals.segment;
#include "support/faulty_calls.h"
#include "support/segmented_log.h"

namespace {

using namespace std::chrono_literals;
using support::all_lines;
using support::append_to;
using support::content_of;
using support::segmented_log;
using support::write_file;

std::vector<std::string> lines_of(const std::vector<annals::event>& events) {
  std::vector<std::string> lines;
  for (const annals::event& e : events) lines.push_back(e.line);
  return lines;
}

std::vector<std::string> last(std::vector<std::string> all, std::size_t n) {
  return {all.end() - static_cast<std::ptrdiff_t>(std::min(n, all.size())), all.end()};
}

// What a reader told.
struct told {
  std::vector<annals::damage> damages;
  std::vector<annals::gap> gaps;
  annals::read_options options() {
    return {.on_damage = [this](const annals::damage& d) { damages.push_back(d); },
            .on_gap = [this](const annals::gap& g) { gaps.push_back(g); }};
  }
};

std::vector<std::string> scanned(const std::string& path, const annals::scan_filter& filter = {}, unsigned threads = 1,
                                 annals::read_options reading = {}) {
  std::vector<std::string> lines;
  const auto done = annals::scan(path, filter,
                                 [&](const annals::event& e) {
                                   lines.push_back(e.line);
                                   return true;
                                 },
                                 {.reading = std::move(reading), .threads = threads});
  EXPECT_EQ(done.events, lines.size());
  return lines;
}

std::vector<std::string> followed(const std::string& path, annals::cursor from = {}, annals::read_options options = {}) {
  annals::follower follower = annals::follow(path, from, std::move(options));
  std::vector<std::string> lines;
  while (const auto e = follower.next(0ms)) lines.push_back(e->line);
  return lines;
}

class segments : public testing::Test {
 protected:
  // The renames of this test happened long ago, so no reader waits for late writers.
  segments() { calls.advance(1h); }

  support::temp_directory dir;
  support::faulty_calls calls;
  segmented_log log{dir / "audit.jsonl"};
  told heard;
};

TEST_F(segments, are_one_stream_plain_compressed_and_live) {
  log.append_events(300);
  log.rotate();
  log.append_events(200);
  log.rotate();
  log.append_events(3);
  log.compress(1);
  const auto expected = log.events();
  EXPECT_EQ(lines_of(annals::tail_log(log.path(), 1000)), expected);
  EXPECT_EQ(lines_of(annals::tail_log(log.path(), 250)), last(expected, 250));
  EXPECT_EQ(scanned(log.path()), expected);
  EXPECT_EQ(scanned(log.path(), {}, 3), expected);
  EXPECT_EQ(followed(log.path()), expected);
}

// The directories of two logs were put together.
TEST_F(segments, of_one_number_are_all_read_and_reported_by_every_reader) {
  for (const bool is_compressed : {false, true}) {
    const support::temp_directory place;
    segmented_log doubled(place / "audit.jsonl");
    doubled.append_events(2);
    doubled.rotate();
    std::string other;
    std::vector<std::string> expected = doubled.events();
    for (int i = 0; i < 2; ++i) {
      expected.push_back(R"({"action":"other )" + std::to_string(i) + "\"}");
      other += expected.back() + "\n";
    }
    const auto time = annals::time_point(std::chrono::sys_days(std::chrono::January / 1 / 2026));
    write_file(annals::segment::closed_path(doubled.path(), 1, time, is_compressed),
               is_compressed ? segmented_log::compressed(other) : other);
    doubled.append_events(1);
    doubled.rotate();
    doubled.append_events(1);
    for (const std::size_t own : {2U, 3U}) expected.push_back(doubled.events()[own]);
    const auto expect_told = [&](told& by) {
      ASSERT_EQ(by.damages.size(), 1U);
      EXPECT_NE(by.damages.front().cause.find("another segment has the number 1"), std::string::npos);
      EXPECT_TRUE(by.gaps.empty());
      by = {};
    };
    told by;
    EXPECT_EQ(scanned(doubled.path(), {}, 1, by.options()), expected);
    expect_told(by);
    EXPECT_EQ(scanned(doubled.path(), {}, 3, by.options()), expected);
    expect_told(by);
    EXPECT_EQ(followed(doubled.path(), {}, by.options()), expected);
    expect_told(by);
    EXPECT_EQ(lines_of(annals::read_tail(doubled.path(), 100, by.options()).events), expected);
    expect_told(by);
    std::string all;
    for (const std::string& line : expected) all += line + "\n";
    EXPECT_EQ(support::all_lines(doubled.path(), by.options()), all);
    expect_told(by);
  }
}

TEST_F(segments, are_read_when_there_is_no_live_one) {
  log.append_events(5);
  log.rotate();
  std::filesystem::remove(log.path());
  EXPECT_EQ(lines_of(annals::tail_log(log.path(), 3)), last(log.events(), 3));
  EXPECT_EQ(annals::read_tail(log.path(), 3).next, (annals::cursor{{2, 0}, 0}));
  EXPECT_EQ(scanned(log.path()), log.events());
  EXPECT_EQ(followed(log.path()), log.events());
}

TEST_F(segments, are_each_read_alone_when_named) {
  log.append_events(40);
  log.rotate();
  log.append_events(2);
  log.compress(1);
  const auto expected = [&] {
    auto all = log.events();
    all.resize(40);
    return all;
  }();
  EXPECT_EQ(lines_of(annals::tail_log(log.path_of(1, true), 100)), expected);
  EXPECT_EQ(scanned(log.path_of(1, true)), expected);
  EXPECT_EQ(followed(log.path_of(1, true)), expected);
  std::filesystem::copy_file(log.path_of(1, true), dir / "audit.jsonl.2.zst");
  EXPECT_EQ(scanned(dir / "audit.jsonl.2.zst"), expected) << "the name others give to it";
}

// A random log, and everything that can be asked of it.
class random_log {
 public:
  random_log(segmented_log& log, std::uint32_t seed) : log_(log), random_(seed) {}

  void make(int steps) {
    for (int i = 0; i < steps; ++i) {
      const unsigned what = below(20);
      if (what < 12) {
        log_.append_events(static_cast<int>(below(400)),
                           below(3) == 0 ? ",\"detail\":\"" + std::string(below(900), 'x') + "\"" : "");
      } else if (what < 14) {
        log_.append(std::string(below(3), 'g') + "arbage", false);
      } else if (what < 18) {
        if (!std::filesystem::exists(log_.path()) || std::filesystem::file_size(log_.path()) == 0)
          continue;  // nobody closes it
        plain_.push_back(log_.number());
        log_.rotate();
      } else if (!plain_.empty()) {
        const std::size_t which = below(static_cast<unsigned>(plain_.size()));
        log_.compress(plain_[which], below(2) == 0 ? annals::seekable::frame_bytes_min : annals::seekable::frame_bytes_default);
        plain_.erase(plain_.begin() + static_cast<std::ptrdiff_t>(which));
      }
    }
  }
  unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }

 private:
  segmented_log& log_;
  std::mt19937 random_;
  std::vector<std::uint64_t> plain_;  // closed and not compressed
};

class random_segments : public segments, public testing::WithParamInterface<std::uint32_t> {};

TEST_P(random_segments, are_read_alike_by_every_reader) {
  random_log random(log, GetParam());
  random.make(40);
  const auto expected = log.events();
  std::string all;
  for (const auto& line : log.lines) all += line.text + "\n";
  EXPECT_EQ(scanned(log.path(), {}, 1, heard.options()), expected);
  EXPECT_EQ(heard.damages.size(), log.lines.size() - expected.size());
  EXPECT_EQ(scanned(log.path(), {}, 1 + GetParam() % 4), expected);
  EXPECT_EQ(all_lines(log.path()), all);
  for (const std::size_t n : {std::size_t{1}, std::size_t{50}, std::size_t{random.below(5000)}, expected.size() + 1}) {
    EXPECT_EQ(lines_of(annals::tail_log(log.path(), static_cast<std::int64_t>(n))), last(expected, n)) << n;
    EXPECT_EQ(lines_of(annals::read_tail(log.path(), static_cast<std::int64_t>(n)).events), last(expected, n)) << n;
  }
  EXPECT_TRUE(heard.gaps.empty());
}

TEST_P(random_segments, are_followed_from_any_saved_cursor_whatever_becomes_of_them) {
  random_log random(log, GetParam() + 1000);
  random.make(12);
  std::vector<std::string> seen;
  annals::cursor from;
  for (;;) {  // stops and goes on, while the log goes on, too
    const std::size_t before = seen.size();
    annals::follower follower = annals::follow(log.path(), *annals::parse_cursor(to_string(from)), heard.options());
    for (unsigned i = random.below(300); i > 0; --i) {
      const auto e = follower.next(0ms);
      if (!e) break;
      seen.push_back(e->line);
    }
    from = follower.position();
    if (log.lines.size() < 5000) {
      random.make(2);
    } else if (seen.size() == before) {
      if (!follower.next(0ms)) break;
    }
  }
  EXPECT_EQ(seen, log.events());
  EXPECT_TRUE(heard.gaps.empty());
  for (const annals::damage& d : heard.damages) EXPECT_NE(d.cause.find("JSON"), std::string::npos) << d.cause;
}

TEST_P(random_segments, are_filtered_as_decoding_every_line_would) {
  random_log random(log, GetParam() + 2000);
  random.make(30);
  const auto at = [](unsigned second) {
    return annals::time_point(std::chrono::sys_days(std::chrono::March / 1 / 2026)) + std::chrono::seconds(second);
  };
  for (int i = 0; i < 30; ++i) {
    annals::scan_filter filter;
    if (random.below(2) == 0) filter.since = at(random.below(4000));
    if (random.below(2) == 0) filter.until = at(random.below(6000));
    if (random.below(2) == 0) filter.container = annals::text_match{"c" + std::to_string(random.below(9)), false};
    const std::string action = std::to_string(random.below(30));
    const bool is_prefix = random.below(2) == 0;
    if (random.below(3) == 0) filter.action = annals::text_match{action + (is_prefix ? "*" : ""), is_prefix};
    if (random.below(3) == 0) filter.contains = std::to_string(random.below(100));
    std::vector<std::string> expected;
    for (const std::string& line : log.events()) {
      const annals::event e = *annals::json::decode_line(line);
      const annals::time_point ts = annals::parse_timestamp(e.ts)->time;
      const bool meets = (!filter.since || ts >= *filter.since) && (!filter.until || ts < *filter.until) &&
                         (!filter.container || e.container == filter.container->text) &&
                         (!filter.action || (is_prefix ? e.action.starts_with(action) : e.action == action)) &&
                         line.find(filter.contains) != std::string::npos;
      if (meets) expected.push_back(line);
    }
    EXPECT_EQ(scanned(log.path(), filter, 1 + static_cast<unsigned>(i) % 3), expected);
  }
}

INSTANTIATE_TEST_SUITE_P(seeds, random_segments, testing::Range(1U, 9U));

// --- gaps -------------------------------------------------------------------------------------------------------------------

TEST_F(segments, that_were_deleted_behind_a_follower_are_told_as_a_gap) {
  for (int i = 0; i < 5; ++i) {
    log.append_events(10);
    log.rotate();
  }
  log.append_events(1);
  annals::cursor in_second;
  {
    annals::follower follower = annals::follow(log.path());
    for (int i = 0; i < 13; ++i) ASSERT_TRUE(follower.next(0ms));
    in_second = follower.position();
  }
  const std::uint64_t second_bytes = std::filesystem::file_size(log.path_of(2, false));
  const std::uint64_t third_bytes = std::filesystem::file_size(log.path_of(3, false));
  log.compress(2);
  for (const std::uint64_t number : {1U, 2U, 3U}) log.remove(number);
  EXPECT_EQ(followed(log.path(), in_second, heard.options()), log.events());
  ASSERT_EQ(heard.gaps.size(), 1U);
  EXPECT_EQ(heard.gaps[0].first, 2U);
  EXPECT_EQ(heard.gaps[0].last, 3U);
  EXPECT_EQ(heard.gaps[0].read_bytes, in_second.at.offset);
  EXPECT_EQ(heard.gaps[0].events, 20U);
  EXPECT_EQ(heard.gaps[0].bytes, second_bytes + third_bytes);
  EXPECT_TRUE(heard.damages.empty());
  EXPECT_EQ(followed(log.path(), {}, heard.options()), log.events()) << "from the beginning that there is";
  EXPECT_EQ(heard.gaps.size(), 1U) << "where nothing is missing";
}

TEST_F(segments, that_are_missing_without_a_record_are_told_with_what_is_not_known) {
  for (int i = 0; i < 3; ++i) {
    log.append_events(10);
    log.rotate();
  }
  std::filesystem::remove(log.path_of(2, false));
  std::erase_if(log.lines, [](const auto& l) { return l.segment == 2; });
  EXPECT_EQ(scanned(log.path(), {}, 1, heard.options()), log.events());
  EXPECT_EQ(lines_of(annals::tail_log(log.path(), 100, heard.options())), log.events());
  EXPECT_EQ(followed(log.path(), {}, heard.options()), log.events());
  ASSERT_EQ(heard.gaps.size(), 3U);
  for (const annals::gap& g : heard.gaps) {
    EXPECT_EQ(g.first, 2U);
    EXPECT_EQ(g.last, 2U);
    EXPECT_EQ(g.events, std::nullopt);
  }
  std::vector<annals::damage> damages;
  (void)annals::tail_log(log.path(), 100, {.on_damage = [&](const annals::damage& d) { damages.push_back(d); }});
  ASSERT_EQ(damages.size(), 1U) << "a gap that nobody asked for is not passed over in silence";
  EXPECT_NE(damages[0].cause.find("segment 2 is gone"), std::string::npos) << damages[0].cause;
}

TEST_F(segments, that_a_follower_has_open_are_read_to_their_end_when_they_are_deleted) {
  log.append_events(10);
  log.rotate();
  log.append_events(10);
  log.rotate();
  const auto expected = log.events();
  annals::follower follower = annals::follow(log.path(), {}, heard.options());
  std::vector<std::string> seen = {follower.next(0ms)->line};
  log.remove(1);
  while (const auto e = follower.next(0ms)) seen.push_back(e->line);
  EXPECT_EQ(seen, expected);
  EXPECT_TRUE(heard.gaps.empty());
}

TEST_F(segments, before_the_first_of_a_cursor_that_is_ahead_of_the_log_are_read_from_the_beginning) {
  log.append_events(3);
  log.rotate();
  log.append_events(2);
  EXPECT_EQ(followed(log.path(), {{7, 100}, 5}, heard.options()), log.events());
  ASSERT_EQ(heard.damages.size(), 1U);
  EXPECT_NE(heard.damages[0].cause.find("stands in segment 7, but the live segment is 2"), std::string::npos);
}

// --- what is read, and what is not -----------------------------------------------------------------------------------------

TEST_F(segments, of_a_long_history_are_not_read_by_tail_but_for_the_last_frames) {
  std::mt19937_64 random(7);  // details that compress as badly as any
  for (int i = 0; i < 2; ++i) {
    std::string text;
    for (int event = 0; event < 500; ++event) {
      std::string detail = ",\"detail\":\"";
      while (detail.size() < 4000) detail += std::to_string(random());
      const std::string line = log.event_line(detail + "\"");
      log.lines.push_back({log.number(), line, true});
      text += line + "\n";
    }
    append_to(log.path(), text);
    log.rotate();
    log.compress(log.number() - 1, 64 * 1024);
  }
  const std::uint64_t before = calls.bytes_read();
  EXPECT_EQ(lines_of(annals::tail_log(log.path(), 50)), last(log.events(), 50));
  const std::uint64_t read = calls.bytes_read() - before;
  const std::uint64_t one = std::filesystem::file_size(log.path_of(2, true));
  EXPECT_LT(read, one / 3) << "of " << one << " bytes of the last segment";
}

TEST_F(segments, outside_of_the_time_asked_for_are_not_decoded) {
  for (int i = 0; i < 4; ++i) {
    log.append_events(20'000);
    log.rotate();
    log.compress(log.number() - 1, annals::seekable::frame_bytes_min);
  }
  const auto from = annals::time_point(std::chrono::sys_days(std::chrono::March / 1 / 2026)) + 30'000s;
  std::uint64_t bytes = 0;
  std::uint64_t events = 0;
  const auto count = [&](const annals::event&) { return ++events != 0; };
  for (const unsigned threads : {1U, 2U}) {
    bytes = annals::scan(log.path(), {.since = from, .until = from + 100s}, count, {.threads = threads}).bytes;
    EXPECT_EQ(std::exchange(events, 0U), 100U);
    EXPECT_LE(bytes, 3 * annals::seekable::frame_bytes_min);
  }
}

TEST_F(segments, hold_escaped_and_foreign_forms_of_what_is_looked_for) {
  const std::vector<std::string> wanted = {
      R"({"ts":"2026-03-01T00:00:00+00:00","container":"web","action":"a","dest":"m\u00fcnchen.example"})",
      "{ \"dest\" : \"m\xc3\xbcnchen.example\" }",
      R"({"dest":"m\u00FCnchen.e\u0078ample","ts":"2025-03-01T00:00:00Z"})",
      R"({"dest":"other","dest":"m\u00fcnchen.example"})",
  };
  for (const std::string& line : wanted) {
    log.append(line);
    log.append_events(2, R"(,"dest":"munchen.example")");
  }
  for (const unsigned threads : {1U, 2U}) {
    EXPECT_EQ(scanned(log.path(), {.dest = annals::text_match{"m\xc3\xbcnchen.example", false}}, threads), wanted);
    EXPECT_EQ(scanned(log.path(), {.dest = annals::text_match{"m\xc3\xbcnchen.exa*", true}}, threads), wanted);
  }
  EXPECT_EQ(scanned(log.path(), {.contains = "m\xc3\xbcnchen"}).size(), 4U) << "escaped by anybody, or as it is";
  EXPECT_EQ(scanned(log.path(), {.contains = R"("dest":"other")"}).size(), 1U) << "a part of the line itself";
  EXPECT_EQ(scanned(log.path(), {.until = annals::time_point(std::chrono::sys_days(std::chrono::January / 1 / 2026))}),
            std::vector{wanted[2]});
}

TEST_F(segments, are_scanned_until_no_more_is_wanted) {
  log.append_events(5000);
  log.rotate();
  log.append_events(5000);
  log.compress(1);
  for (const unsigned threads : {1U, 3U}) {
    std::vector<std::string> seen;
    const auto done = annals::scan(log.path(), {},
                                   [&](const annals::event& e) {
                                     seen.push_back(e.line);
                                     return seen.size() < 5003;
                                   },
                                   {.threads = threads});
    EXPECT_TRUE(done.stopped);
    auto expected = log.events();
    expected.resize(5003);
    EXPECT_EQ(seen, expected);
  }
}

TEST_F(segments, let_through_what_the_taker_throws) {
  log.append_events(5000);
  for (const unsigned threads : {1U, 3U}) {
    EXPECT_THROW((void)annals::scan(log.path(), {}, [](const annals::event&) -> bool { throw 7; }, {.threads = threads}), int);
  }
}

// --- lines at the ends -----------------------------------------------------------------------------------------------------

TEST_F(segments, end_their_torn_lines_for_who_reads_on) {
  log.append_events(2);
  append_to(log.path(), R"({"action":"no newline"})");
  log.lines.push_back({1, R"({"action":"no newline"})", true});
  log.rotate();
  log.append_events(1);
  append_to(log.path(), R"({"action":"torn)");
  log.lines.push_back({2, R"({"action":"torn)", false});
  log.rotate();
  log.append_events(1);
  const auto expected = log.events();
  std::string all;
  for (const auto& line : log.lines) all += line.text + "\n";
  append_to(log.path(), R"({"action":"being wri)");
  std::filesystem::last_write_time(log.path(),
                                   std::filesystem::file_time_type::clock::now() + 24h);  // whatever the clock here says
  for (const bool compressed : {false, true}) {
    if (compressed) {
      log.compress(1);
      log.compress(2);
    }
    heard = {};
    EXPECT_EQ(lines_of(annals::tail_log(log.path(), 100, heard.options())), expected);
    EXPECT_EQ(scanned(log.path(), {}, 1, heard.options()), expected);
    EXPECT_EQ(scanned(log.path(), {}, 2, heard.options()), expected);
    EXPECT_EQ(followed(log.path(), {}, heard.options()), expected);
    EXPECT_EQ(heard.damages.size(), 4U) << "the torn line of the second segment, for each reader";
    EXPECT_EQ(all_lines(log.path()), all);
  }
}

TEST_F(segments, of_gzip_are_refused_with_the_command_that_converts_them) {
  write_file(dir / "audit.jsonl.3.gz", std::string("\x1f\x8b\x08\x00\x00\x00\x00\x00", 8));
  try {
    (void)annals::tail_log(dir / "audit.jsonl.3.gz");
    FAIL() << "nothing thrown";
  } catch (const annals::failure& e) {
    EXPECT_NE(std::string(e.what()).find("gzip -dc '" + (dir / "audit.jsonl.3.gz") + "' | zstd -o '" +
                                         (dir / "audit.jsonl.3.zst") + "'"),
              std::string::npos)
        << e.what();
  }
}

TEST_F(segments, that_vanish_while_they_are_opened_are_looked_for_again) {
  log.append_events(10);
  log.rotate();
  log.append_events(1);
  // Both forms are there for a moment; the plain one, which is preferred, goes away as soon as it was listed.
  write_file(log.path_of(1, true), segmented_log::compressed(content_of(log.path_of(1, false))));
  const auto expected = log.events();
  EXPECT_EQ(scanned(log.path()), expected) << "not twice";
  std::filesystem::remove(log.path_of(1, false));
  EXPECT_EQ(scanned(log.path()), expected);
}

}  // namespace
