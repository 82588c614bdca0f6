// SPDX-License-Identifier: Apache-2.0
//
// When a segment is closed: by size, time, the clock on the wall, the age of its first event; whatever the clock does.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
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
#include "support/long_lines.h"

namespace {

using namespace std::chrono_literals;
using annals::rotation::triggers;
using support::whole_log;

class rotating : public testing::Test {
 protected:
  void begin(triggers when) {
    log.reset();
    log = std::make_unique<annals::audit_logger>(
        annals::logger_options{.path = path,
                               .timestamps = annals::precision::microseconds,
                               .on_notice = [this](const annals::notice& n) { heard.push_back(n); },
                               .sink = std::make_unique<support::rotating_sink>(path, std::move(when))});
  }
  void at(std::string_view time) { calls.set_now(annals::parse_timestamp(time)->time); }
  void log_one() {
    const annals::receipt made = log->log_event("web", "x", {.fields = {{"number", number++}}});
    EXPECT_TRUE(made) << made.message();
  }
  void log_at(std::string_view time) {
    at(time);
    log_one();
  }
  // How many events the segments have, the live one last; all of them are there, in order.
  std::vector<int> counts() {
    const whole_log whole(path);
    std::vector<int> found;
    for (const auto& segment : whole.closed) found.push_back(static_cast<int>(support::lines_of(segment.path).size()));
    found.push_back(static_cast<int>(support::lines_of(path).size()));
    std::int64_t next = 0;
    for (const std::string& line : whole.lines) EXPECT_EQ(support::number_in(line, "number"), next++);
    EXPECT_EQ(next, number);
    return found;
  }

  support::temp_directory dir;
  support::faulty_calls calls;
  std::string path = dir / "audit.jsonl";
  std::vector<annals::notice> heard;
  std::unique_ptr<annals::audit_logger> log;
  int number = 0;
};

using counted = std::vector<int>;

TEST_F(rotating, by_size_lets_no_segment_grow_beyond_it) {
  begin(support::of_size(1000));
  for (int i = 0; i < 200; ++i) log_one();
  const whole_log whole(path);
  EXPECT_GT(whole.closed.size(), 10U);
  whole.expect_sizes(1000);
  for (const auto& segment : whole.closed) EXPECT_GT(std::filesystem::file_size(segment.path), 900U);
  counts();
}

TEST_F(rotating, by_size_gives_a_line_that_is_longer_a_segment_of_its_own) {
  begin(support::of_size(1000));
  log_one();
  EXPECT_TRUE(log->log_event("web", "long", {.detail = std::string(3000, 'x'), .fields = {{"number", number++}}}));
  log_one();
  EXPECT_EQ(counts(), (counted{1, 1, 1}));
}

TEST_F(rotating, by_size_cuts_a_batch_between_its_lines) {
  triggers when = support::of_size(1000);
  support::rotating_sink sink(path, when);
  std::string lines;
  for (int i = 0; i < 500; ++i)
    lines += "{\"number\":" + std::to_string(number++) + std::string(static_cast<std::size_t>(i % 40), ' ') + "}\n";
  sink.write({lines, 500, 1, calls.now()});
  const whole_log whole(path);
  whole.expect_sizes(1000);
  EXPECT_LE(std::filesystem::file_size(path), 1000U);
  counts();
}

TEST_F(rotating, by_size_counts_what_others_append_without_a_lock) {
  begin(support::of_size(2000));
  log_one();
  support::append_to(path, std::string(1900, ' ') + "\n");
  calls.advance(100ms);
  log_one();
  EXPECT_EQ(whole_log(path).closed.size(), 1U);
}

TEST_F(rotating, by_interval_counts_from_the_first_event) {
  triggers when;
  when.interval = 1h;
  begin(when);
  log_at("2026-03-07T12:00:00Z");
  log_at("2026-03-07T12:59:59Z");
  log_at("2026-03-07T13:00:00Z");
  log_at("2026-03-07T18:30:00Z");
  log_at("2026-03-07T19:00:00Z");
  EXPECT_EQ(counts(), (counted{2, 1, 2}));
  const whole_log whole(path);
  EXPECT_EQ(whole.closed.at(0).first_event(), "20260307T120000Z");
  EXPECT_EQ(whole.closed.at(1).first_event(), "20260307T130000Z");
}

TEST_F(rotating, by_the_clock_on_the_wall) {
  triggers when;
  when.align = annals::wall_unit::hour;
  begin(when);
  log_at("2026-03-07T12:59:59.999999Z");
  log_at("2026-03-07T13:00:00Z");
  log_at("2026-03-07T13:59:59Z");
  log_at("2026-03-07T17:01:00Z");
  EXPECT_EQ(counts(), (counted{1, 2, 1}));
}

TEST_F(rotating, by_the_clock_on_the_wall_of_a_zone) {
  triggers when;
  when.align = annals::wall_unit::day;
  when.zone = *annals::zone::named("Europe/Berlin");
  begin(when);
  log_at("2026-03-28T22:59:59Z");
  log_at("2026-03-28T23:00:00Z");
  log_at("2026-03-29T21:59:59Z");
  log_at("2026-03-29T22:00:00Z");
  EXPECT_EQ(counts(), (counted{1, 2, 1}));
}

TEST_F(rotating, by_age_looks_at_the_time_that_the_first_event_bears) {
  triggers when;
  when.age = 1h;
  begin(when);
  at("2026-03-07T12:00:00Z");
  const auto earlier = annals::timestamp{annals::parse_timestamp("2026-03-07T11:30:00Z")->time};
  EXPECT_TRUE(log->log_event("web", "x", {.fields = {{"number", number++}}, .ts = earlier}));
  log_at("2026-03-07T12:29:59Z");
  log_at("2026-03-07T12:30:00Z");
  EXPECT_EQ(counts(), (counted{2, 1}));
}

TEST_F(rotating, by_age_does_not_give_each_event_of_an_import_a_segment) {
  triggers when;
  when.age = 1h;
  begin(when);
  at("2026-03-07T12:00:00Z");
  const auto old = annals::timestamp{annals::parse_timestamp("1999-01-01T00:00:00Z")->time};
  for (int i = 0; i < 1000; ++i) {
    calls.advance(1ms);
    EXPECT_TRUE(log->log_event("web", "x", {.fields = {{"number", number++}}, .ts = old}));
  }
  EXPECT_EQ(counts(), (counted{1000}));
  log_at("2026-03-07T12:01:01Z");
  EXPECT_EQ(counts(), (counted{1000, 1}));
}

TEST_F(rotating, by_several_triggers_closes_when_the_first_of_them_asks) {
  triggers when = support::of_size(1000);
  when.interval = 1h;
  when.align = annals::wall_unit::day;
  begin(when);
  log_at("2026-03-07T22:00:00Z");
  log_at("2026-03-07T23:00:00Z");
  log_at("2026-03-08T00:00:00Z");
  for (int i = 0; i < 20; ++i) log_one();
  const auto found = counts();
  ASSERT_GE(found.size(), 4U);
  EXPECT_EQ(found[0], 1);
  EXPECT_EQ(found[1], 1);
  EXPECT_GE(heard.size(), 1U);
  EXPECT_EQ(heard[0].code, annals::notice_code::segment_closed);
  EXPECT_NE(heard[0].message.find("its interval is over"), std::string::npos) << heard[0].message;
}

TEST_F(rotating, by_time_never_closes_an_empty_segment) {
  triggers when;
  when.interval = 1s;
  when.align = annals::wall_unit::hour;
  support::write_file(path, "");
  begin(when);
  log_at("2026-03-07T12:30:00Z");
  EXPECT_EQ(counts(), (counted{1}));
  log_at("2026-03-07T17:00:00Z");
  EXPECT_EQ(counts(), (counted{1, 1}));
}

TEST_F(rotating, by_time_stays_calm_when_the_clock_is_put_back_and_forth_by_days) {
  triggers when;
  when.interval = 1h;
  when.align = annals::wall_unit::day;
  begin(when);
  for (int day = 1; day <= 9; ++day) {
    const std::string there = "2026-03-0" + std::to_string(day) + "T12:00:0";
    const std::string back = "2026-02-0" + std::to_string(day) + "T12:00:0";
    for (int i = 0; i < 5; ++i) log_at(there + std::to_string(i) + "Z");
    for (int i = 0; i < 5; ++i) log_at(back + std::to_string(i) + "Z");
  }
  const auto found = counts();
  EXPECT_GT(found.size(), 2U);
  EXPECT_LE(found.size(), 10U) << "at most once for a segment, each time the clock goes forward";
}

TEST_F(rotating, by_interval_fires_in_time_though_the_clock_was_put_back) {
  triggers when;
  when.interval = 1h;
  begin(when);
  log_at("2026-03-07T12:00:00Z");
  log_at("2026-03-01T12:00:00Z");
  log_at("2026-03-01T12:59:00Z");
  log_at("2026-03-01T13:00:00Z");
  EXPECT_EQ(counts(), (counted{3, 1}));
}

TEST_F(rotating, finds_the_beginning_of_the_segment_after_a_restart) {
  triggers when;
  when.interval = 1h;
  begin(when);
  log_at("2026-03-07T12:00:00Z");
  begin(when);
  log_at("2026-03-07T12:59:00Z");
  EXPECT_EQ(counts(), (counted{2}));
  begin(when);
  log_at("2026-03-07T13:00:00Z");
  EXPECT_EQ(counts(), (counted{2, 1}));
  // Also where the lock is not there any more: from the first line.
  log.reset();
  std::filesystem::remove(path + ".lock");
  begin(when);
  log_at("2026-03-07T14:00:00Z");
  EXPECT_EQ(counts(), (counted{2, 1, 1}));
}

TEST_F(rotating, takes_the_files_time_where_the_first_line_has_none) {
  support::write_file(path, "{\"number\":0}\n");
  ++number;
  begin({});
  log_one();
  const auto closed = annals::rotation::rotate(path);
  ASSERT_TRUE(closed && *closed);
  const whole_log whole(path);
  struct ::stat found;
  ASSERT_EQ(::stat(whole.closed.at(0).path.c_str(), &found), 0);
  const annals::time_point seconds{std::chrono::seconds(found.st_mtime)};
  EXPECT_EQ(whole.closed.at(0).path, annals::segment::closed_path(path, 1, seconds, false));
}

TEST_F(rotating, reads_the_time_of_a_first_line_that_others_wrote) {
  support::write_file(path, "{ \"number\" : 0, \"ts\" : \"2020-02-29T01:02:03+01:00\" }\n");
  ASSERT_TRUE(annals::rotation::rotate(path));
  EXPECT_EQ(whole_log(path).closed.at(0).first_event(), "20200229T000203Z");
}

constexpr std::size_t long_line_bytes[] = {1024 * 1024 + 1, annals::limits::line_bytes_ceiling - 1};

TEST_F(rotating, reads_the_time_of_a_first_line_of_any_legal_length) {
  const auto time = annals::parse_timestamp("2020-02-29T00:02:03Z")->time;
  for (const std::size_t bytes : long_line_bytes) {
    for (const auto whom : {support::written_by::annals, support::written_by::others}) {
      support::write_file(path, support::long_line(bytes, time, whom) + "\n");
      const auto closed = annals::rotation::rotate(path);
      ASSERT_TRUE(closed && *closed);
      EXPECT_NE((*closed)->path.find("-20200229T000203Z.jsonl"), std::string::npos) << (*closed)->path;
    }
  }
}

TEST_F(rotating, by_age_knows_the_age_of_a_first_line_of_any_legal_length) {
  const auto time = annals::parse_timestamp("2026-03-07T11:30:00Z")->time;
  for (const std::size_t bytes : long_line_bytes) {
    support::write_file(path, support::long_line(bytes, time, support::written_by::others) + "\n");
    triggers when;
    when.age = 1h;
    begin(when);
    log_at("2026-03-07T12:29:59Z");
    EXPECT_EQ(support::lines_of(path).size(), 2U);
    log_at("2026-03-07T12:31:00Z");
    EXPECT_EQ(support::lines_of(path).size(), 1U);
    log.reset();
  }
}

TEST(triggers, are_read_from_options) {
  const std::vector<annals::option> given = {{"size", annals::option_kind::text, "64MiB"},
                                             {"interval", annals::option_kind::text, "1d"},
                                             {"age", annals::option_kind::text, "12h"},
                                             {"align", annals::option_kind::text, "hour"},
                                             {"zone", annals::option_kind::text, "Europe/Berlin"}};
  annals::option_reader reader(given, "$.sink");
  const triggers when = annals::rotation::read_triggers(reader);
  EXPECT_NO_THROW(reader.finish());
  EXPECT_EQ(when.bytes_max, 64U << 20);
  EXPECT_EQ(when.interval, 24h);
  EXPECT_EQ(when.age, 12h);
  EXPECT_EQ(when.align, annals::wall_unit::hour);
  EXPECT_EQ(when.zone.at({}).offset, 1h);
}

TEST(triggers, that_make_no_sense_are_all_told_at_once) {
  const std::vector<annals::option> given = {
      {"size", annals::option_kind::integer, "10"},       {"interval", annals::option_kind::text, "soon"},
      {"age", annals::option_kind::text, "0s"},           {"align", annals::option_kind::text, "week"},
      {"zone", annals::option_kind::text, "Europe/Bern"}, {"sice", annals::option_kind::text, "1MiB"}};
  annals::option_reader reader(given, "$.sink");
  (void)annals::rotation::read_triggers(reader);
  EXPECT_EQ(reader.problems().size(), 6U);
  const std::vector<annals::option> zone_alone = {{"zone", annals::option_kind::text, "UTC"}};
  annals::option_reader second(zone_alone, "$.sink");
  (void)annals::rotation::read_triggers(second);
  EXPECT_EQ(second.problems().size(), 1U) << "a zone without align changes nothing";
}

}  // namespace
