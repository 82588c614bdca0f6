// SPDX-License-Identifier: Apache-2.0
//
// The log as it is: which segments it has, what earlier runs recorded and did not finish, and what the policy says now. Nothing
// is changed here, so a dry run sees what a run does.
module;
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.retention;
import annals.content;
import annals.io;
import annals.json;
import annals.rotation.lock;
import annals.segment;
#include "internal.h"
#include "words.h"

namespace annals::retention {

namespace {

// How far the clock may be ahead of the log's files: a quarter of keep_for, within these limits.
constexpr std::chrono::hours leap_limit_min{24};
constexpr std::chrono::hours leap_limit_max{24 * 30};

bool has_gone(const error& cause) {
  return cause.system_code == ENOENT;
}

// Which segments there are, in a log of any length: as many numbers as it has segments.
bool is_there(const std::vector<segment_info>& segments, std::uint64_t number) {
  const auto found = std::lower_bound(segments.begin(), segments.end(), number,
                                      [](const segment_info& one, std::uint64_t wanted) { return one.number < wanted; });
  return found != segments.end() && found->number == number;
}

class looker {
 public:
  looker(inventory& known, const retention_policy& policy) : known_(known), policy_(policy) {}

  result<situation> look() {
    const auto has_file = has_holds_file(known_.path());
    if (!has_file) return has_file.error();
    auto holds = list_holds(known_.path());
    if (!holds) return std::move(holds.error());
    auto seen = look_with(std::move(*holds));
    if (*has_file || !seen || (seen->plan.deletions.empty() && seen->unfinished.empty())) return seen;
    auto told = known_.told_holds();
    if (!told) return std::move(told.error());
    if (!told->empty()) seen = look_with(*told);
    if (!seen) return seen;
    if (!told->empty()) {
      seen->plan.conflicts.push_back("'" + known_.path() + ".holds' is missing; holds are taken from the events in the log: " +
                                     std::to_string(told->size()));
    }
    seen->told_holds = std::move(*told);
    return seen;
  }

 private:
  result<situation> look_with(std::vector<hold> holds) {
    seen_ = {};
    verified_.clear();
    unrecorded_.clear();
    holds_ = std::move(holds);
    auto segments = known_.list();
    if (!segments) return std::move(segments.error());
    seen_.segments = std::move(*segments);
    if (auto failed = judge_clock()) return std::move(*failed);
    if (auto failed = known_.prepare(seen_.segments, policy_, now_, holds_)) return std::move(*failed);
    if (auto failed = leave_doubled()) return std::move(*failed);
    if (auto failed = read_records()) return std::move(*failed);
    if (auto failed = find_told()) return std::move(*failed);
    if (auto failed = find_unfinished()) return std::move(*failed);
    if (auto failed = make_plan()) return std::move(*failed);
    return std::move(seen_);
  }

  // The age is counted up to the time that the clock of this process shows. Where that is far behind the newest time of the
  // log's files, which other processes and the kernel set, the clock may be wrong: then it is counted up to that newest time.
  std::optional<error> judge_clock() {
    clock_ = now_ = io::calls().now();
    if (!policy_.keep_for) return std::nullopt;
    std::vector<std::string> files = {segment::deletion_log_path(known_.path())};
    for (const segment_info& one : seen_.segments) files.push_back(one.path);
    std::optional<time_point> newest;
    for (const std::string& file : files) {
      const auto status = io::status_at(file);
      if (!status) return status.error();
      if (*status) newest = std::max(newest, std::optional((*status)->modified));
    }
    if (!newest || *newest >= clock_) return std::nullopt;
    const auto leap_max =
        std::clamp<std::chrono::microseconds>((clock_ - policy_.keep_for->before(clock_)) / 4, leap_limit_min, leap_limit_max);
    if (clock_ - *newest > leap_max) now_ = *newest;
    return std::nullopt;
  }

  // Reports a clock that is not believed, if that keeps a segment.
  void note_clock() {
    if (now_ == clock_) return;
    const auto is_old = [this](const segment_info& one, time_point now) {
      return one.written && *one.written < policy_.keep_for->before(now);
    };
    const auto kept = std::count_if(seen_.segments.begin(), seen_.segments.end(), [&](const segment_info& one) {
      return one.state != segment_state::live && is_old(one, clock_) && !is_old(one, now_);
    });
    if (kept == 0) return;
    const auto ahead = std::chrono::floor<std::chrono::hours>(clock_ - now_);
    seen_.plan.unmet.push_back(
        {retention_limit::age, "keep_for " + to_string(*policy_.keep_for) + ": the clock shows " + words::time(clock_) + ", " +
                                   to_string(retention_age(ahead)) + " after the newest file of the log was written (" +
                                   words::time(now_) + "); " + std::to_string(kept) +
                                   (kept == 1 ? " segment that is" : " segments that are") +
                                   " old by that clock alone stay. Correct the clock; if it is right, log an event first"});
  }

  // Of two segments with one number, neither is deleted: what is known of one would be said of the other.
  std::optional<error> leave_doubled() {
    auto doubled = known_.doubled();
    if (!doubled) return std::move(doubled.error());
    std::erase_if(seen_.segments, [&doubled](const segment_info& one) { return doubled->contains(one.number); });
    for (const auto& [number, name] : *doubled) {
      seen_.conflicts.push_back("two segments have the number " + std::to_string(number) +
                                ", and neither is deleted; move one of them away and adopt it again: " + name);
    }
    return std::nullopt;
  }

  // Of the records, the last one for each segment that is there; and the plan, of which some may be recorded already.
  std::optional<error> read_records() {
    constexpr std::size_t recent_max = 32 * 1024;  // a plan has fewer numbers
    std::vector<std::uint64_t> recent;
    std::size_t next = 0;
    const auto keep = [&](const segment::deleted_segment& one) {
      if (is_there(seen_.segments, one.number)) seen_.recorded.insert_or_assign(one.number, one);
      if (recent.size() < recent_max) recent.push_back(one.number);
      recent[next++ % recent_max] = one.number;
      return false;
    };
    auto log = segment::read_deletion_log(known_.path(), keep);
    if (!log) return std::move(log.error());
    seen_.log = std::move(*log);
    if (!seen_.log.planned) return std::nullopt;
    std::sort(recent.begin(), recent.end());
    for (const std::uint64_t number : seen_.log.planned->numbers) {
      if (!std::binary_search(recent.begin(), recent.end(), number)) unrecorded_.insert(number);
    }
    return std::nullopt;
  }

  // What an earlier run announced, and did not come to record: the events that it wrote are found by their tokens.
  std::optional<error> find_told() {
    const auto& plan = seen_.log.planned;
    if (!plan) return std::nullopt;
    std::map<std::uint64_t, std::string_view> open;
    for (std::size_t i = 0; i < plan->numbers.size(); ++i) {
      if (!unrecorded_.contains(plan->numbers[i])) continue;
      seen_.is_settled = false;
      if (i < plan->tokens.size() && !plan->tokens[i].empty()) open.emplace(plan->numbers[i], plan->tokens[i]);
    }
    const bool is_believed = !seen_.log.suspect || *seen_.log.suspect < plan->at.segment;
    for (const segment_info& one : seen_.segments) {
      if (!is_believed || open.empty()) break;
      if (one.number < plan->at.segment) continue;
      const std::uint64_t offset = one.number == plan->at.segment ? plan->at.offset : 0;
      if (auto failed = find_told_in(one, offset, open)) return failed;
    }
    return std::nullopt;
  }

  std::optional<error> find_told_in(const segment_info& one, std::uint64_t offset,
                                    std::map<std::uint64_t, std::string_view>& open) {
    const auto look_at = [&](const content::line& line) {
      auto found = deletion_in(line.text);
      const auto planned = found ? open.find(found->record.number) : open.end();
      if (planned == open.end() || planned->second != found->token) return true;
      open.erase(planned);
      seen_.recorded.insert_or_assign(found->record.number, found->record);
      seen_.told.push_back(std::move(found->record));
      return !open.empty();
    };
    auto opened = one.state == segment_state::live
                      ? content::segment_reader::open(one.path)
                      : content::open_closed(known_.path(), {.path = one.path, .number = one.number});
    if (!opened) return std::move(opened.error());
    if (!opened->is_open()) return std::nullopt;
    const auto looked = content::each_line(*opened, offset, static_cast<std::uint64_t>(-1), {}, look_at,
                                           [this] { return !known_.is_stopped(); });
    if (!looked) return looked.error();
    if (known_.is_stopped()) return error{errc::io, ECANCELED, "stopped reading '" + one.path + "'"};
    return std::nullopt;
  }

  // What is recorded and still there is an unfinished deletion only if it holds what was recorded: its number may have come to
  // another segment. A hold that came since keeps it.
  std::optional<error> find_unfinished() {
    std::vector<segment_info> others;
    for (segment_info& one : seen_.segments) {
      const auto record = seen_.recorded.find(one.number);
      if (one.state == segment_state::live || record == seen_.recorded.end()) {
        others.push_back(std::move(one));
        continue;
      }
      auto failed = verify(one);
      if (failed && has_gone(*failed)) continue;
      if (failed) return failed;
      if (!is_of(record->second, one, known_.check_of(one.number))) {
        seen_.conflicts.push_back("segment " + std::to_string(one.number) +
                                  " is recorded as deleted, but its file holds other lines than the record says; it is treated "
                                  "as a segment that was never deleted");
        others.push_back(std::move(one));
      } else {
        (one.held_by.empty() ? seen_.unfinished : others).push_back(std::move(one));
      }
    }
    seen_.segments = std::move(others);
    return std::nullopt;
  }

  // Facts propose what is to be deleted; what they propose is decoded before it is believed.
  std::optional<error> make_plan() {
    auto space = space_of(known_.path());
    if (!space) return std::move(space.error());
    for (const segment_info& one : seen_.unfinished) space->free_bytes += one.bytes_on_disk;
    const bool has_timed = std::any_of(holds_.begin(), holds_.end(), [](const hold& one) { return one.from || one.to; });
    const bool by_times = policy_.keep_for || has_timed;
    for (bool is_sure = false; !is_sure;) {
      seen_.plan = plan_deletions(seen_.segments, policy_, now_, *space);
      is_sure = true;
      if (!by_times) break;
      std::size_t at = 0;
      for (const planned_deletion& one : seen_.plan.deletions) {  // in the order of the segments
        while (seen_.segments[at].number != one.segment.number) ++at;
        if (verified_.contains(one.segment.number)) continue;
        is_sure = false;
        if (auto failed = verify(seen_.segments[at]); failed && !has_gone(*failed)) return failed;
      }
    }
    note_clock();
    seen_.plan.unfinished = seen_.unfinished;
    seen_.plan.conflicts = seen_.conflicts;
    return std::nullopt;
  }

  std::optional<error> verify(segment_info& one) {
    verified_.insert(one.number);
    return known_.verify(one, holds_);
  }

  inventory& known_;
  const retention_policy& policy_;
  situation seen_;
  std::vector<hold> holds_;
  std::set<std::uint64_t> verified_;
  std::set<std::uint64_t> unrecorded_;  // of the last plan
  time_point now_;                      // that ages are counted up to
  time_point clock_;                    // what the clock shows
};

}  // namespace

result<situation> look_at(inventory& known, const retention_policy& policy) {
  return looker(known, policy).look();
}

}  // namespace annals::retention

namespace annals {

result<prune_plan> plan_prune(const std::string& path, const retention_policy& policy) {
  if (auto refused = segment::refuse_as_log(path)) return std::move(*refused);
  retention::inventory known(path);
  auto present = retention::look_at(known, policy);
  if (!present) return std::move(present.error());
  return std::move(present->plan);
}

}  // namespace annals
