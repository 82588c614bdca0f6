// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
import annals;

namespace {

annals::event decoded(std::string_view line) {
  auto read = annals::json::decode_line(line);
  EXPECT_TRUE(read) << line << ": " << (read ? "" : read.error().message);
  return read ? *read : annals::event{};
}

TEST(decode_line, gives_back_what_was_written) {
  const annals::event e = decoded(
      R"({"ts":"2026-03-07T12:00:00+00:00","container":"web","action":"denied","dest":"","detail":"a\u00e9\n","x":1,"y":[1,{"z":"\u2028"}]})");
  EXPECT_EQ(e.ts, "2026-03-07T12:00:00+00:00");
  EXPECT_EQ(e.container, "web");
  EXPECT_EQ(e.action, "denied");
  EXPECT_EQ(e.dest, "");
  EXPECT_EQ(e.detail, "a\xc3\xa9\n");
  EXPECT_EQ(std::get<std::int64_t>(*e.find("x")), 1);
  EXPECT_EQ(std::get<annals::stored_json>(*e.find("y")).text, R"([1,{"z":"\u2028"}])");
  EXPECT_EQ(e.find("dest"), nullptr);
  EXPECT_EQ(e.fields.size(), 2U);
}

TEST(decode_line, keeps_the_bytes_of_the_line_as_evidence) {
  const std::string line = "  { \"action\" :\t\"a\" } \r";
  EXPECT_EQ(decoded(line).line, line);
}

TEST(decode_line, tells_absent_from_empty) {
  const annals::event e = decoded("{}");
  EXPECT_EQ(e.dest, std::nullopt);
  EXPECT_EQ(e.detail, std::nullopt);
  EXPECT_EQ(e.container, "");
}

TEST(decode_line, keeps_every_type_of_value) {
  const annals::event e =
      decoded(R"({"i":-9223372036854775808,"u":18446744073709551615,"big":18446744073709551616,"d":1.5,"e":1e3,"huge":1e999,)"
              R"("t":true,"f":false,"n":null,"s":"x","a":[],"o":{"k":[true,null]}})");
  EXPECT_EQ(std::get<std::int64_t>(*e.find("i")), INT64_MIN);
  EXPECT_EQ(std::get<std::uint64_t>(*e.find("u")), UINT64_MAX);
  EXPECT_EQ(std::get<annals::stored_json>(*e.find("big")).text, "18446744073709551616");
  EXPECT_EQ(std::get<double>(*e.find("d")), 1.5);
  EXPECT_EQ(std::get<double>(*e.find("e")), 1000.0);
  EXPECT_EQ(std::get<annals::stored_json>(*e.find("huge")).text, "1e999");
  EXPECT_EQ(std::get<bool>(*e.find("t")), true);
  EXPECT_EQ(std::get<bool>(*e.find("f")), false);
  EXPECT_TRUE(std::holds_alternative<std::nullptr_t>(*e.find("n")));
  EXPECT_EQ(std::get<std::string>(*e.find("s")), "x");
  EXPECT_EQ(std::get<annals::stored_json>(*e.find("a")).text, "[]");
  EXPECT_EQ(std::get<annals::stored_json>(*e.find("o")).text, R"({"k":[true,null]})");
}

TEST(decode_line, lets_the_last_of_a_repeated_name_count) {
  const annals::event e = decoded(R"({"action":"a","x":1,"y":[1],"action":"b","x":"two","y":3})");
  EXPECT_EQ(e.action, "b");
  ASSERT_EQ(e.fields.size(), 2U);
  EXPECT_EQ(e.fields[0].name, "x");
  EXPECT_EQ(std::get<std::string>(e.fields[0].value), "two");
  EXPECT_EQ(std::get<std::int64_t>(e.fields[1].value), 3);
  const annals::event retyped = decoded(R"({"dest":"d","dest":null})");
  EXPECT_EQ(retyped.dest, std::nullopt);
  EXPECT_NE(retyped.find("dest"), nullptr);
}

TEST(decode_line, keeps_a_named_key_that_is_no_string_among_the_fields) {
  const annals::event e = decoded(R"({"container":5,"action":["x"]})");
  EXPECT_EQ(e.container, "");
  EXPECT_EQ(std::get<std::int64_t>(*e.find("container")), 5);
  EXPECT_EQ(std::get<annals::stored_json>(*e.find("action")).text, R"(["x"])");
}

TEST(decode_line, refuses_what_is_no_json_object) {
  for (const std::string_view line : {"",
                                      " ",
                                      "not-json",
                                      "[1,2]",
                                      "42",
                                      "\"text\"",
                                      "null",
                                      "true",
                                      "1.5e3",
                                      "{",
                                      "{\"a\":1",
                                      "{\"a\":1}}",
                                      "{\"a\":1} x",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":\"\x01\"}",
                                      "{'a':1}",
                                      "{\"a\":\"\\ud800\"}",
                                      "{\"a\":NaN}",
                                      "[{\"a\":1}]",
                                      "[[1],2]"}) {
    const auto read = annals::json::decode_line(line);
    ASSERT_FALSE(read) << line;
    EXPECT_EQ(read.error().code, annals::errc::invalid_json);
  }
  EXPECT_EQ(annals::json::decode_line("[1,2]").error().message, "not a JSON object");
}

TEST(decode_line, bounds_the_depth_without_using_up_the_stack) {
  EXPECT_FALSE(annals::json::decode_line("{\"a\":" + std::string(5'000'000, '[')));
  EXPECT_FALSE(annals::json::decode_line(std::string(5'000'000, '{')));
}

TEST(decode_line, is_quick_with_very_many_names) {
  std::string line = "{";
  for (int i = 0; i < 200'000; ++i) line += "\"k" + std::to_string(i) + "\":1,";
  line += "\"k0\":2}";
  const annals::event e = decoded(line);
  EXPECT_EQ(e.fields.size(), 200'000U);
  EXPECT_EQ(std::get<std::int64_t>(e.fields[0].value), 2);
}

}  // namespace
