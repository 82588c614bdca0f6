// SPDX-License-Identifier: Apache-2.0
//
// From a policy to a plan: a table of cases, and random ones against a slow and simple definition of the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>
import annals;

namespace {

using namespace std::chrono_literals;
using annals::disk_space;
using annals::plan_deletions;
using annals::prune_plan;
using annals::retention_limit;
using annals::retention_policy;
using annals::segment_info;
using annals::segment_state;
using annals::space_amount;

const annals::time_point now = annals::parse_timestamp("2026-11-24T12:00:00Z")->time;
constexpr disk_space plenty = {1'000'000, 900'000};

std::vector<std::uint64_t> numbers_of(const prune_plan& plan) {
  std::vector<std::uint64_t> numbers;
  for (const annals::planned_deletion& one : plan.deletions) numbers.push_back(one.segment.number);
  return numbers;
}

// A small language for logs: `closed(bytes, age)` one after the other, then `live(bytes)`.
class Policy : public testing::Test {
 protected:
  segment_info& closed(std::uint64_t bytes, std::chrono::hours age = 1h) {
    const std::uint64_t number = segments_.empty() ? 1 : segments_.back().number + 1;
    segments_.push_back({.number = number, .state = segment_state::closed, .path = "s", .bytes_on_disk = bytes});
    segments_.back().last = now - age;
    return segments_.back();
  }
  void live(std::uint64_t bytes) {
    segments_.push_back({.number = segments_.empty() ? 1 : segments_.back().number + 1,
                         .state = segment_state::live,
                         .path = "l",
                         .bytes_on_disk = bytes});
  }
  prune_plan plan(const retention_policy& policy, const disk_space& space = plenty) const {
    return plan_deletions(segments_, policy, now, space);
  }
  std::vector<std::uint64_t> deleted(const retention_policy& policy, const disk_space& space = plenty) const {
    return numbers_of(plan(policy, space));
  }

  std::vector<segment_info> segments_;
};

using numbers = std::vector<std::uint64_t>;

TEST_F(Policy, without_a_limit_keeps_everything) {
  for (int i = 0; i < 5; ++i) closed(1000, 24h * 3650);
  live(1000);
  EXPECT_EQ(deleted({}, {1000, 0}), numbers{});
  EXPECT_TRUE(plan({}, {1000, 0}).unmet.empty());
}

TEST_F(Policy, deletes_what_is_older_than_keep_for_and_nothing_younger) {
  closed(10, 31 * 24h);
  closed(10, 30 * 24h);  // to the microsecond: not older
  closed(10, 29 * 24h);
  closed(10, 1h);
  live(5);
  EXPECT_EQ(deleted({.keep_for = 30 * 24h}), numbers{1});
  const prune_plan made = plan({.keep_for = 30 * 24h});
  ASSERT_EQ(made.deletions.size(), 1u);
  EXPECT_EQ(made.deletions[0].reasons, std::vector{retention_limit::age});
  EXPECT_EQ(made.deletions[0].why, "its newest event, of 2026-10-24T12:00:00+00:00, is older than 30d");
}

TEST_F(Policy, says_where_an_age_is_the_files) {
  closed(10, 31 * 24h).is_last_guessed = true;
  closed(10);
  EXPECT_EQ(
      plan({.keep_for = 24h}).deletions.at(0).why,
      "its newest event, of 2026-10-24T12:00:00+00:00 (by the time of the file, since some of its lines have none), is older "
      "than 1d");
}

TEST_F(Policy, keeps_by_age_what_has_no_time_at_all) {
  closed(10).last.reset();
  closed(10);
  EXPECT_EQ(deleted({.keep_for = 1s}), numbers{});
}

TEST_F(Policy, keeps_by_age_what_is_of_the_future) {
  closed(10, -24h * 365);
  closed(10);
  EXPECT_EQ(deleted({.keep_for = 1s}), numbers{});
}

TEST_F(Policy, never_deletes_the_last_closed_segment_whatever_it_is) {
  closed(1000, 24h * 365);
  EXPECT_EQ(deleted({.keep_for = 1h, .keep_bytes = 1, .keep_segments = 1, .keep_free = space_amount{0, 100 * 100}}), numbers{});
  live(1000);
  const prune_plan made = plan({.keep_for = 1h, .keep_bytes = 1});
  EXPECT_EQ(numbers_of(made), numbers{});
  ASSERT_EQ(made.unmet.size(), 2u);
  EXPECT_EQ(made.unmet[0].why, "keep_for 1h: 1 older segment stays: 1 is the last closed one, from which the numbers go on");
  EXPECT_EQ(made.unmet[1].why, "keep_bytes 1 bytes: 2KB stay: 1 is the last closed one, from which the numbers go on");
}

TEST_F(Policy, deletes_the_oldest_until_the_bytes_fit_the_live_segment_counted) {
  for (int i = 0; i < 5; ++i) closed(100);
  live(50);
  EXPECT_EQ(deleted({.keep_bytes = 550}), numbers{});
  EXPECT_EQ(deleted({.keep_bytes = 549}), (numbers{1}));
  EXPECT_EQ(deleted({.keep_bytes = 350}), (numbers{1, 2}));
  EXPECT_EQ(deleted({.keep_bytes = 0}), (numbers{1, 2, 3, 4}));
}

TEST_F(Policy, deletes_the_oldest_until_there_are_no_more_segments_than_allowed_the_live_one_not_counted) {
  for (int i = 0; i < 5; ++i) closed(100);
  live(50);
  EXPECT_EQ(deleted({.keep_segments = 5}), numbers{});
  EXPECT_EQ(deleted({.keep_segments = 3}), (numbers{1, 2}));
  EXPECT_EQ(deleted({.keep_segments = 1}), (numbers{1, 2, 3, 4}));
}

TEST_F(Policy, deletes_the_oldest_until_enough_is_free) {
  for (int i = 0; i < 5; ++i) closed(100);
  live(50);
  EXPECT_EQ(deleted({.keep_free = space_amount{1000, 0}}, {10'000, 1000}), numbers{});
  EXPECT_EQ(deleted({.keep_free = space_amount{1000, 0}}, {10'000, 999}), (numbers{1}));
  EXPECT_EQ(deleted({.keep_free = space_amount{0, 10 * 100}}, {10'000, 750}), (numbers{1, 2, 3}));
  const prune_plan made = plan({.keep_free = space_amount{0, 50 * 100}}, {10'000, 100});
  EXPECT_EQ(numbers_of(made), (numbers{1, 2, 3, 4}));
  ASSERT_EQ(made.unmet.size(), 1u);
  EXPECT_EQ(made.unmet[0].why,
            "keep_free 50%: only 500 bytes will be free: 5 is the last closed one, from which the numbers go on");
}

TEST_F(Policy, without_a_size_of_the_file_system_nothing_is_deleted_for_free_space) {
  for (int i = 0; i < 5; ++i) closed(100);
  live(50);
  for (const space_amount wanted : {space_amount{1000, 0}, space_amount{0, 100 * 100}}) {
    const prune_plan made = plan({.keep_free = wanted}, {0, 0});
    EXPECT_EQ(numbers_of(made), numbers{});
    ASSERT_EQ(made.unmet.size(), 1u);
    EXPECT_EQ(made.unmet[0].limit, retention_limit::free_space);
    EXPECT_EQ(made.unmet[0].why, "keep_free " + annals::to_string(wanted) +
                                     ": the file system does not report its size, so nothing is deleted for it");
  }
  EXPECT_EQ(deleted({.keep_segments = 3, .keep_free = space_amount{1000, 0}}, {0, 0}), (numbers{1, 2})) << "others hold";
}

TEST_F(Policy, counts_the_age_from_when_a_segment_was_last_written) {
  closed(10, 31 * 24h).written = now - 1h;
  closed(10, 1h).written = now - 31 * 24h;
  closed(10, 31 * 24h).written = now - 32 * 24h;
  closed(10, -24h * 365).written = now - 31 * 24h;
  closed(10, 31 * 24h).written = now + 24h;
  closed(10);
  const prune_plan made = plan({.keep_for = 30 * 24h});
  EXPECT_EQ(numbers_of(made), (numbers{3, 4}));
  EXPECT_EQ(made.deletions.at(0).why, "its newest event, of 2026-10-24T12:00:00+00:00, is older than 30d");
  EXPECT_EQ(made.deletions.at(1).why, "it was last written at 2026-10-24T12:00:00+00:00, longer ago than 30d");
}

TEST_F(Policy, where_younger_segments_may_go_the_strictest_limit_decides_and_each_that_applies_is_named) {
  for (int i = 0; i < 6; ++i) closed(100, (6 - i) * 24h);
  EXPECT_EQ(deleted({.keep_for = 100h, .keep_bytes = 10'000, .keep_segments = 4, .allow_younger = true}), (numbers{1, 2}));
  const prune_plan made = plan({.keep_for = 132h, .keep_bytes = 10'000, .keep_segments = 4, .allow_younger = true});
  ASSERT_EQ(numbers_of(made), (numbers{1, 2}));
  EXPECT_EQ(made.deletions[0].reasons, (std::vector{retention_limit::age, retention_limit::segments}));
  EXPECT_EQ(made.deletions[1].reasons, (std::vector{retention_limit::segments}));
  EXPECT_EQ(made.deletions[1].why, "there are 5 closed segments, more than 4");
}

TEST_F(Policy, no_other_limit_deletes_what_keep_for_keeps) {
  closed(100, 200h);
  for (int i = 0; i < 4; ++i) closed(100, 24h);
  closed(100).last.reset();  // of unknown age
  closed(100);
  constexpr disk_space full = {1'000'000, 0};
  for (retention_policy policy : {retention_policy{.keep_for = 100h, .keep_bytes = 1},
                                  {.keep_for = 100h, .keep_segments = 1},
                                  {.keep_for = 100h, .keep_free = space_amount{0, 1000}}}) {
    const prune_plan made = plan(policy, full);
    EXPECT_EQ(numbers_of(made), (numbers{1}));
    ASSERT_EQ(made.unmet.size(), 1u);
    EXPECT_NE(made.unmet[0].why.find("5 segments are not older than keep_for 4d4h (allow_younger lets them go)"),
              std::string::npos)
        << made.unmet[0].why;
    policy.allow_younger = true;
    EXPECT_EQ(deleted(policy, full), (numbers{1, 2, 3, 4, 5, 6}));
  }
}

TEST_F(Policy, years_are_calendar_years) {
  const auto at = [](std::string_view text) { return annals::parse_timestamp(text)->time; };
  using annals::parse_age;
  EXPECT_EQ(parse_age("7y")->before(at("2026-11-24T12:00:00Z")), at("2019-11-24T12:00:00Z"));
  EXPECT_EQ(parse_age("1y6d12h")->before(at("2026-11-24T12:00:00Z")), at("2025-11-18T00:00:00Z"));
  EXPECT_EQ(parse_age("1y")->before(at("2028-02-29T23:00:00Z")), at("2027-02-28T23:00:00Z"));
  EXPECT_EQ(parse_age("4y")->before(at("2028-02-29T23:00:00Z")), at("2024-02-29T23:00:00Z"));
  EXPECT_EQ(parse_age("365d")->before(at("2025-01-01T00:00:00Z")), at("2024-01-02T00:00:00Z"));
  for (const std::string_view text : {"7y", "1y6d12h", "365d", "400d1h", "1m30s", "0s"}) {
    EXPECT_EQ(annals::to_string(*parse_age(text)), text);
  }
  for (const std::string_view wrong : {"", "y", "1y1y", "1d1y", "-1y", "1001y", "1yx", "1 y", "0x1y"}) {
    EXPECT_FALSE(parse_age(wrong)) << wrong;
  }
}

TEST_F(Policy, what_goes_by_age_spares_older_numbers_from_going_by_size) {
  closed(100, 1h);  // the clock stepped back behind it
  closed(100, 1000h);
  closed(100, 1h);
  EXPECT_EQ(deleted({.keep_for = 24h, .keep_bytes = 200}), (numbers{2}));
}

TEST_F(Policy, a_held_segment_stays_and_is_named_where_a_limit_is_not_met) {
  closed(100, 48h).held_by = {"case-17"};
  closed(100, 48h);
  closed(100, 48h).held_by = {"case-17", "case-18"};
  closed(100, 48h);
  const prune_plan made = plan({.keep_for = 24h, .keep_segments = 1});
  EXPECT_EQ(numbers_of(made), (numbers{2}));
  ASSERT_EQ(made.unmet.size(), 2u);
  EXPECT_EQ(
      made.unmet[0].why,
      "keep_for 1d: 3 older segments stay: 2 segments are held (case-17, case-18), 4 is the last closed one, from which the "
      "numbers go on");
  EXPECT_EQ(made.unmet[1].why,
            "keep_segments 1: 3 stay: 2 segments are held (case-17, case-18), 4 is the last closed one, from which the numbers "
            "go on");
}

TEST_F(Policy, keep_for_may_be_longer_than_time_itself) {
  closed(100, 48h);
  closed(100);
  EXPECT_EQ(deleted({.keep_for = std::chrono::microseconds::max()}), numbers{});
}

// --- against an oracle ---------------------------------------------------------------------------------------------------

// The definition, said slowly: what is old and may go, goes; of the rest that may go, the shortest beginning whose removal
// meets every limit, or all of it. Where keep_for keeps what is younger, only the old goes.
std::set<std::uint64_t> oracle(const std::vector<segment_info>& segments, const retention_policy& policy,
                               const disk_space& space) {
  std::uint64_t highest = 0;
  for (const segment_info& one : segments) {
    if (one.state != segment_state::live) highest = std::max(highest, one.number);
  }
  std::set<std::uint64_t> old;
  numbers others;
  for (const segment_info& one : segments) {
    if (one.state == segment_state::live || one.number == highest || !one.held_by.empty()) continue;
    const bool is_old = policy.keep_for && one.last && *one.last < policy.keep_for->before(now);
    if (is_old) {
      old.insert(one.number);
    } else if (!policy.keep_for || policy.allow_younger) {
      others.push_back(one.number);
    }
  }
  for (std::size_t count = 0;; ++count) {
    std::set<std::uint64_t> gone = old;
    gone.insert(others.begin(), others.begin() + static_cast<std::ptrdiff_t>(count));
    std::uint64_t bytes = 0;
    std::uint64_t closed = 0;
    std::uint64_t freed = 0;
    for (const segment_info& one : segments) {
      if (gone.contains(one.number)) {
        freed += one.bytes_on_disk;
      } else {
        bytes += one.bytes_on_disk;
        closed += one.state == segment_state::live ? 0 : 1;
      }
    }
    const bool fits = (!policy.keep_bytes || bytes <= *policy.keep_bytes) &&
                      (!policy.keep_segments || closed <= *policy.keep_segments) &&
                      (!policy.keep_free || space.free_bytes + freed >= policy.keep_free->of(space.total_bytes));
    if (fits || count == others.size()) return gone;
  }
}

TEST(PolicyProperty, plans_are_those_of_the_slow_definition_in_order_and_each_with_a_reason) {
  const auto seed = std::random_device()();
  std::mt19937_64 random(seed);
  const auto upto = [&random](std::uint64_t most) { return std::uniform_int_distribution<std::uint64_t>(0, most)(random); };
  for (int round = 0; round < 20'000; ++round) {
    std::vector<segment_info> segments;
    std::uint64_t number = 1 + upto(3);
    for (std::uint64_t count = upto(9); count > 0; --count, number += 1 + upto(1)) {
      segment_info one{.number = number,
                       .state = upto(1) != 0 ? segment_state::closed : segment_state::compressed,
                       .path = "s",
                       .bytes_on_disk = upto(20)};
      if (upto(9) != 0) one.last = now - std::chrono::hours(upto(40)) + 5h;
      if (upto(4) == 0) one.held_by = {"h"};
      segments.push_back(one);
    }
    if (upto(3) != 0)
      segments.push_back({.number = number, .state = segment_state::live, .path = "l", .bytes_on_disk = upto(20)});
    retention_policy policy;
    if (upto(1) != 0) policy.keep_for = std::chrono::hours(upto(30));
    if (upto(1) != 0) policy.keep_bytes = upto(150);
    if (upto(1) != 0) policy.keep_segments = 1 + upto(8);
    if (upto(1) != 0)
      policy.keep_free = upto(1) != 0 ? space_amount{upto(120), 0} : space_amount{0, static_cast<std::uint32_t>(upto(10'000))};
    policy.allow_younger = upto(1) != 0;
    const disk_space space = {100 + upto(100), upto(100)};

    const prune_plan plan = plan_deletions(segments, policy, now, space);
    const numbers planned = numbers_of(plan);
    const std::set<std::uint64_t> expected = oracle(segments, policy, space);
    ASSERT_EQ(planned, numbers(expected.begin(), expected.end())) << "seed " << seed << ", round " << round;
    for (const annals::planned_deletion& one : plan.deletions) {
      ASSERT_FALSE(one.reasons.empty());
      ASSERT_FALSE(one.why.empty());
    }
    // What was decided is stable: the plan for what is left is empty, and has the same limits unmet.
    std::vector<segment_info> left;
    std::uint64_t freed = 0;
    for (const segment_info& one : segments) {
      if (expected.contains(one.number)) {
        freed += one.bytes_on_disk;
      } else {
        left.push_back(one);
      }
    }
    const prune_plan again = plan_deletions(left, policy, now, {space.total_bytes, space.free_bytes + freed});
    ASSERT_TRUE(again.deletions.empty()) << "seed " << seed << ", round " << round;
    ASSERT_EQ(again.unmet.size(), plan.unmet.size()) << "seed " << seed << ", round " << round;
  }
}

// --- amounts of space --------------------------------------------------------------------------------------------------------

TEST(SpaceAmount, is_bytes_or_a_share) {
  EXPECT_EQ(annals::parse_space("5GiB"), (space_amount{5ull << 30, 0}));
  EXPECT_EQ(annals::parse_space("1048576"), (space_amount{1048576, 0}));
  EXPECT_EQ(annals::parse_space("10%"), (space_amount{0, 1000}));
  EXPECT_EQ(annals::parse_space("0.25%"), (space_amount{0, 25}));
  EXPECT_EQ(annals::parse_space("0.5%"), (space_amount{0, 50}));
  EXPECT_EQ(annals::parse_space("100%"), (space_amount{0, 10'000}));
  EXPECT_EQ(annals::parse_space("100.01%"), std::nullopt);
  for (const std::string_view wrong :
       {"", "%", "-1%", "1 %", ".5%", "5.%", "1.234%", "1e1%", "0x1%", "5 GiB", "five", "1000%"}) {
    EXPECT_EQ(annals::parse_space(wrong), std::nullopt) << wrong;
  }
}

TEST(SpaceAmount, of_a_file_system_of_any_size_does_not_overflow) {
  EXPECT_EQ((space_amount{0, 1000}.of(1'000'000)), 100'000u);
  EXPECT_EQ((space_amount{0, 10'000}.of(UINT64_MAX)), UINT64_MAX);
  EXPECT_EQ((space_amount{7, 0}.of(1'000'000)), 7u);
}

TEST(SpaceAmount, is_shown_as_it_is_written) {
  for (const char* text : {"10%", "0.25%", "0.5%", "99.99%", "5GiB", "10GB", "64KiB", "1 bytes"}) {
    const auto read = annals::parse_space(std::string_view(text).ends_with(" bytes") ? "1" : text);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(annals::to_string(*read), text);
  }
}

}  // namespace
