// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as files that others rotated: whatever they are, each holds the same afterwards, at its path or as a segment, and
// the log has lost nothing. The first byte of an input says how many files there are, then come their contents, each with its
// length.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz.h"
import annals;
import annals.io;
import annals.segment;
#include "log_on_disk.h"

namespace {

using fuzz::log_on_disk;
using fuzz::require;

constexpr std::array<std::string_view, 4> file_names = {"audit.jsonl.2", "audit.jsonl-20200104", "audit.jsonl.1", "other.zst"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::work_directory directory;
  fuzz::input in(fuzz::text_of(data, size));
  const log_on_disk log(directory);
  std::vector<std::string> files;
  std::vector<std::string> contents;
  for (std::uint64_t count = 1 + in.below(file_names.size()); count > 0; --count) {
    files.push_back(directory / file_names[files.size()]);
    const std::size_t bytes = in.number<std::uint16_t>();
    contents.emplace_back(in.take(bytes));
    fuzz::write_file(files.back(), contents.back());
  }
  const auto plan = annals::plan_adoption(log.path(), files);
  for (std::size_t i = 0; i < files.size(); ++i) require(fuzz::content_of(files[i]) == contents[i], "a plan changes nothing");
  const auto adopted = annals::adopt(log.path(), files);
  require(log.missing().empty(), "a log loses nothing when files are adopted");
  const std::string why = !plan ? plan.error().message : !adopted ? adopted.error().message : "";
  require(static_cast<bool>(plan) == static_cast<bool>(adopted), "what is planned is done", why);
  std::uint64_t last = log_on_disk::segments;
  for (std::size_t i = 0; i < files.size(); ++i) {
    std::string path = files[i];
    if (adopted) {
      const auto found =
          std::find_if(adopted->begin(), adopted->end(), [&](const annals::adopted_file& one) { return one.from == files[i]; });
      require(found != adopted->end(), "each file is adopted, or none");
      require(!std::filesystem::exists(files[i]), "an adopted file has one name");
      path = found->to;
    }
    require(fuzz::content_of(path) == contents[i], "a file holds the same before and after", path);
  }
  if (!adopted) return 0;
  for (const annals::adopted_file& one : *adopted) {
    require(one.number == last + 1, "adopted files are behind the last segment, in order");
    last = one.number;
  }
  require(annals::segment::live_number(log.path()).value() == last + 1, "the live segment is behind them");
  return 0;
}
