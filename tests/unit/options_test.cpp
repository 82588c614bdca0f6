// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
import annals;

namespace {

using namespace std::chrono_literals;
using annals::option;
using annals::option_kind;

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
  EXPECT_EQ(said.find("$[\"a\\u000ab\"]: found \"x\\\"\\\\\\u001b[2J\\u000a\\u0000\xef\xbf\xbdyyy"), 0U) << said;
  EXPECT_NE(said.find("...\"; expected no options\n"), std::string::npos) << said;
}

TEST(shown_value, is_utf8_whatever_the_value_holds) {
  const auto shown = [](std::string text) { return annals::shown_value({"x", option_kind::text, std::move(text)}); };
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(shown("\xc3\xbc \xe2\x82\xac \xf0\x9f\x8e\x89"), "\"\xc3\xbc \xe2\x82\xac \xf0\x9f\x8e\x89\"");
  EXPECT_EQ(shown("\xc0\x80"), '"' + bad + bad + '"') << "overlong";
  EXPECT_EQ(shown("\xe0\x80\x80"), '"' + bad + bad + bad + '"') << "overlong";
  EXPECT_EQ(shown("\xed\xa0\x80"), '"' + bad + bad + bad + '"') << "a surrogate";
  EXPECT_EQ(shown("\xf4\x90\x80\x80"), '"' + bad + bad + bad + bad + '"') << "beyond U+10FFFF";
  EXPECT_EQ(shown("\xf0\x9f\x8e"), '"' + bad + '"') << "cut short";
  for (std::size_t before = 60; before <= 66; ++before) {
    const std::string text = std::string(before, 'y') + "\xf0\x9f\x8e\x89";
    const std::string said = shown(text + std::string(100, 'z'));
    EXPECT_EQ(said.find(bad), std::string::npos) << "cut within a character: " << said;
    EXPECT_TRUE(said.ends_with("...\"")) << said;
  }
  EXPECT_EQ(shown(std::string(100, '\x80')), "\"...\"");
  EXPECT_EQ(annals::shown_value({"x", option_kind::array, "[1,\"a\"]"}), "[1,\"a\"]");
}

TEST(shown_value, obeys_no_control_character_and_no_direction) {
  const auto shown = [](std::string text) { return annals::shown_value({"x", option_kind::text, std::move(text)}); };
  EXPECT_EQ(shown("\x1b\x7f\xc2\x9b\xc2\x85"), R"("\u001b\u007f\u009b\u0085")");
  // NOLINTNEXTLINE(misc-misleading-bidirectional): that is what it is about
  EXPECT_EQ(shown("\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8f"), R"("\u2028\u202e\u2066\u200f")");
  EXPECT_EQ(shown("\xc2\xa0\xe2\x80\xa7\xe2\x81\xaa"), "\"\xc2\xa0\xe2\x80\xa7\xe2\x81\xaa\"");
}

TEST(member_path, is_a_jsonpath_that_a_name_cannot_break_out_of) {
  EXPECT_EQ(annals::member_path("$", "path"), "$.path");
  EXPECT_EQ(annals::member_path("$.sink", "max_9"), "$.sink.max_9");
  EXPECT_EQ(annals::member_path("$", "$schema"), "$.$schema");
  EXPECT_EQ(annals::member_path("$", "max-bytes"), "$[\"max-bytes\"]");
  EXPECT_EQ(annals::member_path("$", ""), "$[\"\"]");
  EXPECT_EQ(annals::member_path("$", "9"), "$[\"9\"]");
  EXPECT_EQ(annals::member_path("$", "a: found 5; expected \""), "$[\"a: found 5; expected \\\"\"]");
  EXPECT_EQ(annals::member_path("$", std::string("a\0\n", 3)), "$[\"a\\u0000\\u000a\"]");
  EXPECT_LT(annals::member_path("$", std::string(1'000'000, 'x')).size(), 100U);
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
