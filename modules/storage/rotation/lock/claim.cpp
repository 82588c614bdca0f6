// SPDX-License-Identifier: Apache-2.0
module;
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>
module annals.rotation.lock;

namespace annals::rotation {

namespace {

// Locked bytes lie behind all that the file has.
constexpr std::uint64_t retention_offset = 1ULL << 32;
constexpr std::uint64_t segments_offset = 1ULL << 33;
constexpr std::uint64_t segments_count_max = 1ULL << 62;  // offsets of a lock end at 2^63; two far numbers may share one

}  // namespace

result<std::optional<claim>> claim::take(const std::string& live_path, std::uint64_t offset, std::chrono::nanoseconds wait) {
  const auto live = io::status_at(live_path);
  if (!live) return live.error();
  const unsigned mode = *live ? (*live)->mode : 0600;
  for (io::patience others(wait); others.wait();) {
    log_lock lock(live_path, mode);
    if (auto failed = lock.open_file()) return std::move(*failed);
    const int locked = lock.file_.lock_byte(offset);
    if (locked == -EAGAIN || locked == -EACCES) {
      if (wait.count() == 0) break;
      continue;
    }
    if (locked < 0) return io::system_error("lock a part of", lock.path_, locked);
    if (lock.file_.is_doubtful()) continue;
    const auto there = lock.file_.status_in_place();
    if (!there) return there.error();
    if (*there) return std::optional<claim>(claim(std::move(lock.file_)));
  }
  return std::optional<claim>();
}

result<std::optional<claim>> claim::of_segment(const std::string& live_path, std::uint64_t number) {
  return take(live_path, segments_offset + number % segments_count_max, {});
}

result<std::optional<claim>> claim::of_retention(const std::string& live_path, std::chrono::nanoseconds wait) {
  return take(live_path, retention_offset, wait);
}

}  // namespace annals::rotation
