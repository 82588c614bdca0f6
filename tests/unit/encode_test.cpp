// SPDX-License-Identifier: Apache-2.0
//
// The golden lines were made with the reference implementation, Python's json.dumps.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/temp_directory.h"
import annals;

namespace {

using annals::errc;
using annals::event_details;
using annals::field;
using annals::raw_json;

std::string encoded(std::string_view container, std::string_view action, const event_details& details = {},
                    std::string_view ts = "2026-03-07T12:00:00+00:00") {
  const annals::json::line_parts parts = {ts, container, action, details};
  const auto bytes = annals::json::line_bytes(parts);
  std::string line(annals::json::line_bytes_bound(parts), '#');
  const auto written = annals::json::encode_line(parts, line.data());
  if (!bytes || !written) {
    EXPECT_EQ(static_cast<bool>(bytes), static_cast<bool>(written));
    return "error: " + (written ? std::string() : written.error().message);
  }
  EXPECT_EQ(*bytes, *written);
  EXPECT_LE(*written, line.size());
  line.resize(*written);
  EXPECT_EQ(line.back(), '\n');
  line.pop_back();
  return line;
}

std::optional<errc> refusal(const event_details& details) {
  std::string out(1 << 20, '#');
  const auto written = annals::json::encode_line({"", "c", "a", details}, out.data());
  if (written) return std::nullopt;
  return written.error().code;
}

// The line's part behind the action.
std::string encoded_field(annals::field_value value) {
  const std::string line = encoded("", "", {.fields = {{"k", value}}}, "");
  const std::string before = R"({"ts":"","container":"","action":"","k":)";
  EXPECT_TRUE(line.starts_with(before)) << line;
  return line.substr(before.size(), line.size() - before.size() - 1);
}

std::optional<std::string> from_hex(const boost::json::value& hex) {
  if (hex.is_null()) return std::nullopt;
  const auto& digits = hex.as_string();
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(digits.data() + i, 2), nullptr, 16)));
  }
  return bytes;
}

TEST(encode_line, writes_every_golden_line_byte_for_byte) {
  const auto cases = support::lines_of(GOLDEN_DIRECTORY "/lines.jsonl");
  ASSERT_GE(cases.size(), 400U);
  for (const std::string& text : cases) {
    const boost::json::object golden = boost::json::parse(text).as_object();
    const double unix_time = golden.at("unix").to_number<double>();
    const std::string_view timespec = golden.at("timespec").as_string();
    const annals::timestamp ts = {annals::time_point(std::chrono::microseconds(std::llround(unix_time * 1e6))),
                                  timespec == "seconds"        ? annals::precision::seconds
                                  : timespec == "milliseconds" ? annals::precision::milliseconds
                                                               : annals::precision::microseconds};
    const auto dest = from_hex(golden.at("dest"));
    const auto detail = from_hex(golden.at("detail"));
    event_details details;
    details.dest = dest;
    details.detail = detail;
    const std::string line = encoded(*from_hex(golden.at("container")), *from_hex(golden.at("action")), details, to_string(ts));
    EXPECT_EQ(line, std::string_view(golden.at("line").as_string())) << golden.at("name");
  }
}

TEST(encode_line, finds_what_needs_escaping_at_every_place_of_a_string) {
  for (const char special : {'"', '\\', '\n', '\x01', '\x1f', '\x7f', '\x80', '\xff'}) {
    for (std::size_t length = 1; length <= 40; ++length) {
      for (std::size_t place = 0; place < length; ++place) {
        std::string text(length, 'a');
        text[place] = special;
        const std::string line = encoded("", "", {.dest = text}, "");
        const auto back = annals::json::decode_line(line);
        ASSERT_TRUE(back) << line;
        const bool invalid = static_cast<unsigned char>(special) >= 0x80;
        const std::string expected = invalid ? text.substr(0, place) + "\xef\xbf\xbd" + text.substr(place + 1) : text;
        ASSERT_EQ(*back->dest, expected);
        for (const char c : line) ASSERT_TRUE(c >= 0x20 && c < 0x7f) << line;
      }
    }
  }
}

TEST(encode_line, writes_extra_fields_of_every_type_in_the_order_given) {
  const std::string name = "text";
  EXPECT_EQ(encoded("web", "allowed",
                    {.fields = {{name, "a\"b"},
                                {"n", -17},
                                {"u", std::numeric_limits<std::uint64_t>::max()},
                                {"min", std::numeric_limits<std::int64_t>::min()},
                                {"d", 0.1},
                                {"t", true},
                                {"f", false},
                                {"null", nullptr},
                                {"raw", raw_json{"[1,{\"a\":2}]"}}}},
                    "T"),
            R"({"ts":"T","container":"web","action":"allowed","text":"a\"b","n":-17,"u":18446744073709551615,)"
            R"("min":-9223372036854775808,"d":0.1,"t":true,"f":false,"null":null,"raw":[1,{"a":2}]})");
}

TEST(encode_line, escapes_the_names_of_fields) {
  EXPECT_EQ(encoded("", "", {.fields = {{"a\"\n\xff", 1}, {"", 2}}}, ""),
            R"({"ts":"","container":"","action":"","a\"\n\ufffd":1,"":2})");
}

TEST(encode_line, takes_a_null_pointer_for_null) {
  const char* const nothing = nullptr;
  EXPECT_EQ(encoded_field(nothing), "null");
}

TEST(encode_line, writes_numbers_as_pythons_repr_does) {
  const std::vector<std::pair<double, std::string>> golden = {{0.0, "0.0"},
                                                              {-0.0, "-0.0"},
                                                              {1.0, "1.0"},
                                                              {-1.5, "-1.5"},
                                                              {100.0, "100.0"},
                                                              {123456.789, "123456.789"},
                                                              {1e15, "1000000000000000.0"},
                                                              {9999999999999998.0, "9999999999999998.0"},
                                                              {1e16, "1e+16"},
                                                              {1.5e16, "1.5e+16"},
                                                              {1e22, "1e+22"},
                                                              {1e100, "1e+100"},
                                                              {1.7976931348623157e308, "1.7976931348623157e+308"},
                                                              {0.0001, "0.0001"},
                                                              {0.00012345, "0.00012345"},
                                                              {0.00001, "1e-05"},
                                                              {1.2e-7, "1.2e-07"},
                                                              {5e-324, "5e-324"},
                                                              {0.1 + 0.2, "0.30000000000000004"},
                                                              {3.0e-5, "3e-05"},
                                                              {12345678901234567.0, "1.2345678901234568e+16"}};
  for (const auto& [number, text] : golden) EXPECT_EQ(encoded_field(number), text);
}

TEST(encode_line, refuses_numbers_that_json_does_not_have) {
  EXPECT_EQ(refusal({.fields = {{"x", std::numeric_limits<double>::quiet_NaN()}}}), errc::invalid_field);
  EXPECT_EQ(refusal({.fields = {{"x", -std::numeric_limits<double>::infinity()}}}), errc::invalid_field);
  EXPECT_EQ(refusal({.fields = {{"x", 1.0}}}), std::nullopt);
}

TEST(encode_line, refuses_fields_with_a_reserved_name) {
  for (const std::string_view name : {"ts", "container", "action", "dest", "detail"}) {
    EXPECT_EQ(refusal({.fields = {{name, 1}}}), errc::invalid_field) << name;
  }
  for (const std::string_view name : {"Ts", "ts ", "destination", ""})
    EXPECT_EQ(refusal({.fields = {{name, 1}}}), std::nullopt);
  EXPECT_NE(encoded("", "", {.fields = {{"dest", 1}}}).find("\"dest\""), std::string::npos);
}

TEST(encode_line, refuses_a_name_given_twice_among_few_fields_or_many) {
  EXPECT_EQ(refusal({.fields = {{"x", 1}, {"y", 2}, {"x", 3}}}), errc::invalid_field);
  std::vector<std::string> names;
  for (int i = 0; i < 1024; ++i) names.push_back("name" + std::to_string(i));
  std::vector<field> fields;
  for (const std::string& name : names) fields.emplace_back(name, 1);
  EXPECT_EQ(refusal({.fields = fields}), std::nullopt);
  fields.back().name = names.front();
  EXPECT_EQ(refusal({.fields = fields}), errc::invalid_field);
}

TEST(encode_line, refuses_names_that_become_one_in_writing) {
  EXPECT_EQ(refusal({.fields = {{"\xff", 1}, {"\xfe", 2}}}), errc::invalid_field);
  EXPECT_EQ(refusal({.fields = {{"\xff", 1}, {"\xef\xbf\xbd", 2}}}), errc::invalid_field);
  EXPECT_EQ(refusal({.fields = {{"\xc3\xa9", 1}, {"\xc3\xa8", 2}}}), std::nullopt);
}

TEST(encode_line, takes_integers_that_it_can_hold_only) {
  static_assert(std::is_constructible_v<annals::field_value, std::uint64_t>);
  static_assert(!annals::integer_number<__int128_t>);
  static_assert(!annals::integer_number<char>);
  static_assert(!annals::integer_number<bool>);
}

// What keeps a field keeps no temporary text: it would be gone when the field is logged.
TEST(field, takes_a_temporary_string_only_among_the_braces_of_a_call) {
  using annals::field_list;
  using annals::field_value;
  static_assert(std::is_constructible_v<field, const char*, std::string&>);
  static_assert(std::is_constructible_v<field, std::string&, const char*>);
  static_assert(std::is_constructible_v<field, std::string&, int>);
  static_assert(!std::is_constructible_v<field, const char*, std::string>);
  static_assert(!std::is_constructible_v<field, std::string, int>);
  static_assert(!std::is_constructible_v<field_value, std::string>);
  static_assert(std::is_assignable_v<field_list&, std::vector<field>&>);
  static_assert(!std::is_assignable_v<field_list&, std::vector<field>>);
  static_assert(!std::is_assignable_v<field_list&, std::initializer_list<annals::call_field>>);
  const std::string text = "a text that is too long to be kept within a string object";
  EXPECT_EQ(encoded("", "", {.fields = {{std::string("k"), std::string(text)}, {"n", 1}, {"t", text}, {"z", nullptr}}}, ""),
            R"({"ts":"","container":"","action":"","k":")" + text + R"(","n":1,"t":")" + text + R"(","z":null})");
  const field kept("k", text);
  EXPECT_EQ(encoded("", "", {.fields = {kept, {"n", true}}}, ""),
            R"({"ts":"","container":"","action":"","k":")" + text + R"(","n":true})");
}

TEST(encode_line, refuses_more_fields_than_the_limit) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i <= annals::limits::fields_max; ++i) names.push_back(std::to_string(i));
  std::vector<field> fields;
  for (const std::string& name : names) fields.emplace_back(name, 1);
  EXPECT_EQ(refusal({.fields = fields}), errc::invalid_field);
}

TEST(encode_line, writes_raw_json_compact_and_in_ascii) {
  EXPECT_EQ(encoded_field(raw_json{" { \"a\" : [ 1 , 2.50 , -0 , 1E5 ] ,\n\t\"b\" : { } , \"c\":[ ] } "}),
            R"({"a":[1,2.50,-0,1E5],"b":{},"c":[]})");
  EXPECT_EQ(encoded_field(raw_json{"\"\xc3\xa9\\u00e9\\/\\n\x7f\""}), R"("\u00e9\u00e9/\n\u007f")");
  EXPECT_EQ(encoded_field(raw_json{"[\"\\ud83d\\udd12\",\"\xf0\x9f\x94\x92\"]"}), R"(["\ud83d\udd12","\ud83d\udd12"])");
  EXPECT_EQ(encoded_field(raw_json{"true"}), "true");
  EXPECT_EQ(encoded_field(raw_json{"[true, false, null]"}), "[true,false,null]");
  EXPECT_EQ(encoded_field(raw_json{"123456789012345678901234567890"}), "123456789012345678901234567890");
  EXPECT_EQ(encoded_field(raw_json{"{\"\xc3\xa9\":null}"}), R"({"\u00e9":null})");
}

TEST(encode_line, does_not_split_characters_of_long_raw_json_strings) {
  for (const std::string_view unit : {"\xe6\xbc\xa2", "\\n\xf0\x9f\x94\x92", "a\xc3\xa9\\u0041"}) {
    std::string text;
    while (text.size() < 20'000) text += unit;
    const std::string line = encoded("", "", {.fields = {{"k", raw_json{'"' + text + '"'}}}});
    EXPECT_EQ(line.find("\\ufffd"), std::string::npos);
    const auto back = annals::json::decode_line(line);
    ASSERT_TRUE(back);
    EXPECT_EQ(std::get<std::string>(*back->find("k")), boost::json::parse('"' + text + '"').as_string());
  }
}

TEST(encode_line, refuses_raw_json_that_is_not_json) {
  for (const std::string_view text : {"", " ", "{", "[1,]", "nul", "1 2", "{\"a\":1}}", "'a'", "NaN", "Infinity", "01",
                                      "\"\n\"", "\"\xff\"", "\"\\ud800\"", "{a:1}", "// x\n1", "\x00", "[1]\nx"}) {
    EXPECT_EQ(refusal({.fields = {{"k", raw_json{text}}}}), errc::invalid_json) << text;
  }
}

TEST(encode_line, bounds_the_depth_of_raw_json) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  const std::string deepest = nested(annals::limits::json_depth_max);
  EXPECT_EQ(encoded_field(raw_json{deepest}), deepest);
  const std::string line = encoded("", "", {.fields = {{"k", raw_json{deepest}}}});
  EXPECT_TRUE(annals::json::decode_line(line)) << "what can be written can be read";
  EXPECT_EQ(refusal({.fields = {{"k", raw_json{nested(annals::limits::json_depth_max + 1)}}}}), errc::invalid_json);
  EXPECT_EQ(refusal({.fields = {{"k", raw_json{std::string(1'000'000, '[')}}}}), errc::invalid_json);
}

}  // namespace
