// SPDX-License-Identifier: Apache-2.0
//
// Readers and lines of every legal length, whose time stands first or last.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
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
#include "support/long_lines.h"
#include "support/segmented_log.h"

namespace {

using namespace std::chrono_literals;
using support::written_by;

const annals::time_point noon = annals::parse_timestamp("2026-03-07T12:00:00Z")->time;

// A log with an event at 11, 12 and 13 o'clock in each of its segments; the second one is a long line.
class long_lines : public testing::TestWithParam<std::tuple<std::size_t, written_by>> {
 protected:
  long_lines() {
    log_.append(event(noon - 1h, 200));
    log_.append(event(noon, bytes_));
    log_.append(event(noon + 1h, 200));
    log_.rotate();
    log_.append_events(1);
    log_.rotate();
    log_.append(event(noon - 1h, 200));
    log_.append(event(noon, bytes_));
    log_.append(event(noon + 1h, 200));
  }
  std::string event(annals::time_point time, std::size_t bytes) const { return support::long_line(bytes, time, whom_); }

  // The events from noon on, before one o'clock.
  std::vector<std::string> of_noon(unsigned threads) const {
    std::vector<std::string> found;
    annals::scan(
        log_.path(), {.since = noon, .until = noon + 1h},
        [&](const annals::event& one) {
          found.push_back(one.line);
          return true;
        },
        {.reading = {.on_damage = [](const annals::damage& what) { ADD_FAILURE() << what.cause; }}, .threads = threads});
    return found;
  }

  const std::size_t bytes_ = std::get<0>(GetParam());
  const written_by whom_ = std::get<1>(GetParam());
  const support::temp_directory dir_;
  support::segmented_log log_{dir_ / "audit.jsonl"};
};

INSTANTIATE_TEST_SUITE_P(of, long_lines,
                         testing::Combine(testing::Values(1024 * 1024 + 1, annals::limits::line_bytes_ceiling - 1),
                                          testing::Values(written_by::annals, written_by::others)));

TEST_P(long_lines, are_found_by_their_time) {
  const std::vector<std::string> expected(2, event(noon, bytes_));
  EXPECT_EQ(of_noon(1), expected);
  EXPECT_EQ(of_noon(3), expected);
  log_.compress(1);
  EXPECT_EQ(of_noon(1), expected) << "in an archive";
  EXPECT_EQ(of_noon(3), expected) << "in an archive";
}

TEST_P(long_lines, are_followed_and_are_among_the_last_ones) {
  log_.compress(1);
  auto follower = annals::follow(log_.path());
  std::vector<std::string> followed;
  for (std::size_t i = 0; i < log_.lines.size(); ++i) followed.push_back(follower.next(40s).value_or(annals::event{}).line);
  EXPECT_EQ(followed, log_.events());
  std::vector<std::string> last;
  for (const annals::event& one : annals::tail_log(log_.path(), 100)) last.push_back(one.line);
  EXPECT_EQ(last, log_.events());
}

TEST_P(long_lines, are_given_without_their_newline_if_they_are_events) {
  const std::string before = support::all_lines(log_.path());
  support::append_to(log_.path(), event(noon, bytes_));
  EXPECT_EQ(support::all_lines(log_.path()), before + event(noon, bytes_) + "\n");
}

TEST_P(long_lines, that_are_incomplete_at_the_end_are_left_out) {
  const std::string before = support::all_lines(log_.path());
  support::append_to(log_.path(), event(noon, bytes_).substr(0, bytes_ - 1));
  EXPECT_EQ(support::all_lines(log_.path()), before);
}

}  // namespace
