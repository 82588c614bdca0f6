// SPDX-License-Identifier: Apache-2.0
//
// annals.segment: how the files of a log are named and found. A log is named by its live segment, `audit.jsonl`; its closed
// segments lie beside it as `audit-000042-20260131T235959Z.jsonl`, or the same with `.zst`. The number is the order; the
// time, of the first event, is for people and globs.
module;
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
export module annals.segment;
import annals.event;

export namespace annals::segment {

struct closed_segment {
  std::uint64_t number = 0;
  std::string first_event;  // 20260131T235959Z
  bool compressed = false;
  std::string path;
  bool operator==(const closed_segment&) const = default;
};

// What the names of a log's closed segments begin with: `logs/audit.jsonl` gives `audit`; a name that does not end in
// `.jsonl` is taken whole.
std::string stem_of(std::string_view live_path);

// The path of a closed segment of the log at `live_path`; six digits or more for the number.
std::string closed_path(std::string_view live_path, std::uint64_t number, time_point first_event, bool compressed);

// Reads the name of a file (without directories) as that of a closed segment of a log with this stem. Nothing for any other
// file, `path` included: it is left empty.
std::optional<closed_segment> parse_closed_name(std::string_view file_name, std::string_view stem);

// The closed segments of a log in the order of their numbers. An error where the directory cannot be listed.
result<std::vector<closed_segment>> closed_segments(const std::string& live_path);

// The number of the live segment: one more than that of the last closed one.
result<std::uint64_t> live_number(const std::string& live_path);

}  // namespace annals::segment
