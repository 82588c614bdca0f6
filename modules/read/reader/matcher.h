// SPDX-License-Identifier: Apache-2.0
//
// A filter, and the bytes of lines that may meet it, which are looked at before the lines are decoded: every line that meets
// the filter is found, and some that do not. Included by the implementations of annals.reader behind the imports of annals.json
// and annals.content and behind looked_for.h, so it includes nothing itself.
#pragma once

namespace annals {

// The bytes that a destination with such an address holds: the parts of an IPv4 address that have to be equal. An IPv6 address
// has many forms.
inline std::string needle_of(const address_match& wanted) {
  std::string needle;
  const unsigned whole = wanted.is_ipv4 ? wanted.bits / 8 : 0;
  for (unsigned i = 0; i < whole; ++i) needle += std::to_string(wanted.address[i]) + (i < 3 ? "." : "");
  return needle;
}

// A filter, made ready to be applied to many lines. Any thread.
class matcher {
 public:
  inline explicit matcher(const scan_filter& filter)
      : since_(filter.since),
        until_(filter.until),
        container_(match_of(filter.container)),
        action_(match_of(filter.action)),
        dest_(match_of(filter.dest)),
        address_(filter.address),
        contains_(filter.contains) {
    std::vector<std::string> needles = {contains_.needle()};
    for (const auto* const field : {&container_, &action_, &dest_}) {
      if (*field) needles.push_back((*field)->needle());
    }
    if (address_) needles.push_back(needle_of(*address_));
    for (std::string& needle : needles) {
      if (!needle.empty()) needles_.push_back(std::move(needle));
    }
    // The longest one is the rarest, by and large.
    std::sort(needles_.begin(), needles_.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
  }

  inline bool has_times() const noexcept { return since_ || until_; }
  inline bool has_texts() const noexcept { return container_ || action_ || dest_ || address_ || !contains_.empty(); }

  // Can any of these lines meet the filter, by their recorded times?
  inline bool may_meet(const seekable::facts& known) const noexcept {
    if (known.lines == 0) return false;
    if (!has_times() || !known.earliest || !known.latest) return true;
    return !(since_ && *known.latest < *since_) && !(until_ && *known.earliest >= *until_);
  }

  // Must all of these lines, by their recorded times?
  inline bool must_meet(const seekable::facts& known) const noexcept {
    return !has_texts() && known.earliest && known.latest && meets_times(*known.earliest) && meets_times(*known.latest);
  }

  // Nothing: the event has no time that can be read.
  inline std::optional<bool> meets_times(const event& e) const {
    if (!has_times()) return true;
    const auto ts = parse_timestamp(e.ts);
    return ts ? std::optional(meets_times(ts->time)) : std::nullopt;
  }

  inline bool meets_texts(const event& e) const {
    if (!meets(container_, &e.container) || !meets(action_, &e.action) || !meets(dest_, e.dest ? &*e.dest : nullptr))
      return false;
    if (address_ && !(e.dest && annals::meets(*address_, *e.dest))) return false;
    std::string room;
    return contains_.empty() || contains_.is_in(e.line, room);
  }

  // Calls `one` with each line that may meet the filter, until that returns false.
  template <class One>
  bool candidates(std::uint64_t offset, std::string_view text, One one) const {
    const bool by_needles = !needles_.empty() && !escapes_plain(text);
    std::string room;
    for (std::size_t at = 0; at < text.size();) {
      std::size_t begin = at;
      if (by_needles) {
        const std::size_t hit = find_in(text, needles_.front(), at);
        if (hit == std::string_view::npos) return true;
        const std::size_t before = hit == 0 ? std::string_view::npos : text.rfind('\n', hit - 1);
        begin = std::max(at, before + 1);  // npos + 1 is 0
      }
      const std::size_t newline = text.find('\n', begin);
      const std::size_t end = newline == std::string_view::npos ? text.size() : newline;
      const std::string_view line = text.substr(begin, end - begin);
      at = end + 1;
      const bool may = (!by_needles || has_needles(line)) && (contains_.empty() || contains_.is_in(line, room)) &&
                       (!has_times() || may_meet_times(line));
      if (may && !one(content::line{offset + begin, line.size(), newline != std::string_view::npos, line})) return false;
    }
    return true;
  }

 private:
  static inline std::optional<value_match> match_of(const std::optional<text_match>& wanted) {
    return wanted ? std::optional(value_match(*wanted)) : std::nullopt;
  }
  inline bool has_needles(std::string_view line) const noexcept {
    return std::all_of(needles_.begin(), needles_.end(),
                       [&](const std::string& needle) { return find_in(line, needle) != std::string_view::npos; });
  }
  inline bool meets_times(time_point time) const noexcept {
    return !(since_ && time < *since_) && !(until_ && time >= *until_);
  }
  inline bool may_meet_times(std::string_view line) const noexcept {
    const std::string_view time = json::leading_time(line);
    if (time.empty()) return true;
    const auto ts = parse_timestamp(time);
    return !ts || meets_times(ts->time);
  }

  std::optional<time_point> since_;
  std::optional<time_point> until_;
  std::optional<value_match> container_;
  std::optional<value_match> action_;
  std::optional<value_match> dest_;
  std::optional<address_match> address_;
  part_of_line contains_;
  std::vector<std::string> needles_;  // the longest one first
};

}  // namespace annals
