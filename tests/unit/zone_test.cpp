// SPDX-License-Identifier: Apache-2.0
//
// Offsets and beginnings of hours and days, in zones whose clocks are put forward and back; held against localtime_r(3).
#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.rotation.zone;

namespace {

using annals::wall_unit;
using annals::zone;
using std::chrono::seconds;
using std::chrono::sys_seconds;

annals::time_point at(std::string_view text) {
  const auto parsed = annals::parse_timestamp(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? parsed->time : annals::time_point();
}

std::string text_of(annals::time_point time) {
  return annals::to_string(annals::timestamp{time, annals::precision::seconds});
}

zone named(const std::string& name) {
  auto found = zone::named(name);
  EXPECT_TRUE(found) << (found ? "" : found.error().message);
  return found ? *found : zone();
}

// The beginnings in a stretch of time, in UTC.
std::vector<std::string> beginnings(const zone& z, std::string_view from, std::string_view to, wall_unit unit) {
  std::vector<std::string> found;
  for (annals::time_point time = z.next(at(from), unit); time <= at(to); time = z.next(time, unit)) {
    found.push_back(text_of(time).substr(5, 11));
  }
  return found;
}

using texts = std::vector<std::string>;

TEST(zone, utc_has_beginnings_where_they_are_expected) {
  EXPECT_EQ(text_of(zone().next(at("2026-03-07T12:34:56Z"), wall_unit::hour)), "2026-03-07T13:00:00+00:00");
  EXPECT_EQ(text_of(zone().next(at("2026-03-07T13:00:00Z"), wall_unit::hour)), "2026-03-07T14:00:00+00:00");
  EXPECT_EQ(text_of(zone().next(at("2026-03-07T12:59:59.999999Z"), wall_unit::hour)), "2026-03-07T13:00:00+00:00");
  EXPECT_EQ(text_of(zone().next(at("2024-02-28T12:00:00Z"), wall_unit::day)), "2024-02-29T00:00:00+00:00");
  EXPECT_EQ(text_of(zone().next(at("1969-12-31T23:30:00Z"), wall_unit::day)), "1970-01-01T00:00:00+00:00");
  EXPECT_EQ(text_of(zone().next(at("1950-06-01T00:00:01Z"), wall_unit::day)), "1950-06-02T00:00:00+00:00");
}

TEST(zone, berlin_has_a_day_of_23_hours_and_one_of_25) {
  const zone berlin = named("Europe/Berlin");
  EXPECT_EQ(beginnings(berlin, "2026-03-28T22:59:00Z", "2026-03-30T12:00:00Z", wall_unit::day),
            (texts{"03-28T23:00", "03-29T22:00"}));
  EXPECT_EQ(beginnings(berlin, "2026-10-24T21:59:00Z", "2026-10-26T12:00:00Z", wall_unit::day),
            (texts{"10-24T22:00", "10-25T23:00"}));
}

TEST(zone, an_hour_that_is_left_out_and_one_that_comes_twice_have_their_beginnings) {
  const zone berlin = named("Europe/Berlin");
  EXPECT_EQ(beginnings(berlin, "2026-03-28T23:30:00Z", "2026-03-29T02:30:00Z", wall_unit::hour),
            (texts{"03-29T00:00", "03-29T01:00", "03-29T02:00"}));
  EXPECT_EQ(beginnings(berlin, "2026-10-24T23:30:00Z", "2026-10-25T02:30:00Z", wall_unit::hour),
            (texts{"10-25T00:00", "10-25T01:00", "10-25T02:00"}));
}

TEST(zone, a_midnight_that_is_left_out_begins_the_day_when_the_clock_is_put) {
  // Sao Paulo, 2018-11-04: 00:00 became 01:00.
  EXPECT_EQ(beginnings(named("America/Sao_Paulo"), "2018-11-03T12:00:00Z", "2018-11-05T12:00:00Z", wall_unit::day),
            (texts{"11-04T03:00", "11-05T02:00"}));
}

TEST(zone, a_midnight_that_comes_twice_begins_the_day_once) {
  // Sao Paulo, 2018-02-18: 00:00 became 23:00 of the day before. Havana, 2023-11-05: 01:00 became 00:00.
  EXPECT_EQ(beginnings(named("America/Sao_Paulo"), "2018-02-17T12:00:00Z", "2018-02-19T12:00:00Z", wall_unit::day),
            (texts{"02-18T03:00", "02-19T03:00"}));
  EXPECT_EQ(beginnings(named("America/Havana"), "2023-11-04T12:00:00Z", "2023-11-06T12:00:00Z", wall_unit::day),
            (texts{"11-05T04:00", "11-06T05:00"}));
}

TEST(zone, a_date_that_is_left_out_is_left_out) {
  // Samoa went over the date line: behind 2011-12-29 came the 31st.
  EXPECT_EQ(beginnings(named("Pacific/Apia"), "2011-12-29T12:00:00Z", "2012-01-01T00:00:00Z", wall_unit::day),
            (texts{"12-30T10:00", "12-31T10:00"}));
}

TEST(zone, offsets_of_half_and_quarter_hours_move_the_beginnings) {
  EXPECT_EQ(text_of(named("Asia/Kathmandu").next(at("2026-01-01T00:00:00Z"), wall_unit::hour)), "2026-01-01T00:15:00+00:00");
  // Lord Howe puts its clock by half an hour: 02:00 becomes 01:30.
  EXPECT_EQ(beginnings(named("Australia/Lord_Howe"), "2026-04-04T13:30:00Z", "2026-04-04T17:00:00Z", wall_unit::hour),
            (texts{"04-04T14:00", "04-04T15:30", "04-04T16:30"}));
}

TEST(zone, offsets_are_those_of_the_system_at_all_times) {
  for (const char* const name :
       {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "America/Sao_Paulo",
        "Europe/Dublin", "Asia/Kolkata", "Antarctica/Troll", "America/Nuuk"}) {
    const zone z = named(name);
    ::setenv("TZ", (std::string(":") + name).c_str(), 1);
    ::tzset();
    for (std::int64_t time = -4'000'000'000; time < 8'000'000'000; time += 1'234'577) {
      const ::time_t asked = time;
      struct ::tm wall;
      ASSERT_NE(::localtime_r(&asked, &wall), nullptr);
      ASSERT_EQ(z.at(sys_seconds(seconds(time))).offset.count(), wall.tm_gmtoff) << name << " at " << time;
    }
    ::unsetenv("TZ");
    ::tzset();
  }
}

TEST(zone, spans_end_where_the_offset_changes) {
  const auto expect_spans = [](const zone& z, const char* from) {
    sys_seconds time = std::chrono::floor<seconds>(at(from));
    for (int i = 0; i < 6; ++i) {
      const auto span = z.at(time);
      ASSERT_LT(time, span.until);
      EXPECT_EQ(z.at(span.until - seconds(1)).offset, span.offset);
      EXPECT_NE(z.at(span.until).offset, span.offset);
      time = span.until;
    }
  };
  expect_spans(named("Europe/Berlin"), "1985-01-01T00:00:00Z");
  expect_spans(named("Europe/Berlin"), "2019-01-01T00:00:00Z");
  expect_spans(*zone::from_rule("CET-1CEST,M3.5.0,M10.5.0/3"), "2099-01-01T00:00:00Z");
}

TEST(zone, rules_of_all_forms_are_read) {
  EXPECT_EQ(zone::from_rule("EST5")->at({}).offset, -std::chrono::hours(5));
  EXPECT_EQ(zone::from_rule("<-0330>3:30")->at({}).offset, -std::chrono::minutes(210));
  // Summer from the 100th day, leap days not counted, to day 299, from zero, leap days counted.
  const auto julian = zone::from_rule("ABC-2DEF,J100/1,299/2:30:15");
  ASSERT_TRUE(julian);
  EXPECT_EQ(text_of(julian->at(std::chrono::floor<seconds>(at("2024-02-01T00:00:00Z"))).until), "2024-04-09T23:00:00+00:00");
  EXPECT_EQ(text_of(julian->at(std::chrono::floor<seconds>(at("2024-06-01T00:00:00Z"))).until), "2024-10-25T23:30:15+00:00");
  for (const char* const wrong : {"", "AB5", "EST", "EST5EDT", "EST5EDT,M3", "EST5EDT,M13.1.0,M11.1.0",
                                  "EST5EDT,M3.6.0,M11.1.0", "EST5EDT,M3.2.7,M11.1.0", "EST5EDT,J0,J5", "EST5EDT,366,5", "EST25",
                                  "<EST5", "EST5x", "EST5EDT,M3.2.0,M11.1.0,", "EST5EDT,M3.2.0/168,M11.1.0"}) {
    EXPECT_FALSE(zone::from_rule(wrong)) << wrong;
  }
}

TEST(zone, a_file_that_is_cut_or_changed_anywhere_is_refused_or_read_but_nothing_worse) {
  const std::string whole = support::content_of("/usr/share/zoneinfo/Europe/Berlin");
  ASSERT_TRUE(zone::from_file(whole, "whole"));
  for (std::size_t bytes = 0; bytes < whole.size() - 1; ++bytes) EXPECT_FALSE(zone::from_file(whole.substr(0, bytes), "cut"));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const char mask : {'\x01', '\x80', '\xff'}) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ mask);
      const auto read = zone::from_file(changed, "changed");
      if (read) (void)read->next(at("2026-03-07T12:00:00Z"), wall_unit::day);
    }
  }
}

TEST(zone, names_that_are_none_are_refused_with_what_was_expected) {
  for (const char* const wrong : {"", "/etc/passwd", "../../etc/passwd", "Europe/..", "Europe\n", "No/Such", "Europe"}) {
    const auto found = zone::named(wrong);
    ASSERT_FALSE(found) << wrong;
    EXPECT_NE(found.error().message.find("cannot use the time zone"), std::string::npos) << found.error().message;
  }
}

TEST(zone, local_is_what_the_environment_says) {
  for (const auto& [said, offset] : {std::pair{":Asia/Kolkata", 19800}, {"Asia/Kolkata", 19800}, {"XYZ-3", 10800}}) {
    ::setenv("TZ", said, 1);
    EXPECT_EQ(named("local").at(sys_seconds(seconds(1'800'000'000))).offset.count(), offset) << said;
  }
  ::unsetenv("TZ");
  EXPECT_TRUE(zone::named("local"));
}

}  // namespace
