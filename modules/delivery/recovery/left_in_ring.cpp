// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.recovery;
import annals.ring;

namespace annals {

namespace {

// The lines of the ring that are not in the log.
std::vector<std::string_view> lines_left(const std::string& log_path, const ring::file_header& header, const char* records) {
  const std::vector<ring::record> whole = ring::whole_records(header, records);
  std::vector<std::string_view> taken;
  for (const ring::record& one : whole) {
    if (one.state == ring::mark::taken) taken.push_back(one.line);
  }
  const auto phase = static_cast<ring::phase>(header.phase.load(std::memory_order_acquire));
  std::vector<bool> arrived(taken.size(), phase == ring::phase::done);
  if (phase == ring::phase::writing) {
    auto found = find_in_log(log_path, header.batch, taken);
    if (found) arrived = std::move(found->arrived);
    // Readers take a line that lacks only its newline as an event already.
    if (found && found->torn && found->torn_bytes + 1 == taken[*found->torn].size()) arrived[*found->torn] = true;
  }
  std::vector<std::string_view> left;
  std::size_t next = 0;
  for (const ring::record& one : whole) {
    if (one.state == ring::mark::taken && arrived[next++]) continue;
    left.push_back(one.line);
  }
  return left;
}

}  // namespace

left_in_ring left_in_ring::of(const std::string& path) {
  left_in_ring found;
  const std::string ring_path = path + ".ring";
  const auto there = io::status_at(ring_path);
  if (!there || !*there || (*there)->kind != io::file_kind::regular || (*there)->bytes < ring::page_bytes) return {};
  auto taken = io::owned_file::take_existing(ring_path);
  if (!taken || !*taken) return {};
  io::owned_file& owner = **taken;
  const auto status = owner.status();
  if (!status) return {};
  alignas(ring::file_header) char first[sizeof(ring::file_header)] = {};
  const auto got = owner.read_at(first, sizeof first, 0);
  const auto& read = *reinterpret_cast<const ring::file_header*>(first);
  if (!got || *got != sizeof first || ring::fault_of(read, status->bytes)) return {};
  auto mapped = io::wrapped_mapping::of(ring_path, ring::page_bytes, static_cast<std::size_t>(read.bytes), *status);
  if (!mapped) return {};
  found.owner_ = std::move(owner);
  found.mapping_ = std::move(*mapped);
  const auto& header = *reinterpret_cast<const ring::file_header*>(found.mapping_.head());
  found.lines_ = lines_left(path, header, found.mapping_.wrapped());
  return found;
}

}  // namespace annals
