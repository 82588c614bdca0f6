// SPDX-License-Identifier: Apache-2.0
module;
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>
module annals.io.calls;

namespace annals::io {

namespace {

int or_errno(int returned) noexcept {
  return returned < 0 ? -errno : returned;
}

std::int64_t or_errno(ssize_t returned) noexcept {
  return returned < 0 ? -errno : returned;
}

time_point time_of(const timespec& time) noexcept {
  return time_point(std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_nsec / 1000));
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
  status.group = from.st_gid;
  status.modified = time_of(from.st_mtim);
  status.changed = time_of(from.st_ctim);
}

int open_flags(open_for purpose) noexcept {
  constexpr int always = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;  // a FIFO must not block, a terminal not be ours
  switch (purpose) {
    case open_for::reading: return always | O_RDONLY;
    case open_for::appending: return always | O_RDWR | O_APPEND | O_CREAT;
    case open_for::creating: return always | O_RDWR | O_APPEND | O_CREAT | O_EXCL;
    case open_for::syncing: return always | O_RDONLY | O_DIRECTORY;
    case open_for::examining: return O_NOFOLLOW | O_CLOEXEC | O_PATH;
    case open_for::locking: return always | O_RDWR | O_CREAT;
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

// A daemon closes all descriptors, also those that it does not know. A file that is opened afterwards gets the lowest free
// number, so a high number stays free. Below usual limits of open files; a larger number would make the kernel's table larger.
int out_of_reach(int fd) noexcept {
  if (fd < 0) return fd;
  for (const int number : {960, 448, 192, 96}) {
    const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, number);
    if (moved < 0) continue;  // over the limit of open files, or none is free from there on
    ::close(fd);
    return moved;
  }
  return beyond_standard(fd);
}

system_calls kernel;

}  // namespace

std::atomic<system_calls*> detail::current = &kernel;

system_calls::~system_calls() = default;

int system_calls::open(const char* path, open_for purpose, unsigned mode) noexcept {
  const int flags = open_flags(purpose);
  const bool is_exclusive = (flags & O_EXCL) != 0;
  int fd = or_errno(::open(path, is_exclusive ? flags : flags & ~O_CREAT, mode));
  if (fd == -ENOENT && (flags & O_CREAT) != 0) fd = or_errno(::open(path, flags, mode));
  const bool is_kept = purpose == open_for::appending || purpose == open_for::locking || purpose == open_for::reading;
  return is_kept ? out_of_reach(fd) : beyond_standard(fd);
}

int system_calls::open_in(int directory, const char* name, open_for purpose) noexcept {
  const int fd = or_errno(::openat(directory, name, open_flags(purpose) & ~(O_CREAT | O_EXCL)));
  return purpose == open_for::locking ? out_of_reach(fd) : beyond_standard(fd);
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

std::int64_t system_calls::next_data(int fd, std::uint64_t offset) noexcept {
  return or_errno(static_cast<ssize_t>(::lseek(fd, static_cast<off_t>(offset), SEEK_DATA)));
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

int system_calls::list_directory(const char* path, std::string_view prefix, std::size_t names_max,
                                 std::vector<std::string>& names) noexcept {
  DIR* const directory = ::opendir(path);
  if (directory == nullptr) return -errno;
  int status = 0;
  try {
    for (;;) {
      errno = 0;
      const dirent* const entry = ::readdir(directory);  // NOLINT(concurrency-mt-unsafe): a stream of our own
      if (entry == nullptr) break;
      const std::string_view name(entry->d_name);
      if (!name.starts_with(prefix)) continue;
      if (names.size() == names_max) {
        errno = EOVERFLOW;
        break;
      }
      names.emplace_back(name);
    }
    status = -errno;
  } catch (const std::exception&) {
    status = -ENOMEM;
  }
  ::closedir(directory);
  return status;
}

int system_calls::resolve(const char* path, std::string& resolved) noexcept {
  char* const found = ::realpath(path, nullptr);
  if (found == nullptr) return -errno;
  int status = 0;
  try {
    resolved = found;
  } catch (const std::exception&) {
    status = -ENOMEM;
  }
  std::free(found);
  return status;
}

int system_calls::rename(const char* from, const char* to) noexcept {
  return or_errno(::rename(from, to));
}

std::int64_t system_calls::write_at(int fd, const char* bytes, std::size_t count, std::uint64_t offset) noexcept {
  return or_errno(::pwrite(fd, bytes, count, static_cast<off_t>(offset)));
}

int system_calls::set_mode(int fd, unsigned mode) noexcept {
  return or_errno(::fchmod(fd, mode));
}

int system_calls::set_owner(int fd, std::uint32_t owner, std::uint32_t group) noexcept {
  return or_errno(::fchown(fd, owner, group));
}

int system_calls::set_modified(int fd, time_point time) noexcept {
  const auto since_epoch = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  const timespec times[2] = {
      {0, UTIME_OMIT},
      {static_cast<time_t>(seconds.count()), static_cast<long>(std::chrono::nanoseconds(since_epoch - seconds).count())}};
  return or_errno(::futimens(fd, times));
}

int system_calls::status_in(int directory, const char* name, file_status& status) noexcept {
  struct ::stat found;
  if (::fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) != 0) return -errno;
  fill(status, found);
  return 0;
}

int system_calls::rename_new_in(int from_directory, const char* from, int to_directory, const char* to) noexcept {
  return or_errno(::renameat2(from_directory, from, to_directory, to, RENAME_NOREPLACE));
}

int system_calls::remove_in(int directory, const char* name) noexcept {
  return or_errno(::unlinkat(directory, name, 0));
}

int system_calls::remove(const char* path) noexcept {
  return or_errno(::unlink(path));
}

int system_calls::lock(int fd, bool locked) noexcept {
  return or_errno(::flock(fd, locked ? LOCK_EX | LOCK_NB : LOCK_UN));
}

int system_calls::space_at(const char* path, space_status& space) noexcept {
  struct ::statvfs found;
  if (::statvfs(path, &found) != 0) return -errno;
  space.total = static_cast<std::uint64_t>(found.f_blocks) * found.f_frsize;
  space.free = static_cast<std::uint64_t>(found.f_bfree) * found.f_frsize;
  space.available = static_cast<std::uint64_t>(found.f_bavail) * found.f_frsize;
  return 0;
}

int system_calls::lock_byte(int fd, std::uint64_t offset) noexcept {
  struct ::flock asked = {F_WRLCK, SEEK_SET, static_cast<off_t>(offset), 1, 0};
  return or_errno(::fcntl(fd, F_OFD_SETLK, &asked));
}

int system_calls::is_byte_locked(int fd, std::uint64_t offset) noexcept {
  struct ::flock asked = {F_WRLCK, SEEK_SET, static_cast<off_t>(offset), 1, 0};
  const int failed = or_errno(::fcntl(fd, F_OFD_GETLK, &asked));
  return failed < 0 ? failed : static_cast<int>(asked.l_type != F_UNLCK);
}

int system_calls::map_shared(int fd, std::size_t bytes, void*& memory) noexcept {
  void* const mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) return -errno;
  memory = mapped;
  return 0;
}

std::uint32_t system_calls::effective_user() noexcept {
  return ::geteuid();
}

int system_calls::allocate(int fd, std::uint64_t bytes) noexcept {
  return -::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
}

std::int32_t system_calls::process() noexcept {
  return ::getpid();
}

int system_calls::find_thread(std::uint32_t thread) noexcept {
  return ::syscall(SYS_tgkill, ::getpid(), static_cast<int>(thread), 0) == 0 ? 0 : -errno;
}

time_point system_calls::now() noexcept {
  timespec time;
  ::clock_gettime(CLOCK_REALTIME, &time);
  return time_of(time);
}

time_point system_calls::now_coarse() noexcept {
  timespec time;
  ::clock_gettime(CLOCK_REALTIME_COARSE, &time);
  return time_of(time);
}

std::chrono::nanoseconds system_calls::uptime() noexcept {
  timespec time;
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

error system_error(std::string_view what, std::string_view path, int negative_errno) {
  return {errc::io, -negative_errno,
          "cannot " + std::string(what) + " '" + std::string(path) + "': " + std::generic_category().message(-negative_errno)};
}

calls_override::calls_override(system_calls& replacement) noexcept {
  detail::current.store(&replacement, std::memory_order_release);
}

calls_override::~calls_override() {
  detail::current.store(&kernel, std::memory_order_release);
}

}  // namespace annals::io
