// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>
module annals.io.owned_file;

namespace annals::io {

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

owned_file& owned_file::operator=(owned_file&& other) noexcept {
  if (this != &other) {
    if (is_open() && !is_inherited()) unlock();
    file_ = std::move(other.file_);
    path_ = std::move(other.path_);
    identity_ = other.identity_;
  }
  return *this;
}

owned_file::~owned_file() {
  if (is_open() && !is_inherited()) unlock();
}

result<owned_file> owned_file::open(const std::string& path, unsigned mode, std::vector<std::string>* grown) {
  auto opened = lock_file::open(path, mode, grown);
  if (!opened) return std::move(opened.error());
  owned_file made;
  made.file_ = std::move(*opened);
  made.path_ = path;
  const auto status = made.file_.status();
  if (!status) return status.error();
  made.identity_ = *status;
  return made;
}

result<std::optional<owned_file>> owned_file::take(const std::string& path, unsigned mode, std::chrono::nanoseconds wait,
                                                   std::vector<std::string>* grown) {
  for (patience others(wait); others.wait();) {
    auto opened = open(path, mode, grown);
    if (!opened) return std::move(opened.error());
    const auto locked = opened->lock();
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

result<bool> owned_file::lock(std::chrono::nanoseconds wait) {
  for (patience others(wait);;) {
    const int failed = file_.lock();
    if (failed == 0) return true;
    if (failed != -EWOULDBLOCK) return system_error("lock", path_, failed);
    if (wait.count() == 0 || !others.wait()) return false;
  }
}

result<std::optional<file_status>> owned_file::status_in_place() const {
  auto there = status_at(path_);
  if (there && *there && !same_file(**there, identity_)) return std::optional<file_status>();
  return there;
}

result<std::string> owned_file::set_aside() const {
  std::string when = to_string(timestamp{calls().now(), precision::microseconds});
  std::replace(when.begin(), when.end(), ':', '-');
  std::string aside = path_ + ".damaged-" + when.substr(0, when.find('+'));
  if (auto failed = rename(path_, aside)) return std::move(*failed);
  return aside;
}

}  // namespace annals::io
