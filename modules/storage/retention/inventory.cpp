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

bool is_unchanged(const io::file_status& before, const io::file_status& now) {
  return io::same_file(before, now) && before.bytes == now.bytes && before.changed == now.changed;
}

bool hold_the_same(const measured& a, const measured& b) {
  return a.lines == b.lines && a.bytes == b.bytes && a.first == b.first && a.last == b.last && a.check == b.check;
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

result<std::map<std::uint64_t, std::string>> inventory::doubled() const {
  const std::string stem = segment::stem_of(path_);
  auto names = io::list_directory(io::parent_of(path_), stem + "-", segment::files_max);
  if (!names) return std::move(names.error());
  std::sort(names->begin(), names->end());
  std::map<std::uint64_t, std::string> found;
  std::optional<closed_segment> before;
  for (const std::string& name : *names) {
    auto one = segment::parse_closed_name(name, stem);
    if (!one) continue;
    if (before && before->number == one->number && before->first_event() != one->first_event()) found[one->number] = name;
    before = std::move(one);
  }
  return found;
}

// Of a segment in both forms, both are read: where they hold different lines, nothing is known of its times.
result<measured> inventory::read(const segment_info& segment, counting how) const {
  auto content = retention::measure(segment, how, stop_);
  if (!content || how == counting::by_facts || segment.state != segment_state::closed || !segment.is_compressing)
    return content;
  segment_info other = segment;
  other.path += compressed_suffix;
  other.state = segment_state::compressed;
  const auto archive = retention::measure(other, how, stop_);
  if (!archive && !has_gone(archive.error())) return archive.error();
  if (archive && !hold_the_same(*content, *archive)) content->damage = "its two forms hold different lines";
  return content;
}

std::optional<error> inventory::measure(segment_info& segment, counting how) {
  const auto status = io::status_at(segment.path);
  if (!status) return status.error();
  auto found = known_.find(segment.number);
  const bool is_known = *status && found != known_.end() && segment.state != segment_state::live &&
                        is_unchanged(found->second.content.of, **status) &&
                        (how == counting::by_facts || found->second.is_decoded);
  measured content;
  if (is_known) {
    content = found->second.content;
  } else {
    auto read = this->read(segment, how);
    if (!read) return std::move(read.error());
    content = std::move(*read);
    if (segment.state != segment_state::live) known_[segment.number] = {content, how == counting::decoded};
  }
  segment.events = content.lines;
  segment.bytes = content.bytes;
  segment.damage = content.damage;
  // A file that another program compressed, whatever its name is.
  if (segment.state == segment_state::live && content.is_compressed) segment.state = segment_state::compressed;
  segment.first.reset();
  segment.last.reset();
  segment.is_last_guessed = false;
  if (content.has_unreadable || content.damage) return std::nullopt;  // any time may be in what could not be read
  segment.first = content.first;
  segment.last = content.last;
  if (!content.has_undated) return std::nullopt;
  segment.is_last_guessed = true;
  segment.last = std::max(segment.last, std::optional(content.of.modified));
  return std::nullopt;
}

std::optional<error> inventory::prepare(std::vector<segment_info>& segments, const retention_policy& policy, time_point now,
                                        const std::vector<hold>& holds) {
  const bool has_timed = std::any_of(holds.begin(), holds.end(), [](const hold& one) { return one.from || one.to; });
  const bool all_held = std::any_of(holds.begin(), holds.end(), [](const hold& one) { return !one.from && !one.to; });
  for (segment_info& one : segments) {
    if (one.state == segment_state::live) continue;
    bool is_needed = has_timed && !all_held;
    if (policy.keep_for) {
      const auto status = io::status_at(one.path);
      if (!status) return status.error();
      if (*status) one.written = (*status)->modified;
      // One that was written lately is young, whatever is in it.
      is_needed = is_needed || !one.written || *one.written < policy.keep_for->before(now);
    }
    if (is_needed) {
      if (auto failed = measure(one, counting::by_facts); failed && !has_gone(*failed)) return failed;
    }
    note_holds(one, holds);
  }
  std::erase_if(known_, [&segments](const auto& entry) {
    return !std::binary_search(segments.begin(), segments.end(), segment_info{.number = entry.first},
                               [](const segment_info& a, const segment_info& b) { return a.number < b.number; });
  });
  return std::nullopt;
}

std::optional<error> inventory::verify(segment_info& segment, const std::vector<hold>& holds) {
  auto failed = measure(segment, counting::decoded);
  note_holds(segment, holds);
  return failed;
}

std::string inventory::check_of(std::uint64_t number) const {
  const auto found = known_.find(number);
  return found == known_.end() ? std::string() : found->second.content.check;
}

io::file_status inventory::file_of(std::uint64_t number) const {
  const auto found = known_.find(number);
  return found == known_.end() ? io::file_status{} : found->second.content.of;
}

void note_holds(segment_info& segment, const std::vector<hold>& holds) {
  constexpr std::size_t names_max = 16;
  segment.held_by.clear();
  for (const hold& one : holds) {
    if (segment.held_by.size() < names_max && retention::holds(one, segment)) segment.held_by.push_back(one.name);
  }
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

namespace {

// What readers would report of a closed segment beside the damage in its lines: it has no lines, or its two forms differ.
std::optional<std::string> fault_of(const std::string& path, const segment_info& one) {
  if (one.is_compressing) {
    auto opened = content::open_closed(path, {.path = one.path, .number = one.number});
    if (!opened) return opened.error().message;
    if (!opened->is_open()) return std::nullopt;
    if (const auto losses = opened->take_losses(); !losses.empty()) return losses.front().cause;
  }
  if (one.events == 0 && one.bytes == 0) return "it is empty, and a closed segment is not";
  return std::nullopt;
}

// Adds what has the name of a closed segment and is no regular file.
std::optional<error> add_other_files(const std::string& path, std::vector<segment_info>& segments) {
  const auto named = segment::list(path);
  if (!named) return named.error();
  for (const closed_segment& one : named->closed) {
    const auto at = std::find_if(segments.begin(), segments.end(), [&](const auto& s) { return s.number >= one.number; });
    if (at != segments.end() && at->number == one.number) continue;
    const auto opened = content::open_closed(path, one);
    if (opened) continue;  // gone, or made meanwhile
    segments.insert(at, {.number = one.number,
                         .state = one.compressed ? segment_state::compressed : segment_state::closed,
                         .path = one.path,
                         .damage = opened.error().message});
  }
  return std::nullopt;
}

// Notes at each segment which ones are missing before it without a record of their deletion.
void note_missing(const std::string& path, std::vector<segment_info>& segments) {
  segment::deletion_counts recorded(path);
  std::uint64_t expected = 1;
  for (segment_info& one : segments) {
    if (one.number > expected && !recorded.of(expected, one.number - 1).events) {
      const std::string missing = (one.number - 1 == expected ? "segment " + std::to_string(expected) + " is"
                                                              : "segments " + std::to_string(expected) + " to " +
                                                                    std::to_string(one.number - 1) + " are") +
                                  " missing before it, without a record of a deletion";
      one.damage = one.damage ? *one.damage + "; " + missing : missing;
    }
    expected = one.number + 1;
  }
}

}  // namespace

result<std::vector<segment_info>> list_segments(const std::string& path) {
  constexpr int looks_max = 20;
  if (auto refused = segment::refuse_as_log(path)) return std::move(*refused);
  const auto holds = list_holds(path);
  if (!holds) return holds.error();
  retention::inventory known(path);
  for (int looks = 1;; ++looks) {
    auto segments = known.list();
    if (!segments) return segments;
    const auto doubled = known.doubled();
    if (!doubled) return doubled.error();
    std::optional<error> failed;
    for (segment_info& one : *segments) {
      failed = known.measure(one, retention::counting::by_facts);
      if (failed && failed->system_code == ENOENT) break;
      if (failed) one.damage = std::exchange(failed, std::nullopt)->message;  // and the others are listed all the same
      if (!one.damage && one.state != segment_state::live) one.damage = fault_of(path, one);
      if (one.state != segment_state::live) retention::note_holds(one, *holds);
      const auto other = doubled->find(one.number);
      if (other != doubled->end()) one.damage = "another segment has its number: " + other->second;
    }
    if (!failed) failed = add_other_files(path, *segments);
    if (!failed) {
      note_missing(path, *segments);
      return segments;
    }
    if (failed->system_code != ENOENT || looks == looks_max) return std::move(*failed);
  }
}

std::optional<std::string> log_of_file(std::string_view path) {
  return segment::log_of(path);
}

}  // namespace annals
