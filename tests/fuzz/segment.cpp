// SPDX-License-Identifier: Apache-2.0
//
// Names of segments, and the records of deleted ones: a directory of any names is listed, and any bytes are a record.
// The first line of an input is the log's name, the others are names in its directory, up to an empty one; then come the
// records.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <iterator>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz.h"
import annals;
import annals.io;
import annals.segment;
#include "../support/hooked_calls.h"

namespace {

using annals::segment::closed_segment;
using fuzz::require;

// A directory that holds what it is told. There is nothing behind the names.
support::hooked_calls::hook told_directory(const std::vector<std::string>& names) {
  return [names](support::system_call& one) -> std::int64_t {
    if (one.which != support::call::list_directory) return one.run();
    *one.names = names;
    return 0;
  };
}

std::optional<annals::time_point> time_of(const std::string& text) {  // 20260131T235959Z
  const std::string rfc =
      text.substr(0, 4) + "-" + text.substr(4, 2) + "-" + text.substr(6, 5) + ":" + text.substr(11, 2) + ":" + text.substr(13);
  const auto read = annals::parse_timestamp(rfc);
  if (!read) return std::nullopt;
  return read->time;
}

void check_name(const std::string& live, const std::string& name) {
  const std::string stem = annals::segment::stem_of(live);
  const auto found = annals::segment::parse_closed_name(name, stem);
  if (!found) return;
  require(found->number != 0 && found->path.empty(), "a closed segment has a number", name);
  require(name.starts_with(stem + "-"), "a closed segment has its log's stem", name);
  if (const auto time = time_of(std::string(found->first_event()))) {
    const std::string path = annals::segment::closed_path("logs/" + live, found->number, *time, found->compressed);
    require(path == "logs/" + name, "a name is written as it was read", path);
  }
}

void check_directory(const std::string& live, const std::vector<std::string>& names) {
  const support::hooked_calls directory(told_directory(names));
  const auto closed = annals::segment::closed_segments("logs/" + live);
  require(static_cast<bool>(closed), "a directory of any names can be listed");
  require(closed->size() <= names.size(), "no segment is made up");
  for (std::size_t i = 0; i < closed->size(); ++i) {
    const closed_segment& one = (*closed)[i];
    require(std::find(names.begin(), names.end(), one.path.substr(5)) != names.end(), "a segment is in the directory",
            one.path);
    require(i == 0 || (*closed)[i - 1].number < one.number, "segments are in their order, one of each number", one.path);
  }
  const auto live_number = annals::segment::live_number("logs/" + live);
  require(static_cast<bool>(live_number), "the live segment has a number");
  require(closed->empty() ? *live_number == 1 : *live_number > closed->back().number, "the live segment comes last",
          std::to_string(*live_number));
}

// What was read is written, and read again.
void check_records(const fuzz::work_directory& directory, std::string_view bytes) {
  const std::string live = directory / "audit.jsonl";
  const std::string path = annals::segment::deletion_log_path(live);
  fuzz::write_file(path, bytes);
  const fuzz::peak_memory memory;
  const auto read = annals::segment::read_deletion_log(live);
  require(static_cast<bool>(read), "any file of records can be read");
  require(memory.bytes() <= 16 * bytes.size() + (2U << 20), "records take little memory", std::to_string(memory.bytes()));
  require(read->is_torn == (!bytes.empty() && bytes.back() != '\n'), "a file without its last newline is torn");
  std::string again;
  bool shortened = false;  // a reason is shown cut
  for (const auto& one : read->deleted) {
    shortened = shortened || one.reason.size() > 64;
    again += annals::segment::record_of(one);
  }
  if (read->planned) again += annals::segment::record_of(*read->planned);
  if (read->suspect) again += annals::segment::suspect_record(*read->suspect);
  fuzz::write_file(path, again);
  const auto reread = annals::segment::read_deletion_log(live);
  require(static_cast<bool>(reread) && reread->deleted.size() == read->deleted.size(), "records are read as they were written");
  require(shortened || reread->deleted == read->deleted, "records are read as they were written", again);
  require(reread->planned == read->planned && reread->suspect == read->suspect, "plans are read as they were written", again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::work_directory directory;
  fuzz::input in(fuzz::text_of(data, size));
  std::string live(in.upto('\n'));
  std::replace(live.begin(), live.end(), '/', '_');
  std::vector<std::string> names;
  for (std::string name(in.upto('\n')); !name.empty(); name = in.upto('\n')) {
    check_name(live, name);
    if (name.find('/') == std::string::npos && name.find('\0') == std::string::npos) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  check_directory(live, names);
  check_records(directory, in.rest());
  return 0;
}
