// SPDX-License-Identifier: Apache-2.0
//
// How many lines a segment has, and of what times.
module;
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.retention;
import annals.io;
import annals.io.owned_file;
import annals.json;
import annals.content.seekable;
import annals.segment;
#include "internal.h"

namespace annals::maintenance {

namespace {

constexpr std::size_t chunk_bytes = 1024 * 1024;
constexpr std::size_t tail_bytes = 64 * 1024;

// Counts lines, and takes the earliest and the latest of their times.
class meter {
 public:
  void add(std::string_view line) {
    ++found_.lines;
    if (line.empty()) return;
    if (line.size() >= last_text_.size() && !last_text_.empty() &&
        std::memcmp(line.data(), last_text_.data(), last_text_.size()) == 0) {
      return;  // begins as the line before, time included
    }
    bool is_event = false;
    const auto time = time_of(line, is_event);
    if (!is_event) return;
    if (!time) {
      found_.has_undated = true;
      return;
    }
    last_text_ = line.starts_with(ts_key) ? line.substr(0, line.find('"', ts_key.size()) + 1) : std::string_view();
    found_.first = found_.first ? std::min(*found_.first, *time) : *time;
    found_.last = found_.last ? std::max(*found_.last, *time) : *time;
  }
  const measured& found() const noexcept { return found_; }

  static constexpr std::string_view ts_key = "{\"ts\":\"";

 private:
  measured found_;
  std::string last_text_;
};

// The same for what comes in parts.
class meter_of_parts {
 public:
  bool take(std::string_view part) {
    bytes_ += part.size();
    lines_.add(part);
    return true;
  }
  void end() { lines_.end(); }  // the last line needs no newline
  measured found(std::optional<std::string> damage = {}) const {
    measured all = counted_.found();
    all.bytes = bytes_;
    all.damage = std::move(damage);
    return all;
  }

 private:
  meter counted_;
  line_splitter lines_{[this](std::string_view line) { counted_.add(line); }};
  std::uint64_t bytes_ = 0;
};

std::optional<error> read_plain(const std::string& path, std::uint64_t offset,
                                const std::function<bool(std::string_view part)>& take) {
  const auto opened = io::file::open(path, io::open_for::reading);
  if (!opened) return opened.error();
  std::string chunk(chunk_bytes, '\0');
  for (;;) {
    const auto got = opened->read_at(chunk.data(), chunk.size(), offset);
    if (!got) return got.error();
    if (*got == 0) return std::nullopt;
    offset += *got;
    if (!take({chunk.data(), *got})) return std::nullopt;
  }
}

// Decodes the frames that are not before the offset.
std::optional<error> read_frames(const io::file& file, const std::string& path, const seekable::table& table,
                                 std::uint64_t offset, const std::function<bool(std::string_view part)>& take,
                                 std::optional<std::string>& damage) {
  seekable::decoder decoder(file, path);
  for (const seekable::frame& frame : table.frames) {
    if (frame.bytes && frame.offset + *frame.bytes <= offset) continue;
    std::uint64_t at = frame.offset;
    bool goes_on = true;
    const auto outcome = decoder.decode(frame, [&](std::string_view part) {
      const std::uint64_t skipped = std::min<std::uint64_t>(part.size(), offset > at ? offset - at : 0);
      at += part.size();
      part.remove_prefix(static_cast<std::size_t>(skipped));
      return goes_on = part.empty() || take(part);
    });
    if (outcome.damage && !damage) damage = outcome.damage->cause;
    if (!goes_on) break;
  }
  return std::nullopt;
}

result<measured> measure_compressed(const std::string& path) {
  const auto opened = io::file::open(path, io::open_for::reading);
  if (!opened) return opened.error();
  const auto table = seekable::read_table(*opened, path);
  if (!table) return table.error();
  std::optional<std::string> damage;
  if (!table->findings.empty()) damage = table->findings.front().cause;
  if (table->known && table->bytes) {
    measured found{table->known->lines, *table->bytes, table->known->earliest, table->known->latest, false, damage};
    found.has_undated = found.lines != 0 && !found.last;
    for (const seekable::frame& frame : table->frames) {  // as far as they are known
      if (found.has_undated && frame.known && frame.known->latest) found.last = std::max(found.last, frame.known->latest);
    }
    return found;
  }
  meter_of_parts parts;
  const auto take = [&parts](std::string_view part) { return parts.take(part); };
  if (auto failed = read_frames(*opened, path, *table, 0, take, damage)) return std::move(*failed);
  parts.end();
  return parts.found(damage);
}

}  // namespace

std::optional<time_point> time_of(std::string_view line, bool& is_event) {
  is_event = true;
  if (line.starts_with(meter::ts_key) && line.ends_with('}')) {  // as we write it: not parsed to the end
    const std::string_view rest = line.substr(meter::ts_key.size(), timestamp_bytes_max + 1);
    if (const auto time = parse_timestamp(rest.substr(0, rest.find('"')))) return time->time;
  }
  const auto read = json::decode_line(line);
  is_event = static_cast<bool>(read);
  if (!read) return std::nullopt;
  const auto time = parse_timestamp(read->ts);
  if (!time) return std::nullopt;
  return time->time;
}

void line_splitter::add(std::string_view part) {
  while (!part.empty()) {
    const void* const found = std::memchr(part.data(), '\n', part.size());
    const std::size_t end =
        found == nullptr ? part.size() : static_cast<std::size_t>(static_cast<const char*>(found) - part.data());
    const std::string_view piece = part.substr(0, end);
    if (found != nullptr && !has_pending_) {
      take_(piece);
    } else {
      const std::size_t room = limits::line_bytes_max - std::min(limits::line_bytes_max, pending_.size());
      pending_ += piece.substr(0, room);
      has_pending_ = true;
      if (found != nullptr) end_line();
    }
    part.remove_prefix(found == nullptr ? end : end + 1);
  }
}

void line_splitter::end() {
  if (has_pending_) end_line();
}

void line_splitter::end_line() {
  take_(pending_);
  pending_.clear();
  has_pending_ = false;
}

std::optional<error> read_parts(const segment_info& segment, std::uint64_t offset,
                                const std::function<bool(std::string_view part)>& take) {
  if (segment.state != segment_state::compressed) return read_plain(segment.path, offset, take);
  const auto opened = io::file::open(segment.path, io::open_for::reading);
  if (!opened) return opened.error();
  const auto table = seekable::read_table(*opened, segment.path);
  if (!table) return table.error();
  std::optional<std::string> ignored;
  return read_frames(*opened, segment.path, *table, offset, take, ignored);
}

result<measured> measure(const segment_info& segment) {
  if (segment.state == segment_state::compressed) return measure_compressed(segment.path);
  meter_of_parts parts;
  const auto take = [&parts](std::string_view part) { return parts.take(part); };
  if (auto failed = read_plain(segment.path, 0, take)) return std::move(*failed);
  if (segment.state != segment_state::live) parts.end();  // the last line of a live one may be being written
  return parts.found();
}

result<std::optional<time_point>> last_line_time(const std::string& path) {
  const auto opened = io::file::open(path, io::open_for::reading);
  if (!opened) return opened.error();
  const auto status = opened->status();
  if (!status) return status.error();
  const auto tail = opened->read_before(status->bytes, tail_bytes);
  if (!tail) return tail.error();
  std::string_view line = *tail;
  if (line.ends_with('\n')) line.remove_suffix(1);
  const std::size_t before = line.rfind('\n');
  if (before == std::string_view::npos && status->bytes > tail_bytes) return std::optional<time_point>();
  bool is_event = false;
  return time_of(line.substr(before + 1), is_event);
}

}  // namespace annals::maintenance
