// SPDX-License-Identifier: Apache-2.0
//
// Which segments a log has, and what is known of them.
module;
#include <algorithm>
#include <atomic>
#include <cerrno>
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
import annals.io;
import annals.json;
import annals.rotation.lock;
import annals.segment;
#include "internal.h"

namespace annals {

namespace retention {

namespace {

constexpr std::string_view temporary_suffix = ".tmp";
constexpr std::string_view compressed_suffix = ".zst";

bool has_gone(const error& cause) {
  return cause.system_code == ENOENT;
}

// The time of the last line of a plain segment, if that has one that can be read.
result<std::optional<time_point>> last_time(const std::string& path) {
  auto opened = content::segment_reader::open(path);
  if (!opened) return std::move(opened.error());
  if (opened->is_compressed()) return std::optional<time_point>();
  return content::last_time(*opened);
}

}  // namespace

result<std::vector<segment_info>> inventory::list() const {
  const auto listed = segment::list(path_, {.with_sizes = true});
  if (!listed) return listed.error();
  std::vector<segment_info> segments;
  for (const closed_segment& one : listed->closed) {
    segments.push_back({.number = one.number,
                        .state = one.compressed ? segment_state::compressed : segment_state::closed,
                        .path = one.path,
                        .bytes_on_disk = one.bytes,
                        .is_compressing = one.is_compressing});
  }
  if (listed->live_bytes) {
    segments.push_back(
        {.number = listed->live_number, .state = segment_state::live, .path = path_, .bytes_on_disk = *listed->live_bytes});
  }
  return segments;
}

std::optional<error> inventory::measure(segment_info& segment) {
  if (stop_ != nullptr && stop_->load()) return error{errc::io, ECANCELED, "stopped reading the segments of '" + path_ + "'"};
  const auto found = known_.find(segment.number);
  const bool is_known = found != known_.end() && segment.state != segment_state::live && found->second.state == segment.state &&
                        found->second.bytes_on_disk == segment.bytes_on_disk;
  measured content;
  if (is_known) {
    content = found->second.content;
  } else {
    auto read = retention::measure(segment);
    if (!read) return std::move(read.error());
    content = std::move(*read);
    if (segment.state != segment_state::live) known_[segment.number] = {segment.state, segment.bytes_on_disk, content};
  }
  segment.events = content.lines;
  segment.bytes = content.bytes;
  segment.damage = content.damage;
  if (content.has_unreadable || content.damage) return std::nullopt;  // any time may be in what could not be read
  segment.first = content.first;
  segment.last = content.last;
  if (!content.has_undated) return std::nullopt;
  const auto status = io::status_at(segment.path);
  if (!status) return status.error();
  segment.is_last_guessed = true;
  if (*status) segment.last = std::max(segment.last, std::optional((*status)->modified));
  return std::nullopt;
}

std::optional<error> inventory::prepare(std::vector<segment_info>& segments, const retention_policy& policy, time_point now,
                                        const std::vector<hold>& holds) {
  const bool has_timed = std::any_of(holds.begin(), holds.end(), [](const hold& one) { return one.from || one.to; });
  const bool all_held = std::any_of(holds.begin(), holds.end(), [](const hold& one) { return !one.from && !one.to; });
  for (segment_info& one : segments) {
    if (one.state == segment_state::live) continue;
    bool is_needed = has_timed && !all_held;
    if (policy.keep_for && one.state == segment_state::closed && !is_needed) {
      // Its newest event is not older than the last one: where that is young, nothing more has to be known.
      const auto last = last_time(one.path);
      if (!last && last.error().code == errc::io && !has_gone(last.error())) return last.error();
      if (last && *last && (**last >= now || now - **last <= *policy.keep_for)) {
        one.last = *last;
      } else {
        is_needed = true;
      }
    } else if (policy.keep_for) {
      is_needed = true;
    }
    if (is_needed) {
      if (auto failed = measure(one); failed && !has_gone(*failed)) return failed;
    }
    for (const hold& each : holds) {
      if (retention::holds(each, one)) one.held_by.push_back(each.name);
    }
  }
  std::erase_if(known_, [&segments](const auto& entry) {
    return std::none_of(segments.begin(), segments.end(), [&entry](const segment_info& s) { return s.number == entry.first; });
  });
  return std::nullopt;
}

result<disk_space> space_of(const std::string& path) {
  const auto space = io::space_at(io::parent_of(path));
  if (!space) return space.error();
  return disk_space{space->total - space->free + space->available, space->available};
}

std::vector<std::string> files_of(const segment_info& segment) {
  std::string plain = segment.path;
  if (plain.ends_with(compressed_suffix)) plain.resize(plain.size() - compressed_suffix.size());
  const std::string compressed = plain + std::string(compressed_suffix);
  return {compressed + std::string(temporary_suffix), compressed, plain};
}

}  // namespace retention

result<std::vector<segment_info>> list_segments(const std::string& path) {
  constexpr int looks_max = 20;
  if (auto refused = segment::refuse_as_log(path)) return std::move(*refused);
  const auto holds = list_holds(path);
  if (!holds) return holds.error();
  retention::inventory known(path);
  for (int looks = 1;; ++looks) {
    auto segments = known.list();
    if (!segments) return segments;
    std::optional<error> failed;
    for (segment_info& one : *segments) {
      failed = known.measure(one);
      if (failed && failed->system_code == ENOENT) break;
      if (failed) one.damage = std::exchange(failed, std::nullopt)->message;  // and the others are listed all the same
      for (const hold& each : *holds) {
        const bool is_held = one.state != segment_state::live && retention::holds(each, one);
        if (is_held) one.held_by.push_back(each.name);
      }
    }
    if (!failed) return segments;
    if (failed->system_code != ENOENT || looks == looks_max) return std::move(*failed);
  }
}

std::optional<std::string> log_of_file(std::string_view path) {
  return segment::log_of(path);
}

}  // namespace annals
