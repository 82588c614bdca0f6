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
module annals.reader;
import annals.io.checksum;
import annals.io;
import annals.json;
import annals.segment;
import annals.content;
#include "cursor_check.h"
#include "reading.h"
#include "walk.h"

namespace annals {

namespace {

// How long a file that was renamed or replaced is still read: its writers may notice later than we do. The file sink
// notices within 100 ms.
constexpr std::chrono::milliseconds grace{250};

// Files that are kept open while others replace them quickly. Beyond that the reader does not wait for late writers.
constexpr std::size_t successors_max = 16;

// How long next() waits at most for a time given as a limit: the clock's arithmetic ends somewhere.
constexpr std::chrono::hours wait_max{24 * 365};

struct opened_file {
  content::segment_reader file;
  std::chrono::nanoseconds seen{0};  // when; io::system_calls::uptime
};

std::uint64_t check_at(const content::forward_lines& lines) {
  return check_of(lines.first_bytes(), lines.last_bytes());
}

}  // namespace

struct follower::state {
  state(std::string log_path, const cursor& begin_at, read_options read)
      : path(std::move(log_path)), from(begin_at), watch(path), told(path, std::move(read)) {}

  bool open();
  std::optional<content::view> look();
  std::uint64_t starting_offset(content::segment_reader& opened);
  void begin(content::segment_reader opened, std::uint64_t number, bool is_live, std::uint64_t at);
  std::optional<event> take_line();
  std::optional<event> decode(const content::line& line);
  bool fill();
  void look_for_successor();
  std::chrono::nanoseconds time_to_settle();
  bool move_on();
  void end_file();
  void report(std::uint64_t at, std::uint64_t bytes, std::string cause);

  const std::string path;
  cursor from;  // where to go on while no file is open
  io::change_watch watch;
  std::atomic<bool> stopped = false;
  reports told;
  bool begun = false;  // a file was open

  content::segment_reader file;
  std::uint64_t segment = 0;
  bool is_live = false;  // it stood at the path when it was opened
  bool closed = false;   // it is a closed segment now
  content::forward_lines lines;
  std::optional<event> rest;                      // an event whose newline will not come
  std::optional<std::chrono::nanoseconds> moved;  // when file was first seen not to be at the path any more
  std::deque<opened_file> successors;             // the files that others put at the path since, oldest first
  bool told_crowded = false;                      // that there are too many of them
  std::optional<io::file_status> refused;         // what stood at the path and could not be opened
};

void follower::state::report(std::uint64_t at, std::uint64_t bytes, std::string cause) {
  told.damaged({file.is_open() ? file.path() : path, at, bytes, std::move(cause)});
}

// Goes on in `opened`, at `at`. Nothing is changed when it throws.
void follower::state::begin(content::segment_reader opened, std::uint64_t number, bool live, std::uint64_t at) {
  content::forward_lines fresh(opened, at);
  file = std::move(opened);
  segment = number;
  is_live = live;
  closed = !live;
  lines = std::move(fresh);
  moved.reset();
  begun = true;
}

// The log as it is. What cannot be opened is thrown when we have not begun, and so were given a path that is no log; afterwards
// somebody is at work there, and it is reported once and waited for.
std::optional<content::view> follower::state::look() {
  const auto at_path = io::status_at(path).value();
  auto log = content::view_of(path);
  if (log) {
    refused.reset();
    return std::move(*log);
  }
  if (!begun) throw failure(std::move(log.error()));
  const io::file_status found = at_path.value_or(io::file_status{});
  if (!refused || !io::same_file(*refused, found)) {
    refused = found;
    told.damaged({path, 0, 0, log.error().message + "; waiting for one that can be read"});
  }
  return std::nullopt;
}

// Opens the segment in which to go on. False where there is none yet.
bool follower::state::open() {
  auto log = look();
  if (!log) return false;
  const bool is_fresh = from == cursor{};
  const bool is_ahead = from.at.segment > log->live_number;
  if (is_ahead && (log->live.is_open() || !log->closed.empty())) {
    report(0, 0,
           "the cursor " + to_string(from) + " stands in segment " + std::to_string(from.at.segment) +
               ", but the live segment is " + std::to_string(log->live_number) + "; reading the log from its beginning");
    from = {};
  }
  const std::vector<closed_segment> all = log->closed;
  walk segments(
      path, std::move(*log),
      [this](std::uint64_t first, std::uint64_t last) {
        told.missing(first, last, from.at.offset);
        from = {{last + 1, 0}, 0};
      },
      [this](std::uint64_t number, const std::string& unreadable, const error& cause) {
        told.unreadable(unreadable, cause);
        from = {{number + 1, 0}, 0};
      },
      [](std::uint64_t, const std::string&) {});
  if (!is_fresh && !is_ahead) segments.begin_at(from.at.segment);
  auto next = segments.next();
  if (!next) return false;
  report_losses(next->file, told);
  const std::uint64_t at = starting_offset(next->file);
  begin(std::move(next->file), next->number, next->is_live, at);
  for (const closed_segment& one : all) {  // others that have its number are read behind it
    if (one.number != segment || is_live || one.path == file.path()) continue;
    auto opened = content::open_closed(path, one);
    if (opened && !opened->is_open()) continue;
    told.doubled(one.number, one.path);
    if (opened) {
      successors.push_back({std::move(*opened), io::calls().uptime()});
    } else {
      told.unreadable(one.path, opened.error());
    }
  }
  return true;
}

// Where to begin in a segment: where the cursor stands, if it still fits.
std::uint64_t follower::state::starting_offset(content::segment_reader& opened) {
  if (from.at.offset == 0) return 0;
  const bool fits = from.check == 0 ? from.at.offset <= opened.bytes().value()
                                    : (opened.is_compressed() || from.at.offset <= opened.bytes().value()) &&
                                          from.check == check_at(content::forward_lines(opened, from.at.offset));
  if (fits) return from.at.offset;
  told.damaged({opened.path(), 0, 0,
                "the cursor " + to_string(from) +
                    " does not fit this file, which was cut, rewritten or replaced; reading it from its beginning"});
  return 0;
}

// Reads on. True when there is something new to look at, or when the file had to be begun again.
bool follower::state::fill() {
  using found = content::forward_lines::found;
  if (!file.file().is_held()) {  // another part of the process closed its descriptor: open() opens it again
    from = {{segment, lines.offset()}, check_at(lines)};
    file = {};
    lines = {};
    return true;
  }
  const found what = lines.fill(file);
  report_losses(file, told);
  if (what == found::rewritten) {
    report(lines.end(), 0, "the file was cut or rewritten behind the reader; reading it again from its beginning");
    lines = content::forward_lines(file, 0);
  } else if (what == found::lost) {
    const content::line cut = lines.rest();
    if (cut.bytes != 0) rest = decode(cut);
    lines.skip();
  }
  return what != found::nothing;
}

std::optional<event> follower::state::decode(const content::line& line) {
  return event_of(line,
                  [this](std::uint64_t at, std::uint64_t bytes, std::string cause) { report(at, bytes, std::move(cause)); });
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

// What stands at the path now? Where the log was rotated, our file is a closed segment, and the next one is found by its
// number. Where somebody else put a file there, that is kept hold of, so that it is not missed however soon it is replaced in
// its turn.
void follower::state::look_for_successor() {
  const auto at_path = io::status_at(path).value();
  if (at_path && io::same_file(*at_path, file.identity())) {
    moved.reset();
    return;
  }
  if (!moved) moved = io::calls().uptime();
  if (successors.size() >= successors_max) return;
  const auto is_known = [this](const io::file_status& found) {
    return std::any_of(successors.begin(), successors.end(),
                       [&](const opened_file& s) { return io::same_file(found, s.file.identity()); });
  };
  if (at_path && is_known(*at_path)) return;
  auto log = look();
  if (!log) return;
  if (log->live_number > segment && successors.empty()) {
    const auto same_number = [this](const auto& s) { return s.number == segment; };
    const auto ours = std::find_if(log->closed.begin(), log->closed.end(), same_number);
    const auto status = ours == log->closed.end() ? std::nullopt : io::status_at(ours->path).value();
    const bool is_another = status && !ours->compressed && !io::same_file(*status, file.identity());
    if (!is_another) {
      closed = true;
      return;
    }
    // Somebody else had put another file in place of ours, and that one is the closed segment.
    auto opened = content::open_closed(path, *ours).value();
    if (opened.is_open() && !opened.is_compressed()) successors.push_back({std::move(opened), io::calls().uptime()});
    return;
  }
  if (!log->live.is_open() || log->live_number > segment) return;
  const io::file_status& found = log->live.identity();
  if (!io::same_file(found, file.identity()) && !is_known(found))
    successors.push_back({std::move(log->live), io::calls().uptime()});
}

// How long the closed segment may still grow by writers that have not noticed; they do within 100 ms of the rename.
std::chrono::nanoseconds follower::state::time_to_settle() {
  using std::chrono::nanoseconds;
  const io::file_status now = file.status().value();
  if (file.is_compressed() || now.links == 0) return nanoseconds(0);  // what is compressed or deleted has settled before
  const nanoseconds since_rename = io::calls().now() - now.changed;
  const nanoseconds since_seen = moved ? io::calls().uptime() - *moved : nanoseconds(0);  // should the clock be set back
  if (!moved) moved = io::calls().uptime();
  return grace - std::min<nanoseconds>(grace, std::max(since_rename, since_seen));
}

// What has no newline will get none now.
void follower::state::end_file() {
  const content::line cut = lines.rest();
  if (cut.bytes != 0 && !(lines.is_behind_line() && is_blank(cut.text))) rest = decode(cut);
}

// Leaves the file when there will be no more of it: for the next segment; for the file that somebody else put in its place, or,
// when it was removed, for the next one there will be (and so that its directory, which it keeps alive, can be seen to be
// removed, too). True when it did.
bool follower::state::move_on() {
  if (is_live && !closed) look_for_successor();
  const auto now = io::calls().uptime();
  if (closed) {
    if (time_to_settle() > std::chrono::nanoseconds(0)) return false;
    // A last look: what a late writer added may have come since the file was read.
    if (fill()) return true;
    end_file();
    if (!successors.empty()) {
      begin(std::move(successors.front().file), segment, false, 0);
      successors.pop_front();
      return true;
    }
    from = {{segment + 1, 0}, 0};
    file = {};
    lines = {};
    moved.reset();
    return true;
  }
  const bool is_crowded = successors.size() >= successors_max;
  if (is_crowded && !std::exchange(told_crowded, true)) {
    report(lines.end(), 0,
           "the file at the path is replaced too quickly; lines that are still written to replaced files are not read");
  }
  const bool replaced = !successors.empty() && (is_crowded || now - successors.front().seen >= grace);
  const bool removed = successors.empty() && moved && now - *moved >= grace && file.status().value().links == 0;
  if (!replaced && !removed) return false;
  end_file();
  if (replaced) {
    begin(std::move(successors.front().file), segment, true, 0);
    successors.pop_front();
    told_crowded = told_crowded && !successors.empty();
  } else {
    from = {{segment, 0}, 0};
    file = {};
    lines = {};
    moved.reset();
  }
  return true;
}

follower::follower(std::unique_ptr<state> made) noexcept : state_(std::move(made)) {}
follower::follower(follower&&) noexcept = default;
follower& follower::operator=(follower&&) noexcept = default;
follower::~follower() = default;

std::optional<event> follower::next(std::optional<std::chrono::milliseconds> timeout) {
  using clock = std::chrono::steady_clock;
  using std::chrono::milliseconds;
  state& s = *state_;
  constexpr milliseconds none(0);
  const auto limit = std::clamp<milliseconds>(timeout.value_or(none), none, wait_max);
  const auto deadline = clock::now() + limit;
  for (bool waited_out = false;;) {
    if (s.rest) return std::exchange(s.rest, std::nullopt);
    if (s.stopped.load(std::memory_order_relaxed)) return std::nullopt;
    if (s.file.is_open() || s.open()) {
      if (auto read = s.take_line()) return read;
      if (s.fill() || s.move_on()) continue;
    }
    if (waited_out) return std::nullopt;
    std::optional<milliseconds> wait;
    if (timeout) wait = std::max(std::chrono::ceil<milliseconds>(deadline - clock::now()), none);
    // Nobody tells of writes to a file that has left its place, or when the grace period is over.
    const bool in_grace = s.moved && io::calls().uptime() - *s.moved < grace;
    if (in_grace || !s.successors.empty()) wait = std::min(wait.value_or(grace), grace);
    if (s.closed && s.file.is_open())
      wait = std::min(wait.value_or(grace), std::chrono::ceil<milliseconds>(s.time_to_settle()) + milliseconds(1));
    if (auto failed = s.watch.wait(wait)) throw failure(std::move(*failed));
    waited_out = timeout && clock::now() >= deadline;
  }
}

cursor follower::position() const {
  const state& s = *state_;
  if (!s.file.is_open()) return s.from;
  return {{s.segment, s.lines.offset()}, check_at(s.lines)};
}

std::uint64_t follower::damaged() const noexcept {
  return state_->told.damages();
}

std::uint64_t follower::gaps() const noexcept {
  return state_->told.gaps();
}

void follower::stop() noexcept {
  const io::kept_errno kept;
  state_->stopped.store(true, std::memory_order_relaxed);
  state_->watch.wake();
}

follower follow(const std::string& path, const cursor& from, read_options options) {
  return follower(std::make_unique<follower::state>(io::absolute(path).value(), from, std::move(options)));
}

}  // namespace annals
