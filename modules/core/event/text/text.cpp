// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
module annals.event.text;

#include "unseen.h"

namespace annals {

namespace {

template <std::size_t Count>
bool contains(const std::array<code_points, Count>& ranges, char32_t c) noexcept {
  const auto next = std::upper_bound(ranges.begin(), ranges.end(), c,
                                     [](char32_t value, const code_points& one) { return value < one.first; });
  return next != ranges.begin() && c <= std::prev(next)->last;
}

void append_escape(std::string& out, char32_t c) {
  switch (c) {
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  char text[16];
  std::snprintf(text, sizeof text, c <= 0xffff ? "\\u%04x" : "\\u{%x}", static_cast<unsigned>(c));
  out += text;
}

void append_bytes(std::string& out, std::string_view invalid) {
  for (const char c : invalid) {
    char escape[8];
    std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(static_cast<std::uint8_t>(c)));
    out += escape;
  }
}

// Can a mark be drawn over this character without making a separator look like something else?
bool is_base(char32_t c) noexcept {
  return c >= 0x80 || (c >= '0' && c <= '9') || ((c | 0x20U) >= 'a' && (c | 0x20U) <= 'z');
}

struct unit {
  std::string_view name;
  std::uint64_t value;
};

// From the largest.
constexpr std::array<unit, 9> size_units = {{{"TiB", 1ULL << 40},
                                             {"TB", 1'000'000'000'000},
                                             {"GiB", 1ULL << 30},
                                             {"GB", 1'000'000'000},
                                             {"MiB", 1ULL << 20},
                                             {"MB", 1'000'000},
                                             {"KiB", 1ULL << 10},
                                             {"KB", 1'000},
                                             {"B", 1}}};

// In microseconds, from the largest: the order in which they may follow each other.
constexpr std::array<unit, 8> duration_units = {{{"y", 365ULL * 24 * 3600 * 1'000'000},
                                                 {"w", 7ULL * 24 * 3600 * 1'000'000},
                                                 {"d", 24ULL * 3600 * 1'000'000},
                                                 {"h", 3600ULL * 1'000'000},
                                                 {"m", 60ULL * 1'000'000},
                                                 {"s", 1'000'000},
                                                 {"ms", 1'000},
                                                 {"us", 1}}};

// Takes the decimal digits at the front of `text`. Returns nothing where there are none, or too many.
std::optional<std::uint64_t> take_digits(std::string_view& text) noexcept {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  std::uint64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + digits, value);
  if (digits == 0 || read.ec != std::errc()) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

std::optional<std::uint64_t> product(std::uint64_t a, std::uint64_t b) noexcept {
  if (b != 0 && a > std::numeric_limits<std::uint64_t>::max() / b) return std::nullopt;
  return a * b;
}

std::string counted(std::uint64_t count, const unit& of) {
  return std::to_string(count) + std::string(of.name);
}

// The largest unit that divides `bytes`; B divides any.
const unit& largest_unit_of(std::uint64_t bytes) {
  return bytes == 0
             ? size_units.back()
             : *std::find_if(size_units.begin(), size_units.end(), [bytes](const unit& one) { return bytes % one.value == 0; });
}

}  // namespace

std::string visible(std::string_view text) {
  constexpr int marks_max = 4;  // on one base: no script needs more often, and they are drawn over other lines
  std::string out;
  out.reserve(text.size());
  for (int room = 0; !text.empty();) {  // for marks on the character before
    const utf8_character found = first_character(text);
    const std::string_view bytes = text.substr(0, found.bytes);
    const char32_t c = found.code_point;
    text.remove_prefix(bytes.size());
    const bool is_mark = c >= 0x80 && contains(marks, c);
    if (found.is_valid && c != '\\' && (is_mark ? room > 0 : !contains(unseen, c))) {
      out += bytes;
      room = is_mark ? room - 1 : is_base(c) ? marks_max : 0;
      continue;
    }
    room = 0;
    if (found.is_valid) {
      append_escape(out, c);
    } else {
      append_bytes(out, bytes);
    }
  }
  return out;
}

std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += R"('"'"')";  // without a backslash: visible() doubles those
    } else {
      out += c;
    }
  }
  return out + '\'';
}

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
  const auto count = take_digits(text);
  if (!count) return std::nullopt;
  if (text.empty()) return count;
  const auto of = std::find_if(size_units.begin(), size_units.end(), [text](const unit& one) { return one.name == text; });
  return of == size_units.end() ? std::nullopt : product(*count, of->value);
}

std::string exact_size_text(std::uint64_t bytes) {
  const unit& of = largest_unit_of(bytes);
  return of.value == 1 ? std::to_string(bytes) : counted(bytes / of.value, of);
}

std::string rounded_size_text(std::uint64_t bytes) {
  for (const unit& one : size_units) {
    if (one.value % 1000 != 0 || bytes < one.value) continue;  // KB to TB
    const std::uint64_t tenths = bytes / (one.value / 10);
    return std::to_string(tenths / 10) + '.' + static_cast<char>('0' + tenths % 10) + ' ' + std::string(one.name);
  }
  return std::to_string(bytes) + " bytes";
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::uint64_t count_max = 9'999;
  const unit& of = largest_unit_of(bytes);
  return of.value == 1 || bytes / of.value > count_max ? rounded_size_text(bytes) : counted(bytes / of.value, of);
}

std::optional<std::chrono::microseconds> parse_duration(std::string_view text) noexcept {
  constexpr auto most = static_cast<std::uint64_t>(std::chrono::microseconds::max().count());
  std::uint64_t total = 0;
  auto allowed = duration_units.begin();
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const auto count = take_digits(text);
    if (!count) return std::nullopt;
    const std::string_view name = text.substr(0, text.find_first_of("0123456789"));
    const auto of = std::find_if(allowed, duration_units.end(), [name](const unit& one) { return one.name == name; });
    if (of == duration_units.end()) return std::nullopt;
    const auto part = product(*count, of->value);
    if (!part || *part > most - total) return std::nullopt;
    total += *part;
    text.remove_prefix(name.size());
    allowed = of + 1;
  }
  return std::chrono::microseconds(static_cast<std::int64_t>(total));
}

std::string duration_text(std::chrono::microseconds length) {
  auto rest = static_cast<std::uint64_t>(length.count());
  std::string text;
  for (const unit& of : duration_units) {
    if (of.name == "w") continue;
    if (rest >= of.value) text += counted(rest / of.value, of);
    rest %= of.value;
  }
  return text.empty() ? "0s" : text;
}

}  // namespace annals
