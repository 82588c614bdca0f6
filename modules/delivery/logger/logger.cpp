// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>
module annals.logger;
import annals.archiver;
import annals.delivery;
import annals.durable;
import annals.io;
import annals.json;
import annals.reader;
import annals.ring.drain;
import annals.segment;
import annals.sinks.file;

namespace annals {

namespace {

constexpr std::string_view own_container = "annals";  // of events about the log itself: deletions, holds, dropped events
constexpr std::size_t stack_line_bytes = 8192;        // longer lines are encoded into a buffer the logger keeps
constexpr std::size_t kept_line_bytes = 1024 * 1024;  // and which it frees again past this size
constexpr std::size_t line_bytes_floor = 64;

error invalid_argument(std::string message) {
  return {errc::invalid_argument, 0, std::move(message)};
}

// Makes ring_bytes a power of two.
void check_ring(logger_options& options) {
  if (options.path.empty()) {
    throw failure(
        invalid_argument("cannot make an audit logger: logger_options::path is empty; expected the path of the log, beside "
                         "which the ring lies"));
  }
  if (options.ring_bytes < limits::ring_bytes_floor || options.ring_bytes > limits::ring_bytes_ceiling) {
    throw failure(invalid_argument(
        "cannot make an audit logger: logger_options::ring_bytes is " + std::to_string(options.ring_bytes) + "; expected " +
        std::to_string(limits::ring_bytes_floor) + " to " + std::to_string(limits::ring_bytes_ceiling)));
  }
  if (options.latency_max < std::chrono::milliseconds(1) || options.latency_max > std::chrono::milliseconds(1000)) {
    throw failure(invalid_argument("cannot make an audit logger: logger_options::latency_max is " +
                                   std::to_string(options.latency_max.count()) + " ms; expected 1 to 1000"));
  }
  options.ring_bytes = std::bit_ceil(options.ring_bytes);
}

logger_options checked(logger_options options) {
  if (options.path.empty() && !options.sink) {
    throw failure(
        invalid_argument("cannot make an audit logger: logger_options::path is empty; expected the path of the log's file"));
  }
  if (options.path.find('\0') != std::string::npos) {
    throw failure(invalid_argument("cannot make an audit logger: logger_options::path contains a NUL byte"));
  }
  if (auto refused = segment::refuse_as_log(options.path)) {
    refused->message = "cannot make an audit logger: " + refused->message;
    throw failure(std::move(*refused));
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
  if (options.archiver && options.path.empty()) {
    throw failure(invalid_argument(
        "cannot make an audit logger: logger_options::archiver is given, and path is empty; expected the path of the log whose "
        "segments are to be archived"));
  }
  if (options.delivery == delivery::ring) check_ring(options);
  options.path = io::absolute(std::move(options.path)).value();
  return options;
}

std::unique_ptr<sink> sink_of(logger_options& options) {
  if (options.sink) return std::move(options.sink);
  return std::make_unique<file_sink>(options.path, options.file_mode);
}

std::unique_ptr<event_delivery> delivery_of(const logger_options& options, output& to) {
  switch (options.delivery) {
    case delivery::direct: break;
    case delivery::ring:
      return std::make_unique<ring_delivery>(
          to, ring_options{options.ring_bytes, options.latency_max, options.on_full, options.ring_in_use});
    case delivery::durable: return std::make_unique<durable_delivery>(to);
  }
  return std::make_unique<direct_delivery>(to);
}

}  // namespace

struct audit_logger::state {
  explicit state(logger_options given);
  ~state();
  state(const state&) = delete;
  state& operator=(const state&) = delete;

  receipt append_long(const json::line_parts& parts, time_point now) noexcept;
  // Takes the buffer for long lines, or gives one back to be used again.
  std::vector<char> exchange_long_line(std::vector<char> other) noexcept {
    const std::lock_guard lock(long_line_mutex);
    return std::exchange(long_line, std::move(other));
  }

  logger_options options;  // like the next two, not changed after the constructor
  reporter reporting;
  std::unique_ptr<background_archiver> archiver;  // null without one
  std::atomic<bool> is_backlog_taken_up = false;  // segments that earlier processes closed are looked for with the first event
  std::optional<output> out;
  std::unique_ptr<event_delivery> deliver;
  std::mutex long_line_mutex;
  std::vector<char> long_line;
  std::atomic<std::uint64_t> synced = 0;  // the last sequence number that a sync() covered
  fork_hook hook;
};

audit_logger::state::state(logger_options given)
    : options(checked(std::move(given))), reporting(options.on_error, options.on_notice), hook({&long_line_mutex}, [this] {
        if (archiver) archiver->become_child();
      }) {
  if (options.archiver) {
    archiver = std::make_unique<background_archiver>(
        std::move(options.archiver), options.path, [this](const notice& what) { reporting.report(what); },
        options.archive_priority);
  }
  const auto on_notice = [this](const notice& what) {
    if (archiver && (what.code == notice_code::segment_closed || what.code == notice_code::disk_space)) archiver->wake();
  };
  out.emplace(sink_of(options), output_options{options.path, options.file_mode, options.timestamps, on_notice}, reporting);
  deliver = delivery_of(options, *out);
}

// The sink is destroyed before the archiver, which it may wake until then.
audit_logger::state::~state() {
  deliver.reset();
  out.reset();
}

receipt audit_logger::state::append_long(const json::line_parts& parts, time_point now) noexcept try {
  const auto too_long = [this](std::size_t found) {
    return out->refuse({errc::line_too_long, 0,
                        "cannot log the event to '" + options.path + "': its line has " + std::to_string(found) +
                            " bytes or more; expected at most " + std::to_string(options.max_line_bytes) +
                            " (max_line_bytes)"});
  };
  if (const std::size_t least = json::line_bytes_floor(parts); least > options.max_line_bytes) return too_long(least);
  const auto exact = json::line_bytes(parts);
  if (!exact) return out->refuse(exact.error());
  if (*exact > options.max_line_bytes) return too_long(*exact);
  if (*exact <= stack_line_bytes) {
    char line[stack_line_bytes];
    const auto encoded = json::encode_line(parts, line);
    return encoded ? deliver->append({line, *encoded}, now) : out->refuse(encoded.error());
  }
  std::vector<char> line = exchange_long_line({});
  if (line.size() < *exact) line.resize(*exact);
  const auto encoded = json::encode_line(parts, line.data());
  receipt made = encoded ? deliver->append({line.data(), *encoded}, now) : out->refuse(encoded.error());
  if (line.size() <= kept_line_bytes) (void)exchange_long_line(std::move(line));
  return made;
} catch (...) {
  return out->refuse_without_memory();
}

audit_logger::audit_logger(logger_options options)
    : enabled_(options.enabled), state_(std::make_unique<state>(std::move(options))) {}

audit_logger::audit_logger(audit_logger&& from) noexcept
    : enabled_(from.enabled_.exchange(false)), state_(std::move(from.state_)) {}

audit_logger& audit_logger::operator=(audit_logger&& from) noexcept {
  if (this != &from) {
    state_ = std::move(from.state_);
    enabled_.store(from.enabled_.exchange(false));
  }
  return *this;
}

audit_logger::~audit_logger() = default;

audit_logger& audit_logger::immortal(logger_options options) {
  return *new audit_logger(std::move(options));
}

receipt audit_logger::record(std::string_view container, std::string_view action, const event_details& details) noexcept try {
  const io::kept_errno kept;
  if (container == own_container) [[unlikely]] {
    return state_->out->refuse({errc::invalid_field, 0,
                                "cannot log the event: its container is \"annals\", which is reserved for events about the log "
                                "itself; expected another one"});
  }
  if (state_->archiver && !state_->is_backlog_taken_up.load(std::memory_order_relaxed) &&
      !state_->is_backlog_taken_up.exchange(true)) [[unlikely]] {
    state_->archiver->wake();
  }
  char ts[timestamp_bytes_max];
  // Putting an event into a ring costs less than reading the exact clock. The coarse one, some ms late, suffices for seconds.
  const bool is_coarse = state_->options.delivery == delivery::ring && state_->options.timestamps == precision::seconds;
  const time_point now = is_coarse ? io::calls().now_coarse() : io::calls().now();
  const timestamp time = details.ts ? *details.ts : timestamp{now, state_->options.timestamps};
  const std::size_t ts_bytes = format_timestamp(time, ts);
  if (ts_bytes == 0) {
    return state_->out->refuse({errc::invalid_time, 0, "cannot log the event: its time lies outside the years 0000 to 9999"});
  }
  const json::line_parts parts = {{ts, ts_bytes}, container, action, details};
  if (json::line_bytes_bound(parts) > stack_line_bytes) return state_->append_long(parts, now);
  char line[stack_line_bytes];
  const auto encoded = json::encode_line(parts, line);
  if (!encoded) return state_->out->refuse(encoded.error());
  if (*encoded > state_->options.max_line_bytes) return state_->append_long(parts, now);  // which refuses it
  return state_->deliver->append({line, *encoded}, now);
} catch (...) {
  return state_->out->refuse_without_memory();
}

receipt audit_logger::log_event(const event& e) noexcept try {
  const io::kept_errno kept;
  if (!enabled()) return {};
  std::vector<field> fields;
  fields.reserve(e.fields.size());
  for (const stored_field& stored : e.fields) {
    const bool is_null = std::holds_alternative<std::nullptr_t>(stored.value);
    if (is_null && (stored.name == "dest" || stored.name == "detail")) continue;  // how others write an absent one
    fields.emplace_back(stored.name, std::visit(
                                         [](const auto& value) -> field_value {
                                           if constexpr (requires { value.text; }) {
                                             return raw_json{value.text};
                                           } else {
                                             return value;
                                           }
                                         },
                                         stored.value));
  }
  event_details details;
  details.dest = e.dest;
  details.detail = e.detail;
  details.fields = fields;
  if (!e.ts.empty()) {
    details.ts = parse_timestamp(e.ts);
    if (!details.ts) {
      return state_->out->refuse({errc::invalid_time, 0,
                                  "cannot log the event: its ts is " + json::quoted(e.ts) +
                                      "; expected an RFC 3339 time like 2026-11-23T09:00:00+00:00"});
    }
  }
  return record(e.container, e.action, details);
} catch (...) {
  return state_->out->refuse_without_memory();
}

receipt audit_logger::sync() noexcept {
  const io::kept_errno kept;
  state& s = *state_;
  const std::uint64_t last = s.deliver->stats().last_sequence;
  if (auto cause = s.deliver->sync()) return receipt(std::move(cause));
  for (std::uint64_t before = s.synced.load(); before < last && !s.synced.compare_exchange_weak(before, last);) continue;
  return receipt(last);
}

receipt audit_logger::sync(const receipt& of) noexcept {
  if (!of.accepted() || of.sequence() <= state_->synced.load()) return of;
  const receipt synced = sync();
  return synced ? of : synced;
}

receipt audit_logger::reopen() noexcept {
  const io::kept_errno kept;
  auto cause = state_->out->use([](sink& to) { to.reopen(); });
  return cause ? receipt(std::move(cause)) : receipt(state_->deliver->stats().last_sequence);
}

std::vector<event> audit_logger::tail_log(std::int64_t n) const {
  if (!state_->out->keeps_log()) {
    throw failure(
        invalid_argument("cannot read back the log" + (state_->options.path.empty() ? "" : " '" + state_->options.path + "'") +
                         ": its sink keeps no file of it (sink::keeps_log); expected the sink file or rotate. Read back "
                         "what the sink keeps, like memory_log::events()"));
  }
  (void)state_->deliver->flush();  // a failure is reported; what is in the log can be read all the same
  std::optional<damage> first;
  std::uint64_t count = 0;
  const auto note = [&](const damage& found) {
    if (count++ == 0) first = found;
  };
  std::vector<event> events = annals::tail_log(state_->options.path, n, {.on_damage = note});
  if (first) {
    state_->reporting.report(notice{notice_code::lines_skipped, severity::warning, 0,
                                    "'" + first->file + "': " + std::to_string(count) + (count == 1 ? " line" : " lines") +
                                        " skipped; at offset " + std::to_string(first->offset) + ": " + first->cause});
  }
  return events;
}

std::uint64_t audit_logger::finish_archiving(std::chrono::milliseconds patience) noexcept {
  const io::kept_errno kept;
  return state_->archiver ? state_->archiver->finish(patience) : 0;
}

logger_stats audit_logger::stats() const noexcept {
  const io::kept_errno kept;
  const output& out = *state_->out;
  const delivery_stats delivered = state_->deliver->stats();
  logger_stats now;
  now.accepted = delivered.accepted;
  now.failed = out.failed();
  now.bytes = out.bytes();
  now.notices = out.notices();
  now.dropped = delivered.dropped;
  now.recovered = delivered.recovered;
  if (state_->archiver) {
    const archive_progress done = state_->archiver->progress();
    now.archive = {done.archived, done.waiting, done.failed, done.bytes_in, done.bytes_out, done.in_work};
  }
  return now;
}

const std::string& audit_logger::path() const noexcept {
  return state_->options.path;
}

}  // namespace annals
