// SPDX-License-Identifier: Apache-2.0
//
// How many lines a segment has, and of what times.
module;
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.retention;
import annals.content;
import annals.content.seekable;
import annals.io;
import annals.json;
import annals.rotation.lock;
import annals.segment;
#include "internal.h"

namespace annals::retention {

namespace {

constexpr std::uint64_t all_bytes = static_cast<std::uint64_t>(-1);

// Do the recorded facts of a frame say all that there is to know about its lines?
bool are_complete(const seekable::facts& known) noexcept {
  return known.lines == 0 || (known.earliest && known.latest);
}

// Counts lines, and takes the earliest and the latest of their times.
class meter {
 public:
  void add(const content::line& line) {
    ++found_.lines;
    found_.bytes += line.bytes + (line.terminated ? 1U : 0U);
    const json::line_time read = content::time_of(line);
    if (read.time) {
      add(*read.time, *read.time);
    } else if (read.is_event) {
      found_.has_undated = true;
    } else if (line.text.find_first_not_of(" \t\r\n") != std::string_view::npos) {
      found_.has_unreadable = true;
    }
  }

  void add(const seekable::frame& frame) {
    found_.lines += frame.known->lines;
    found_.bytes += *frame.bytes;
    if (frame.known->lines != 0) add(*frame.known->earliest, *frame.known->latest);
  }

  void add_bytes(std::uint64_t count) { found_.bytes += count; }
  measured& found() noexcept { return found_; }

 private:
  void add(time_point earliest, time_point latest) {
    found_.first = found_.first ? std::min(*found_.first, earliest) : earliest;
    found_.last = found_.last ? std::max(*found_.last, latest) : latest;
  }

  measured found_;
};

}  // namespace

result<measured> measure(const segment_info& segment) {
  auto opened = content::segment_reader::open(segment.path);
  if (!opened && opened.error().code == errc::io) return std::move(opened.error());
  meter counted;
  if (!opened) {  // it is something else than a segment
    counted.found().damage = opened.error().message;
    return counted.found();
  }
  for (const seekable::frame& frame : opened->frames()) {
    if (frame.known && frame.bytes && are_complete(*frame.known)) counted.add(frame);
  }
  const bool is_live = segment.state == segment_state::live;
  const auto wanted = [](const seekable::facts& known) { return !are_complete(known); };
  const auto read = content::each_line(*opened, 0, all_bytes, wanted, [&](const content::line& line) {
    if (line.terminated || !is_live) {
      counted.add(line);
    } else {
      counted.add_bytes(line.bytes);  // its writer may be in the middle of it
    }
    return true;
  });
  if (!read) return read.error();
  const auto losses = opened->take_losses();
  if (!losses.empty()) counted.found().damage = losses.front().cause;
  return counted.found();
}

}  // namespace annals::retention
