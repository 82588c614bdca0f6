// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "matching.h"
module annals.reader;
import annals.recovery;
import annals.io;
import annals.json;
import annals.content.seekable;
import annals.segment;
import annals.content;
#include "reading.h"

namespace annals {

namespace {

// `text` as it stands in a line; a part of what annals.json writes.
std::string escaped(const std::string& text) {
  const event_details details{.detail = text};
  const json::line_parts parts = {"", "", "", details};
  std::string line(json::line_bytes_bound(parts), '\0');
  line.resize(json::encode_line(parts, line.data()).value());
  constexpr std::string_view before = R"("detail":")";
  const std::size_t at = line.find(before) + before.size();
  return line.substr(at, line.size() - at - std::string_view("\"}\n").size());
}

bool meets(const std::optional<text_match>& wanted, const std::string* value) {
  if (!wanted) return true;
  if (value == nullptr) return false;
  return wanted->is_prefix ? value->starts_with(wanted->text) : *value == wanted->text;
}

// A filter, made ready to be applied to many lines. Any thread.
class matcher {
 public:
  explicit matcher(const scan_filter& filter) : filter_(filter) {
    if (!filter.contains.empty()) {
      std::vector<std::string> texts = {escaped(filter.contains)};
      // As it stands there: no line has a newline in it.
      if (filter.contains != texts.front() && filter.contains.find('\n') == std::string::npos) texts.push_back(filter.contains);
      contains_ = any_of_texts(std::move(texts));
    }
    for (const auto* field : {&filter.container, &filter.action, &filter.dest}) {
      if (!*field) continue;
      std::string needle = needle_of((*field)->text, (*field)->is_prefix);
      if (!needle.empty()) fields_.emplace_back(std::vector{std::move(needle)});
    }
  }

  bool has_times() const noexcept { return filter_.since || filter_.until; }

  // Can any of these lines meet the filter, by their recorded times?
  bool may_meet(const seekable::facts& known) const noexcept {
    if (known.lines == 0) return false;
    if (!has_times() || !known.earliest || !known.latest) return true;
    return !(filter_.since && *known.latest < *filter_.since) && !(filter_.until && *known.earliest >= *filter_.until);
  }

  bool meets(const event& e) const {
    if (has_times()) {
      const auto ts = parse_timestamp(e.ts);
      if (!ts || !meets_times(ts->time)) return false;
    }
    return annals::meets(filter_.container, &e.container) && annals::meets(filter_.action, &e.action) &&
           annals::meets(filter_.dest, e.dest ? &*e.dest : nullptr) && contains_.are_in(e.line);
  }

  // Calls `one` with each line that may meet the filter, until that returns false.
  template <class One>
  bool candidates(std::uint64_t offset, std::string_view text, One one) const {
    // The longest text is the rarest, by and large. Texts of fields say nothing where lines escape needlessly.
    const bool by_fields = !fields_.empty() && !escapes_plain(text);
    const any_of_texts* jump = &contains_;
    if (by_fields) {
      for (const any_of_texts& field : fields_) {
        if (field.size() > jump->size()) jump = &field;
      }
    }
    for (std::size_t at = 0; at < text.size();) {
      std::size_t begin = at;
      if (!jump->empty()) {
        const std::size_t hit = jump->find(text, at);
        if (hit == std::string_view::npos) return true;
        const std::size_t before = hit == 0 ? std::string_view::npos : text.rfind('\n', hit - 1);
        begin = std::max(at, before + 1);  // npos + 1 is 0
      }
      const std::size_t newline = text.find('\n', begin);
      const std::size_t end = newline == std::string_view::npos ? text.size() : newline;
      const std::string_view line = text.substr(begin, end - begin);
      at = end + 1;
      const bool may =
          contains_.are_in(line) &&
          (!by_fields || std::all_of(fields_.begin(), fields_.end(), [&](const auto& f) { return f.are_in(line); })) &&
          (!has_times() || may_meet_times(line));
      if (may && !one(content::line{offset + begin, line.size(), newline != std::string_view::npos, line})) return false;
    }
    return true;
  }

 private:
  bool meets_times(time_point time) const noexcept {
    return !(filter_.since && time < *filter_.since) && !(filter_.until && time >= *filter_.until);
  }
  bool may_meet_times(std::string_view line) const noexcept {
    const std::string_view time = json::leading_time(line);
    if (time.empty()) return true;
    const auto ts = parse_timestamp(time);
    return ts && meets_times(ts->time);
  }

  const scan_filter& filter_;
  any_of_texts contains_;
  std::vector<any_of_texts> fields_;
};

// Looks at lines, and gives what it finds to `on_event`, what is damaged to `on_damage`.
struct looker {
  const matcher& filter;
  std::function<bool(event&)> on_event;
  std::function<void(std::uint64_t at, std::uint64_t bytes, std::string cause)> on_damage;
  bool is_live = false;  // an incomplete last line is none then
  std::uint64_t bytes = 0;

  bool look(const content::line_cutter::lines& some) {
    if (!some.one) {
      bytes += some.text.size();
      return filter.candidates(some.offset, some.text, [&](const content::line& line) { return one(line); });
    }
    const content::line& line = *some.one;
    bytes += line.bytes + 1;
    if (line.is_too_long()) return one(line);
    return filter.candidates(line.offset, line.text, [&](content::line found) {
      found.terminated = line.terminated;
      return one(found);
    });
  }

  bool one(const content::line& line) {
    const bool may_be_written = is_live && !line.terminated;
    auto read = event_of(line, [&](std::uint64_t at, std::uint64_t count, std::string cause) {
      if (!may_be_written) on_damage(at, count, std::move(cause));
    });
    return !read || !filter.meets(*read) || on_event(*read);
  }
};

// --- several threads --------------------------------------------------------------------------------------------------------

constexpr std::size_t unit_bytes = 1024 * 1024;               // of a plain file, looked at by one thread at once
constexpr std::size_t unit_frame_bytes_max = 2 * unit_bytes;  // frames of up to this are given to threads

// A part of a segment that can be looked at alone: a frame, which begins with a line, or the lines that begin in a part of a
// plain file.
struct unit {
  std::shared_ptr<content::segment_reader> file;
  std::optional<seekable::frame> frame;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t file_end = 0;
  bool is_live = false;

  std::vector<event> events;
  std::vector<damage> damages;
  std::uint64_t bytes = 0;
  std::exception_ptr failed;
  bool done = false;
};

void look_at_frame(unit& work, looker& eyes) {
  seekable::decoder decoder(work.file->file(), work.file->path());
  content::line_cutter cutter;
  const auto take = [&](const content::line_cutter::lines& some) { return eyes.look(some); };
  std::uint64_t at = work.frame->offset;
  const auto outcome = decoder.decode(*work.frame, [&](std::string_view part) {
    const content::piece next{at, part};
    at += part.size();
    return cutter.feed(next, take);
  });
  (void)cutter.end(take);
  if (outcome.damage) {
    work.damages.push_back(
        {work.file->path(), outcome.damage->compressed_offset, outcome.damage->compressed_bytes, outcome.damage->cause, true});
  }
}

void look_at_part(unit& work, looker& eyes) {
  const io::file& file = work.file->file();
  std::string block(unit_bytes + 1, '\0');
  std::uint64_t at = work.begin == 0 ? 0 : work.begin - 1;  // with the newline before the first line
  block.resize(file.read_at(block.data(), static_cast<std::size_t>(work.end - at), at).value());
  std::string_view text = block;
  if (work.begin != 0) {
    const std::size_t newline = text.find('\n');
    if (newline == std::string_view::npos) return;  // no line begins here
    text.remove_prefix(newline + 1);
    at += newline + 1;
  }
  if (text.empty()) return;
  content::line_cutter cutter;
  const auto take = [&](const content::line_cutter::lines& some) { return eyes.look(some); };
  (void)cutter.feed({at, text}, take);
  at += text.size();
  bool is_whole = text.ends_with('\n');
  while (!is_whole && at < work.file_end) {  // the last line goes on
    block.resize(unit_bytes);
    const std::uint64_t left = std::min<std::uint64_t>(block.size(), work.file_end - at);
    block.resize(file.read_at(block.data(), static_cast<std::size_t>(left), at).value());
    if (block.empty()) break;
    const std::size_t newline = block.find('\n');
    is_whole = newline != std::string::npos;
    (void)cutter.feed({at, std::string_view(block).substr(0, is_whole ? newline + 1 : block.size())}, take);
    at += block.size();
  }
  (void)cutter.end(take);
}

void look_at(unit& work, const matcher& filter) try {
  looker eyes{filter,
              [&](event& found) {
                work.events.push_back(std::move(found));
                return true;
              },
              [&](std::uint64_t at, std::uint64_t bytes, std::string cause) {
                work.damages.push_back({work.file->path(), at, bytes, std::move(cause)});
              },
              work.is_live};
  if (work.frame) {
    look_at_frame(work, eyes);
  } else {
    look_at_part(work, eyes);
  }
  work.bytes = eyes.bytes;
} catch (...) {
  work.failed = std::current_exception();
}

// Threads that look at units, which come out in the order in which they were put in.
class crew {
 public:
  crew(unsigned threads, const matcher& filter) : filter_(filter), room_(threads + 1) {
    threads_.reserve(threads);
    try {
      for (unsigned i = 0; i < threads; ++i) threads_.push_back(io::start_thread([this] { work(); }));
    } catch (const std::exception&) {  // no more threads, or no memory for one: fewer do, too
      if (threads_.empty()) throw;
    }
  }
  ~crew() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;

  bool is_full() const { return units_.size() >= room_; }
  bool is_empty() const { return units_.empty(); }

  void put(std::unique_ptr<unit> work) {
    {
      const std::lock_guard lock(mutex_);
      units_.push_back(std::move(work));
    }
    changed_.notify_all();
  }

  // The oldest unit, once it is done.
  std::unique_ptr<unit> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return units_.front()->done; });
    std::unique_ptr<unit> first = std::move(units_.front());
    units_.pop_front();
    --begun_;
    return first;
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ended_ || begun_ < units_.size(); });
      if (ended_) return;
      unit& next = *units_[begun_++];
      lock.unlock();
      look_at(next, filter_);
      lock.lock();
      next.done = true;
      changed_.notify_all();
    }
  }

  const matcher& filter_;
  const std::size_t room_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<unit>> units_;
  std::size_t begun_ = 0;  // of the units
  bool ended_ = false;
  std::vector<std::thread> threads_;
};

// --- all of it --------------------------------------------------------------------------------------------------------------

class scanner {
 public:
  scanner(const std::string& path, const scan_filter& filter, const std::function<bool(const event&)>& take,
          const scan_options& options)
      : path_(path), filter_(filter), take_(take), told_(path, options.reading), with_ring_(options.reading.with_ring) {
    if (filter_.has_times()) by_times_ = [this](const seekable::facts& known) { return filter_.may_meet(known); };
    if (options.threads > 1) crew_.emplace(options.threads, filter_);
  }

  scan_result run() {
    content::view log = content::view_of(path_).value();
    std::uint64_t expected = 0;
    for (const segment::closed_segment& segment : log.closed) {
      auto file = content::open_closed(path_, segment, by_times_).value();
      if (!file.is_open()) continue;  // deleted meanwhile
      if (expected != 0 && segment.number != expected) missing(expected, segment.number - 1);
      expected = segment.number + 1;
      if (!look_at_segment(std::move(file), false)) break;
    }
    if (!result_.stopped && log.live.is_open()) {
      if (expected != 0 && log.live_number != expected) missing(expected, log.live_number - 1);
      (void)look_at_segment(std::move(log.live), true);
    }
    if (drain() && with_ring_) look_at_ring();
    result_.damaged = told_.damages();
    result_.gaps = told_.gaps();
    return result_;
  }

 private:
  // Gaps are told in their place, and so behind what is being worked on.
  void missing(std::uint64_t first, std::uint64_t last) {
    if (drain()) told_.missing(first, last);
  }

  // What a dead process left in the ring, and will be behind the live segment.
  void look_at_ring() {
    const left_in_ring left = left_in_ring::of(path_);
    looker eyes{filter_, [&](event& found) { return give(found); }, [](std::uint64_t, std::uint64_t, const std::string&) {}};
    for (auto line = left.lines().begin(); line != left.lines().end() && eyes.look({0, *line, {}}); ++line) continue;
    result_.bytes += eyes.bytes;
  }

  bool look_at_segment(content::segment_reader file, bool is_live) {
    const std::uint64_t end = file.is_compressed() ? static_cast<std::uint64_t>(-1) : file.bytes().value();
    if (file.is_passed_over()) return !result_.stopped;
    if (crew_ && can_be_shared(file)) return share(std::make_shared<content::segment_reader>(std::move(file)), end, is_live);
    return drain() && look_alone(file, end, is_live);
  }

  bool look_alone(content::segment_reader& file, std::uint64_t end, bool is_live) {
    looker eyes{filter_, [&](event& found) { return give(found); },
                [&](std::uint64_t at, std::uint64_t bytes, std::string cause) {
                  told_.damaged({file.path(), at, bytes, std::move(cause)});
                },
                is_live};
    content::line_cutter cutter;
    const auto look = [&](const content::line_cutter::lines& some) { return eyes.look(some); };
    tell_losses(file);
    const bool whole = file.each(0, end, by_times_,
                                 [&](const content::piece& next) {
                                   tell_losses(file);
                                   return cutter.feed(next, look);
                                 })
                           .value() &&
                       cutter.end(look);
    tell_losses(file);
    result_.bytes += eyes.bytes;
    return whole;
  }

  // Frames of ours, which are whole lines and know it; and plain files, where lines can be found from anywhere.
  static bool can_be_shared(const content::segment_reader& file) {
    return std::all_of(file.frames().begin(), file.frames().end(),
                       [](const seekable::frame& f) { return f.known && f.bytes && *f.bytes <= unit_frame_bytes_max; });
  }

  bool share(const std::shared_ptr<content::segment_reader>& file, std::uint64_t end, bool is_live) {
    tell_losses(*file);
    if (file->is_compressed()) {
      for (const seekable::frame& frame : file->frames()) {
        if (!filter_.may_meet(*frame.known)) continue;
        auto work = std::make_unique<unit>();
        work->file = file;
        work->frame = frame;
        work->is_live = is_live;
        if (!put(std::move(work))) return false;
      }
      return true;
    }
    for (std::uint64_t begin = 0; begin < end; begin += unit_bytes) {
      auto work = std::make_unique<unit>();
      work->file = file;
      work->begin = begin;
      work->end = std::min<std::uint64_t>(begin + unit_bytes, end);
      work->file_end = end;
      work->is_live = is_live;
      if (!put(std::move(work))) return false;
    }
    return true;
  }

  bool put(std::unique_ptr<unit> work) {
    while (crew_->is_full()) {
      if (!take_unit()) return false;
    }
    crew_->put(std::move(work));
    return true;
  }

  bool drain() {
    while (crew_ && !result_.stopped && !crew_->is_empty()) (void)take_unit();
    return !result_.stopped;
  }

  // Tells and gives what was found in a unit. (Within it, the damage first.)
  bool take_unit() {
    const std::unique_ptr<unit> done = crew_->take();
    if (done->failed) std::rethrow_exception(done->failed);
    for (const damage& found : done->damages) told_.damaged(found);
    result_.bytes += done->bytes;
    for (const event& found : done->events) {
      if (!give(found)) return false;
    }
    return true;
  }

  bool give(const event& found) {
    ++result_.events;
    result_.stopped = !take_(found);
    return !result_.stopped;
  }

  void tell_losses(content::segment_reader& file) {
    report_losses(file, [&](std::uint64_t at, std::uint64_t bytes, std::string cause) {
      told_.damaged({file.path(), at, bytes, std::move(cause), true});
    });
  }

  const std::string& path_;
  const matcher filter_;
  const std::function<bool(const event&)>& take_;
  content::segment_reader::chooser by_times_;
  reports told_;
  const bool with_ring_;
  scan_result result_;
  std::optional<crew> crew_;
};

}  // namespace

scan_result scan(const std::string& path, const scan_filter& filter, const std::function<bool(const event&)>& take,
                 const scan_options& options) {
  return scanner(path, filter, take, options).run();
}

}  // namespace annals
