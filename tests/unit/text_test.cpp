// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
import annals;

namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;
__extension__ using wide = unsigned __int128;

std::string utf8(char32_t c) {
  const auto byte = [](char32_t value) { return static_cast<char>(static_cast<std::uint8_t>(value)); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xc0 | c >> 6), byte(0x80 | (c & 0x3f))};
  if (c < 0x10000) return {byte(0xe0 | c >> 12), byte(0x80 | (c >> 6 & 0x3f)), byte(0x80 | (c & 0x3f))};
  return {byte(0xf0 | c >> 18), byte(0x80 | (c >> 12 & 0x3f)), byte(0x80 | (c >> 6 & 0x3f)), byte(0x80 | (c & 0x3f))};
}

// --- text for people ------------------------------------------------------------------------------------------------------

TEST(visible, escapes_everything_that_has_no_glyph_of_its_own) {
  const std::string harmless = "plain text: caf\u00e9, \u6f22\u5b57, \U0001f600";
  EXPECT_EQ(annals::visible(harmless), harmless);
  EXPECT_EQ(annals::visible("\x1b[2J\n\r\t\\\x7f\xff\xc2"), R"(\u001b[2J\n\r\t\\\u007f\xff\xc2)");
  // White space, characters with an empty glyph, format characters, fillers, private and unassigned characters.
  for (const char32_t c :
       {0xa0U,   0x1680U, 0x2000U, 0x2003U,  0x2007U,  0x202fU,  0x205fU,  0x3000U,  0x2028U,  0x202eU,  0x2066U,
        0x200bU, 0x2800U, 0x3164U, 0xffa0U,  0xfe0fU,  0xfff9U,  0xfffcU,  0x34fU,   0x17b4U,  0xadU,    0xe000U,
        0x378U,  0xfdd0U, 0xffffU, 0x1d159U, 0x16fe4U, 0x13440U, 0x13441U, 0xe0000U, 0xe0041U, 0xe01efU, 0x10ffffU}) {
    const std::string shown = annals::visible("a" + utf8(c) + "b");
    EXPECT_TRUE(shown.starts_with("a\\u") && shown.ends_with("b"))
        << std::hex << static_cast<std::uint32_t>(c) << ": " << shown;
  }
}

TEST(visible, shows_marks_where_they_belong_to_a_letter_and_nowhere_else) {
  const std::string text = "e\u0301 \u0e01\u0e49 \u0928\u0941";
  EXPECT_EQ(annals::visible(text), text);
  EXPECT_EQ(annals::visible("\u0301x"), "\\u0301x");
  EXPECT_EQ(annals::visible("a \u0338"), "a \\u0338");
  EXPECT_EQ(annals::visible("=\u0338"), "=\\u0338");
  EXPECT_EQ(annals::visible("a\u0301\u0302\u0303\u0304\u0305\u0306"), "a\u0301\u0302\u0303\u0304\\u0305\\u0306");
}

// Each character, alone: what is shown is either the character itself, or printable ASCII that names it.
TEST(visible, shows_each_character_as_it_is_or_as_ascii) {
  std::size_t escaped = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    const std::string text = utf8(c);
    const std::string shown = annals::visible(text);
    if (shown == text) continue;
    ++escaped;
    const bool is_ascii = shown.find_first_not_of("\\nrtxu{}0123456789abcdef") == std::string::npos;
    ASSERT_TRUE(is_ascii && shown.front() == '\\') << std::hex << static_cast<std::uint32_t>(c) << ": " << shown;
  }
  EXPECT_GT(escaped, 900'000u);  // most code points are not assigned, or private
  EXPECT_LT(escaped, 970'000u);
}

TEST(shell_quoted, is_one_word_whatever_the_text_holds) {
  EXPECT_EQ(annals::shell_quoted("a b"), "'a b'");
  EXPECT_EQ(annals::shell_quoted("x'; rm -rf /; '"), R"('x'"'"'; rm -rf /; '"'"'')");
  EXPECT_EQ(annals::shell_quoted(""), "''");
}

// --- characters ---------------------------------------------------------------------------------------------------------

struct decoded {
  std::string_view text;
  char32_t code_point;
  std::size_t bytes;
  bool is_valid = true;
};

TEST(first_character, is_decoded_or_is_the_maximal_invalid_part) {
  constexpr decoded table[] = {
      {"\0"sv, 0, 1},
      {"az", 'a', 1},
      {"\x7f", 0x7f, 1},
      {"\xc2\x80", 0x80, 2},
      {"\xdf\xbf", 0x7ff, 2},
      {"\xe0\xa0\x80", 0x800, 3},
      {"\xed\x9f\xbf", 0xd7ff, 3},
      {"\xee\x80\x80", 0xe000, 3},
      {"\xef\xbf\xbd", 0xfffd, 3},
      {"\xef\xbf\xbf", 0xffff, 3},
      {"\xf0\x90\x80\x80", 0x10000, 4},
      {"\xf0\x9f\x8e\x89\xf0", 0x1f389, 4},
      {"\xf4\x8f\xbf\xbf", 0x10ffff, 4},
      // Not lead bytes.
      {"\x80", 0xfffd, 1, false},
      {"\xbf\xbf", 0xfffd, 1, false},
      {"\xc0\x80", 0xfffd, 1, false},
      {"\xc1\xbf", 0xfffd, 1, false},
      {"\xf5\x80\x80\x80", 0xfffd, 1, false},
      {"\xff", 0xfffd, 1, false},
      // Overlong forms, surrogates, above U+10FFFF: the second byte is already wrong.
      {"\xe0\x80\x80", 0xfffd, 1, false},
      {"\xe0\x9f\xbf", 0xfffd, 1, false},
      {"\xed\xa0\x80", 0xfffd, 1, false},
      {"\xed\xbf\xbf", 0xfffd, 1, false},
      {"\xf0\x80\x80\x80", 0xfffd, 1, false},
      {"\xf0\x8f\xbf\xbf", 0xfffd, 1, false},
      {"\xf4\x90\x80\x80", 0xfffd, 1, false},
      // Cut short, by the end or by another character.
      {"\xc3", 0xfffd, 1, false},
      {"\xc3(", 0xfffd, 1, false},
      {"\xe2\x82", 0xfffd, 2, false},
      {"\xe2\x82\xe2\x82\xac", 0xfffd, 2, false},
      {"\xf0\x9f\x8e", 0xfffd, 3, false},
      {"\xf0\x9f\x8eX", 0xfffd, 3, false},
      {"\xf0\x9f", 0xfffd, 2, false},
      {"\xf0", 0xfffd, 1, false},
  };
  for (const decoded& expected : table) {
    const annals::utf8_character c = annals::first_character(expected.text);
    EXPECT_EQ(c.code_point, expected.code_point) << testing::PrintToString(expected.text);
    EXPECT_EQ(c.bytes, expected.bytes) << testing::PrintToString(expected.text);
    EXPECT_EQ(c.is_valid, expected.is_valid) << testing::PrintToString(expected.text);
  }
}

// --- sizes and durations ------------------------------------------------------------------------------------------------

TEST(size_text, is_exact_where_a_unit_makes_it_short) {
  struct row {
    std::uint64_t bytes;
    const char* exact;
    const char* rounded;
    const char* shown;
  };
  constexpr row table[] = {
      {0, "0", "0 bytes", "0 bytes"},
      {999, "999", "999 bytes", "999 bytes"},
      {1000, "1KB", "1.0 KB", "1KB"},
      {1024, "1KiB", "1.0 KB", "1KiB"},
      {65536, "64KiB", "65.5 KB", "64KiB"},
      {10'000'000'000, "10GB", "10.0 GB", "10GB"},
      {10'001'000, "10001KB", "10.0 MB", "10.0 MB"},
      {12'345'678'901, "12345678901", "12.3 GB", "12.3 GB"},
      {999'999, "999999", "999.9 KB", "999.9 KB"},
      {std::uint64_t{3} << 40, "3TiB", "3.2 TB", "3TiB"},
      {UINT64_MAX, "18446744073709551615", "18446744.0 TB", "18446744.0 TB"},
  };
  for (const row& one : table) {
    EXPECT_EQ(annals::exact_size_text(one.bytes), one.exact);
    EXPECT_EQ(annals::parse_size(one.exact), one.bytes);
    EXPECT_EQ(annals::rounded_size_text(one.bytes), one.rounded);
    EXPECT_EQ(annals::size_text(one.bytes), one.shown);
  }
}

TEST(duration_text, is_read_back_as_the_same_length) {
  EXPECT_EQ(annals::duration_text(0us), "0s");
  EXPECT_EQ(annals::duration_text(36h), "1d12h");
  EXPECT_EQ(annals::duration_text(24h * 30), "30d");
  EXPECT_EQ(annals::duration_text(24h * 365 * 7), "7y");
  for (const std::chrono::microseconds length : {1us, 1001us, 3661000001us, std::chrono::microseconds::max()})
    EXPECT_EQ(annals::parse_duration(annals::duration_text(length)), length);
}

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

// Whatever is read can be written out again, and is the same; and no byte string whatever makes trouble.
TEST(sizes_and_durations, agree_with_a_plain_reading_of_random_texts) {
  std::mt19937_64 random(std::random_device{}());
  const auto below = [&random](std::uint64_t end) { return random() % end; };
  constexpr std::array<std::string_view, 9> units = {"", "B", "KB", "MB", "GB", "KiB", "MiB", "GiB", "TiB"};
  constexpr std::array<wide, 9> factors = {1,          1,          1'000,      1'000'000, 1'000'000'000,
                                           1ULL << 10, 1ULL << 20, 1ULL << 30, 1ULL << 40};
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t count = random() >> below(64);
    const std::size_t unit = below(units.size());
    const std::string text = std::to_string(count) + std::string(units[unit]);
    const wide expected = count * factors[unit];
    const auto got = annals::parse_size(text);
    ASSERT_EQ(got.has_value(), expected <= UINT64_MAX) << text;
    if (got) {
      ASSERT_EQ(*got, static_cast<std::uint64_t>(expected)) << text;
    }
  }
  constexpr std::array<std::pair<std::string_view, wide>, 8> parts = {{{"y", 31'536'000'000'000},
                                                                       {"w", 604'800'000'000},
                                                                       {"d", 86'400'000'000},
                                                                       {"h", 3'600'000'000},
                                                                       {"m", 60'000'000},
                                                                       {"s", 1'000'000},
                                                                       {"ms", 1'000},
                                                                       {"us", 1}}};
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    wide expected = 0;
    for (const auto& [name, factor] : parts) {
      if (below(3) != 0) continue;
      const std::uint64_t count = random() >> (16 + below(48));
      text += std::to_string(count) + std::string(name);
      expected += count * factor;
    }
    const auto got = annals::parse_duration(text);
    ASSERT_EQ(got.has_value(), !text.empty() && expected <= INT64_MAX) << text;
    if (got) {
      ASSERT_EQ(got->count(), static_cast<std::int64_t>(expected)) << text;
    }
  }
  for (int i = 0; i < 20'000; ++i) {
    static constexpr char characters[] = "0123456789KMGTiByhwdmsu -+.\0\xff";
    constexpr std::string_view bytes(characters, sizeof characters - 1);
    std::string text;
    for (std::uint64_t left = below(12); left > 0; --left) text += bytes[below(bytes.size())];
    for (const bool read : {annals::parse_size(text).has_value(), annals::parse_duration(text).has_value()}) {
      ASSERT_TRUE(!read || text.find_first_of(" -+.\xff") == std::string::npos) << text;
    }
  }
}

}  // namespace
