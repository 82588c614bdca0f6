// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.recovery;

namespace annals {

namespace {

// Syncs the plain segments of the log from number `segment` on. The live segment is opened before the closed ones are listed:
// if it is closed in between, it is synced twice instead of not at all.
std::optional<error> sync_log(const std::string& live_path, std::uint64_t segment) {
  const auto sync = [](const result<io::file>& opened) -> std::optional<error> {
    if (opened) return opened->sync_data();
    if (opened.error().system_code == ENOENT) return std::nullopt;  // compressed or deleted: both sync before they remove it
    return opened.error();
  };
  const auto live = io::file::open(live_path, io::open_for::reading);
  if (auto failed = sync(live)) return failed;
  const auto closed = segment::closed_segments(live_path);
  if (!closed) return closed.error();
  for (const closed_segment& one : *closed) {
    if (one.number < segment || one.compressed) continue;
    if (auto failed = sync(io::file::open(one.path, io::open_for::reading))) return failed;
  }
  return io::sync_directory(io::parent_of(live_path));
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    const std::size_t bytes = newline == std::string_view::npos ? text.size() : newline + 1;
    lines.push_back(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
  return lines;
}

}  // namespace

result<std::uint64_t> recover(const journal_lap& lap, const journal_recovery& with) {
  if (!lap.damage.empty()) {
    with.on_notice({notice_code::journal_damaged, severity::error, 0,
                    "the journal of '" + with.log_path + "' has a group with " + std::string(lap.damage) +
                        ": that group, and those behind it, are not brought into the log, and the journal is set aside"});
  }
  if (lap.count == 0) return std::uint64_t{0};
  const std::vector<std::string_view> lines = lines_of(lap.lines);
  const auto found = settle_in_log(with.log_path, with.file_mode, lap.from, lines);
  if (!found) return found.error();
  if (!found->uncertain.empty()) {
    with.on_notice({notice_code::events_repeated, severity::warning, 0,
                    "the journal of '" + with.log_path + "' holds " +
                        std::to_string(std::count(found->arrived.begin(), found->arrived.end(), false)) +
                        " events of a process that ended without notice, and whether they are in the log is unknown, since " +
                        found->uncertain + ": they are written again, and may be there twice"});
  }
  std::string missing;
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (found->arrived[i]) continue;
    missing += lines[i];
    ++count;
  }
  if (count != 0) with.write(missing, static_cast<std::size_t>(count));
  if (auto failed = sync_log(with.log_path, lap.from.segment)) return std::move(*failed);
  return count;
}

}  // namespace annals
