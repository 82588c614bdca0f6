// SPDX-License-Identifier: Apache-2.0
//
// annals.io.owned_file: a file that one process owns at a time.
//
// The ring, the journal, the lock of a log, the records of deletions and a segment that is being archived all follow the same
// steps: open the file safely, lock it, and check that the path still names the locked file.
module;
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
export module annals.io.owned_file;
import annals.event;
import annals.io.calls;
import annals.io.process;

export namespace annals::io {

// A file with locks: one of the whole file (flock(2)), and locks of single bytes (F_OFD_SETLK). The locks end with the process.
// A child of fork(2) does not get them: the descriptor is closed in every child, and the child's copy of the object
// is_inherited(). Movable; unlocks and closes in its destructor. Not thread-safe, except status(), read_at() and sync_data().
class owned_file {
 public:
  owned_file() noexcept = default;
  owned_file(owned_file&& other) noexcept;
  owned_file& operator=(owned_file&& other) noexcept;
  ~owned_file();

  // Opens the file at `path` without locking it. Creates it with `mode`, and missing parent directories with 0700; `grown`, if
  // given, then gets the directories that have to be synced to make the new entries durable. Refuses anything except a regular
  // file with one name (not_a_regular_file).
  static result<owned_file> open(const std::string& path, unsigned mode, std::vector<std::string>* grown = nullptr);

  // Opens the file as open() does and locks it, so that the path names the locked file on return. Waits up to `wait` for
  // another owner. Nothing when another process still owns the file then, or keeps replacing it.
  static result<std::optional<owned_file>> take(const std::string& path, unsigned mode, std::chrono::nanoseconds wait,
                                                std::vector<std::string>* grown = nullptr);

  // As take(), without a wait, for an existing file that is only read. Creates nothing.
  static result<std::optional<owned_file>> take_existing(const std::string& path);

  // Opens an existing file for reading. Locks and creates nothing.
  static result<owned_file> open_existing(const std::string& path);

  inline bool is_open() const noexcept { return fd_ >= 0; }
  // Whether the descriptor is still that of the opened file. False when another part of the process closed it (a daemon closes
  // all): then the locks are gone, and another file can have its number. One system call.
  bool is_held() const noexcept;
  // Where the descriptor is not held any more: opens the same file again and takes the same locks. Errors: the path names
  // another file, or none; another process has taken a lock; io.
  std::optional<error> hold_again();
  // This is the copy of a child of fork(2). It can only be destroyed, or replaced by another object.
  inline bool is_inherited() const noexcept { return fork_count_ != io::fork_count(); }
  // The process forked while the file was opened, so a child may share the locks until it ends. Open the file again.
  bool is_doubtful() const noexcept { return doubtful_; }

  // Locks the whole file. Waits up to `wait` for another owner. False when another process still has the lock then. Locks, like
  // write_at(), status() and sync_data(), fail with EBADF when the descriptor is not held any more.
  result<bool> try_lock(std::chrono::nanoseconds wait = {});
  int lock() noexcept;  // without a wait: 0, -EWOULDBLOCK or -errno
  // Other processes can own the file afterwards, even if a new child has not closed its copy of the descriptor yet.
  void unlock() noexcept;
  // Locks one byte, which may lie beyond the end. 0, or -errno; never waits.
  int lock_byte(std::uint64_t offset) noexcept;
  // Whether another process has the lock of this byte.
  result<bool> is_byte_locked(std::uint64_t offset) const;

  const std::string& path() const noexcept { return path_; }
  result<file_status> status() const;
  // The status of the file if the path still names it; nothing if the path names another file, or none.
  result<std::optional<file_status>> status_in_place() const;

  // Renames the file to `<path>.damaged-<time>`. Returns the new path; nothing when the path names another file, or none. The
  // caller holds the lock.
  result<std::optional<std::string>> set_aside() const;
  // Removes the file. Does nothing when the path names another file: one that was put there, or one in the directory to which
  // the process has changed since.
  std::optional<error> remove_in_place() const;
  // Takes the file away from its group and from others, as far as its mode lets them have it.
  std::optional<error> make_private();

  // Allocates the file's blocks up to this size, so that a full disk cannot fail a later access.
  std::optional<error> allocate(std::uint64_t bytes);
  std::optional<error> sync_data();
  // Writes all bytes at `offset`.
  std::optional<error> write_at(std::string_view bytes, std::uint64_t offset);
  // Reads up to `count` bytes at `offset`; fewer only at the end of the file.
  result<std::size_t> read_at(char* bytes, std::size_t count, std::uint64_t offset) const;
  // Changes owner and group where they differ.
  std::optional<error> give_to(std::uint32_t owner, std::uint32_t group);

 private:
  static result<owned_file> open_for_purpose(const std::string& path, open_for purpose, unsigned mode,
                                             std::vector<std::string>* grown);
  static result<std::optional<owned_file>> take_for_purpose(const std::string& path, open_for purpose, unsigned mode,
                                                            std::chrono::nanoseconds wait, std::vector<std::string>* grown);
  void close() noexcept;
  int fd_ = -1;
  unsigned fork_count_ = 0;
  bool doubtful_ = false;
  bool locked_ = false;
  bool is_writable_ = false;
  std::vector<std::uint64_t> locked_bytes_;
  std::string path_;
  file_status identity_;
};

// Why this process must not rely on the content of a file: it belongs to a user who is neither root nor the user of the
// process, or others can write to it. Nothing where the file can be relied on.
std::optional<std::string> fault_of_owner(const file_status& status);

// Repeats a check until a deadline: often at first, then after pauses that grow to a millisecond.
class patience {
 public:
  explicit patience(std::chrono::nanoseconds limit) noexcept : limit_(limit) {}
  // Returns true when it is time for another check, false once the limit is over.
  bool wait();
  // The checks without a pause are over.
  bool is_long() const noexcept { return looks_ > looks_at_once; }

 private:
  static constexpr int looks_at_once = 100;
  int looks_ = 0;
  std::chrono::microseconds pause_{20};
  std::chrono::nanoseconds limit_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
};

}  // namespace annals::io
