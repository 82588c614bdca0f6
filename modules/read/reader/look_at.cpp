// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <string>
#include <utility>
module annals.reader;
import annals.recovery;
import annals.content;
#include "look_at.h"

namespace annals {

result<log_at_once> look_at(const std::string& path, bool with_ring) {
  constexpr int looks_max = 8;
  log_at_once seen;
  for (int looks = 0; looks < looks_max; ++looks) {
    seen.left = with_ring ? left_in_ring::of(path) : left_in_ring();
    auto log = content::view_of(path);
    if (!log) return std::move(log.error());
    seen.log = std::move(*log);
    if (seen.left.is_unchanged()) return seen;
  }
  seen.left = {};  // process after process owns the ring, and brings into the log what is in it
  return seen;
}

}  // namespace annals
