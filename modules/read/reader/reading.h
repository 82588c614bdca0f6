// SPDX-License-Identifier: Apache-2.0
//
// Small things the readers share. Not a public header.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace annals {

// A writer that dies in the middle of a line leaves a fragment, and another writer of the same file, which cannot know, puts
// its next line behind it. That line was acknowledged. Where in `line` it may begin, from `from` on; npos for nowhere.
// The bytes looked for cannot stand inside a JSON string, where quotes are escaped. They can begin a nested object, in a field
// of raw JSON, and such a one must not pass for an event: so not behind what precedes a value.
inline std::size_t glued_line(std::string_view line, std::size_t from) noexcept {
  constexpr std::string_view beginning = "{\"ts\":\"";
  for (std::size_t at = line.find(beginning, from); at != std::string_view::npos; at = line.find(beginning, at + 1)) {
    if (std::string_view(":,[ \t").find(line[at - 1]) == std::string_view::npos) return at;
  }
  return std::string_view::npos;
}

// Looks in a line that is no event for one that is glued to a fragment. Where it begins, and then `read` holds what `decode`
// made of it; npos where there is none.
template <class Result, class Decode>
std::size_t decode_glued_line(std::string_view line, Result& read, Decode decode) {
  constexpr int tries_max = 64;
  std::size_t at = line.empty() ? std::string_view::npos : glued_line(line, 1);
  for (int tries = 0; at != std::string_view::npos && tries < tries_max; ++tries) {
    if (auto glued = decode(line.substr(at))) {
      read = std::move(glued);
      return at;
    }
    at = glued_line(line, at + 1);
  }
  return std::string_view::npos;
}

inline constexpr std::string_view glued_cause =
    "the fragment of a line whose writer died or failed, with a whole line behind it, which was read";

inline bool is_blank(std::string_view text) noexcept {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// What to say of a line that is no event. NULs are what a crash of the system leaves where data never arrived.
inline std::string cause_of(std::string_view line, std::string decoder_says) {
  if (is_blank(line)) return "an empty line";
  if (line.find('\0') != std::string_view::npos) return "a line with NUL bytes, as a crash of the system leaves them";
  return decoder_says;
}

// The event of a line, or that of a line that is glued to its beginning; what is none is reported. `line` is a source::line,
// `decode` makes a result<event> of a text, `report` takes an offset, a number of bytes and a cause.
template <class Line, class Decode, class Report>
auto event_of(const Line& line, Decode decode, Report report) -> decltype(decode(line.text)) {
  auto read = decode(line.is_too_long() ? std::string_view() : line.text);
  if (read) return read;
  std::string cause =
      line.is_too_long() ? "a line longer than the longest there may be" : cause_of(line.text, read.error().message);
  const std::size_t glued = decode_glued_line(line.text, read, decode);
  if (glued == std::string_view::npos) {
    report(line.offset, line.bytes, std::move(cause));
  } else {
    report(line.offset, line.bytes - (line.text.size() - glued), std::string(glued_cause));
  }
  return read;
}

// Tells what a content found lost.
template <class Content, class Report>
void report_losses(Content& content, Report report) {
  for (auto& lost : content.take_losses()) report(lost.file_offset, lost.file_bytes, std::move(lost.cause));
}

}  // namespace annals
