// SPDX-License-Identifier: Apache-2.0
//
// annals.retention: what operators and hosts do to a log beside writing and reading it: list its segments, delete what a
// policy says, hold segments against deletion, take in files that others rotated. docs/retention.md is the operator's page.
//
// A log is named by its live segment. All functions may be called from any thread and by several processes at a time: those
// that change something take the log's lock. None throws; errors say what was attempted, on which file, and what to do.
module;
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
export module annals.retention;
import annals.event;
import annals.options;
import annals.sink;
#pragma GCC visibility push(default)

export namespace annals {

// --- the segments of a log ----------------------------------------------------------------------------------------------

enum class segment_state : std::uint8_t {
  live,        // being appended to
  closed,      // lines as they were written
  compressed,  // .zst
};

struct segment_info {
  std::uint64_t number = 0;
  segment_state state = segment_state::closed;
  std::string path = {};
  std::uint64_t bytes_on_disk = 0;           // the sizes of its files: two, while it is being compressed
  std::optional<std::uint64_t> events = {};  // lines; nothing where that was not counted
  std::optional<std::uint64_t> bytes = {};   // of its lines; nothing where that is not known
  // The times of its oldest and newest event. Absent where no line has one, where some line could not be read (the times are
  // unknown then), and where they were not looked for.
  std::optional<time_point> first = {};
  std::optional<time_point> last = {};
  // When it was last written, by the clock of its writer: the modification time of its file. Absent where it was not looked at.
  std::optional<time_point> written = {};
  bool is_last_guessed = false;            // some event has no time: `last` is the file's modification time, if later
  bool is_compressing = false;             // another form of it is being made, or was and was not finished
  std::optional<std::string> damage = {};  // what is wrong with it, as far as was looked
  std::vector<std::string> held_by = {};   // the names of holds that keep it, up to 16
  bool operator==(const segment_info&) const = default;
};

// The segments of the log, closed ones in the order of their numbers, then the live one where it exists. Events and times of a
// compressed segment come from its facts (docs/archive-format.md), so that is quick; what has none is read: a plain segment at
// about 1 GB/s, a foreign .zst as fast as it is decoded. Memory stays bounded. Errors: io, invalid_json (the file of holds).
result<std::vector<segment_info>> list_segments(const std::string& path);

// The log to which a file belongs by its name: the path of the live segment, for a closed segment and for the files beside a
// log. Nothing for other names.
std::optional<std::string> log_of_file(std::string_view path);

// --- archiving -----------------------------------------------------------------------------------------------------------

// Gives a closed segment of the log to an archiver, while no other process archives or deletes the segment. Errors: those of
// the archiver; io with EWOULDBLOCK when another process archives or deletes it.
std::optional<error> archive_segment(const std::string& path, const closed_segment& segment, archiver& with);

// --- retention: the policy, and what follows from it ---------------------------------------------------------------------

// An amount of space on a file system: bytes, or a share of it.
struct space_amount {
  std::uint64_t bytes = 0;
  std::uint32_t percent_hundredths = 0;  // not 0: the amount is this many hundredths of a percent, and `bytes` says nothing
  std::uint64_t of(std::uint64_t total_bytes) const noexcept;
  bool operator==(const space_amount&) const = default;
};

// "5GiB", "1048576", "10%", "0.25%" (up to two decimals, up to 100 %); nothing for other text.
std::optional<space_amount> parse_space(std::string_view text) noexcept;
std::string to_string(const space_amount& amount);

// How long segments are kept: calendar years and a length of time. Seven years are the same day seven years ago, leap years
// included; 365 days are 365 times 24 hours.
struct retention_age {
  std::uint32_t years = 0;
  std::chrono::microseconds rest{0};  // not negative

  constexpr retention_age() = default;
  constexpr retention_age(std::uint32_t calendar_years, std::chrono::microseconds more) : years(calendar_years), rest(more) {}
  // A length of time alone: `{.keep_for = 90 * 24h}`.
  template <class Count, class Period>
  constexpr retention_age(std::chrono::duration<Count, Period> length)  // NOLINT(google-explicit-constructor)
      : rest(std::chrono::duration_cast<std::chrono::microseconds>(length)) {}

  // The moment this long before `now`, or the earliest that there is. One year before February 29 is February 28.
  time_point before(time_point now) const noexcept;
  bool operator==(const retention_age&) const = default;
};

// "7y", "1y6d", "90d", "12h": calendar years, up to 1000, and what parse_duration reads. Nothing for other text.
std::optional<retention_age> parse_age(std::string_view text) noexcept;
std::string to_string(const retention_age& age);

// How much of a log is kept. Without any limit, everything is. What no limit asks for is never deleted, nor is a held segment,
// nor the closed segment with the highest number (the numbers go on from it). `keep_for` is a floor as well: what is younger
// stays whatever the other limits say, and the plan reports the limits that are not met for that.
struct retention_policy {
  // Segments that were last written longer ago go, unless an event in them is younger. The times in events come from the
  // clients of the log, so old ones make no segment old, and those in the future keep none. A segment with lines that cannot be
  // read has an unknown age, and stays.
  std::optional<retention_age> keep_for = {};
  // The oldest go until all files of the log, the live one included, take no more on disk than this.
  std::optional<std::uint64_t> keep_bytes = {};
  // The oldest go until there are no more closed segments than this.
  std::optional<std::uint64_t> keep_segments = {};
  // The oldest go until this much of the file system is free for ordinary users.
  std::optional<space_amount> keep_free = {};
  // The last three may delete segments that are younger than keep_for, too, and those of unknown age.
  bool allow_younger = false;
  bool is_empty() const noexcept { return !keep_for && !keep_bytes && !keep_segments && !keep_free; }
  bool operator==(const retention_policy&) const = default;
};

// Takes keep_for, keep_bytes, keep_segments, keep_free and allow_younger from the options of a sink; problems stay with the
// reader.
retention_policy read_retention(option_reader& reader);

// The room on a file system as df(1) counts it: what ordinary users have, and have left.
struct disk_space {
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;
  // Some file systems do not report their size (ramfs, a tmpfs without a limit, many in user space). Then nothing is known.
  inline bool is_unknown() const noexcept { return total_bytes == 0; }
  bool operator==(const disk_space&) const = default;
};

enum class retention_limit : std::uint8_t { age, bytes, segments, free_space };
std::string_view name_of(retention_limit limit) noexcept;  // "age", "bytes", "segments", "free_space"

struct planned_deletion {
  segment_info segment;
  std::vector<retention_limit> reasons;  // one at least
  std::string why;                       // the same in words: "its newest event is older than 30d; ..."
};

struct unmet_limit {
  retention_limit limit = retention_limit::age;
  std::string why;  // "keep_bytes 10GB: 12.1 GB stay, since 3 segments are held (case-17) and 42 is the last"
};

// What is to be deleted, in this order, and which limits cannot be met.
struct prune_plan {
  std::vector<planned_deletion> deletions;
  std::vector<unmet_limit> unmet;
  std::vector<segment_info> unfinished = {};  // an earlier run recorded them as deleted, and did not remove them
  std::vector<std::string> conflicts = {};    // segments that stay although a deletion of their number is recorded, and why
};

// The plan for segments as list_segments gives them. A pure function: the same plan for the same arguments. `segments` is
// sorted by number. First, what is too old; then, while another limit is exceeded, the oldest of the rest.
prune_plan plan_deletions(std::span<const segment_info> segments, const retention_policy& policy, time_point now,
                          const disk_space& space);

// The plan for the log as it is now: nothing is changed. The age is counted up to the present time, or, where the clock of this
// process is far ahead of the times of all files of the log, up to the newest of those; `unmet` reports that. Looks only at
// what the policy needs: without keep_for and without holds that have times, at no segment's content. The segments that are to
// be deleted are decoded: the facts that archives record about themselves decide nothing.
result<prune_plan> plan_prune(const std::string& path, const retention_policy& policy);

struct prune_outcome {
  std::vector<planned_deletion> deleted;
  std::vector<unmet_limit> unmet;
  std::vector<std::string> skipped;         // what was planned and not done, and why: a segment that is being compressed, say
  std::vector<std::string> conflicts = {};  // as prune_plan::conflicts
  std::uint64_t finished = 0;               // segments that an earlier run recorded as deleted, and did not remove
};

// Deletes what the policy says. For each segment an event is appended to the log (container "annals", action
// "segment_deleted"), and made durable before anything is removed; a record goes to `<path>.deleted`. Killed at any moment, the
// next call goes on where it was: one event and one record for each deleted segment. It removes what is recorded and still
// there only if the file holds what the record says. Errors: io, sync_failed, invalid_json (the holds cannot be read: nothing
// is deleted then).
result<prune_outcome> prune(const std::string& path, const retention_policy& policy);

// Why no segment of the log can be deleted, whatever the limits are: the file of its holds or of its deletions cannot be read
// or written. Nothing where that is not so, and for users who may not change what is kept of the log.
std::optional<error> retention_fault(const std::string& path);

// --- keeping a log within its limits while it is written -------------------------------------------------------------------

// How little may be free on the file system before something happens; each may be absent. In this order, from more to less.
struct pressure_thresholds {
  std::optional<space_amount> warn = {};     // a notice
  std::optional<space_amount> archive = {};  // a notice, again every minute: the host's archiver compresses what there is
  std::optional<space_amount> prune = {};    // what the policy wants gone goes now, and every 10 s, not at the next occasion
  std::optional<space_amount> refuse = {};   // events are refused (errc::disk_space), so that none is torn by a full disk
  bool is_empty() const noexcept { return !warn && !archive && !prune && !refuse; }
  bool operator==(const pressure_thresholds&) const = default;
};

// Takes `pressure`, an object with the four, from the options of a sink; problems stay with the reader.
pressure_thresholds read_pressure(option_reader& reader);

enum class pressure_stage : std::uint8_t { none, warn, archive, prune, refuse };

// The stage that follows from the present one and the space there is. One is entered when less than its threshold is free, and
// left when a tenth more than its threshold is free. None where the space is not known.
pressure_stage next_stage(pressure_stage present, const pressure_thresholds& thresholds, const disk_space& space) noexcept;

// What a sink that writes a log asks to keep it within its limits: looks at the disk, and deletes what the policy says, on a
// thread of its own that begins with the first deletion to be considered. For one thread at a time. A child of fork(2) may go
// on with its copy: it begins anew. Nothing of it is left when it is destroyed; that waits for the step of a deletion under
// way.
class keeper {
 public:
  // `on_notice` is called within the calls: disk_space, segment_deleted, deletion_failed, check_failed.
  keeper(std::string path, const retention_policy& policy, const pressure_thresholds& thresholds, notice_handler on_notice);
  ~keeper();
  keeper(const keeper&) = delete;
  keeper& operator=(const keeper&) = delete;

  // Before `bytes` are written: an error (errc::disk_space) where they have to be refused. Looks at the disk at most once a
  // second, or when these bytes could bring it below `refuse`; considers deletions at most once a minute. Waits for nothing.
  std::optional<error> on_write(std::size_t bytes);

  // A segment was closed: considers deletions, and looks at the disk.
  void after_rotation();

  pressure_stage stage() const noexcept;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

// --- holds ----------------------------------------------------------------------------------------------------------------

// While it is there, the segments it names are deleted by nothing here. Without times it holds every segment, those to come
// included; with times those whose recorded range overlaps [from, to], and those whose range is not known.
struct hold {
  std::string name = {};                // 1 to 128 bytes of UTF-8 without control characters; once in a log
  std::optional<time_point> from = {};  // nothing: from the beginning
  std::optional<time_point> to = {};    // nothing: to all time
  std::optional<time_point> added = {};
  std::string by = {};  // who added it: "alice (1000)"
  bool operator==(const hold&) const = default;
};

// The holds of a log, in the order they were added; none where it has none. Errors: io; invalid_json where `<path>.holds` is
// damaged, and then nothing of that log may be deleted.
result<std::vector<hold>> list_holds(const std::string& path);

// Adds a hold, which is in force and durable when this returns, and logs it (action "hold_added"). `added` and `by` are filled
// in. Errors: invalid_argument (its name is not valid, or in use; its times are in the wrong order; there are too many holds),
// io, invalid_json.
result<hold> add_hold(const std::string& path, const hold& wanted);

// Removes the hold of that name and returns it; logged (action "hold_removed"). Errors: invalid_argument (no hold has this
// name), io, invalid_json.
result<hold> remove_hold(const std::string& path, std::string_view name);

// --- files that others rotated -----------------------------------------------------------------------------------------------

struct adopted_file {
  std::string from;
  std::string to;  // the path of a closed segment
  std::uint64_t number = 0;
  std::optional<time_point> first;  // the times its lines say
  std::optional<time_point> last;
};

// What adopting would do: the files in the order of their times, oldest first, with the numbers they get. Numbers are the order
// of a log, and none is used twice, so files can only be put between the last closed segment and the live one: each has to
// begin no earlier than the one and no later than the other, where they exist; and what says when it begins is its first event,
// else its name (logrotate's dates), else the file's time. Errors, with every file that cannot be taken and why:
// invalid_argument, io.
result<std::vector<adopted_file>> plan_adoption(const std::string& path, std::span<const std::string> files);

// Does it. Files are renamed and never overwritten. Killed half-way, it can be called again with the files that are left.
result<std::vector<adopted_file>> adopt(const std::string& path, std::span<const std::string> files);

}  // namespace annals
#pragma GCC visibility pop
