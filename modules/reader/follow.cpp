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

struct opened_file {
  io::file file;
  io::file_status identity;
  std::chrono::nanoseconds seen{0};  // when; io::system_calls::uptime
};

}  // namespace

struct follower::state {
  state(std::string log_path, const cursor& from, read_options read)
      : path(std::move(log_path)), options(std::move(read)), start(from), watch(path) {}

  std::optional<opened_file> open_at_path() const;
  bool open();
  void look_for_successor();
  std::uint64_t starting_offset(const opened_file& opened) const;
  std::optional<event> take_line();
  std::optional<event> decode(std::uint64_t at, std::string_view line);
  bool fill();
  bool move_on(std::optional<event>& last);
  std::optional<event> finish();
  void begin(opened_file& next, std::uint64_t at);
  void rewind(std::uint64_t at, std::string before);
  void report(std::uint64_t at, std::uint64_t bytes, std::string cause) const;

  const std::string path;
  const read_options options;
  std::optional<cursor> start;  // until the first file is open
  io::change_watch watch;
  std::atomic<bool> stopped = false;

  io::file file;
  io::file_status identity;  // of file
  std::uint64_t segment = 0;
  std::uint64_t offset = 0;   // of the line to be returned next; buffer[head] unless bytes of it were dropped
  std::string buffer;         // bytes read
  std::size_t head = 0;       // where in the buffer that line begins, or goes on behind what was dropped
  std::size_t searched = 0;   // bytes from head on that contain no newline
  std::uint64_t dropped = 0;  // bytes of that line that were let go, since it is too long to be returned
  std::string mark;           // the last bytes before the end of the buffer in the file: still there, or rewritten?
  bool behind_line = false;   // offset lies behind a line whose newline was missing when it was returned
  std::optional<std::chrono::nanoseconds> moved;  // when file was first seen not to be at the path any more
  std::deque<opened_file> successors;             // the files that stood at the path since, oldest first
};

void follower::state::report(std::uint64_t at, std::uint64_t bytes, std::string cause) const {
  if (options.on_damage) options.on_damage({path, at, bytes, std::move(cause)});
}

// Goes on in `next`, at `at`; takes the file out of it. Nothing is changed when it throws.
void follower::state::begin(opened_file& next, std::uint64_t at) {
  std::string before = next.file.read_before(at, check_bytes_max).value();
  segment = segment::live_number(path).value();
  file = std::move(next.file);
  identity = next.identity;
  moved.reset();
  rewind(at, std::move(before));
}

void follower::state::rewind(std::uint64_t at, std::string before) {
  offset = at;
  buffer.clear();
  head = searched = 0;
  dropped = 0;
  mark = std::move(before);
  behind_line = !mark.empty() && mark.back() != '\n';
}

// Opens what is at the path; nothing where nothing is.
std::optional<opened_file> follower::state::open_at_path() const {
  if (!io::status_at(path).value()) return std::nullopt;
  auto opened = io::file::open(path, io::open_for::reading);
  if (!opened) {
    if (!io::status_at(path).value()) return std::nullopt;  // gone between the two looks
    throw failure(std::move(opened.error()));
  }
  const io::file_status status = opened->status().value();
  return opened_file{std::move(*opened), status, io::calls().uptime()};
}

// Opens the first file. False where there is none yet.
bool follower::state::open() {
  auto opened = open_at_path();
  if (!opened) return false;
  const std::uint64_t at = starting_offset(*opened);
  begin(*opened, at);
  start.reset();
  return true;
}

// Where to begin in the first file: where the cursor stands, if it still fits.
std::uint64_t follower::state::starting_offset(const opened_file& opened) const {
  if (!start || *start == cursor{}) return 0;
  const annals::position& at = start->at;
  const std::uint64_t live = segment::live_number(path).value();
  if (at.segment != live) {
    report(0, 0,
           "the cursor " + to_string(*start) + " stands in segment " + std::to_string(at.segment) +
               ", but the live segment is " + std::to_string(live) + "; reading the live segment from its beginning");
    return 0;
  }
  const bool fits =
      at.offset <= opened.identity.bytes &&
      (start->check == 0 || start->check == check_of(opened.file.read_before(at.offset, check_bytes_max).value()));
  if (fits) return at.offset;
  report(0, 0,
         "the cursor " + to_string(*start) +
             " does not fit this file, which was cut, rewritten or replaced; reading it from its beginning");
  return 0;
}

// Reads what was appended. True when there is something new in the buffer, or when the file had to be begun again.
bool follower::state::fill() {
  const std::uint64_t end = offset + dropped + (buffer.size() - head);
  std::string block(mark.size() + block_bytes, '\0');
  block.resize(file.read_at(block.data(), block.size(), end - mark.size()).value());
  if (!block.starts_with(mark)) {
    report(end, 0, "the file was cut or rewritten behind the reader; reading it again from its beginning");
    rewind(0, {});
    return true;
  }
  if (block.size() == mark.size()) return false;
  buffer.erase(0, std::exchange(head, 0));
  buffer.append(block, mark.size());
  mark = block.substr(block.size() - std::min(block.size(), check_bytes_max));
  return true;
}

std::optional<event> follower::state::decode(std::uint64_t at, std::string_view line) {
  if (std::exchange(behind_line, false) && is_blank(line)) return std::nullopt;
  auto read = json::decode_line(line);
  if (read) return std::move(*read);
  report(at, line.size(), cause_of(line, std::move(read.error().message)));
  return std::nullopt;
}

// The next event among the complete lines of the buffer.
std::optional<event> follower::state::take_line() {
  for (;;) {
    const std::size_t newline = buffer.find('\n', head + searched);
    if (newline == std::string::npos) break;
    const std::string_view line = std::string_view(buffer).substr(head, newline - head);
    const std::uint64_t at = offset;
    const std::uint64_t bytes = dropped + line.size();
    offset += bytes + 1;
    head = newline + 1;
    searched = 0;
    dropped = 0;
    if (bytes > limits::line_bytes_ceiling) {
      report(at, bytes, "a line longer than " + std::to_string(limits::line_bytes_ceiling) + " bytes");
    } else if (auto read = decode(at, line)) {
      return read;
    }
  }
  searched = buffer.size() - head;
  if (searched > limits::line_bytes_ceiling) {
    dropped += searched;
    buffer.clear();
    head = searched = 0;
  }
  return std::nullopt;
}

// What is left when nobody writes to the file any more: a last line without its newline.
std::optional<event> follower::state::finish() {
  const std::string_view rest = std::string_view(buffer).substr(head);
  if (dropped != 0) {
    report(offset, dropped + rest.size(), "a line longer than " + std::to_string(limits::line_bytes_ceiling) + " bytes");
  } else if (!rest.empty()) {
    return decode(offset, rest);
  }
  return std::nullopt;
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

// Goes over to the file that replaced ours, once ours has had its grace period. True when it did; `last` is an event that the
// old one still had.
bool follower::state::move_on(std::optional<event>& last) {
  look_for_successor();
  if (successors.empty() || io::calls().uptime() - successors.front().seen < grace) return false;
  last = finish();
  begin(successors.front(), 0);
  successors.pop_front();
  return true;
}

follower::follower(std::unique_ptr<state> made) noexcept : state_(std::move(made)) {}
follower::follower(follower&&) noexcept = default;
follower& follower::operator=(follower&&) noexcept = default;
follower::~follower() = default;

std::optional<event> follower::next(std::optional<std::chrono::milliseconds> timeout) {
  using clock = std::chrono::steady_clock;
  state& s = *state_;
  const auto deadline = clock::now() + timeout.value_or(std::chrono::milliseconds(0));
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
  return {{s.segment, s.offset}, check_of(s.file.read_before(s.offset, check_bytes_max).value())};
}

void follower::stop() noexcept {
  state_->stopped.store(true, std::memory_order_relaxed);
  state_->watch.wake();
}

follower follow(const std::string& path, const cursor& from, read_options options) {
  return follower(std::make_unique<follower::state>(path, from, std::move(options)));
}

}  // namespace annals
