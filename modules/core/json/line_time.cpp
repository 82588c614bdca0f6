// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
module annals.json;

namespace annals::json {

namespace {

constexpr std::size_t time_text_bytes_max = 64;

std::size_t find(std::string_view text, std::string_view part, std::size_t from) noexcept {
  const void* const found = ::memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found == nullptr ? std::string_view::npos : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

// Can a name be `ts` without looking like it? Only if one of its letters is escaped.
bool may_spell_ts_with_escapes(std::string_view text, std::size_t from) noexcept {
  constexpr std::string_view escape = "\\u007";
  for (std::size_t at = text.find('\\', from); at < text.size(); at = text.find(escape, at + 1)) {
    const std::string_view found = text.substr(at, escape.size() + 1);
    if (found.starts_with(escape) && (found.back() == '3' || found.back() == '4')) return true;
  }
  return false;
}

bool ends_like_an_object(std::string_view line) noexcept {
  const std::size_t last = line.find_last_not_of(" \t\r\n");
  return last != std::string_view::npos && line[last] == '}';
}

// Where an event of ours may begin behind the first byte of a line. The bytes that are looked for cannot stand inside a JSON
// string, where quotes are escaped. They can begin a nested object, which is not an event: so not behind a character that can
// precede a value. All those that remain inside an event are nested, so only the last one can begin the event that the line
// ends with, and one attempt to decode it is enough.
std::size_t possible_beginning(std::string_view line) noexcept {
  constexpr std::string_view precede_values = ":,[ \t\r\n";
  std::size_t at = line.rfind(line_beginning);
  while (at != std::string_view::npos && at != 0) {
    if (precede_values.find(line[at - 1]) == std::string_view::npos) return at;
    at = line.rfind(line_beginning, at - 1);
  }
  return std::string_view::npos;
}

}  // namespace

std::string_view leading_time(std::string_view line) noexcept {
  if (!line.starts_with(line_beginning)) return {};
  const std::string_view rest = line.substr(line_beginning.size(), time_text_bytes_max + 1);
  const std::size_t bytes = rest.find('"');
  if (bytes == std::string_view::npos) return {};
  const std::string_view text = rest.substr(0, bytes);
  if (text.find('\\') != std::string_view::npos) return {};
  const std::size_t behind = line_beginning.size() + bytes;
  if (find(line, "\"ts\"", behind) != std::string_view::npos || may_spell_ts_with_escapes(line, behind)) return {};
  return text;
}

std::optional<appended_event> find_appended_event(std::string_view line) {
  const std::size_t at = possible_beginning(line);
  if (at == std::string_view::npos) return std::nullopt;
  auto read = decode_line(line.substr(at));
  return read ? std::optional(appended_event{at, std::move(*read)}) : std::nullopt;
}

line_time time_of(std::string_view line) {
  if (const std::string_view text = leading_time(line); !text.empty()) {
    if (const auto time = parse_timestamp(text)) return {ends_like_an_object(line), time->time};
  }
  const auto time_in = [](const event& read) {
    const auto time = parse_timestamp(read.ts);
    return line_time{true, time ? std::optional(time->time) : std::nullopt};
  };
  if (const auto read = decode_line(line)) return time_in(*read);
  const auto appended = find_appended_event(line);
  return appended ? time_in(appended->read) : line_time();
}

}  // namespace annals::json
