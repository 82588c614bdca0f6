// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>
module annals.io.files;

namespace annals::io {

namespace {

constexpr unsigned directory_mode = 0700;
constexpr unsigned permissions = 0777;
constexpr int open_tries = 1000;  // each takes microseconds; somebody may be renaming as fast as that

std::string_view name_of(file_kind kind) noexcept {
  switch (kind) {
    case file_kind::regular: return "a regular file";
    case file_kind::directory: return "a directory";
    case file_kind::symlink: return "a symbolic link";
    case file_kind::other: break;
  }
  return "a FIFO, socket or device";
}

error not_regular(const std::string& path, file_kind found) {
  const bool is_device = parent_of(path) == "/dev" || parent_of(path) == "/dev/fd";
  const std::string_view advice = is_device && found != file_kind::directory
                                      ? ". To log to standard output or standard error, use the sink stderr"
                                  : found == file_kind::symlink ? ". Name the file that it leads to; directories may be links"
                                                                : "";
  return {errc::not_a_regular_file, 0,
          "cannot open '" + path + "': it is " + std::string(name_of(found)) +
              "; expected a regular file (or, to write, nothing yet)" + std::string(advice)};
}

error several_names(const std::string& path, std::uint64_t names) {
  return {errc::not_a_regular_file, 0,
          "cannot open '" + path + "' to write: it has " + std::to_string(names) +
              " names (hard links), and may be another's file, put here by somebody; expected one that has this name alone. "
              "Is the other a backup's? Then a copy in its place helps: cp FILE FILE.new && mv FILE.new FILE"};
}

error open_error(const std::string& path, open_for purpose, int negative_errno) {
  // The kernel's words for these (ELOOP, EISDIR, ENXIO) describe the call; say what stands there instead.
  if (negative_errno == -ELOOP || negative_errno == -EISDIR || negative_errno == -ENXIO) {
    const auto found = status_at(path);
    if (found && *found && (*found)->kind != file_kind::regular) return not_regular(path, (*found)->kind);
  }
  const std::string_view what = purpose == open_for::appending  ? "open for appending"
                                : purpose == open_for::locking  ? "open for locking"
                                : purpose == open_for::creating ? "create"
                                                                : "open";
  return system_error(what, path, negative_errno);
}

// Creates `path` and what is missing above it.
std::optional<error> make_directories(const std::string& path, std::vector<std::string>* grown) {
  std::string parent = parent_of(path);
  const auto make = [&] {
    if (grown != nullptr) grown->reserve(grown->size() + 1);  // what was made is to be known
    return calls().make_directory(path.c_str(), directory_mode);
  };
  int made = make();
  if (made == -ENOENT && parent != path) {
    if (auto failed = make_directories(parent, grown)) return failed;
    made = make();
  }
  if (made == 0 && grown != nullptr) grown->push_back(std::move(parent));
  if (made == 0 || made == -EEXIST) return std::nullopt;
  return system_error("create the directory", path, made);
}

int open_retrying(const std::string& path, open_for purpose, unsigned mode) {
  int fd = -EINTR;
  while (fd == -EINTR) fd = calls().open(path.c_str(), purpose, mode);
  return fd;
}

}  // namespace

file::file(int fd, std::string path, const file_status& identity) noexcept
    : fd_(fd), path_(std::move(path)), identity_(identity) {}

file::file(file&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)), identity_(other.identity_) {}

file& file::operator=(file&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    path_ = std::move(other.path_);
    identity_ = other.identity_;
  }
  return *this;
}

file::~file() {
  close();
}

int file::release() noexcept {
  return std::exchange(fd_, -1);
}

void file::close() noexcept {
  if (fd_ >= 0) detail::close(std::exchange(fd_, -1), identity_);
}

result<file> file::open(const std::string& path, open_for purpose, unsigned mode, std::vector<std::string>* grown) {
  const bool is_written = purpose == open_for::appending || purpose == open_for::locking;
  for (int tries = 0; tries < open_tries; ++tries) {
    int fd = open_retrying(path, purpose, mode);
    if (fd == -ENOENT && is_written) {
      if (auto failed = make_directories(parent_of(path), grown)) return std::move(*failed);
      fd = open_retrying(path, purpose, mode);
    }
    if (fd < 0) return open_error(path, purpose, fd);
    const auto status = detail::status(fd, path);
    if (!status) {
      calls().close(fd);
      return status.error();
    }
    file opened(fd, path, *status);
    if (status->kind != file_kind::regular) return not_regular(path, status->kind);
    if (!is_written || opened.is_alone_at(path)) return opened;
    const auto now = opened.status();
    if (now && now->links > 1) return several_names(path, now->links);
  }
  return error{
      errc::io, 0,
      "cannot open '" + path + "' to write: another file stood there each time it was looked at; expected one to stay"};
}

// Is the name by which it was opened its only one? One who puts a link to another's file at the path may take it away again
// before we look. But a name that is gone never comes back to an open file: so where there was one name, and the one that we
// used is there afterwards, it was that one; but for the microseconds in which the kernel has counted a name's end and not
// taken the name yet. A file without any name is nobody's: to write to it harms nothing.
bool file::is_alone_at(const std::string& path) const {
  const auto held = status();
  if (!held || held->links > 1) return false;
  if (held->links == 0) return true;
  const std::string in_proc = "/proc/self/fd/" + std::to_string(fd_);
  std::string name;
  const int failed = calls().resolve(in_proc.c_str(), name);
  if (failed == 0) return !name.ends_with(" (deleted)");
  if (failed == -ENOENT) {
    const auto proc = status_at(in_proc);
    if (proc && *proc) return false;  // the name leads nowhere
  }
  // Without proc(5), with a path that is too long for the kernel, or with a directory above that we may not search, there is
  // only the name at the path.
  const auto there = status_at(path);
  return there && *there && same_file(**there, *held) && (*there)->links == 1;
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

result<std::size_t> detail::read_at(int fd, const std::string& path, char* bytes, std::size_t count, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < count) {
    const std::int64_t got = calls().read_at(fd, bytes + done, count - done, offset + done);
    if (got == -EINTR) continue;
    if (got < 0) return system_error("read", path, static_cast<int>(got));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

result<std::size_t> file::read_at(char* bytes, std::size_t count, std::uint64_t offset) const {
  return detail::read_at(fd_, path_, bytes, count, offset);
}

result<std::optional<std::uint64_t>> file::next_data(std::uint64_t offset) const {
  const std::int64_t found = calls().next_data(fd_, offset);
  if (found >= 0) return std::optional(std::max(static_cast<std::uint64_t>(found), offset));
  if (found == -ENXIO) return std::optional<std::uint64_t>();
  if (found == -EINVAL || found == -EOPNOTSUPP) return std::optional(offset);
  return system_error("look for data in", path_, static_cast<int>(found));
}

result<std::string> file::read_before(std::uint64_t offset, std::size_t count_max) const {
  std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>(offset, count_max)), '\0');
  auto got = read_at(bytes.data(), bytes.size(), offset - bytes.size());
  if (!got) return std::move(got.error());
  bytes.resize(*got);
  return bytes;
}

result<file_status> detail::status(int fd, const std::string& path) {
  file_status status;
  const int failed = calls().status_of(fd, status);
  if (failed < 0) return system_error("examine", path, failed);
  return status;
}

result<file_status> detail::status(int fd, const std::string& path, const file_status& identity) {
  auto found = status(fd, path);
  if (!found || same_file(*found, identity)) return found;
  error cause = system_error("examine", path, -EBADF);
  cause.message += "; its descriptor was closed, and another file has the number now";
  return cause;
}

bool detail::is_held(int fd, const file_status& identity) noexcept {
  file_status found;
  const int failed = fd < 0 ? -EBADF : calls().status_of(fd, found);
  return failed == 0 ? same_file(found, identity) : failed != -EBADF;
}

void detail::close(int fd, const file_status& identity) noexcept {
  if (is_held(fd, identity)) calls().close(fd);
}

result<file_status> file::status() const {
  return detail::status(fd_, path_, identity_);
}

namespace {

// Never throws: that a sync failed has to be known even where there is no memory for words.
std::optional<error> synced(const std::string& path, int failed) noexcept {
  if (failed == 0) return std::nullopt;
  error cause;
  try {
    cause = system_error("sync", path, failed);
  } catch (const std::exception&) {
    cause.system_code = -failed;
  }
  cause.code = errc::sync_failed;
  return cause;
}

}  // namespace

std::optional<error> file::sync_data() const {
  int failed = is_held() ? -EINTR : -EBADF;
  while (failed == -EINTR) failed = calls().sync_data(fd_);
  return synced(path_, failed);
}

std::optional<error> file::sync_all() const {
  int failed = is_held() ? -EINTR : -EBADF;
  while (failed == -EINTR) failed = calls().sync_all(fd_);
  return synced(path_, failed);
}

std::optional<error> file::make_like(const file_status& like) const {
  const auto now = status();
  if (!now) return now.error();
  // The owner first: a change of owner takes bits of the mode away.
  if (now->owner != like.owner || now->group != like.group) {
    const int failed = calls().set_owner(fd_, like.owner, like.group);
    if (failed < 0) return system_error("give to its owner", path_, failed);
  }
  if (now->mode != (like.mode & permissions)) {
    const int failed = calls().set_mode(fd_, like.mode & permissions);
    if (failed < 0) return system_error("set the mode of", path_, failed);
  }
  return std::nullopt;
}

std::optional<error> file::set_modified(time_point time) const {
  const int failed = calls().set_modified(fd_, time);
  if (failed < 0) return system_error("set the time of", path_, failed);
  return std::nullopt;
}

result<std::optional<file_status>> status_at(const std::string& path) {
  file_status status;
  const int failed = calls().status_at(path.c_str(), status);
  if (failed == -ENOENT || failed == -ENOTDIR) return std::optional<file_status>();
  if (failed < 0) return system_error("examine", path, failed);
  return std::optional<file_status>(status);
}

std::optional<error> rename(const std::string& from, const std::string& to) {
  const int failed = calls().rename(from.c_str(), to.c_str());
  if (failed == 0) return std::nullopt;
  return system_error("rename", from + "' to '" + to, failed);
}

result<bool> remove(const std::string& path) {
  const int failed = calls().remove(path.c_str());
  if (failed == -ENOENT || failed == -ENOTDIR) return false;
  if (failed < 0) return system_error("remove", path, failed);
  return true;
}

result<space_status> space_at(const std::string& path) {
  space_status space;
  std::string asked = path;
  int failed = calls().space_at(asked.c_str(), space);
  while (failed == -ENOENT && parent_of(asked) != asked) {
    asked = parent_of(asked);
    failed = calls().space_at(asked.c_str(), space);
  }
  if (failed < 0) return system_error("ask for the free space at", path, failed);
  return space;
}

result<std::optional<std::string>> read_file(const std::string& path, std::size_t bytes_max) {
  const auto found = status_at(path);
  if (!found) return found.error();
  if (!*found) return std::optional<std::string>();
  auto opened = file::open(path, open_for::reading);
  if (!opened) return std::move(opened.error());
  std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>((*found)->bytes, bytes_max)) + 1, '\0');
  const auto got = opened->read_at(bytes.data(), bytes.size(), 0);
  if (!got) return got.error();
  if (*got > bytes_max) {
    return error{errc::invalid_argument, 0,
                 "cannot read '" + path + "': it is larger than the " + std::to_string(bytes_max) + " bytes expected"};
  }
  bytes.resize(*got);
  return std::optional<std::string>(std::move(bytes));
}

std::optional<error> replace_file(const std::string& path, std::string_view bytes, const file_status& like) {
  constexpr unsigned mode = 0600;  // until the file has its owner
  const std::string temporary = path + ".tmp";
  auto made = file::open(temporary, open_for::creating, mode);
  if (!made && made.error().system_code == EEXIST) {  // of one that died
    if (auto removed = remove(temporary); !removed) return std::move(removed.error());
    made = file::open(temporary, open_for::creating, mode);
  }
  if (!made) return std::move(made.error());
  std::size_t appended = 0;
  std::optional<error> failed = made->make_like(like);
  if (failed) {
    (void)remove(temporary);
    return failed;
  }
  if (const int wrote = bytes.empty() ? 0 : made->append(bytes, appended); wrote != 0) {
    failed = system_error("write", temporary, wrote == file::interleaved ? -EIO : wrote);
  }
  if (!failed) failed = made->sync_data();
  if (!failed) failed = rename(temporary, path);
  if (failed) {
    (void)remove(temporary);
    return failed;
  }
  return sync_directory(parent_of(path));
}

std::optional<error> create_like(const std::string& path, const file_status& like) {
  constexpr unsigned mode = 0600;  // until the file has its owner
  auto made = file::open(path, open_for::creating, mode);
  if (!made && made.error().system_code == EEXIST) return std::nullopt;
  if (!made) return std::move(made.error());
  auto failed = made->make_like(like);
  if (failed) (void)remove(path);
  return failed;
}

result<std::string> absolute(std::string path) {
  if (path.empty() || path.front() == '/') return path;
  std::string directory;
  const int failed = calls().resolve(".", directory);
  if (failed < 0) {
    error cause = system_error("find the working directory, to which this path is relative:", path, failed);
    cause.message += "; expected an absolute path, or a working directory that exists";
    return cause;
  }
  return directory + (directory.ends_with('/') ? "" : "/") + path;
}

root_mark::root_mark() noexcept {
  file_status found;
  if (calls().status_at("/", found) == 0) root_ = found;
}

bool root_mark::has_changed() const noexcept {
  file_status found;
  return root_ && calls().status_at("/", found) == 0 && !same_file(found, *root_);
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

std::optional<error> sync_directories(std::vector<std::string>& paths) {
  for (; !paths.empty(); paths.pop_back()) {
    if (auto failed = sync_directory(paths.back())) return failed;
  }
  return std::nullopt;
}

result<std::string> resolved(const std::string& path) {
  std::string found;
  const int failed = calls().resolve(path.c_str(), found);
  if (failed < 0) return system_error("find", path, failed);
  return found;
}

result<std::vector<std::string>> list_directory(const std::string& path, std::string_view prefix, std::size_t names_max) {
  std::vector<std::string> names;
  const int failed = calls().list_directory(path.c_str(), prefix, names_max, names);
  if (failed == -ENOENT || failed == -ENOTDIR) return std::vector<std::string>();
  if (failed == -EOVERFLOW) {
    return error{errc::io, EOVERFLOW,
                 "cannot list the directory '" + path + "': more than " + std::to_string(names_max) + " names" +
                     (prefix.empty() ? "" : " begin with '" + std::string(prefix) + "'") + "; expected fewer"};
  }
  if (failed < 0) return system_error("list the directory", path, failed);
  return names;
}

}  // namespace annals::io
