// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

import annals;

namespace {

using annals::json::time_of;

const annals::time_point nine = annals::parse_timestamp("2026-11-23T09:00:00Z")->time;
const annals::time_point ten = annals::parse_timestamp("2026-11-23T10:00:00Z")->time;

TEST(time_of, a_line_is_the_time_that_its_event_has) {
  for (const std::string_view line :
       {R"({"ts":"2026-11-23T09:00:00+00:00","container":"web"})", R"({"container":"web","ts":"2026-11-23T09:00:00Z"})",
        R"( { "ts" : "2026-11-23T10:00:00+01:00" } )", R"({"ts":"2026-11-23T10:00:00Z","ts":"2026-11-23T09:00:00Z"})",
        R"({"ts":"2026-11-23T10:00:00Z","t\u0073":"2026-11-23T09:00:00Z"})", R"({"ts":"2026\u002d11-23T09:00:00Z"})",
        R"({"ts":"2026-11-23T09:00:00Z","o":{"ts":"2026-11-23T10:00:00Z"}})",
        R"({"o":{"ts":"2026-11-23T10:00:00Z"},"ts":"2026-11-23T09:00:00Z"})",
        R"({"ts":"2026-11-23T09:00:00Z","detail":"\"ts\":\"2026-11-23T10:00:00Z\""})"}) {
    const auto read = time_of(line);
    EXPECT_TRUE(read.is_event) << line;
    EXPECT_EQ(read.time, nine) << line;
    const auto event = annals::json::decode_line(line);
    ASSERT_TRUE(event) << line;
    EXPECT_EQ(annals::parse_timestamp(event->ts)->time, nine) << line;
  }
}

TEST(time_of, an_event_without_a_time_is_none) {
  for (const std::string_view line :
       {R"({})", R"({"ts":17})", R"({"ts":"yesterday"})", R"({"ts":"2026-11-23T09:00:00Z","ts":null})",
        R"({"o":{"ts":"2026-11-23T09:00:00Z"}})", R"({"ts":"2026-02-30T09:00:00Z"})"}) {
    const auto read = time_of(line);
    EXPECT_TRUE(read.is_event) << line;
    EXPECT_EQ(read.time, std::nullopt) << line;
  }
}

TEST(time_of, a_partial_line_is_the_one_it_begins_with) {
  const auto read = time_of(R"({"ts":"2026-11-23T09:00:00+00:00","conta)");
  EXPECT_FALSE(read.is_event);
  EXPECT_EQ(read.time, nine);
}

TEST(time_of, an_event_behind_a_partial_line_is_the_one_that_readers_see) {
  const auto read = time_of(R"({"ts":"2026-11-23T09:00:00+00:00","conta{"ts":"2026-11-23T10:00:00+00:00","action":"x"})");
  EXPECT_TRUE(read.is_event);
  EXPECT_EQ(read.time, ten);
}

TEST(time_of, what_is_no_event_is_not_known) {
  for (const std::string_view line : {std::string_view(""), std::string_view("\0\0\0", 3), std::string_view("text"),
                                      std::string_view(R"(["ts"])"), std::string_view(R"({"ts":"2026-11-23T09:0)"),
                                      std::string_view(R"({"ts":"2026-11-23T09:00:00Z","o":{"ts":"2026-11-23T10:00:00Z")"),
                                      std::string_view(R"({"container":"web","ts":"2026-11-23T09:00:00Z")")}) {
    const auto read = time_of(line);
    EXPECT_FALSE(read.is_event) << line;
    EXPECT_EQ(read.time, std::nullopt) << line;
  }
}

}  // namespace
