// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>
module annals.drain;
import annals.recovery;

namespace annals {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t batch_bytes = 256 * 1024;  // fits into the second-level cache; larger writes gain little (decisions.md)
constexpr std::size_t much_bytes = 64 * 1024;    // after a batch of less, more is let gather
constexpr std::chrono::nanoseconds patience = 1ms;  // with a producer that reserved and has not committed
constexpr std::chrono::milliseconds retry_first{10};
constexpr std::chrono::milliseconds retry_last{1000};
constexpr std::size_t prefaulted_ahead = 1024 * 1024;
constexpr std::size_t prefaulted_at_once = 128 * 1024;
constexpr int lock_tries = 20;  // a reader may be looking at a ring that nobody owns

error ring_error(errc code, std::string message) {
  return {code, 0, std::move(message)};
}

notice ring_damage(std::string message) {
  return {notice_code::ring_damaged, severity::error, 0, std::move(message)};
}

// Made when the library is loaded, and never destroyed: why the drain does not get on, where there is no memory to say more.
const std::shared_ptr<const error>& out_of_memory = *new std::shared_ptr<const error>(
    std::make_shared<const error>(ring_error(errc::io, "cannot drain the ring: no memory left")));

bool is_zero(const char* bytes, std::size_t count) noexcept {
  return std::all_of(bytes, bytes + count, [](char c) { return c == '\0'; });
}

}  // namespace

drain_client::~drain_client() = default;

// --- opening ---------------------------------------------------------------------------------------------------------------

ring_drain::ring_drain(const drain_options& options, drain_client& client, std::mutex& consumer)
    : options_(options), client_(client), ring_path_(options.log_path + ".ring"), consumer_(consumer) {}

result<std::unique_ptr<ring_drain>> ring_drain::open(const drain_options& options, drain_client& client,
                                                     std::mutex& consumer) try {
  std::unique_ptr<ring_drain> made(new ring_drain(options, client, consumer));
  for (bool ready = false; !ready;) {
    if (auto failed = made->open_file()) return std::move(*failed);
    auto used = made->use_file();
    if (!used) return std::move(used.error());
    ready = *used;
  }
  if (!made->is_new_) {
    if (auto failed = made->recover()) return std::move(*failed);
  }
  made->queue_ = std::make_unique<ring::queue>(*made->header_, made->mapping_.wrapped(), made->is_new_);
  made->thread_ = std::thread([self = made.get()] { self->run(); });
  return made;
} catch (const std::exception& failed) {
  return ring_error(errc::io, "cannot open the ring of '" + options.log_path + "': " + failed.what());
}

// Opens the file and owns it: nobody else has it, and it is the one at the path.
std::optional<error> ring_drain::open_file() {
  for (int tries = 0;;) {
    auto opened = io::lock_file::open(ring_path_, options_.file_mode, &grown_);
    if (!opened) return std::move(opened.error());
    const int failed = opened->is_doubtful() ? -EAGAIN : opened->lock();
    if (failed == 0) {
      const auto held = opened->status();
      if (!held) return held.error();
      const auto at_path = io::status_at(ring_path_);
      if (!at_path) return at_path.error();
      if (*at_path && io::same_file(**at_path, *held)) {
        owner_ = std::move(*opened);
        return std::nullopt;
      }
    }
    if (++tries == lock_tries) {
      return ring_error(errc::ring_not_owned,
                        "cannot log to '" + options_.log_path + "' through its ring: another process owns '" + ring_path_ +
                            "'. One process may use delivery::ring for a log; let the others use delivery::direct "
                            "(logger_options::ring_in_use)");
    }
    std::this_thread::sleep_for(5ms);
  }
}

// Maps the file, which is made a ring where it is empty. False where it was no ring and has been set aside.
result<bool> ring_drain::use_file() {
  const auto status = owner_.status();
  if (!status) return status.error();
  alignas(ring::file_header) char first[sizeof(ring::file_header)] = {};
  const auto got = owner_.read_at(first, sizeof first, 0);
  if (!got) return got.error();
  is_new_ = is_zero(first, sizeof first);  // nobody has ever put anything into it
  if (is_new_) {
    // Its maker died; or a loss of power took the first page alone, and records of long ago stand behind it.
    if (status->bytes != 0) {
      if (auto removed = io::remove(ring_path_); !removed) return std::move(removed.error());
      return false;
    }
    if (auto failed = make_file()) return std::move(*failed);
    return true;
  }
  const auto& read = *reinterpret_cast<const ring::file_header*>(first);
  const auto fault = *got == sizeof first ? ring::fault_of(read, status->bytes) : "it has " + std::to_string(*got) + " bytes";
  if (fault) {
    if (auto failed = set_aside(*fault)) return std::move(*failed);
    return false;
  }
  auto mapped = io::wrapped_mapping::of(ring_path_, ring::page_bytes, static_cast<std::size_t>(read.bytes), *status);
  if (!mapped) return std::move(mapped.error());
  mapping_ = std::move(*mapped);
  header_ = reinterpret_cast<ring::file_header*>(mapping_.head());
  return true;
}

// All blocks are there before the first event is put: no full disk can fail an access later.
std::optional<error> ring_drain::make_file() {
  const std::uint64_t bytes = ring::page_bytes + options_.ring_bytes;
  if (auto failed = owner_.allocate(bytes)) {
    (void)io::remove(ring_path_);
    return failed;
  }
  const auto status = owner_.status();
  if (!status) return status.error();
  auto mapped = io::wrapped_mapping::of(ring_path_, ring::page_bytes, options_.ring_bytes, *status);
  if (!mapped) return std::move(mapped.error());
  mapping_ = std::move(*mapped);
  header_ = reinterpret_cast<ring::file_header*>(mapping_.head());
  ring::make_header(*header_, options_.ring_bytes, io::calls().now(), static_cast<std::uint64_t>(io::calls().process()));
  return std::nullopt;
}

std::optional<error> ring_drain::set_aside(const std::string& why) {
  std::string when = to_string(timestamp{io::calls().now(), precision::microseconds});
  std::replace(when.begin(), when.end(), ':', '-');
  const std::string aside = ring_path_ + ".damaged-" + when.substr(0, when.find('+'));
  if (auto failed = io::rename(ring_path_, aside)) return failed;
  client_.report(ring_damage("'" + ring_path_ + "' is no ring that can be used: " + why + ". It was set aside as '" + aside +
                             "', and a new one begun; events in it that are not in the log can be looked for there with "
                             "strings(1)"));
  return std::nullopt;
}

// Brings the records that the last owner left into a state from which the queue goes on.
std::optional<error> ring_drain::recover() {
  const auto report_damage = [this](const ring::record& one, std::string_view why) {
    client_.report(
        ring_damage("'" + ring_path_ + "': skipped a record at word " + std::to_string(one.at) + ": " + std::string(why)));
  };
  const std::vector<ring::record> whole = ring::whole_records(*header_, mapping_.wrapped(), report_damage);
  std::vector<std::uint64_t> taken;
  std::vector<std::string_view> lines;
  for (const ring::record& one : whole) {
    if (one.state != ring::mark::taken) continue;
    taken.push_back(one.at);
    lines.push_back(one.line);
  }
  const auto phase = static_cast<ring::phase>(header_->phase.load(std::memory_order_acquire));
  std::vector<bool> arrived(taken.size(), phase == ring::phase::done);
  if (phase == ring::phase::writing && !taken.empty()) {
    arrivals found;
    if (options_.keeps_log) {
      auto looked = settle_in_log(options_.log_path, options_.file_mode, header_->batch, lines);
      if (!looked) return std::move(looked.error());
      found = std::move(*looked);
    } else {
      found.arrived.assign(taken.size(), false);
      found.uncertain = "its sink keeps no log that could be looked into";
    }
    if (!found.uncertain.empty()) {
      client_.report(notice{notice_code::events_repeated, severity::warning, 0,
                            "the last owner of '" + ring_path_ + "' died while it wrote " + std::to_string(taken.size()) +
                                " events, and what became of them is unknown, since " + found.uncertain +
                                ": they are written again, and may be there twice"});
    }
    arrived = std::move(found.arrived);
  }
  ring::settle(*header_, mapping_.wrapped(), taken, arrived);
  return std::nullopt;
}

// --- the end ---------------------------------------------------------------------------------------------------------------

ring_drain::~ring_drain() {
  if (inherited_ || !queue_) return;
  stopping_.store(true, std::memory_order_seq_cst);
  wake(idle);
  wake(resting);
  room_.fetch_add(1);
  io::wake_all(room_);
  if (thread_.joinable()) thread_.join();
  const auto failed = flush();
  try {
    end(failed.get());
  } catch (const std::exception&) {
    client_.report(*out_of_memory);
  }
}

// Removes the ring where nothing is in it.
void ring_drain::end(const error* failed) {
  if (failed == nullptr && queue_->is_drained_to(queue_->mark_end()) && queue_->dropped() == 0 && !is_lost()) {
    if (auto removed = io::remove(ring_path_); !removed) client_.report(removed.error());
    return;
  }
  client_.report(ring_error(
      errc::events_left, "events are left in '" + ring_path_ + "'" + (failed != nullptr ? ", since " + failed->message : "") +
                             ": they are brought into the log when it is next opened for writing with delivery::ring, or by "
                             "`annals recover`"));
}

void ring_drain::become_inherited() noexcept {
  inherited_ = true;
  ::new (static_cast<void*>(&thread_)) std::thread;  // there is no such thread in this process, and nothing to join
}

// --- draining --------------------------------------------------------------------------------------------------------------

// Where the next line will go, as far as files tell.
result<segment::log_place> ring_drain::place() {
  if (!options_.keeps_log) return segment::log_place{};
  for (;;) {
    const auto status = io::status_at(options_.log_path);
    if (!status) return status.error();
    const io::file_status live = *status ? **status : io::file_status{};
    if (*status && live.device == live_.device && live.inode == live_.inode) {
      live_.offset = live.bytes;
      return live_;
    }
    const auto number = segment::live_number(options_.log_path);
    if (!number) return number.error();
    const bool is_known = live_.segment == *number && live_.device == live.device && live_.inode == live.inode;
    live_ = {*number, live.bytes, live.device, live.inode};
    if (is_known) return live_;  // twice the same: no rotation came between
  }
}

// Takes one batch and gives it to the sink. With consumer_ held.
ring_drain::pass ring_drain::drain_once(std::chrono::nanoseconds how_patient) {
  if (!settle_unsettled()) return pass::failed;
  const ring::queue::batch batch = queue_->take(batch_bytes, io::calls().uptime(), how_patient);
  if (batch.count == 0) {
    failed_.reset();
    if (queue_->release_abandoned()) tell_of_room();
    return pass::nothing;
  }
  auto where = place();
  if (!where) {
    queue_->take_back();
    failed_ = std::make_shared<const error>(std::move(where.error()));
    errors_.push_back(*failed_);
    return pass::failed;
  }
  queue_->begin_writing(*where);
  failed_ = client_.write({batch.lines, batch.count, batch.first_sequence, io::calls().now()}, notices_);
  if (failed_) {
    errors_.push_back(*failed_);
    (void)settle_failed(batch);
    return pass::failed;
  }
  queue_->release();
  tell_of_room();
  return batch.lines.size() >= much_bytes ? pass::much : pass::some;
}

void ring_drain::tell_of_room() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (waiting_for_room_.load(std::memory_order_relaxed) == 0) return;
  room_.fetch_add(1, std::memory_order_seq_cst);
  io::wake_all(room_);
}

// Where an earlier pass ended for want of memory, or could not read the log. False: it still cannot.
bool ring_drain::settle_unsettled() {
  const ring::queue::batch left = queue_->unsettled();
  if (left.count == 0) return true;
  if (queue_->is_writing()) return settle_failed(left);
  queue_->take_back();
  return true;
}

// The sink failed; some of the batch may be in the log all the same. False where the log cannot be read: what became of the
// batch is not known, and nothing is written until it is, so that nothing is written twice.
bool ring_drain::settle_failed(const ring::queue::batch& batch) {
  lines_.clear();
  for (std::string_view rest = batch.lines; !rest.empty();) {
    const std::size_t bytes = rest.find('\n') + 1;
    lines_.push_back(rest.substr(0, bytes));
    rest.remove_prefix(bytes);
  }
  std::vector<bool> arrived(batch.count, false);
  if (options_.keeps_log) {
    auto found = find_in_log(options_.log_path, header_->batch, lines_);
    if (!found) {
      failed_ = std::make_shared<const error>(std::move(found.error()));
      errors_.push_back(*failed_);
      return false;
    }
    arrived = std::move(found->arrived);
  }
  queue_->settle(arrived);
  return true;
}

void ring_drain::report_heard() noexcept {
  std::vector<error> errors;
  std::vector<notice> notices;
  {
    const std::lock_guard lock(consumer_);
    errors.swap(errors_);
    notices.swap(notices_);
  }
  for (const notice& what : notices) client_.report(what);
  for (const error& what : errors) client_.report(what);
}

void ring_drain::tell_of_dropped() {
  const std::uint64_t count = queue_->dropped();
  if (count == 0) return;
  bool more_than_half = false;
  if (queue_->put(client_.line_of_dropped(count), more_than_half) == 0) return;
  others_.fetch_add(1, std::memory_order_relaxed);
  queue_->told_of_dropped(count);
}

// What is left behind has been reserved, and its receipt not been given yet.
std::shared_ptr<const error> ring_drain::flush() noexcept {
  try {
    return flush_once();
  } catch (const std::exception&) {
    return out_of_memory;
  }
}

std::shared_ptr<const error> ring_drain::flush_once() {
  std::shared_ptr<const error> failed;
  {
    const std::lock_guard lock(consumer_);
    tell_of_dropped();
    const std::uint64_t end = queue_->mark_end();
    for (pass last = pass::some; !failed && last != pass::nothing && !queue_->is_drained_to(end);) {
      last = drain_once(0ns);
      if (last == pass::failed) failed = failed_;
    }
  }
  report_heard();
  return failed;
}

std::optional<error> ring_drain::sync() {
  if (auto failed = owner_.sync_data()) return failed;
  const std::lock_guard lock(consumer_);
  return io::sync_directories(grown_);
}

std::uint64_t ring_drain::put_waiting(std::string_view line) noexcept {
  bool more_than_half = false;
  waiting_for_room_.fetch_add(1, std::memory_order_seq_cst);
  std::uint64_t sequence = 0;
  for (;;) {
    const std::uint32_t room = room_.load(std::memory_order_seq_cst);
    sequence = queue_->put(line, more_than_half);
    if (sequence != 0 || stopping_.load(std::memory_order_relaxed) || is_lost()) break;
    after_put(true);
    io::wait_while(room_, room, 100ms);
  }
  waiting_for_room_.fetch_sub(1, std::memory_order_relaxed);
  return sequence;
}

// --- the thread ------------------------------------------------------------------------------------------------------------

void ring_drain::wake(std::uint32_t from) noexcept {
  if (sleeping_.compare_exchange_strong(from, working, std::memory_order_seq_cst)) io::wake_all(sleeping_);
}

// Sleeps until it is woken, or for `limit`.
void ring_drain::rest(std::uint32_t how, std::optional<std::chrono::nanoseconds> limit) noexcept {
  if (!stopping_.load(std::memory_order_seq_cst)) io::wait_while(sleeping_, how, limit);
  sleeping_.store(working, std::memory_order_relaxed);
}

// In the first lap of a new ring, the kernel finds pages that were never written to only when they are. That may take
// milliseconds, so it is done here for what comes next, `end` being where the ring is filled to. Not for all of it at once: a
// caller that meets such a page meanwhile would wait for longer.
void ring_drain::prefault(std::uint64_t end) noexcept {
  if (!is_new_) return;
  const std::uint64_t wanted = std::min<std::uint64_t>(end * ring::word_bytes + prefaulted_ahead, options_.ring_bytes);
  for (; prefaulted_ < wanted; prefaulted_ += prefaulted_at_once) mapping_.populate(prefaulted_, prefaulted_at_once);
}

// Works while there is work; rests for a part of the latency when there was little, so that lines gather; and once a rest has
// brought nothing, waits for the first line. Between the setting of `idle` and the sleep it looks at the queue once more: a
// producer's compare-and-swap on the head comes before its look at `sleeping_`.
void ring_drain::run() noexcept {
  prefault(0);
  const std::chrono::nanoseconds pause = options_.latency * 4 / 5;
  std::chrono::milliseconds retry = retry_first;
  while (!stopping_.load(std::memory_order_relaxed)) {
    pass last = pass::nothing;
    std::uint64_t head = 0;
    std::uint64_t end = 0;
    bool has_heard = false;
    bool is_held_up = false;
    try {
      const std::lock_guard lock(consumer_);
      tell_of_dropped();
      head = queue_->head();
      end = queue_->mark_end();
      last = drain_once(patience);
      has_heard = !errors_.empty() || !notices_.empty();
      is_held_up = queue_->is_held_up();
    } catch (const std::exception&) {  // no memory: as good as a failure of the sink
      last = pass::failed;
    }
    if (has_heard) report_heard();
    if (last == pass::much) continue;
    if (last == pass::failed) {
      sleeping_.store(working, std::memory_order_relaxed);
      io::wait_while(room_, room_.load(), retry);  // nothing but the end of the drain wakes it early
      retry = std::min(2 * retry, retry_last);
      continue;
    }
    retry = retry_first;
    if (is_held_up) {
      std::this_thread::sleep_for(patience);
      continue;
    }
    if (last == pass::some) {
      prefault(end);
      sleeping_.store(resting, std::memory_order_seq_cst);
      rest(resting, pause);
      continue;
    }
    sleeping_.store(idle, std::memory_order_seq_cst);
    if (queue_->head() == head) rest(idle, std::nullopt);
    sleeping_.store(working, std::memory_order_relaxed);
  }
}

}  // namespace annals
