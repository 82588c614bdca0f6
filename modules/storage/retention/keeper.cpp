// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.retention;
import annals.io;
import annals.io.worker;
import annals.rotation.lock;
import annals.segment;
import annals.event.text;
#include "internal.h"

namespace annals {

namespace {

using std::chrono::nanoseconds;

constexpr std::chrono::seconds look_interval{1};
constexpr std::chrono::seconds prune_interval{60};
constexpr std::chrono::seconds prune_interval_under_pressure{10};
constexpr std::chrono::seconds reminder_interval{60};

// Deletes on a thread of its own. Its notices wait until the keeper asks for them.
class pruner {
 public:
  pruner(std::string path, const retention_policy& policy)
      : policy_(policy), known_(std::move(path), &is_stopped_), thread_({.name = "annals-prune"}, [this] { return step(); }) {}
  ~pruner() {
    is_stopped_ = true;
    thread_.stop();
  }
  pruner(const pruner&) = delete;
  pruner& operator=(const pruner&) = delete;

  bool is_inherited() const noexcept { return thread_.is_inherited(); }
  std::optional<error> ask() { return thread_.wake(); }

  bool has_news() const noexcept { return has_news_.load(std::memory_order_relaxed); }
  std::vector<notice> news() {
    const std::lock_guard lock(mutex_);
    has_news_ = false;
    return std::exchange(news_, {});
  }

  pruner* next_left_behind = nullptr;

 private:
  io::worker::rest step() {
    if (auto told = prune_once()) {
      const std::lock_guard lock(mutex_);
      news_.push_back(std::move(*told));
      has_news_ = true;
    }
    return {io::worker::resting, std::nullopt};
  }

  std::optional<notice> prune_once() {
    auto outcome = retention::prune(known_, policy_, false);
    if (outcome) {
      if (!outcome->deleted.empty()) return told(outcome->deleted);
      return what_stays(*outcome);
    }
    error& failed = outcome.error();
    if (retention::is_busy(failed) || failed.system_code == ECANCELED || failed.message == last_failure_) return std::nullopt;
    last_failure_ = failed.message;
    return failure_notice(notice_code::deletion_failed, failed);
  }

  // What cannot be deleted although a limit asks for it, once until it is another limit.
  std::optional<notice> what_stays(const prune_outcome& outcome) {
    std::string key;  // without the amounts, which change all the time
    std::string text;
    if (!outcome.conflicts.empty()) {
      key = text = "'" + known_.path() + "': " + outcome.conflicts.front();
    } else {
      for (const unmet_limit& one : outcome.unmet) {
        key += std::string(name_of(one.limit)) + ' ';
        text += (text.empty() ? "'" + known_.path() + "' keeps more than its limits allow: " : "; ") + one.why;
      }
    }
    if (std::exchange(last_failure_, key) == key || key.empty()) return std::nullopt;
    return notice{notice_code::deletion_failed, severity::warning, 0, text};
  }

  notice told(const std::vector<planned_deletion>& deleted) const {
    std::uint64_t events = 0;
    for (const planned_deletion& one : deleted) events += one.segment.events.value_or(0);
    const bool is_one = deleted.size() == 1;
    return {notice_code::segment_deleted, severity::info, 0,
            (is_one ? "segment " + std::to_string(deleted.front().segment.number)
                    : std::to_string(deleted.size()) + " segments from " + std::to_string(deleted.front().segment.number) +
                          " to " + std::to_string(deleted.back().segment.number)) +
                " of '" + known_.path() + "' with " + std::to_string(events) + " events " + (is_one ? "was" : "were") +
                " deleted, as the policy says: " + deleted.front().why};
  }

  const retention_policy policy_;
  std::atomic<bool> is_stopped_ = false;
  retention::inventory known_;
  std::string last_failure_;
  std::mutex mutex_;
  std::vector<notice> news_;
  std::atomic<bool> has_news_ = false;
  io::worker thread_;  // last: it uses the members above
};

// In a child of fork(2), the parent's thread may have been changing the object or holding its mutex. The object stays reachable
// here and is never destroyed.
std::atomic<pruner*> left_behind = nullptr;

void leave_behind(std::unique_ptr<pruner> one) noexcept {
  pruner* const left = one.release();
  left->next_left_behind = left_behind.load();
  while (!left_behind.compare_exchange_weak(left->next_left_behind, left)) continue;
}

std::string_view name_of(pressure_stage stage) noexcept {
  switch (stage) {
    case pressure_stage::none: return "none";
    case pressure_stage::warn: return "warn";
    case pressure_stage::archive: return "archive";
    case pressure_stage::prune: return "prune";
    case pressure_stage::refuse: return "refuse";
  }
  return "none";
}

severity how_severe(pressure_stage stage) noexcept {
  if (stage == pressure_stage::none) return severity::info;
  return stage == pressure_stage::refuse ? severity::error : severity::warning;
}

}  // namespace

struct keeper::state {
  std::string path;
  retention_policy policy;
  pressure_thresholds thresholds;
  notice_handler on_notice;
  pressure_stage stage = pressure_stage::none;
  disk_space space;
  std::uint64_t written = 0;  // since the disk was looked at
  nanoseconds next_look{0};   // of the uptime, as the others
  nanoseconds next_prune{0};
  nanoseconds next_reminder{0};
  std::string last_failure;
  std::unique_ptr<pruner> deleting;

  const std::optional<space_amount>& threshold() const noexcept {
    switch (stage) {
      case pressure_stage::refuse: return thresholds.refuse;
      case pressure_stage::prune: return thresholds.prune;
      case pressure_stage::archive: return thresholds.archive;
      default: return thresholds.warn;
    }
  }

  std::string told() const {
    const std::string free = size_text(space.free_bytes) + " of " + size_text(space.total_bytes) + " are free";
    if (stage == pressure_stage::none) return "the file system of '" + path + "' has room again: " + free;
    std::string text = "the file system of '" + path + "' is nearly full: " + free + ", less than " + to_string(*threshold()) +
                       " (stage \"" + std::string(name_of(stage)) + "\")";
    if (stage == pressure_stage::refuse)
      text += "; events are refused until there is room: make some, or let the policy keep less";
    if (policy.keep_for && !policy.allow_younger && stage >= pressure_stage::prune) {
      text += "; nothing is deleted that is not older than keep_for " + to_string(*policy.keep_for);
    }
    return text;
  }

  // Considers deletions, on the other thread.
  void ask(nanoseconds now) try {
    if (policy.is_empty()) return;
    next_prune = now + (stage >= pressure_stage::prune ? std::chrono::seconds(prune_interval_under_pressure) : prune_interval);
    if (deleting && deleting->is_inherited()) leave_behind(std::move(deleting));
    if (!deleting) deleting = std::make_unique<pruner>(path, policy);
    if (auto failed = deleting->ask()) {
      failed->message = "cannot delete segments of '" + path + "': " + failed->message;
      on_notice(failure_notice(notice_code::deletion_failed, *failed));
    }
  } catch (const std::exception& failed) {
    on_notice({notice_code::deletion_failed, severity::error, 0, "cannot delete segments of '" + path + "': " + failed.what()});
  }

  void look(nanoseconds now) {
    next_look = now + look_interval;
    written = 0;
    const auto found = retention::space_of(path);
    if (!found) {
      if (found.error().message != last_failure) on_notice(failure_notice(notice_code::check_failed, found.error()));
      last_failure = found.error().message;
      return;
    }
    if (found->is_unknown()) {
      const std::string told =
          "the file system of '" + path + "' does not report its size: the stages of \"pressure\" do nothing";
      if (std::exchange(last_failure, told) != told) on_notice({notice_code::check_failed, severity::warning, 0, told});
    } else {
      last_failure.clear();
    }
    space = *found;
    const pressure_stage before = std::exchange(stage, next_stage(stage, thresholds, space));
    const bool is_worse = stage > before;
    if (stage != before || (stage >= pressure_stage::archive && now >= next_reminder)) {
      next_reminder = now + reminder_interval;
      if (is_worse || stage == before || stage == pressure_stage::none) {
        on_notice({notice_code::disk_space, how_severe(stage), 0, told()});
      }
    }
    if (is_worse && stage >= pressure_stage::prune) next_prune = now;
  }

  void tell_news() {
    if (!deleting || !deleting->has_news() || deleting->is_inherited()) return;
    for (const notice& one : deleting->news()) on_notice(one);
  }
};

keeper::keeper(std::string path, const retention_policy& policy, const pressure_thresholds& thresholds,
               notice_handler on_notice)
    : state_(std::make_unique<state>()) {
  state_->path = io::absolute(std::move(path)).value();
  state_->policy = policy;
  state_->thresholds = thresholds;
  state_->on_notice = std::move(on_notice);
}

keeper::~keeper() {
  if (state_->deleting && state_->deleting->is_inherited()) leave_behind(std::move(state_->deleting));
}

std::optional<error> keeper::on_write(std::size_t bytes) {
  state& s = *state_;
  if (s.policy.is_empty() && s.thresholds.is_empty()) return std::nullopt;
  const nanoseconds now = io::calls().uptime();
  if (!s.thresholds.is_empty()) {
    const std::uint64_t refused = s.thresholds.refuse ? s.thresholds.refuse->of(s.space.total_bytes) : 0;
    const bool is_near = s.thresholds.refuse && s.stage != pressure_stage::refuse && !s.space.is_unknown() &&
                         s.space.free_bytes < refused + s.written + bytes;
    if (now >= s.next_look || is_near) s.look(now);
    if (s.stage == pressure_stage::refuse) {
      if (now >= s.next_prune) s.ask(now);
      s.tell_news();
      return error{errc::disk_space, 0, s.told()};
    }
    s.written += bytes;
  }
  if (now >= s.next_prune) s.ask(now);
  s.tell_news();
  return std::nullopt;
}

void keeper::after_rotation() {
  const nanoseconds now = io::calls().uptime();
  if (!state_->thresholds.is_empty()) state_->look(now);
  state_->ask(now);
  state_->tell_news();
}

pressure_stage keeper::stage() const noexcept {
  return state_->stage;
}

}  // namespace annals
