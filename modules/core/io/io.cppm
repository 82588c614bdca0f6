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
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
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
  unsigned mode = 0;         // the permission bits, 07777
  std::uint32_t owner = 0;   // user id
  std::uint32_t group = 0;   // group id
  time_point modified = {};  // its content
  time_point changed = {};   // its content, name, mode or owner
};

// What statvfs(3) says of a file system, in bytes. `available` is what ordinary users may still take of `free`.
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
  appending,  // O_RDWR | O_APPEND | O_CREAT: the tail of the file is read before it is appended to
  creating,   // O_RDWR | O_APPEND | O_CREAT | O_EXCL: nothing may stand there
  syncing,    // O_RDONLY | O_DIRECTORY
  examining,  // O_PATH: for its status, and to open what is in it; nothing is waited for, no device is touched
  locking,    // O_RDWR | O_CREAT: to lock it and to map it
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
  virtual int resolve(const char* path, std::string& resolved) noexcept;  // realpath(3)
  virtual int rename(const char* from, const char* to) noexcept;          // rename(2): what stands at `to` is replaced
  virtual int remove(const char* path) noexcept;                          // unlink(2)
  virtual int space_at(const char* path, space_status& space) noexcept;   // statvfs(3)
  virtual std::int64_t write_at(int fd, const char* bytes, std::size_t count, std::uint64_t offset) noexcept;
  virtual int set_mode(int fd, unsigned mode) noexcept;                              // fchmod(2)
  virtual int set_owner(int fd, std::uint32_t owner, std::uint32_t group) noexcept;  // fchown(2)
  virtual int set_modified(int fd, time_point time) noexcept;                        // futimens(2); reading times stay
  virtual int rename_new(const char* from, const char* to) noexcept;                 // renameat2(2), RENAME_NOREPLACE
  virtual int lock(int fd, bool locked) noexcept;                                    // flock(2): LOCK_EX | LOCK_NB, or LOCK_UN
  virtual int lock_byte(int fd, std::uint64_t offset) noexcept;                      // F_OFD_SETLK, to write
  virtual int is_byte_locked(int fd, std::uint64_t offset) noexcept;                 // F_OFD_GETLK: by another? 1 or 0
  virtual int map_shared(int fd, std::size_t bytes, void*& memory) noexcept;         // mmap(2), to read and write
  virtual int allocate(int fd, std::uint64_t bytes) noexcept;  // posix_fallocate(3): the file's blocks, and so its size
  // mmap(2), to read and write: the first `head_bytes` of the file, and behind them its next `bytes` twice in a row.
  virtual int map_wrapped(int fd, std::size_t head_bytes, std::size_t bytes, void*& memory) noexcept;
  virtual std::uint32_t effective_user() noexcept;         // geteuid(2)
  virtual std::int32_t process() noexcept;                 // getpid(2)
  virtual int find_thread(std::uint32_t thread) noexcept;  // tgkill(2) without a signal: 0, or -ESRCH where it is none of ours
  virtual time_point now() noexcept;                       // CLOCK_REALTIME
  virtual time_point now_coarse() noexcept;                // CLOCK_REALTIME_COARSE: some ms late, a few ns to read
  virtual std::chrono::nanoseconds uptime() noexcept;      // CLOCK_MONOTONIC_COARSE: a few ns to read, a few ms exact
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

  // Opens `path`, which must be a regular file and no symbolic link, and, to be written, have no second name
  // (not_a_regular_file). For appending, it is created with
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

  inline bool is_open() const noexcept { return fd_ >= 0; }

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
  // Makes its time of change what `time` says.
  std::optional<error> set_modified(time_point time) const;
  std::optional<error> sync_data() const;
  std::optional<error> sync_all() const;  // with mode, owner and times
  // flock(2), which other processes see, and descriptors of this one that were opened apart. Never waits: false where another
  // has it. unlock() frees it even where a forked child has a copy of the descriptor; closing does only when that is closed,
  // too.
  result<bool> lock() const;
  void unlock() const noexcept;

  // Makes mode and owner what `like` says, where they differ (its own user and group may be all a process can give).
  std::optional<error> make_like(const file_status& like) const;
  void close() noexcept;

 private:
  friend class lock_file;
  friend class mapping;
  friend class wrapped_mapping;
  file(int fd, std::string path) noexcept;
  bool is_alone_at(const std::string& path) const;
  int append_rest(std::string_view bytes, std::size_t& appended, std::int64_t wrote) noexcept;
  int fd_ = -1;
  std::string path_;
};

// The status of what stands at `path` (of a link itself), nothing where nothing stands, or an error.
result<std::optional<file_status>> status_at(const std::string& path);

// Renames, and replaces what stands at `to`; or, with rename_new, does not (an error with EEXIST).
std::optional<error> rename(const std::string& from, const std::string& to);
std::optional<error> rename_new(const std::string& from, const std::string& to);

// Removes a file. True; false where there was none.
result<bool> remove(const std::string& path);

// The space on the file system of `path`, or where nothing stands there yet, of the nearest directory above it.
result<space_status> space_at(const std::string& path);

// All bytes of the regular file at `path`, of at most `bytes_max`; nothing where there is none.
result<std::optional<std::string>> read_file(const std::string& path, std::size_t bytes_max);

// Replaces what stands at `path`, whole or not at all, and durably: by a temporary file beside it, `<path>.tmp`, which a
// caller of this for the same path must be the only one to make.
std::optional<error> replace_file(const std::string& path, std::string_view bytes, unsigned mode);

// Who this process is, for those who ask later: "alice (1000)", or "1000" where the user has no name; the program's name.
std::string user_name();
std::string program_name();

// The directory part of `path`, "." where there is none.
std::string parent_of(const std::string& path);

// fsync of a directory, so that creations and renames in it are durable.
std::optional<error> sync_directory(const std::string& path);
// Of each of them; those that were synced are taken out of the list.
std::optional<error> sync_directories(std::vector<std::string>& paths);

// `path` without symbolic links, which have to lead somewhere.
result<std::string> resolved(const std::string& path);

// The names in a directory, in no order; an empty list where there is no such directory.
result<std::vector<std::string>> list_directory(const std::string& path);

// Prints "annals: MESSAGE" to standard error, if that takes it now: the process is neither kept waiting nor killed (SIGPIPE).
void print_error(std::string_view message) noexcept;

// Has these called around every fork(2) of the process from now on, as pthread_atfork(3) does: `prepare` before, in the
// forking thread, the others after, in parent and child. 0 or -errno.
int at_fork(void (*prepare)(), void (*parent)(), void (*child)()) noexcept;

// How often this process has been forked off since its memory came into being: another number in a child, also in one that no
// handler of pthread_atfork(3) heard of. Any thread. The number stands in a page that the kernel empties in a child
// (MADV_WIPEONFORK of madvise(2)).
namespace detail {
extern std::atomic<unsigned>* fork_mark;
unsigned count_fork() noexcept;
}  // namespace detail
inline unsigned fork_count() noexcept {
  const unsigned count = detail::fork_mark->load(std::memory_order_relaxed);
  return count != 0 ? count : detail::count_fork();
}

// --- locks ------------------------------------------------------------------------------------------------------------------

// A file whose locks are those of this object: flock(2), and locks of single bytes (F_OFD_SETLK). Both belong to the open file
// description, end with the death of the process, and would live on in a child of fork(2), which shares the description: so
// the descriptor is closed in every child, and the object there is_inherited(). Movable; unlocks and closes in its destructor.
// Not for concurrent use.
class lock_file {
 public:
  lock_file() noexcept = default;
  lock_file(lock_file&& other) noexcept;
  lock_file& operator=(lock_file&& other) noexcept;
  ~lock_file();

  // Opens the regular file at `path`, which is created with `mode`, and missing parent directories with 0700, as
  // file::open does, and for `grown` the same.
  static result<lock_file> open(const std::string& path, unsigned mode, std::vector<std::string>* grown = nullptr);

  inline bool is_open() const noexcept { return fd_ >= 0; }
  // This is a child's copy: nothing may be done with it but to destroy it, or to move another one into it.
  inline bool is_inherited() const noexcept { return fork_count_ != io::fork_count(); }
  // The process was forked at the very moment of opening, and a child may hold the locks as well until it ends: open it anew.
  bool is_doubtful() const noexcept { return doubtful_; }

  // 0, -EWOULDBLOCK where another holds it (nothing waits here), or -errno.
  int lock() noexcept;
  void unlock() noexcept;
  int lock_byte(std::uint64_t offset) noexcept;
  // Does another hold the lock of this byte? An error where the system does not tell.
  result<bool> is_byte_locked(std::uint64_t offset) const;

  result<file_status> status() const;
  // Gives the file its blocks and its size, so that none of them can be missing later.
  std::optional<error> allocate(std::uint64_t bytes);
  std::optional<error> sync_data();
  // Writes all bytes at `offset`.
  std::optional<error> write_at(std::string_view bytes, std::uint64_t offset);
  result<std::size_t> read_at(char* bytes, std::size_t count, std::uint64_t offset) const;
  // Gives the file to `owner` and `group`, where it is not theirs.
  std::optional<error> give_to(std::uint32_t owner, std::uint32_t group);

 private:
  void close() noexcept;
  int fd_ = -1;
  unsigned fork_count_ = 0;
  bool doubtful_ = false;
  std::string path_;
};

// The first `bytes` of a file, mapped to be shared with other processes. Movable. The file must have them, and keep them.
class mapping {
 public:
  mapping() noexcept = default;
  mapping(mapping&& other) noexcept;
  mapping& operator=(mapping&& other) noexcept;
  ~mapping();

  // By an open file description of its own, which has no locks: a mapping keeps its description alive, in children, too.
  static result<mapping> of(const std::string& path, std::size_t bytes, const file_status& expected);
  void* memory() const noexcept { return memory_; }

 private:
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

// A file mapped to be shared with whoever opens it later, for a queue that wraps: its first `head_bytes` once, and behind them
// the next `bytes` twice in a row, so that what begins near the end goes on in one piece. Both are whole pages. Not there in
// children of fork(2). Where somebody cuts the file, the kernel sends SIGBUS to whoever touches what is gone: a handler,
// installed with the first mapping, puts memory there that belongs to nobody, and is_lost() tells. Faults elsewhere go to the
// handler before.
class wrapped_mapping {
 public:
  wrapped_mapping() noexcept = default;
  wrapped_mapping(wrapped_mapping&& other) noexcept;
  wrapped_mapping& operator=(wrapped_mapping&& other) noexcept;
  ~wrapped_mapping();

  // Maps the file at `path`, which has to be `expected` and to have all these bytes; by a descriptor of its own, see
  // mapping::of.
  static result<wrapped_mapping> of(const std::string& path, std::size_t head_bytes, std::size_t bytes,
                                    const file_status& expected);
  char* head() const noexcept { return memory_; }
  char* wrapped() const noexcept { return memory_ + head_bytes_; }
  bool is_lost() const noexcept;  // any thread

  // Makes the kernel find the pages of these bytes behind the head, which begin at `offset` and end before `bytes`, now, and
  // not when they are first written to: that may take milliseconds. Any thread.
  void populate(std::size_t offset, std::size_t count) const noexcept;

 private:
  void unmap() noexcept;
  char* memory_ = nullptr;
  std::size_t head_bytes_ = 0;
  std::size_t bytes_ = 0;
  std::size_t slot_ = 0;  // of the guard's table
  unsigned fork_count_ = 0;
};

// --- threads ---------------------------------------------------------------------------------------------------------------

// Starts a thread that gets no signal: those of the process are for its other threads. Throws what std::thread throws.
std::thread start_thread(std::function<void()> body);

std::uint32_t thread_id() noexcept;                   // of the calling thread, as the kernel counts them; never 0
bool is_thread_alive(std::uint32_t thread) noexcept;  // is it one of this process? Asked through the seam

// Makes the calling thread one that gets of the processor and of the disks what nobody else wants (nice 19, SCHED_IDLE, idle
// I/O priority, as far as the system allows), and that takes none of the process's signals. `name` has up to 15 characters.
void become_background_thread(const char* name) noexcept;

// Waits while `word` is `expected`, until wake_all(word), or for `timeout` at most. May return early. (futex(2), for the
// threads of one process.)
void wait_while(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::optional<std::chrono::nanoseconds> timeout = std::nullopt) noexcept;
void wake_all(const std::atomic<std::uint32_t>& word) noexcept;

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

// What file and lock_file have in common.
namespace annals::io::detail {

result<std::size_t> read_at(int fd, const std::string& path, char* bytes, std::size_t count, std::uint64_t offset);
result<file_status> status(int fd, const std::string& path);

}  // namespace annals::io::detail
