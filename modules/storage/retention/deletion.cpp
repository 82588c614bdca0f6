// SPDX-License-Identifier: Apache-2.0
//
// Deleting segments. What a run does, each step durable before the next:
//   1. `<path>.deleted` says what is planned, and from where on in the log its events are to be looked for;
//   2. the events are appended to the live segment;
//   3. `<path>.deleted` gets a record for each;
//   4. the files are removed, and at last their directory is synced.
// A run that died before 2 did nothing. After one that died later the next run looks for the events that step 1 announced,
// writes the records that are missing for those it finds, and removes what is recorded and still there (situation.cpp). The
// plan has a random token for each segment, which its event repeats: so nobody who may only log events can confirm a plan.
//
// On a full file system a segment goes before what tells of it is written, since nothing else makes room. After a death between
// the two, readers report the segment as missing without a record.
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
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>
module annals.retention;
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

// Nothing was written for want of room. A sync that says so comes after the lines were written.
bool is_full(const error& cause) {
  return cause.code != errc::sync_failed && (cause.system_code == ENOSPC || cause.system_code == EDQUOT);
}

// A segment about to be deleted. While it lives, no archiver begins to compress it.
struct victim {
  planned_deletion plan;
  std::optional<rotation::claim> claimed;  // if it is not compressed yet
  std::string check = {};
  std::string token = {};
  io::file_status of = {};  // the file that was examined
};

// 32 hexadecimal digits that nobody can guess.
result<std::string> random_token() try {
  constexpr std::string_view digits = "0123456789abcdef";
  std::random_device random;
  std::string token;
  while (token.size() < 32) {
    for (unsigned bits = random(), i = 0; i < 8; ++i, bits >>= 4) token += digits[bits & 15];
  }
  return token;
} catch (const std::exception& failed) {
  return error{errc::io, 0, std::string("cannot get random numbers: ") + failed.what()};
}

// One run, while it is our turn.
class run {
 public:
  run(inventory& known, const retention_policy& policy) : known_(known), path_(known.path()), policy_(policy) {}

  result<prune_outcome> go() {
    auto present = look_at(known_, policy_);
    if (!present) return std::move(present.error());
    is_torn_ = present->log.is_torn;
    if (present->told_holds) {
      // That there are no holds need not be written where there is no room for it.
      if (auto failed = store_holds(path_, *present->told_holds)) {
        if (!is_full(*failed) || !present->told_holds->empty()) return std::move(*failed);
      }
    }
    if (auto failed = settle(*present)) return std::move(*failed);
    for (const segment_info& one : present->unfinished) {
      if (auto failed = remove_files(one)) return end(std::move(failed));
      ++outcome_.finished;
    }
    prune_plan& plan = present->plan;
    outcome_.unmet = std::move(plan.unmet);
    outcome_.conflicts = std::move(plan.conflicts);
    if (!plan.deletions.empty()) {
      if (auto failed = refuse_suspect(present->log)) return end(std::move(failed));
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
    if (auto failed = make_missing(path_, path, made::sidecar)) return failed;
    if (auto failed = part_from_links(path)) return failed;
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

  // A snapshot of hard links gives the file a second name, and nothing may be appended to it then: a copy takes its place.
  std::optional<error> part_from_links(const std::string& path) {
    constexpr std::size_t bytes_max = std::size_t{256} * 1024 * 1024;
    const auto status = io::status_at(path);
    if (!status) return status.error();
    if (!*status || (*status)->links <= 1 || (*status)->kind != io::file_kind::regular) return std::nullopt;
    const auto text = io::read_file(path, bytes_max);
    if (!text) return text.error();
    const auto like = like_log(path_);
    if (!like) return like.error();
    if (!*text || !*like) return std::nullopt;
    return io::replace_file(path, **text, **like);
  }

  // Runs a step that writes what tells of the victims. Where the file system has no room for it, the victims go before it, the
  // oldest first, until it has. A step that has written its lines and then failed is not repeated.
  template <class Step>
  std::optional<error> with_room(std::span<const victim> victims, Step step, const bool& has_written) {
    auto failed = step();
    for (const victim& one : victims) {
      if (!failed || has_written || !is_full(*failed)) return failed;
      if (auto refused = remove_files(one.plan.segment, &one.of)) return refused;
      if (auto unsynced = io::sync_directory(io::parent_of(path_))) return unsynced;  // some file systems free blocks late
      failed = step();
    }
    return failed;
  }

  // Records what an earlier run announced and did not come to record, for the events that it wrote.
  std::optional<error> settle(const situation& present) {
    if (present.is_settled) return std::nullopt;
    std::string records;
    for (const segment::deleted_segment& one : present.told) records += segment::record_of(one);
    // The events may not have been synced by whoever wrote them.
    if (!records.empty()) {
      if (auto failed = sync_segments_from(present.log.planned->at.segment, present.segments)) return failed;
    }
    const auto live = segment::live_number(path_);
    if (!live) return live.error();
    return record(records + segment::record_of(segment::planned_deletions{{}, {*live, 0}, {}}));
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

  // `examined`: the file at the segment's path must still be this one.
  std::optional<error> remove_files(const segment_info& one, const io::file_status* examined = nullptr) {
    for (const std::string& path : files_of(one)) {
      const bool is_examined = examined != nullptr && path == one.path;
      const auto removed = is_examined ? io::remove(path, *examined) : io::remove(path);
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
    const auto first = segment.first;
    const auto last = segment.last;
    if (auto failed = known_.measure(segment, counting::decoded)) {
      if (failed->system_code == ENOENT) return skip("it was compressed or removed meanwhile");
      return std::move(*failed);
    }
    if ((first && first != segment.first) || (last && last != segment.last)) return skip("it was changed meanwhile");
    one.check = known_.check_of(segment.number);
    one.of = known_.file_of(segment.number);
    auto token = random_token();
    if (!token) return std::move(token.error());
    one.token = std::move(*token);
    return true;
  }

  std::optional<error> remove_batch(std::span<planned_deletion> plans) {
    std::vector<victim> victims;
    segment::planned_deletions planned;
    for (planned_deletion& plan : plans) {
      victims.push_back({.plan = std::move(plan), .claimed = std::nullopt});
      const auto is_ready = prepare(victims.back());
      if (!is_ready) return is_ready.error();
      if (*is_ready) {
        planned.numbers.push_back(victims.back().plan.segment.number);
        planned.tokens.push_back(victims.back().token);
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
    if (auto failed = with_room(victims, [&] { return record(segment::record_of(planned)); }, false)) return failed;
    return tell_and_remove(victims, planned.at.segment);
  }

  std::optional<error> tell_and_remove(std::vector<victim>& victims, std::uint64_t live) {
    const time_point now = io::calls().now();
    std::string events;
    std::string records;
    for (const victim& one : victims) {
      events += event_for(one.plan, one.check, one.token);
      records += segment::record_of(record_for(one.plan, one.check, now));
    }
    bool has_written = false;
    if (auto failed = with_room(victims, [&] { return append_durably(path_, events, &has_written); }, has_written)) {
      if (failed->code == errc::sync_failed) (void)record(segment::suspect_record(live));
      if (!has_removed_) failed->message += ". No segment was deleted, since its event has to be in the log first";
      return failed;
    }
    if (auto failed = with_room(victims, [&] { return record(records); }, false)) return failed;
    for (victim& one : victims) {
      if (auto failed = remove_files(one.plan.segment, &one.of)) return failed;
      outcome_.deleted.push_back(std::move(one.plan));
    }
    return std::nullopt;
  }

  inventory& known_;
  const std::string& path_;
  const retention_policy& policy_;
  prune_outcome outcome_;
  bool is_torn_ = false;  // `<path>.deleted` ends in an incomplete line
  bool has_removed_ = false;
};

}  // namespace

result<prune_outcome> prune(inventory& known, const retention_policy& policy, bool wait) {
  // First without taking turns: mostly there is nothing to do.
  auto present = look_at(known, policy);
  if (!present) return std::move(present.error());
  if (present->plan.deletions.empty() && present->unfinished.empty() && present->is_settled) {
    prune_outcome nothing;
    nothing.unmet = std::move(present->plan.unmet);
    nothing.conflicts = std::move(present->plan.conflicts);
    return nothing;
  }
  const auto ours = turn::take(known.path(), wait);
  if (!ours) return ours.error();
  return run(known, policy).go();
}

}  // namespace retention

result<prune_outcome> prune(const std::string& path, const retention_policy& policy) {
  if (auto refused = segment::refuse_as_log(path)) return std::move(*refused);
  retention::inventory known(path);
  return retention::prune(known, policy, true);
}

}  // namespace annals
