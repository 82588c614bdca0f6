// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
import annals;

namespace {

using namespace std::chrono_literals;
using annals::option;
using annals::option_kind;

// --- units --------------------------------------------------------------------------------------------------------------

TEST(sizes, have_units_of_1000_and_of_1024) {
  EXPECT_EQ(annals::parse_size("0"), 0U);
  EXPECT_EQ(annals::parse_size("65536"), 65536U);
  EXPECT_EQ(annals::parse_size("12B"), 12U);
  EXPECT_EQ(annals::parse_size("64KiB"), 65536U);
  EXPECT_EQ(annals::parse_size("64KB"), 64000U);
  EXPECT_EQ(annals::parse_size("3MiB"), 3U << 20);
  EXPECT_EQ(annals::parse_size("1GB"), 1'000'000'000U);
  EXPECT_EQ(annals::parse_size("16TiB"), 16ULL << 40);
  EXPECT_EQ(annals::parse_size("18446744073709551615"), UINT64_MAX);
}

TEST(sizes, are_refused_when_they_are_none_or_do_not_fit) {
  for (const char* const text : {"", "KiB", "-1", "+1", "1.5MiB", "1 KiB", " 1", "1 ", "1kib", "1K", "1KiBs", "0x10", "1e3",
                                 "18446744073709551616", "16777216TiB", "99999999999999999999KB"}) {
    EXPECT_FALSE(annals::parse_size(text)) << text;
  }
}

TEST(durations, are_sums_of_units_from_the_larger_to_the_smaller) {
  EXPECT_EQ(annals::parse_duration("90s"), 90s);
  EXPECT_EQ(annals::parse_duration("1d12h"), 36h);
  EXPECT_EQ(annals::parse_duration("7y"), 24h * 365 * 7);
  EXPECT_EQ(annals::parse_duration("1w1d1h1m1s1ms1us"), 24h * 8 + 1h + 1min + 1s + 1ms + 1us);
  EXPECT_EQ(annals::parse_duration("250ms"), 250ms);
  EXPECT_EQ(annals::parse_duration("0s"), 0s);
  EXPECT_EQ(annals::parse_duration("2m30s"), 150s);
}

TEST(durations, are_refused_when_they_are_none_or_do_not_fit) {
  for (const char* const text :
       {"", "5", "s", "1h1h", "1s1m", "-1s", "1.5h", "1h 30m", "1min", "1H", "300000y", "99999999999999999999s", "292472y"}) {
    EXPECT_FALSE(annals::parse_duration(text)) << text;
  }
}

TEST(nearest_name, finds_what_was_likely_meant) {
  const std::array<std::string_view, 4> known = {"path", "plugin_directories", "sink", "timestamps"};
  EXPECT_EQ(annals::nearest_name("paht", known), "path");
  EXPECT_EQ(annals::nearest_name("pth", known), "path");
  EXPECT_EQ(annals::nearest_name("plugin_directory", known), "plugin_directories");
  EXPECT_EQ(annals::nearest_name("timestamp", known), "timestamps");
  EXPECT_EQ(annals::nearest_name("sync", known), std::nullopt);
  EXPECT_EQ(annals::nearest_name("", known), std::nullopt);
  EXPECT_EQ(annals::nearest_name("colour", known), std::nullopt);
  EXPECT_EQ(annals::nearest_name(std::string(100'000, 'x'), known), std::nullopt);
}

// --- the reader ---------------------------------------------------------------------------------------------------------

std::string problems_of(annals::option_reader& reader) {
  std::string all;
  for (const annals::option_problem& one : reader.problems()) all += to_string(one) + "\n";
  return all;
}

TEST(option_reader, gives_what_is_there_and_nothing_for_what_is_not) {
  const std::vector<option> given = {{"name", option_kind::text, "x"},      {"yes", option_kind::boolean, "true"},
                                     {"count", option_kind::integer, "-3"}, {"size", option_kind::text, "1KiB"},
                                     {"bytes", option_kind::integer, "7"},  {"time", option_kind::text, "1m"},
                                     {"list", option_kind::array, "[1]"},   {"form", option_kind::text, "json"}};
  annals::option_reader reader(given, "$");
  EXPECT_EQ(reader.text("name"), "x");
  EXPECT_EQ(reader.boolean("yes"), true);
  EXPECT_EQ(reader.integer("count", -5, 5), -3);
  EXPECT_EQ(reader.size("size", 1, 4096), 1024U);
  EXPECT_EQ(reader.size("bytes", 1, 4096), 7U);
  EXPECT_EQ(reader.duration("time", 1s, 1h), 1min);
  EXPECT_EQ(reader.json("list", option_kind::array), "[1]");
  EXPECT_EQ(reader.choice("form", {"pretty", "json"}), 1U);
  EXPECT_EQ(reader.text("absent"), std::nullopt);
  EXPECT_TRUE(reader.problems().empty());
  reader.finish();
}

TEST(option_reader, tells_every_problem_at_once_with_place_value_and_expectation) {
  const std::vector<option> given = {{"name", option_kind::integer, "5"},        {"yes", option_kind::text, "true"},
                                     {"count", option_kind::integer, "9"},       {"size", option_kind::text, "12 parsecs"},
                                     {"time", option_kind::text, "2h"},          {"form", option_kind::text, "jsno"},
                                     {"list", option_kind::object, "{\"a\":1}"}, {"cuont", option_kind::integer, "1"}};
  annals::option_reader reader(given, "$.sink");
  EXPECT_FALSE(reader.text("name"));
  EXPECT_FALSE(reader.boolean("yes"));
  EXPECT_FALSE(reader.integer("count", -5, 5));
  EXPECT_FALSE(reader.size("size", 1, 4096));
  EXPECT_FALSE(reader.duration("time", 1s, 1h));
  EXPECT_FALSE(reader.choice("form", {"pretty", "json"}));
  EXPECT_FALSE(reader.json("list", option_kind::array));
  reader.require("path", "the path of a file");
  EXPECT_EQ(problems_of(reader),
            "$.sink.name: found 5; expected a text, not empty, without NUL\n"
            "$.sink.yes: found \"true\"; expected true or false\n"
            "$.sink.count: found 9; expected an integer from -5 to 5\n"
            "$.sink.size: found \"12 parsecs\"; expected a size from 1 to 4KiB, like \"64KiB\"\n"
            "$.sink.time: found \"2h\"; expected a length of time from \"1s\" to \"1h\", like \"1h30m\"\n"
            "$.sink.form: found \"jsno\"; expected \"pretty\" or \"json\" (did you mean \"json\"?)\n"
            "$.sink.list: found {\"a\":1}; expected an array\n"
            "$.sink.path: missing; expected the path of a file\n"
            "$.sink.cuont: found 1; expected one of \"name\", \"yes\", \"count\", \"size\", \"time\", \"form\" or \"list\""
            " (did you mean \"count\"?)\n");
  try {
    reader.finish();
    FAIL() << "expected it to throw";
  } catch (const annals::failure& thrown) {
    EXPECT_EQ(thrown.cause().code, annals::errc::invalid_config);
    EXPECT_EQ(std::string(thrown.what()) + "\n", problems_of(reader));
  }
}

TEST(option_reader, shows_values_so_that_they_cannot_pass_for_its_own_words) {
  const std::vector<option> given = {
      {"a\nb", option_kind::text, std::string("x\"\\\x1b[2J\n\0\xff", 10) + std::string(100, 'y')}};
  annals::option_reader reader(given, "$");
  const std::string said = problems_of(reader);
  EXPECT_EQ(said.find("$.a\\u000ab: found \"x\\\"\\\\\\u001b[2J\\u000a\\u0000\xef\xbf\xbdyyy"), 0U) << said;
  EXPECT_NE(said.find("...\"; expected no options\n"), std::string::npos) << said;
}

TEST(option_reader, takes_integers_only_where_they_are_whole_and_fit) {
  for (const char* const text : {"1e3", "1.0", "99999999999999999999", "-99999999999999999999", "", "0x1"}) {
    const std::vector<option> given = {{"n", option_kind::integer, text}};
    annals::option_reader reader(given, "$");
    EXPECT_FALSE(reader.integer("n", INT64_MIN, INT64_MAX)) << text;
    EXPECT_EQ(reader.problems().size(), 1U);
  }
}

}  // namespace
