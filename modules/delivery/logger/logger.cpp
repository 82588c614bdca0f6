// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
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
import annals.archiver;
import annals.drain;
import annals.io;
import annals.durable;
import annals.json;
import annals.reader;
import annals.ring;
import annals.segment;
import annals.sinks.file;
#include "state.h"

namespace annals {

namespace {

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

}  // namespace

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
  if (options.archiver && options.path.empty()) {
    throw failure(invalid_argument(
        "cannot make an audit logger: logger_options::archiver is given, and path is empty; expected the path of the log whose "
        "segments are to be archived"));
  }
  if (options.delivery == delivery::ring) check_ring(options);
  return options;
}

// Made when the library is loaded, and never destroyed.
const std::shared_ptr<const error>& out_of_memory = *new std::shared_ptr<const error>(
    std::make_shared<const error>(error{errc::io, 0, "cannot log the event: no memory left"}));

audit_logger::state::state(logger_options given)
    : options(checked(std::move(given))), reports(options.on_error, options.on_notice) {
  sink = std::move(options.sink);
  if (!sink) sink = std::make_unique<file_sink>(options.path, options.file_mode);
  if (options.archiver) {
    archiver = std::make_unique<background_archiver>(std::move(options.archiver), options.path,
                                                     [this](const notice& what) { reports.report(what); });
  }
  sink->set_notice_handler([this](const notice& what) {
    if (archiver && (what.code == notice_code::segment_closed || what.code == notice_code::disk_space)) archiver->wake();
    if (what.code == notice_code::segment_closed || what.code == notice_code::file_replaced) log_moved = true;
    pending_notices.push_back(what);
  });
  through_ring = options.delivery == delivery::ring;
  fork_guard::instance.add(*this);
}

audit_logger::state::~state() {
  fork_guard::instance.remove(*this);
  drain.reset();
  close_journal();
  sink.reset();  // which may still have something to say
  archiver.reset();
  for (const notice& what : pending_notices) reports.report(what);
}

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

void audit_logger::state::unlock_and_report(const error* cause, call_kind kind) noexcept {
  const std::vector<notice> heard = std::exchange(pending_notices, {});
  notices.add(heard.size());
  sink_mutex.unlock();
  if (cause != nullptr && kind == call_kind::event) failed.fetch_add(1, std::memory_order_relaxed);
  for (const notice& what : heard) reports.report(what);
  if (cause != nullptr) reports.report(*cause);
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
  // In a ring an event costs less than reading the clock does: the coarse one, some ms late, will do for seconds.
  const bool is_coarse = state_->options.delivery == delivery::ring && state_->options.timestamps == precision::seconds;
  const time_point now = is_coarse ? io::calls().now_coarse() : io::calls().now();
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
  state& s = *state_;
  const std::uint64_t last = s.last_accepted();
  if (auto cause = s.flush()) return receipt(std::move(cause));
  const auto sync = [&s] { s.options.delivery == delivery::durable ? s.sync_log_itself(nullptr) : s.sink->sync(); };
  if (auto cause = s.with_sink(call_kind::other, sync)) return receipt(std::move(cause));
  s.sync_ring();
  for (std::uint64_t before = s.synced.load(); before < last && !s.synced.compare_exchange_weak(before, last);) continue;
  return receipt(last);
}

receipt audit_logger::sync(const receipt& of) noexcept {
  if (!of.accepted() || of.sequence() <= state_->synced.load()) return of;
  const receipt synced = sync();
  return synced ? of : synced;
}

receipt audit_logger::reopen() noexcept {
  auto cause = state_->with_sink(call_kind::other, [&] { state_->sink->reopen(); });
  return cause ? receipt(std::move(cause)) : receipt(state_->last_accepted());
}

std::vector<event> audit_logger::tail_log(std::int64_t n) const {
  (void)state_->flush();  // a failure is reported; what is in the log can be read all the same
  std::optional<damage> first;
  std::uint64_t count = 0;
  const auto note = [&](const damage& found) {
    if (count++ == 0) first = found;
  };
  std::vector<event> events = annals::tail_log(state_->options.path, n, {.on_damage = note});
  if (first) {
    state_->reports.report(notice{notice_code::lines_skipped, severity::warning, 0,
                                  "'" + first->file + "': " + std::to_string(count) + (count == 1 ? " line" : " lines") +
                                      " skipped; at offset " + std::to_string(first->offset) + ": " + first->cause});
  }
  return events;
}

logger_stats audit_logger::stats() const noexcept {
  return state_->stats();
}

const std::string& audit_logger::path() const noexcept {
  return state_->options.path;
}

}  // namespace annals
