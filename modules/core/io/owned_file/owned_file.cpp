// SPDX-License-Identifier: Apache-2.0
module;
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>
module annals.io.owned_file;
import annals.io.files;

namespace annals::io {

namespace {

// The descriptors that a child of fork(2) closes at once. The handlers of a fork take no lock: other handlers of the process
// wait for locks whose holders may be opening one of these files.
struct private_descriptors {
  static constexpr std::size_t count_max = 4096;
  static constexpr int changing = -1;

  std::array<std::atomic<int>, count_max> kept{};  // descriptor + 1; 0: free
  std::array<file_status, count_max> identities{};
  std::atomic<std::size_t> used = 0;  // entries from here on are free
  std::atomic<unsigned> forks_begun = 0;
  std::atomic<unsigned> forks_ended = 0;

  int add(int fd, const file_status& identity) noexcept {
    for (std::size_t i = 0; i < count_max; ++i) {
      int free = 0;
      if (!kept[i].compare_exchange_strong(free, changing)) continue;
      identities[i] = identity;
      kept[i].store(fd + 1);
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
    struct ::stat found;  // directly: a test's system calls may take locks
    const file_status& kept = registry.identities[i];
    if (fd >= 0 && ::fstat(fd, &found) == 0 && found.st_dev == kept.device && found.st_ino == kept.inode) ::close(fd);
  }
  registry.forks_ended.store(registry.forks_begun.load());
}

// Registered when the library is loaded. A fork that began before a registration does not run the handlers, so a registration
// with the first lock could miss a child, which would keep the lock.
const int not_watching_forks = at_fork(before_fork, after_fork_in_parent, after_fork_in_child);

}  // namespace

owned_file::owned_file(owned_file&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      fork_count_(other.fork_count_),
      doubtful_(other.doubtful_),
      locked_(other.locked_),
      is_writable_(other.is_writable_),
      locked_bytes_(std::move(other.locked_bytes_)),
      path_(std::move(other.path_)),
      identity_(other.identity_) {}

owned_file& owned_file::operator=(owned_file&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    fork_count_ = other.fork_count_;
    doubtful_ = other.doubtful_;
    locked_ = other.locked_;
    is_writable_ = other.is_writable_;
    locked_bytes_ = std::move(other.locked_bytes_);
    path_ = std::move(other.path_);
    identity_ = other.identity_;
  }
  return *this;
}

owned_file::~owned_file() {
  close();
}

void owned_file::close() noexcept {
  const int fd = std::exchange(fd_, -1);
  if (fd < 0 || is_inherited()) return;  // closed in a child already, where the number may be used again
  registry.remove(fd);
  if (!detail::is_held(fd, identity_)) return;
  if (locked_) calls().lock(fd, false);
  calls().close(fd);
}

bool owned_file::is_held() const noexcept {
  return detail::is_held(fd_, identity_);
}

std::optional<error> owned_file::hold_again() {
  if (is_held()) return std::nullopt;
  const auto fail = [this](std::string_view why) {
    return error{
        errc::io, EBADF,
        "cannot use '" + path_ + "' any more: another part of this process closed its descriptor, and " + std::string(why)};
  };
  registry.remove(fd_);
  fd_ = -1;
  int fd = -EINTR;
  while (fd == -EINTR) fd = calls().open_in(AT_FDCWD, path_.c_str(), is_writable_ ? open_for::locking : open_for::reading);
  if (fd < 0) return fail(system_error("open again", path_, fd).message);
  const auto found = detail::status(fd, path_);
  int failed = found && same_file(*found, identity_) ? registry.add(fd, identity_) : -ESTALE;
  if (failed < 0) {
    calls().close(fd);
    return fail(failed == -ESTALE ? "its path names another file now" : "there are too many locked files");
  }
  fd_ = fd;
  fork_count_ = io::fork_count();
  if (locked_) failed = lock();
  for (std::size_t i = 0; failed == 0 && i < locked_bytes_.size(); ++i) failed = calls().lock_byte(fd_, locked_bytes_[i]);
  if (failed == 0) return std::nullopt;
  locked_ = false;
  close();
  return fail("another process has locked the file since");
}

// --- opening and taking
// -------------------------------------------------------------------------------------------------------

result<owned_file> owned_file::open_for_purpose(const std::string& path, open_for purpose, unsigned mode,
                                                std::vector<std::string>* grown) {
  if (not_watching_forks < 0) return system_error("watch for forks, to lock", path, not_watching_forks);
  const unsigned ended = registry.forks_ended.load();
  auto opened = file::open(path, purpose, mode, grown);
  if (!opened) return std::move(opened.error());
  const auto status = opened->status();
  if (!status) return status.error();
  owned_file made;
  made.path_ = path;
  made.identity_ = *status;
  made.is_writable_ = purpose == open_for::locking;
  made.fork_count_ = io::fork_count();
  if (const int failed = registry.add(opened->descriptor(), *status); failed < 0) {
    return system_error("keep from children, to lock,", path, failed);
  }
  made.fd_ = opened->release();
  made.doubtful_ = registry.forks_begun.load() != ended;
  return made;
}

result<std::optional<owned_file>> owned_file::take_for_purpose(const std::string& path, open_for purpose, unsigned mode,
                                                               std::chrono::nanoseconds wait, std::vector<std::string>* grown) {
  for (patience others(wait); others.wait();) {
    auto opened = open_for_purpose(path, purpose, mode, grown);
    if (!opened) return std::move(opened.error());
    const auto locked = opened->try_lock();
    if (!locked) return locked.error();
    if (!*locked) {
      if (wait.count() == 0) break;
      continue;
    }
    if (opened->is_doubtful()) continue;
    const auto there = opened->status_in_place();
    if (!there) return there.error();
    if (*there) return std::optional<owned_file>(std::move(*opened));
  }
  return std::optional<owned_file>();
}

result<owned_file> owned_file::open(const std::string& path, unsigned mode, std::vector<std::string>* grown) {
  return open_for_purpose(path, open_for::locking, mode, grown);
}

result<std::optional<owned_file>> owned_file::take(const std::string& path, unsigned mode, std::chrono::nanoseconds wait,
                                                   std::vector<std::string>* grown) {
  return take_for_purpose(path, open_for::locking, mode, wait, grown);
}

result<std::optional<owned_file>> owned_file::take_existing(const std::string& path) {
  return take_for_purpose(path, open_for::reading, 0, {}, nullptr);
}

result<owned_file> owned_file::open_existing(const std::string& path) {
  return open_for_purpose(path, open_for::reading, 0, nullptr);
}

// --- locks
// --------------------------------------------------------------------------------------------------------------------

bool patience::wait() {
  constexpr std::chrono::microseconds pause_max{1000};
  if (looks_++ < looks_at_once) return true;
  const auto now = std::chrono::steady_clock::now();
  if (!deadline_) deadline_ = now + limit_;
  if (now >= *deadline_) return false;
  std::this_thread::sleep_for(pause_);
  pause_ = std::min(pause_ * 2, pause_max);
  return true;
}

result<bool> owned_file::try_lock(std::chrono::nanoseconds wait) {
  for (patience others(wait);;) {
    const int failed = lock();
    if (failed == 0) return true;
    if (failed != -EWOULDBLOCK) return system_error("lock", path_, failed);
    if (wait.count() == 0 || !others.wait()) return false;
  }
}

int owned_file::lock() noexcept {
  int failed = is_held() ? -EINTR : -EBADF;
  while (failed == -EINTR) failed = calls().lock(fd_, true);
  locked_ = locked_ || failed == 0;
  return failed;
}

void owned_file::unlock() noexcept {
  if (is_held()) (void)calls().lock(fd_, false);
  locked_ = false;
}

int owned_file::lock_byte(std::uint64_t offset) noexcept try {
  locked_bytes_.reserve(locked_bytes_.size() + 1);
  const int failed = is_held() ? calls().lock_byte(fd_, offset) : -EBADF;
  if (failed == 0) locked_bytes_.push_back(offset);
  return failed;
} catch (const std::exception&) {
  return -ENOMEM;
}

result<bool> owned_file::is_byte_locked(std::uint64_t offset) const {
  const int locked = calls().is_byte_locked(fd_, offset);
  if (locked < 0) return system_error("ask for the locks of", path_, locked);
  return locked != 0;
}

result<file_status> owned_file::status() const {
  return detail::status(fd_, path_, identity_);
}

std::optional<error> owned_file::allocate(std::uint64_t bytes) {
  int failed = -EINTR;
  while (failed == -EINTR) failed = calls().allocate(fd_, bytes);
  if (failed < 0) return system_error("allocate " + std::to_string(bytes) + " bytes for", path_, failed);
  return std::nullopt;
}

std::optional<error> owned_file::sync_data() {
  int failed = is_held() ? -EINTR : -EBADF;
  while (failed == -EINTR) failed = calls().sync_data(fd_);
  if (failed == 0) return std::nullopt;
  error cause = system_error("sync", path_, failed);
  cause.code = errc::sync_failed;
  return cause;
}

std::optional<error> owned_file::write_at(std::string_view bytes, std::uint64_t offset) {
  if (!is_held()) return system_error("write to", path_, -EBADF);
  while (!bytes.empty()) {
    const std::int64_t wrote = calls().write_at(fd_, bytes.data(), bytes.size(), offset);
    if (wrote == -EINTR) continue;
    if (wrote <= 0) return system_error("write to", path_, wrote == 0 ? -EIO : static_cast<int>(wrote));
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
    offset += static_cast<std::uint64_t>(wrote);
  }
  return std::nullopt;
}

result<std::size_t> owned_file::read_at(char* bytes, std::size_t count, std::uint64_t offset) const {
  return detail::read_at(fd_, path_, bytes, count, offset);
}

std::optional<error> owned_file::give_to(std::uint32_t owner, std::uint32_t group) {
  const auto now = status();
  if (!now) return now.error();
  if (now->owner == owner && now->group == group) return std::nullopt;
  const int failed = calls().set_owner(fd_, owner, group);
  if (failed < 0) return system_error("give to the log's owner", path_, failed);
  return std::nullopt;
}

// --- the path
// -----------------------------------------------------------------------------------------------------------------

result<std::optional<file_status>> owned_file::status_in_place() const {
  auto there = status_at(path_);
  if (there && *there && !same_file(**there, identity_)) return std::optional<file_status>();
  return there;
}

result<std::optional<std::string>> owned_file::set_aside() const {
  const auto there = status_in_place();
  if (!there) return there.error();
  if (!*there) return std::optional<std::string>();
  std::string when = to_string(timestamp{calls().now(), precision::microseconds});
  std::replace(when.begin(), when.end(), ':', '-');
  std::string aside = path_ + ".damaged-" + when.substr(0, when.find('+'));
  if (auto failed = rename_new(path_, aside, identity_)) return std::move(*failed);
  return std::optional(std::move(aside));
}

std::optional<error> owned_file::remove_in_place() const {
  auto there = status_in_place();
  if (!there) return std::move(there.error());
  if (!*there) return std::nullopt;
  auto removed = remove(path_, identity_);
  if (!removed && removed.error().system_code != ESTALE) return std::move(removed.error());
  return std::nullopt;
}

std::optional<error> owned_file::make_private() {
  const auto now = status();
  if (!now) return now.error();
  if ((now->mode & 0077U) == 0) return std::nullopt;
  const int failed = calls().set_mode(fd_, now->mode & 0700U);
  if (failed < 0) return system_error("make private", path_, failed);
  return std::nullopt;
}

std::optional<std::string> fault_of_owner(const file_status& status) {
  const std::uint32_t user = calls().effective_user();
  if (status.owner != 0 && status.owner != user) {
    return "it belongs to user " + std::to_string(status.owner) + "; expected root" +
           (user == 0 ? "" : " or user " + std::to_string(user));
  }
  if ((status.mode & 0022U) == 0) return std::nullopt;
  const unsigned bits = status.mode & 0777U;
  return "users other than its owner can write to it (mode 0" + std::to_string(bits >> 6 & 7U) +
         std::to_string(bits >> 3 & 7U) + std::to_string(bits & 7U) + ")";
}

}  // namespace annals::io
