// SPDX-License-Identifier: Apache-2.0
module;
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
module annals.io.threads;
import annals.io.calls;

namespace annals::io {

std::thread start_thread(std::function<void()> body) {
  struct restored {
    sigset_t before;
    ~restored() { ::pthread_sigmask(SIG_SETMASK, &before, nullptr); }
  };
  sigset_t all;
  ::sigfillset(&all);
  restored mask;
  ::pthread_sigmask(SIG_BLOCK, &all, &mask.before);  // a new thread inherits the mask of its creator
  return std::thread(std::move(body));
}

std::uint32_t thread_id() noexcept {
  return static_cast<std::uint32_t>(::syscall(SYS_gettid));
}

bool is_thread_alive(std::uint32_t thread) noexcept {
  return calls().find_thread(thread) != -ESRCH;
}

void wait_while(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::optional<std::chrono::nanoseconds> timeout) noexcept {
  static_assert(sizeof word == sizeof expected);
  timespec time = {};
  if (timeout) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(*timeout);
    time.tv_sec = static_cast<time_t>(seconds.count());
    time.tv_nsec = static_cast<long>((*timeout - seconds).count());
  }
  (void)::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, timeout ? &time : nullptr, nullptr, 0);
}

void wake_all(const std::atomic<std::uint32_t>& word) noexcept {
  (void)::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace annals::io
