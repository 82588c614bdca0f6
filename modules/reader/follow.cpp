// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reading.h"
module annals.reader;
import annals.io;
import annals.json;
import annals.segment;

namespace annals {

namespace {

constexpr std::size_t block_bytes = 64 * 1024;

// How long a file that was renamed or replaced is still read: its writers may notice later than we do. The file sink
// notices within 100 ms.
constexpr std::chrono::milliseconds grace{250};

// How long next() waits at most for a time given as a limit: the clock's arithmetic ends somewhere.
constexpr std::chrono::hours wait_max{24 * 365};

struct opened_file {
  io::file file;
  io::file_status identity;
  std::chrono::nanoseconds seen{0};  // when; io::system_calls::uptime
};

struct forward_line {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;  // newline not included
  bool too_long = false;    // then `text` is empty
  std::string_view text;    // valid until the next call
};

// The lines of a file from an offset on, as they become complete.
class forward_lines {
 public:
  forward_lines() = default;
  forward_lines(const io::file& file, std::uint64_t at)
      : first_(file.read_before(check_first_bytes_max, check_first_bytes_max).value()),
        buffer_(file.read_before(at, check_last_bytes_max).value()),
        head_(buffer_.size()),
        offset_(at) {}

  std::uint64_t offset() const noexcept { return offset_; }
  std::uint64_t end() const noexcept { return offset_ + dropped_ + (buffer_.size() - head_); }

  // Of a cursor at offset().
  std::uint64_t check() const noexcept {
    const auto first_bytes = static_cast<std::size_t>(std::min<std::uint64_t>(offset_, check_first_bytes_max));
    return check_of(std::string_view(first_).substr(0, first_bytes), dropped_ != 0 ? before_dropped_ : before_head());
  }

  // Does offset() lie behind a line whose newline was still missing?
  bool is_behind_line() const noexcept { return head_ != 0 && dropped_ == 0 && buffer_[head_ - 1] != '\n'; }

  enum class found : std::uint8_t { nothing, more, rewritten };

  // Reads what was appended; or finds that what was read before is not there any more.
  found fill(const io::file& file) {
    const std::size_t overlap = std::min(buffer_.size(), check_last_bytes_max);
    std::string block(overlap + block_bytes, '\0');
    block.resize(file.read_at(block.data(), block.size(), end() - overlap).value());
    if (!block.starts_with(std::string_view(buffer_).substr(buffer_.size() - overlap))) return found::rewritten;
    if (block.size() == overlap) return found::nothing;
    std::string first(check_first_bytes_max, '\0');
    first.resize(file.read_at(first.data(), first.size(), 0).value());
    if (!first.starts_with(first_)) return found::rewritten;
    first_ = std::move(first);
    buffer_.erase(0, head_ - before_head().size());
    head_ = std::min(head_, check_last_bytes_max);
    buffer_.append(block, overlap);
    return found::more;
  }

  std::optional<forward_line> next() {
    const std::size_t newline = buffer_.find('\n', head_ + searched_);
    if (newline == std::string::npos) {
      searched_ = buffer_.size() - head_;
      if (searched_ > limits::read_line_bytes_max) drop();
      return std::nullopt;
    }
    const forward_line line = cut(newline);
    offset_ += line.bytes + 1;
    head_ = newline + 1;
    searched_ = 0;
    dropped_ = 0;
    return line;
  }

  // What has no newline yet.
  forward_line rest() const { return cut(buffer_.size()); }

 private:
  std::string_view before_head() const noexcept {
    const std::size_t bytes = std::min(head_, check_last_bytes_max);
    return std::string_view(buffer_).substr(head_ - bytes, bytes);
  }

  forward_line cut(std::size_t to) const {
    forward_line line;
    line.offset = offset_;
    line.bytes = dropped_ + (to - head_);
    line.too_long = line.bytes > limits::read_line_bytes_max;
    if (!line.too_long) line.text = std::string_view(buffer_).substr(head_, to - head_);
    return line;
  }

  // Lets go of a line that is too long to be returned; only where it ends matters now.
  void drop() {
    if (dropped_ == 0) before_dropped_ = before_head();
    dropped_ += searched_;
    searched_ = 0;
    buffer_.erase(0, buffer_.size() - check_last_bytes_max);
    head_ = buffer_.size();
  }

  std::string first_;           // the file's first bytes
  std::string buffer_;          // what was read, up to check_last_bytes_max bytes before head_ included
  std::size_t head_ = 0;        // where in the buffer the next line begins, or goes on behind what was dropped
  std::size_t searched_ = 0;    // bytes from head_ on that contain no newline
  std::uint64_t offset_ = 0;    // of the next line in the file
  std::uint64_t dropped_ = 0;   // bytes of it that were let go
  std::string before_dropped_;  // the bytes before offset_, if any were dropped since
};

}  // namespace

struct follower::state {
  state(std::string log_path, const cursor& from, read_options read)
      : path(std::move(log_path)), options(std::move(read)), start(from), watch(path) {}

  std::optional<opened_file> open_at_path();
  bool open();
  std::uint64_t starting_offset(const opened_file& opened);
  void begin(opened_file& next, std::uint64_t at);
  std::optional<event> take_line();
  std::optional<event> decode(const forward_line& line);
  bool fill();
  void look_for_successor();
  bool move_on(std::optional<event>& last);
  void report(std::uint64_t at, std::uint64_t bytes, std::string cause);

  const std::string path;
  const read_options options;
  std::optional<cursor> start;  // until the first file is open
  io::change_watch watch;
  std::atomic<bool> stopped = false;
  std::uint64_t damaged = 0;

  io::file file;
  io::file_status identity;  // of file
  std::uint64_t segment = 0;
  forward_lines lines;
  std::optional<std::chrono::nanoseconds> moved;  // when file was first seen not to be at the path any more
  std::deque<opened_file> successors;             // the files that stood at the path since, oldest first
  std::optional<io::file_status> refused;         // what stood at the path and could not be opened
};

void follower::state::report(std::uint64_t at, std::uint64_t bytes, std::string cause) {
  ++damaged;
  if (options.on_damage) options.on_damage({path, at, bytes, std::move(cause)});
}

// Goes on in `next`, at `at`; takes the file out of it. Nothing is changed when it throws.
void follower::state::begin(opened_file& next, std::uint64_t at) {
  forward_lines from(next.file, at);
  segment = segment::live_number(path).value();
  file = std::move(next.file);
  identity = next.identity;
  lines = std::move(from);
  moved.reset();
}

// Opens what is at the path; nothing where nothing is. What cannot be opened is thrown when we have not begun, and so were
// given a path that is no log; afterwards somebody is at work there, and it is reported once and waited for.
std::optional<opened_file> follower::state::open_at_path() {
  const auto at_path = io::status_at(path).value();
  if (!at_path) return std::nullopt;
  auto opened = io::file::open(path, io::open_for::reading);
  if (opened) {
    const io::file_status status = opened->status().value();
    refused.reset();
    return opened_file{std::move(*opened), status, io::calls().uptime()};
  }
  if (!io::status_at(path).value()) return std::nullopt;  // gone between the two looks
  if (start) throw failure(std::move(opened.error()));
  if (!refused || !io::same_file(*refused, *at_path)) {
    refused = at_path;
    report(0, 0, opened.error().message + "; waiting for one that can be read");
  }
  return std::nullopt;
}

// Opens a file where none is open. False where there is none yet.
bool follower::state::open() {
  auto opened = open_at_path();
  if (!opened) return false;
  const std::uint64_t at = starting_offset(*opened);
  begin(*opened, at);
  start.reset();
  return true;
}

// Where to begin in the first file: where the cursor stands, if it still fits.
std::uint64_t follower::state::starting_offset(const opened_file& opened) {
  if (!start || *start == cursor{}) return 0;
  const annals::position& at = start->at;
  const std::uint64_t live = segment::live_number(path).value();
  if (at.segment != live) {
    report(0, 0,
           "the cursor " + to_string(*start) + " stands in segment " + std::to_string(at.segment) +
               ", but the live segment is " + std::to_string(live) + "; reading the live segment from its beginning");
    return 0;
  }
  const bool fits = at.offset <= opened.identity.bytes &&
                    (start->check == 0 || start->check == forward_lines(opened.file, at.offset).check());
  if (fits) return at.offset;
  report(0, 0,
         "the cursor " + to_string(*start) +
             " does not fit this file, which was cut, rewritten or replaced; reading it from its beginning");
  return 0;
}

// Reads what was appended. True when there is something new to look at, or when the file had to be begun again.
bool follower::state::fill() {
  const forward_lines::found found = lines.fill(file);
  if (found == forward_lines::found::rewritten) {
    report(lines.end(), 0, "the file was cut or rewritten behind the reader; reading it again from its beginning");
    lines = forward_lines(file, 0);
  }
  return found != forward_lines::found::nothing;
}

std::optional<event> follower::state::decode(const forward_line& line) {
  if (line.too_long) {
    report(line.offset, line.bytes, "a line longer than " + std::to_string(limits::read_line_bytes_max) + " bytes");
    return std::nullopt;
  }
  auto read = json::decode_line(line.text);
  if (!read) {
    std::string cause = cause_of(line.text, read.error().message);
    const std::size_t glued = decode_glued_line(line.text, read, json::decode_line);
    if (glued == std::string::npos) {
      report(line.offset, line.bytes, std::move(cause));
      return std::nullopt;
    }
    report(line.offset, glued, std::string(glued_cause));
  }
  return std::move(*read);
}

// The next event among the complete lines.
std::optional<event> follower::state::take_line() {
  for (;;) {
    const bool behind_line = lines.is_behind_line();
    const auto line = lines.next();
    if (!line) return std::nullopt;
    if (behind_line && is_blank(line->text)) continue;  // the newline of a line that was read without it
    if (auto read = decode(*line)) return read;
  }
}

// Keeps hold of what now stands at the path, so that it is not missed however soon it is replaced in its turn.
void follower::state::look_for_successor() {
  const auto at_path = io::status_at(path).value();
  if (at_path && io::same_file(*at_path, identity)) {
    moved.reset();
    return;
  }
  if (!moved) moved = io::calls().uptime();
  const auto is_known = [this](const io::file_status& found) {
    return std::any_of(successors.begin(), successors.end(),
                       [&](const opened_file& s) { return io::same_file(found, s.identity); });
  };
  if (!at_path || is_known(*at_path)) return;
  auto opened = open_at_path();
  if (opened && !io::same_file(opened->identity, identity) && !is_known(opened->identity))
    successors.push_back(std::move(*opened));
}

// Leaves the file once it has had its grace period: for the one that replaced it, or, when it was removed, for the next one
// there will be (and so that its directory, which it keeps alive, can be seen to be removed, too). True when it did; `last` is
// an event that the old file still had.
bool follower::state::move_on(std::optional<event>& last) {
  look_for_successor();
  const auto now = io::calls().uptime();
  const bool replaced = !successors.empty() && now - successors.front().seen >= grace;
  const bool removed = successors.empty() && moved && now - *moved >= grace && file.status().value().links == 0;
  if (!replaced && !removed) return false;
  const forward_lines finished = lines;
  if (replaced) {
    begin(successors.front(), 0);
    successors.pop_front();
  } else {
    file.close();
    lines = {};
    moved.reset();
  }
  const forward_line rest = finished.rest();  // what has no newline will get none now
  if (rest.bytes != 0 && !(finished.is_behind_line() && is_blank(rest.text))) last = decode(rest);
  return true;
}

follower::follower(std::unique_ptr<state> made) noexcept : state_(std::move(made)) {}
follower::follower(follower&&) noexcept = default;
follower& follower::operator=(follower&&) noexcept = default;
follower::~follower() = default;

std::optional<event> follower::next(std::optional<std::chrono::milliseconds> timeout) {
  using clock = std::chrono::steady_clock;
  state& s = *state_;
  constexpr std::chrono::milliseconds none(0);
  const auto limit = std::clamp<std::chrono::milliseconds>(timeout.value_or(none), none, wait_max);
  const auto deadline = clock::now() + limit;
  for (bool waited_out = false;;) {
    if (s.stopped.load(std::memory_order_relaxed)) return std::nullopt;
    if (s.file.is_open() || s.open()) {
      if (auto read = s.take_line()) return read;
      if (s.fill()) continue;
      std::optional<event> last;
      if (s.move_on(last)) {
        if (last) return last;
        continue;
      }
    }
    if (waited_out) return std::nullopt;
    std::optional<std::chrono::milliseconds> wait;
    if (timeout)
      wait = std::max(std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now()), std::chrono::milliseconds(0));
    // Nobody tells of writes to a file that has left its place, or when the grace period is over.
    const bool in_grace = s.moved && io::calls().uptime() - *s.moved < grace;
    if (in_grace || !s.successors.empty()) wait = std::min(wait.value_or(grace), grace);
    if (auto failed = s.watch.wait(wait)) throw failure(std::move(*failed));
    waited_out = timeout && clock::now() >= deadline;
  }
}

cursor follower::position() const {
  const state& s = *state_;
  if (!s.file.is_open()) return s.start.value_or(cursor{{s.segment, 0}, 0});
  return {{s.segment, s.lines.offset()}, s.lines.check()};
}

std::uint64_t follower::damaged() const noexcept {
  return state_->damaged;
}

void follower::stop() noexcept {
  state_->stopped.store(true, std::memory_order_relaxed);
  state_->watch.wake();
}

follower follow(const std::string& path, const cursor& from, read_options options) {
  return follower(std::make_unique<follower::state>(path, from, std::move(options)));
}

}  // namespace annals
