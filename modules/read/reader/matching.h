// SPDX-License-Identifier: Apache-2.0
//
// Looking at the bytes of lines before they are decoded. Everything here may let a line pass that does not meet a filter, and
// stops none that does. Not a public header.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace annals {

// Where `needle` begins in `text`, from `from` on; npos for nowhere.
inline std::size_t find_in(std::string_view text, std::string_view needle, std::size_t from = 0) noexcept {
  const void* const found = ::memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  return found == nullptr ? std::string_view::npos : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

// A visible ASCII character that JSON never needs to escape, and that only `\u` escapes.
inline bool is_plain(char c) noexcept {
  return c >= ' ' && c <= '~' && c != '"' && c != '\\' && c != '/';
}

// Does a line escape what need not be escaped? Then plain characters cannot be looked for as they are. Lines of annals, of
// Python and of most others do not.
inline bool escapes_plain(std::string_view text) noexcept {
  for (std::size_t at = text.find('\\'); at != std::string_view::npos; at = text.find('\\', at + 2)) {
    if (at + 1 == text.size()) return false;
    const char c = text[at + 1];
    if (c == '/') return true;
    if (c == 'u' && text.size() - at >= 6 && text[at + 2] == '0' && text[at + 3] == '0' && text[at + 4] >= '2' &&
        text[at + 4] <= '7' && text.substr(at + 4, 2) != "7f") {
      return true;
    }
  }
  return false;
}

// The bytes that a line must hold if a string in it is `value`, or begins with it: the longest part of it that stands there as
// it is, and the quotes where it reaches to them. Empty where there is no such part.
inline std::string needle_of(std::string_view value, bool is_prefix) {
  std::size_t best = 0;
  std::size_t best_bytes = 0;
  for (std::size_t at = 0; at < value.size();) {
    std::size_t end = at;
    while (end < value.size() && is_plain(value[end])) ++end;
    if (end - at > best_bytes) {
      best = at;
      best_bytes = end - at;
    }
    at = end + 1;
  }
  std::string needle(value.substr(best, best_bytes));
  const bool from_quote = best == 0;
  const bool to_quote = best + best_bytes == value.size() && !is_prefix;
  if (needle.empty() && !(value.empty() && to_quote)) return {};
  if (from_quote) needle.insert(0, 1, '"');
  if (to_quote) needle += '"';
  return needle;
}

// Texts one of which has to stand in a line.
class any_of_texts {
 public:
  any_of_texts() = default;
  explicit any_of_texts(std::vector<std::string> texts) : texts_(std::move(texts)) {}

  bool empty() const noexcept { return texts_.empty(); }
  std::size_t size() const noexcept { return texts_.empty() ? 0 : texts_.front().size(); }

  std::size_t find(std::string_view block, std::size_t from = 0) const noexcept {
    std::size_t first = std::string_view::npos;
    for (const std::string& text : texts_) first = std::min(first, find_in(block, text, from));
    return first;
  }
  bool are_in(std::string_view line) const noexcept { return empty() || find(line) != std::string_view::npos; }

 private:
  std::vector<std::string> texts_;
};

}  // namespace annals
