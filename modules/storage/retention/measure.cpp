// SPDX-License-Identifier: Apache-2.0
//
// How many lines a segment has, and of what times.
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
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
import annals.io.checksum;
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
  explicit meter(bool is_decoded) : is_decoded_(is_decoded) {}

  void add(const content::line& line) {
    if (++found_.lines == 1 && is_decoded_) note_check(line.text);
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

  void note_check(std::string_view line) {
    std::array<char, 17> text;  // 16 digits
    std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(fnv_1a(line)));
    found_.check = text.data();
  }

  bool is_decoded_;
  measured found_;
};

}  // namespace

result<measured> measure(const segment_info& segment, counting how, const std::atomic<bool>* stop) {
  auto opened = content::segment_reader::open(segment.path);
  if (!opened && opened.error().code == errc::io) return std::move(opened.error());
  meter counted(how == counting::decoded);
  if (!opened) {  // it is something else than a segment
    counted.found().damage = opened.error().message;
    return counted.found();
  }
  counted.found().of = opened->identity();
  counted.found().is_compressed = opened->is_compressed();
  const auto is_wanted = [how](const seekable::facts& known) { return how == counting::decoded || !are_complete(known); };
  for (const seekable::frame& frame : opened->frames()) {
    if (frame.known && frame.bytes && !is_wanted(*frame.known)) counted.add(frame);
  }
  const bool is_live = segment.state == segment_state::live;
  const auto take = [&](const content::line& line) {
    if (line.terminated || line.is_cut || !is_live) {
      counted.add(line);
    } else {
      counted.add_bytes(line.bytes);  // its writer may be in the middle of it
    }
    return true;
  };
  const auto read =
      content::each_line(*opened, 0, all_bytes, is_wanted, take, [stop] { return stop == nullptr || !stop->load(); });
  if (!read) return read.error();
  if (!*read) return error{errc::io, ECANCELED, "stopped reading '" + segment.path + "'"};
  const auto losses = opened->take_losses();
  if (!losses.empty()) counted.found().damage = losses.front().cause;
  return counted.found();
}

}  // namespace annals::retention
