// SPDX-License-Identifier: Apache-2.0
//
// Renaming and removing a file that was examined before. By its path alone, that could be another file by now: somebody who can
// write a directory on the way may have replaced the file, or the directory.
module;
#include <cerrno>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
module annals.io.files;

namespace annals::io {

namespace {

// The directory of a path, held open.
class held_directory {
 public:
  explicit held_directory(const std::string& path) : name_(path.substr(path.rfind('/') + 1)) {  // npos + 1 is 0
    // The trailing "/." follows a directory that is a symbolic link, as a path through it does.
    const std::string directory = parent_of(path) + "/.";
    while (fd_ == -EINTR) fd_ = calls().open(directory.c_str(), open_for::examining, 0);
  }
  ~held_directory() {
    if (fd_ >= 0) calls().close(fd_);
  }
  held_directory(const held_directory&) = delete;
  held_directory& operator=(const held_directory&) = delete;

  int fd() const noexcept { return fd_; }  // or -errno
  const char* name() const noexcept { return name_.c_str(); }

  // 0; -ESTALE when the name is another file's; -errno.
  int check(const file_status& expected) const noexcept {
    file_status found;
    const int failed = calls().status_in(fd_, name(), found);
    if (failed < 0) return failed;
    return same_file(found, expected) ? 0 : -ESTALE;
  }

 private:
  std::string name_;
  int fd_ = -EINTR;
};

error stale(std::string_view what, const std::string& path) {
  return {errc::io, ESTALE,
          "cannot " + std::string(what) + " '" + path + "': another file has taken its place since it was examined"};
}

error rename_error(const std::string& from, const std::string& to, int failed) {
  const std::string both = from + "' to '" + to;
  if (failed == -ESTALE) return stale("rename", both);
  error cause = system_error("rename", both, failed);
  if (failed == -EINVAL) {
    cause.message += "; expected a file system that can rename without replacing (renameat2(2), RENAME_NOREPLACE)";
  }
  return cause;
}

}  // namespace

std::optional<error> rename_new(const std::string& from, const std::string& to, const file_status& expected) {
  const held_directory source(from);
  const held_directory target(to);
  if (source.fd() < 0) return rename_error(from, to, source.fd());
  if (target.fd() < 0) return rename_error(from, to, target.fd());
  if (const int failed = source.check(expected); failed < 0) return rename_error(from, to, failed);
  const int failed = calls().rename_new_in(source.fd(), source.name(), target.fd(), target.name());
  if (failed < 0) return rename_error(from, to, failed);
  // Between the check and the renaming somebody may have put another file at the name.
  if (target.check(expected) != -ESTALE) return std::nullopt;
  error cause = rename_error(from, to, -ESTALE);
  if (calls().rename_new_in(target.fd(), target.name(), source.fd(), source.name()) < 0) {
    cause.message += "; that file is at '" + to + "' now, and could not be renamed back";
  }
  return cause;
}

result<bool> remove(const std::string& path, const file_status& expected) {
  const held_directory holding(path);
  int failed = holding.fd();
  if (failed >= 0) failed = holding.check(expected);
  if (failed == 0) failed = calls().remove_in(holding.fd(), holding.name());
  if (failed == -ENOENT || failed == -ENOTDIR) return false;
  if (failed == -ESTALE) return stale("remove", path);
  if (failed < 0) return system_error("remove", path, failed);
  return true;
}

}  // namespace annals::io
