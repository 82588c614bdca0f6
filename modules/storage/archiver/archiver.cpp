// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>
module annals.archiver;
import annals.io;
import annals.retention;

namespace annals {

background_archiver::background_archiver(std::unique_ptr<archiver> with, std::string live_path, notice_handler report,
                                         archive_priority priority)
    : archiver_(std::move(with)),
      live_path_(std::move(live_path)),
      report_(std::move(report)),
      thread_({.name = "annals-archive", .priority = priority}, [this] { return step(); }) {
  archiver_->set_notice_handler([this](const notice& what) { this->report(what); });
}

void background_archiver::wake() noexcept try {
  if (auto failed = thread_.wake()) {
    failed->message = "cannot archive the closed segments of '" + live_path_ + "': " + failed->message;
    report_failure(*failed);
  }
} catch (const std::exception&) {  // no memory for the message: the next segment wakes it
}

void background_archiver::become_child() noexcept {
  in_work_ = 0;
  waiting_ = 0;
  // The parent's thread may have been changing the map during the fork. Its memory is given up.
  ::new (static_cast<void*>(&attempts_)) std::map<std::uint64_t, attempts>;
}

archive_progress background_archiver::progress() const noexcept {
  return {archived_.load(), waiting_.load(), failed_.load(), bytes_in_.load(), bytes_out_.load(), in_work_.load()};
}

std::uint64_t background_archiver::finish(std::chrono::nanoseconds patience) noexcept {
  const auto until = io::calls().uptime() + patience;
  const std::uint64_t failed_before = failed_;
  const std::uint32_t begun_before = begun_;
  wake();
  for (;;) {
    const std::uint32_t ended = ended_;
    const bool is_new = static_cast<std::int32_t>(ended - begun_before) > 0;  // it began after this call
    if (is_new && (waiting_ == 0 || failed_ != failed_before)) break;
    const auto left = until - io::calls().uptime();
    if (left.count() <= 0) break;
    io::wait_while(ended_, ended, left);
  }
  const auto closed = segment::closed_segments(live_path_);
  if (!closed) return waiting_;  // the thread reports it
  return static_cast<std::uint64_t>(
      std::count_if(closed->begin(), closed->end(), [](const segment::closed_segment& one) { return !one.compressed; }));
}

io::worker::rest background_archiver::step() try {
  return {io::worker::resting, work()};
} catch (const std::exception& failed) {
  report_failure({errc::sink_failed, 0, "cannot archive the closed segments of '" + live_path_ + "': " + failed.what()});
  return {io::worker::resting, first_delay};
}

// Archives what is due. Returns after which time to look again; nothing: when something is closed.
std::optional<std::chrono::nanoseconds> background_archiver::work() {
  for (;;) {
    const std::uint32_t look = ++begun_;
    auto listed = segment::closed_segments(live_path_);
    if (!listed) {
      ++failed_;
      end_look(look);
      report_failure(listed.error());
      return first_delay;
    }
    std::vector<segment::closed_segment> waiting = std::move(*listed);
    std::erase_if(waiting, [](const segment::closed_segment& one) { return one.compressed; });
    waiting_ = waiting.size();
    end_look(look);
    look_at(waiting);
    const auto now = io::calls().uptime();
    std::optional<std::chrono::nanoseconds> soonest;
    const segment::closed_segment* due = nullptr;
    for (const segment::closed_segment& one : waiting) {
      const auto left = attempts_.at(one.number).due - now;
      if (left.count() <= 0) {
        due = &one;
        break;
      }
      soonest = std::min(soonest.value_or(left), left);
    }
    if (due == nullptr || thread_.is_stopping()) return soonest;
    archive(*due);
  }
}

void background_archiver::end_look(std::uint32_t look) noexcept {
  ended_ = look;
  io::wake_all(ended_);
}

// Keeps attempts for exactly the segments that wait.
void background_archiver::look_at(const std::vector<segment::closed_segment>& waiting) {
  std::map<std::uint64_t, attempts> kept;
  const auto now = io::calls().uptime();
  for (const segment::closed_segment& one : waiting) {
    if (const auto known = attempts_.find(one.number); known != attempts_.end()) {
      kept.insert(*known);
      continue;
    }
    // If the clock was put back, the segment waits no longer than age_min from now on.
    auto left = std::chrono::nanoseconds(age_min);
    if (const auto status = io::status_at(one.path); status && *status) {
      left -= std::clamp<std::chrono::nanoseconds>(io::calls().now() - (*status)->changed, std::chrono::nanoseconds(0), left);
    }
    kept.insert({one.number, {now + left, std::chrono::nanoseconds(0)}});
  }
  attempts_ = std::move(kept);
}

void background_archiver::archive(const segment::closed_segment& one) {
  in_work_ = one.number;
  const auto before = io::status_at(one.path);
  const auto failed = archive_segment(live_path_, one, *archiver_);
  in_work_ = 0;
  attempts& of_segment = attempts_.at(one.number);
  if (!failed) {
    const auto left = io::status_at(one.path);
    if (left && *left) {
      ++failed_;
      put_off(of_segment);
      return report_failure(
          {errc::sink_failed, 0,
           "the archiver says that it has archived '" + one.path + "', and the segment is still there; it is tried again"});
    }
    ++archived_;
    if (before && *before) bytes_in_ += (*before)->bytes;
    if (const auto made = io::status_at(one.path + ".zst"); made && *made) bytes_out_ += (*made)->bytes;
    return;
  }
  put_off(of_segment);
  if (failed->system_code == EWOULDBLOCK) return;                         // by another process
  if (const auto left = io::status_at(one.path); left && !*left) return;  // deleted or archived by another process
  ++failed_;
  report_failure(*failed);
}

void background_archiver::put_off(attempts& of_segment) const {
  of_segment.delay = of_segment.delay.count() == 0 ? std::chrono::nanoseconds(first_delay)
                                                   : std::min<std::chrono::nanoseconds>(of_segment.delay * 2, delay_max);
  of_segment.due = io::calls().uptime() + of_segment.delay;
}

void background_archiver::report(const notice& what) const noexcept try {
  report_(what);
} catch (...) {  // a handler that throws: the counters remain
}

void background_archiver::report_failure(const error& cause) const noexcept try {
  report_(failure_notice(notice_code::archive_failed, cause));
} catch (...) {  // likewise, or no memory for a message
}

}  // namespace annals
