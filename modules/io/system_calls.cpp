// SPDX-License-Identifier: Apache-2.0
module;
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <vector>
module annals.io;

namespace annals::io {

namespace {

int or_errno(int returned) noexcept {
  return returned < 0 ? -errno : returned;
}

std::int64_t or_errno(ssize_t returned) noexcept {
  return returned < 0 ? -errno : returned;
}

void fill(file_status& status, const struct ::stat& from) noexcept {
  status.kind = S_ISREG(from.st_mode)   ? file_kind::regular
                : S_ISDIR(from.st_mode) ? file_kind::directory
                : S_ISLNK(from.st_mode) ? file_kind::symlink
                                        : file_kind::other;
  status.device = from.st_dev;
  status.inode = from.st_ino;
  status.bytes = static_cast<std::uint64_t>(from.st_size);
  status.links = from.st_nlink;
  status.mode = from.st_mode & 07777;
  status.owner = from.st_uid;
}

int open_flags(open_for purpose) noexcept {
  constexpr int always = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;  // a FIFO must not block, a terminal not be ours
  switch (purpose) {
    case open_for::reading: return always | O_RDONLY;
    case open_for::appending: return always | O_RDWR | O_APPEND | O_CREAT;
    case open_for::syncing: return always | O_RDONLY | O_DIRECTORY;
    case open_for::examining: return O_NOFOLLOW | O_CLOEXEC | O_PATH;
  }
  return always;
}

// Where a standard descriptor was closed, the log must not take its place: whatever is printed would be written to it.
int beyond_standard(int fd) noexcept {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  const int moved = or_errno(::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  ::close(fd);
  return moved;
}

system_calls kernel;

}  // namespace

std::atomic<system_calls*> detail::current = &kernel;

system_calls::~system_calls() = default;

int system_calls::open(const char* path, open_for purpose, unsigned mode) noexcept {
  return beyond_standard(or_errno(::open(path, open_flags(purpose), mode)));
}

int system_calls::open_in(int directory, const char* name, open_for purpose) noexcept {
  return beyond_standard(or_errno(::openat(directory, name, open_flags(purpose) & ~O_CREAT)));
}

int system_calls::close(int fd) noexcept {
  return or_errno(::close(fd));
}

std::int64_t system_calls::write(int fd, const char* bytes, std::size_t count) noexcept {
  return or_errno(::write(fd, bytes, count));
}

std::int64_t system_calls::offset_of(int fd) noexcept {
  return or_errno(static_cast<ssize_t>(::lseek(fd, 0, SEEK_CUR)));
}

std::int64_t system_calls::read_at(int fd, char* bytes, std::size_t count, std::uint64_t offset) noexcept {
  return or_errno(::pread(fd, bytes, count, static_cast<off_t>(offset)));
}

int system_calls::sync_data(int fd) noexcept {
  return or_errno(::fdatasync(fd));
}

int system_calls::sync_all(int fd) noexcept {
  return or_errno(::fsync(fd));
}

int system_calls::status_of(int fd, file_status& status) noexcept {
  struct ::stat found;
  if (::fstat(fd, &found) != 0) return -errno;
  fill(status, found);
  return 0;
}

int system_calls::status_at(const char* path, file_status& status) noexcept {
  struct ::stat found;
  if (::lstat(path, &found) != 0) return -errno;
  fill(status, found);
  return 0;
}

int system_calls::make_directory(const char* path, unsigned mode) noexcept {
  return or_errno(::mkdir(path, mode));
}

int system_calls::list_directory(const char* path, std::vector<std::string>& names) noexcept {
  DIR* const directory = ::opendir(path);
  if (directory == nullptr) return -errno;
  int status = 0;
  try {
    for (;;) {
      errno = 0;
      const dirent* const entry = ::readdir(directory);
      if (entry == nullptr) break;
      names.emplace_back(entry->d_name);
    }
    status = -errno;
  } catch (const std::exception&) {
    status = -ENOMEM;
  }
  ::closedir(directory);
  return status;
}

std::uint32_t system_calls::effective_user() noexcept {
  return ::geteuid();
}

time_point system_calls::now() noexcept {
  timespec time;
  ::clock_gettime(CLOCK_REALTIME, &time);
  return time_point(std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_nsec / 1000));
}

std::chrono::nanoseconds system_calls::uptime() noexcept {
  timespec time;
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

void print_error(std::string_view message) noexcept try {
  std::string line = "annals: ";
  for (std::size_t i = 0; i < message.size(); ++i) {  // a path may hold anything: show control characters, C1 included
    const auto c = static_cast<std::uint8_t>(message[i]);
    const bool c1 = c == 0xc2 && i + 1 < message.size() && static_cast<std::uint8_t>(message[i + 1]) < 0xa0;
    if (c < 0x20 || c == 0x7f || c1) {
      constexpr char digits[] = "0123456789abcdef";
      const std::uint8_t shown = c1 ? static_cast<std::uint8_t>(message[++i]) : c;
      line.append("\\u00").append(1, digits[shown >> 4]).append(1, digits[shown & 15]);
    } else {
      line += message[i];
    }
  }
  line += '\n';
  pollfd polled = {STDERR_FILENO, POLLOUT, 0};
  if (::poll(&polled, 1, 0) != 1) return;  // whoever reads it does not: rather lose the message than wait

  // A pipe that nobody reads sends SIGPIPE to the thread that writes: keep it off, and take it away if it came from us.
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

int at_fork(void (*prepare)(), void (*parent)(), void (*child)()) noexcept {
  return -::pthread_atfork(prepare, parent, child);
}

calls_override::calls_override(system_calls& replacement) noexcept {
  detail::current.store(&replacement, std::memory_order_release);
}

calls_override::~calls_override() {
  detail::current.store(&kernel, std::memory_order_release);
}

}  // namespace annals::io
