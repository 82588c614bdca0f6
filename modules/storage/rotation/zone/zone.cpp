// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.rotation.zone;
import annals.io;

namespace annals {

using namespace std::chrono;

namespace {

constexpr std::string_view zone_directory = "/usr/share/zoneinfo/";
constexpr std::size_t file_bytes_max = 1024 * 1024;  // real ones have a few KiB
constexpr std::size_t header_bytes = 44;

error not_a_zone(const std::string& name, const std::string& why) {
  return {errc::invalid_argument, 0, "cannot use the time zone '" + name + "': " + why};
}

std::int64_t big_endian(std::string_view bytes) {
  std::uint64_t value = (static_cast<std::uint8_t>(bytes[0]) & 0x80) != 0 ? ~std::uint64_t{0} : 0;
  for (const char byte : bytes) value = value << 8 | static_cast<std::uint8_t>(byte);
  return static_cast<std::int64_t>(value);
}

// A header of RFC 8536, 3.1, and how many bytes its data has when times have `time_bytes`.
struct tzif_header {
  std::size_t times = 0, types = 0, characters = 0, leaps = 0, standard = 0, universal = 0;
  std::size_t data_bytes(std::size_t time_bytes) const {
    return times * (time_bytes + 1) + types * 6 + characters + leaps * (time_bytes + 4) + standard + universal;
  }
};

std::optional<tzif_header> read_header(std::string_view bytes) {
  if (bytes.size() < header_bytes || !bytes.starts_with("TZif")) return std::nullopt;
  std::array<std::size_t, 6> counts{};
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::int64_t count = big_endian(bytes.substr(20 + 4 * i, 4));
    if (count < 0 || static_cast<std::size_t>(count) > file_bytes_max) return std::nullopt;
    counts[i] = static_cast<std::size_t>(count);
  }
  return tzif_header{counts[3], counts[4], counts[5], counts[2], counts[1], counts[0]};
}

// --- the grammar of TZ -----------------------------------------------------------------------------------------------------

bool take(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::optional<unsigned> take_number(std::string_view& text, unsigned max) {
  unsigned value = 0;
  std::size_t digits = 0;
  while (digits < text.size() && is_digit(text[digits]) && digits < 4)
    value = value * 10 + static_cast<unsigned>(text[digits++] - '0');
  text.remove_prefix(digits);
  if (digits == 0 || value > max) return std::nullopt;
  return value;
}

bool take_name(std::string_view& text) {
  const bool quoted = take(text, '<');
  std::size_t count = 0;
  while (count < text.size() && (quoted ? text[count] != '>' : is_letter(text[count]))) ++count;
  text.remove_prefix(count);
  return count >= 3 && (!quoted || take(text, '>'));
}

// [+-]hh[:mm[:ss]]
std::optional<seconds> take_time(std::string_view& text, unsigned hours_max) {
  const bool negative = take(text, '-');
  if (!negative) (void)take(text, '+');
  const auto hour = take_number(text, hours_max);
  if (!hour) return std::nullopt;
  seconds time = hours(*hour);
  for (const seconds unit : {seconds(60), seconds(1)}) {
    if (!take(text, ':')) break;
    const auto part = take_number(text, 59);
    if (!part) return std::nullopt;
    time += unit * *part;
  }
  return negative ? -time : time;
}

}  // namespace

std::optional<zone::day_rule> zone::parse_day(std::string_view& text) {
  day_rule parsed;
  if (take(text, 'M')) {
    const auto month = take_number(text, 12);
    if (!month || *month == 0 || !take(text, '.')) return std::nullopt;
    const auto week = take_number(text, 5);
    if (!week || *week == 0 || !take(text, '.')) return std::nullopt;
    const auto day = take_number(text, 6);
    if (!day) return std::nullopt;
    parsed.month = *month;
    parsed.week = *week;
    parsed.day = *day;
  } else {
    const bool julian = take(text, 'J');
    parsed.is = julian ? day_rule::form::julian_without_leap_day : day_rule::form::day_of_year;
    const auto day = take_number(text, 365);
    if (!day || (julian && *day == 0)) return std::nullopt;
    parsed.day = *day;
  }
  if (take(text, '/')) {
    const auto time = take_time(text, 167);
    if (!time) return std::nullopt;
    parsed.time = *time;
  }
  return parsed;
}

std::optional<zone::rule> zone::parse_rule(std::string_view text) {
  rule parsed;
  if (!take_name(text)) return std::nullopt;
  const auto west = take_time(text, 24);
  if (!west) return std::nullopt;
  parsed.standard = -*west;
  if (text.empty()) return parsed;
  parsed.has_summer = true;
  parsed.summer = parsed.standard + hours(1);
  if (!take_name(text)) return std::nullopt;
  if (!text.empty() && text.front() != ',') {
    const auto summer_west = take_time(text, 24);
    if (!summer_west) return std::nullopt;
    parsed.summer = -*summer_west;
  }
  for (day_rule* const day : {&parsed.begin, &parsed.end}) {
    if (!take(text, ',')) return std::nullopt;
    const auto found = parse_day(text);
    if (!found) return std::nullopt;
    *day = *found;
  }
  return text.empty() ? std::optional(parsed) : std::nullopt;
}

seconds zone::day_rule::local_time(std::chrono::year year) const {
  const sys_days first = year / January / 1;
  switch (is) {
    case form::day_of_year: return (first + days(day)).time_since_epoch() + time;
    case form::julian_without_leap_day: {
      const bool behind_leap_day = year.is_leap() && day >= 60;
      return (first + days(day - 1 + (behind_leap_day ? 1 : 0))).time_since_epoch() + time;
    }
    case form::month_week_day: break;
  }
  const auto of_month = year / std::chrono::month(month);
  const weekday on(day);
  const sys_days found = week == 5 ? sys_days(of_month / on[last]) : sys_days(of_month / on[week]);
  return found.time_since_epoch() + time;
}

zone::span zone::at(const rule& rule, sys_seconds time) {
  if (!rule.has_summer) return {rule.standard, sys_seconds::max()};
  const year_month_day date(floor<days>(time));
  std::vector<transition> around;  // in order; where summer lasts for ever, it begins and ends at one instant, and begins last
  const auto add = [&around](seconds when, seconds offset) {
    const auto behind = std::upper_bound(around.begin(), around.end(), when.count(),
                                         [](std::int64_t value, const transition& each) { return value < each.time; });
    around.insert(behind, {when.count(), offset});
  };
  for (int y = -1; y <= 2; ++y) add(rule.end.local_time(date.year() + years(y)) - rule.summer, rule.standard);
  for (int y = -1; y <= 2; ++y) add(rule.begin.local_time(date.year() + years(y)) - rule.standard, rule.summer);
  span found{rule.standard, sys_seconds::max()};
  for (const transition& each : around) {
    if (each.time > time.time_since_epoch().count()) {
      if (each.offset == found.offset) continue;
      found.until = sys_seconds(seconds(each.time));
      break;
    }
    found.offset = each.offset;
  }
  return found;
}

std::optional<zone> zone::from_rule(std::string_view text) {
  auto parsed = parse_rule(text);
  if (!parsed) return std::nullopt;
  zone made;
  made.rule_ = *parsed;
  return made;
}

result<zone> zone::from_file(std::string_view bytes, const std::string& name) {
  const error damaged = not_a_zone(name, "its file is no TZif file (RFC 8536), or a damaged one");
  auto header = read_header(bytes);
  if (!header) return damaged;
  std::size_t time_bytes = 4;
  std::string_view data = bytes.substr(header_bytes);
  const bool has_second = bytes[4] >= '2';
  if (has_second) {  // the same once more, with 64 bits
    if (data.size() < header->data_bytes(time_bytes)) return damaged;
    data.remove_prefix(header->data_bytes(time_bytes));
    header = read_header(data);
    if (!header) return damaged;
    data.remove_prefix(header_bytes);
    time_bytes = 8;
  }
  if (header->types == 0 || data.size() < header->data_bytes(time_bytes)) return damaged;
  const std::string_view indices = data.substr(header->times * time_bytes, header->times);
  const std::string_view types = data.substr(header->times * (time_bytes + 1), header->types * 6);
  const auto offset_of = [types](std::size_t type) { return seconds(big_endian(types.substr(type * 6, 4))); };
  zone made;
  made.before_ = offset_of(0);
  for (std::size_t i = 0; i < header->times; ++i) {
    const auto type = static_cast<std::uint8_t>(indices[i]);
    const std::int64_t time = big_endian(data.substr(i * time_bytes, time_bytes));
    if (type >= header->types || (i != 0 && time <= made.transitions_.back().time)) return damaged;
    made.transitions_.push_back({time, offset_of(type)});
  }
  if (has_second) {
    std::string_view footer = data.substr(header->data_bytes(time_bytes));
    const std::size_t end = footer.size() < 2 ? std::string_view::npos : footer.find('\n', 1);
    if (end == std::string_view::npos || footer.front() != '\n') return damaged;
    footer = footer.substr(1, end - 1);
    if (!footer.empty()) {
      made.rule_ = parse_rule(footer);
      if (!made.rule_) return damaged;
    }
  }
  return made;
}

zone::span zone::at(sys_seconds time) const {
  const std::int64_t count = time.time_since_epoch().count();
  const auto next = std::upper_bound(transitions_.begin(), transitions_.end(), count,
                                     [](std::int64_t value, const transition& each) { return value < each.time; });
  if (next != transitions_.end()) {
    return {next == transitions_.begin() ? before_ : std::prev(next)->offset, sys_seconds(seconds(next->time))};
  }
  if (rule_) return at(*rule_, time);
  return {transitions_.empty() ? before_ : transitions_.back().offset, sys_seconds::max()};
}

time_point zone::next(time_point time, wall_unit unit) const {
  const std::int64_t length = unit == wall_unit::hour ? 3600 : 86400;
  const auto floor_of = [length](std::int64_t wall) { return (wall >= 0 ? wall : wall - length + 1) / length; };
  sys_seconds from = floor<seconds>(time);
  for (;;) {
    const span now = at(from);
    const std::int64_t wall = (from.time_since_epoch() + now.offset).count();
    const sys_seconds candidate(seconds((floor_of(wall) + 1) * length) - now.offset);
    if (candidate < now.until) return candidate;
    const std::int64_t put_to = (now.until.time_since_epoch() + at(now.until).offset).count();
    const bool begins_hour = unit == wall_unit::hour && put_to % length == 0;
    if (begins_hour || floor_of(put_to) > floor_of(wall)) return now.until;
    from = now.until;
  }
}

namespace {

result<std::string> content_of(const std::string& path) {
  auto resolved = io::resolved(path);  // zones are links to each other
  if (!resolved) return std::move(resolved.error());
  const auto file = io::file::open(*resolved, io::open_for::reading);
  if (!file) return file.error();
  std::string bytes(file_bytes_max, '\0');
  const auto got = file->read_at(bytes.data(), bytes.size(), 0);
  if (!got) return got.error();
  bytes.resize(*got);
  return bytes;
}

bool is_name(std::string_view name) {
  const auto allowed = [](char c) { return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '+' || c == '/'; };
  return !name.empty() && name.front() != '/' && std::all_of(name.begin(), name.end(), allowed);
}

}  // namespace

result<zone> zone::named(const std::string& name) {
  if (name == "UTC") return zone();
  if (name != "local") {
    if (!is_name(name)) return not_a_zone(name, "expected \"UTC\", \"local\" or an IANA name like \"Europe/Berlin\"");
    const auto bytes = content_of(std::string(zone_directory) + name);
    if (!bytes) return not_a_zone(name, bytes.error().message);
    return from_file(*bytes, name);
  }
  const char* const given = std::getenv("TZ");  // NOLINT(concurrency-mt-unsafe): as the interface says
  std::string_view said = given != nullptr ? given : "";
  if (take(said, ':') || !said.empty()) {
    if (auto ruled = from_rule(said)) return *ruled;
    if (said == "local") return not_a_zone("local", "the environment's TZ says \"local\", which is no zone's name");
    return named(std::string(said));
  }
  const auto bytes = content_of("/etc/localtime");
  if (!bytes) return bytes.error().system_code == ENOENT ? result<zone>(zone()) : result<zone>(bytes.error());
  return from_file(*bytes, "/etc/localtime");
}

}  // namespace annals
