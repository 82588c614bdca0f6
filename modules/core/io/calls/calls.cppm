// SPDX-License-Identifier: Apache-2.0
//
// annals.io.calls: the system calls of the library, in one class that tests replace to make the third write fail.
module;
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>
export module annals.io.calls;
import annals.event;

export namespace annals::io {

enum class file_kind : std::uint8_t { regular, directory, symlink, other };

// The result of fstat(2) and lstat(2). `device` and `inode` together identify the file.
struct file_status {
  file_kind kind = file_kind::other;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t bytes = 0;
  std::uint64_t links = 0;
  unsigned mode = 0;         // the permission bits, 07777
  std::uint32_t owner = 0;   // user id
  std::uint32_t group = 0;   // group id
  time_point modified = {};  // last change of the content
  time_point changed = {};   // last change of the content, name, mode or owner
};

// The result of statvfs(3) for a file system, in bytes. `available` is the part of `free` that ordinary users can use.
struct space_status {
  std::uint64_t total = 0;
  std::uint64_t free = 0;
  std::uint64_t available = 0;
};

inline bool same_file(const file_status& a, const file_status& b) noexcept {
  return a.device == b.device && a.inode == b.inode;
}

enum class open_for : std::uint8_t {
  reading,    // O_RDONLY
  appending,  // O_RDWR | O_APPEND, and O_CREAT if it is missing: a writer reads the end of the file before it appends
  creating,   // O_RDWR | O_APPEND | O_CREAT | O_EXCL: the path must not exist
  syncing,    // O_RDONLY | O_DIRECTORY
  examining,  // O_PATH: for the status, and to open files in a directory; never blocks, does not open devices
  locking,    // O_RDWR, and O_CREAT if it is missing: to lock the file and to map it
};

// One virtual function for each system call. All return a value >= 0, or -errno. The base class calls the kernel. Any thread.
class system_calls {
 public:
  virtual ~system_calls();
  // open(2) with O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK. An existing file is opened without O_CREAT: fs.protected_regular(5)
  // refuses O_CREAT for another user's file in a directory with the sticky bit. The number is high where the limits allow it,
  // except to create, sync or examine: when a program closes all descriptors, the files that it opens next do not get it.
  virtual int open(const char* path, open_for purpose, unsigned mode) noexcept;
  virtual int open_in(int directory, const char* name,
                      open_for purpose) noexcept;  // openat(2), with the same flags; never creates
  virtual int close(int fd) noexcept;
  virtual std::int64_t write(int fd, const char* bytes, std::size_t count) noexcept;
  virtual std::int64_t offset_of(int fd) noexcept;  // lseek(2): the offset after the last bytes written
  virtual std::int64_t read_at(int fd, char* bytes, std::size_t count, std::uint64_t offset) noexcept;
  virtual std::int64_t next_data(int fd,
                                 std::uint64_t offset) noexcept;  // lseek(2), SEEK_DATA: -ENXIO when only a hole follows
  virtual int sync_data(int fd) noexcept;                         // fdatasync(2)
  virtual int sync_all(int fd) noexcept;                          // fsync(2)
  virtual int status_of(int fd, file_status& status) noexcept;    // fstat(2)
  virtual int status_at(const char* path, file_status& status) noexcept;  // lstat(2): links are not followed
  virtual int make_directory(const char* path, unsigned mode) noexcept;   // mkdir(2)
  // Only the names that begin with `prefix`. -EOVERFLOW when they are more than `names_max`.
  virtual int list_directory(const char* path, std::string_view prefix, std::size_t names_max,
                             std::vector<std::string>& names) noexcept;
  virtual int resolve(const char* path, std::string& resolved) noexcept;  // realpath(3)
  virtual int rename(const char* from, const char* to) noexcept;          // rename(2): replaces `to`
  virtual int remove(const char* path) noexcept;                          // unlink(2)
  virtual int space_at(const char* path, space_status& space) noexcept;   // statvfs(3)
  virtual std::int64_t write_at(int fd, const char* bytes, std::size_t count, std::uint64_t offset) noexcept;
  virtual int set_mode(int fd, unsigned mode) noexcept;                              // fchmod(2)
  virtual int set_owner(int fd, std::uint32_t owner, std::uint32_t group) noexcept;  // fchown(2)
  virtual int set_modified(int fd, time_point time) noexcept;                        // futimens(2); keeps the time of reading
  // In open directories, whatever their paths name by now: fstatat(2) of the name itself, renameat2(2) with RENAME_NOREPLACE,
  // unlinkat(2).
  virtual int status_in(int directory, const char* name, file_status& status) noexcept;
  virtual int rename_new_in(int from_directory, const char* from, int to_directory, const char* to) noexcept;
  virtual int remove_in(int directory, const char* name) noexcept;
  virtual int lock(int fd, bool locked) noexcept;                     // flock(2): LOCK_EX | LOCK_NB, or LOCK_UN
  virtual int lock_byte(int fd, std::uint64_t offset) noexcept;       // F_OFD_SETLK, F_WRLCK
  virtual int is_byte_locked(int fd, std::uint64_t offset) noexcept;  // F_OFD_GETLK: 1 when another owner has the lock, else 0
  virtual int map_shared(int fd, std::size_t bytes, void*& memory) noexcept;  // mmap(2), for reading and writing
  virtual int allocate(int fd, std::uint64_t bytes) noexcept;                 // posix_fallocate(3): sets the size, too
  virtual std::uint32_t effective_user() noexcept;                            // geteuid(2)
  virtual std::int32_t process() noexcept;                                    // getpid(2)
  virtual int find_thread(
      std::uint32_t thread) noexcept;        // tgkill(2) without a signal: -ESRCH when this process has no such thread
  virtual time_point now() noexcept;         // CLOCK_REALTIME
  virtual time_point now_coarse() noexcept;  // CLOCK_REALTIME_COARSE: a few ms late, takes a few ns
  virtual std::chrono::nanoseconds uptime() noexcept;  // CLOCK_MONOTONIC_COARSE: exact to a few ms, takes a few ns
};

namespace detail {
extern std::atomic<system_calls*> current;
}
inline system_calls& calls() noexcept {
  return *detail::current.load(std::memory_order_acquire);
}

// Restores errno at its end. For public functions that report failures in another way: their callers' errno stays as it was.
class kept_errno {
 public:
  inline kept_errno() noexcept : kept_(errno) {}
  inline ~kept_errno() { errno = kept_; }
  kept_errno(const kept_errno&) = delete;
  kept_errno& operator=(const kept_errno&) = delete;

 private:
  int kept_;
};

// Replaces the system calls of the whole process during its lifetime. For tests. Do not nest; do not create or destroy it while
// another thread is inside the library.
class calls_override {
 public:
  explicit calls_override(system_calls& replacement) noexcept;
  ~calls_override();
  calls_override(const calls_override&) = delete;
  calls_override& operator=(const calls_override&) = delete;
};

// "cannot WHAT 'PATH': MESSAGE", with the message of the system for `negative_errno`, the result of a system call.
error system_error(std::string_view what, std::string_view path, int negative_errno);

}  // namespace annals::io
