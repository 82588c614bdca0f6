// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the records of deletions of a log, with a policy that deletes nothing: a segment goes only where a record says
// exactly what it holds, and a dry run says so before. A line of an input that is `@` and the number of a segment stands for
// its true record.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz.h"
import annals;
import annals.io;
import annals.segment;
#include "log_on_disk.h"

namespace {

using fuzz::log_on_disk;
using fuzz::require;

// Of segment 1 and 2, as a run makes them.
std::vector<annals::segment::deleted_segment> true_records(const fuzz::work_directory& directory) {
  const log_on_disk log(directory);
  require(static_cast<bool>(annals::prune(log.path(), {.keep_segments = 1})), "segments can be deleted");
  return annals::segment::deleted_segments(log.path()).value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::work_directory directory;
  static const std::vector<annals::segment::deleted_segment> records = true_records(directory);
  fuzz::input in(fuzz::text_of(data, size));
  std::string text;
  while (!in.is_empty()) {
    const std::string_view line = in.upto('\n');
    const bool is_true = line == "@1" || line == "@2";
    text += is_true ? annals::segment::record_of(records.at(line[1] == '1' ? 0 : 1)) : std::string(line) + "\n";
  }
  const log_on_disk log(directory);
  fuzz::write_file(annals::segment::deletion_log_path(log.path()), text);

  const annals::retention_policy keeps_all = {.keep_for = std::chrono::hours(24 * 365 * 1000)};
  const fuzz::peak_memory memory;
  const auto plan = annals::plan_prune(log.path(), keeps_all);
  require(memory.bytes() <= (8U << 20) + 4 * text.size(), "records take little memory", std::to_string(memory.bytes()));
  require(static_cast<bool>(plan), "any records leave a plan", plan ? "" : plan.error().message);
  require(plan->deletions.empty(), "a policy that keeps all deletes nothing");
  require(log.missing().empty(), "a plan deletes nothing");
  const auto outcome = annals::prune(log.path(), keeps_all);
  require(static_cast<bool>(outcome), "any records leave a log that can be pruned", outcome ? "" : outcome.error().message);
  require(outcome->deleted.empty(), "a policy that keeps all deletes nothing");

  const auto read = annals::segment::deleted_segments(log.path()).value();
  const std::vector<std::uint64_t> gone = log.missing();
  require(gone.size() == plan->unfinished.size(), "a dry run shows what a run does");
  for (const std::uint64_t number : gone) {
    const std::string lines = log_on_disk::lines_of(number);
    const bool is_recorded = std::any_of(read.begin(), read.end(), [&](const annals::segment::deleted_segment& one) {
      return one.number == number && one.bytes == lines.size() && one.events == number + 2;
    });
    require(is_recorded, "a segment goes only where a record says what it holds", std::to_string(number));
  }
  require(annals::segment::live_number(log.path()).value() > log_on_disk::segments,
          "numbers go on behind those that were used");
  return 0;
}
