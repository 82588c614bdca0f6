// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>
module annals.reader;
import annals.recovery;
import annals.io;
import annals.json;
import annals.content.seekable;
import annals.content;
#include "look_at.h"
#include "looked_for.h"
#include "matcher.h"
#include "reading.h"
#include "scanning.h"
#include "walk.h"

namespace annals {

namespace {

class scanner {
 public:
  scanner(const std::string& path, const scan_filter& filter, const std::function<bool(const event&)>& take,
          const scan_options& options)
      : path_(path),
        filter_(filter),
        take_(take),
        told_(path, options.reading),
        with_ring_(options.reading.with_ring),
        counts_recorded_(options.count_recorded && !filter_.has_texts()),
        checks_facts_(options.check_facts) {
    if (filter_.has_times() || counts_recorded_) by_facts_ = [this](const seekable::facts& known) { return is_wanted(known); };
    if (options.threads > 1) crew_.emplace(options.threads, filter_);
  }

  scan_result run() {
    log_at_once seen = look_at(path_, with_ring_).value();
    // Reported in their place, and so behind what is being worked on.
    walk segments(
        path_, std::move(seen.log),
        [this](std::uint64_t first, std::uint64_t last) {
          if (drain()) told_.missing(first, last);
        },
        [this](std::uint64_t, const std::string& file, const error& cause) {
          if (drain()) told_.unreadable(file, cause);
        },
        [this](std::uint64_t number, const std::string& file) {
          if (drain()) told_.doubled(number, file);
        });
    while (!result_.stopped) {
      auto next = segments.next(by_facts_);
      if (!next) break;
      const std::uint64_t end = next->is_live ? seen.end_of(next->file) : static_cast<std::uint64_t>(-1);
      if (!look_at_segment(std::move(next->file), end, next->is_live)) break;
    }
    if (drain()) look_at_ring(seen);
    result_.damaged = told_.damages();
    result_.gaps = told_.gaps();
    return result_;
  }

 private:
  // Have lines with these facts to be decoded?
  bool is_wanted(const seekable::facts& known) {
    if (!filter_.may_meet(known)) return false;
    if (!counts_recorded_ || !filter_.must_meet(known)) return true;
    result_.recorded += known.lines;
    return false;
  }

  // What a dead process left in the ring, and will be behind the live segment.
  void look_at_ring(log_at_once& seen) {
    looker eyes{filter_, [&](event& found) { return give(found); }, [](std::uint64_t, std::uint64_t, const std::string&) {}};
    (void)seen.each_left(told_, [&](std::string_view line) { return eyes.look({0, line, {}}); });
    result_.bytes += eyes.bytes;
    result_.undated += eyes.undated;
  }

  bool look_at_segment(content::segment_reader file, std::uint64_t limit, bool is_live) {
    if (file.is_passed_over()) {
      report_losses(file, told_);
      return !result_.stopped;
    }
    if (checks_facts_ && file.is_compressed() && !compare_facts(file)) return false;
    const std::uint64_t end = file.is_compressed() ? static_cast<std::uint64_t>(-1) : std::min(limit, file.bytes().value());
    if (crew_ && can_be_shared(file)) return share(std::make_shared<content::segment_reader>(std::move(file)), end, is_live);
    return drain() && look_alone(file, end, is_live);
  }

  bool compare_facts(content::segment_reader& file) {
    if (!drain()) return false;
    auto wrong = content::wrong_facts(file);
    report_losses(file, told_);
    if (!wrong) {
      told_.unreadable(file.path(), wrong.error());
      return true;
    }
    for (content::loss& one : *wrong) told_.damaged({file.path(), one.file_offset, one.file_bytes, std::move(one.cause), true});
    return true;
  }

  bool look_alone(content::segment_reader& file, std::uint64_t end, bool is_live) {
    looker eyes{filter_, [&](event& found) { return give(found); },
                [&](std::uint64_t at, std::uint64_t bytes, std::string cause) {
                  told_.damaged({file.path(), at, bytes, std::move(cause)});
                },
                is_live};
    content::line_cutter cutter;
    const auto look = [&](const content::line_cutter::lines& some) { return eyes.look(some); };
    report_losses(file, told_);
    const auto went_on = file.each(0, end, by_facts_, [&](const content::piece& next) {
      report_losses(file, told_);
      return cutter.feed(next, look);
    });
    const bool whole = (!went_on || *went_on) && cutter.end(look);
    report_losses(file, told_);
    if (!went_on) told_.unreadable(file.path(), went_on.error());
    result_.bytes += eyes.bytes;
    result_.undated += eyes.undated;
    return whole;
  }

  // Frames of ours, which are whole lines and know it; and plain files, where lines can be found from anywhere.
  static bool can_be_shared(const content::segment_reader& file) {
    return std::all_of(file.frames().begin(), file.frames().end(),
                       [](const seekable::frame& f) { return f.known && f.bytes && *f.bytes <= unit_frame_bytes_max; });
  }

  bool share(const std::shared_ptr<content::segment_reader>& file, std::uint64_t end, bool is_live) {
    report_losses(*file, told_);
    if (file->is_compressed()) {
      for (const seekable::frame& frame : file->frames()) {
        if (by_facts_ && !by_facts_(*frame.known)) continue;
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
    if (done->failed) report_failure(*done);
    for (const damage& found : done->damages) told_.damaged(found);
    result_.bytes += done->bytes;
    result_.undated += done->undated;
    for (const event& found : done->events) {
      if (!give(found)) return false;
    }
    return true;
  }

  // A file that cannot be read on is reported once.
  void report_failure(const unit& done) {
    try {
      std::rethrow_exception(done.failed);
    } catch (const failure& failed) {
      if (unreadable_ != done.file) told_.unreadable(done.file->path(), failed.cause());
      unreadable_ = done.file;
    }
  }

  bool give(const event& found) {
    ++result_.events;
    result_.stopped = !take_(found);
    return !result_.stopped;
  }

  const std::string& path_;
  const matcher filter_;
  const std::function<bool(const event&)>& take_;
  content::segment_reader::chooser by_facts_;
  reports told_;
  const bool with_ring_;
  const bool counts_recorded_;
  const bool checks_facts_;
  scan_result result_;
  std::shared_ptr<content::segment_reader> unreadable_;  // reported last
  std::optional<crew> crew_;
};

}  // namespace

scan_result scan(const std::string& path, const scan_filter& filter, const std::function<bool(const event&)>& take,
                 const scan_options& options) {
  return scanner(path, filter, take, options).run();
}

}  // namespace annals
