// SPDX-License-Identifier: Apache-2.0
//
// Archives whose seek table says something else than their frames do, and sparse files: every line is read by every reader, and
// the damage is reported.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
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
import annals.segment;
#include "support/hooked_calls.h"
#include "support/segmented_log.h"

namespace {

using annals::damage;
using support::one_frame;

class lying_archives : public testing::Test {
 protected:
  struct part {
    std::string content;  // of a frame, or of several
    std::string compressed = {};
    std::uint32_t claimed = 0;
  };

  std::string lines(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      char line[96];
      std::snprintf(line, sizeof line, "{\"ts\":\"2026-01-01T00:%02d:%02d+00:00\",\"container\":\"c\",\"action\":\"%d\"}\n",
                    next_ / 60, next_ % 60, next_);
      ++next_;
      text += line;
    }
    return text;
  }
  part of(std::string content, std::uint32_t claimed, bool sized = false) {
    std::string compressed = one_frame(content, sized);
    return {std::move(content), std::move(compressed), claimed};
  }
  static std::uint32_t size_of(const std::string& text) { return static_cast<std::uint32_t>(text.size()); }

  // What every reader gives of an archive of these parts, and that it reports damage.
  void expect_all_of(const std::vector<part>& parts) {
    std::string file;
    std::string content;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> entries;
    for (const part& one : parts) {
      file += one.compressed;
      content += one.content;
      entries.emplace_back(size_of(one.compressed), one.claimed);
    }
    support::write_file(path_, file + support::seek_table(entries));
    expect_all(content);
  }
  void expect_all(const std::string& content) {
    const auto count = static_cast<std::uint64_t>(std::count(content.begin(), content.end(), '\n'));
    std::vector<damage> found;
    const annals::read_options options = {.on_damage = [&](const damage& one) { found.push_back(one); }};
    EXPECT_TRUE(support::all_lines(path_, options) == content) << "read_lines";
    EXPECT_GE(found.size(), 1U) << "read_lines";
    found.clear();
    std::string scanned;
    const auto take = [&](const annals::event& one) {
      scanned += one.line + "\n";
      return true;
    };
    EXPECT_EQ(annals::scan(path_, {}, take, {.reading = options}).events, count) << "scan";
    EXPECT_TRUE(scanned == content) << "scan";
    EXPECT_GE(found.size(), 1U) << "scan";
    for (const std::int64_t n : {std::int64_t{1}, static_cast<std::int64_t>(count), static_cast<std::int64_t>(count) + 10}) {
      const auto page = annals::tail_log(path_, n, options);
      std::string tail;
      for (const annals::event& one : page) tail += one.line + "\n";
      EXPECT_EQ(page.size(), std::min(static_cast<std::uint64_t>(n), count)) << "tail " << n;
      EXPECT_TRUE(content.ends_with(tail)) << "tail " << n;
    }
  }

  support::temp_directory directory_;
  const std::string path_ = directory_ / "audit-000001-20260101T000000Z.jsonl.zst";
  int next_ = 0;
};

TEST_F(lying_archives, hide_no_lines_in_frames_that_are_said_to_be_empty) {
  const std::string a = lines(2);
  const std::string b = lines(1);
  expect_all_of({of(a, 0), of(b, size_of(b))});
  const std::string c = lines(5);
  expect_all_of({of(a, size_of(a)), of(b, 0), of(c, size_of(c))});
  expect_all_of({of(a, size_of(a)), of(b, size_of(b)), of(c, 0)});
  expect_all_of({of(a, 0), of(b, 0), of(c, 0)});
}

TEST_F(lying_archives, hide_no_lines_in_frames_that_are_said_to_be_shorter_or_longer) {
  const std::string a = lines(20);
  const std::string b = lines(10);
  const std::string c = lines(30);
  for (const int off_by : {-1, 1, -300, 300, 100'000}) {
    const auto wrong = [&](const std::string& text) {
      return static_cast<std::uint32_t>(static_cast<int>(text.size()) + off_by);
    };
    expect_all_of({of(a, wrong(a)), of(b, size_of(b)), of(c, size_of(c))});
    expect_all_of({of(a, size_of(a)), of(b, wrong(b)), of(c, size_of(c))});
    expect_all_of({of(a, size_of(a)), of(b, size_of(b)), of(c, wrong(c))});
    expect_all_of({of(a, wrong(a)), of(b, wrong(b)), of(c, wrong(c))});
  }
}

TEST_F(lying_archives, hide_no_frames_behind_one_that_says_its_size) {
  const std::string a = lines(20);
  const std::string b = lines(10);
  const std::string c = lines(30);
  part two = of(a, size_of(a), true);
  two.content += b;
  two.compressed += one_frame(b);
  expect_all_of({two, of(c, size_of(c), true)});
  part empty = of("", 0, true);
  empty.content += b;
  empty.compressed += one_frame(b);
  expect_all_of({of(a, size_of(a), true), empty, of(c, size_of(c), true)});
}

TEST_F(lying_archives, hide_no_lines_in_a_frame_that_is_longer_than_what_is_kept_of_one) {
  const std::string a = lines(1);
  std::string b;
  while (b.size() <= 9 * 1024 * 1024) b += lines(3000);
  const std::string c = lines(2);
  expect_all_of({of(a, size_of(a)), of(b, 100), of(c, size_of(c))});
}

// --- sparse files
// -------------------------------------------------------------------------------------------------------------

class forged_facts : public lying_archives {
 protected:
  // The damage that is reported where the facts are compared; every line is given.
  std::vector<damage> compared(const std::string& path, const std::string& content, unsigned threads) {
    std::vector<damage> found;
    std::string scanned;
    const auto take = [&](const annals::event& one) {
      scanned += one.line + "\n";
      return true;
    };
    const annals::read_options options = {.on_damage = [&](const damage& one) { found.push_back(one); }};
    (void)annals::scan(path, {}, take, {.reading = options, .threads = threads, .check_facts = true});
    EXPECT_TRUE(scanned == content);
    return found;
  }
};

TEST_F(forged_facts, are_damage_where_they_are_compared_with_the_lines) {
  const std::string a = lines(20);
  const std::string b = lines(10);
  const auto time = [](const char* text) { return annals::parse_timestamp(text)->time.time_since_epoch().count(); };
  const std::int64_t begin = time("2026-01-01T00:00:00Z");
  const auto frame_of = [](const std::string& text, std::uint64_t count, std::int64_t first, std::int64_t last) {
    return support::forged_archive::frame{one_frame(text), size_of(text), count, true, first, last};
  };
  const auto right = frame_of(a, 20, begin, begin + 19'000'000);
  for (const auto& wrong : {frame_of(b, 11, begin + 20'000'000, begin + 29'000'000), frame_of(b, 10, begin, begin + 29'000'000),
                            frame_of(b, 10, begin + 20'000'000, begin + 28'000'000),
                            frame_of(b, 10, time("1990-01-01T00:00:00Z"), time("1990-01-02T00:00:00Z"))}) {
    support::forged_archive made;
    made.frames = {right, wrong};
    support::write_file(path_, made.bytes());
    for (const unsigned threads : {1U, 2U}) {
      const auto found = compared(path_, a + b, threads);
      ASSERT_EQ(found.size(), 1U);
      EXPECT_EQ(found[0].offset, right.compressed.size());
      EXPECT_NE(found[0].cause.find("but it has 10 lines from 2026-01-01T00:00:20"), std::string::npos) << found[0].cause;
    }
  }
  support::forged_archive honest;
  honest.frames = {right, frame_of(b, 10, begin + 20'000'000, begin + 29'000'000)};
  support::write_file(path_, honest.bytes());
  EXPECT_TRUE(compared(path_, a + b, 1).empty());
}

TEST_F(forged_facts, are_not_reported_for_archives_that_were_made_here) {
  std::string odd = lines(300);
  for (int i = 0; i < 50; ++i) {
    odd += R"({"ts":"not a time","container":"c","action":"x"})"
           "\n";
    odd += R"({"ts":"2026-01-01T0{"ts":"2026-01-01T00:00:00+00:00","container":"c","action":"appended"})"
           "\n\n";
    odd += lines(200);
  }
  odd += R"({"ts":"2026-01-01T00:00:00+00:00","container":"c","action":"no newline"})";
  support::write_file(path_, support::segmented_log::compressed(odd));
  std::uint64_t wrong = 0;
  const annals::read_options options = {
      .on_damage = [&](const damage& one) { wrong += one.cause.find("facts") != std::string::npos ? 1U : 0U; }};
  const auto all =
      annals::scan(path_, {}, [](const annals::event&) { return true; }, {.reading = options, .check_facts = true});
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(all.events, 10'000U);
}

class sparse_files : public lying_archives {};

// Without a look at where the holes are, this takes hours.
TEST_F(sparse_files, of_terabytes_give_the_lines_around_the_hole) {
  const std::string log = directory_ / "audit.jsonl";
  const std::string closed = directory_ / "audit-000001-20260101T000000Z.jsonl";
  for (const std::string& path : {log, closed}) {
    const std::string first = lines(3);
    const std::string last = lines(2);
    constexpr std::uint64_t bytes = std::uint64_t{8} << 40;
    support::write_file(path, first);
    if (::truncate(path.c_str(), static_cast<off_t>(bytes)) != 0)
      GTEST_SKIP() << "NOT TESTED: the file system has no files of 8 TiB: set TMPDIR to a directory on one that has, such as "
                      "tmpfs or XFS";
    support::append_to(path, "\n" + last);
    std::uint64_t damaged = 0;
    const annals::read_options options = {.on_damage = [&](const damage&) { ++damaged; }};
    std::string seen;
    (void)annals::scan(path, {},
                       [&](const annals::event& one) {
                         seen += one.line + "\n";
                         return true;
                       },
                       {.reading = options});
    EXPECT_EQ(seen, first + last) << "scan " << path;
    EXPECT_GE(damaged, 1U);
    EXPECT_EQ(annals::tail_log(path, 10, options).size(), 5U) << "tail " << path;
    EXPECT_EQ(annals::tail_log(path, 1, options).size(), 1U) << "tail " << path;
    const std::string all = support::all_lines(path, options);
    EXPECT_TRUE(all.starts_with(first) && all.ends_with(last)) << "read_lines " << path;
    EXPECT_LT(all.size(), 100'000'000U);
    const auto segments = annals::list_segments(log);
    ASSERT_TRUE(segments) << segments.error().message;
    EXPECT_TRUE(segments->front().damage) << path;
    std::filesystem::remove(path);
  }
}

TEST_F(sparse_files, of_nothing_but_a_hole_end) {
  const std::string log = directory_ / "audit.jsonl";
  support::write_file(log, "");
  if (::truncate(log.c_str(), off_t{8} << 40) != 0)
    GTEST_SKIP()
        << "NOT TESTED: the file system has no files of 8 TiB: set TMPDIR to a directory on one that has, such as tmpfs or XFS";
  EXPECT_TRUE(annals::tail_log(log, 10).empty());
  EXPECT_EQ(annals::scan(log, {}, [](const annals::event&) { return true; }).events, 0U);
  const auto segments = annals::list_segments(log);
  ASSERT_TRUE(segments) << segments.error().message;
}

// --- gaps
// ---------------------------------------------------------------------------------------------------------------------

class many_gaps : public testing::Test {};

TEST_F(many_gaps, read_the_records_of_deletions_once) {
  const support::temp_directory directory;
  support::segmented_log log(directory / "audit.jsonl");
  for (int i = 0; i < 61; ++i) {
    log.append_events(1);
    log.rotate();
  }
  const std::string records = annals::segment::deletion_log_path(log.path());
  std::string others;
  for (int i = 0; i < 20'000; ++i) others += "{\"segment\":1}\n";
  support::write_file(records, others);
  for (std::uint64_t number = 2; number <= 60; number += 2) log.remove(number);
  const std::uint64_t bytes = std::filesystem::file_size(records);
  std::uint64_t read = 0;
  std::uint64_t known = 0;
  std::optional<support::hooked_calls> calls;
  const auto identity = annals::io::status_at(records).value();
  calls.emplace([&](support::system_call& one) {
    const std::int64_t got = one.run();
    const bool is_records =
        one.which == support::call::read_at && annals::io::same_file(calls->kernel_status(one.fd), *identity);
    if (is_records && got > 0) read += static_cast<std::uint64_t>(got);
    return got;
  });
  const auto result =
      annals::scan(log.path(), {}, [](const annals::event&) { return true; },
                   {.reading = {.on_gap = [&](const annals::gap& one) { known += one.events == 1U ? 1U : 0U; }}});
  EXPECT_EQ(result.gaps, 30U);
  EXPECT_EQ(known, 30U);
  EXPECT_LE(read, bytes + std::uint64_t{4} * 64 * 1024) << "of a file of " << bytes << " bytes";
}

}  // namespace
