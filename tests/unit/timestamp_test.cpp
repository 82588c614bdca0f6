// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
import annals;

namespace {

using annals::precision;
using annals::timestamp;
using namespace std::chrono;

timestamp at(std::int64_t unix_seconds, std::int64_t micros = 0, precision digits = precision::seconds) {
  return {annals::time_point(seconds(unix_seconds) + microseconds(micros)), digits};
}

TEST(format_timestamp, writes_utc_with_the_digits_asked_for_and_cuts_the_rest) {
  EXPECT_EQ(to_string(at(1772884800)), "2026-03-07T12:00:00+00:00");
  EXPECT_EQ(to_string(at(1772884800, 999'999)), "2026-03-07T12:00:00+00:00");
  EXPECT_EQ(to_string(at(1772884800, 999'999, precision::milliseconds)), "2026-03-07T12:00:00.999+00:00");
  EXPECT_EQ(to_string(at(1772884800, 1, precision::microseconds)), "2026-03-07T12:00:00.000001+00:00");
}

TEST(format_timestamp, knows_the_time_before_1970_and_leap_days) {
  EXPECT_EQ(to_string(at(-1, 0)), "1969-12-31T23:59:59+00:00");
  EXPECT_EQ(to_string(timestamp{annals::time_point(microseconds(-1)), precision::microseconds}),
            "1969-12-31T23:59:59.999999+00:00");
  EXPECT_EQ(to_string(at(951782400)), "2000-02-29T00:00:00+00:00");
  EXPECT_EQ(to_string(at(-62167219200)), "0000-01-01T00:00:00+00:00");
  EXPECT_EQ(to_string(at(253402300799)), "9999-12-31T23:59:59+00:00");
}

TEST(format_timestamp, refuses_years_that_four_digits_cannot_hold) {
  EXPECT_EQ(to_string(at(253402300800)), "");
  EXPECT_EQ(to_string(at(-62167219201)), "");
  EXPECT_EQ(to_string(timestamp{annals::time_point::max(), precision::seconds}), "");
  EXPECT_EQ(to_string(timestamp{annals::time_point::min(), precision::seconds}), "");
}

TEST(format_timestamp, is_not_confused_by_times_that_go_back_and_forth) {
  for (const std::int64_t second : std::initializer_list<std::int64_t>{100, 50, 100, 200, 50, 50, 253402300800, 100}) {
    const std::string once = to_string(at(second));
    EXPECT_EQ(to_string(at(second)), once);
  }
  EXPECT_EQ(to_string(at(100)), "1970-01-01T00:01:40+00:00");
}

TEST(parse_timestamp, reads_what_format_timestamp_writes) {
  for (const precision digits : {precision::seconds, precision::milliseconds, precision::microseconds}) {
    const timestamp written = at(1772884800,
                                 digits == precision::seconds        ? 0
                                 : digits == precision::milliseconds ? 123'000
                                                                     : 123'456,
                                 digits);
    EXPECT_EQ(annals::parse_timestamp(to_string(written)), written) << to_string(written);
  }
}

TEST(parse_timestamp, brings_every_offset_to_utc) {
  EXPECT_EQ(annals::parse_timestamp("2026-03-07T12:00:00Z"), at(1772884800));
  EXPECT_EQ(annals::parse_timestamp("2026-03-07t12:00:00z"), at(1772884800));
  EXPECT_EQ(annals::parse_timestamp("2026-03-07 14:30:00+02:30"), at(1772884800));
  EXPECT_EQ(annals::parse_timestamp("2026-03-07T04:00:00-08:00"), at(1772884800));
  EXPECT_EQ(annals::parse_timestamp("2026-03-07T12:00:00.5Z"), at(1772884800, 500'000, precision::milliseconds));
  EXPECT_EQ(annals::parse_timestamp("2026-03-07T12:00:00.1234567899Z"), at(1772884800, 123'456, precision::microseconds));
}

TEST(parse_timestamp, reads_offsets_as_iso_8601_has_them) {
  EXPECT_EQ(annals::parse_timestamp("2026-03-07T14:00:00+0200"), at(1772884800));
  EXPECT_EQ(annals::parse_timestamp("2026-03-07T14:00:00+02"), at(1772884800));
  EXPECT_EQ(annals::parse_timestamp("2026-03-07T06:30:00-0530"), at(1772884800));
}

TEST(parse_timestamp, reads_a_leap_second_as_the_last_microsecond_of_its_day) {
  const auto last = at(1483228799, 999'999).time;  // 2016-12-31
  for (const std::string_view text :
       {"2016-12-31T23:59:60Z", "2016-12-31T23:59:60.5+00:00", "2016-12-31T15:59:60-08:00", "2017-01-01T00:59:60+0100"}) {
    ASSERT_TRUE(annals::parse_timestamp(text)) << text;
    EXPECT_EQ(annals::parse_timestamp(text)->time, last) << text;
  }
}

TEST(parse_timestamp, refuses_everything_else) {
  for (const std::string_view text : {"",
                                      "2026",
                                      "2026-03-07",
                                      "2026-03-07T12:00:00",
                                      "2026-03-07T12:00Z",
                                      "2026-02-29T12:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-03-07T24:00:00Z",
                                      "2026-03-07T12:60:00Z",
                                      "2026-03-07T12:59:60Z",
                                      "2026-03-07T23:58:60Z",
                                      "2026-03-07T23:59:61Z",
                                      "2026-03-07T23:59:60+01:00",
                                      "2026-03-07T12:00:00.Z",
                                      "2026-03-07T12:00:00+2",
                                      "2026-03-07T12:00:00+02:",
                                      "2026-03-07T12:00:00+020",
                                      "2026-03-07T12:00:00+02:0",
                                      "2026-03-07T12:00:00+02000",
                                      "2026-03-07T12:00:00+",
                                      "2026-03-07T12:00:00+24:00",
                                      "2026-03-07T12:00:00Z ",
                                      " 2026-03-07T12:00:00Z",
                                      "+2026-03-07T12:00:00Z",
                                      "20x6-03-07T12:00:00Z",
                                      "2026-03-07T12:00:00+02:00Z",
                                      "0000-01-01T00:00:00+00:01",
                                      "9999-12-31T23:59:59-00:01"}) {
    EXPECT_EQ(annals::parse_timestamp(text), std::nullopt) << text;
  }
}

}  // namespace
