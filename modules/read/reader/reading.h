// SPDX-License-Identifier: Apache-2.0
//
// What the implementations of annals.reader share. Included by them behind the imports of annals.json and annals.content, so it
// includes nothing itself.
#pragma once

namespace annals {

inline bool is_blank(std::string_view text) noexcept {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// Why a line is not an event. NULs are what a crash of the system leaves where data never arrived.
inline std::string cause_of(const content::line& line, std::string decoder_says) {
  if (line.is_too_long()) return "a line longer than the longest there may be";
  if (is_blank(line.text)) return "an empty line";
  if (line.text.find('\0') != std::string_view::npos) return "a line with NUL bytes, as a crash of the system leaves them";
  return decoder_says;
}

// The event of a line, or the event that was appended to a partial line. Other lines, and partial ones, are reported as damage:
// `report` takes an offset, a number of bytes and a cause.
template <class Report>
std::optional<event> event_of(const content::line& line, Report report) {
  auto read = json::decode_line(line.is_too_long() ? std::string_view() : content::without_mark(line));
  if (read) return std::move(*read);
  auto appended = json::find_appended_event(line.text);
  if (!appended) {
    report(line.offset, line.bytes, cause_of(line, std::move(read.error().message)));
    return std::nullopt;
  }
  report(line.offset, line.bytes - (line.text.size() - appended->offset),
         "the fragment of a line whose writer died or failed, with a whole line behind it, which was read");
  return std::move(appended->read);
}

inline damage damage_of(const content::loss& lost, const std::string& file) {
  damage found{file, lost.file_offset, lost.file_bytes, lost.cause, true};
  if (!lost.known) return found;
  found.lines = lost.known->lines;
  found.first = lost.known->earliest;
  found.last = lost.known->latest;
  return found;
}

// Reports what a segment's reader found lost since the last call.
inline void report_losses(content::segment_reader& file, reports& told) {
  for (const content::loss& lost : file.take_losses()) told.damaged(damage_of(lost, file.path()));
}

}  // namespace annals
