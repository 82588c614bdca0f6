// SPDX-License-Identifier: Apache-2.0
//
// What the implementations of annals.retention share. Included by them behind the module's declaration and the imports of
// annals.io and annals.segment, so it includes nothing itself.
#pragma once

namespace annals::retention {

// --- events of our own (events.cpp) --------------------------------------------------------------------------------------

// A line of the log that tells of an action of ours: container "annals"; who did it (`by`, `program`, `pid`) is added.
std::string event_line(std::string_view action, std::string_view dest, std::string_view detail, std::vector<field> fields);

// Appends lines to the live segment, and returns once they are durable. After an error of code sync_failed they are in the
// file, and nothing will ever tell whether they are on the disk.
std::optional<error> append_durably(const std::string& path, const std::string& lines);

// --- whose turn it is (events.cpp) ------------------------------------------------------------------------------------------

// Processes that delete, hold or adopt take turns. Writers do not wait for them.
class turn {
 public:
  // Waits for others up to ten seconds, or not at all: errc::io with EWOULDBLOCK.
  static result<turn> take(const std::string& path, bool wait);

 private:
  explicit inline turn(rotation::claim held) noexcept : held_(std::move(held)) {}
  rotation::claim held_;
};

bool is_busy(const error& cause);

// --- what is in a segment (measure.cpp) -----------------------------------------------------------------------------------

struct measured {
  std::uint64_t lines = 0;
  std::uint64_t bytes = 0;
  std::optional<time_point> first;
  std::optional<time_point> last;
  bool has_undated = false;     // an event without a readable time
  bool has_unreadable = false;  // a line that is neither an event nor empty, and does not say its time
  std::optional<std::string> damage;
};

// Reads the segment, except the frames whose recorded facts are complete. Errors: io; system_code is ENOENT where it has gone.
result<measured> measure(const segment_info& segment);

// --- which segments there are (inventory.cpp) -------------------------------------------------------------------------------

bool holds(const hold& one, const segment_info& segment);

// The segments of one log, with a memory for what was read in closed ones, which never change.
class inventory {
 public:
  // Reading ends with an error (ECANCELED) once `stop`, where there is one, is true.
  explicit inline inventory(std::string path, const std::atomic<bool>* stop = nullptr) : path_(std::move(path)), stop_(stop) {}

  inline const std::string& path() const noexcept { return path_; }

  // Names, sizes, forms, as they are at one moment; neither counts nor times.
  result<std::vector<segment_info>> list() const;

  // Fills in counts and times. Errors: io; ENOENT: it has gone, or has another form.
  std::optional<error> measure(segment_info& segment);

  // Fills in as much of the times as the policy and the holds ask for, and who holds what.
  std::optional<error> prepare(std::vector<segment_info>& segments, const retention_policy& policy, time_point now,
                               const std::vector<hold>& holds);

 private:
  struct known {
    segment_state state;
    std::uint64_t bytes_on_disk;
    measured content;
  };
  std::string path_;
  const std::atomic<bool>* stop_;
  std::map<std::uint64_t, known> known_;
};

result<disk_space> space_of(const std::string& path);

// The names of a closed segment's files: plain, compressed, and what an archiver that died may have left.
std::vector<std::string> files_of(const segment_info& segment);

// --- the event and the record of a deletion (deletion_record.cpp)
// -------------------------------------------------------------

std::string event_for(const planned_deletion& plan);  // with its newline
segment::deleted_segment record_for(const planned_deletion& plan, time_point now);

// The record of the deletion whose event a line is; nothing for other lines.
std::optional<segment::deleted_segment> deletion_in(std::string_view line);

// --- deleting (deletion.cpp)
// ----------------------------------------------------------------------------------------------------

// As annals::prune, with an inventory of the caller's; where it is another's turn, waits or does nothing (is_busy).
result<prune_outcome> prune(inventory& known, const retention_policy& policy, bool wait);

}  // namespace annals::retention
