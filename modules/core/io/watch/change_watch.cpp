// SPDX-License-Identifier: Apache-2.0
module;
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.io.watch;
import annals.io.files;
import annals.io.process;
#include "hub.h"

namespace annals::io {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::uint32_t directory_events =
    IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

constexpr std::uint32_t watch_is_lost = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT;

// Errors that mean that the system has no more instances, watches, descriptors or memory, or no inotify.
bool is_limit(int failed) noexcept {
  return failed == -EMFILE || failed == -ENFILE || failed == -ENOSPC || failed == -ENOMEM || failed == -ENOSYS ||
         failed == -EPERM;
}

// A number that files do not get that are opened after a daemon closed all descriptors.
int out_of_reach(int fd) noexcept {
  constexpr int high = 512;
  const int moved = fd < 0 ? -1 : ::fcntl(fd, F_DUPFD_CLOEXEC, high);
  if (moved < 0) return fd;
  ::close(fd);
  return moved;
}

}  // namespace

// --- the instance of the process ------------------------------------------------------------------------------------------

watch_hub& watch_hub::current() {
  static std::atomic<watch_hub*> made = nullptr;
  const unsigned here = fork_count();
  watch_hub* found = made.load();
  if (found != nullptr && found->made_in_ == here) return *found;
  auto* const fresh = new watch_hub(here);
  if (made.compare_exchange_strong(found, fresh)) return *fresh;
  delete fresh;  // another thread has made one
  return *found;
}

bool watch_hub::is_held() const noexcept {
  struct ::stat now;
  return inotify_ >= 0 && ::fstat(inotify_, &now) == 0 && now.st_dev == identity_.st_dev && now.st_ino == identity_.st_ino;
}

int watch_hub::open() noexcept {
  if (is_held()) return 0;
  lose();
  inotify_ = out_of_reach(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (inotify_ < 0) return -errno;
  ::fstat(inotify_, &identity_);
  return 0;
}

// The descriptor was closed by another part of the process, or never opened. What happened since is unknown.
void watch_hub::lose() noexcept {
  inotify_ = -1;
  for (change_watch* const one : armed_) {
    one->watch_ = -1;
    one->is_lost_ = one->has_changed_ = true;
    rouse(*one);
  }
}

int watch_hub::add(change_watch& one, const std::string& directory, bool is_exact) noexcept try {
  const std::lock_guard lock(mutex_);
  if (const int failed = open(); failed < 0) return failed;
  armed_.reserve(armed_.size() + 1);
  const int watch = ::inotify_add_watch(inotify_, directory.c_str(), directory_events);
  if (watch < 0) return -errno;
  one.watch_ = watch;
  one.is_exact_ = is_exact;
  one.is_lost_ = false;
  armed_.push_back(&one);
  return 0;
} catch (const std::exception&) {
  return -ENOMEM;
}

void watch_hub::remove(change_watch& one) noexcept {
  const std::lock_guard lock(mutex_);
  if (std::erase(armed_, &one) == 0) return;
  const int watch = std::exchange(one.watch_, -1);
  const bool is_shared = std::any_of(armed_.begin(), armed_.end(), [&](const auto* other) { return other->watch_ == watch; });
  if (watch >= 0 && !is_shared && is_held()) ::inotify_rm_watch(inotify_, watch);
}

bool watch_hub::is_lost(const change_watch& one) noexcept {
  const std::lock_guard lock(mutex_);
  return one.is_lost_;
}

// Another part of the process can close the descriptor, and another file can have its number.
bool watch_hub::is_wake_held(const change_watch& one, int wake) noexcept {
  struct ::stat now;
  return wake >= 0 && ::fstat(wake, &now) == 0 && now.st_dev == one.wake_device_ && now.st_ino == one.wake_inode_;
}

void watch_hub::make_wake(change_watch& one) noexcept {
  struct ::stat made = {};
  const int wake = out_of_reach(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (wake >= 0) ::fstat(wake, &made);
  one.wake_device_ = made.st_dev;
  one.wake_inode_ = made.st_ino;
  one.wake_ = wake;
}

void watch_hub::close_wake(change_watch& one) noexcept {
  const int wake = one.wake_.exchange(-1);
  if (is_wake_held(one, wake)) ::close(wake);
}

void watch_hub::rouse(const change_watch& one) noexcept {
  const std::uint64_t count = 1;
  const int wake = one.wake_.load();
  if (is_wake_held(one, wake)) (void)!::write(wake, &count, sizeof count);
}

// Notes what an event means for the objects, and wakes them. With the lock.
void watch_hub::take(const inotify_event& event, std::string_view name) noexcept {
  for (change_watch* const one : armed_) {
    const bool is_overflow = (event.mask & IN_Q_OVERFLOW) != 0;
    if (!is_overflow && event.wd != one->watch_) continue;
    const bool is_end = (event.mask & watch_is_lost) != 0;
    if (!is_overflow && !is_end && one->is_exact_ && name != one->name_) continue;
    if (!is_overflow && is_end) one->is_lost_ = true;
    if (!std::exchange(one->has_changed_, true) && one != leader_) rouse(*one);
  }
}

// Reads the queued notifications. With the lock.
void watch_hub::dispatch() noexcept {
  alignas(inotify_event) char buffer[16 * (sizeof(inotify_event) + NAME_MAX + 1)];
  if (!is_held()) return lose();
  for (;;) {
    const ssize_t bytes = ::read(inotify_, buffer, sizeof buffer);
    if (bytes <= 0) return;
    for (const char* at = buffer; at < buffer + bytes;) {
      inotify_event event;
      std::memcpy(&event, at, sizeof event);
      take(event, event.len == 0 ? "" : at + sizeof event);
      at += sizeof event + event.len;
    }
  }
}

// Another thread leads from now on. With the lock.
void watch_hub::leave(change_watch& one) noexcept {
  std::erase(waiting_, &one);
  if (leader_ != &one) return;
  leader_ = nullptr;
  if (!waiting_.empty()) rouse(*waiting_.front());
}

int watch_hub::wait(change_watch& one, std::optional<clock::time_point> deadline) noexcept {
  for (;;) {
    bool leads = false;
    int instance = -1;
    {
      const std::lock_guard lock(mutex_);
      const bool is_over = deadline && clock::now() >= *deadline;
      const bool is_done = std::exchange(one.has_changed_, false) || one.is_woken_.exchange(false) || is_over;
      if (!is_done && std::find(waiting_.begin(), waiting_.end(), &one) == waiting_.end()) {
        try {
          waiting_.push_back(&one);
        } catch (const std::exception&) {
          return -ENOMEM;
        }
      }
      if (is_done) {
        leave(one);
        return 0;
      }
      if (leader_ == nullptr && inotify_ >= 0) leader_ = &one;
      leads = leader_ == &one;
      instance = inotify_;
    }
    int wait_ms = -1;
    if (deadline) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - clock::now()).count();
      wait_ms = static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000'000));
    }
    const int wake = one.wake_.load();
    pollfd polled[2] = {{wake, POLLIN, 0}, {instance, POLLIN, 0}};
    const int ready = ::poll(polled, leads ? 2 : 1, wait_ms);
    const int failed = ready < 0 && errno != EINTR ? -errno : 0;
    const bool is_wake_lost = ready > 0 && polled[0].revents != 0 && !is_wake_held(one, wake);
    if (ready > 0 && polled[0].revents != 0 && !is_wake_lost) {
      std::uint64_t count = 0;
      (void)!::read(wake, &count, sizeof count);
    }
    const std::lock_guard lock(mutex_);
    if (leads && ready > 0 && polled[1].revents != 0) dispatch();
    if (is_wake_lost) make_wake(one);
    if (failed != 0) {
      leave(one);
      return failed;
    }
  }
}

// --- one object --------------------------------------------------------------------------------------------------------------

change_watch::change_watch(std::string path) : path_(std::move(path)), directory_(parent_of(path_)) {
  name_ = path_.substr(path_.rfind('/') + 1);  // npos + 1 is 0
  watch_hub::make_wake(*this);
  (void)arm();  // an error occurs again, and is reported, in wait()
}

change_watch::~change_watch() {
  if (hub_ != nullptr && hub_ == &watch_hub::current()) hub_->remove(*this);
  watch_hub::close_wake(*this);
}

// Watches the file's directory, or the nearest one above it that exists. Leaves `armed_` empty where the system has reached a
// limit.
std::optional<error> change_watch::arm() {
  watch_hub& hub = watch_hub::current();
  if (hub_ == &hub) hub.remove(*this);
  hub_ = &hub;
  armed_.clear();
  std::string directory = directory_;
  for (;;) {
    const auto status = status_at(directory);  // before the watch: should it be replaced between, the next wait sees it
    const int failed = hub.add(*this, directory, directory == directory_);
    if (failed == 0) {
      armed_ = directory;
      armed_identity_ = status && *status ? **status : file_status{};
      if (directory == directory_) return std::nullopt;
      // A directory below may have come into being before the watch did: then begin again.
      std::string below = directory_;
      while (parent_of(below) != directory && parent_of(below) != below) below = parent_of(below);
      const auto status_below = status_at(below);
      if (!status_below || !*status_below || (*status_below)->kind != file_kind::directory) return std::nullopt;
      hub.remove(*this);
      armed_.clear();
      directory = directory_;
      continue;
    }
    if (is_limit(failed)) return std::nullopt;
    const std::string parent = parent_of(directory);
    if ((failed != -ENOENT && failed != -ENOTDIR) || parent == directory) {
      return system_error("watch the directory", directory, failed);
    }
    directory = parent;
  }
}

// Sets `is_new` when another directory is watched than before: what happened there before is unknown.
std::optional<error> change_watch::arm_if_needed(bool& is_new) {
  const auto at_directory = status_at(directory_);
  if (armed_ == directory_ && at_directory && (!*at_directory || !same_file(**at_directory, armed_identity_))) armed_.clear();
  if (hub_ != &watch_hub::current() || hub_->is_lost(*this)) armed_.clear();
  if (armed_ == directory_) return std::nullopt;
  const std::string before = armed_;
  auto failed = arm();
  is_new = armed_ != before;
  return failed;
}

std::optional<error> change_watch::wait(std::optional<std::chrono::milliseconds> timeout) {
  std::optional<clock::time_point> deadline;
  if (timeout) deadline = clock::now() + *timeout;
  bool is_new = false;
  if (auto failed = arm_if_needed(is_new)) return failed;
  if (is_new) return std::nullopt;
  if (wake_ < 0) watch_hub::make_wake(*this);
  if (armed_.empty() || wake_ < 0) {
    const auto next_look = clock::now() + poll_interval;
    deadline = deadline ? std::min(*deadline, next_look) : next_look;
  }
  const int failed = hub_->wait(*this, deadline);
  if (failed != 0) return system_error("wait for changes of", path_, failed);
  return std::nullopt;
}

void change_watch::wake() noexcept {
  is_woken_.store(true);
  watch_hub::rouse(*this);
}

}  // namespace annals::io
