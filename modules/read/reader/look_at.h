// SPDX-License-Identifier: Apache-2.0
//
// A log together with the ring of a dead process. Included by the implementations of annals.reader behind the imports of
// annals.content and annals.recovery, so it includes nothing itself.
#pragma once

namespace annals {

// A log at one moment: its segments, and the lines that a dead process left in its ring, which come behind them.
struct log_at_once {
  content::view log;
  left_in_ring left;

  // Behind what is to be read of the live segment. What comes later may be the lines of the ring.
  inline std::uint64_t end_of(content::segment_reader& live) const {
    return left.is_empty() || live.is_compressed() ? live.bytes().value() : live.identity().bytes;
  }

  // Gives the lines of the ring to `take`, until that returns false: false then. Reports what could not be read.
  template <class Take>
  inline bool each_left(reports& to, Take take) {
    const bool all = left.each(take);
    if (!left.problem().empty()) to.damaged({left.ring_path(), 0, 0, left.problem()});
    return all;
  }
};

// Errors: those of content::view_of. Takes no lock: when another process takes the ring over meanwhile, looks again.
result<log_at_once> look_at(const std::string& path, bool with_ring);

}  // namespace annals
