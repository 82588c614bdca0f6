// SPDX-License-Identifier: Apache-2.0
//
// What an audit_logger is made of. Shared by the implementation files of annals.logger alone; includes nothing, since they
// include it behind their imports.
#pragma once

namespace annals {

inline constexpr std::chrono::seconds report_interval{1};
inline constexpr std::size_t error_kinds = static_cast<std::size_t>(errc::sink_failed) + 1;
inline constexpr std::size_t notice_kinds = static_cast<std::size_t>(notice_code::other) + 1;

// A counter that is written under a lock, or by one thread, and read by any: no locked instruction needed.
class counter {
 public:
  inline void add(std::uint64_t n) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  inline std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

// Passes errors and notices on to their handlers: the first of a kind at once, then one a second with the number of those
// between.
class error_reports {
 public:
  inline error_reports(error_handler on_error, notice_handler on_notice)
      : on_error_(std::move(on_error)), on_notice_(std::move(on_notice)) {}

  inline std::mutex& mutex() noexcept { return mutex_; }

  inline void report(const error& what) noexcept { limit(errors_[static_cast<std::size_t>(what.code)], what); }
  inline void report(const notice& what) noexcept { limit(notices_[static_cast<std::size_t>(what.code)], what); }

 private:
  struct kind {
    std::optional<std::chrono::nanoseconds> reported;
    std::uint64_t unheard = 0;
  };

  template <class Report>
  inline void limit(kind& of_kind, const Report& what) noexcept try {
    if (has_count(what)) return pass_on(what);
    std::uint64_t unheard = 0;
    {
      const std::lock_guard lock(mutex_);
      const auto now = io::calls().uptime();
      if (of_kind.reported && now - *of_kind.reported < report_interval) {
        ++of_kind.unheard;
        return;
      }
      of_kind.reported = now;
      unheard = std::exchange(of_kind.unheard, 0);
    }
    if (unheard == 0) return pass_on(what);
    Report counted = what;
    counted.message += " (and " + std::to_string(unheard) + " more of this kind since the last report)";
    pass_on(counted);
  } catch (...) {  // a handler that throws, or no memory for a message: the counters and the receipt remain
  }

  // Each of these says how many events are concerned.
  static inline bool has_count(const error&) noexcept { return false; }
  static inline bool has_count(const notice& what) noexcept {
    return what.code == notice_code::file_replaced || what.code == notice_code::events_repeated;
  }

  inline void pass_on(const error& what) const {
    if (on_error_) {
      on_error_(what);
    } else {
      io::print_error(what.message);
    }
  }
  inline void pass_on(const notice& what) const {
    if (on_notice_) {
      on_notice_(what);
    } else if (what.severity == severity::error) {
      pass_on(error{errc::background_failed, what.system_code, what.message});
    }
  }

  const error_handler on_error_;
  const notice_handler on_notice_;
  std::mutex mutex_;
  std::array<kind, error_kinds> errors_;
  std::array<kind, notice_kinds> notices_;
};

// What must not be in the middle of anything when the process forks.
class fork_participant {
 public:
  using locks = std::array<std::mutex*, 6>;
  virtual locks fork_locks() noexcept = 0;   // held over the fork, free in both processes afterwards
  virtual void become_child() noexcept = 0;  // called in the child, the locks still held

 protected:
  ~fork_participant() = default;
};

// A child of fork(2) has one thread, and a lock that another thread held stays locked in it for ever. So the forking thread
// holds the locks of all loggers itself meanwhile, and both processes find them free.
class fork_guard {
 public:
  static fork_guard& instance;

  void add(fork_participant& one);
  void remove(fork_participant& one) noexcept;

 private:
  fork_guard();
  static void prepare();
  static bool lock_soon(std::mutex& one);
  static void release();
  static void release_in_child();

  std::mutex mutex_;
  std::vector<fork_participant*> all_;
  std::vector<std::mutex*> locked_;  // from prepare to release; with room for all, so that prepare allocates nothing
};

// delivery::durable: the events of callers at the same time, that share one write and one sync. The first caller of a group
// leads it: it waits for its turn, and brings the group into the log for all of them.
struct commit_group {
  std::string lines;                    // under the mutex of its groups, while it is open
  std::atomic<std::size_t> count = 0;   // of them; likewise, but read by the leader at any time
  std::atomic<std::uint32_t> turn = 0;  // 1: the leader may go on; it alone waits for that
  std::atomic<std::uint32_t> done = 0;  // 1: what follows is known; the others wait for that
  std::uint64_t first_sequence = 0;
  std::shared_ptr<const error> failed;
};

struct commit_groups {
  std::mutex mutex;                    // for the next two; held for moments
  std::shared_ptr<commit_group> open;  // for callers to join; null: the next one makes it
  bool committing = false;             // a leader is at work
  std::size_t usual_count = 0;         // of the last group: how many callers there are to wait for. The leader's.
};

enum class call_kind : std::uint8_t { event, other };  // of the sink: does its failure count as a failed event?

// The exception being handled, as an error.
std::shared_ptr<const error> current_error() noexcept;

// What a receipt holds when there is no memory left to say more.
extern const std::shared_ptr<const error>& out_of_memory;

logger_options checked(logger_options options);

struct audit_logger::state final : drain_client, fork_participant {
  explicit state(logger_options given);
  ~state() override;
  state(const state&) = delete;
  state& operator=(const state&) = delete;

  receipt append(std::string_view line, time_point now) noexcept;
  receipt append_long(const json::line_parts& parts, time_point now) noexcept;
  receipt refuse(error cause) noexcept;
  receipt refuse_without_memory() noexcept;

  template <class Call>
  std::shared_ptr<const error> with_sink(call_kind kind, Call&& call) noexcept;
  void unlock_and_report(const error* cause, call_kind kind) noexcept;

  // delivery::durable (durable_delivery.cpp). But for append_durably, with the sink to oneself; what fails throws.
  receipt append_durably(std::string_view line, time_point now) noexcept;
  void commit(commit_group& group, time_point now) noexcept;
  void prepare_journal(std::size_t line_bytes);
  void open_journal();
  void make_durable(const batch& written);
  void tell_of_journal(const error& cause);
  void clear_journal();
  void sync_log_itself(const batch* unacknowledged);
  void begin_fresh_segment(const error& suspect_for);
  void write_lap_again();
  segment::log_place place();
  void remove_journal() noexcept;
  void close_journal() noexcept;

  // delivery::ring (ring.cpp)
  receipt append_to_ring(ring_drain& open, std::string_view line, time_point now) noexcept;
  receipt append_past_ring(ring_drain& open, std::string_view line, time_point now) noexcept;
  receipt open_ring_and_append(std::string_view line, time_point now) noexcept;
  receipt refuse_full(ring_drain& open) noexcept;
  receipt refuse_lost(ring_drain& open) noexcept;
  std::optional<receipt> open_ring();
  std::shared_ptr<const error> flush() noexcept;
  void sync_ring() noexcept;
  std::uint64_t last_accepted() const noexcept;
  logger_stats stats() const noexcept;

  // As the drain sees us.
  std::shared_ptr<const error> write(const batch& lines, std::vector<notice>& heard) noexcept override;
  inline void report(const error& what) noexcept override { reports.report(what); }
  inline void report(const notice& what) noexcept override { reports.report(what); }
  std::string line_of_dropped(std::uint64_t count) override;

  // As the fork guard sees us.
  inline locks fork_locks() noexcept override {
    return {&open_mutex, &drain_mutex, &groups.mutex, &sink_mutex, &long_line_mutex, &reports.mutex()};
  }
  void become_child() noexcept override;

  std::unique_ptr<background_archiver> archiver;  // null without one; never changed once the constructor is done

  logger_options options;  // never changed once the constructor is done
  std::mutex sink_mutex;
  std::unique_ptr<annals::sink> sink;  // used under sink_mutex, and so are the next four
  std::vector<notice> pending_notices;
  counter accepted;
  counter bytes;
  counter notices;
  std::atomic<std::uint64_t> failed = 0;
  std::atomic<std::uint64_t> dropped = 0;
  error_reports reports;

  // Takes the buffer for long lines, or gives one back to be used again.
  inline std::vector<char> exchange_long_line(std::vector<char> other) noexcept {
    const std::lock_guard lock(long_line_mutex);
    return std::exchange(long_line, std::move(other));
  }
  std::mutex long_line_mutex;
  std::vector<char> long_line;

  std::atomic<ring_drain*> ring = nullptr;  // when it is open and ours
  std::atomic<bool> through_ring = false;   // by the options; not in a child, and not where the ring is in use or lost
  std::mutex open_mutex;                    // for the next three
  std::unique_ptr<ring_drain> drain;
  std::optional<std::chrono::nanoseconds> ring_refused;  // when it could not be opened, by io::system_calls::uptime
  std::shared_ptr<const error> ring_refusal;
  std::mutex drain_mutex;  // the drain's

  commit_groups groups;                                     // of delivery::durable
  std::optional<journal> own_journal;                       // used under sink_mutex, and so are the next two
  std::optional<std::chrono::nanoseconds> journal_refused;  // when it could not be had, by io::system_calls::uptime
  bool journal_failed = false;                              // it is removed once the log was synced
  bool log_moved = false;                                   // the sink has begun another segment, or file
  bool has_journal_elsewhere = false;                       // another process has it, or there is none for this sink
  std::atomic<std::uint64_t> recovered = 0;                 // from the journal

  std::atomic<std::uint64_t> synced = 0;
};

// Runs `call` with the sink to itself; whatever it throws becomes an error. What there is to report is reported without the
// lock. Inlined: the way from log_event to write(2) has few calls, since returning through many from a system call is slow.
template <class Call>
[[gnu::always_inline]] inline std::shared_ptr<const error> audit_logger::state::with_sink(call_kind kind,
                                                                                          Call&& call) noexcept {
  std::shared_ptr<const error> cause;
  sink_mutex.lock();
  try {
    call();
  } catch (...) {
    cause = current_error();
  }
  if (pending_notices.empty() && !cause) [[likely]] {
    sink_mutex.unlock();
  } else {
    unlock_and_report(cause.get(), kind);
  }
  return cause;
}

[[gnu::always_inline]] inline receipt audit_logger::state::append(std::string_view line, time_point now) noexcept {
  if (ring_drain* const open = ring.load(std::memory_order_acquire)) return append_to_ring(*open, line, now);
  if (through_ring.load(std::memory_order_relaxed)) [[unlikely]]
    return open_ring_and_append(line, now);
  if (options.delivery == delivery::durable) return append_durably(line, now);
  std::uint64_t sequence = 0;
  auto cause = with_sink(call_kind::event, [&] {
    const std::uint64_t next = accepted.get() + 1;
    sink->write({line, 1, next, now});
    sequence = next;
    accepted.add(1);
    bytes.add(line.size());
  });
  return cause ? receipt(std::move(cause)) : receipt(sequence);
}

}  // namespace annals
