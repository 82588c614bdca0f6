// SPDX-License-Identifier: Apache-2.0
module;
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>
module annals.io.worker;
import annals.io.process;
import annals.io.threads;

namespace annals::io {

namespace {

// Whether the process has a filter of system calls, which can end it for a call. What the filter lets through cannot be asked.
bool has_call_filter() noexcept {
  return ::prctl(PR_GET_SECCOMP) != 0;
}

// Gives the calling thread only the processor time and the I/O that nothing else needs, as far as the system allows.
void lower_priority() noexcept {
  ::setpriority(PRIO_PROCESS, thread_id(), 19);
  const sched_param lowest = {};
  ::pthread_setschedparam(::pthread_self(), SCHED_IDLE, &lowest);
  constexpr int of_a_thread = 1;      // IOPRIO_WHO_PROCESS; glibc has neither a wrapper nor a header for these
  constexpr int when_idle = 3 << 13;  // IOPRIO_CLASS_IDLE
  (void)::syscall(SYS_ioprio_set, of_a_thread, 0, when_idle);
}

}  // namespace

worker::worker(const options& with, std::function<rest()> step, std::function<bool()> has_work)
    : options_(with), step_(std::move(step)), has_work_(std::move(has_work)) {}

worker::~worker() {
  stop();
}

std::optional<error> worker::start() {
  const unsigned here = fork_count();
  unsigned runs_in = runs_in_.load();
  if (runs_in == here || is_stopping() || !runs_in_.compare_exchange_strong(runs_in, here)) return std::nullopt;
  if (runs_in != 0) {
    ::new (static_cast<void*>(&thread_)) std::thread;  // the parent's thread does not exist here and cannot be joined
    sleep_ = 0;
  }
  try {
    thread_ = start_thread([this] { run(); });
    return std::nullopt;
  } catch (const std::exception& refused) {
    runs_in_ = 0;
    return error{errc::io, EAGAIN, "cannot start the thread '" + std::string(options_.name) + "': " + refused.what()};
  }
}

std::optional<error> worker::wake() {
  wanted_.store(true, std::memory_order_seq_cst);
  auto failed = start();
  wake_from(resting);
  return failed;
}

void worker::wake_sleeping(sleep lightest) noexcept {
  std::uint32_t seen = sleep_.load();
  while (seen >= lightest && seen != 0) {
    if (!sleep_.compare_exchange_weak(seen, 0, std::memory_order_seq_cst)) continue;
    wake_all(sleep_);
    return;
  }
}

void worker::stop() noexcept {
  stopping_.store(true, std::memory_order_seq_cst);
  wake_sleeping(pausing);
  if (is_inherited()) {
    ::new (static_cast<void*>(&thread_)) std::thread;
  } else if (thread_.joinable()) {
    thread_.join();
  }
}

bool worker::is_inherited() const noexcept {
  const unsigned runs_in = runs_in_.load();
  return runs_in != 0 && runs_in != fork_count();
}

void worker::run() noexcept {
  ::prctl(PR_SET_NAME, options_.name);
  const bool is_lowest =
      options_.priority == archive_priority::lowest || (options_.priority == archive_priority::automatic && !has_call_filter());
  if (is_lowest) lower_priority();
  while (!is_stopping()) {
    wanted_.store(false, std::memory_order_seq_cst);
    rest next = {.how = pausing, .limit = std::chrono::seconds(1)};
    try {
      next = step_();
    } catch (const std::exception&) {  // most likely there is no memory, not even for a message
    }
    if (next.how != none) sleep_until_woken(next);
  }
}

// Each side writes first and reads the other's word afterwards, all sequentially consistent: a caller sets `wanted_` or
// publishes work and then reads `sleep_`; the thread sets `sleep_` and then looks for both. So one of the two sees the other.
void worker::sleep_until_woken(const rest& how) {
  sleep_.store(how.how, std::memory_order_seq_cst);
  const bool is_wanted = how.how != pausing && wanted_.load(std::memory_order_seq_cst);
  const bool has_work = how.how == idle && has_work_ && has_work_();
  if (!stopping_.load(std::memory_order_seq_cst) && !is_wanted && !has_work) wait_while(sleep_, how.how, how.limit);
  sleep_.store(0, std::memory_order_relaxed);
}

}  // namespace annals::io
