// SPDX-License-Identifier: Apache-2.0
//
// annals.reader: reads a log, with or without a logger, in the writing process or any other.
//
// Readers return the lines that are JSON objects. Anything else is skipped and reported as damage, with one exception: an
// incomplete last line is no damage, since its writer may be in the middle of it. A last line that lacks only its newline
// counts. Where a whole line is glued to the fragment of another, the fragment is damage and the line an event. The present
// readers read the live segment.
module;
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
export module annals.reader;
import annals.event;
#pragma GCC visibility push(default)

export namespace annals {

// A place where a reader could not read on as it should: bytes that are no event, or a file that changed under it.
struct damage {
  std::string file;
  std::uint64_t offset = 0;  // in the file, in bytes
  std::uint64_t bytes = 0;   // how many were passed over; 0 where it is no matter of bytes
  std::string cause;
};

struct read_options {
  // Hears of every damage, in the order in which it is met, on the thread that reads.
  std::function<void(const damage&)> on_damage = {};
};

// Where a reader stands, to be kept and to go on from later, in another process too. The default is a log's beginning.
struct cursor {
  position at = {};
  // FNV-1a (64 bit) of the up to 64 bytes before `at`: tells when the file there is no longer the one that was read. 0: not
  // known.
  std::uint64_t check = 0;
  bool operator==(const cursor&) const = default;
};

// "SEGMENT:OFFSET:CHECK", decimal, decimal, 16 hex digits; for people and files. parse_cursor reads nothing else.
std::string to_string(const cursor& from);
std::optional<cursor> parse_cursor(std::string_view text);

// --- the last events --------------------------------------------------------------------------------------------------

struct tail_page {
  std::vector<event> events;  // in the order of the log
  cursor next;                // where follow() goes on without a gap or a repetition
  std::uint64_t damaged = 0;  // how often on_damage was told
};

// The last `n` events of the log at `path`: none for n <= 0, or where no regular file is at `path`. Reads the file backwards
// in blocks, and no more of it than it needs. Throws annals::failure when the file cannot be read, or is a symbolic link.
tail_page read_tail(const std::string& path, std::int64_t n = 50, const read_options& options = {});
std::vector<event> tail_log(const std::string& path, std::int64_t n = 50, const read_options& options = {});

// --- the events to come -----------------------------------------------------------------------------------------------

// Yields the events of a log one after the other, and waits for more. Goes on when the file is truncated, renamed, removed or
// replaced, and waits for one that does not exist yet. Waits for the kernel's notification (inotify); never polls an idle log.
// For one thread, but for stop().
class follower {
 public:
  follower(follower&&) noexcept;
  follower& operator=(follower&&) noexcept;
  ~follower();

  // The next event; nothing when none has come within `timeout` (no timeout: wait for ever) or after stop(). Throws
  // annals::failure when the file cannot be read, or the system has no inotify instance left.
  std::optional<event> next(std::optional<std::chrono::milliseconds> timeout = std::nullopt);

  // Behind the event returned last: follow(path, position()) goes on there. Of what was read, not of what the file may hold
  // now.
  cursor position() const;

  // How often on_damage was told.
  std::uint64_t damaged() const noexcept;

  // Makes next() return nothing, now and from now on. Any thread, and signal handlers.
  void stop() noexcept;

 private:
  struct [[gnu::visibility("hidden")]] state;
  explicit follower(std::unique_ptr<state> made) noexcept;
  friend follower follow(const std::string&, const cursor&, read_options);

  std::unique_ptr<state> state_;
};

// Follows the log at `path` from a cursor on; by default from its beginning. A cursor that no longer fits (the file was cut
// or replaced) is reported as damage, and the file is read from its beginning.
follower follow(const std::string& path, const cursor& from = {}, read_options options = {});

}  // namespace annals
#pragma GCC visibility pop
