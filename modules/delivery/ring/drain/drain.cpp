// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.ring.drain;
import annals.sink;
import annals.recovery;

namespace annals {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t batch_bytes = 256 * 1024;  // fits into the second-level cache; larger writes gain little (decisions.md)
constexpr std::size_t much_bytes = 64 * 1024;    // after a smaller batch the thread waits until more lines have come
constexpr std::chrono::nanoseconds patience = 1ms;  // with a producer that reserved and has not committed
constexpr std::size_t prefaulted_ahead = 1024 * 1024;
constexpr std::size_t prefaulted_at_once = 128 * 1024;

}  // namespace

ring_drain::ring_drain(owned_ring ring, output& to)
    : ring_(std::move(ring)), output_(to), queue_(ring_.header(), ring_.records(), ring_.start()) {}

// --- the end ---------------------------------------------------------------------------------------------------------------

void ring_drain::close() noexcept try {
  const auto failed = flush();
  if (const auto unowned = ring_.hold_again()) {
    output_.report(*unowned);
    return;  // the file may be another process's by now
  }
  if (is_lost()) {
    const auto aside = ring_.set_aside();
    if (!aside) output_.report(aside.error());
    if (!aside || !*aside) return;
    output_.report(error{errc::ring_damaged, 0,
                         "'" + ring_.path() +
                             "' was cut or changed by another program while it was used. It was set aside as '" + **aside +
                             "'; events in it may be lost"});
    return;
  }
  if (!failed && queue_.is_drained_to(queue_.mark_end()) && queue_.dropped() == 0) {
    if (const auto unremoved = ring_.remove()) output_.report(*unremoved);
    return;
  }
  output_.report(error{errc::events_left, 0,
                       "events are left in '" + ring_.path() + "'" + (failed ? ", since " + failed->message : "") +
                           ": they are brought into the log when it is next opened for writing with delivery::ring, or by "
                           "`annals recover`"});
} catch (const std::exception&) {
  output_.report(*out_of_memory);
}

// --- draining --------------------------------------------------------------------------------------------------------------

// Where in the log the next line goes, as far as files tell.
result<segment::log_place> ring_drain::place() {
  if (!output_.keeps_log()) return segment::log_place{};
  const std::string& path = output_.options().log_path;
  for (;;) {
    const auto status = io::status_at(path);
    // The process has dropped its privileges, and goes on with the open file: its lines come behind the place known last.
    if (!status && status.error().system_code == EACCES && live_.segment != 0) return live_;
    if (!status) return status.error();
    const io::file_status live = *status ? **status : io::file_status{};
    if (*status && live.device == live_.device && live.inode == live_.inode) {
      live_.offset = live.bytes;
      return live_;
    }
    const auto number = segment::live_number(path);
    if (!number) return number.error();
    const bool is_known = live_.segment == *number && live_.device == live.device && live_.inode == live.inode;
    live_ = {*number, live.bytes, live.device, live.inode};
    if (is_known) return live_;  // twice the same: no rotation came between
  }
}

// Takes one batch and gives it to the sink. With consumer_ held.
ring_drain::pass ring_drain::drain_once(std::chrono::nanoseconds how_patient) {
  if (!settle_unsettled()) return pass::failed;
  const ring::queue::batch batch = queue_.take(batch_bytes, io::calls().uptime(), how_patient);
  const bool is_first_fault = queue_.fault() && !queue_.passes_over_faults();
  if (is_first_fault) [[unlikely]] {
    const auto& at = *queue_.fault();
    give_up("'" + ring_.path() + "' was changed by another program: at word " + std::to_string(at.at) + " it has " +
            std::string(at.why) + ". Events in it that are damaged are lost; expected a file that nobody else touches");
    queue_.pass_over_faults();
  }
  if (batch.count != 0 && !is_lost()) {
    if (const auto failed = ring_.hold_again()) [[unlikely]]
      give_up(failed->message + ". This logger delivers directly from now on");
  }
  if (batch.count == 0) {
    if (is_first_fault) return pass::some;
    failed_.reset();
    if (queue_.release_abandoned()) announce_room();
    return pass::nothing;
  }
  auto where = place();
  if (!where) {
    queue_.take_back();
    fail(std::move(where.error()));
    return pass::failed;
  }
  queue_.begin_writing(*where);
  failed_ = output_.write({batch.lines, batch.count, batch.first_sequence, io::calls().now()});
  if (failed_) {
    errors_.push_back(*failed_);
    (void)settle_failed(batch);
    return pass::failed;
  }
  queue_.release();
  announce_room();
  return batch.lines.size() >= much_bytes ? pass::much : pass::some;
}

// Another program changed the records, or owns the ring now. New events go past the ring from now on; of what is in it, the
// drain takes what is whole.
void ring_drain::give_up(std::string why) {
  errors_.push_back({errc::ring_damaged, 0, std::move(why)});
  ring_.give_up();
}

bool ring_drain::fail(error cause) {
  failed_ = std::make_shared<const error>(std::move(cause));
  errors_.push_back(*failed_);
  return false;
}

void ring_drain::announce_room() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (waiting_for_room_.load(std::memory_order_relaxed) == 0) return;
  room_.fetch_add(1, std::memory_order_seq_cst);
  io::wake_all(room_);
}

// Settles the batch of an earlier pass that ended without memory, or could not read the log. False where it still cannot.
bool ring_drain::settle_unsettled() {
  const ring::queue::batch left = queue_.unsettled();
  if (left.count == 0) return true;
  if (queue_.is_writing()) return settle_failed(left);
  queue_.take_back();
  return true;
}

// The sink failed, but a part of the batch may be in the log. False where the log cannot be read: nothing else is written until
// it can, so that nothing is written twice.
bool ring_drain::settle_failed(const ring::queue::batch& batch) {
  lines_.clear();
  for (std::string_view rest = batch.lines; !rest.empty();) {
    const std::size_t bytes = rest.find('\n') + 1;
    lines_.push_back(rest.substr(0, bytes));
    rest.remove_prefix(bytes);
  }
  std::vector<bool> arrived(batch.count, false);
  if (output_.keeps_log()) {
    auto found = find_in_log(output_.options().log_path, queue_.place(), lines_);
    if (!found) return fail(std::move(found.error()));
    arrived = std::move(found->arrived);
  }
  queue_.settle(arrived);
  announce_room();
  return true;
}

void ring_drain::report_pending() noexcept {
  std::vector<error> errors;
  {
    const std::lock_guard lock(consumer_);
    errors.swap(errors_);
  }
  output_.report_pending();
  for (const error& what : errors) output_.report(what);
}

// Logs an event with the number of events that on_full::drop dropped, once there is room for it.
void ring_drain::log_dropped() {
  const std::uint64_t count = queue_.dropped();
  if (count == 0) return;
  const std::vector<field> fields = {field{"count", count}};
  event_details details;
  details.detail = "the ring was full";
  details.fields = fields;
  bool more_than_half = false;
  if (queue_.put(own_line("dropped", details, output_.options().timestamps), more_than_half) == 0) return;
  count_unused();
  queue_.told_of_dropped(count);
}

ring_drain::state ring_drain::drain() noexcept {
  state now;
  try {
    const std::lock_guard lock(consumer_);
    log_dropped();
    now.head = queue_.head();
    now.last = drain_once(patience);
    now.is_held_up = queue_.is_held_up();
  } catch (const std::exception&) {  // no memory: it is tried again, as after a failure of the sink
    now.last = pass::failed;
  }
  if (now.last != pass::nothing) report_pending();
  return now;
}

error_pointer ring_drain::flush() noexcept try { return flush_once(); } catch (const std::exception&) {
  return out_of_memory;
}

// A line that is passed over is not committed yet, so its event is not accepted yet.
error_pointer ring_drain::flush_once() {
  error_pointer failed;
  {
    const std::lock_guard lock(consumer_);
    log_dropped();
    const std::uint64_t end = queue_.mark_end();
    for (pass last = pass::some; !failed && last != pass::nothing && !queue_.is_drained_to(end);) {
      last = drain_once(0ns);
      if (last == pass::failed) failed = failed_;
    }
  }
  report_pending();
  return failed;
}

std::optional<error> ring_drain::sync() {
  std::optional<error> failed;
  {
    const std::lock_guard lock(consumer_);
    // A failed sync leaves the page marked as clean, and the next one would not write it.
    if (is_sync_suspect_.exchange(false)) queue_.write_tail_again();
    failed = ring_.hold_again();
  }
  if (!failed) failed = ring_.sync_data();
  if (failed) {
    is_sync_suspect_ = true;
    return failed;
  }
  const std::lock_guard lock(consumer_);
  return ring_.sync_directories();
}

std::uint64_t ring_drain::put_waiting(std::string_view line, const std::function<void()>& wake) noexcept {
  bool more_than_half = false;
  waiting_for_room_.fetch_add(1, std::memory_order_seq_cst);
  std::uint64_t sequence = 0;
  for (;;) {
    const std::uint32_t room = room_.load(std::memory_order_seq_cst);
    sequence = queue_.put(line, more_than_half);
    if (sequence != 0 || is_lost()) break;
    wake();
    io::wait_while(room_, room, 100ms);
  }
  waiting_for_room_.fetch_sub(1, std::memory_order_relaxed);
  return sequence;
}

// Not the whole ring at once: a caller that meets a page which is being allocated would wait for longer.
void ring_drain::prefault() noexcept {
  if (!ring_.is_new()) return;
  const std::size_t wanted = std::min(queue_.touched_bytes() + prefaulted_ahead, queue_.capacity_bytes());
  for (; prefaulted_ < wanted; prefaulted_ += prefaulted_at_once) ring_.populate(prefaulted_, prefaulted_at_once);
}

}  // namespace annals
