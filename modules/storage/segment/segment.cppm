// SPDX-License-Identifier: Apache-2.0
//
// annals.segment: how the files of a log are named and found. A log is named by its live segment, `audit.jsonl`; its closed
// segments lie beside it as `audit-000042-20260131T235959Z.jsonl`, or the same with `.zst`. The number is the order; the
// time, of the first event, is for people and globs.
module;
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
export module annals.segment;
import annals.event;

export namespace annals::segment {

using annals::closed_segment;

// The highest number of a closed segment: every program that reads JSON reads it exactly. A higher one is not a segment's.
inline constexpr std::uint64_t number_max = (std::uint64_t{1} << 53) - 1;

inline constexpr std::string_view compressed_extension = ".zst";

// What the names of a log's closed segments begin with: `logs/audit.jsonl` gives `audit`; a name that does not end in
// `.jsonl` is taken whole.
std::string stem_of(std::string_view live_path);

// The path of a closed segment of the log at `live_path`; six digits or more for the number.
std::string closed_path(std::string_view live_path, std::uint64_t number, time_point first_event, bool compressed);

// Reads the name of a file (without directories) as that of a closed segment of a log with this stem. Nothing for any other
// file, `path` included: it is left empty.
std::optional<closed_segment> parse_closed_name(std::string_view file_name, std::string_view stem);

// The log to which a file belongs by its name: the live path for a closed segment (compressed or not, finished or not) and for
// the files beside a log (`<live path>.lock`, .deleted, .holds, .ring, .journal). Nothing for other names.
std::optional<std::string> log_of(std::string_view path);

// Why no log can have this path: the name is that of a file of another log, or of a compressed file. Nothing when it can.
std::optional<error> refuse_as_log(std::string_view path);

// More files of closed segments than this are an error, so that a directory of any content takes little memory.
inline constexpr std::size_t files_max = 200'000;

// The segments of a log at one moment.
struct listing {
  std::vector<closed_segment> closed;       // in the order of their numbers, which may have gaps; one for each number
  std::vector<closed_segment> doubled;      // others that have the number of one of these: a copy, or one of another log
  std::uint64_t live_number = 1;            // greater than the numbers of all closed ones, and of all recorded deletions
  std::optional<std::uint64_t> live_bytes;  // nothing without a regular file at the live path, and without with_sizes
};

struct list_options {
  bool with_sizes = false;  // looks at the files, too: fills in their sizes, and leaves out what is not a regular file
  // Called while nothing is known to change, possibly several times; the last call belongs to the result. Its error ends the
  // listing.
  std::function<std::optional<error>()> meanwhile = {};
};

// Lists the segments of a log. The result is consistent: a segment that is compressed or closed meanwhile is never missing.
// Errors: io, also where the directory keeps changing; none for a directory that does not exist.
result<listing> list(const std::string& live_path, const list_options& with = {});

// Parts of it.
result<std::vector<closed_segment>> closed_segments(const std::string& live_path);
result<std::uint64_t> live_number(const std::string& live_path);

// A place in a log that can be checked later: `device` and `inode` are those of the live segment at that time, 0 where there
// was none. Part of the formats of rings and journals.
struct log_place {
  std::uint64_t segment = 0;
  std::uint64_t offset = 0;  // in the segment's lines, in bytes
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
};

// --- what was deleted ------------------------------------------------------------------------------------------------------
//
// Beside a log stands `<live path>.deleted`, JSON lines: a record for each segment that retention deleted,
//   {"segment":42,"events":1000,"bytes":115000,"first":"...","last":"...","deleted":"...","reason":"age","check":"0123456789abcdef"}
// and, before the records of a run, what it was about to delete, and where in the log its events are to be looked for should it
// die half-way:
//   {"planned":[42,43],"at":{"segment":50,"offset":123456},"tokens":["...","..."]}
// The event of a deletion contains the token that the plan has for its segment: other events do not confirm the plan. `at` is
// in the live segment of that time, so all recorded numbers are below it. Lines that are none of these, an incomplete one at
// the end, and unknown members are ignored.

struct deleted_segment {
  std::uint64_t number = 0;
  std::optional<std::uint64_t> events;  // nothing where that could not be counted
  std::optional<std::uint64_t> bytes;   // of its lines
  std::optional<timestamp> first;       // of its oldest and newest event
  std::optional<timestamp> last;
  timestamp deleted = {};
  std::string reason;  // "age", "bytes", "segments", "free_space"; several with commas; up to 64 bytes
  std::string check;   // of the beginning of its lines, as retention computes it; empty: not known
  bool operator==(const deleted_segment&) const = default;
};

struct planned_deletions {
  std::vector<std::uint64_t> numbers;  // empty: the plans before are settled
  position at;                         // the events stand there or later
  std::vector<std::string> tokens;     // one for each number: what its event has to contain
  bool operator==(const planned_deletions&) const = default;
};

struct deletion_log {
  std::vector<deleted_segment> deleted;      // in the order of the file
  std::optional<planned_deletions> planned;  // the last plan
  std::optional<std::uint64_t> suspect;      // the live segment whose sync failed last: {"suspect":50}
  bool is_torn = false;                      // its last line is incomplete
};

std::string deletion_log_path(std::string_view live_path);
std::string record_of(const deleted_segment& deleted);    // with its newline
std::string record_of(const planned_deletions& planned);  // likewise
std::string suspect_record(std::uint64_t live_segment);   // likewise

// The record whose members a line has, one of the file or the event of a deletion. `deleted` is the time of the deletion.
// Nothing where no segment is named.
std::optional<deleted_segment> record_from(const event& read, std::string_view deleted);

// Reads the file; an empty result without a file. Only the records for which `wanted` (when given) returns true are kept:
// the file may be of any size. Errors: io, not_a_regular_file.
result<deletion_log> read_deletion_log(const std::string& live_path,
                                       const std::function<bool(const deleted_segment&)>& wanted = {});

// All its records.
result<std::vector<deleted_segment>> deleted_segments(const std::string& live_path);

// A number above those of all recorded deletions; 1 where there are none. Reads the end of the file. Errors: as above.
result<std::uint64_t> number_behind_records(const std::string& live_path);

// What the records say of ranges of segments. Reads the file once, and then only what was appended to it. Memory: up to 24 MiB.
class deletion_counts {
 public:
  inline explicit deletion_counts(std::string live_path) : live_path_(std::move(live_path)) {}

  struct sums {
    std::optional<std::uint64_t> events = 0;
    std::optional<std::uint64_t> bytes = 0;
  };

  // The sums over the segments from `first` to `last`. Nothing where a record is missing or does not say it, where the file
  // cannot be read, or has more records than are kept.
  sums of(std::uint64_t first, std::uint64_t last);

 private:
  struct counted {
    std::uint64_t number = 0;
    std::uint64_t events = 0;
    std::uint64_t bytes = 0;
    std::uint64_t order = 0;  // in the file
  };
  static constexpr std::size_t counted_max = 700'000;
  static constexpr std::uint64_t not_known = static_cast<std::uint64_t>(-1);

  bool update();
  void add(const deleted_segment& record);
  void sort();

  std::string live_path_;
  std::vector<counted> counted_;  // by number; of several records of one segment, the last one
  std::size_t sorted_ = 0;        // so many of them are in order
  std::uint64_t added_ = 0;
  std::uint64_t read_bytes_ = 0;  // of the file, whole lines
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
  bool is_crowded_ = false;
};

}  // namespace annals::segment

// --- for the units of this module -------------------------------------------------------------------------------------------

namespace annals::segment {

std::string_view directory_prefix(std::string_view path) noexcept;  // with its slash; empty without a directory

}  // namespace annals::segment
