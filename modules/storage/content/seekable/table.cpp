// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format.h"
module annals.content.seekable;
#include "finding_frames.h"

namespace annals::seekable {

source::source(const io::file& from, std::string path) : file_(&from), path_(std::move(path)) {}

source::source(std::string_view bytes, std::string name) : memory_(bytes), path_(std::move(name)) {}

result<std::size_t> source::read_at(char* bytes, std::size_t count, std::uint64_t offset) const {
  if (file_ != nullptr) return file_->read_at(bytes, count, offset);
  if (offset >= memory_.size()) return std::size_t{0};
  const std::string_view found = memory_.substr(static_cast<std::size_t>(offset), count);
  if (!found.empty()) std::memcpy(bytes, found.data(), found.size());
  return found.size();
}

result<std::uint64_t> source::bytes() const {
  if (file_ == nullptr) return std::uint64_t{memory_.size()};
  const auto status = file_->status();
  if (!status) return status.error();
  return status->bytes;
}

result<std::optional<facts>> read_facts(const source& from) {
  const auto size = from.bytes();
  if (!size) return size.error();
  window in(from, search_window_bytes);
  const found_seek_table seek_table = find_seek_table(in, *size);
  planned plan;
  if (seek_table.place) plan = read_entries(from, in, *seek_table.place, frames_are::taken_as_told);
  if (const auto& failed = plan.failed ? plan.failed : in.failed()) return *failed;
  if (!plan.guides) return std::optional<facts>();
  return std::move(plan.frames).finish(true).known;
}

result<table> read_table(const source& from) {
  const auto size = from.bytes();
  if (!size) return size.error();
  window in(from, header_window_bytes);
  const found_seek_table seek_table = find_seek_table(in, *size);
  planned plan;
  if (seek_table.place) plan = read_entries(from, in, *seek_table.place, frames_are::looked_at);
  if (const auto& failed = plan.failed ? plan.failed : in.failed()) return *failed;
  if (plan.believed) return std::move(plan.frames).finish(true);

  const std::vector<frame> nothing;
  auto walked = walk_frames(from, *size, plan.guides ? plan.frames.frames() : nothing);
  if (!walked) return std::move(walked.error());
  if (seek_table.place || !seek_table.problem.empty()) {
    const std::uint64_t at = seek_table.place ? seek_table.place->frame_at : *size - format::footer_bytes;
    walked->report(
        at, *size - at,
        "the seek table is wrong or damaged: " +
            (seek_table.place ? "the frames are not where it says; they were looked for one by one" : seek_table.problem));
  }
  return std::move(*walked).finish(false);
}

}  // namespace annals::seekable
