// SPDX-License-Identifier: Apache-2.0
//
// annals.io.process: the process as a whole: its user and name, its standard error, its forks.
module;
#include <atomic>
#include <string>
#include <string_view>
export module annals.io.process;

export namespace annals::io {

// The user and the program, for records: "alice (1000)", or "1000" when the user has no name; the program's name.
std::string user_name();
std::string program_name();

// Prints "annals: MESSAGE" to standard error. Drops the message when standard error does not take it at once. Never blocks, and
// never ends the process (SIGPIPE).
void print_error(std::string_view message) noexcept;

// Registers handlers for every later fork(2), as pthread_atfork(3): `prepare` runs before the fork in the forking thread, the
// others after it, in the parent and in the child. Returns 0 or -errno.
int at_fork(void (*prepare)(), void (*parent)(), void (*child)()) noexcept;

namespace detail {
extern std::atomic<unsigned>* fork_mark;
unsigned count_fork() noexcept;
}  // namespace detail

// A number that differs between a process and its children, even for a fork that runs no handlers of pthread_atfork(3): it is
// kept in a page that the kernel empties in a child (madvise(2), MADV_WIPEONFORK). Never 0. Any thread.
inline unsigned fork_count() noexcept {
  const unsigned count = detail::fork_mark->load(std::memory_order_relaxed);
  return count != 0 ? count : detail::count_fork();
}

}  // namespace annals::io
