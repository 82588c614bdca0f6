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
// file, and nothing will ever tell whether they are on the disk. `appended` becomes true once they are in the file.
std::optional<error> append_durably(const std::string& path, const std::string& lines, bool* appended = nullptr);

enum class made : std::uint8_t {
  sidecar,
  live_segment,
};

// What a file of the log has to be like that is made anew: mode, owner and group of the log (its live segment, else the last
// closed one, else its directory), so that who writes the log can go on. An error for a user who could only make one that the
// log's owner cannot open. Nothing where the directory does not exist.
result<std::optional<io::file_status>> like_log(const std::string& path);

// Creates a file of the log where it is missing, empty and like the log.
std::optional<error> make_missing(const std::string& path, const std::string& file, made what);

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

enum class counting : std::uint8_t {
  by_facts,  // what archives record about themselves is believed: quick, and decides nothing
  decoded,   // every line is looked at
};

struct measured {
  io::file_status of;  // what was read
  std::uint64_t lines = 0;
  std::uint64_t bytes = 0;
  std::optional<time_point> first;
  std::optional<time_point> last;
  bool has_undated = false;     // an event without a readable time
  bool has_unreadable = false;  // a line that is neither an event nor empty, and does not say its time
  bool is_compressed = false;
  std::optional<std::string> damage;
  std::string check;  // of its first line, in hexadecimal digits; empty where it has none, or was not decoded
};

// Reads the segment; by_facts: except the frames whose recorded facts are complete. Errors: io; system_code is ENOENT where it
// has gone, ECANCELED once `stop`, where there is one, is true.
result<measured> measure(const segment_info& segment, counting how, const std::atomic<bool>* stop);

// --- which segments there are (inventory.cpp) -------------------------------------------------------------------------------

bool holds(const hold& one, const segment_info& segment);

// Is there a file of holds? Without one, the holds are those that the log's events tell of.
result<bool> has_holds_file(const std::string& path);

// Writes it, with owner and group of the log (holds.cpp).
std::optional<error> store_holds(const std::string& path, const std::vector<hold>& holds);

// The segments of one log, with a memory for what was read in closed ones, which never change.
class inventory {
 public:
  // Reading ends with an error (ECANCELED) once `stop`, where there is one, is true.
  explicit inline inventory(std::string path, const std::atomic<bool>* stop = nullptr) : path_(std::move(path)), stop_(stop) {}

  inline const std::string& path() const noexcept { return path_; }

  // Names, sizes, forms, as they are at one moment; neither counts nor times.
  result<std::vector<segment_info>> list() const;

  // The numbers that two segments have, each with the name of the second: two logs were put into one directory, say. Readers
  // see one of the two.
  result<std::map<std::uint64_t, std::string>> doubled() const;

  // Fills in counts and times. Errors: io; ENOENT: it has gone, or has another form.
  std::optional<error> measure(segment_info& segment, counting how);

  // Fills in as much of the times as the policy and the holds ask for, and who holds what, by facts.
  std::optional<error> prepare(std::vector<segment_info>& segments, const retention_policy& policy, time_point now,
                               const std::vector<hold>& holds);

  // The same for one segment, decoded.
  std::optional<error> verify(segment_info& segment, const std::vector<hold>& holds);

  // The check of a segment that was measured, decoded; empty where it is not known.
  std::string check_of(std::uint64_t number) const;
  // The file of a segment that was measured.
  io::file_status file_of(std::uint64_t number) const;

  // The holds that the log's events tell of (told_holds.cpp). Decodes the whole log, once: they are to be stored.
  result<std::vector<hold>> told_holds();

  inline bool is_stopped() const noexcept { return stop_ != nullptr && stop_->load(); }

 private:
  struct known {
    measured content;
    bool is_decoded = false;
  };
  result<measured> read(const segment_info& segment, counting how) const;

  std::string path_;
  const std::atomic<bool>* stop_;
  std::map<std::uint64_t, known> known_;
  std::optional<std::vector<hold>> told_;
};

// Names the holds that keep the segment, up to 16.
void note_holds(segment_info& segment, const std::vector<hold>& holds);

result<disk_space> space_of(const std::string& path);

// The names of a closed segment's files: plain, compressed, and what an archiver that died may have left.
std::vector<std::string> files_of(const segment_info& segment);

// --- the event and the record of a deletion (deletion_record.cpp) -----------------------------------------------------------

// With its newline. The token is what the plan of the deletion has for it, the check that of the segment.
std::string event_for(const planned_deletion& plan, const std::string& check, const std::string& token);
segment::deleted_segment record_for(const planned_deletion& plan, const std::string& check, time_point now);

struct told_deletion {
  segment::deleted_segment record;
  std::string token;
};

// What the event of a deletion says; nothing for other lines.
std::optional<told_deletion> deletion_in(std::string_view line);

// Does the segment, which was measured, decoded, hold what the record says?
bool is_of(const segment::deleted_segment& record, const segment_info& segment, const std::string& check);

// --- the log as it is (situation.cpp) ---------------------------------------------------------------------------------------

struct situation {
  std::vector<segment_info> segments;  // except the unfinished ones
  std::vector<segment_info> unfinished;
  std::vector<std::string> conflicts;
  segment::deletion_log log;                                   // without records
  std::map<std::uint64_t, segment::deleted_segment> recorded;  // of segments that are there or planned
  std::vector<segment::deleted_segment> told;                  // of the last plan: their events are in the log, no records
  bool is_settled = true;                                      // the last plan has records for all its segments
  std::optional<std::vector<hold>> told_holds;  // to be stored before anything is deleted: there is no file of holds
  prune_plan plan;
};

// Changes nothing.
result<situation> look_at(inventory& known, const retention_policy& policy);

// --- deleting (deletion.cpp) ------------------------------------------------------------------------------------------------

// As annals::prune, with an inventory of the caller's; where it is another's turn, waits or does nothing (is_busy).
result<prune_outcome> prune(inventory& known, const retention_policy& policy, bool wait);

}  // namespace annals::retention
