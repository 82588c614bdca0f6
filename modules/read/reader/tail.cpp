// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.reader;
import annals.io.checksum;
import annals.recovery;
import annals.io;
import annals.json;
import annals.segment;
import annals.content;
#include "cursor_check.h"
#include "look_at.h"
#include "reading.h"
#include "walk.h"

namespace annals {

namespace {

// Reads segments backwards, the last one first.
class tail_reader {
 public:
  tail_reader(const std::string& path, std::int64_t n, const read_options& options) : n_(n), told_(path, options) {}

  bool wants_more() const noexcept { return n_ > 0 && events_.size() < static_cast<std::uint64_t>(n_); }

  // Returns the offset behind what was read: the end, or the beginning of an incomplete last line.
  std::uint64_t read_live(content::segment_reader& file, std::uint64_t end);
  void read_ring(log_at_once& seen);
  void read_closed(content::segment_reader& file);
  reports& told() noexcept { return told_; }

  tail_page take() {
    std::reverse(events_.begin(), events_.end());
    return {std::move(events_), {}, told_.damages(), told_.gaps()};
  }

 private:
  std::uint64_t need() const noexcept { return static_cast<std::uint64_t>(n_) - events_.size(); }
  bool take_unterminated(const content::line& line);
  void take(const content::segment_reader& file, const content::line& line);
  void read_anew(content::segment_reader& file, std::size_t events_before);
  void read_onwards(content::segment_reader& file, std::uint64_t lines_max);

  const std::int64_t n_;
  std::vector<event> events_;  // the last one first
  reports told_;
};

std::uint64_t tail_reader::read_live(content::segment_reader& file, std::uint64_t end) {
  const std::size_t before = events_.size();
  if (!file.can_go_back()) {
    if (wants_more()) read_closed(file);
    return end;
  }
  content::backward_lines lines(file, end);
  bool is_last = true;
  while (auto line = lines.next()) {
    if (is_last && !line->terminated) {
      if (!take_unterminated(*line)) end = line->offset;
    } else if (wants_more()) {
      take(file, *line);
    }
    report_losses(file, told_);
    is_last = false;
    if (!wants_more()) break;
  }
  if (file.is_contradicted()) read_anew(file, before);
  return end;
}

// Its writer may be in the middle of it: a line that is no event is not damage, but not read past either.
bool tail_reader::take_unterminated(const content::line& line) {
  if (!wants_more() || line.is_too_long()) return false;
  auto read = json::decode_line(line.text);
  if (!read) return false;
  events_.push_back(std::move(*read));
  return true;
}

void tail_reader::take(const content::segment_reader& file, const content::line& line) {
  auto read = event_of(line, [&](std::uint64_t at, std::uint64_t bytes, std::string cause) {
    told_.damaged({file.path(), at, bytes, std::move(cause)});
  });
  if (read) events_.push_back(std::move(*read));
}

// The last of the lines that a dead process left.
void tail_reader::read_ring(log_at_once& seen) {
  const std::uint64_t wanted = wants_more() ? need() : 0;
  std::deque<event> last;
  (void)seen.each_left(told_, [&](std::string_view line) {
    if (auto read = json::decode_line(line.substr(0, line.size() - 1))) last.push_back(std::move(*read));
    if (last.size() > wanted) last.pop_front();
    return true;
  });
  std::move(last.rbegin(), last.rend(), std::back_inserter(events_));
}

void tail_reader::read_closed(content::segment_reader& file) {
  if (!file.can_go_back()) {
    constexpr std::uint64_t some = 256;
    return read_onwards(file, 2 * need() + some);
  }
  const std::size_t before = events_.size();
  content::backward_lines lines(file, file.bytes().value());
  while (wants_more()) {
    const auto line = lines.next();
    if (line) take(file, *line);
    report_losses(file, told_);
    if (!line) break;
  }
  report_losses(file, told_);
  if (file.is_contradicted()) read_anew(file, before);
}

// The frames are not where the seek table says: what was read of the file may lack some.
void tail_reader::read_anew(content::segment_reader& file, std::size_t events_before) {
  events_.resize(events_before);
  read_onwards(file, static_cast<std::uint64_t>(-1));
}

// The last events of a file in which there is no way back: its frames are long, or do not say how long they are. The first pass
// finds where the last lines begin, the second one decodes those. Should so many of them be no events that too few are, all
// lines are decoded.
void tail_reader::read_onwards(content::segment_reader& file, std::uint64_t lines_max) {
  const std::uint64_t all = static_cast<std::uint64_t>(-1);
  std::deque<std::uint64_t> begins;  // of the last lines
  const auto note = [&](std::uint64_t begin) {
    begins.push_back(begin);
    if (begins.size() > lines_max) begins.pop_front();
    return true;
  };
  const content::segment_reader::chooser every;
  if (lines_max != all) {
    (void)content::each_line(file, 0, all, every, [&](const content::line& line) { return note(line.offset); }).value();
  }
  const std::uint64_t from = begins.size() < lines_max ? 0 : begins.front();

  constexpr std::size_t damages_max = 10'000;  // that are remembered until it is known whether they lie behind the first event
  std::deque<event> last;
  std::deque<std::uint64_t> offsets;  // of these
  std::deque<damage> damages;
  const auto one = [&](const content::line& line) {
    auto read = event_of(line, [&](std::uint64_t at, std::uint64_t bytes, std::string cause) {
      damages.push_back({file.path(), at, bytes, std::move(cause)});
      if (damages.size() > damages_max) damages.pop_front();
    });
    if (!read) return true;
    last.push_back(std::move(*read));
    offsets.push_back(line.offset);
    if (last.size() <= need()) return true;
    last.pop_front();
    offsets.pop_front();
    while (!damages.empty() && damages.front().offset < offsets.front()) damages.pop_front();
    return true;
  };
  (void)content::each_line(file, from, all, every, one).value();
  if (last.size() < need() && from != 0) return read_onwards(file, all);
  for (const damage& found : damages) told_.damaged(found);
  report_losses(file, told_);
  for (auto e = last.rbegin(); e != last.rend(); ++e) events_.push_back(std::move(*e));
}

// Is there something at `path` that can be the live segment, or nothing? A link is opened, to be refused with words.
bool may_be_log(const std::string& path) {
  const auto status = io::status_at(path).value();
  return !status || status->kind == io::file_kind::regular || status->kind == io::file_kind::symlink;
}

// The events of the live segment alone, where those are enough: then there is no need to look for others. Damage is told only
// if so.
std::optional<std::vector<event>> tail_of_live(const std::string& path, std::int64_t n, const read_options& options) {
  constexpr std::size_t damages_max = 1000;
  constexpr std::int64_t count_max = 10'000;  // beyond, a second look at all of it would cost
  if (n > count_max) return std::nullopt;
  auto live = content::segment_reader::open(path);
  if (!live || live->is_compressed()) return std::nullopt;  // said by who looks at all of it
  std::vector<damage> damages;
  tail_reader reader(path, n, {.on_damage = [&](const damage& found) { damages.push_back(found); }});
  reader.read_live(*live, live->bytes().value());
  if (reader.wants_more() || damages.size() > damages_max) return std::nullopt;
  if (options.on_damage) std::for_each(damages.begin(), damages.end(), options.on_damage);
  return reader.take().events;
}

// The last events of a log, and where a follower goes on.
tail_page read_whole(const std::string& path, log_at_once seen, std::int64_t n, const read_options& options) {
  tail_reader reader(path, n, options);
  reader.read_ring(seen);
  content::view& log = seen.log;
  cursor next;
  if (log.live.is_open()) {
    const std::uint64_t offset = reader.read_live(log.live, seen.end_of(log.live));
    next.at = {log.live_number, offset};
    const content::forward_lines lines(log.live, offset);
    next.check = check_of(lines.first_bytes(), lines.last_bytes());
  } else if (!log.closed.empty()) {
    next.at = {log.live_number, 0};
  }
  walk segments(
      path, std::move(log), [&](std::uint64_t first, std::uint64_t last) { reader.told().missing(first, last); },
      [&](std::uint64_t, const std::string& file, const error& cause) { reader.told().unreadable(file, cause); },
      [&](std::uint64_t number, const std::string& file) { reader.told().doubled(number, file); });
  while (reader.wants_more()) {
    auto segment = segments.previous();
    if (!segment) break;
    try {
      reader.read_closed(segment->file);
    } catch (const failure& failed) {  // its handlers' own exceptions are others
      reader.told().unreadable(segment->file.path(), failed.cause());
    }
  }
  tail_page page = reader.take();
  page.next = next;
  return page;
}

}  // namespace

tail_page read_tail(const std::string& path, std::int64_t n, const read_options& options) {
  if (!may_be_log(path)) return {};
  return read_whole(path, look_at(path, options.with_ring).value(), n, options);
}

std::vector<event> tail_log(const std::string& path, std::int64_t n, const read_options& options) {
  if (n <= 0 || !may_be_log(path)) return {};
  const left_in_ring left = options.with_ring ? left_in_ring::of(path) : left_in_ring();
  if (left.is_empty() && left.problem().empty()) {
    if (auto events = tail_of_live(path, n, options)) return std::move(*events);
  }
  auto log = look_at(path, options.with_ring);
  if (!log && log.error().system_code == EACCES) {  // a directory that cannot be listed does not hide the file in it
    auto live = content::segment_reader::open(path).value();
    tail_reader reader(path, n, options);
    reader.read_live(live, live.bytes().value());
    reader.told().damaged({path, 0, 0, log.error().message + "; closed segments, if there are any, were not read"});
    return reader.take().events;
  }
  return read_whole(path, std::move(log).value(), n, options).events;
}

}  // namespace annals
