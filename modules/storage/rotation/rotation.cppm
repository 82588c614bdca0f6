// SPDX-License-Identifier: Apache-2.0
//
// annals.rotation: the writer that rotates a log, its triggers, and rotations on request.
module;
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
export module annals.rotation;
export import annals.rotation.lock;
import annals.sinks.appender;
import annals.event;
import annals.io;
import annals.options;
import annals.sink;
import annals.rotation.zone;

export namespace annals::rotation {

// --- when to rotate -------------------------------------------------------------------------------------------------------

// Each that is given holds for itself. All are looked at when an event comes: no thread waits for a time. A segment without
// events is never closed by a time. Times are those of the system's clock, which may be put: a trigger fires at most once for
// a segment, and a clock that was put back by a minute or more makes the present segment begin anew.
struct triggers {
  static constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t bytes_max = no_limit;     // of a segment; one that is longer consists of one line
  std::chrono::microseconds interval{0};  // since the segment's first event came; 0: none
  std::chrono::microseconds age{0};       // of the time that the segment's first event bears; 0: none. Of a segment into which
                                          // older events are imported: a minute (or `age`, if less) after its first event came
  std::optional<wall_unit> align = {};    // at the beginnings of hours or days in `zone`
  annals::zone zone = {};

  bool has_time() const noexcept { return interval.count() != 0 || age.count() != 0 || align.has_value(); }
};

// Takes size, interval, age, align and zone from the options of a sink; problems stay with the reader.
triggers read_triggers(option_reader& reader);

enum class cause : std::uint8_t { size, interval, aligned, age, asked };
std::string_view words_for(cause why) noexcept;  // "its size", "its interval is over", ...

// --- the writer -----------------------------------------------------------------------------------------------------------

// Appends lines to a log that rotates, with any number of others like it. Failures throw sink_error. Not for concurrent use;
// opens nothing before the first call that needs it.
class segment_writer {
 public:
  // `mode` is that of a live segment where there was none; a rotation keeps that of the old one. Within the calls, `notice`
  // is called: for each rotation of this writer (segment_closed, then `closed` is called), for one that failed
  // (rotation_failed: logging continues in the current file), and as annals.sinks.appender does.
  segment_writer(std::string path, unsigned mode, triggers when, notice_handler notice,
                 std::function<void(const closed_segment&)> closed = {});
  segment_writer(const segment_writer&) = delete;
  segment_writer& operator=(const segment_writer&) = delete;

  // Appends the batch: to one segment, unless a trigger cuts it, between two lines. After a failure position() tells how far it
  // came, as long as nobody else writes the log. (Part of its caller: each return behind a system call is dear.)
  [[gnu::always_inline]] inline void write(const batch& lines) {
    if (lock_.enter()) [[likely]] {
      const leaving left{lock_};
      if (lines.now < due_ && lines.now >= floor_ && !appender_.is_due(lines.now) && reserve(lines.lines.size())) [[likely]] {
        appender_.append(lines.lines, lines.count);
        return;
      }
    }
    write_in_parts(lines);
  }

  // What sink::sync, reopen and position are to do. sync() speaks for closed segments, too.
  void sync();
  void reopen();
  annals::position position();

  // Closes the live segment now. Nothing where no file exists, or an empty one.
  std::optional<closed_segment> rotate();

  // The log's lock. While it is held exclusively, append() is the one call of this writer that may be made.
  log_lock& lock() noexcept { return lock_; }
  void append(const log_lock::exclusive& held, std::string_view lines, std::size_t count);

 private:
  struct leaving {
    log_lock& lock;
    inline ~leaving() { lock.leave(); }
  };

  // Takes bytes from what this writer has counted in beforehand. False: that does not suffice.
  inline bool reserve(std::uint64_t count) noexcept {
    if (count > allowance_) return false;
    allowance_ -= count;
    return true;
  }

  void write_in_parts(const batch& lines);
  std::string_view reserve_part(std::string_view lines) noexcept;
  void settle(time_point now);
  bool is_settled(time_point now);
  void follow(time_point now);
  void forget() noexcept;
  void adopt(time_point now);
  void adopt(const log_lock::exclusive& held, time_point now);
  void note_facts(time_point now);
  void learn_due(time_point now);
  void begin_segment(time_point now);
  bool is_suspended();
  void rotate_or_suspend(cause why, time_point now, std::size_t next_bytes);
  bool is_wanted(cause why, time_point now, std::size_t next_bytes);
  closed_segment close_live(const log_lock::exclusive& held, time_point now);
  void create_like(const io::file_status& old, bool may_give, time_point now);
  void tell(const closed_segment& closed, cause why);

  log_lock lock_;
  appender appender_;
  triggers when_;
  notice_handler notice_;
  std::function<void(const closed_segment&)> closed_;

  // Below `due_` and not below `floor_` no time trigger fires. Where that is not known, no time lies between them.
  time_point due_ = time_point::min();
  time_point floor_ = time_point::min();
  cause due_cause_ = cause::interval;
  bool settled_ = false;              // the lock's epoch is that of what we know about the files
  std::optional<time_point> oldest_;  // what the segment's first event bears, if `age` asks for it and it was read
  std::uint64_t allowance_ = 0;       // bytes that the page counts as ours in the live segment, and which are not appended yet
  std::chrono::nanoseconds suspended_until_{0};  // of the uptime: a rotation failed
};

// Closes the live segment of the log at `path`. Nothing where no file exists, or an empty one. Its writers go on in a new one.
result<std::optional<closed_segment>> rotate(const std::string& path);

}  // namespace annals::rotation
