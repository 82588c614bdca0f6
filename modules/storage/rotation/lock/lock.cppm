// SPDX-License-Identifier: Apache-2.0
//
// annals.rotation.lock: the lock of a log, which orders the processes that write, rotate, delete and adopt its segments.
//
// The lock is the file `<live path>.lock`, one page, never removed. It belongs to the log's owner, and other users can open it
// only if the log's mode lets them write the log. A process that changes the log's files holds the lock exclusively (flock(2)).
// A process that appends does not, and makes no system call for the lock: each writing process has a slot in the page, marks
// there that it is inside an append, and checks that the page's epoch is the one it knows. The exclusive holder makes the epoch
// odd and waits until no slot is inside an append. This is Dekker's algorithm, per slot, on sequentially consistent atomics.
// When a process dies, the kernel releases its locks: that of the file and that of its slot's byte (F_OFD_SETLK).
// Processes that archive or delete segments exclude each other by locks of other bytes of this file, and not by locks of the
// segments, since a user who can only read the log could hold those.
// A page that another user can cut is not mapped, since an access to it could end the process: it is read and written as a
// file, and each append holds the lock exclusively.
// docs/decisions.md has the reasons and the figures; tests/rotation/lock_model_test.cpp tries all interleavings.
module;
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>
export module annals.rotation.lock;
import annals.event;
import annals.io.invariant;
import annals.io;
import annals.io.owned_file;

export namespace annals::rotation {

// The content of the lock's file, in the byte order of the machine: processes of one machine share a lock. The facts about the
// live segment save system calls; where they are not known, they come from the files.
//
// Every process that can write the log can write the page at any time, and a loss of power can leave anything in it. So a value
// is read once, and checked before it is used: a number or a time that no log has counts as not known.
struct lock_page {
  static constexpr std::uint64_t magic_value = 0x314b434c4c4e4e41;  // "ANNLLCK1", read as a little-endian number
  static constexpr std::size_t slots_count = 63;

  struct alignas(64) slot {
    std::atomic<std::uint32_t> busy;    // 1: the process is inside an append
    std::atomic<std::int32_t> process;  // for messages
  };

  std::atomic<std::uint64_t> magic;        // 0 in a page that was not set up
  std::atomic<std::uint64_t> epoch;        // odd: a process changes the log's files, or died while doing so
  std::atomic<std::uint64_t> next_number;  // one more than the last segment that was durably closed; 0: not known
  std::atomic<std::uint64_t> device;       // identifies the file of the next two facts
  std::atomic<std::uint64_t> inode;
  std::atomic<std::uint64_t> bytes;  // of the live segment, including the appends in progress
  std::atomic<std::int64_t> begun;   // the time of its first event, in microseconds since 1970; 0: none
  alignas(64) slot slots[slots_count];
};
static_assert(sizeof(lock_page) == 4096);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

std::string lock_path(const std::string& live_path);

// The lock of one log. Not thread-safe. A child of fork(2) can use its copy, which takes a slot of its own.
class log_lock {
 public:
  static constexpr std::chrono::seconds wait_max{10};
  static constexpr std::chrono::milliseconds look_interval{100};

  // `mode` is the mode of the log: users who can write the log can lock it. Opens nothing.
  explicit log_lock(const std::string& live_path, unsigned mode = 0600);
  ~log_lock();
  log_lock(const log_lock&) = delete;
  log_lock& operator=(const log_lock&) = delete;

  // While this object exists, no other process appends through a lock, rotates, deletes or adopts. Hold it only for the change
  // of names. A writer on the same log_lock can append only through the function that takes this object. The log_lock has to
  // outlive it.
  class exclusive {
   public:
    exclusive(exclusive&& other) noexcept;
    ~exclusive();
    exclusive(const exclusive&) = delete;
    exclusive& operator=(const exclusive&) = delete;
    exclusive& operator=(exclusive&&) = delete;

    // The number of the live segment: one more than that of any closed segment, existing or deleted.
    result<std::uint64_t> live_number() const;

   private:
    friend class log_lock;
    explicit exclusive(log_lock& lock) noexcept : lock_(&lock) {}
    log_lock* lock_;  // null: moved from
  };

  // Takes the lock exclusively. Creates a missing lock file. Waits for other processes, up to wait_max. Afterwards every writer
  // checks whether its file is still the live segment.
  result<exclusive> lock();

  // --- for writers ---

  // Begins an append. False when the log's files may have changed since catch_up(): call catch_up() again. No append has begun
  // then.
  inline bool enter() noexcept {
    if (page_ == nullptr || file_.is_inherited()) [[unlikely]]
      return false;
    if (slot_ == nullptr) [[unlikely]]
      return enter_without_slot();
    if constexpr (checks_invariants) {
      invariant(!is_inside_, "an append ends before the next one of the process begins");
    }
    slot_->busy.store(1, std::memory_order_seq_cst);
    if (page_->epoch.load(std::memory_order_seq_cst) == epoch_) [[likely]] {
      if constexpr (checks_invariants) is_inside_ = true;
      return true;
    }
    slot_->busy.store(0, std::memory_order_release);
    return false;
  }
  inline void leave() noexcept {
    if constexpr (checks_invariants) is_inside_ = false;
    if (slot_ != nullptr) [[likely]] {
      slot_->busy.store(0, std::memory_order_release);
    } else {
      leave_without_slot();
    }
  }

  // Opens the lock if necessary, waits until no process changes the log's files, and remembers the epoch. The caller has to
  // check what it knows about the files.
  std::optional<error> catch_up();

  // To be called when a segment was closed under this number and its name is durable. The page can reach the disk before the
  // directory does; if it knew a segment that a power loss undid, the number would never be used.
  void closed(std::uint64_t number) noexcept;

  // Makes the directories durable that were created for the lock.
  std::optional<error> sync_directories() { return io::sync_directories(grown_); }

  // Closes the lock when its path names another file, the file was cut, or another part of the process closed its descriptor.
  // Then enter() returns false.
  void look();

  // Between enter() and leave(), or under the exclusive lock: the facts about the live segment.
  inline lock_page& page() noexcept { return *page_; }
  // The page's next_number, when it is one that a segment can have; else 0.
  std::uint64_t next_number() const noexcept;
  inline bool is_open() const noexcept { return page_ != nullptr; }
  bool has_slot() const noexcept { return slot_ != nullptr; }

 private:
  friend class claim;
  std::optional<error> open();
  std::optional<error> open_once(bool& again);
  std::optional<error> open_file();
  std::optional<error> set_up_page();
  std::optional<error> wait_for_file();
  std::optional<error> wait_for_slots();
  std::optional<error> may_create() const;
  std::optional<error> refuse_foreign(const io::file_status& lock) const;
  std::optional<error> give_to_owner(const io::file_status& made);
  bool is_in_place() const;
  std::optional<error> get_page(const io::file_status& status, bool& again);
  bool read_copy();
  std::optional<error> write_copy(std::size_t offset);
  void claim_slot();
  void let_go() noexcept;
  void unlock() noexcept;
  bool enter_without_slot() noexcept;
  void leave_without_slot() noexcept;

  lock_page* page_ = nullptr;        // in mapping_, or copy_
  std::unique_ptr<lock_page> copy_;  // of a page that another user can cut: read and written while the file is locked
  lock_page::slot* slot_ = nullptr;  // null: all are in use, or there is a copy; each append then holds the lock exclusively
  bool is_inside_ = false;           // an append; kept where invariants are checked
  std::uint64_t epoch_ = 0;
  io::owned_file file_;
  io::mapping mapping_;
  std::string live_path_;
  std::string path_;
  io::root_mark root_;
  unsigned mode_;
  std::vector<std::string> grown_;  // directories to sync
};

// The right to do one thing with a log: to archive or delete one segment, or to change what is kept. Writers and readers take
// no notice of it. Released by the destructor, and by the kernel when the process dies. Movable. Not thread-safe.
class claim {
 public:
  // Claims the closed segment with this number. Nothing when another process has claimed it.
  static result<std::optional<claim>> of_segment(const std::string& live_path, std::uint64_t number);

  // Claims deleting, holding and adopting. Waits up to `wait` for another process; then nothing.
  static result<std::optional<claim>> of_retention(const std::string& live_path, std::chrono::nanoseconds wait);

 private:
  explicit claim(io::owned_file file) noexcept : file_(std::move(file)) {}
  static result<std::optional<claim>> take(const std::string& live_path, std::uint64_t offset, std::chrono::nanoseconds wait);
  io::owned_file file_;
};

}  // namespace annals::rotation
