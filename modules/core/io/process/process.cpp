// SPDX-License-Identifier: Apache-2.0
module;
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
module annals.io.process;
import annals.event.text;
import annals.io.calls;

namespace annals::io {

void print_error(std::string_view message) noexcept try {
  std::string line = "annals: " + visible(message);  // a path can contain any byte
  line += '\n';
  pollfd polled = {STDERR_FILENO, POLLOUT, 0};
  if (::poll(&polled, 1, 0) != 1) return;  // nobody reads it: drop the message instead of waiting

  // A pipe without a reader sends SIGPIPE to the thread that writes: block it, and consume it if this write caused it.
  sigset_t pipe;
  sigset_t before;
  sigset_t pending;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::sigpending(&pending);
  ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
  const bool broken = ::write(STDERR_FILENO, line.data(), line.size()) < 0 && errno == EPIPE;
  constexpr timespec at_once = {0, 0};
  if (broken && ::sigismember(&pending, SIGPIPE) == 0) ::sigtimedwait(&pipe, nullptr, &at_once);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
} catch (...) {  // no memory for the message
}

std::string user_name() {
  const std::uint32_t user = calls().effective_user();
  std::string number = std::to_string(user);
  passwd entry;
  passwd* found = nullptr;
  std::array<char, 4096> buffer;
  if (::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return number;
  return std::string(found->pw_name) + " (" + number + ")";
}

std::string program_name() {
  return program_invocation_short_name;
}

int at_fork(void (*prepare)(), void (*parent)(), void (*child)()) noexcept {
  return -::pthread_atfork(prepare, parent, child);
}

namespace {

std::atomic<unsigned> last_fork_count = 1;

}  // namespace

std::atomic<unsigned>* detail::fork_mark = &last_fork_count;

// Called in a child by the first thread that asks. No number is given twice.
unsigned detail::count_fork() noexcept {
  const unsigned next = last_fork_count.fetch_add(1) + 1;
  unsigned count = 0;
  return fork_mark->compare_exchange_strong(count, next) ? next : count;
}

namespace {

bool mark_forks() noexcept {
  constexpr std::size_t bytes = 4096;
  void* const page = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return false;
  if (::madvise(page, bytes, MADV_WIPEONFORK) != 0) {
    ::munmap(page, bytes);
    return false;
  }
  detail::fork_mark = new (page) std::atomic<unsigned>(last_fork_count.load());
  return true;
}

void count_fork_in_child() noexcept {
  last_fork_count.fetch_add(1);
}

// Where the system cannot empty pages in a child, a handler counts the forks.
[[maybe_unused]] const bool counts_forks = mark_forks() || at_fork(nullptr, nullptr, count_fork_in_child) == 0;

}  // namespace

}  // namespace annals::io
