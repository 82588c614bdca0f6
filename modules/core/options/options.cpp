// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>
module annals.options;
import annals.event.text;

namespace annals {

namespace {

constexpr std::size_t shown_bytes_max = 64;  // of a value in a message

// Control characters, and those that end lines or turn the order of the text around.
bool is_unsafe(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069);
}

// The beginning of `text` as JSON has it: what it holds can neither break a message's line nor pass for the message's own
// words.
std::string shown(std::string_view text, bool quoted) {
  constexpr char digits[] = "0123456789abcdef";
  const bool cut = text.size() > shown_bytes_max;
  if (cut) {
    std::size_t end = shown_bytes_max;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // between characters, not in one
    text = text.substr(0, end);
  }
  std::string out = quoted ? "\"" : "";
  while (!text.empty()) {
    const utf8_character c = first_character(text);
    if (!c.is_valid) {
      out += "\xef\xbf\xbd";  // U+FFFD
    } else if (is_unsafe(c.code_point)) {
      out += "\\u";
      for (int shift = 12; shift >= 0; shift -= 4) out += digits[c.code_point >> shift & 15U];
    } else {
      if (quoted && (c.code_point == '"' || c.code_point == '\\')) out += '\\';
      out += text.substr(0, c.bytes);
    }
    text.remove_prefix(c.bytes);
  }
  if (cut) out += "...";
  if (quoted) out += '"';
  return out;
}

// What JSONPath lets follow a "." (RFC 9535, member-name-shorthand), and "$", which "$schema" begins with.
bool is_plain(std::string_view name) {
  const auto part = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$';
  };
  return !name.empty() && name.size() <= shown_bytes_max && !(name.front() >= '0' && name.front() <= '9') &&
         std::all_of(name.begin(), name.end(), part);
}

std::string listed(std::span<const std::string_view> choices) {
  std::string text;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    text += i == 0 ? "" : i + 1 == choices.size() ? " or " : ", ";
    text += '"' + std::string(choices[i]) + '"';
  }
  return text;
}

// The number of insertions, deletions, substitutions and swaps of neighbours between two words ("optimal string alignment",
// the restricted form of the distance of Damerau, CACM 7(3), 1964, and Levenshtein).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before;
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, substituted});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = std::exchange(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string to_string(const option_problem& problem) {
  std::string text = problem.path + ": ";
  if (problem.found.empty()) {
    text += "missing; expected " + problem.expected;
  } else {
    text += "found " + problem.found + "; expected " + problem.expected;
  }
  if (!problem.nearest.empty()) text += " (did you mean \"" + problem.nearest + "\"?)";
  return text;
}

std::string shown_value(const option& value) {
  return shown(value.text, value.kind == option_kind::text);
}

std::string member_path(std::string_view path, std::string_view name) {
  if (is_plain(name)) return std::string(path) + "." + std::string(name);
  return std::string(path) + "[" + shown(name, true) + "]";
}

std::optional<std::string_view> nearest_name(std::string_view name, std::span<const std::string_view> known) {
  constexpr std::size_t name_bytes_max = 128;  // the distance costs the product of the lengths
  if (name.size() > name_bytes_max) return std::nullopt;
  std::optional<std::string_view> nearest;
  std::size_t least = std::max<std::size_t>(1, name.size() / 3) + 1;
  for (const std::string_view candidate : known) {
    const std::size_t d = distance(name, candidate);
    if (d < least && d < candidate.size()) {
      least = d;
      nearest = candidate;
    }
  }
  return nearest;
}

option_reader::option_reader(std::span<const option> options, std::string path) : options_(options), path_(std::move(path)) {}

// The option of this name, which is known from now on. Of a repeated one, the last.
const option* option_reader::take(std::string_view name) {
  known_.emplace_back(name);
  for (std::size_t i = options_.size(); i > 0; --i) {
    if (options_[i - 1].name == name) return &options_[i - 1];
  }
  return nullptr;
}

void option_reader::wrong(const option& found, std::string expected) {
  problems_.push_back({member_path(path_, found.name), shown_value(found), std::move(expected), {}});
}

std::optional<std::string> option_reader::text(std::string_view name) {
  const option* const found = take(name);
  if (found == nullptr) return std::nullopt;
  if (found->kind == option_kind::text && !found->text.empty() && found->text.find('\0') == std::string::npos)
    return found->text;
  wrong(*found, "a text, not empty, without NUL");
  return std::nullopt;
}

std::optional<bool> option_reader::boolean(std::string_view name) {
  const option* const found = take(name);
  if (found == nullptr) return std::nullopt;
  if (found->kind == option_kind::boolean) return found->text == "true";
  wrong(*found, "true or false");
  return std::nullopt;
}

std::optional<std::int64_t> option_reader::integer(std::string_view name, std::int64_t min, std::int64_t max) {
  const option* const found = take(name);
  if (found == nullptr) return std::nullopt;
  std::int64_t value = 0;
  const char* const end = found->text.data() + found->text.size();
  const auto read = std::from_chars(found->text.data(), end, value);
  const bool whole = found->kind == option_kind::integer && read.ec == std::errc() && read.ptr == end;
  if (whole && value >= min && value <= max) return value;
  wrong(*found, "an integer from " + std::to_string(min) + " to " + std::to_string(max));
  return std::nullopt;
}

std::optional<std::uint64_t> option_reader::size(std::string_view name, std::uint64_t min, std::uint64_t max) {
  const option* const found = take(name);
  if (found == nullptr) return std::nullopt;
  const bool fits = found->kind == option_kind::text || found->kind == option_kind::integer;
  const auto value = fits ? parse_size(found->text) : std::nullopt;
  if (value && *value >= min && *value <= max) return value;
  wrong(*found, "a size from " + exact_size_text(min) + " to " + exact_size_text(max) + ", like \"64KiB\"");
  return std::nullopt;
}

std::optional<std::chrono::microseconds> option_reader::duration(std::string_view name, std::chrono::microseconds min,
                                                                 std::chrono::microseconds max) {
  const option* const found = take(name);
  if (found == nullptr) return std::nullopt;
  const auto value = found->kind == option_kind::text ? parse_duration(found->text) : std::nullopt;
  if (value && *value >= min && *value <= max) return value;
  wrong(*found, "a length of time from \"" + duration_text(min) + "\" to \"" + duration_text(max) + "\", like \"1h30m\"");
  return std::nullopt;
}

std::optional<std::size_t> option_reader::choice(std::string_view name, std::initializer_list<std::string_view> choices) {
  const option* const found = take(name);
  if (found == nullptr) return std::nullopt;
  const auto chosen = std::find(choices.begin(), choices.end(), found->text);
  if (found->kind == option_kind::text && chosen != choices.end()) return static_cast<std::size_t>(chosen - choices.begin());
  const std::span<const std::string_view> all(choices.begin(), choices.size());
  wrong(*found, listed(all));
  if (found->kind == option_kind::text) problems_.back().nearest = nearest_name(found->text, all).value_or(std::string_view());
  return std::nullopt;
}

std::optional<std::string> option_reader::json(std::string_view name, option_kind kind) {
  const option* const found = take(name);
  if (found == nullptr) return std::nullopt;
  if (found->kind == kind) return found->text;
  wrong(*found, kind == option_kind::array ? "an array" : "an object");
  return std::nullopt;
}

void option_reader::problem(std::string_view name, std::string expected) {
  for (std::size_t i = options_.size(); i > 0; --i) {
    if (options_[i - 1].name == name) return wrong(options_[i - 1], std::move(expected));
  }
  problems_.push_back({member_path(path_, name), {}, std::move(expected), {}});
}

void option_reader::require(std::string_view name, std::string expected) {
  const auto there = [name](const option& one) { return one.name == name; };
  if (std::none_of(options_.begin(), options_.end(), there)) problem(name, std::move(expected));
}

std::vector<option_problem> option_reader::problems() {
  std::vector<option_problem> all = problems_;
  const std::vector<std::string_view> known(known_.begin(), known_.end());
  for (const option& given : options_) {
    if (std::find(known_.begin(), known_.end(), given.name) != known_.end()) continue;
    std::string expected = known.empty() ? "no options" : "one of " + listed(known);
    all.push_back({member_path(path_, given.name), shown_value(given), std::move(expected),
                   std::string(nearest_name(given.name, known).value_or(std::string_view()))});
  }
  return all;
}

void option_reader::finish() {
  std::string text;
  for (const option_problem& one : problems()) text += (text.empty() ? "" : "\n") + to_string(one);
  if (!text.empty()) throw failure({errc::invalid_config, 0, std::move(text)});
}

}  // namespace annals
