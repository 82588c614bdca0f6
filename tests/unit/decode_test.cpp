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

std::string with_names(std::size_t count) {
  std::string line = "{";
  for (std::size_t i = 0; i < count; ++i) line += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":0";
  return line + "}";
}

TEST(decode_line, refuses_more_names_than_an_event_can_have) {
  EXPECT_EQ(decoded(with_names(annals::limits::read_fields_max)).fields.size(), annals::limits::read_fields_max);
  const auto refused = annals::json::decode_line(with_names(annals::limits::read_fields_max + 1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "an object of more than 4096 names");
}

// Text that an escape cuts in two comes in parts: none of them gets past the limit, be they of a name or of a value.
TEST(decode_line, refuses_a_nested_value_that_would_outgrow_any_line) {
  std::string text;
  while (text.size() * 3 <= annals::limits::read_line_bytes_max) text += "éééééééé";
  for (const std::string_view before : {"", "x\\n"}) {
    for (const std::string_view behind : {"", "\\nx"}) {
      const std::string outgrown = '"' + std::string(before) + text + std::string(behind) + '"';
      for (const std::string& line : {"{\"a\":[" + outgrown + "]}", "{\"a\":{" + outgrown + ":1}}"}) {
        const auto refused = annals::json::decode_line(line);
        ASSERT_FALSE(refused) << before << behind;
        EXPECT_NE(refused.error().message.find("a nested value that is longer, in ASCII, than a line may be"),
                  std::string::npos);
      }
      EXPECT_TRUE(annals::json::decode_line("{\"a\":" + outgrown + "}"));
      EXPECT_TRUE(annals::json::decode_line("{" + outgrown + ":1}"));
    }
  }
}

TEST(decode_line, keeps_nested_names_and_values_in_normal_form_wherever_escapes_cut_them) {
  const annals::event e = decoded(
      R"({"o":{"n\u0061me":"v\u0061lue","\u00e9nd\n":[1.50, -0.0e1 ,false,18446744073709551615,{"x\ty\u00e9":"p\"q\\r"}]}})");
  EXPECT_EQ(std::get<annals::stored_json>(*e.find("o")).text,
            R"({"name":"value","\u00e9nd\n":[1.50,-0.0e1,false,18446744073709551615,{"x\ty\u00e9":"p\"q\\r"}]})");
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

TEST(decode_line, keeps_the_text_of_numbers_when_told_so) {
  const std::string line = R"({"a":1760262716.123456789,"b":12345678901234567.89,"c":1.50,"d":1E5,"e":-0.0,"f":7})";
  const auto e = annals::json::decode_line(line, {.keep_numbers = true});
  ASSERT_TRUE(e);
  std::string texts;
  for (const annals::stored_field& f : e->fields) {
    const auto* const number = std::get_if<annals::stored_json>(&f.value);
    if (number != nullptr) texts += number->text + " ";
  }
  EXPECT_EQ(texts, "1760262716.123456789 12345678901234567.89 1.50 1E5 -0.0 ");
  EXPECT_EQ(std::get<std::int64_t>(*e->find("f")), 7);
}

TEST(decode_line, refuses_a_repeated_name_when_told_so) {
  for (const char* line : {R"({"x":1,"y":2,"x":1})", R"({"ts":"a","ts":"b"})", R"({"x":1,"x":2})"}) {
    EXPECT_TRUE(annals::json::decode_line(line)) << line;
    const auto refused = annals::json::decode_line(line, {.refuse_repeated = true});
    ASSERT_FALSE(refused) << line;
    EXPECT_NE(refused.error().message.find("stands twice"), std::string::npos) << refused.error().message;
  }
  EXPECT_TRUE(annals::json::decode_line(R"({"x":{"x":1}})", {.refuse_repeated = true}));
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
                                      "18446744073709551615",
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

std::string line_of_names(std::size_t count) {
  std::string line = "{";
  for (std::size_t i = 0; i < count; ++i) line += "\"k" + std::to_string(i) + "\":1,";
  return line + "\"k0\":2}";
}

TEST(decode_line, takes_many_names_and_of_a_repeated_one_the_last_value) {
  const annals::event e = decoded(line_of_names(annals::limits::read_fields_max - 1));
  EXPECT_EQ(e.fields.size(), annals::limits::read_fields_max - 1);
  EXPECT_EQ(std::get<std::int64_t>(e.fields[0].value), 2);
}

TEST(decode_line, refuses_more_names_than_memory_should_go_for) {
  const auto refused = annals::json::decode_line(line_of_names(200'000));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("more than 4096 names"), std::string::npos) << refused.error().message.substr(0, 200);
}

}  // namespace
