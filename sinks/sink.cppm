// SPDX-License-Identifier: Apache-2.0
//
// annals.sink: the interfaces of a sink, which takes encoded lines, and of an archiver, which replaces closed segments. Authors
// derive from annals::sink or annals::archiver, here or in a plugin (annals.sdk).
//
// Threads: the owner calls one function of an object at a time, on any thread, and destroys it last. A sink or an archiver
// needs no lock. A sink is called on the threads that log: they wait for as long as it waits. It must not fork, and must not
// log to the logger that calls it.
//
// Errors: a function that fails throws, preferably sink_error. The message says what was attempted, on which file or address,
// and what the system said. The logger counts the events of a failed write as failed, reports the error to their callers, and
// calls write() again for later events: a sink recovers by itself when the cause is gone.
//
// Constructor and destructor leave no trace: a sink opens nothing before its first write. After fork(2) a child may use or
// destroy its copy, so nothing that a sink buffers may be written twice.
module;
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
export module annals.sink;
import annals.event;
#pragma GCC visibility push(default)

export namespace annals {

// Complete lines, each ended by "\n". Valid during the call only.
struct batch {
  std::string_view lines;
  std::size_t count = 0;             // how many lines; with 0 there is nothing to do
  std::uint64_t first_sequence = 0;  // of the first line; the others follow without a gap
  time_point now = {};               // the system's clock when the batch was made; it may step back
};

// What a sink or an archiver throws when it fails. Any other exception is reported as errc::sink_failed.
class sink_error : public failure {
 public:
  using failure::failure;
  ~sink_error() override;
};

// What sinks and archivers have in common: a way to report what is not the failure of a call.
class notifier {
 public:
  notifier(const notifier&) = delete;
  notifier& operator=(const notifier&) = delete;

  // Called by the owner, once, before any other function.
  void set_notice_handler(notice_handler handler);

 protected:
  notifier();
  ~notifier();

  // Gives a notice to the owner. Only from within a call of the owner. Does nothing where there is no handler.
  void notify(const notice& what) const;

 private:
  notice_handler on_notice_;
};

class sink : public notifier {
 public:
  sink();
  virtual ~sink();

  // Takes all lines of the batch, or throws. After it has returned, the death of the process must not remove them. After a
  // throw the events of the batch count as failed and are not given again. If a part of a line was written, readers see a
  // partial line; the next call must end it first, so that no other line is appended to it.
  virtual void write(const batch& lines) = 0;

  // Returns once everything taken so far survives a power loss, or throws. After a failure, no later call may report success
  // for the lines that this call could not make durable, until reopen() or the next segment.
  virtual void sync() = 0;

  // The destination was moved away on purpose, for example by logrotate: releases it, and uses the one at the configured place
  // from now on. Clears earlier sync failures. Later syncs cover only lines written after this call.
  virtual void reopen() = 0;

  // Where the next line goes. Never steps back, except by reopen(). A sink whose destination has no such place counts the bytes
  // it has taken, in segment 1.
  virtual annals::position position() = 0;

  // Whether the lines are kept in the segment files of the log's path. Then position() refers to those files, and recovery
  // after a crash looks for lines there.
  virtual bool keeps_log() const noexcept;

  // Closes the current segment; the next line goes into a new one. Returns the closed segment, or nothing if there was none or
  // it was empty. Reports notice_code::segment_closed. Does not sync: later calls of sync() cover the closed segment, too.
  // Throws, and the current segment stays, where it cannot be closed or the sink has no segments (the default).
  virtual std::optional<closed_segment> start_segment();
};

class archiver : public notifier {
 public:
  archiver();
  virtual ~archiver();

  // Makes another representation of a closed segment beside it, for example a compressed one, and removes the segment once that
  // is complete, verified and durable. Can be called again after an interruption at any point. May take long: no write waits
  // for it. Throws when it fails; the segment is then still there.
  virtual void archive(const closed_segment& segment) = 0;
};

}  // namespace annals
#pragma GCC visibility pop
