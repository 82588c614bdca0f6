// SPDX-License-Identifier: Apache-2.0
//
// Texts that are looked for: in the value of a field, and in a line. Included by the implementations of annals.reader behind
// the imports of annals.json, so it includes nothing itself.
//
// Each knows a `needle`: bytes that a line holds if it meets the text, unless the line escapes what no JSON has to escape. Only
// then may lines without it be passed over.
#pragma once

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

// Is a plain character escaped there? Then needles say nothing. Lines of annals, of Python and of most others do not.
inline bool escapes_plain(std::string_view text) noexcept {
  for (std::size_t at = text.find('\\'); at != std::string_view::npos; at = text.find('\\', at + 2)) {
    if (at + 1 == text.size()) return false;
    if (text[at + 1] == 'u' && text.size() - at >= 6 && text[at + 2] == '0' && text[at + 3] == '0' && text[at + 4] >= '2' &&
        text[at + 4] <= '7' && text.substr(at + 4, 2) != "7f") {
      return true;
    }
  }
  return false;
}

// The longest part of `text` of plain characters only, as a range.
inline std::pair<std::size_t, std::size_t> longest_plain(std::string_view text) noexcept {
  std::size_t best = 0;
  std::size_t best_end = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    while (end < text.size() && is_plain(text[end])) ++end;
    if (end - at > best_end - best) {
      best = at;
      best_end = end;
    }
    at = end + 1;
  }
  return {best, best_end};
}

// --- the value of a field ---------------------------------------------------------------------------------------------------

class value_match {
 public:
  inline explicit value_match(const text_match& wanted) {
    for (std::size_t at = 0; at < wanted.text.size(); ++at) {
      const char c = wanted.text[at];
      if (wanted.is_pattern && (c == '*' || c == '?')) {
        text_ += '\0';  // at its place; no plain character
        kinds_ += c;
        continue;
      }
      const char next = at + 1 < wanted.text.size() ? wanted.text[at + 1] : '\0';
      if (wanted.is_pattern && c == '\\' && (next == '*' || next == '?' || next == '\\')) ++at;
      text_ += wanted.text[at];
      kinds_ += '=';
    }
  }

  inline bool fits(std::string_view value) const noexcept {
    if (kinds_.find_first_not_of('=') == std::string::npos) return value == text_;
    std::size_t at = 0;  // in the pattern
    std::size_t in_value = 0;
    std::size_t star = std::string::npos;  // the last one, which takes what is before `behind_star`
    std::size_t behind_star = 0;
    while (in_value < value.size()) {
      const char kind = at < kinds_.size() ? kinds_[at] : '\0';
      if (kind == '*') {
        star = at++;
        behind_star = in_value;
      } else if (kind == '?') {
        ++at;
        in_value += character_bytes(value, in_value);
      } else if (kind == '=' && text_[at] == value[in_value]) {
        ++at;
        ++in_value;
      } else if (star != std::string::npos) {
        at = star + 1;
        in_value = ++behind_star;
      } else {
        return false;
      }
    }
    return kinds_.find_first_not_of('*', at) == std::string::npos;
  }

  // With the quotes where it reaches to them. Empty where no part of the text stands in every such line as it is.
  inline std::string needle() const {
    const auto [begin, end] = longest_plain(text_);
    const bool is_all = kinds_.find_first_not_of('=') == std::string::npos;
    if (begin == end && !(is_all && text_.empty())) return {};
    std::string found = text_.substr(begin, end - begin);
    if (begin == 0) found.insert(0, 1, '"');
    if (end == text_.size()) found += '"';
    return found;
  }

 private:
  static inline std::size_t character_bytes(std::string_view utf8, std::size_t at) noexcept {
    std::size_t end = at + 1;
    while (end < utf8.size() && (static_cast<unsigned char>(utf8[end]) & 0xc0U) == 0x80) ++end;
    return end - at;
  }

  std::string text_;
  std::string kinds_;  // of each byte of the text: '=' itself, '?' any character, '*' any text
};

inline bool meets(const std::optional<value_match>& wanted, const std::string* value) noexcept {
  return !wanted || (value != nullptr && wanted->fits(*value));
}

// --- a part of a line -------------------------------------------------------------------------------------------------------

inline void put_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xc0 | code >> 6);
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
  }
  put(0x80 | (code & 0x3f));
}

// The four digits behind `\u` at `at`.
inline std::optional<std::uint32_t> unit_at(std::string_view text, std::size_t at) noexcept {
  constexpr std::size_t bytes = 6;
  if (text.size() < at + bytes || text[at] != '\\' || text[at + 1] != 'u') return std::nullopt;
  std::uint32_t unit = 0;
  const auto [end, status] = std::from_chars(text.data() + at + 2, text.data() + at + bytes, unit, 16);
  return end == text.data() + at + bytes ? std::optional(unit) : std::nullopt;
}

// Puts `line` with its escapes resolved into `out`. What is no escape of JSON stays.
inline void resolve_escapes(std::string_view line, std::string& out) {
  constexpr std::string_view letters = "\"\\/bfnrt";
  constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
  out.clear();
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t escape = std::min(line.find('\\', at), line.size());
    out.append(line, at, escape - at);
    at = escape;
    if (at + 1 >= line.size()) break;
    const std::size_t letter = letters.find(line[at + 1]);
    if (letter != std::string_view::npos) {
      out += meanings[letter];
      at += 2;
      continue;
    }
    const auto unit = unit_at(line, at);
    if (!unit) {
      out += line[at++];
      continue;
    }
    at += 6;
    const auto low = *unit >> 10 == 0x36 ? unit_at(line, at) : std::nullopt;
    if (low && *low >> 10 == 0x37) {
      put_utf8(out, 0x10000 + ((*unit & 0x3ff) << 10) + (*low & 0x3ff));
      at += 6;
    } else {
      put_utf8(out, *unit >> 11 == 0x1b ? 0xfffd : *unit);
    }
  }
}

// `text` as a logger of annals writes it within a string.
inline std::string escaped(const std::string& text) {
  const event_details details{.detail = text};
  const json::line_parts parts = {"", "", "", details};
  std::string line(json::line_bytes_bound(parts), '\0');
  line.resize(json::encode_line(parts, line.data()).value());
  constexpr std::string_view before = R"("detail":")";
  const std::size_t at = line.find(before) + before.size();
  return line.substr(at, line.size() - at - std::string_view("\"}\n").size());
}

// A text that stands in a line as it is given, or once the escapes of the line are resolved, whoever escaped it.
class part_of_line {
 public:
  inline explicit part_of_line(const std::string& text) : text_(text) {
    resolve_escapes(escaped(text), readable_);
    const auto [begin, end] = longest_plain(text_);
    needle_ = text_.substr(begin, end - begin);
  }

  inline bool empty() const noexcept { return text_.empty(); }
  inline const std::string& needle() const noexcept { return needle_; }

  // `room` is used for the resolved line.
  inline bool is_in(std::string_view line, std::string& room) const {
    if (find_in(line, text_) != std::string_view::npos) return true;
    if (line.find('\\') == std::string_view::npos)
      return readable_ != text_ && find_in(line, readable_) != std::string_view::npos;
    if (needle_.size() == text_.size() && !escapes_plain(line)) return false;
    resolve_escapes(line, room);
    return find_in(room, readable_) != std::string_view::npos;
  }

 private:
  std::string text_;
  std::string readable_;  // what is no UTF-8 in it replaced, as loggers do
  std::string needle_;
};

}  // namespace annals
