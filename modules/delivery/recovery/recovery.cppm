// SPDX-License-Identifier: Apache-2.0
//
// annals.recovery: what a dead process left of its events, in a ring or in a journal, and which of them are in the log. The
// deliveries use it to go on after a crash or a failed write, the readers to show events that are not in the log yet.
//
// Exactly once: a ring and a journal remember where in the log their lines are written. After a crash the lines that stand in
// the log behind that place are compared with those in the ring or the journal, and only the missing ones are written again. A
// line can appear twice only where the log was replaced in between, or where the sink keeps no log to look into.
module;
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
export module annals.recovery;
import annals.event;
import annals.io;
import annals.io.owned_file;
import annals.segment;

export namespace annals {

// Which lines of a batch are in the log.
struct arrivals {
  std::vector<bool> arrived;  // for each line
  std::string uncertain;      // why this is unknown of the lines that count as missing; empty where it is known
  // The log ends in the middle of line `torn`, and has `torn_bytes` of it; nothing where the log ends with a whole line.
  std::optional<std::size_t> torn;
  std::size_t torn_bytes = 0;
};

// Looks for lines (each with its newline) in the log at `path`, in plain and compressed segments, from the place `from` on.
// Changes nothing. Errors: io, and what reading a segment returns.
result<arrivals> find_in_log(const std::string& path, const segment::log_place& from, std::span<const std::string_view> lines);

// The same after the death of the log's writer: a partial last line that is the beginning of one of the lines is completed in
// the log first, and counts as arrived. `mode` is that of a live segment that has to be created. Where completing fails, the
// line counts as missing, and the sink ends the partial one.
result<arrivals> settle_in_log(const std::string& path, unsigned mode, const segment::log_place& from,
                               std::span<const std::string_view> lines);

// The lines that a dead owner left in the ring of the log at `path`, as they were at one moment. For readers: changes nothing,
// creates nothing, and holds no lock, so no writer waits for a reader. Use reader's look_at() to read it together with its log.
// Takes up to 32 MiB of memory.
class left_in_ring {
 public:
  left_in_ring() noexcept;  // no lines
  left_in_ring(left_in_ring&&) noexcept;
  left_in_ring& operator=(left_in_ring&&) noexcept;
  ~left_in_ring();

  // No lines where there is no ring, and where its owner lives: that brings them into the log.
  static left_in_ring of(const std::string& path);

  bool is_empty() const noexcept;
  // Whether none of the lines can have come into the log since of(): no other process has owned the ring.
  bool is_unchanged() const;
  // Gives the lines in their order, each with its newline, to `take`, until that returns false: false then. Once.
  bool each(const std::function<bool(std::string_view line)>& take);

  // Why lines may be missing, or the ring is not read at all; empty where nothing is missing. Each call of each() may add to
  // it.
  const std::string& problem() const noexcept { return problem_; }
  const std::string& ring_path() const noexcept { return ring_path_; }

 private:
  struct source;
  bool begin(const std::string& path);
  bool open();
  void fill();
  void settle(const std::string& path);
  std::string ring_path_;
  std::string problem_;
  std::string lines_;  // the next of them
  std::uint64_t damaged_ = 0;
  std::unique_ptr<source> source_;  // null: there is no ring to read
};

// The lines of one lap of a journal (annals.durable), each with its newline, and where in the log they were written.
struct journal_lap {
  segment::log_place from;
  std::string lines;
  std::size_t count = 0;
  std::string_view damage = {};  // why the lap ends at a group that is whole, but has no lines; empty where it does not
};

// The log that a lap is brought into.
struct journal_recovery {
  std::string log_path;
  unsigned file_mode = 0600;
  std::function<void(std::string_view lines, std::size_t count)> write;  // appends lines to the log; throws when it fails
  notice_handler on_notice;                                              // events_repeated
};

// Writes the lines of a lap that the log lacks, and makes the log durable from the lap's place on. Returns the number of lines
// written. Can be repeated after an interruption. Errors: io, sync_failed; and whatever `write` throws.
result<std::uint64_t> recover(const journal_lap& lap, const journal_recovery& with);

}  // namespace annals
