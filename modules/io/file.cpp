// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>
module annals.io;

namespace annals::io {

namespace {

constexpr unsigned directory_mode = 0700;

error not_regular(const std::string& path, std::string_view found) {
  return {errc::not_a_regular_file, 0,
          "cannot open '" + path + "': it is " + std::string(found) + "; expected a regular file (or, to write, nothing yet)"};
}

std::string_view name_of(file_kind kind) noexcept {
  switch (kind) {
    case file_kind::regular: return "a regular file";
    case file_kind::directory: return "a directory";
    case file_kind::symlink: return "a symbolic link";
    case file_kind::other: break;
  }
  return "a FIFO, socket or device";
}

error open_error(const std::string& path, open_for purpose, int negative_errno) {
  // The kernel's words for these (ELOOP, EISDIR, ENXIO) describe the call; say what stands there instead.
  if (negative_errno == -ELOOP || negative_errno == -EISDIR || negative_errno == -ENXIO) {
    const auto found = status_at(path);
    if (found && *found && (*found)->kind != file_kind::regular) return not_regular(path, name_of((*found)->kind));
  }
  return system_error(purpose == open_for::appending ? "open for appending" : "open", path, negative_errno);
}

// Creates `path` and what is missing above it.
std::optional<error> make_directories(const std::string& path, std::vector<std::string>* grown) {
  const std::string parent = parent_of(path);
  int made = calls().make_directory(path.c_str(), directory_mode);
  if (made == -ENOENT && parent != path) {
    if (auto failed = make_directories(parent, grown)) return failed;
    made = calls().make_directory(path.c_str(), directory_mode);
  }
  if (made == 0 && grown != nullptr) grown->push_back(parent);
  if (made == 0 || made == -EEXIST) return std::nullopt;
  return system_error("create the directory", path, made);
}

int open_retrying(const std::string& path, open_for purpose, unsigned mode) {
  int fd = -EINTR;
  while (fd == -EINTR) fd = calls().open(path.c_str(), purpose, mode);
  return fd;
}

}  // namespace

error system_error(std::string_view what, std::string_view path, int negative_errno) {
  return {errc::io, -negative_errno,
          "cannot " + std::string(what) + " '" + std::string(path) + "': " + std::generic_category().message(-negative_errno)};
}

file::file(int fd, std::string path) noexcept : fd_(fd), path_(std::move(path)) {}

file::file(file&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

file& file::operator=(file&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    path_ = std::move(other.path_);
  }
  return *this;
}

file::~file() {
  close();
}

void file::close() noexcept {
  if (fd_ >= 0) calls().close(std::exchange(fd_, -1));
}

result<file> file::open(const std::string& path, open_for purpose, unsigned mode, std::vector<std::string>* grown) {
  int fd = open_retrying(path, purpose, mode);
  if (fd == -ENOENT && purpose == open_for::appending) {
    if (auto failed = make_directories(parent_of(path), grown)) return std::move(*failed);
    fd = open_retrying(path, purpose, mode);
  }
  if (fd < 0) return open_error(path, purpose, fd);
  file opened(fd, path);
  const auto status = opened.status();
  if (!status) return status.error();
  if (status->kind != file_kind::regular) return not_regular(path, name_of(status->kind));
  return opened;
}

// `wrote` is what the first write returned: a part of the bytes, or an error.
int file::append_rest(std::string_view bytes, std::size_t& appended, std::int64_t wrote) noexcept {
  std::int64_t behind = -1;  // where the bytes written so far end
  for (;;) {
    if (wrote == 0) return -EIO;  // write(2) that neither writes nor fails: do not spin on it
    if (wrote < 0 && wrote != -EINTR) return static_cast<int>(wrote);
    if (wrote > 0) {
      const std::int64_t now = calls().offset_of(fd_);
      if (now < 0) return static_cast<int>(now);
      if (behind >= 0 && now != behind + wrote) return interleaved;
      behind = now;
    }
    if (appended == bytes.size()) return 0;
    wrote = calls().write(fd_, bytes.data() + appended, bytes.size() - appended);
    if (wrote > 0) appended += static_cast<std::size_t>(wrote);
  }
}

result<std::size_t> file::read_at(char* bytes, std::size_t count, std::uint64_t offset) const {
  std::size_t done = 0;
  while (done < count) {
    const std::int64_t got = calls().read_at(fd_, bytes + done, count - done, offset + done);
    if (got == -EINTR) continue;
    if (got < 0) return system_error("read", path_, static_cast<int>(got));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

result<std::string> file::read_before(std::uint64_t offset, std::size_t count_max) const {
  std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>(offset, count_max)), '\0');
  auto got = read_at(bytes.data(), bytes.size(), offset - bytes.size());
  if (!got) return std::move(got.error());
  bytes.resize(*got);
  return bytes;
}

result<file_status> file::status() const {
  file_status status;
  const int failed = calls().status_of(fd_, status);
  if (failed < 0) return system_error("examine", path_, failed);
  return status;
}

std::optional<error> file::sync_data() const {
  int failed = -EINTR;
  while (failed == -EINTR) failed = calls().sync_data(fd_);
  if (failed == 0) return std::nullopt;
  error cause = system_error("sync", path_, failed);
  cause.code = errc::sync_failed;
  return cause;
}

result<std::optional<file_status>> status_at(const std::string& path) {
  file_status status;
  const int failed = calls().status_at(path.c_str(), status);
  if (failed == -ENOENT || failed == -ENOTDIR) return std::optional<file_status>();
  if (failed < 0) return system_error("examine", path, failed);
  return std::optional<file_status>(status);
}

std::string parent_of(const std::string& path) {
  const std::size_t last = path.find_last_not_of('/');
  const std::size_t slash = last == std::string::npos ? 0 : path.rfind('/', last);
  if (last == std::string::npos) return "/";
  if (slash == std::string::npos) return ".";
  const std::size_t end = path.find_last_not_of('/', slash);
  return end == std::string::npos ? "/" : path.substr(0, end + 1);
}

std::optional<error> sync_directory(const std::string& path) {
  const int fd = open_retrying(path, open_for::syncing, 0);
  if (fd < 0) return system_error("open the directory", path, fd);
  const int failed = calls().sync_all(fd);
  calls().close(fd);
  if (failed == 0) return std::nullopt;
  error cause = system_error("sync the directory", path, failed);
  cause.code = errc::sync_failed;
  return cause;
}

result<std::vector<std::string>> list_directory(const std::string& path) {
  std::vector<std::string> names;
  const int failed = calls().list_directory(path.c_str(), names);
  if (failed == -ENOENT || failed == -ENOTDIR) return std::vector<std::string>();
  if (failed < 0) return system_error("list the directory", path, failed);
  return names;
}

}  // namespace annals::io
