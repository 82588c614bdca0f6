// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "format.h"
module annals.content.seekable;
import annals.io.checksum;
import annals.json;

namespace annals::seekable {

namespace {

constexpr std::string_view facts_name = "annalsF1";  // of the format: another version that could not be read has another
constexpr std::uint32_t header_bytes = 32;
constexpr std::uint32_t entry_bytes_now = 32;
constexpr std::size_t check_bytes = 8;
constexpr std::uint32_t times_known = 1;
constexpr std::size_t piece_bytes = 32 * 1024;

constexpr unsigned digit(char c) noexcept {
  return static_cast<unsigned>(static_cast<unsigned char>(c)) - '0';
}

// The time within the day of "HH:MM:SS"; nothing where it is none.
std::optional<std::chrono::seconds> time_of_day(const char* text) noexcept {
  const unsigned h1 = digit(text[0]), h2 = digit(text[1]), m1 = digit(text[3]), m2 = digit(text[4]), s1 = digit(text[6]),
                 s2 = digit(text[7]);
  const unsigned hours = h1 * 10 + h2;
  const bool is_time = (h1 <= 2) & (h2 <= 9) & (hours <= 23) & (m1 <= 5) & (m2 <= 9) & (s1 <= 5) & (s2 <= 9) &
                       (text[2] == ':') & (text[5] == ':');
  if (!is_time) return std::nullopt;
  return std::chrono::seconds(hours * 3600 + (m1 * 10 + m2) * 60 + s1 * 10 + s2);
}

// How often `"ts` stands in the bytes. A loop that compilers turn into vector instructions: it runs over everything.
std::size_t count_of_names(std::string_view bytes) noexcept {
  constexpr std::size_t block = 192;  // a count of one byte each does not overflow within
  std::size_t count = 0;
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  while (left >= 3) {
    const std::size_t n = std::min(left - 2, block);
    std::uint8_t found = 0;
    for (std::size_t i = 0; i < n; ++i) {
      found = static_cast<std::uint8_t>(found + ((p[i] == '"') & (p[i + 1] == 't') & (p[i + 2] == 's')));
    }
    count += found;
    p += n;
    left -= n;
  }
  return count;
}

// Can a name be `ts` without looking like it? Only with the escape of one of its letters, which no writer of ours makes.
bool has_hidden_names(std::string_view bytes) noexcept {
  constexpr std::string_view beginning = "\\u007";
  for (std::size_t at = bytes.find(beginning); at != std::string_view::npos; at = bytes.find(beginning, at + 1)) {
    const std::string_view digit = bytes.substr(at + beginning.size(), 1);
    if (digit == "3" || digit == "4") return true;
  }
  return false;
}

}  // namespace

struct line_reader::times {
  bool known = true;
  bool any = false;
  time_point earliest = time_point::max();
  time_point latest = time_point::min();

  void add(const std::optional<time_point>& time) noexcept {
    if (!time) {
      known = false;
      return;
    }
    any = true;
    earliest = std::min(earliest, *time);
    latest = std::max(latest, *time);
  }
};

// The time whose text begins at `text` and is ended by a quote before `end`. Those that we write are read here, the others by
// parse_timestamp.
inline std::optional<time_point> line_reader::time_at(const char* text, const char* end) {
  constexpr std::size_t seconds_end = 19;  // 2026-11-23T09:00:00
  constexpr std::string_view utc = "+00:00\"";
  if (end - text >= static_cast<std::ptrdiff_t>(seconds_end + utc.size()) &&
      std::memcmp(text + seconds_end, utc.data(), utc.size()) == 0 && text[10] == 'T') {
    if (std::memcmp(text, day_text_, sizeof day_text_) != 0) {
      char midnight[timestamp_bytes_max] = "2026-11-23T00:00:00+00:00";
      std::memcpy(midnight, text, sizeof day_text_);
      const auto day = parse_timestamp(midnight);
      if (!day) return std::nullopt;
      std::memcpy(day_text_, text, sizeof day_text_);
      day_ = day->time;
    }
    if (const auto within = time_of_day(text + 11)) return day_ + *within;
  }
  constexpr std::ptrdiff_t text_bytes_max = 64;
  const std::string_view rest(text, static_cast<std::size_t>(std::min(end - text, text_bytes_max)));
  const std::size_t quote = rest.find('"');
  if (quote == std::string_view::npos) return std::nullopt;
  const auto parsed = parse_timestamp(rest.substr(0, quote));
  return parsed ? std::optional(parsed->time) : std::nullopt;
}

// Where a line has the name again, behind a torn line, repeated or in a nested object: the times that readers take.
void line_reader::look_closely(std::string_view lines, times& seen) {
  seen = {};
  while (!lines.empty() && seen.known) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    seen.add(json::time_of(line).time);
  }
}

facts line_reader::look_at(std::string_view lines) {
  facts found;
  times seen;
  const char* at = lines.data();
  const char* const end = at + lines.size();
  while (at != end) {
    const auto left = static_cast<std::size_t>(end - at);
    const void* const newline = std::memchr(at, '\n', left);
    const char* const line_end = newline == nullptr ? end : static_cast<const char*>(newline);
    ++found.lines;
    if (seen.known) {
      const bool usual = static_cast<std::size_t>(line_end - at) > json::line_beginning.size() &&
                         std::memcmp(at, json::line_beginning.data(), json::line_beginning.size()) == 0;
      seen.add(usual ? time_at(at + json::line_beginning.size(), line_end) : std::nullopt);
    }
    at = newline == nullptr ? end : line_end + 1;
  }
  if (seen.known && has_hidden_names(lines)) seen.known = false;
  if (seen.known && count_of_names(lines) != found.lines) look_closely(lines, seen);
  if (seen.known && seen.any) {
    found.earliest = seen.earliest;
    found.latest = seen.latest;
  }
  return found;
}

facts joined(const facts& a, const facts& b) {
  if (a.lines == 0) return b;
  if (b.lines == 0) return a;
  facts both = {a.lines + b.lines};
  if (a.earliest && b.earliest) both.earliest = std::min(*a.earliest, *b.earliest);
  if (a.latest && b.latest) both.latest = std::max(*a.latest, *b.latest);
  return both;
}

std::string encode_facts(std::span<const facts> of_frames, std::uint64_t entries_check) {
  std::string bytes(facts_name);
  bytes.reserve(header_bytes + of_frames.size() * entry_bytes_now + check_bytes);
  format::store(bytes, header_bytes);
  format::store(bytes, entry_bytes_now);
  format::store(bytes, std::uint64_t{of_frames.size()});
  format::store(bytes, entries_check);
  for (const facts& of_one : of_frames) {
    const bool known = of_one.earliest && of_one.latest;
    format::store(bytes, of_one.lines);
    format::store(bytes, known ? times_known : 0U);
    format::store(bytes, std::uint32_t{0});
    format::store(bytes, known ? of_one.earliest->time_since_epoch().count() : std::int64_t{0});
    format::store(bytes, known ? of_one.latest->time_since_epoch().count() : std::int64_t{0});
  }
  format::store(bytes, fnv_1a(bytes));
  return bytes;
}

std::optional<facts_frame> facts_frame::open(const source& from, std::uint64_t offset, std::uint64_t bytes) {
  char header[header_bytes];
  if (bytes < header_bytes + check_bytes || bytes > UINT32_MAX) return std::nullopt;
  const auto begun = from.read_at(header, sizeof header, offset);
  if (!begun || *begun != sizeof header || std::string_view(header, facts_name.size()) != facts_name) return std::nullopt;
  const auto entries_at = format::load<std::uint32_t>(header + 8);
  const auto entry_bytes = format::load<std::uint32_t>(header + 12);
  const auto count = format::load<std::uint64_t>(header + 16);
  // Of a later version both may be longer, and what is behind what we know means nothing to us.
  if (entries_at < header_bytes || entry_bytes < entry_bytes_now || count > bytes / entry_bytes_now ||
      entries_at + count * entry_bytes + check_bytes != bytes) {
    return std::nullopt;
  }
  std::uint64_t check = fnv_1a_of_nothing;
  std::string piece(piece_bytes, '\0');
  for (std::uint64_t done = 0; done < bytes - check_bytes;) {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, bytes - check_bytes - done));
    const auto got = from.read_at(piece.data(), want, offset + done);
    if (!got || *got != want) return std::nullopt;
    check = fnv_1a({piece.data(), want}, check);
    done += want;
  }
  char expected[check_bytes];
  const auto ended = from.read_at(expected, sizeof expected, offset + bytes - check_bytes);
  if (!ended || *ended != sizeof expected || format::load<std::uint64_t>(expected) != check) return std::nullopt;
  facts_frame found;
  found.from_ = &from;
  found.at_ = offset + entries_at;
  found.entry_bytes_ = entry_bytes;
  found.count_ = count;
  found.entries_check_ = format::load<std::uint64_t>(header + 24);
  return found;
}

std::optional<facts> facts_frame::next() {
  if (at_ + entry_bytes_now > read_at_ + read_.size()) {
    read_.resize(read_bytes);
    const auto got = from_->read_at(read_.data(), read_.size(), at_);
    read_.resize(got ? *got : 0);
    read_at_ = at_;
  }
  if (read_.size() < at_ - read_at_ + entry_bytes_now) return std::nullopt;
  const char* const entry = read_.data() + (at_ - read_at_);
  at_ += entry_bytes_;
  facts of_one = {format::load<std::uint64_t>(entry)};
  if ((format::load<std::uint32_t>(entry + 8) & times_known) != 0) {
    of_one.earliest = time_point(std::chrono::microseconds(format::load<std::int64_t>(entry + 16)));
    of_one.latest = time_point(std::chrono::microseconds(format::load<std::int64_t>(entry + 24)));
  }
  return of_one;
}

}  // namespace annals::seekable
