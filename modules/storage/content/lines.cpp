// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
module annals.content;
import annals.io;
import annals.json;

namespace annals::content {

namespace {

constexpr std::size_t backward_block_bytes_min = 32 * 1024;
constexpr std::size_t forward_block_bytes = 64 * 1024;

// What is kept of a line that is too long: enough for the longest one that may stand at its end, and the byte before that.
constexpr std::size_t kept_bytes_max = limits::read_line_bytes_max + 1;
constexpr std::size_t slack_bytes = 1024 * 1024;

std::string_view end_of(std::string_view bytes) noexcept {
  return bytes.substr(bytes.size() - std::min(bytes.size(), kept_bytes_max));
}

// Long lines get all the room that one can take, at once: memory that is not touched costs nothing, copies do.
void make_room(std::string& text, std::size_t for_bytes) {
  if (text.size() + for_bytes > slack_bytes) text.reserve(kept_bytes_max + 2 * slack_bytes);
}

}  // namespace

// --- backwards --------------------------------------------------------------------------------------------------------------

backward_lines::backward_lines(segment_reader& from, std::uint64_t end) : from_(from), block_bytes_(backward_block_bytes_min) {
  const piece last = from_.before(end, block_bytes_).value();
  done_ = last.bytes.empty();
  start(last);
}

void backward_lines::start(const piece& block) {
  begin_ = block.offset;
  held_ = block.bytes;
  end_ = begin_ + held_.size();
  ended_ = held_.ends_with('\n');
  if (!ended_) return;
  held_.remove_suffix(1);
  --end_;
}

void backward_lines::set_aside(std::string_view part) {
  part = part.substr(part.size() - std::min(part.size(), kept_bytes_max - behind_.size()));
  make_room(behind_, part.size());
  behind_.insert(0, part);
}

line backward_lines::cut(std::size_t from) {
  line found;
  found.offset = begin_ + from;
  found.bytes = end_ - found.offset;
  found.terminated = std::exchange(ended_, true);
  found.text = held_.substr(from);
  if (!behind_.empty()) {
    set_aside(found.text);
    found.text = behind_;
    given_ = true;
  }
  held_ = held_.substr(0, from == 0 ? 0 : from - 1);  // drop the newline before, too
  end_ = found.offset - (from == 0 ? 0 : 1);
  return found;
}

std::optional<line> backward_lines::next() {
  if (given_) behind_.clear();
  given_ = false;
  while (!done_) {
    const std::size_t newline = held_.rfind('\n');
    if (newline != std::string_view::npos) return cut(newline + 1);
    if (begin_ == 0) {
      done_ = true;
      return cut(0);
    }
    // The line begins further ahead, unless what is ahead is lost.
    set_aside(std::exchange(held_, {}));
    block_bytes_ =
        end_ - begin_ < backward_block_bytes_min ? backward_block_bytes_min : std::min(2 * block_bytes_, block_bytes_max);
    const piece block = from_.before(begin_, block_bytes_).value();
    const bool adjoins = !block.bytes.empty() && block.offset + block.bytes.size() == begin_;
    if (adjoins) {
      begin_ = block.offset;
      held_ = block.bytes;
      continue;
    }
    const line rest = cut(0);
    start(block);
    done_ = block.bytes.empty();
    if (rest.bytes != 0) return rest;
  }
  return std::nullopt;
}

// --- onwards ----------------------------------------------------------------------------------------------------------------

forward_lines::forward_lines(segment_reader& from, std::uint64_t at)
    : first_(from.text_at(0, check_first_bytes_max).value()),
      buffer_(from.text_before(at, check_last_bytes_max).value()),
      head_(buffer_.size()),
      offset_(at) {}

std::string_view forward_lines::first_bytes() const noexcept {
  return std::string_view(first_).substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(offset_, check_first_bytes_max)));
}

std::string_view forward_lines::last_bytes() const noexcept {
  return dropped_ != 0 ? before_dropped_ : before_head();
}

std::string_view forward_lines::before_head() const noexcept {
  const std::size_t bytes = std::min(head_, check_last_bytes_max);
  return std::string_view(buffer_).substr(head_ - bytes, bytes);
}

// Puts `bytes` behind what was read, and lets go of what is no longer needed of it.
void forward_lines::append(std::string_view bytes) {
  if (dropped_ == 0) {
    buffer_.erase(0, head_ - before_head().size());
    head_ = std::min(head_, check_last_bytes_max);
  }
  make_room(buffer_, bytes.size());
  buffer_.append(bytes);
}

forward_lines::found forward_lines::fill(segment_reader& from) {
  if (from.is_compressed()) {
    const piece next = from.at(end()).value();
    if (next.bytes.empty()) return found::nothing;
    behind_loss_ = next.offset;
    if (next.offset != end()) return found::lost;
    append(next.bytes);
    return found::more;
  }
  const std::size_t overlap = std::min(buffer_.size(), check_last_bytes_max);
  const piece block = from.at(end() - overlap, overlap + forward_block_bytes).value();
  if (!block.bytes.starts_with(std::string_view(buffer_).substr(buffer_.size() - overlap))) return found::rewritten;
  if (block.bytes.size() == overlap) return found::nothing;
  const std::string fresh(block.bytes.substr(overlap));
  std::string first = from.text_at(0, check_first_bytes_max).value();
  if (!first.starts_with(first_)) return found::rewritten;
  first_ = std::move(first);
  append(fresh);
  if (!is_zeros(fresh)) return found::more;
  behind_loss_ = from.behind_hole(end()).value();
  return behind_loss_ == end() ? found::more : found::lost;
}

void forward_lines::skip() {
  offset_ = behind_loss_;
  buffer_.clear();
  head_ = searched_ = 0;
  dropped_ = 0;
}

std::optional<line> forward_lines::next() {
  const std::size_t newline = buffer_.find('\n', head_ + searched_);
  if (newline == std::string::npos) {
    searched_ = buffer_.size() - head_;
    if (searched_ > kept_bytes_max + slack_bytes) drop();
    return std::nullopt;
  }
  line whole = cut(newline);
  whole.terminated = true;
  offset_ += whole.bytes + 1;
  head_ = newline + 1;
  searched_ = 0;
  dropped_ = 0;
  return whole;
}

line forward_lines::rest() const {
  return cut(buffer_.size());
}

line forward_lines::cut(std::size_t to) const {
  line whole;
  whole.offset = offset_;
  whole.bytes = dropped_ + (to - head_);
  whole.text = end_of(std::string_view(buffer_).substr(head_, to - head_));
  return whole;
}

// Lets go of the beginning of a line that is too long.
void forward_lines::drop() {
  if (dropped_ == 0) before_dropped_ = before_head();
  dropped_ += searched_ - kept_bytes_max;
  buffer_.erase(0, buffer_.size() - kept_bytes_max);
  head_ = 0;
  searched_ = kept_bytes_max;
}

// --- many at once -----------------------------------------------------------------------------------------------------------

bool line_cutter::feed(const piece& next, const taker& take) {
  if (held_bytes_ != 0 && next.offset != next_ && !give(false, true, take)) return false;
  std::string_view bytes = next.bytes;
  std::uint64_t offset = next.offset;
  next_ = offset + bytes.size();
  if (held_bytes_ != 0) {
    const std::size_t newline = bytes.find('\n');
    hold(bytes.substr(0, newline));
    if (newline == std::string_view::npos) return true;
    if (!give(true, false, take)) return false;
    bytes.remove_prefix(newline + 1);
    offset += newline + 1;
  }
  const std::size_t whole = bytes.rfind('\n') + 1;  // npos + 1 is 0
  if (whole != 0 && !take({offset, bytes.substr(0, whole), std::nullopt})) return false;
  held_offset_ = offset + whole;
  hold(bytes.substr(whole));
  return true;
}

bool line_cutter::end(const taker& take) {
  return held_bytes_ == 0 || give(false, false, take);
}

void line_cutter::hold(std::string_view bytes) {
  make_room(held_, bytes.size());
  held_.append(bytes);
  held_bytes_ += bytes.size();
  if (held_.size() > kept_bytes_max + slack_bytes) held_.erase(0, held_.size() - kept_bytes_max);
}

bool line_cutter::give(bool terminated, bool is_cut, const taker& take) {
  const bool more = take({held_offset_, {}, line{held_offset_, held_bytes_, terminated, end_of(held_), is_cut}});
  held_.clear();
  held_bytes_ = 0;
  return more;
}

// --- one after the other ----------------------------------------------------------------------------------------------------

result<bool> each_line(segment_reader& from, std::uint64_t offset, std::uint64_t end, const segment_reader::chooser& wanted,
                       const std::function<bool(const line&)>& take, const std::function<bool()>& goes_on) {
  line_cutter cutter;
  const auto cut = [&](const line_cutter::lines& some) {
    if (some.one) return take(*some.one);
    for (std::size_t at = 0; at < some.text.size();) {
      const std::size_t newline = some.text.find('\n', at);
      if (!take({some.offset + at, newline - at, true, some.text.substr(at, newline - at)})) return false;
      at = newline + 1;
    }
    return true;
  };
  auto went_on =
      from.each(offset, end, wanted, [&](const piece& next) { return (!goes_on || goes_on()) && cutter.feed(next, cut); });
  if (!went_on || !*went_on) return went_on;
  return cutter.end(cut);
}

json::line_time time_of(const line& one) {
  if (!one.is_too_long()) return json::time_of(without_mark(one));
  const auto appended = json::find_appended_event(one.text);
  return appended ? json::time_of(appended->read.line) : json::line_time();
}

result<std::optional<time_point>> first_time(segment_reader& from, std::uint64_t lines_max) {
  std::optional<time_point> found;
  const auto look_at = [&](const line& one) {
    found = time_of(one).time;
    return !found && --lines_max != 0;
  };
  // Most lines are short, so the first one is read without the rest of its block.
  constexpr std::size_t first_bytes = 4 * 1024;
  const auto begin = from.text_at(0, first_bytes);
  if (!begin) return begin.error();
  const std::size_t newline = begin->find('\n');
  if (newline != std::string::npos && !look_at({0, newline, true, std::string_view(*begin).substr(0, newline)})) return found;
  const std::uint64_t next = newline == std::string::npos ? 0 : newline + 1;
  if (auto read = each_line(from, next, static_cast<std::uint64_t>(-1), {}, look_at); !read) return std::move(read.error());
  return found;
}

}  // namespace annals::content
