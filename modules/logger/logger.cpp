// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>
module annals.logger;
import annals.io;
import annals.json;
import annals.reader;
import annals.sinks.file;

namespace annals {

namespace {

constexpr std::size_t stack_line_bytes = 8192;        // longer lines are encoded into a buffer the logger keeps
constexpr std::size_t kept_line_bytes = 1024 * 1024;  // and which it frees again past this size
constexpr std::size_t line_bytes_floor = 64;
constexpr std::chrono::seconds report_interval{1};
constexpr std::size_t error_kinds = static_cast<std::size_t>(errc::sink_failed) + 1;

// A counter that is written under a lock, or by one thread, and read by any: no locked instruction needed.
class counter {
 public:
  void add(std::uint64_t n) noexcept { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

// Passes errors on to the handler: the first of a kind at once, then one a second with the number of those between.
class error_reports {
 public:
  explicit error_reports(std::function<void(const error&)> handler) : handler_(std::move(handler)) {}

  std::mutex& mutex() noexcept { return mutex_; }

  void report(const error& what) noexcept try {
    if (what.code == errc::replaced) return pass_on(what);  // each says how many events may be lost
    std::uint64_t unheard = 0;
    {
      const std::lock_guard lock(mutex_);
      kind& of_kind = kinds_[static_cast<std::size_t>(what.code)];
      const auto now = io::calls().uptime();
      if (of_kind.reported && now - *of_kind.reported < report_interval) {
        ++of_kind.unheard;
        return;
      }
      of_kind.reported = now;
      unheard = std::exchange(of_kind.unheard, 0);
    }
    if (unheard == 0) return pass_on(what);
    error counted = what;
    counted.message += " (and " + std::to_string(unheard) + " more of this kind since the last report)";
    pass_on(counted);
  } catch (...) {  // a handler that throws, or no memory for a message: the counters and the receipt remain
  }

 private:
  struct kind {
    std::optional<std::chrono::nanoseconds> reported;
    std::uint64_t unheard = 0;
  };

  void pass_on(const error& what) const {
    if (handler_) {
      handler_(what);
    } else {
      io::print_error(what.message);
    }
  }

  const std::function<void(const error&)> handler_;
  std::mutex mutex_;
  std::array<kind, error_kinds> kinds_;
};

error invalid_argument(std::string message) {
  return {errc::invalid_argument, 0, std::move(message)};
}

logger_options checked(logger_options options) {
  if (options.path.empty() && !options.sink) {
    throw failure(
        invalid_argument("cannot make an audit logger: logger_options::path is empty; expected the path of the log's file"));
  }
  if (options.path.find('\0') != std::string::npos) {
    throw failure(invalid_argument("cannot make an audit logger: logger_options::path contains a NUL byte"));
  }
  if (options.max_line_bytes < line_bytes_floor || options.max_line_bytes > limits::line_bytes_ceiling) {
    throw failure(invalid_argument("cannot make an audit logger: logger_options::max_line_bytes is " +
                                   std::to_string(options.max_line_bytes) + "; expected " + std::to_string(line_bytes_floor) +
                                   " to " + std::to_string(limits::line_bytes_ceiling)));
  }
  if ((options.file_mode & ~0666U) != 0 || (options.file_mode & 0600U) != 0600U) {
    throw failure(
        invalid_argument("cannot make an audit logger: logger_options::file_mode must let the owner read and write, "
                         "may let others, and has no other bits; expected 0600, 0640 or the like"));
  }
  return options;
}

// What a receipt holds when there is no memory left to say more. Made when the library is loaded, and never destroyed.
const std::shared_ptr<const error>& out_of_memory = *new std::shared_ptr<const error>(
    std::make_shared<const error>(error{errc::io, 0, "cannot log the event: no memory left"}));

}  // namespace

// A child of fork(2) has one thread, and a lock that another thread held stays locked in it for ever. So the forking thread
// holds the locks of all loggers itself meanwhile, and both processes find them free.
class fork_guard {
 public:
  using lockable = std::array<std::mutex*, 3>;  // of one logger

  static fork_guard& instance;

  void add(const lockable& locks) {
    const std::lock_guard lock(mutex_);
    locked_.reserve((all_.size() + 1) * locks.size());
    all_.push_back(locks);
  }
  void remove(const lockable& locks) noexcept {
    const std::lock_guard lock(mutex_);
    std::erase(all_, locks);
  }

 private:
  fork_guard() { (void)io::at_fork(prepare, release, release); }

  // Locks all, whatever order other threads lock some of them in (a sink may own a logger): waits for one lock while it has
  // no other, and begins again with the one that was not free, as std::lock does.
  static void prepare() {
    instance.mutex_.lock();
    std::vector<std::mutex*>& locks = instance.locked_;
    locks.clear();
    for (const lockable& of_one : instance.all_) locks.insert(locks.end(), of_one.begin(), of_one.end());
    for (std::size_t first = 0; first < locks.size();) {
      std::swap(locks.front(), locks[first]);
      locks.front()->lock();
      std::size_t held = 1;
      while (held < locks.size() && locks[held]->try_lock()) ++held;
      if (held == locks.size()) return;
      for (std::size_t i = 0; i < held; ++i) locks[i]->unlock();
      first = held;
    }
  }
  static void release() {
    for (std::mutex* const one : instance.locked_) one->unlock();
    instance.mutex_.unlock();
  }

  std::mutex mutex_;
  std::vector<lockable> all_;
  std::vector<std::mutex*> locked_;  // from prepare to release; with room for all, so that prepare allocates nothing
};

// Made when the library is loaded, so that no fork finds it half made; never destroyed, so that a logger may outlive it.
fork_guard& fork_guard::instance = *new fork_guard;

enum class call_kind : std::uint8_t { event, other };  // of the sink: does its failure count as a failed event?

struct audit_logger::state {
  explicit state(logger_options given) : options(checked(std::move(given))), reports(options.on_error) {
    sink = std::move(options.sink);
    if (!sink) sink = std::make_unique<file_sink>(options.path, options.file_mode);
    sink->set_notice_handler([this](const error& what) { pending_notices.push_back(what); });
    fork_guard::instance.add(locks());
  }
  ~state() {
    fork_guard::instance.remove(locks());
    sink.reset();  // which may still have something to say
    for (const error& what : pending_notices) reports.report(what);
  }
  state(const state&) = delete;
  state& operator=(const state&) = delete;

  fork_guard::lockable locks() noexcept { return {&sink_mutex, &long_line_mutex, &reports.mutex()}; }

  receipt append(std::string_view line, time_point now) noexcept;
  receipt append_long(const json::line_parts& parts, time_point now) noexcept;
  receipt refuse(error cause) noexcept;
  receipt refuse_without_memory() noexcept;
  template <class Call>
  std::shared_ptr<const error> with_sink(call_kind kind, Call&& call) noexcept;
  void unlock_and_report(const error* cause, call_kind kind) noexcept;

  logger_options options;  // never changed once the constructor is done
  std::mutex sink_mutex;
  std::unique_ptr<annals::sink> sink;  // used under sink_mutex, and so are the next four
  std::vector<error> pending_notices;
  counter accepted;
  counter bytes;
  counter notices;
  std::atomic<std::uint64_t> failed = 0;
  error_reports reports;

  // Takes the buffer for long lines, or gives one back to be used again.
  std::vector<char> exchange_long_line(std::vector<char> other) noexcept {
    const std::lock_guard lock(long_line_mutex);
    return std::exchange(long_line, std::move(other));
  }
  std::mutex long_line_mutex;
  std::vector<char> long_line;
};

// The exception being handled, as an error.
std::shared_ptr<const error> current_error() noexcept try {
  try {
    throw;
  } catch (const failure& thrown) {
    return std::make_shared<const error>(thrown.cause());
  } catch (const std::bad_alloc&) {
    return out_of_memory;
  } catch (const std::exception& thrown) {
    return std::make_shared<const error>(error{errc::sink_failed, 0, std::string("the sink failed: ") + thrown.what()});
  } catch (...) {
    return std::make_shared<const error>(
        error{errc::sink_failed, 0, "the sink failed: it threw something that is no std::exception"});
  }
} catch (...) {
  return out_of_memory;
}

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

void audit_logger::state::unlock_and_report(const error* cause, call_kind kind) noexcept {
  const std::vector<error> heard = std::exchange(pending_notices, {});
  notices.add(heard.size());
  sink_mutex.unlock();
  if (cause != nullptr && kind == call_kind::event) failed.fetch_add(1, std::memory_order_relaxed);
  for (const error& what : heard) reports.report(what);
  if (cause != nullptr) reports.report(*cause);
}

[[gnu::always_inline]] inline receipt audit_logger::state::append(std::string_view line, time_point now) noexcept {
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

receipt audit_logger::state::refuse(error cause) noexcept try {
  failed.fetch_add(1, std::memory_order_relaxed);
  reports.report(cause);
  return receipt(std::make_shared<const error>(std::move(cause)));
} catch (...) {
  return receipt(out_of_memory);
}

receipt audit_logger::state::refuse_without_memory() noexcept {
  failed.fetch_add(1, std::memory_order_relaxed);
  reports.report(*out_of_memory);
  return receipt(out_of_memory);
}

receipt audit_logger::state::append_long(const json::line_parts& parts, time_point now) noexcept try {
  const auto too_long = [this](std::size_t found) {
    return refuse({errc::line_too_long, 0,
                   "cannot log the event to '" + options.path + "': its line has " + std::to_string(found) +
                       " bytes or more; expected at most " + std::to_string(options.max_line_bytes) + " (max_line_bytes)"});
  };
  if (const std::size_t least = json::line_bytes_floor(parts); least > options.max_line_bytes) return too_long(least);
  const auto exact = json::line_bytes(parts);
  if (!exact) return refuse(exact.error());
  if (*exact > options.max_line_bytes) return too_long(*exact);
  if (*exact <= stack_line_bytes) {
    char line[stack_line_bytes];
    const auto encoded = json::encode_line(parts, line);
    return encoded ? append({line, *encoded}, now) : refuse(encoded.error());
  }
  std::vector<char> line = exchange_long_line({});
  if (line.size() < *exact) line.resize(*exact);
  const auto encoded = json::encode_line(parts, line.data());
  receipt made = encoded ? append({line.data(), *encoded}, now) : refuse(encoded.error());
  if (line.size() <= kept_line_bytes) (void)exchange_long_line(std::move(line));
  return made;
} catch (...) {
  return refuse_without_memory();
}

audit_logger::audit_logger(logger_options options)
    : enabled_(options.enabled), state_(std::make_unique<state>(std::move(options))) {}

audit_logger::~audit_logger() = default;

receipt audit_logger::record(std::string_view container, std::string_view action, const event_details& details) noexcept try {
  char ts[timestamp_bytes_max];
  const time_point now = io::calls().now();
  const timestamp time = details.ts ? *details.ts : timestamp{now, state_->options.timestamps};
  const std::size_t ts_bytes = format_timestamp(time, ts);
  if (ts_bytes == 0) {
    return state_->refuse({errc::invalid_time, 0, "cannot log the event: its time lies outside the years 0000 to 9999"});
  }
  const json::line_parts parts = {{ts, ts_bytes}, container, action, details};
  if (json::line_bytes_bound(parts) > stack_line_bytes) return state_->append_long(parts, now);
  char line[stack_line_bytes];
  const auto encoded = json::encode_line(parts, line);
  if (!encoded) return state_->refuse(encoded.error());
  if (*encoded > state_->options.max_line_bytes) return state_->append_long(parts, now);  // which refuses it
  return state_->append({line, *encoded}, now);
} catch (...) {
  return state_->refuse_without_memory();
}

receipt audit_logger::log_event(const event& e) noexcept try {
  if (!enabled()) return {};
  std::vector<field> fields;
  fields.reserve(e.fields.size());
  for (const stored_field& stored : e.fields) {
    const bool is_null = std::holds_alternative<std::nullptr_t>(stored.value);
    if (is_null && (stored.name == "dest" || stored.name == "detail")) continue;  // how others write an absent one
    fields.push_back({stored.name, std::visit(
                                       [](const auto& value) -> field_value {
                                         if constexpr (requires { value.text; }) {
                                           return raw_json{value.text};
                                         } else {
                                           return value;
                                         }
                                       },
                                       stored.value)});
  }
  event_details details;
  details.dest = e.dest;
  details.detail = e.detail;
  details.fields = fields;
  if (!e.ts.empty()) {
    details.ts = parse_timestamp(e.ts);
    if (!details.ts) {
      return state_->refuse({errc::invalid_time, 0,
                             "cannot log the event: its ts is " + json::quoted(e.ts) +
                                 "; expected an RFC 3339 time like 2026-11-23T09:00:00+00:00"});
    }
  }
  return record(e.container, e.action, details);
} catch (...) {
  return state_->refuse_without_memory();
}

receipt audit_logger::sync() noexcept {
  std::uint64_t last = 0;
  auto cause = state_->with_sink(call_kind::other, [&] {
    last = state_->accepted.get();
    state_->sink->sync();
  });
  return cause ? receipt(std::move(cause)) : receipt(last);
}

receipt audit_logger::reopen() noexcept {
  auto cause = state_->with_sink(call_kind::other, [&] { state_->sink->reopen(); });
  return cause ? receipt(std::move(cause)) : receipt(state_->accepted.get());
}

std::vector<event> audit_logger::tail_log(std::int64_t n) const {
  std::optional<damage> first;
  std::uint64_t count = 0;
  const auto note = [&](const damage& found) {
    if (count++ == 0) first = found;
  };
  std::vector<event> events = annals::tail_log(state_->options.path, n, {.on_damage = note});
  if (first) {
    state_->reports.report({errc::damaged, 0,
                            "'" + first->file + "': " + std::to_string(count) + (count == 1 ? " line" : " lines") +
                                " skipped; at offset " + std::to_string(first->offset) + ": " + first->cause});
  }
  return events;
}

logger_stats audit_logger::stats() const noexcept {
  return {state_->accepted.get(), state_->failed.load(std::memory_order_relaxed), state_->bytes.get(), state_->notices.get()};
}

const std::string& audit_logger::path() const noexcept {
  return state_->options.path;
}

}  // namespace annals
