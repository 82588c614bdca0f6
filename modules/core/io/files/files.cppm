// SPDX-License-Identifier: Apache-2.0
//
// annals.io.files: regular files and directories. Errors name what was attempted, the file, and what the system reported.
module;
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
export module annals.io.files;
import annals.event;
import annals.io.calls;

// What file and owned_file share. `identity` is the status of the file when it was opened.
export namespace annals::io::detail {

result<std::size_t> read_at(int fd, const std::string& path, char* bytes, std::size_t count, std::uint64_t offset);
result<file_status> status(int fd, const std::string& path);
result<file_status> status(int fd, const std::string& path, const file_status& identity);  // EBADF: another file's
bool is_held(int fd, const file_status& identity) noexcept;
// Closes the descriptor unless it is another file's.
void close(int fd, const file_status& identity) noexcept;

}  // namespace annals::io::detail

export namespace annals::io {

// Another part of the process can close a descriptor that it does not know (a daemon closes all), and another file can get its
// number. So status(), sync_data() and sync_all() fail with EBADF when the descriptor is not that of the opened file any more,
// and close() leaves another file open.

// An open regular file. Movable; closes in its destructor. Not thread-safe, except read_at() and status().
class file {
 public:
  // The system wrote the bytes in parts, and another process appended between two parts.
  static constexpr int interleaved = -0x10000;

  file() noexcept = default;
  file(file&& other) noexcept;
  file& operator=(file&& other) noexcept;
  ~file();

  // Opens a regular file. Refuses symbolic links, and for writing also files with a second name (not_a_regular_file). For
  // appending and locking, creates a missing file with `mode` and missing parent directories with 0700; `grown`, if given, then
  // gets the directories in which those were created. The caller has to sync them.
  static result<file> open(const std::string& path, open_for purpose, unsigned mode = 0600,
                           std::vector<std::string>* grown = nullptr);

  // Opens a regular file for reading if only root and the effective user can change the file or the path. The path has to be
  // absolute and without symbolic links. The file and every directory above it have to belong to one of the two users, and only
  // the owner can write to them; a directory with the sticky bit can be writable, since others cannot rename or remove its
  // files. Errors: io, not_a_regular_file, invalid_argument; the message says what to do.
  static result<file> open_trusted(const std::string& path);

  inline bool is_open() const noexcept { return fd_ >= 0; }

  // A path in /proc/self/fd with which this process can open the same file, even if the original path names another file now.
  // Every call returns another text, so a cache keyed by path cannot mistake it for an earlier file. Valid until close().
  std::string path_in_proc() const;

  // Appends all bytes, with further writes when the system interrupts or shortens one. Returns 0, -errno or `interleaved`.
  // After an error, `appended` bytes are in the file. One system call in the normal case. `bytes` must not be empty.
  inline int append(std::string_view bytes, std::size_t& appended) noexcept {
    const std::int64_t wrote = calls().write(fd_, bytes.data(), bytes.size());
    appended = wrote > 0 ? static_cast<std::size_t>(wrote) : 0;
    return appended == bytes.size() ? 0 : append_rest(bytes, appended, wrote);
  }

  // Reads up to `count` bytes at `offset`; fewer only at the end of the file. Returns the count, or an error.
  result<std::size_t> read_at(char* bytes, std::size_t count, std::uint64_t offset) const;

  // Up to `count_max` bytes that end at `offset`.
  result<std::string> read_before(std::uint64_t offset, std::size_t count_max) const;

  // The offset of the first byte at or behind `offset` that is not in a hole of a sparse file; nothing when only a hole
  // follows. `offset` itself where the file system does not know.
  result<std::optional<std::uint64_t>> next_data(std::uint64_t offset) const;

  result<file_status> status() const;
  // Whether the descriptor is still that of the opened file. One system call.
  inline bool is_held() const noexcept { return detail::is_held(fd_, identity_); }
  // Sets the time of the last change.
  std::optional<error> set_modified(time_point time) const;
  std::optional<error> sync_data() const;
  std::optional<error> sync_all() const;  // with mode, owner and times

  // Sets the permissions, owner and group to those of `like` where they differ. Never sets the set-user-ID, set-group-ID and
  // sticky bits. Only root can set any owner.
  std::optional<error> make_like(const file_status& like) const;
  void close() noexcept;
  inline int descriptor() const noexcept { return fd_; }  // -1: none
  // Returns the descriptor, which the caller has to close.
  int release() noexcept;

 private:
  file(int fd, std::string path, const file_status& identity) noexcept;
  bool is_alone_at(const std::string& path) const;
  int append_rest(std::string_view bytes, std::size_t& appended, std::int64_t wrote) noexcept;
  int fd_ = -1;
  std::string path_;
  file_status identity_;
};

// The status of the file at `path` (of a symbolic link itself); nothing when the path does not exist.
result<std::optional<file_status>> status_at(const std::string& path);

// Replaces an existing file at `to`.
std::optional<error> rename(const std::string& from, const std::string& to);

// Renames the file that `expected` describes; fails with EEXIST when `to` exists, and with ESTALE when `from` names another
// file by now: then that file keeps its name. Both directories are opened once, so a directory that is replaced during the call
// does not lead it elsewhere.
std::optional<error> rename_new(const std::string& from, const std::string& to, const file_status& expected);

// Removes a file. False when it did not exist.
result<bool> remove(const std::string& path);

// Removes the file that `expected` describes. False when it did not exist; fails with ESTALE when the path names another file
// by now.
result<bool> remove(const std::string& path, const file_status& expected);

// The space on the file system of `path`; of the nearest existing directory above it when the path does not exist.
result<space_status> space_at(const std::string& path);

// All bytes of a regular file; nothing when it does not exist; an error when it has more than `bytes_max`.
result<std::optional<std::string>> read_file(const std::string& path, std::size_t bytes_max);

// Replaces the file at `path` atomically and durably, through the temporary file `<path>.tmp`. The new file has the mode, owner
// and group of `like`. Only one process at a time may call this for a path.
std::optional<error> replace_file(const std::string& path, std::string_view bytes, const file_status& like);

// Creates an empty file with the mode, owner and group of `like`. Changes nothing when the path exists. A file that cannot get
// this owner is removed again: its owner could not open it.
std::optional<error> create_like(const std::string& path, const file_status& like);

// `path`, joined to the working directory if it is relative: it names the same place after chdir(2). An empty one stays empty.
result<std::string> absolute(std::string path);

// Remembers the root directory of the process. Any thread.
class root_mark {
 public:
  root_mark() noexcept;
  // Whether the process has another root directory now (chroot(2), pivot_root(2)), so that no path leads where it did. False
  // where that is unknown.
  bool has_changed() const noexcept;

 private:
  std::optional<file_status> root_;
};

// The directory part of `path`; "." when it has none.
std::string parent_of(const std::string& path);

// fsync(2) of a directory: makes creations and renames in it durable.
std::optional<error> sync_directory(const std::string& path);
// Syncs each directory, and removes it from the list when that succeeded.
std::optional<error> sync_directories(std::vector<std::string>& paths);

// `path` without symbolic links, realpath(3).
result<std::string> resolved(const std::string& path);

// The names in a directory that begin with `prefix`, unordered; an empty list when the directory does not exist. An error when
// they are more than `names_max`, so that a directory of any size takes little memory.
result<std::vector<std::string>> list_directory(const std::string& path, std::string_view prefix = {},
                                                std::size_t names_max = 100'000);

}  // namespace annals::io
