// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <typeinfo>
#include <utility>
module annals.sinks.file;
import annals.io;
import annals.rotation;
import annals.segment;

namespace annals {

file_sink::file_sink(std::string path, unsigned mode)
    : appender_(std::move(path), mode, [this](const notice& what) { notify(what); }) {}

file_sink::~file_sink() = default;

void file_sink::write(const batch& lines) {
  appender_.write(lines.lines, lines.count, lines.now);
}

void file_sink::sync() {
  appender_.sync();
}

void file_sink::reopen() {
  appender_.reopen();
}

annals::position file_sink::position() {
  const std::uint64_t number = or_throw(segment::live_number(appender_.path()));
  return {number, appender_.bytes()};
}

// By a writer that takes the log's lock, since other processes may append to the log and rotate it.
std::optional<closed_segment> file_sink::start_segment() {
  if (appender_.is_open()) (void)appender_.is_in_place(io::calls().now());
  appender_.directory_changed();  // before: where there is no memory for that, nothing is renamed
  auto closed = or_throw(rotation::rotate(appender_.path()));
  if (!closed) return std::nullopt;
  appender_.close_as_planned();
  notify({notice_code::segment_closed, severity::info, 0,
          "'" + appender_.path() + "' was closed as '" + closed->path + "' (" + std::to_string(closed->bytes) +
              " bytes): " + std::string(rotation::words_for(rotation::cause::asked))});
  return closed;
}

}  // namespace annals
