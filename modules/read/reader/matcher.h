// SPDX-License-Identifier: Apache-2.0
//
// A filter, and the bytes of lines that may meet it, which are looked at before the lines are decoded: every line that meets
// the filter is found, and some that do not. Included by the implementations of annals.reader behind the imports of annals.json
// and annals.content, so it includes nothing itself.
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
  inline explicit any_of_texts(std::vector<std::string> texts) : texts_(std::move(texts)) {}

  inline bool empty() const noexcept { return texts_.empty(); }
  inline std::size_t size() const noexcept { return texts_.empty() ? 0 : texts_.front().size(); }

  inline std::size_t find(std::string_view block, std::size_t from = 0) const noexcept {
    std::size_t first = std::string_view::npos;
    for (const std::string& text : texts_) first = std::min(first, find_in(block, text, from));
    return first;
  }
  inline bool are_in(std::string_view line) const noexcept { return empty() || find(line) != std::string_view::npos; }

 private:
  std::vector<std::string> texts_;
};

// `text` as it stands in a line; a part of what annals.json writes.
inline std::string escaped(const std::string& text) {
  const event_details details{.detail = text};
  const json::line_parts parts = {"", "", "", details};
  std::string line(json::line_bytes_bound(parts), '\0');
  line.resize(json::encode_line(parts, line.data()).value());
  constexpr std::string_view before = R"("detail":")";
  const std::size_t at = line.find(before) + before.size();
  return line.substr(at, line.size() - at - std::string_view("\"}\n").size());
}

inline bool meets(const std::optional<text_match>& wanted, const std::string* value) {
  if (!wanted) return true;
  if (value == nullptr) return false;
  return wanted->is_prefix ? value->starts_with(wanted->text) : *value == wanted->text;
}

// A filter, made ready to be applied to many lines. Any thread.
class matcher {
 public:
  inline explicit matcher(const scan_filter& filter) : filter_(filter) {
    if (!filter.contains.empty()) {
      std::vector<std::string> texts = {escaped(filter.contains)};
      // As it stands there: no line has a newline in it.
      if (filter.contains != texts.front() && filter.contains.find('\n') == std::string::npos) texts.push_back(filter.contains);
      contains_ = any_of_texts(std::move(texts));
    }
    for (const auto* field : {&filter.container, &filter.action, &filter.dest}) {
      if (!*field) continue;
      std::string needle = needle_of((*field)->text, (*field)->is_prefix);
      if (!needle.empty()) fields_.emplace_back(std::vector{std::move(needle)});
    }
  }

  inline bool has_times() const noexcept { return filter_.since || filter_.until; }

  // Can any of these lines meet the filter, by their recorded times?
  inline bool may_meet(const seekable::facts& known) const noexcept {
    if (known.lines == 0) return false;
    if (!has_times() || !known.earliest || !known.latest) return true;
    return !(filter_.since && *known.latest < *filter_.since) && !(filter_.until && *known.earliest >= *filter_.until);
  }

  // Nothing: the event has no time that can be read.
  inline std::optional<bool> meets_times(const event& e) const {
    if (!has_times()) return true;
    const auto ts = parse_timestamp(e.ts);
    return ts ? std::optional(meets_times(ts->time)) : std::nullopt;
  }

  inline bool meets_texts(const event& e) const {
    return annals::meets(filter_.container, &e.container) && annals::meets(filter_.action, &e.action) &&
           annals::meets(filter_.dest, e.dest ? &*e.dest : nullptr) && contains_.are_in(e.line);
  }

  // Calls `one` with each line that may meet the filter, until that returns false.
  template <class One>
  bool candidates(std::uint64_t offset, std::string_view text, One one) const {
    // The longest text is the rarest, by and large. Texts of fields say nothing where lines escape needlessly.
    const bool by_fields = !fields_.empty() && !escapes_plain(text);
    const any_of_texts* jump = &contains_;
    if (by_fields) {
      for (const any_of_texts& field : fields_) {
        if (field.size() > jump->size()) jump = &field;
      }
    }
    for (std::size_t at = 0; at < text.size();) {
      std::size_t begin = at;
      if (!jump->empty()) {
        const std::size_t hit = jump->find(text, at);
        if (hit == std::string_view::npos) return true;
        const std::size_t before = hit == 0 ? std::string_view::npos : text.rfind('\n', hit - 1);
        begin = std::max(at, before + 1);  // npos + 1 is 0
      }
      const std::size_t newline = text.find('\n', begin);
      const std::size_t end = newline == std::string_view::npos ? text.size() : newline;
      const std::string_view line = text.substr(begin, end - begin);
      at = end + 1;
      const bool may =
          contains_.are_in(line) &&
          (!by_fields || std::all_of(fields_.begin(), fields_.end(), [&](const auto& f) { return f.are_in(line); })) &&
          (!has_times() || may_meet_times(line));
      if (may && !one(content::line{offset + begin, line.size(), newline != std::string_view::npos, line})) return false;
    }
    return true;
  }

 private:
  inline bool meets_times(time_point time) const noexcept {
    return !(filter_.since && time < *filter_.since) && !(filter_.until && time >= *filter_.until);
  }
  inline bool may_meet_times(std::string_view line) const noexcept {
    const std::string_view time = json::leading_time(line);
    if (time.empty()) return true;
    const auto ts = parse_timestamp(time);
    return !ts || meets_times(ts->time);
  }

  const scan_filter& filter_;
  any_of_texts contains_;
  std::vector<any_of_texts> fields_;
};

}  // namespace annals
