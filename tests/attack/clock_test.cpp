// SPDX-License-Identifier: Apache-2.0
//
// A clock that does what it likes, under rotation by time: days back and forth, 1970, 2038, the end of the years that can be
// written, seconds that come twice. Events keep their order, nothing is overwritten, and segments are closed once for each time
// that the clock went forward at most.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.rotation;
import annals.segment;
import annals.rotation.zone;
#include "rotation/rotating.h"
#include "support/faulty_calls.h"

namespace {

using namespace std::chrono_literals;
using annals::rotation::triggers;

annals::time_point at(std::string_view text) {
  return annals::parse_timestamp(text)->time;
}

triggers by_everything() {
  triggers when;
  when.interval = 1h;
  when.age = 2h;
  when.align = annals::wall_unit::hour;
  return when;
}

class mad_clock : public testing::Test {
 protected:
  // A logger begins anew every so often: what it remembers is not what it relies on.
  void restart(bool with_lock_removed = false) {
    log_.reset();
    if (with_lock_removed) std::filesystem::remove(path_ + ".lock");
    annals::logger_options options;
    options.path = path_;
    options.on_error = [](const annals::error&) {};
    options.sink = std::make_unique<support::rotating_sink>(path_, by_everything());
    log_ = std::make_unique<annals::audit_logger>(std::move(options));
  }
  void log_at(annals::time_point now) {
    calls_.set_now(now);
    const annals::receipt made = log_->log_event("web", "x", {.fields = {{"number", number_}}});
    ASSERT_TRUE(made) << made.message();
    ++number_;
  }
  // All events, in order, and none but ours; how many segments are closed.
  std::size_t expect_order() {
    const support::whole_log whole(path_);
    std::int64_t next = 0;
    for (const std::string& line : whole.lines) EXPECT_EQ(support::number_in(line, "number"), next++);
    EXPECT_EQ(next, number_);
    return whole.closed.size();
  }

  const support::temp_directory directory_;
  const std::string path_ = directory_ / "audit.jsonl";
  support::faulty_calls calls_;
  std::unique_ptr<annals::audit_logger> log_;
  std::int64_t number_ = 0;
};

TEST_F(mad_clock, keeps_the_order_and_closes_no_segment_for_nothing) {
  const std::vector<std::string_view> epochs = {"1970-01-01T00:00:00Z", "2038-01-19T03:14:07Z", "2038-01-19T03:14:08Z",
                                                "9999-12-31T22:00:00Z", "2016-12-31T23:59:59Z", "2026-03-07T12:00:00Z",
                                                "1901-12-13T20:45:52Z", "2106-02-07T06:28:15Z"};
  std::mt19937_64 random(20261125);
  annals::time_point now = at("2026-03-07T12:00:00Z");
  std::size_t forward = 0;
  restart();
  for (int step = 0; step < 400; ++step) {
    const annals::time_point before = now;
    switch (random() % 4) {
      case 0: now += 24h; break;
      case 1: now -= 24h; break;
      case 2: now = at(epochs[random() % epochs.size()]); break;
      default: now += std::chrono::minutes(random() % 120); break;
    }
    if (now > at("9999-12-31T23:00:00Z")) now = at("9999-12-31T23:00:00Z");
    forward += now > before ? 1 : 0;
    if (random() % 10 == 0) restart(random() % 2 == 0);
    for (int i = 0; i < 3; ++i) log_at(now + std::chrono::milliseconds(i));
    ASSERT_FALSE(HasFatalFailure());
  }
  const std::size_t closed = expect_order();
  std::printf("%lld events, the clock went forward %zu times, %zu segments closed\n", static_cast<long long>(number_), forward,
              closed);
  EXPECT_LE(closed, forward);
  EXPECT_GT(closed, 50U);
}

TEST_F(mad_clock, that_repeats_a_second_at_the_end_of_a_year_closes_one_segment_for_the_new_hour) {
  restart();
  log_at(at("2016-12-31T23:59:58Z"));
  for (int i = 0; i < 10; ++i) log_at(at("2016-12-31T23:59:59Z") + std::chrono::milliseconds(100 * i));
  log_at(at("2017-01-01T00:00:00Z"));
  for (int i = 0; i < 10; ++i) log_at(at("2016-12-31T23:59:59Z") + std::chrono::milliseconds(100 * i));  // once more
  for (int i = 0; i < 10; ++i) log_at(at("2017-01-01T00:00:00Z") + std::chrono::milliseconds(100 * i));
  EXPECT_LE(expect_order(), 2U);
}

TEST_F(mad_clock, that_stands_still_or_runs_through_the_end_of_32_bits_closes_an_hour_at_a_time) {
  restart();
  for (int i = 0; i < 50; ++i) log_at(at("2038-01-19T03:14:07Z"));
  EXPECT_EQ(expect_order(), 0U);
  for (int i = 0; i < 6 * 12; ++i) log_at(at("2038-01-19T03:14:07Z") + i * 5min);
  EXPECT_EQ(expect_order(), 6U);
}

TEST_F(mad_clock, beyond_the_years_that_can_be_written_is_refused_in_words_and_forgotten) {
  restart();
  log_at(at("9999-12-31T23:59:59Z"));
  calls_.set_now(at("9999-12-31T23:59:59Z") + 1s);
  const annals::receipt late = log_->log_event("web", "x");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.cause()->code, annals::errc::invalid_time);
  calls_.set_now(annals::time_point::max());
  EXPECT_FALSE(log_->log_event("web", "x"));
  calls_.set_now(annals::time_point::min());
  EXPECT_FALSE(log_->log_event("web", "x"));
  log_at(at("2026-03-07T12:00:00Z"));
  log_at(at("2026-03-07T12:00:01Z"));
  EXPECT_LE(expect_order(), 1U);
}

}  // namespace
