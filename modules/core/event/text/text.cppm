// SPDX-License-Identifier: Apache-2.0
//
// annals.event.text: characters in UTF-8, text that is safe to print, and sizes and durations as people write them. Every
// function may be called from any thread.
module;
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
export module annals.event.text;
#pragma GCC visibility push(default)

namespace annals {

// What may follow a lead byte (Unicode 15, table 3-7): how many bytes, and the range of the first of them.
struct utf8_lead {
  std::uint8_t more = 0;  // 0: not a lead byte
  std::uint8_t low = 0x80;
  std::uint8_t high = 0xbf;
};

constexpr std::array<utf8_lead, 128> make_utf8_leads() {  // index: lead byte - 0x80
  std::array<utf8_lead, 128> table{};
  for (std::size_t lead = 0xc2; lead <= 0xdf; ++lead) table[lead - 0x80].more = 1;
  for (std::size_t lead = 0xe0; lead <= 0xef; ++lead) table[lead - 0x80].more = 2;
  for (std::size_t lead = 0xf0; lead <= 0xf4; ++lead) table[lead - 0x80].more = 3;
  table[0xe0 - 0x80].low = 0xa0;   // no overlong forms
  table[0xed - 0x80].high = 0x9f;  // no surrogates
  table[0xf0 - 0x80].low = 0x90;
  table[0xf4 - 0x80].high = 0x8f;  // nothing above U+10FFFF
  return table;
}
inline constexpr std::array<utf8_lead, 128> utf8_leads = make_utf8_leads();

}  // namespace annals

export namespace annals {

struct utf8_character {
  char32_t code_point = 0xfffd;  // U+FFFD where the bytes are not valid UTF-8
  std::size_t bytes = 0;         // at least 1; of invalid bytes, the maximal subpart (Unicode 15, section 3.9)
  bool is_valid = false;
};

// Decodes the character at the front of `text`, which is not empty.
inline utf8_character first_character(std::string_view text) noexcept {
  const auto lead = static_cast<std::uint8_t>(text[0]);
  if (lead < 0x80) return {lead, 1, true};
  const utf8_lead& expected = utf8_leads[lead - 0x80U];
  char32_t code_point = lead & (0x3fU >> expected.more);
  std::uint8_t low = expected.low;
  std::uint8_t high = expected.high;
  for (std::size_t i = 1; i <= expected.more; ++i) {
    const auto byte = i < text.size() ? static_cast<std::uint8_t>(text[i]) : std::uint8_t{0};
    if (byte < low || byte > high) return {0xfffd, i, false};
    code_point = code_point << 6 | (byte & 0x3fU);
    low = 0x80;
    high = 0xbf;
  }
  if (expected.more == 0) return {0xfffd, 1, false};
  return {code_point, expected.more + std::size_t{1}, true};
}

// `text` as it can be printed for people, on one line: what has no visible glyph of its own is escaped, so that no text can
// move the cursor of a terminal, begin another line, look like separate columns, or change how other text is shown. Escaped
// are, by the Unicode database: control and format characters, all white space except the blank, characters with an empty
// glyph, private and unassigned characters; marks that follow no letter or digit, or more than three other marks; bytes that
// are not UTF-8; and the backslash. The escapes are \\, \n, \r, \t, \xff, \u00ff and \u{10ffff}.
std::string visible(std::string_view text);

// `text` as one word of a shell's command line, in single quotes.
std::string shell_quoted(std::string_view text);

// Parses a number of bytes: decimal digits and an optional unit: "65536", "64KiB", "10MB". B, KB, MB, GB, TB are powers of
// 1000, KiB to TiB of 1024. No sign, fraction or blank. Returns nothing where the text is no size, or does not fit.
std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;

// The size exactly, in the largest unit of which it is a multiple: "64KiB", "10GB", "999". parse_size reads it back.
std::string exact_size_text(std::uint64_t bytes);

// The size cut to one decimal of the largest unit of 1000 that is not above it: "12.1 GB", "999 bytes".
std::string rounded_size_text(std::uint64_t bytes);

// The size for messages: exact where that takes a unit and at most four digits, else rounded: "64KiB", "12.1 GB", "999 bytes".
std::string size_text(std::uint64_t bytes);

// Parses a length of time: one or more of digits and unit, from the larger to the smaller, each once: "1d12h", "90s", "250ms",
// "7y". y (365 d), w, d, h, m, s, ms, us. Returns nothing where the text is no duration, or does not fit.
std::optional<std::chrono::microseconds> parse_duration(std::string_view text) noexcept;

// The length of time exactly, without weeks: "7y", "1d12h", "0s". parse_duration reads it back. `length` is not negative.
std::string duration_text(std::chrono::microseconds length);

}  // namespace annals
#pragma GCC visibility pop
