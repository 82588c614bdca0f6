// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the holds of a log: they are read as holds, and then no segment goes that one of them names; or they are not,
// and then none goes at all.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
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

bool names(const annals::hold& one, std::uint64_t number) {
  const auto first = log_on_disk::day(number);
  const auto last = first + std::chrono::seconds(number + 1);
  return (!one.from || *one.from <= last) && (!one.to || *one.to >= first);
}

void check_added(const log_on_disk& log, const std::vector<annals::hold>& before) {
  const auto added = annals::add_hold(log.path(), {.name = "another"});
  const auto after = annals::list_holds(log.path());
  require(static_cast<bool>(after), "holds that were read can be read after another one was added");
  const bool is_taken =
      std::any_of(before.begin(), before.end(), [](const annals::hold& one) { return one.name == "another"; });
  require(static_cast<bool>(added) != is_taken, "a hold can be added unless its name is taken",
          added ? "" : added.error().message);
  require(after->size() == before.size() + (added ? 1U : 0U), "no hold goes when another one comes");
  for (std::size_t i = 0; i < before.size(); ++i) {
    require(after->at(i).name == before[i].name && after->at(i).from == before[i].from && after->at(i).to == before[i].to,
            "holds are written as they were read", before[i].name);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::work_directory directory;
  const log_on_disk log(directory);
  fuzz::write_file(log.path() + ".holds", fuzz::text_of(data, size));
  const fuzz::peak_memory memory;
  const auto holds = annals::list_holds(log.path());
  require(memory.bytes() <= 64 * size + (1U << 20), "holds take little memory", std::to_string(memory.bytes()));
  const auto outcome = annals::prune(log.path(), {.keep_segments = 1});
  const std::vector<std::uint64_t> gone = log.missing();
  if (!holds) {
    require(!outcome && gone.empty(), "nothing is deleted while the holds cannot be read");
    require(!annals::add_hold(log.path(), {.name = "another"}), "no hold is added to those that cannot be read");
    require(fuzz::content_of(log.path() + ".holds") == fuzz::text_of(data, size), "holds that cannot be read stay as they are");
    return 0;
  }
  require(static_cast<bool>(outcome), "a log with holds can be pruned", outcome ? "" : outcome.error().message);
  for (const std::uint64_t number : gone) {
    for (const annals::hold& one : *holds) require(!names(one, number), "no segment goes that a hold names", one.name);
  }
  for (const annals::hold& one : *holds) {
    require(!one.name.empty() && one.name.size() <= 128, "a hold has a name");
  }
  check_added(log, *holds);
  return 0;
}
