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
#include <vector>
export module annals.segment;
import annals.event;

export namespace annals::segment {

using annals::closed_segment;

// The highest number of a closed segment: every program that reads JSON reads it exactly. A higher one is not a segment's.
inline constexpr std::uint64_t number_max = (std::uint64_t{1} << 53) - 1;

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

// The segments of a log at one moment.
struct listing {
  std::vector<closed_segment> closed;       // in the order of their numbers, which may have gaps; one for each number
  std::uint64_t live_number = 1;            // one more than the highest number of a closed one
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
//   {"segment":42,"events":1000,"bytes":115000,"first":"...","last":"...","deleted":"...","reason":"age"}
// and, before the records of a run, what it was about to delete, and where in the log its events are to be looked for should it
// die half-way:
//   {"planned":[42,43],"at":{"segment":50,"offset":123456}}
// Lines that are none of these, an incomplete one at the end, and unknown members are ignored.

struct deleted_segment {
  std::uint64_t number = 0;
  std::optional<std::uint64_t> events;  // nothing where that could not be counted
  std::optional<std::uint64_t> bytes;   // of its lines
  std::optional<timestamp> first;       // of its oldest and newest event
  std::optional<timestamp> last;
  timestamp deleted = {};
  std::string reason;  // "age", "bytes", "segments", "free_space"; several with commas
  bool operator==(const deleted_segment&) const = default;
};

struct planned_deletions {
  std::vector<std::uint64_t> numbers;  // empty: the plans before are settled
  position at;                         // the events stand there or later
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

// Reads the file; an empty result where there is none. Errors: io, not_a_regular_file.
result<deletion_log> read_deletion_log(const std::string& live_path);

// Its records alone: what a reader needs to tell of a gap.
result<std::vector<deleted_segment>> deleted_segments(const std::string& live_path);

}  // namespace annals::segment

// --- for the units of this module -------------------------------------------------------------------------------------------

namespace annals::segment {

inline constexpr std::string_view compressed_extension = ".zst";

std::string_view directory_prefix(std::string_view path) noexcept;  // with its slash; empty where there is none

}  // namespace annals::segment
