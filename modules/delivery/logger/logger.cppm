// SPDX-License-Identifier: Apache-2.0
//
// annals.logger: writes audit events.
//
//   annals::audit_logger log({.path = "audit.jsonl"});
//   log.log_event("web", "denied", {.dest = "203.0.113.7:443", .detail = "not in allowlist"});
//
// Every function may be called from any thread, but the destructor, which must be the last call.
module;
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>
export module annals.logger;
import annals.event;
import annals.sink;
#pragma GCC visibility push(default)

export namespace annals {

struct logger_options {
  // The log, named by its live segment. It and its missing parent directories are created by the first event. A relative path
  // is joined to the working directory when the logger is made.
  std::string path = {};
  bool enabled = true;
  annals::delivery delivery = annals::delivery::direct;
  precision timestamps = precision::seconds;            // of events that bring no time of their own
  std::size_t max_line_bytes = limits::line_bytes_max;  // newline included; 64 to limits::line_bytes_ceiling
  unsigned file_mode = 0600;                            // of files that are created; the umask applies
  // Called for every failure, on the thread that failed, with no lock held: the first of a kind (errc) at once, then at most
  // once a second, with the number of those between in the message. What it throws is ignored. Empty: the message is written to
  // standard error.
  error_handler on_error = {};
  // Called for every notice, likewise, on the thread that met it (notice_code::file_replaced and events_repeated: always, since
  // each says how many events are concerned). Empty: notices of severity::error go to on_error, as errc::background_failed;
  // others are discarded.
  notice_handler on_notice = {};
  // Where the lines go; the file sink on `path` when empty.
  std::unique_ptr<annals::sink> sink = {};
  // Gets the closed segments of the log, one by one, on a thread which the first event starts: earlier processes may have left
  // some (docs/sinks.md, zstd). Empty: they stay as they are. Needs `path`.
  std::unique_ptr<annals::archiver> archiver = {};
  annals::archive_priority archive_priority = annals::archive_priority::automatic;  // of that thread

  // With delivery::ring alone. The ring is the file `path` + ".ring", which has all its blocks from the first event on, is
  // removed when the logger is destroyed, and is brought into the log by the next owner where that did not come to pass.
  std::size_t ring_bytes = 64 * 1024 * 1024;  // 64 KiB to 512 MiB; rounded up to a power of two
  annals::on_full on_full = annals::on_full::block;
  annals::ring_in_use ring_in_use = annals::ring_in_use::refuse;
  std::chrono::milliseconds latency_max{5};  // how long an event may stay in the ring while the sink is well; 1 to 1000
};

// Of the archiver, by this logger.
struct archive_stats {
  std::uint64_t archived = 0;   // segments
  std::uint64_t waiting = 0;    // closed segments that are to be, as seen last; with the one in work
  std::uint64_t failed = 0;     // attempts; they are repeated
  std::uint64_t bytes_in = 0;   // of the archived segments
  std::uint64_t bytes_out = 0;  // of the files that they became
  std::uint64_t in_work = 0;    // the number of the segment being archived; 0: none
};

struct logger_stats {
  std::uint64_t accepted = 0;  // events whose receipt says so
  std::uint64_t failed = 0;    // events whose receipt says why not
  std::uint64_t bytes = 0;  // of the lines given to the sink, newlines included; with delivery::ring not yet those in the ring
  std::uint64_t notices = 0;    // that the sink gave
  std::uint64_t dropped = 0;    // of the failed ones: those that on_full::drop dropped
  std::uint64_t recovered = 0;  // events that a dead owner of the ring or the journal left, brought into the log by this logger
  archive_stats archive = {};
};

class audit_logger {
 public:
  // Opens nothing. Throws annals::failure (invalid_argument) on a misuse only: no path and no sink, an option out of range.
  explicit audit_logger(logger_options options);

  // A logger as the file at `path` describes it (docs/configuration.md); `on_error` and `on_notice` as in
  // logger_options. Throws annals::failure: invalid_config with everything that is wrong in it, plugin_refused, or what the
  // sink's plugin said.
  static audit_logger from_config(const std::string& path, error_handler on_error = {}, notice_handler on_notice = {});

  // A logger that is never destroyed, for code that logs until the process ends. A logger with static storage is destroyed at
  // exit, and an event that a destructor of another static object logs afterwards would use a dead object. Instead:
  //
  //   annals::audit_logger& audit() {
  //     static annals::audit_logger& log = annals::audit_logger::immortal({.path = "audit.jsonl"});
  //     return log;
  //   }
  //
  // Nothing is flushed at exit. With delivery::ring, call sync() at the end of main(): what is logged later stays in the ring,
  // from which the next owner or `annals recover` brings it into the log. Throws as the constructor.
  static audit_logger& immortal(logger_options options);

  // Blocks until the current segment is archived: an archiver cannot be interrupted. No event may be logged afterwards.
  ~audit_logger();
  audit_logger(const audit_logger&) = delete;
  audit_logger& operator=(const audit_logger&) = delete;

  // No other thread may use either logger during a move. A logger that was moved from is disabled; it may be destroyed or
  // assigned to.
  audit_logger(audit_logger&& from) noexcept;
  audit_logger& operator=(audit_logger&& from) noexcept;

  // While disabled nothing is written or created; an open file stays open.
  inline bool enabled() const noexcept { return enabled_.load(std::memory_order_relaxed); }
  inline void set_enabled(bool enabled) noexcept { enabled_.store(enabled, std::memory_order_relaxed); }

  // Appends one event. Any bytes are allowed in any string. Never throws; leaves errno as it was; never ends the process; the
  // receipt, the counters and the error handler tell of a failure. Refused, and nothing written: a line over max_line_bytes,
  // invalid extra fields or JSON, a time outside the years 0000..9999.
  inline receipt log_event(std::string_view container, std::string_view action, const event_details& details = {}) noexcept {
    if (!enabled()) [[unlikely]]
      return {};
    return record(container, action, details);
  }

  // Appends an event that was read elsewhere, with its own time. Refused where its `ts` is no time; an empty one means now. A
  // `dest` or `detail` of null is an absent one.
  receipt log_event(const event& e) noexcept;

  // Makes every event accepted before the call durable: the file is synced, and its directory. The receipt tells a failure;
  // and goes on telling it, for events that can no longer be made durable (their file failed to sync, or was removed), until
  // reopen().
  receipt sync() noexcept;
  // The same for the event of this receipt, and those before it; costs nothing where a later sync() has spoken for it already.
  receipt sync(const receipt& of) noexcept;

  // Lets go of the file and uses the one at the path from the next event on: for logrotate and others that rename.
  receipt reopen() noexcept;

  // Waits until the archiver has archived every segment that is closed, an attempt fails, or `patience` is over. For a process
  // that ends soon: what is left is archived by the next process that logs. Returns how many segments are left; 0 without an
  // archiver.
  std::uint64_t finish_archiving(std::chrono::milliseconds patience) noexcept;

  // The last `n` events in order; none for n <= 0 or where there is no file. Sees every event this process has had
  // accepted. Lines that are no events are skipped, with a notice (lines_skipped); annals::read_tail reports each. Throws
  // annals::failure when the file cannot be read, or the sink keeps no log (invalid_argument; memory_log::events() has those of
  // a memory_sink).
  std::vector<event> tail_log(std::int64_t n = 50) const;

  logger_stats stats() const noexcept;
  const std::string& path() const noexcept;  // absolute; empty where none was given

 private:
  struct [[gnu::visibility("hidden")]] state;

  receipt record(std::string_view container, std::string_view action, const event_details& details) noexcept;

  std::atomic<bool> enabled_;
  std::unique_ptr<state> state_;
};

// What recover_log found.
struct log_recovery {
  bool found = false;        // there was a ring or a journal, which is gone now
  std::uint64_t events = 0;  // that were brought into the log
};

// Brings into the log at `path` what a dead process left in its ring (delivery::ring) and what a machine that lost its power
// left in its journal (delivery::durable), makes it durable, and removes both. A logger of that delivery does so by itself with
// its first event. `on_notice` is called for what does not make it fail. Errors: ring_not_owned while an owner lives, and what
// the log's files refuse; then what is left stays. Any thread.
result<log_recovery> recover_log(const std::string& path, notice_handler on_notice = {});

}  // namespace annals
#pragma GCC visibility pop
