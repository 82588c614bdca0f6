// SPDX-License-Identifier: Apache-2.0
//
// delivery::ring: an event is put into the ring, and the drain brings it into the log.
module;
#include <array>
#include <atomic>
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
#include <span>
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
#include "own_lines.h"
#include "state.h"

namespace annals {

namespace {

constexpr std::chrono::milliseconds open_interval{100};  // between tries to open a ring that could not be opened

}  // namespace

receipt audit_logger::state::append_to_ring(ring_drain& open, std::string_view line, time_point now) noexcept {
  ring::queue& queue = open.queue();
  bool more_than_half = false;
  std::uint64_t sequence = queue.put(line, more_than_half);
  if (sequence == 0) [[unlikely]] {
    if (line.size() > queue.line_bytes_max()) return append_past_ring(open, line, now);
    if (options.on_full != on_full::block) {
      open.after_put(true);
      return refuse_full(open);
    }
    sequence = open.put_waiting(line);
  }
  if (open.is_lost()) [[unlikely]]
    return refuse_lost(open);
  open.after_put(more_than_half);
  return receipt(sequence);
}

// A line that is too long for the ring goes to the sink itself, behind all that this thread has put before.
receipt audit_logger::state::append_past_ring(ring_drain& open, std::string_view line, time_point now) noexcept {
  if (auto cause = flush()) {
    failed.fetch_add(1, std::memory_order_relaxed);
    return receipt(std::move(cause));
  }
  const std::uint64_t sequence = open.queue().take_number();
  auto cause = with_sink(call_kind::event, [&] {
    sink->write({line, 1, sequence, now});
    bytes.add(line.size());
  });
  if (cause) open.count_failed();
  return cause ? receipt(std::move(cause)) : receipt(sequence);
}

receipt audit_logger::state::open_ring_and_append(std::string_view line, time_point now) noexcept {
  if (auto refusal = open_ring()) return std::move(*refusal);
  return append(line, now);
}

// Opens the ring, or finds that another way has to be gone. A receipt: neither.
std::optional<receipt> audit_logger::state::open_ring() try {
  std::optional<error> told;
  std::shared_ptr<const error> refusal;
  {
    const std::lock_guard lock(open_mutex);
    if (!through_ring || ring != nullptr) return std::nullopt;
    const auto now = io::calls().uptime();
    if (!ring_refused || now - *ring_refused >= open_interval) {
      const drain_options how = {options.path, options.ring_bytes, options.file_mode, options.latency_max, sink->keeps_log()};
      auto opened = ring_drain::open(how, *this, drain_mutex);
      if (opened) {
        drain = std::move(*opened);
        ring.store(drain.get(), std::memory_order_release);
        return std::nullopt;
      }
      if (opened.error().code == errc::ring_not_owned && options.ring_in_use == ring_in_use::use_direct) {
        through_ring = false;
        told = std::move(opened.error());
      } else {
        ring_refused = now;
        ring_refusal = std::make_shared<const error>(std::move(opened.error()));
      }
    }
    refusal = ring_refusal;
  }
  if (told) {
    told->message += ". As ring_in_use::use_direct asks for, this logger delivers directly";
    reports.report(notice{notice_code::ring_in_use, severity::warning, 0, std::move(told->message)});
    return std::nullopt;
  }
  failed.fetch_add(1, std::memory_order_relaxed);
  reports.report(*refusal);
  return receipt(std::move(refusal));
} catch (const std::exception&) {
  return refuse_without_memory();
}

receipt audit_logger::state::refuse_full(ring_drain& open) noexcept try {
  const bool is_dropped = options.on_full == on_full::drop;
  if (is_dropped) {
    dropped.fetch_add(1, std::memory_order_relaxed);
    open.queue().count_dropped();
  }
  return refuse(
      {errc::ring_full, 0,
       "cannot log the event to '" + options.path + "': its ring of " + std::to_string(open.queue().capacity_bytes()) +
           " bytes is full, since the sink is slower than the events, or fails; on_full is " + (is_dropped ? "drop" : "fail")});
} catch (...) {
  return refuse_without_memory();
}

// The ring's file was cut under us. What it held and the drain has not taken is gone with it; from now on the sink is used
// itself.
receipt audit_logger::state::refuse_lost(ring_drain& open) noexcept try {
  {
    const std::lock_guard lock(open_mutex);
    if (ring.load() == &open) {
      accepted.add(open.queue().last_sequence());
      through_ring = false;
      ring = nullptr;
    }
  }
  return refuse({errc::ring_damaged, 0,
                 "cannot log the event to '" + options.path + "': somebody cut its ring, '" + options.path +
                     ".ring', and events in it are lost; expected a file that nobody else touches. This logger delivers "
                     "directly from now on"});
} catch (...) {
  return refuse_without_memory();
}

std::shared_ptr<const error> audit_logger::state::flush() noexcept {
  ring_drain* const open = ring.load(std::memory_order_acquire);
  return open == nullptr ? nullptr : open->flush();
}

// What the ring's file holds on the disk may be old, and hold what is in the log by now: after a power loss it would be logged
// again.
void audit_logger::state::sync_ring() noexcept try {
  ring_drain* const open = ring.load(std::memory_order_acquire);
  if (open == nullptr) return;
  if (const auto cause = open->sync()) reports.report(*cause);
} catch (const std::exception&) {  // no memory for the message
}

std::uint64_t audit_logger::state::last_accepted() const noexcept {
  const ring_drain* const open = ring.load(std::memory_order_acquire);
  return open == nullptr ? accepted.get() : open->queue().last_sequence();
}

logger_stats audit_logger::state::stats() const noexcept {
  logger_stats now;
  now.accepted = accepted.get();
  now.recovered = recovered.load(std::memory_order_relaxed);
  if (const ring_drain* const open = ring.load(std::memory_order_acquire)) {
    now.accepted += open->accepted();
    now.recovered += open->recovered();
  }
  now.failed = failed.load(std::memory_order_relaxed);
  now.bytes = bytes.get();
  now.notices = notices.get();
  now.dropped = dropped.load(std::memory_order_relaxed);
  if (archiver) {
    const archive_progress done = archiver->progress();
    now.archive = {done.archived, done.waiting, done.failed, done.bytes_in, done.bytes_out, done.in_work};
  }
  return now;
}

// --- the drain's view ------------------------------------------------------------------------------------------------------

std::shared_ptr<const error> audit_logger::state::write(const batch& lines, std::vector<notice>& heard) noexcept {
  const std::lock_guard lock(sink_mutex);
  std::shared_ptr<const error> cause;
  try {
    sink->write(lines);
    bytes.add(lines.lines.size());
  } catch (...) {
    cause = current_error();
  }
  if (pending_notices.empty()) return cause;
  notices.add(pending_notices.size());
  try {
    heard.insert(heard.end(), pending_notices.begin(), pending_notices.end());
  } catch (const std::exception&) {  // no memory for what is no failure
  }
  pending_notices.clear();
  return cause;
}

std::string audit_logger::state::line_of_dropped(std::uint64_t count) {
  return dropped_line(count, options.timestamps);
}

std::string dropped_line(std::uint64_t count, precision timestamps) {
  const std::array<field, 1> fields = {field{"count", count}};
  event_details details;
  details.detail = "the ring was full";
  details.fields = std::span<const field>(fields);
  return own_line("dropped", details, timestamps);
}

// An event of the library's own.
std::string own_line(std::string_view action, const event_details& details, precision timestamps) {
  const std::string ts = to_string(timestamp{io::calls().now(), timestamps});
  const json::line_parts parts = {ts, "annals", action, details};
  std::string line(json::line_bytes_bound(parts), '\0');
  line.resize(json::encode_line(parts, line.data()).value());
  return line;
}

// --- in a child ------------------------------------------------------------------------------------------------------------

// The ring is the parent's, who brings what is in it into the log. A child appends to the log as another process does.
void audit_logger::state::become_child() noexcept {
  if (drain) {
    if (ring.load() != nullptr) accepted.add(drain->queue().last_sequence());
    drain->become_inherited();
  }
  ring = nullptr;
  through_ring = false;
  groups.open.reset();  // of callers that are not in this process
  groups.committing = false;
  own_journal.reset();  // the parent's
  has_journal_elsewhere = true;
  if (archiver) archiver->become_child();
}

}  // namespace annals
