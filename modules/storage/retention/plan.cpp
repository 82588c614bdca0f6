// SPDX-License-Identifier: Apache-2.0
//
// From a policy and a list of segments to a plan: nothing here looks at a file or at a clock.
module;
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.retention;
import annals.event.text;
#include "words.h"

namespace annals {

namespace {

// The state of a log while a plan is made.
class planner {
 public:
  planner(std::span<const segment_info> segments, const retention_policy& policy, time_point now, const disk_space& space)
      : segments_(segments), policy_(policy), now_(now), space_(space), is_deleted_(segments.size(), false) {
    for (std::size_t i = 0; i < segments.size(); ++i) {
      bytes_ += segments[i].bytes_on_disk;
      if (segments[i].state == segment_state::live) continue;
      ++closed_;
      last_closed_ = i;
    }
  }

  prune_plan plan() {
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      if (may_go(i) && is_old(i)) is_deleted_[i] = true;
    }
    const std::uint64_t bytes_before = bytes_;
    const std::uint64_t closed_before = closed_;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      if (is_deleted_[i]) take(i);
    }
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      if (is_deleted_[i] || !may_go(i) || is_kept_by_age(i) || exceeded().empty()) continue;
      is_deleted_[i] = true;
      take(i);
    }
    prune_plan made;
    made.unmet = unmet();
    explain(bytes_before, closed_before, made);
    return made;
  }

 private:
  bool may_go(std::size_t i) const {
    return segments_[i].state != segment_state::live && i != last_closed_ && segments_[i].held_by.empty();
  }

  // Is it younger than keep_for, or may it be? Then no other limit deletes it.
  bool is_kept_by_age(std::size_t i) const { return policy_.keep_for && !policy_.allow_younger && !is_old(i); }

  // The time that its age is counted from; nothing where it is not known. An event cannot have been written in the future.
  std::optional<time_point> newest(std::size_t i) const {
    const segment_info& one = segments_[i];
    if (!one.last || !one.written) return one.last;
    return *one.last > now_ ? *one.written : std::max(*one.last, *one.written);
  }

  bool is_old(std::size_t i) const {
    if (!policy_.keep_for) return false;
    const auto from = newest(i);
    return from && *from < policy_.keep_for->before(now_);
  }

  std::string age_in_words(std::size_t i) const {
    const segment_info& one = segments_[i];
    const time_point from = *newest(i);
    const std::string limit = to_string(*policy_.keep_for);
    if (from != *one.last) return "it was last written at " + words::time(from) + ", longer ago than " + limit;
    return "its newest event, of " + words::time(from) +
           (one.is_last_guessed ? " (by the time of the file, since some of its lines have none)" : "") + ", is older than " +
           limit;
  }

  void take(std::size_t i) {
    bytes_ -= segments_[i].bytes_on_disk;
    freed_ += segments_[i].bytes_on_disk;
    --closed_;
  }

  std::uint64_t free_now() const { return space_.free_bytes + freed_; }
  std::uint64_t free_wanted() const { return policy_.keep_free ? policy_.keep_free->of(space_.total_bytes) : 0; }

  // The limits, but for age, that are exceeded now.
  std::vector<retention_limit> exceeded() const {
    std::vector<retention_limit> found;
    if (policy_.keep_bytes && bytes_ > *policy_.keep_bytes) found.push_back(retention_limit::bytes);
    if (policy_.keep_segments && closed_ > *policy_.keep_segments) found.push_back(retention_limit::segments);
    if (!space_.is_unknown() && free_now() < free_wanted()) found.push_back(retention_limit::free_space);
    return found;
  }

  std::string in_words(retention_limit limit, std::size_t i) const {
    switch (limit) {
      case retention_limit::age: return age_in_words(i);
      case retention_limit::bytes:
        return "the log takes " + size_text(bytes_) + ", more than " + size_text(*policy_.keep_bytes);
      case retention_limit::segments:
        return "there are " + std::to_string(closed_) + " closed segments, more than " + std::to_string(*policy_.keep_segments);
      case retention_limit::free_space:
        return size_text(free_now()) + " of the file system are free, less than " + to_string(*policy_.keep_free);
    }
    return {};
  }

  // Goes through the deletions again in their order, and says for each why.
  void explain(std::uint64_t bytes, std::uint64_t closed, prune_plan& made) {
    const auto end = std::make_pair(bytes_, closed_);
    bytes_ = bytes;
    closed_ = closed;
    freed_ = 0;
    for (const bool old : {true, false}) {  // first what is too old, as it was decided
      for (std::size_t i = 0; i < segments_.size(); ++i) {
        if (!is_deleted_[i] || is_old(i) != old) continue;
        planned_deletion one{segments_[i], exceeded(), {}};
        if (old) one.reasons.insert(one.reasons.begin(), retention_limit::age);
        for (const retention_limit limit : one.reasons) one.why += (one.why.empty() ? "" : "; ") + in_words(limit, i);
        made.deletions.push_back(std::move(one));
        take(i);
      }
    }
    bytes_ = end.first;
    closed_ = end.second;
    std::sort(made.deletions.begin(), made.deletions.end(),
              [](const planned_deletion& a, const planned_deletion& b) { return a.segment.number < b.segment.number; });
  }

  // What stays though it may be too much, and why: "2 segments are held (case-17, case-18), 42 is the last closed one".
  std::string why_kept(bool old_only) const {
    std::uint64_t held = 0;
    std::uint64_t young = 0;
    std::vector<std::string> holds;
    bool is_last_among = false;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      if (segments_[i].state == segment_state::live || is_deleted_[i] || (old_only && !is_old(i))) continue;
      if (i == last_closed_) is_last_among = true;
      if (may_go(i) && is_kept_by_age(i)) ++young;
      if (segments_[i].held_by.empty()) continue;
      ++held;
      for (const std::string& name : segments_[i].held_by) {
        if (std::find(holds.begin(), holds.end(), name) == holds.end()) holds.push_back(name);
      }
    }
    std::string text;
    if (held != 0) {
      text = (held == 1 ? "1 segment is held (" : std::to_string(held) + " segments are held (") + words::list(holds, 3) + ")";
    }
    if (young != 0) {
      text += (text.empty() ? "" : ", ") +
              (young == 1 ? std::string("1 segment is") : std::to_string(young) + " segments are") +
              " not older than keep_for " + to_string(*policy_.keep_for) + " (allow_younger lets them go)";
    }
    if (is_last_among) {
      text += (text.empty() ? "" : ", ") + std::to_string(segments_[last_closed_].number) +
              " is the last closed one, from which the numbers go on";
    }
    return text.empty() ? "the live segment is not deleted" : text;
  }

  // The segments that stay since their age is not known, although they were read.
  std::vector<std::string> of_unknown_age() const {
    std::vector<std::string> found;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      const bool is_unknown = policy_.keep_for && !segments_[i].last && segments_[i].events.value_or(0) != 0;
      if (is_unknown && may_go(i) && !is_deleted_[i]) found.push_back(std::to_string(segments_[i].number));
    }
    return found;
  }

  std::vector<unmet_limit> unmet() const {
    std::vector<unmet_limit> found;
    std::uint64_t old = 0;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      if (segments_[i].state != segment_state::live && is_old(i) && !is_deleted_[i]) ++old;
    }
    if (old != 0) {
      found.push_back(
          {retention_limit::age, "keep_for " + to_string(*policy_.keep_for) + ": " +
                                     (old == 1 ? "1 older segment stays: " : std::to_string(old) + " older segments stay: ") +
                                     why_kept(true)});
    }
    if (const auto kept = of_unknown_age(); !kept.empty()) {
      found.push_back(
          {retention_limit::age, "keep_for " + to_string(*policy_.keep_for) + ": " +
                                     (kept.size() == 1 ? "1 segment stays, since it has"
                                                       : std::to_string(kept.size()) + " segments stay, since they have") +
                                     " lines whose time cannot be read: " + words::list(kept, 3)});
    }
    if (policy_.keep_free && space_.is_unknown()) {
      found.push_back(
          {retention_limit::free_space, "keep_free " + to_string(*policy_.keep_free) +
                                            ": the file system does not report its size, so nothing is deleted for it"});
    }
    for (const retention_limit limit : exceeded()) {
      std::string text;
      switch (limit) {
        case retention_limit::age: break;
        case retention_limit::bytes:
          text = "keep_bytes " + size_text(*policy_.keep_bytes) + ": " + size_text(bytes_) + " stay: ";
          break;
        case retention_limit::segments:
          text = "keep_segments " + std::to_string(*policy_.keep_segments) + ": " + std::to_string(closed_) + " stay: ";
          break;
        case retention_limit::free_space:
          text = "keep_free " + to_string(*policy_.keep_free) + ": only " + size_text(free_now()) + " will be free: ";
          break;
      }
      found.push_back({limit, text + why_kept(false)});
    }
    return found;
  }

  std::span<const segment_info> segments_;
  const retention_policy& policy_;
  time_point now_;
  disk_space space_;
  std::vector<bool> is_deleted_;
  std::size_t last_closed_ = static_cast<std::size_t>(-1);
  std::uint64_t bytes_ = 0;   // that stay
  std::uint64_t closed_ = 0;  // closed segments that stay
  std::uint64_t freed_ = 0;
};

}  // namespace

prune_plan plan_deletions(std::span<const segment_info> segments, const retention_policy& policy, time_point now,
                          const disk_space& space) {
  return planner(segments, policy, now, space).plan();
}

}  // namespace annals
