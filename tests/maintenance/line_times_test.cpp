// SPDX-License-Identifier: Apache-2.0
//
// The times of a segment, whatever its lines look like: lines of up to 16 MiB are legal, in any order of names, and a line
// whose time cannot be read never makes a segment look older than it is.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.content.seekable;
import annals.segment;
#include "log_files.h"
#include "prune_log.h"
#include "support/long_lines.h"

namespace {

using namespace std::chrono_literals;
using support::long_ago;
using support::long_line;
using support::written_by;
using numbers = std::set<std::uint64_t>;

constexpr std::size_t mib = 1024 * 1024;

// --- lines of every legal length --------------------------------------------------------------------------------------------

class LongLines : public support::Prune, public testing::WithParamInterface<std::tuple<std::size_t, written_by, bool>> {
 protected:
  std::string line(annals::time_point time) const {
    return long_line(std::get<0>(GetParam()), time, std::get<1>(GetParam())) + "\n";
  }
  void add(std::uint64_t number, std::string_view lines) const {
    if (std::get<2>(GetParam())) {
      log_.add_compressed(number, long_ago, lines);
    } else {
      log_.add_plain(number, long_ago, lines);
    }
  }

  const annals::time_point now_ = annals::parse_timestamp(annals::to_string({annals::io::calls().now()}))->time;
};

INSTANTIATE_TEST_SUITE_P(lines, LongLines,
                         testing::Combine(testing::Values(200, mib + 1, 2 * mib, annals::limits::line_bytes_ceiling - 1),
                                          testing::Values(written_by::annals, written_by::others), testing::Bool()));

TEST_P(LongLines, keep_a_segment_whose_newest_event_is_young) {
  add(1, log_.lines(1, long_ago) + line(now_ - 1h));
  add(2, log_.lines(1, long_ago) + line(now_ - 1h) + log_.lines(1, long_ago));
  add(3, line(long_ago));
  add(4, log_.lines(1, long_ago));
  log_.write_live("");
  const auto outcome = annals::prune(path_, {.keep_for = 30 * 24h});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 2, 4}));
}

TEST_P(LongLines, are_the_first_and_the_last_event_of_a_listed_segment) {
  add(1, line(long_ago) + log_.lines(1, long_ago + 1h) + line(now_));
  const auto segments = annals::list_segments(path_);
  ASSERT_TRUE(segments) << segments.error().message;
  EXPECT_EQ(segments->at(0).events, 3U);
  EXPECT_EQ(segments->at(0).first, long_ago);
  EXPECT_EQ(segments->at(0).last, now_);
  EXPECT_FALSE(segments->at(0).is_last_guessed);
}

TEST_P(LongLines, are_held_by_their_times) {
  add(1, log_.lines(1, long_ago) + line(long_ago + 48h));
  add(2, log_.lines(1, long_ago));
  add(3, log_.lines(1, long_ago));
  ASSERT_TRUE(annals::add_hold(path_, {.name = "case", .from = long_ago + 47h, .to = long_ago + 49h}));
  const auto outcome = annals::prune(path_, {.keep_segments = 1});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 3}));
}

TEST_P(LongLines, say_where_an_adopted_file_belongs) {
  const std::string file = directory_ / "foreign";
  const std::string lines = line(long_ago) + log_.lines(1, long_ago + 1h) + line(long_ago + 2h);
  support::write_file(file, std::get<2>(GetParam()) ? support::log_files::compressed(lines, 16 * 1024) : lines);
  add(1, line(long_ago - 1h));
  log_.write_live(line(now_));
  const auto adopted = annals::adopt(path_, std::vector{file});
  ASSERT_TRUE(adopted) << adopted.error().message;
  EXPECT_EQ(adopted->at(0).first, long_ago);
  EXPECT_EQ(adopted->at(0).last, long_ago + 2h);
}

// --- lines whose time cannot be read
// ------------------------------------------------------------------------------------------

class UnreadableLines : public support::Prune {};

// The closed segments that are left when all old ones go.
TEST_F(UnreadableLines, make_the_age_of_a_segment_unknown_and_keep_it) {
  const std::string old = log_.lines(1, long_ago);
  log_.add_plain(1, long_ago, old + "{\"ts\":\n" + old);
  log_.add_plain(2, long_ago, old + std::string(20, '\0') + "\n" + old);
  log_.add_plain(3, long_ago,
                 old + long_line(annals::limits::read_line_bytes_max + 1, long_ago, written_by::annals) + "\n" + old);
  log_.add_plain(4, long_ago, old + "\n" + old);  // an empty line has no time to be read
  log_.add_compressed(5, long_ago, old + "{\"ts\":\n" + old);
  log_.add_plain(6, long_ago, old);
  for (const auto& one : annals::segment::closed_segments(path_).value()) {
    std::filesystem::last_write_time(one.path, std::filesystem::file_time_type::clock::now() - 24h * 365);
  }
  log_.write_live("");
  const auto outcome = annals::prune(path_, {.keep_for = 30 * 24h});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 2, 3, 5, 6}));
  ASSERT_EQ(outcome->unmet.size(), 2U);
  EXPECT_EQ(outcome->unmet[1].why,
            "keep_for 30d: 4 segments stay, since they have lines whose time cannot be read: 1, 2, 3 and 1 more");
}

TEST_F(UnreadableLines, of_a_damaged_archive_keep_it_too) {
  const std::string path = log_.add_compressed(1, long_ago, log_.lines(2000, long_ago));
  const std::string bytes = support::content_of(path);
  support::write_file(path, std::string_view(bytes).substr(0, bytes.size() / 2));
  std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - 24h * 365);
  log_.add_plain(2, long_ago, log_.lines(1, long_ago));
  ASSERT_TRUE(annals::prune(path_, {.keep_for = 30 * 24h}));
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 2}));
}

TEST_F(UnreadableLines, that_still_say_their_time_have_it) {
  const auto now = annals::io::calls().now();
  const std::string old = log_.lines(1, long_ago);
  const std::string torn = old.substr(0, old.size() / 2);
  log_.add_plain(1, long_ago, old + torn + "\n");
  log_.add_plain(2, long_ago, old + torn + log_.lines(1, now - 1h) + old);  // a whole event behind the torn one
  log_.add_plain(3, long_ago, old);
  log_.write_live("");
  ASSERT_TRUE(annals::prune(path_, {.keep_for = 30 * 24h}));
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{2, 3}));
}

TEST_F(UnreadableLines, of_which_another_ts_decides_have_the_one_that_readers_see) {
  const auto now = annals::io::calls().now();
  const std::string recent = annals::to_string(annals::timestamp{now - 1h, annals::precision::seconds});
  const std::string old = log_.lines(1, long_ago);
  log_.add_plain(1, long_ago, old + R"({"ts":"2020-01-01T00:00:00+00:00","ts":")" + recent + "\"}\n" + old);
  log_.add_plain(2, long_ago, old + R"({"ts":"2020-01-01T00:00:00+00:00","t\u0073":")" + recent + "\"}\n" + old);
  log_.add_plain(3, long_ago, old + R"({"ts":"2020-01-01T00:00:00+00:00","nested":{"ts":")" + recent + "\"}}\n" + old);
  log_.add_plain(4, long_ago, old);
  log_.write_live("");
  ASSERT_TRUE(annals::prune(path_, {.keep_for = 30 * 24h}));
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 2, 4}));
}

}  // namespace
