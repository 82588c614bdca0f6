// SPDX-License-Identifier: Apache-2.0
module;
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
module annals.io.watch;
import annals.io.files;

namespace annals::io {

namespace {

constexpr std::uint32_t directory_events =
    IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

constexpr std::uint32_t watch_is_lost = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT;

}  // namespace

change_watch::change_watch(std::string path) : path_(std::move(path)), directory_(parent_of(path_)) {
  name_ = path_.substr(path_.rfind('/') + 1);  // npos + 1 is 0
  wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  inotify_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (inotify_ < 0 || wake_ < 0) open_errno_ = errno;
  (void)arm();  // what fails here fails again, and is reported, in wait
}

change_watch::~change_watch() {
  if (inotify_ >= 0) ::close(inotify_);
  if (wake_ >= 0) ::close(wake_);
}

int change_watch::add_watch(const std::string& directory) noexcept {
  const int watch = ::inotify_add_watch(inotify_, directory.c_str(), directory_events);
  return watch < 0 ? -errno : watch;
}

// Watches the file's directory, or the nearest one above it that exists.
std::optional<error> change_watch::arm() {
  if (inotify_ < 0 || wake_ < 0) {
    return system_error("get an inotify instance (see fs.inotify.max_user_instances, and the limit of open files) to follow",
                        path_, -open_errno_);
  }
  if (watch_ >= 0) ::inotify_rm_watch(inotify_, std::exchange(watch_, -1));
  armed_.clear();
  std::string directory = directory_;
  for (;;) {
    const auto status = status_at(directory);  // before the watch: should it be replaced between, the next wait sees it
    const int watch = add_watch(directory);
    if (watch >= 0) {
      watch_ = watch;
      armed_ = directory;
      armed_identity_ = status && *status ? **status : file_status{};
      if (directory == directory_) return std::nullopt;
      // A directory below may have come into being before the watch did: then begin again.
      std::string below = directory_;
      while (parent_of(below) != directory && parent_of(below) != below) below = parent_of(below);
      const auto status_below = status_at(below);
      if (!status_below || !*status_below || (*status_below)->kind != file_kind::directory) return std::nullopt;
      ::inotify_rm_watch(inotify_, std::exchange(watch_, -1));
      directory = directory_;
      continue;
    }
    const std::string parent = parent_of(directory);
    if ((watch != -ENOENT && watch != -ENOTDIR) || parent == directory) {
      return system_error("watch (see fs.inotify.max_user_watches) the directory", directory, watch);
    }
    directory = parent;
  }
}

// Reads the queued notifications. True if one of them may concern the file.
bool change_watch::concerns_us() {
  bool concerns = false;
  alignas(inotify_event) char buffer[16 * (sizeof(inotify_event) + NAME_MAX + 1)];
  for (;;) {
    const ssize_t bytes = ::read(inotify_, buffer, sizeof buffer);
    if (bytes <= 0) return concerns;
    for (const char* at = buffer; at < buffer + bytes;) {
      inotify_event event;
      std::memcpy(&event, at, sizeof event);
      const std::string_view name(event.len == 0 ? "" : at + sizeof event);
      at += sizeof event + event.len;
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        concerns = true;
      } else if (event.wd != watch_) {
        continue;  // of a watch already given up
      } else if ((event.mask & watch_is_lost) != 0) {
        armed_.clear();
        concerns = true;
      } else if (armed_ != directory_ || name == name_) {
        concerns = true;
      }
    }
  }
}

std::optional<error> change_watch::wait(std::optional<std::chrono::milliseconds> timeout) {
  using clock = std::chrono::steady_clock;
  const auto deadline = clock::now() + timeout.value_or(std::chrono::milliseconds(0));
  const auto at_directory = status_at(directory_);
  if (armed_ == directory_ && at_directory && (!*at_directory || !same_file(**at_directory, armed_identity_))) armed_.clear();
  if (armed_ != directory_) {
    const std::string before = armed_;
    if (auto failed = arm()) return failed;
    if (armed_ != before) return std::nullopt;  // what happened there before we looked is unknown
  }
  for (;;) {
    int wait_ms = -1;
    if (timeout) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now()).count();
      wait_ms = static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000'000));
    }
    pollfd polled[2] = {{inotify_, POLLIN, 0}, {wake_, POLLIN, 0}};
    const int ready = ::poll(polled, 2, wait_ms);
    if (ready < 0 && errno != EINTR) return system_error("wait for changes of", path_, -errno);
    if (ready < 0) continue;
    if (ready == 0) return std::nullopt;
    if (polled[1].revents != 0) {
      std::uint64_t count = 0;
      (void)!::read(wake_, &count, sizeof count);
      return std::nullopt;
    }
    if (concerns_us()) return std::nullopt;
  }
}

void change_watch::wake() noexcept {
  const std::uint64_t one = 1;
  (void)!::write(wake_, &one, sizeof one);
}

}  // namespace annals::io
