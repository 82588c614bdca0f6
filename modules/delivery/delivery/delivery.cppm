// SPDX-License-Identifier: Apache-2.0
//
// annals.delivery: the interface that direct, ring and durable delivery implement, and what they share: the logger's sink with
// its lock, its counters and its reports, and the hook that keeps locks free over a fork.
module;
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
export module annals.delivery;
import annals.event;
import annals.io;
import annals.sink;

export namespace annals {

using error_pointer = std::shared_ptr<const error>;  // null: nothing failed

// Used where there is no memory for a message. Never destroyed.
extern const error_pointer& out_of_memory;

// The exception that is being handled, as an error.
error_pointer current_error() noexcept;

// --- forks ---------------------------------------------------------------------------------------------------------------

// A child of fork(2) has one thread, so a lock that another thread of the parent holds would stay locked in the child for ever.
// While this object lives, a thread that forks takes `held` first, and both processes find them free afterwards. `call`
// runs in the child before the locks are released; it must not throw. Declare it as the last member of what it protects.
class fork_hook {
 public:
  explicit fork_hook(std::vector<std::mutex*> held, std::function<void()> call = {});
  ~fork_hook();
  fork_hook(const fork_hook&) = delete;
  fork_hook& operator=(const fork_hook&) = delete;

  const std::vector<std::mutex*> locks;
  const std::function<void()> in_child;
};

// --- the sink --------------------------------------------------------------------------------------------------------------

// A counter that one thread at a time changes and any thread reads: needs no locked instruction.
class counter {
 public:
  inline void add(std::uint64_t n) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  inline std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

// Passes errors and notices on to their handlers: the first of a kind at once, then one per interval, with the number of those
// in between. Handlers run on the calling thread without a lock; what they throw is ignored.
class reporter {
 public:
  // Without `on_error` errors go to standard error. Without `on_notice` notices of severity::error go to `on_error`, and others
  // are discarded.
  reporter(error_handler on_error, notice_handler on_notice, std::chrono::nanoseconds interval = std::chrono::seconds(1));
  void report(const error& what) noexcept;  // any thread
  void report(const notice& what) noexcept;

 private:
  struct kind {
    std::optional<std::chrono::nanoseconds> reported;
    std::uint64_t unreported = 0;
  };
  static constexpr std::size_t error_kinds = static_cast<std::size_t>(errc::sink_failed) + 1;
  static constexpr std::size_t notice_kinds = static_cast<std::size_t>(notice_code::other) + 1;

  template <class Report>
  void limit(kind& of_kind, const Report& what) noexcept;
  void pass_on(const error& what) const;
  void pass_on(const notice& what) const;

  const error_handler on_error_;
  const notice_handler on_notice_;
  const std::chrono::nanoseconds interval_;
  std::mutex mutex_;
  std::array<kind, error_kinds> errors_;
  std::array<kind, notice_kinds> notices_;
  fork_hook hook_{{&mutex_}};
};

// What the deliveries have to know about the log.
struct output_options {
  std::string log_path;  // empty where there is only a sink
  unsigned file_mode = 0600;
  precision timestamps = precision::seconds;  // of the events that the library logs itself
  notice_handler on_notice = {};              // called with each notice of the sink, the sink's lock held
};

// The sink of a logger, which one thread at a time uses; counters; and reports of what fails. Thread-safe.
class output {
 public:
  // `to` outlives the output.
  output(std::unique_ptr<annals::sink> sink, output_options options, reporter& to);
  ~output();  // destroys the sink, and reports the notices that it gave last
  output(const output&) = delete;
  output& operator=(const output&) = delete;

  const output_options& options() const noexcept { return options_; }
  inline std::uint64_t accepted() const noexcept { return accepted_.get(); }
  std::uint64_t bytes() const noexcept { return bytes_.get(); }
  std::uint64_t notices() const noexcept { return notices_.get(); }
  std::uint64_t failed() const noexcept { return failed_.load(std::memory_order_relaxed); }
  bool keeps_log() const noexcept { return !options_.log_path.empty() && sink_->keeps_log(); }

  // Calls `call` with the sink to itself; what it throws is returned, and `events` events count as failed then. Notices and the
  // error are reported without the lock. Inlined, like append(): returning through many functions from a system call is slow.
  template <class Call>
  [[gnu::always_inline]] inline error_pointer use(Call&& call, std::uint64_t events = 0) noexcept {
    error_pointer cause;
    mutex_.lock();
    try {
      call(*sink_);
    } catch (...) {
      cause = current_error();
    }
    if (pending_notices_.empty() && !cause) [[likely]] {
      mutex_.unlock();
    } else {
      unlock_and_report(cause.get(), events);
    }
    return cause;
  }

  // Gives one line to the sink.
  [[gnu::always_inline]] inline receipt append(std::string_view line, time_point now) noexcept {
    std::uint64_t sequence = 0;
    auto cause = use(
        [&](annals::sink& to) {
          const std::uint64_t next = accepted_.get() + 1;
          to.write({line, 1, next, now});
          sequence = next;
          took(1, line.size());
        },
        1);
    return cause ? receipt(std::move(cause)) : receipt(sequence);
  }

  // Gives a batch to the sink. Reports nothing: the caller holds a lock and calls report_pending() later.
  error_pointer write(const batch& lines) noexcept;
  void report_pending() noexcept;

  // Makes everything that the sink has taken durable.
  error_pointer sync() noexcept;

  // A notice that is reported with those of the sink. Within use() only.
  void note(notice what) { pending_notices_.push_back(std::move(what)); }
  // How often the sink has begun another segment or another file. Within use() only.
  std::uint64_t moves() const noexcept { return moves_; }
  // The sink took these events or bytes. Within use() only.
  inline void took(std::uint64_t events, std::size_t bytes) noexcept {
    accepted_.add(events);
    bytes_.add(bytes);
  }

  void report(const error& what) noexcept { reports_.report(what); }
  void report(const notice& what) noexcept { reports_.report(what); }
  void count_failed() noexcept { failed_.fetch_add(1, std::memory_order_relaxed); }

  // Counts an event as failed, reports why, and returns the receipt.
  receipt refuse(error cause) noexcept;
  receipt refuse_without_memory() noexcept;

 private:
  void hear(const notice& what);
  void unlock_and_report(const error* cause, std::uint64_t events) noexcept;

  const output_options options_;
  reporter& reports_;
  std::mutex mutex_;
  std::unique_ptr<annals::sink> sink_;  // used under mutex_, like the next two
  std::vector<notice> pending_notices_;
  std::uint64_t moves_ = 0;
  counter accepted_;  // the last sequence number; changed under mutex_, like the next two
  counter bytes_;
  counter notices_;
  std::atomic<std::uint64_t> failed_ = 0;
  fork_hook hook_{{&mutex_}};
};

// An event of the library itself as a line.
std::string own_line(std::string_view action, const event_details& details, precision timestamps);

// --- deliveries ------------------------------------------------------------------------------------------------------------

struct delivery_stats {
  std::uint64_t accepted = 0;
  std::uint64_t last_sequence = 0;  // of the event accepted last
  std::uint64_t dropped = 0;        // by on_full::drop
  std::uint64_t recovered = 0;      // events of a dead process that were brought into the log
};

// How events get from a caller into a sink. Thread-safe, except for the destructor. A delivery has a fork_hook of its own where
// it has locks.
class event_delivery {
 public:
  virtual ~event_delivery();
  // Accepts an encoded line, or refuses it and counts that. `now` is the system's clock.
  virtual receipt append(std::string_view line, time_point now) noexcept = 0;
  // Returns once the sink has taken every event accepted before the call.
  virtual error_pointer flush() noexcept = 0;
  // Returns once every event accepted before the call survives a power loss.
  virtual error_pointer sync() noexcept = 0;
  virtual delivery_stats stats() const noexcept = 0;
};

// delivery::direct: the caller's thread gives the event to the sink.
class direct_delivery final : public event_delivery {
 public:
  explicit direct_delivery(output& to) noexcept : output_(to) {}
  receipt append(std::string_view line, time_point now) noexcept override { return output_.append(line, now); }
  error_pointer flush() noexcept override { return nullptr; }
  error_pointer sync() noexcept override { return output_.sync(); }
  delivery_stats stats() const noexcept override { return {output_.accepted(), output_.accepted(), 0, 0}; }

 private:
  output& output_;
};

}  // namespace annals
