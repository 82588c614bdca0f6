// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <functional>
#include <string>
#include <typeinfo>
#include <utility>
module annals.sinks.file;
import annals.segment;

namespace annals {

file_sink::file_sink(std::string path, unsigned mode)
    : appender_(std::move(path), mode, [this](const error& what) { notice(what); }) {}

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

}  // namespace annals
