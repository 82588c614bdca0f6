// SPDX-License-Identifier: Apache-2.0
//
// What became of a batch whose writer died, or failed: the log tells.
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>
module annals.drain;
import annals.segment;
import annals.content;

namespace annals {

namespace {

// The lines that are looked for. Equal ones are told apart by their number alone, as the log does not either.
class wanted_lines {
 public:
  explicit wanted_lines(std::span<const std::string_view> lines) : lines_(lines), arrived_(lines.size(), false) {
    for (std::size_t i = lines.size(); i-- > 0;) by_text_[without_newline(lines[i])].push_back(i);  // taken from the back
  }

  void found(std::string_view text) {
    const auto at = by_text_.find(text);
    if (at == by_text_.end() || at->second.empty()) return;
    arrived_[at->second.back()] = true;
    at->second.pop_back();
  }

  // The first line that has not arrived and begins with `text`.
  std::optional<std::size_t> begun(std::string_view text) const {
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (!arrived_[i] && lines_[i].starts_with(text)) return i;
    }
    return std::nullopt;
  }

  std::vector<bool> take() { return std::move(arrived_); }

 private:
  static std::string_view without_newline(std::string_view line) { return line.substr(0, line.size() - 1); }

  std::span<const std::string_view> lines_;
  std::vector<bool> arrived_;
  std::unordered_map<std::string_view, std::vector<std::size_t>> by_text_;
};

// Why the log is not the one in which `from` was a place, or nothing.
std::string does_not_fit(const source::view& log, const ring::log_place& from) {
  if (from.segment > log.live_number) return "the log's segments have been removed";
  if (from.segment < log.live_number) {
    const bool is_there = std::any_of(log.closed.begin(), log.closed.end(),
                                      [&](const segment::closed_segment& one) { return one.number == from.segment; });
    return is_there ? "" : "the segment that was being written to is gone";
  }
  if (from.inode == 0) return "";  // there was none then
  if (!log.live.is_open()) return "the live segment was removed";
  const io::file_status& live = log.live.identity();
  if (live.device != from.device || live.inode != from.inode) return "the live segment was replaced";
  return live.bytes < from.offset ? "the live segment was cut" : "";
}

// Hands the lines of a segment, from an offset on, to `wanted`. What has no newline at the end is returned, where `is_live`.
result<std::string> look_through(source::content& content, std::uint64_t offset, bool is_live, wanted_lines& wanted) {
  auto end = content.bytes();
  if (!end) return std::move(end.error());
  std::string rest;
  source::line_cutter cutter;
  const auto take = [&](const source::line_cutter::lines& lines) {
    std::string_view text = lines.text;
    for (std::size_t newline = text.find('\n'); newline != std::string_view::npos; newline = text.find('\n')) {
      wanted.found(text.substr(0, newline));
      text.remove_prefix(newline + 1);
    }
    if (lines.one && lines.one->terminated) wanted.found(lines.one->text);
    if (lines.one && !lines.one->terminated && !lines.one->is_too_long()) rest.assign(lines.one->text);
    return true;
  };
  auto all = content.each(offset, *end, {}, [&](const source::piece& piece) { return cutter.feed(piece, take); });
  if (!all) return std::move(all.error());
  (void)cutter.end(take);
  if (!is_live) rest.clear();
  return rest;
}

}  // namespace

result<arrivals> find_in_log(const std::string& path, const ring::log_place& from, std::span<const std::string_view> lines) {
  auto log = source::view_of(path);
  if (!log) return std::move(log.error());
  arrivals found;
  found.uncertain = does_not_fit(*log, from);
  wanted_lines wanted(lines);
  std::string rest;
  if (found.uncertain.empty()) {
    for (const segment::closed_segment& one : log->closed) {
      if (one.number < from.segment) continue;
      auto content = source::open_closed(path, one);
      if (!content) return std::move(content.error());
      if (!content->is_open()) {
        found.uncertain = "the segment " + std::to_string(one.number) + " was removed at this moment";
        break;
      }
      auto looked = look_through(*content, one.number == from.segment ? from.offset : 0, false, wanted);
      if (!looked) return std::move(looked.error());
    }
    if (log->live.is_open()) {
      auto looked = look_through(log->live, log->live_number == from.segment ? from.offset : 0, true, wanted);
      if (!looked) return std::move(looked.error());
      rest = std::move(*looked);
    }
  }
  if (!found.uncertain.empty()) {
    found.arrived.assign(lines.size(), false);
    return found;
  }
  if (!rest.empty()) {
    found.torn = wanted.begun(rest);
    found.torn_bytes = rest.size();
  }
  found.arrived = wanted.take();
  return found;
}

void finish_torn(arrivals& found, const std::string& path, unsigned mode, std::string_view line) {
  auto live = io::file::open(path, io::open_for::appending, mode);
  if (!live) return;
  std::size_t appended = 0;
  if (live->append(line.substr(found.torn_bytes), appended) == 0) found.arrived[*found.torn] = true;
}

namespace {

// The lines of the ring that are not in the log.
std::vector<std::string_view> lines_left(const std::string& log_path, const ring::file_header& header, const char* records) {
  const std::vector<ring::record> whole = ring::whole_records(header, records);
  std::vector<std::string_view> taken;
  for (const ring::record& one : whole) {
    if (one.state == ring::mark::taken) taken.push_back(one.line);
  }
  const auto phase = static_cast<ring::phase>(header.phase.load(std::memory_order_acquire));
  std::vector<bool> arrived(taken.size(), phase == ring::phase::done);
  if (phase == ring::phase::writing) {
    auto found = find_in_log(log_path, header.batch, taken);
    if (found) arrived = std::move(found->arrived);
    // What lacks only its newline is an event to readers already.
    if (found && found->torn && found->torn_bytes + 1 == taken[*found->torn].size()) arrived[*found->torn] = true;
  }
  std::vector<std::string_view> left;
  std::size_t next = 0;
  for (const ring::record& one : whole) {
    if (one.state == ring::mark::taken && arrived[next++]) continue;
    left.push_back(one.line);
  }
  return left;
}

}  // namespace

left_in_ring left_in_ring::of(const std::string& path) {
  left_in_ring found;
  const std::string ring_path = path + ".ring";
  const auto there = io::status_at(ring_path);
  if (!there || !*there || (*there)->kind != io::file_kind::regular || (*there)->bytes < ring::page_bytes) return {};
  auto owner = io::lock_file::open(ring_path, 0600);
  if (!owner || owner->lock() != 0) return {};
  const auto status = owner->status();
  if (!status) return {};
  alignas(ring::file_header) char first[sizeof(ring::file_header)] = {};
  const auto got = owner->read_at(first, sizeof first, 0);
  const auto& read = *reinterpret_cast<const ring::file_header*>(first);
  if (!got || *got != sizeof first || ring::fault_of(read, status->bytes)) return {};
  auto mapped = io::wrapped_mapping::of(ring_path, ring::page_bytes, static_cast<std::size_t>(read.bytes), *status);
  if (!mapped) return {};
  found.owner_ = std::move(*owner);
  found.mapping_ = std::move(*mapped);
  const auto& header = *reinterpret_cast<const ring::file_header*>(found.mapping_.head());
  found.lines_ = lines_left(path, header, found.mapping_.wrapped());
  return found;
}

}  // namespace annals
