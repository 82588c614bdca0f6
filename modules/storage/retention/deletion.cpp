// SPDX-License-Identifier: Apache-2.0
//
// Deleting segments. What a run does, each step durable before the next:
//   1. `<path>.deleted` says what is planned, and from where on in the log its events are to be looked for;
//   2. the events are appended to the live segment;
//   3. `<path>.deleted` gets a record for each;
//   4. the files are removed, and at last their directory is synced.
// A run that died before 2 did nothing. After one that died later the next run looks for the events that step 1 announced,
// writes the records that are missing for those it finds, and removes what is recorded and still there.
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
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>
module annals.retention;
import annals.content;
import annals.io;
import annals.json;
import annals.rotation.lock;
import annals.segment;
#include "internal.h"
#include "words.h"

namespace annals {

namespace retention {

namespace {

constexpr std::size_t batch_max = 64;  // segments that are claimed at a time
constexpr unsigned file_mode = 0600;

// A segment about to be deleted. While it lives, no archiver begins to compress it.
struct victim {
  planned_deletion plan;
  std::optional<rotation::claim> claimed;  // if it is not compressed yet
};

// One run, while it is our turn.
class run {
 public:
  run(inventory& known, const retention_policy& policy) : known_(known), path_(known.path()), policy_(policy) {}

  result<prune_outcome> go() {
    auto log = segment::read_deletion_log(path_);
    if (!log) return std::move(log.error());
    is_torn_ = log->is_torn;
    auto segments = known_.list();
    if (!segments) return std::move(segments.error());
    auto holds = list_holds(path_);
    if (!holds) return std::move(holds.error());
    const time_point now = io::calls().now();
    if (auto failed = known_.prepare(*segments, policy_, now, *holds)) return std::move(*failed);
    for (const segment::deleted_segment& one : log->deleted) recorded_.insert(one.number);
    if (auto failed = settle(*log, *segments)) return std::move(*failed);
    if (auto failed = finish(*segments)) return end(std::move(failed));
    const auto space = space_of(path_);
    if (!space) return end(space.error());
    prune_plan plan = plan_deletions(*segments, policy_, now, *space);
    outcome_.unmet = std::move(plan.unmet);
    if (!plan.deletions.empty()) {
      if (auto failed = refuse_suspect(*log)) return end(std::move(failed));
    }
    for (std::size_t begin = 0; begin < plan.deletions.size(); begin += batch_max) {
      const std::size_t count = std::min(batch_max, plan.deletions.size() - begin);
      if (auto failed = remove_batch({plan.deletions.data() + begin, count})) return end(std::move(failed));
    }
    return end(std::nullopt);
  }

 private:
  // Whatever was removed is made durable, also where the run failed later.
  result<prune_outcome> end(std::optional<error> failed) {
    if (has_removed_) {
      auto unsynced = io::sync_directory(io::parent_of(path_));
      if (!failed) failed = std::move(unsynced);
    }
    if (failed) return std::move(*failed);
    return std::move(outcome_);
  }

  // Appends to `<path>.deleted`, durably.
  std::optional<error> record(const std::string& lines) {
    const std::string path = segment::deletion_log_path(path_);
    auto opened = io::file::open(path, io::open_for::appending, file_mode);
    if (!opened) return std::move(opened.error());
    std::size_t appended = 0;
    const std::string text = (is_torn_ ? "\n" : "") + lines;
    const int failed = opened->append(text, appended);
    if (failed != 0) {
      is_torn_ = appended != 0;
      return io::system_error("append to", path, failed == io::file::interleaved ? -EIO : failed);
    }
    is_torn_ = false;
    return opened->sync_data();
  }

  // What an earlier run announced, and did not come to record: the events that it wrote are found, and recorded.
  std::optional<error> settle(const segment::deletion_log& log, const std::vector<segment_info>& segments) {
    if (!log.planned || log.planned->numbers.empty()) return std::nullopt;
    std::set<std::uint64_t> open;
    for (const std::uint64_t number : log.planned->numbers) {
      if (!recorded_.contains(number)) open.insert(number);
    }
    if (open.empty()) return std::nullopt;
    std::string records;
    const bool is_believed = !log.suspect || *log.suspect < log.planned->at.segment;
    for (const segment_info& one : segments) {
      if (!is_believed || one.number < log.planned->at.segment) continue;
      const auto look_at = [&](const content::line& line) {
        const auto found = deletion_in(line.text);
        if (found && open.erase(found->number) != 0) {
          recorded_.insert(found->number);
          records += segment::record_of(*found);
        }
        return !open.empty();
      };
      const std::uint64_t offset = one.number == log.planned->at.segment ? log.planned->at.offset : 0;
      auto opened = content::segment_reader::open(one.path);
      if (!opened) return std::move(opened.error());
      const auto looked = content::each_line(*opened, offset, static_cast<std::uint64_t>(-1), {}, look_at);
      if (!looked) return looked.error();
    }
    // The events may not have been synced by whoever wrote them.
    if (!records.empty()) {
      if (auto failed = sync_segments_from(log.planned->at.segment, segments)) return failed;
    }
    return record(records + segment::record_of(segment::planned_deletions{}));
  }

  std::optional<error> sync_segments_from(std::uint64_t number, const std::vector<segment_info>& segments) {
    for (const segment_info& one : segments) {
      if (one.number < number) continue;
      const auto opened = io::file::open(one.path, io::open_for::reading);
      if (!opened) return opened.error();
      if (auto failed = opened->sync_data()) return failed;
    }
    return std::nullopt;
  }

  // Removes what is recorded and still there, and takes it from the list. A hold that came since keeps it.
  std::optional<error> finish(std::vector<segment_info>& segments) {
    std::optional<error> failed;
    std::erase_if(segments, [&](const segment_info& one) {
      if (failed || one.state == segment_state::live || !recorded_.contains(one.number) || !one.held_by.empty()) return false;
      failed = remove_files(one);
      if (!failed) ++outcome_.finished;
      return !failed;
    });
    std::erase_if(segments, [&](const segment_info& one) { return recorded_.contains(one.number); });
    return failed;
  }

  std::optional<error> remove_files(const segment_info& one) {
    for (const std::string& path : files_of(one)) {
      const auto removed = io::remove(path);
      if (!removed) return removed.error();
      has_removed_ = has_removed_ || *removed;
    }
    return std::nullopt;
  }

  // A sync of the live segment failed: nothing that is appended to it counts as durable, so no segment goes before the next
  // one.
  std::optional<error> refuse_suspect(const segment::deletion_log& log) {
    const auto live = segment::live_number(path_);
    if (!live) return live.error();
    if (!log.suspect || *log.suspect != *live) return std::nullopt;
    return error{errc::sync_failed, 0,
                 "cannot delete segments of '" + path_ +
                     "': a sync of the live segment failed, so the events that tell of it would not be durable. Rotate the log "
                     "(annals rotate), and it can be done"};
  }

  // Claims a segment, so that no archiver brings it back; counts its events. False: it is left for the next run.
  result<bool> prepare(victim& one) {
    segment_info& segment = one.plan.segment;
    const auto skip = [&](const std::string& why) {
      outcome_.skipped.push_back("segment " + std::to_string(segment.number) + ": " + why);
      return false;
    };
    if (segment.state == segment_state::closed) {
      auto claimed = rotation::claim::of_segment(path_, segment.number);
      if (!claimed) return std::move(claimed.error());
      if (!*claimed) return skip("it is being compressed");
      one.claimed = std::move(*claimed);
    }
    if (auto failed = known_.measure(segment)) {
      if (failed->system_code == ENOENT) return skip("it was compressed or removed meanwhile");
      return std::move(*failed);
    }
    return true;
  }

  std::optional<error> remove_batch(std::span<planned_deletion> plans) {
    std::vector<victim> victims;
    segment::planned_deletions planned;
    for (planned_deletion& plan : plans) {
      victims.push_back({std::move(plan), std::nullopt});
      const auto is_ready = prepare(victims.back());
      if (!is_ready) return is_ready.error();
      if (*is_ready) {
        planned.numbers.push_back(victims.back().plan.segment.number);
      } else {
        victims.pop_back();
      }
    }
    if (victims.empty()) return std::nullopt;
    const auto live = segment::live_number(path_);
    if (!live) return live.error();
    const auto status = io::status_at(path_);
    if (!status) return status.error();
    planned.at = {*live, *status ? (*status)->bytes : 0};
    if (auto failed = record(segment::record_of(planned))) return failed;
    return tell_and_remove(victims, planned.at.segment);
  }

  std::optional<error> tell_and_remove(std::vector<victim>& victims, std::uint64_t live) {
    const time_point now = io::calls().now();
    std::string events;
    std::string records;
    for (const victim& one : victims) {
      events += event_for(one.plan);
      records += segment::record_of(record_for(one.plan, now));
    }
    if (auto failed = append_durably(path_, events)) {
      if (failed->code == errc::sync_failed) (void)record(segment::suspect_record(live));
      failed->message += ". No segment was deleted, since its event has to be in the log first";
      return failed;
    }
    if (auto failed = record(records)) return failed;
    for (victim& one : victims) {
      if (auto failed = remove_files(one.plan.segment)) return failed;
      outcome_.deleted.push_back(std::move(one.plan));
    }
    return std::nullopt;
  }

  inventory& known_;
  const std::string& path_;
  const retention_policy& policy_;
  prune_outcome outcome_;
  std::set<std::uint64_t> recorded_;
  bool is_torn_ = false;  // `<path>.deleted` ends in an incomplete line
  bool has_removed_ = false;
};

// The segments of a log, and what the policy says of them now.
struct situation {
  std::vector<segment_info> segments;
  prune_plan plan;
};

result<situation> look_at(inventory& known, const retention_policy& policy) {
  auto segments = known.list();
  if (!segments) return std::move(segments.error());
  const auto holds = list_holds(known.path());
  if (!holds) return holds.error();
  const time_point now = io::calls().now();
  if (auto failed = known.prepare(*segments, policy, now, *holds)) return std::move(*failed);
  const auto space = space_of(known.path());
  if (!space) return space.error();
  auto plan = plan_deletions(*segments, policy, now, *space);
  return situation{std::move(*segments), std::move(plan)};
}

// Is there something that an earlier run did not finish?
result<bool> has_unfinished(const std::string& path, const std::vector<segment_info>& segments) {
  const auto log = segment::read_deletion_log(path);
  if (!log) return log.error();
  std::set<std::uint64_t> recorded;
  for (const segment::deleted_segment& one : log->deleted) recorded.insert(one.number);
  if (log->planned) {
    for (const std::uint64_t number : log->planned->numbers) {
      if (!recorded.contains(number)) return true;
    }
  }
  return std::any_of(segments.begin(), segments.end(), [&](const segment_info& one) {
    return one.state != segment_state::live && recorded.contains(one.number) && one.held_by.empty();
  });
}

}  // namespace

result<prune_outcome> prune(inventory& known, const retention_policy& policy, bool wait) {
  // First without taking turns: mostly there is nothing to do.
  auto present = look_at(known, policy);
  if (!present) return std::move(present.error());
  const auto unfinished = has_unfinished(known.path(), present->segments);
  if (!unfinished) return unfinished.error();
  if (present->plan.deletions.empty() && !*unfinished) {
    prune_outcome nothing;
    nothing.unmet = std::move(present->plan.unmet);
    return nothing;
  }
  const auto ours = turn::take(known.path(), wait);
  if (!ours) return ours.error();
  return run(known, policy).go();
}

}  // namespace retention

result<prune_plan> plan_prune(const std::string& path, const retention_policy& policy) {
  if (auto refused = segment::refuse_as_log(path)) return std::move(*refused);
  retention::inventory known(path);
  auto present = retention::look_at(known, policy);
  if (!present) return std::move(present.error());
  return std::move(present->plan);
}

result<prune_outcome> prune(const std::string& path, const retention_policy& policy) {
  if (auto refused = segment::refuse_as_log(path)) return std::move(*refused);
  retention::inventory known(path);
  return retention::prune(known, policy, true);
}

}  // namespace annals
