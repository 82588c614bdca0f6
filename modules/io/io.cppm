// SPDX-License-Identifier: Apache-2.0
//
// annals.io: files, directories, watches and clocks; the only place with POSIX calls.
//
// `system_calls` is the seam: every call that touches a file or a clock goes through it, so a test can replace it and make
// the third write fail. `file`, `change_watch` and the functions below are what the other modules use; their errors name
// what was attempted, the file, and what the system said.
module;
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
export module annals.io;
import annals.event;

export namespace annals::io {

// --- the seam ---------------------------------------------------------------------------------------------------------

enum class file_kind : std::uint8_t { regular, directory, symlink, other };

// What fstat(2) and lstat(2) say. `device` and `inode` together name the file.
struct file_status {
  file_kind kind = file_kind::other;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t bytes = 0;
  std::uint64_t links = 0;
  unsigned mode = 0;        // the permission bits, 07777
  std::uint32_t owner = 0;  // user id
};

inline bool same_file(const file_status& a, const file_status& b) noexcept {
  return a.device == b.device && a.inode == b.inode;
}

enum class open_for : std::uint8_t {
  reading,    // O_RDONLY
  appending,  // O_RDWR | O_APPEND | O_CREAT: the tail of the file is read before it is appended to
  syncing,    // O_RDONLY | O_DIRECTORY
  examining,  // O_PATH: for its status, and to open what is in it; nothing is waited for, no device is touched
};

// One virtual function for each system call. All return a value >= 0, or -errno. The base class calls the kernel.
// May be called from any thread.
class system_calls {
 public:
  virtual ~system_calls();
  virtual int open(const char* path, open_for purpose, unsigned mode) noexcept;     // with O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK
  virtual int open_in(int directory, const char* name, open_for purpose) noexcept;  // openat(2), likewise; creates nothing
  virtual int close(int fd) noexcept;
  virtual std::int64_t write(int fd, const char* bytes, std::size_t count) noexcept;
  virtual std::int64_t offset_of(int fd) noexcept;  // lseek(2): behind the bytes written last
  virtual std::int64_t read_at(int fd, char* bytes, std::size_t count, std::uint64_t offset) noexcept;
  virtual int sync_data(int fd) noexcept;                                 // fdatasync(2)
  virtual int sync_all(int fd) noexcept;                                  // fsync(2)
  virtual int status_of(int fd, file_status& status) noexcept;            // fstat(2)
  virtual int status_at(const char* path, file_status& status) noexcept;  // lstat(2): links are not followed
  virtual int make_directory(const char* path, unsigned mode) noexcept;   // mkdir(2)
  virtual int list_directory(const char* path, std::vector<std::string>& names) noexcept;
  virtual std::uint32_t effective_user() noexcept;     // geteuid(2)
  virtual time_point now() noexcept;                   // CLOCK_REALTIME
  virtual std::chrono::nanoseconds uptime() noexcept;  // CLOCK_MONOTONIC_COARSE: a few ns to read, a few ms exact
};

namespace detail {
extern std::atomic<system_calls*> current;
}
inline system_calls& calls() noexcept {
  return *detail::current.load(std::memory_order_acquire);
}

// Replaces the system calls of the whole process while it lives. For tests; not to be nested, begun or ended while another
// thread is inside the library.
class calls_override {
 public:
  explicit calls_override(system_calls& replacement) noexcept;
  ~calls_override();
  calls_override(const calls_override&) = delete;
  calls_override& operator=(const calls_override&) = delete;
};

// --- errors -------------------------------------------------------------------------------------------------------------

// "cannot WHAT 'PATH': what the system said". `negative_errno` is what a system call returned.
error system_error(std::string_view what, std::string_view path, int negative_errno);

// --- files --------------------------------------------------------------------------------------------------------------

// An open regular file. Movable; closes in its destructor. Not for concurrent use, but for read_at and status.
class file {
 public:
  // The system took the bytes in parts, and another process appended between two of them: they do not stand together.
  static constexpr int interleaved = -0x10000;

  file() noexcept = default;
  file(file&& other) noexcept;
  file& operator=(file&& other) noexcept;
  ~file();

  // Opens `path`, which must be a regular file and no symbolic link (not_a_regular_file). For appending, it is created with
  // `mode` where it is missing, and missing parent directories with 0700: `grown`, when not null, then gets the directories
  // in which those were created, to be synced.
  static result<file> open(const std::string& path, open_for purpose, unsigned mode = 0600,
                           std::vector<std::string>* grown = nullptr);

  // Opens the regular file at `path` for reading, if nobody but root and the effective user can change it, or have changed
  // what stands at the path: the path is absolute and leads through no symbolic link, and the file and every directory above it
  // belong to one of the two and are writable by their owner alone (a directory with the sticky bit, in which others can
  // neither rename nor remove what is not theirs, may be writable). Errors: io, not_a_regular_file, invalid_argument with what
  // to do.
  static result<file> open_trusted(const std::string& path);

  bool is_open() const noexcept { return fd_ >= 0; }

  // A path by which this process can open the very file, whatever stands where it was opened: in /proc/self/fd. No two calls
  // give the same text, so nothing that remembers paths takes it for an earlier one. Valid until close().
  std::string path_in_proc() const;

  // Appends all bytes, however often the system interrupts or shortens the write. On an error some of the bytes may be in
  // the file: `appended` says how many. Returns 0 or -errno, or `interleaved`; one system call when nothing goes wrong.
  // `bytes` is not empty.
  inline int append(std::string_view bytes, std::size_t& appended) noexcept {
    const std::int64_t wrote = calls().write(fd_, bytes.data(), bytes.size());
    appended = wrote > 0 ? static_cast<std::size_t>(wrote) : 0;
    return appended == bytes.size() ? 0 : append_rest(bytes, appended, wrote);
  }

  // Reads up to `count` bytes at `offset`; fewer only at the end of the file. Returns the count, or an error.
  result<std::size_t> read_at(char* bytes, std::size_t count, std::uint64_t offset) const;

  // The up to `count_max` bytes that end at `offset`.
  result<std::string> read_before(std::uint64_t offset, std::size_t count_max) const;

  result<file_status> status() const;
  std::optional<error> sync_data() const;
  void close() noexcept;

 private:
  file(int fd, std::string path) noexcept;
  int append_rest(std::string_view bytes, std::size_t& appended, std::int64_t wrote) noexcept;
  int fd_ = -1;
  std::string path_;
};

// The status of what stands at `path` (of a link itself), nothing where nothing stands, or an error.
result<std::optional<file_status>> status_at(const std::string& path);

// The directory part of `path`, "." where there is none.
std::string parent_of(const std::string& path);

// fsync of a directory, so that creations and renames in it are durable.
std::optional<error> sync_directory(const std::string& path);

// The names in a directory, in no order; an empty list where there is no such directory.
result<std::vector<std::string>> list_directory(const std::string& path);

// Prints "annals: MESSAGE" to standard error, if that takes it now: the process is neither kept waiting nor killed (SIGPIPE).
void print_error(std::string_view message) noexcept;

// Has these called around every fork(2) of the process from now on, as pthread_atfork(3) does: `prepare` before, in the
// forking thread, the others after, in parent and child. 0 or -errno.
int at_fork(void (*prepare)(), void (*parent)(), void (*child)()) noexcept;

// --- waiting for changes ----------------------------------------------------------------------------------------------------

// Waits until something happens at a path: a file there is written, created, renamed, removed. Uses inotify(7) on the
// file's directory (on the nearest existing one above, while that is missing); no polling.
class change_watch {
 public:
  explicit change_watch(std::string path);
  ~change_watch();
  change_watch(const change_watch&) = delete;
  change_watch& operator=(const change_watch&) = delete;

  // Returns once something may have changed since the last call (or the constructor), after `timeout` (nothing: no limit),
  // or after wake(). An error only where the system has no more inotify watches or descriptors to give.
  std::optional<error> wait(std::optional<std::chrono::milliseconds> timeout);

  // Makes the present or the next wait return. The one function that another thread may call; async-signal-safe.
  void wake() noexcept;

 private:
  std::optional<error> arm();
  int add_watch(const std::string& directory) noexcept;
  bool concerns_us();

  std::string path_;
  std::string directory_;  // where the file stands, or will
  std::string name_;       // its name there
  std::string armed_;      // the directory that is being watched; empty: none
  file_status armed_identity_;
  int inotify_ = -1;
  int watch_ = -1;
  int wake_ = -1;
  int open_errno_ = 0;
};

}  // namespace annals::io
