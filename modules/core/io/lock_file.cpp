// SPDX-License-Identifier: Apache-2.0
module;
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.io;

namespace annals::io {

namespace {

std::atomic<unsigned> last_fork_count = 1;

}  // namespace

std::atomic<unsigned>* detail::fork_mark = &last_fork_count;

// In a child, by the first who asks; no number is given twice.
unsigned detail::count_fork() noexcept {
  const unsigned next = last_fork_count.fetch_add(1) + 1;
  unsigned count = 0;
  return fork_mark->compare_exchange_strong(count, next) ? next : count;
}

namespace {

// Where the system has no such pages, what runs around a fork has to do.
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

const bool has_fork_mark = mark_forks();

// The descriptors that a child of fork(2) closes at once. What runs around a fork takes no lock: other handlers of the process
// wait for locks there whose holders may be in the middle of opening a lock file.
struct private_descriptors {
  static constexpr std::size_t count_max = 4096;

  std::array<std::atomic<int>, count_max> kept{};  // descriptor + 1; 0: free
  std::atomic<std::size_t> used = 0;               // no descriptor stands at or beyond this
  std::atomic<unsigned> forks_begun = 0;
  std::atomic<unsigned> forks_ended = 0;

  int add(int fd) noexcept {
    for (std::size_t i = 0; i < count_max; ++i) {
      int free = 0;
      if (!kept[i].compare_exchange_strong(free, fd + 1)) continue;
      std::size_t before = used.load();
      while (before < i + 1 && !used.compare_exchange_weak(before, i + 1)) continue;
      return 0;
    }
    return -EMFILE;
  }
  void remove(int fd) noexcept {
    for (std::size_t i = 0; i < used.load(); ++i) {
      int found = fd + 1;
      if (kept[i].compare_exchange_strong(found, 0)) return;
    }
  }
};

private_descriptors registry;

void before_fork() noexcept {
  registry.forks_begun.fetch_add(1);
}

void after_fork_in_parent() noexcept {
  registry.forks_ended.fetch_add(1);
}

void after_fork_in_child() noexcept {
  for (std::size_t i = 0; i < registry.used.load(); ++i) {
    const int fd = registry.kept[i].exchange(0) - 1;
    if (fd >= 0) ::close(fd);
  }
  registry.forks_ended.store(registry.forks_begun.load());
  if (!has_fork_mark) last_fork_count.fetch_add(1);
}

// From the loading of the library on. Not from the first lock on: of a fork that had begun by then, nothing here would hear,
// and its child would take the lock for its own.
const int not_watching_forks = at_fork(before_fork, after_fork_in_parent, after_fork_in_child);

}  // namespace

lock_file::lock_file(lock_file&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      fork_count_(other.fork_count_),
      doubtful_(other.doubtful_),
      path_(std::move(other.path_)) {}

lock_file& lock_file::operator=(lock_file&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    fork_count_ = other.fork_count_;
    doubtful_ = other.doubtful_;
    path_ = std::move(other.path_);
  }
  return *this;
}

lock_file::~lock_file() {
  close();
}

void lock_file::close() noexcept {
  const int fd = std::exchange(fd_, -1);
  if (fd < 0 || is_inherited()) return;  // in a child it is closed, and the number may be another's by now
  registry.remove(fd);
  calls().close(fd);
}

result<lock_file> lock_file::open(const std::string& path, unsigned mode, std::vector<std::string>* grown) {
  if (not_watching_forks < 0) return system_error("watch for forks, to lock", path, not_watching_forks);
  const unsigned ended = registry.forks_ended.load();
  auto opened = file::open(path, open_for::locking, mode, grown);
  if (!opened) return std::move(opened.error());
  lock_file made;
  made.path_ = path;
  made.fork_count_ = io::fork_count();
  if (const int failed = registry.add(opened->fd_); failed < 0)
    return system_error("keep from children, to lock,", path, failed);
  made.fd_ = std::exchange(opened->fd_, -1);
  made.doubtful_ = registry.forks_begun.load() != ended;
  return made;
}

int lock_file::lock() noexcept {
  int failed = -EINTR;
  while (failed == -EINTR) failed = calls().lock(fd_, true);
  return failed;
}

void lock_file::unlock() noexcept {
  (void)calls().lock(fd_, false);
}

int lock_file::lock_byte(std::uint64_t offset) noexcept {
  return calls().lock_byte(fd_, offset);
}

result<bool> lock_file::is_byte_locked(std::uint64_t offset) const {
  const int locked = calls().is_byte_locked(fd_, offset);
  if (locked < 0) return system_error("ask for the locks of", path_, locked);
  return locked != 0;
}

result<file_status> lock_file::status() const {
  return detail::status(fd_, path_);
}

std::optional<error> lock_file::allocate(std::uint64_t bytes) {
  int failed = -EINTR;
  while (failed == -EINTR) failed = calls().allocate(fd_, bytes);
  if (failed < 0) return system_error("allocate " + std::to_string(bytes) + " bytes for", path_, failed);
  return std::nullopt;
}

std::optional<error> lock_file::sync_data() {
  int failed = -EINTR;
  while (failed == -EINTR) failed = calls().sync_data(fd_);
  if (failed == 0) return std::nullopt;
  error cause = system_error("sync", path_, failed);
  cause.code = errc::sync_failed;
  return cause;
}

std::optional<error> lock_file::write_at(std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const std::int64_t wrote = calls().write_at(fd_, bytes.data(), bytes.size(), offset);
    if (wrote == -EINTR) continue;
    if (wrote <= 0) return system_error("write to", path_, wrote == 0 ? -EIO : static_cast<int>(wrote));
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
    offset += static_cast<std::uint64_t>(wrote);
  }
  return std::nullopt;
}

result<std::size_t> lock_file::read_at(char* bytes, std::size_t count, std::uint64_t offset) const {
  return detail::read_at(fd_, path_, bytes, count, offset);
}

std::optional<error> lock_file::give_to(std::uint32_t owner, std::uint32_t group) {
  const auto now = status();
  if (!now) return now.error();
  if (now->owner == owner && now->group == group) return std::nullopt;
  const int failed = calls().set_owner(fd_, owner, group);
  if (failed < 0) return system_error("give to the log's owner", path_, failed);
  return std::nullopt;
}

mapping::mapping(mapping&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

mapping& mapping::operator=(mapping&& other) noexcept {
  if (this != &other) {
    if (memory_ != nullptr) ::munmap(memory_, bytes_);
    memory_ = std::exchange(other.memory_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

mapping::~mapping() {
  if (memory_ != nullptr) ::munmap(memory_, bytes_);
}

result<mapping> mapping::of(const std::string& path, std::size_t bytes, const file_status& expected) {
  auto opened = file::open(path, open_for::locking);
  if (!opened) return std::move(opened.error());
  const auto status = opened->status();
  if (!status) return status.error();
  if (!same_file(*status, expected) || status->bytes < bytes) {
    return error{errc::io, 0, "cannot map '" + path + "': it was replaced or cut at this moment"};
  }
  mapping made;
  const int failed = calls().map_shared(opened->fd_, bytes, made.memory_);
  if (failed < 0) return system_error("map", path, failed);
  made.bytes_ = bytes;
  return made;
}

}  // namespace annals::io
