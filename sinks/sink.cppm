// SPDX-License-Identifier: Apache-2.0
//
// annals.sink: where encoded lines go. The author of a sink derives from annals::sink, here or in a plugin (annals.sdk).
//
// A logger owns one sink and calls it like this: never two functions at a time, whichever threads log; batches in the order
// of their sequence numbers; the destructor last, after everything accepted has been written. A sink therefore needs no
// lock. Its calls run on the threads that log, so whatever it waits for, they wait for. It must neither fork nor log to its
// own logger within a call, and opens nothing before its first write: making a sink and destroying it leaves no trace.
//
// To fail is to throw, and the message goes to the person in charge: what was attempted, on what, what the system said. A
// logger counts the events of a failed write, tells their callers, and calls write again for the next ones: a sink goes on by
// itself when the cause is gone. Nothing of it may be written twice after a fork.
module;
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
export module annals.sink;
import annals.event;
#pragma GCC visibility push(default)

export namespace annals {

// Complete lines, each ended by "\n". Valid during the call only.
struct batch {
  std::string_view lines;
  std::size_t count = 0;             // how many lines; a batch of none asks for nothing
  std::uint64_t first_sequence = 0;  // of the first line; the others follow without a hole
  time_point now = {};               // the system's clock when the batch was made; it may step back
};

// A segment that is never written again.
struct closed_segment {
  std::string path;
  std::uint64_t number = 0;
};

// What a sink throws when it fails. Any other exception is treated alike, as errc::sink_failed.
class sink_error : public failure {
 public:
  using failure::failure;
  ~sink_error() override;
};

class sink {
 public:
  using notice_handler = std::function<void(const error&)>;

  sink();
  virtual ~sink();
  sink(const sink&) = delete;
  sink& operator=(const sink&) = delete;

  // Takes all lines of the batch, or throws. Once it has returned, the death of the process must not remove them. After a
  // throw the batch's events count as failed and are not given again; a part of them that got through is a torn line to the
  // readers, and the next call must not glue anything to it.
  virtual void write(const batch& lines) = 0;

  // Returns once everything taken so far survives the loss of power, or throws; and must then never report success for what
  // this call could not make durable.
  virtual void sync() = 0;

  // The destination was moved away on purpose (a rotation by somebody else): let go of it, and use the one that is at the
  // configured place from now on. Whoever calls this knows of what earlier syncs could not make durable: the next ones speak
  // for what came since.
  virtual void reopen() = 0;

  // Where the next line will go; never steps back but by reopen(). A sink whose destination has no such place counts the bytes
  // it has taken, in segment 1.
  virtual annals::position position() = 0;

  // Are the lines kept where the log's path says, as the segment files of a log? Then position() speaks of those files, and
  // what survived in them can be looked up after a crash.
  virtual bool keeps_log() const noexcept;

  // Optional: makes another representation of a closed segment beside it (compressed, say), and removes the segment once that
  // is complete, verified and durable. Interrupted at any point, it can be called again. For a sink that does nothing else: it
  // may take long, and no write waits for it. Throws where it is not provided.
  virtual void archive(const closed_segment& segment);

  // Called by the owner, once, before anything else.
  void set_notice_handler(notice_handler handler);

 protected:
  // Tells the owner, and through it the person in charge, of something that is no failure of the present call.
  void notice(const error& what) const;

 private:
  notice_handler on_notice_;
};

}  // namespace annals
#pragma GCC visibility pop
