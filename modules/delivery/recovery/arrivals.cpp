// SPDX-License-Identifier: Apache-2.0
//
// Which lines of a batch are in the log.
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>
module annals.recovery;
import annals.content;

namespace annals {

namespace {

// The lines to look for. Of equal lines only the count matters.
class wanted_lines {
 public:
  explicit wanted_lines(std::span<const std::string_view> lines) : lines_(lines), arrived_(lines.size(), false) {
    for (std::size_t i = lines.size(); i-- > 0;)
      by_text_[without_newline(lines[i])].push_back(i);  // found() takes from the back
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

// Why it is unknown whether `from` is a place in this log, although the live segment has such a place; empty where it is one. A
// copy of a log has the same lines in other files.
std::string may_not_fit(const content::view& log, const segment::log_place& from) {
  if (from.segment != log.live_number || from.inode == 0 || !log.live.is_open()) return "";
  const io::file_status& live = log.live.identity();
  return live.device == from.device && live.inode == from.inode ? "" : "the live segment was replaced";
}

// Why `from` is not a place in this log; empty where it is one.
std::string does_not_fit(const content::view& log, const segment::log_place& from) {
  if (from.segment > log.live_number) return "the log's segments have been removed";
  if (from.segment < log.live_number) {
    const bool is_there = std::any_of(log.closed.begin(), log.closed.end(),
                                      [&](const closed_segment& one) { return one.number == from.segment; });
    return is_there ? "" : "the segment that was being written to is gone";
  }
  if (from.inode == 0) return "";  // there was no live segment then
  if (!log.live.is_open()) return "the live segment was removed";
  const io::file_status& live = log.live.identity();
  return live.bytes < from.offset ? "the live segment was cut" : "";
}

// Passes the lines of a segment, from an offset on, to `wanted`. Returns the partial line at the end of a live segment.
result<std::string> look_through(content::segment_reader& content, std::uint64_t offset, bool is_live, wanted_lines& wanted) {
  auto end = content.bytes();
  if (!end) return std::move(end.error());
  std::string rest;
  content::line_cutter cutter;
  const auto take = [&](const content::line_cutter::lines& lines) {
    std::string_view text = lines.text;
    for (std::size_t newline = text.find('\n'); newline != std::string_view::npos; newline = text.find('\n')) {
      wanted.found(text.substr(0, newline));
      text.remove_prefix(newline + 1);
    }
    if (lines.one && lines.one->terminated) wanted.found(lines.one->text);
    if (lines.one && !lines.one->terminated && !lines.one->is_cut && !lines.one->is_too_long()) rest.assign(lines.one->text);
    return true;
  };
  auto all = content.each(offset, *end, {}, [&](const content::piece& piece) { return cutter.feed(piece, take); });
  if (!all) return std::move(all.error());
  (void)cutter.end(take);
  if (!is_live) rest.clear();
  return rest;
}

}  // namespace

result<arrivals> find_in_log(const std::string& path, const segment::log_place& from, std::span<const std::string_view> lines) {
  auto log = content::view_of(path);
  if (!log) return std::move(log.error());
  arrivals found;
  found.uncertain = does_not_fit(*log, from);
  wanted_lines wanted(lines);
  std::string rest;
  if (found.uncertain.empty()) {
    for (const closed_segment& one : log->closed) {
      if (one.number < from.segment) continue;
      auto content = content::open_closed(path, one);
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
  // Lines that are there are there, in whichever file. Of those that are missing, the file that was replaced may have had some.
  if (std::find(found.arrived.begin(), found.arrived.end(), false) != found.arrived.end()) {
    found.uncertain = may_not_fit(*log, from);
  }
  return found;
}

result<arrivals> settle_in_log(const std::string& path, unsigned mode, const segment::log_place& from,
                               std::span<const std::string_view> lines) {
  auto found = find_in_log(path, from, lines);
  if (!found || !found->torn) return found;
  auto live = io::file::open(path, io::open_for::appending, mode);
  if (!live) return found;
  std::size_t appended = 0;
  if (live->append(lines[*found->torn].substr(found->torn_bytes), appended) == 0) found->arrived[*found->torn] = true;
  return found;
}

}  // namespace annals
