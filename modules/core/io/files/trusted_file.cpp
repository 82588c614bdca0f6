// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
module annals.io.files;
import annals.event.text;

namespace annals::io {

namespace {

constexpr unsigned writable_by_others = 0022;
constexpr unsigned sticky = 01000;

error untrusted(std::string message) {
  return {errc::invalid_argument, 0, std::move(message)};
}

std::string octal(unsigned mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", mode);
  return text;
}

std::string user(std::uint32_t id) {
  return id == 0 ? "root" : "user " + std::to_string(id);
}

// Why what stands at `path` is not to be trusted, or nothing.
std::optional<error> judge(const std::string& path, const file_status& found, std::uint32_t us) {
  if (found.kind == file_kind::symlink) {
    return error{errc::not_a_regular_file, 0, "'" + path + "' is a symbolic link; expected the path that it leads to"};
  }
  if (found.owner != 0 && found.owner != us) {
    return untrusted("'" + path + "' belongs to " + user(found.owner) + "; expected root" +
                     (us == 0 ? std::string(", who runs this") : " or " + user(us) + ", who runs this") +
                     ": whoever owns it could replace it. As root: chown root " + shell_quoted(path));
  }
  const bool guarded = found.kind == file_kind::directory && (found.mode & sticky) != 0;
  if ((found.mode & writable_by_others) != 0 && !guarded) {
    return untrusted("'" + path + "' is writable by others than its owner (mode " + octal(found.mode) +
                     "); expected that only its owner can write to it: chmod go-w " + shell_quoted(path));
  }
  return std::nullopt;
}

// A descriptor that closes itself.
class held_descriptor {
 public:
  explicit held_descriptor(int fd) noexcept : fd_(fd) {}
  ~held_descriptor() {
    if (fd_ >= 0) calls().close(fd_);
  }
  held_descriptor(const held_descriptor&) = delete;
  held_descriptor& operator=(const held_descriptor&) = delete;
  int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }
  void replace(int fd) noexcept {
    if (fd_ >= 0) calls().close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

int open_in_retrying(int directory, const std::string& name, open_for purpose) {
  int fd = -EINTR;
  while (fd == -EINTR) fd = calls().open_in(directory, name.c_str(), purpose);
  return fd;
}

// What stands behind the descriptor, if it is to be trusted and of this kind.
result<file_status> trusted_status(int fd, const std::string& path, file_kind expected, std::uint32_t us) {
  file_status found;
  const int failed = calls().status_of(fd, found);
  if (failed < 0) return system_error("examine", path, failed);
  if (auto bad = judge(path, found, us)) return std::move(*bad);
  if (found.kind == expected) return found;
  if (expected == file_kind::directory) return system_error("open", path, -ENOTDIR);
  return error{errc::not_a_regular_file, 0,
               "'" + path + "' is " + (found.kind == file_kind::directory ? "a directory" : "a FIFO, socket or device") +
                   "; expected a regular file"};
}

}  // namespace

result<file> file::open_trusted(const std::string& path) {
  if (path.empty() || path.front() != '/' || path.find('\0') != std::string::npos) {
    return untrusted("the path '" + path + "' is not absolute; expected one that begins with '/' and contains no NUL byte");
  }
  const std::uint32_t us = calls().effective_user();
  int root = -EINTR;
  while (root == -EINTR) root = calls().open("/", open_for::examining, 0);
  if (root < 0) return system_error("open", "/", root);
  held_descriptor at(root);
  if (auto bad = trusted_status(at.get(), "/", file_kind::directory, us); !bad) return std::move(bad.error());
  for (std::size_t begin = path.find_first_not_of('/');;) {
    if (begin == std::string::npos) return trusted_status(at.get(), path, file_kind::regular, us).error();
    const std::size_t end = path.find('/', begin);
    const std::string name = path.substr(begin, end == std::string::npos ? end : end - begin);
    const std::string upto = path.substr(0, end);
    begin = path.find_first_not_of('/', end);
    const bool last = end == std::string::npos;
    held_descriptor seen(open_in_retrying(at.get(), name, open_for::examining));
    if (seen.get() < 0) return system_error("open", upto, seen.get());
    const file_kind expected = last ? file_kind::regular : file_kind::directory;
    if (auto bad = trusted_status(seen.get(), upto, expected, us); !bad) return std::move(bad.error());
    if (!last) {
      at.replace(seen.release());
      continue;
    }
    // Between the two somebody may have put another file there: what counts is the one that is open now.
    held_descriptor opened(open_in_retrying(at.get(), name, open_for::reading));
    if (opened.get() < 0) return system_error("open", path, opened.get());
    const auto status = trusted_status(opened.get(), path, file_kind::regular, us);
    if (!status) return status.error();
    return file(opened.release(), path, *status);
  }
}

std::string file::path_in_proc() const {
  static std::atomic<std::uint64_t> calls_made = 0;
  std::string path = "/proc/self/fd/";
  // The number of the call, in detours that lead nowhere: "./" is 0, ".//" is 1.
  for (std::uint64_t n = calls_made.fetch_add(1, std::memory_order_relaxed); n != 0; n >>= 1) {
    path += (n & 1) != 0 ? ".//" : "./";
  }
  return path + std::to_string(fd_);
}

}  // namespace annals::io
