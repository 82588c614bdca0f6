// SPDX-License-Identifier: Apache-2.0
module;
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
module annals.reader;

namespace annals {

namespace {

constexpr std::size_t check_digits = 16;

bool take_number(std::string_view& text, std::uint64_t& value, int base) {
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (status != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::string to_string(const cursor& from) {
  char text[64];
  const int bytes = std::snprintf(text, sizeof text, "%llu:%llu:%016llx", static_cast<unsigned long long>(from.at.segment),
                                  static_cast<unsigned long long>(from.at.offset), static_cast<unsigned long long>(from.check));
  return std::string(text, static_cast<std::size_t>(bytes));
}

std::optional<cursor> parse_cursor(std::string_view text) {
  cursor read;
  if (!take_number(text, read.at.segment, 10) || !take(text, ':')) return std::nullopt;
  if (!take_number(text, read.at.offset, 10) || !take(text, ':')) return std::nullopt;
  if (text.size() != check_digits || !take_number(text, read.check, 16) || !text.empty()) return std::nullopt;
  return read;
}

}  // namespace annals
