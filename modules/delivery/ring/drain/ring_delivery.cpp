// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <chrono>
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
#include <vector>
module annals.ring.drain;
import annals.sink;

namespace annals {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds open_interval{100};  // between attempts to open a ring that could not be opened
constexpr std::chrono::milliseconds retry_first{10};     // after a failure of the sink
constexpr std::chrono::milliseconds retry_last{1000};
constexpr std::chrono::milliseconds held_up_pause{1};
constexpr std::chrono::seconds parents_interval{1};  // between looks at the parent's ring, while events are logged
constexpr std::chrono::seconds parents_wait{1};      // for the parent's drain

}  // namespace

ring_delivery::ring_delivery(output& to, const ring_options& options)
    : options_(options),
      output_(to),
      retry_(retry_first),
      worker_(
          {.name = "annals-drain"}, [this] { return step(); }, [this] { return drain_->queue().head() != seen_head_; }),
      hook_({&open_mutex_}, [this] { become_child(); }) {}

ring_delivery::~ring_delivery() {
  if (!drain_ || worker_.is_inherited()) return;
  worker_.stop();
  drain_->close();
}

// --- callers ---------------------------------------------------------------------------------------------------------------

receipt ring_delivery::append(std::string_view line, time_point now) noexcept {
  ring_drain* const open = open_.load(std::memory_order_acquire);
  if (open == nullptr) [[unlikely]]
    return append_without_ring(line, now);
  bool more_than_half = false;
  std::uint64_t sequence = open->queue().put(line, more_than_half);
  if (sequence == 0) [[unlikely]] {
    if (line.size() > open->queue().line_bytes_max()) return append_past_ring(*open, line, now);
    if (options_.on_full != on_full::block) {
      wake(true);
      return refuse_full(*open);
    }
    sequence = open->put_waiting(line, [this] { wake(true); });
  }
  if (open->is_lost()) [[unlikely]]
    return refuse_lost(*open);
  wake(more_than_half);
  return receipt(sequence);
}

// A line that is too long for the ring goes to the sink itself, behind everything that this thread has put before.
receipt ring_delivery::append_past_ring(ring_drain& open, std::string_view line, time_point now) noexcept {
  if (auto cause = flush()) {
    output_.count_failed();
    return receipt(std::move(cause));
  }
  const std::uint64_t sequence = open.queue().take_number();
  auto cause = output_.use(
      [&](sink& to) {
        to.write({line, 1, sequence, now});
        output_.took(0, line.size());
      },
      1);
  if (cause) open.count_unused();
  return cause ? receipt(std::move(cause)) : receipt(sequence);
}

bool ring_delivery::is_parents_time() {
  const std::lock_guard lock(open_mutex_);
  return !parents_tried_ || io::calls().uptime() - *parents_tried_ >= parents_interval;
}

receipt ring_delivery::append_without_ring(std::string_view line, time_point now) noexcept try {
  if (!is_direct_.load(std::memory_order_relaxed)) {
    if (auto refusal = open_ring()) {
      output_.count_failed();
      output_.report(*refusal);
      return receipt(std::move(refusal));
    }
    if (!is_direct_.load(std::memory_order_relaxed)) return append(line, now);
  }
  if (is_parents_left_ && is_parents_time()) (void)settle_parents({});
  return output_.append(line, now);
} catch (const std::exception&) {
  return output_.refuse_without_memory();
}

// Opens the ring, or finds that events have to be delivered directly. Returns why neither is possible.
error_pointer ring_delivery::open_ring() {
  std::vector<notice> notices;
  error_pointer refusal;
  {
    const std::lock_guard lock(open_mutex_);
    if (is_direct_ || open_ != nullptr) return nullptr;
    const auto now = io::calls().uptime();
    if (refused_ && now - *refused_ < open_interval) return refusal_;
    auto ring = owned_ring::open(output_, options_.bytes, notices);
    if (ring) {
      drain_ = std::make_unique<ring_drain>(std::move(*ring), output_);
      recovered_ = drain_->recovered();
      std::optional<error> failed;
      try {
        failed = worker_.start();
      } catch (...) {  // no memory for the message: the next attempt must find a ring without an owner
        drain_.reset();
        throw;
      }
      if (failed) {
        drain_.reset();
        ring = std::move(*failed);
      } else {
        open_.store(drain_.get(), std::memory_order_release);
      }
    }
    if (!ring && ring.error().code == errc::ring_not_owned && options_.ring_in_use == ring_in_use::use_direct) {
      notices.push_back({notice_code::ring_in_use, severity::warning, 0,
                         ring.error().message + ". As ring_in_use::use_direct asks for, this logger delivers directly"});
      is_direct_ = true;
    } else if (!ring) {
      refusal = refusal_ = std::make_shared<const error>(std::move(ring.error()));
      refused_ = now;  // last: without memory there is no refusal to repeat
    }
  }
  for (const notice& what : notices) output_.report(what);  // without the lock: a handler may log
  return refusal;
}

receipt ring_delivery::refuse_full(ring_drain& open) noexcept try {
  const bool is_dropped = options_.on_full == on_full::drop;
  if (is_dropped) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    open.queue().count_dropped();
  }
  return output_.refuse({errc::ring_full, 0,
                         "cannot log the event to '" + output_.options().log_path + "': its ring of " +
                             std::to_string(open.queue().capacity_bytes()) +
                             " bytes is full, since the sink is slower than the events, or fails; on_full is " +
                             (is_dropped ? "drop" : "fail")});
} catch (const std::exception&) {
  return output_.refuse_without_memory();
}

// Another program truncated or changed the ring's file. The drain takes what is whole, so that it comes before later events.
receipt ring_delivery::refuse_lost(ring_drain& open) noexcept try {
  (void)open.flush();  // a failure is reported, and the thread tries again
  {
    const std::lock_guard lock(open_mutex_);
    if (open_.load() == &open) {
      lost_ = &open;
      deliver_directly(open);
    }
  }
  const std::string& path = output_.options().log_path;
  return output_.refuse({errc::ring_damaged, 0,
                         "cannot log the event to '" + path + "': another program cut or changed its ring, '" + path +
                             ".ring', and events in it may be lost; expected a file that nobody else touches. This logger "
                             "delivers directly from now on"});
} catch (const std::exception&) {
  return output_.refuse_without_memory();
}

// Sequence numbers go on behind those of the ring.
void ring_delivery::deliver_directly(const ring_drain& open) noexcept {
  unused_ = open.unused();
  output_.took(open.queue().last_sequence(), 0);
  is_direct_ = true;
  open_ = nullptr;
}

// The ring is the parent's, which brings what is in it into the log. A child appends to the log as another process does.
void ring_delivery::become_child() noexcept {
  if (const ring_drain* const open = open_.load()) {
    parents_end_ = open->queue().mark_end();
    is_parents_left_ = !open->is_lost() && !open->queue().is_drained_to(parents_end_);
    deliver_directly(*open);
  }
  lost_ = nullptr;
  is_direct_ = true;
}

// In a child: brings into the log what was logged before the fork, once the parent has ended, as that of a daemon does. While
// the parent lives, that does so: waits for it. Returns why something of it is still left.
error_pointer ring_delivery::settle_parents(std::chrono::nanoseconds wait) {
  std::vector<notice> notices;
  error_pointer left;
  {
    const std::lock_guard lock(open_mutex_);
    parents_tried_ = io::calls().uptime();
    for (io::patience parent(wait); is_parents_left_;) {
      if (drain_->is_released_to(parents_end_)) {
        is_parents_left_ = false;
        break;
      }
      auto ring = owned_ring::open(output_, options_.bytes, notices);
      if (ring) {
        is_parents_left_ = false;  // before the handlers of the drain's reports may log
        ring_drain drain(std::move(*ring), output_);
        recovered_.fetch_add(drain.recovered(), std::memory_order_relaxed);
        left = drain.flush();
        drain.close();
      } else if (ring.error().code != errc::ring_not_owned || !parent.wait()) {
        left = std::make_shared<const error>(
            error{ring.error().code, ring.error().system_code,
                  "events that were logged before the fork are not in the log yet, but in the ring of the parent: " +
                      ring.error().message});
        break;
      }
    }
  }
  for (const notice& what : notices) output_.report(what);
  return left;
}

// A ring that is lost may still hold events that the sink has not taken; and so may that of the parent.
error_pointer ring_delivery::flush() noexcept try {
  if (is_parents_left_) return settle_parents(parents_wait);
  ring_drain* open = open_.load(std::memory_order_acquire);
  if (open == nullptr) open = lost_.load(std::memory_order_acquire);
  return open == nullptr ? nullptr : open->flush();
} catch (const std::exception&) {
  return out_of_memory;
}

// The file of the ring is synced as well: an old copy of it on the disk would hold lines that are in the log by now, and they
// would be logged again after a power loss.
error_pointer ring_delivery::sync() noexcept try {
  if (auto failed = flush()) return failed;
  if (auto failed = output_.sync()) return failed;
  ring_drain* const open = open_.load(std::memory_order_acquire);
  if (open == nullptr) return nullptr;
  const auto failed = open->sync();
  if (!failed) return nullptr;
  output_.report(*failed);
  return std::make_shared<const error>(*failed);
} catch (const std::exception&) {
  return out_of_memory;
}

delivery_stats ring_delivery::stats() const noexcept {
  delivery_stats now = {0, output_.accepted(), dropped_.load(std::memory_order_relaxed),
                        recovered_.load(std::memory_order_relaxed)};
  std::uint64_t unused = unused_.load(std::memory_order_relaxed);
  if (const ring_drain* const open = open_.load(std::memory_order_acquire)) {
    now.last_sequence = open->queue().last_sequence();
    unused = open->unused();
  }
  now.accepted = now.last_sequence - unused;
  return now;
}

// --- the thread ------------------------------------------------------------------------------------------------------------

// Works while there is work. After a small batch it rests for a part of the latency, so that lines gather; when a rest has
// brought nothing, it sleeps until a line is put.
io::worker::rest ring_delivery::step() {
  const ring_drain::state now = drain_->drain();
  if (now.last == ring_drain::pass::failed) {
    const auto pause = retry_;
    retry_ = std::min(2 * retry_, retry_last);
    return {.how = io::worker::pausing, .limit = pause};
  }
  retry_ = retry_first;
  if (now.last == ring_drain::pass::much) return {.how = io::worker::none, .limit = {}};
  if (now.is_held_up) return {.how = io::worker::pausing, .limit = held_up_pause};
  drain_->prefault();
  if (now.last == ring_drain::pass::some) return {.how = io::worker::resting, .limit = options_.latency * 4 / 5};
  seen_head_ = now.head;
  return {.how = io::worker::idle, .limit = {}};
}

}  // namespace annals
