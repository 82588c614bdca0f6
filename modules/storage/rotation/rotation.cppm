// SPDX-License-Identifier: Apache-2.0
//
// annals.rotation: the lock of a log, which orders whoever writes, rotates, deletes and adopts segments of it, in any number of
// processes; and the writer that rotates.
//
// The lock is the file `<live path>.lock`, one page, never removed, of the log's owner alone unless the log's mode lets others
// write. Who changes the log's files holds it exclusively (flock(2)); who only appends does not, and makes no system call for
// it: each writing process has a slot in the page, says there that it is inside an append, and looks whether the page's epoch
// is still the one it knows. Who has the lock exclusively makes the epoch odd and waits until no slot is inside an append. This
// is Dekker's algorithm, per slot, on sequentially consistent atomics. That a process died, whatever it was doing, the kernel
// tells: its locks are gone, that of the file and that of its slot's byte (F_OFD_SETLK). docs/decisions.md has the reasons and
// the figures, tests/rotation/lock_model_test.cpp tries all interleavings.
module;
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
export module annals.rotation;
import annals.sinks.appender;
import annals.event;
import annals.io;
import annals.options;
import annals.sink;
import annals.rotation.zone;

export namespace annals::rotation {

// The page, in the byte order of the machine: a lock is shared on one machine only. Facts about the live segment are there to
// save system calls, and are found anew from the files where they are not known.
struct lock_page {
  static constexpr std::uint64_t magic_value = 0x314b434c4c4e4e41;  // "ANNLLCK1", read as a little-endian number
  static constexpr std::size_t slots_count = 63;

  struct alignas(64) slot {
    std::atomic<std::uint32_t> busy;    // 1: its process is inside an append
    std::atomic<std::int32_t> process;  // for messages
  };

  std::atomic<std::uint64_t> magic;        // 0 in a page that was not set up
  std::atomic<std::uint64_t> epoch;        // odd: somebody changes the log's files, or died while doing so
  std::atomic<std::uint64_t> next_number;  // one more than the last that was durably closed under this lock; 0: not known
  std::atomic<std::uint64_t> device;       // which file the next two are about
  std::atomic<std::uint64_t> inode;
  std::atomic<std::uint64_t> bytes;  // that the live segment has, or will have once the appends under way are done
  std::atomic<std::int64_t> begun;   // when its first event came, in microseconds since 1970; 0: there is none
  alignas(64) slot slots[slots_count];
};
static_assert(sizeof(lock_page) == 4096);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

std::string lock_path(const std::string& live_path);

// The lock of one log, for one thread at a time. A child of fork(2) may go on with its copy: it takes a slot of its own.
class log_lock {
 public:
  static constexpr std::chrono::seconds wait_max{10};
  static constexpr std::chrono::milliseconds look_interval{100};

  // `mode` is that of the log: who may write the log may lock it. Opens nothing.
  explicit log_lock(const std::string& live_path, unsigned mode = 0600);
  ~log_lock();
  log_lock(const log_lock&) = delete;
  log_lock& operator=(const log_lock&) = delete;

  // The log is ours: nobody appends through a lock, rotates, deletes or adopts, until this is destroyed. Not to be held for
  // longer than the change of names takes; nothing may be appended by a writer on the same log_lock but what the writer offers
  // for it. The log_lock outlives it.
  class exclusive {
   public:
    exclusive(exclusive&& other) noexcept;
    ~exclusive();
    exclusive(const exclusive&) = delete;
    exclusive& operator=(const exclusive&) = delete;
    exclusive& operator=(exclusive&&) = delete;

    // The number of the live segment: one more than that of any closed one, there or deleted.
    result<std::uint64_t> live_number() const;

   private:
    friend class log_lock;
    explicit exclusive(log_lock& lock) noexcept : lock_(&lock) {}
    log_lock* lock_;  // null: moved from
  };

  // Takes the lock exclusively: opens the lock's file, which is created where it is missing, and waits for others, up to
  // wait_max. Every writer looks afterwards whether its file is still the live segment.
  result<exclusive> lock();

  // --- for writers ---

  // Begins an append. False, and nothing has begun, when something happened since catch_up(): then that is to be called.
  inline bool enter() noexcept {
    if (page_ == nullptr || file_.is_inherited()) [[unlikely]]
      return false;
    if (slot_ == nullptr) [[unlikely]]
      return enter_without_slot();
    slot_->busy.store(1, std::memory_order_seq_cst);
    if (page_->epoch.load(std::memory_order_seq_cst) == epoch_) [[likely]]
      return true;
    slot_->busy.store(0, std::memory_order_release);
    return false;
  }
  inline void leave() noexcept {
    if (slot_ != nullptr) [[likely]] {
      slot_->busy.store(0, std::memory_order_release);
    } else {
      leave_without_slot();
    }
  }

  // Opens the lock where that is to be done, waits until nobody changes the log's files, and takes note of the epoch. What the
  // caller knows about the files is to be looked at again.
  std::optional<error> catch_up();

  // A segment has been closed under this number, and its name is durable: the page may get to the disk before the directory
  // does, and must not know of a segment that a loss of power took back, or its number would never be given again.
  void closed(std::uint64_t number) noexcept;

  // Makes the directories durable that were missing when the lock was opened.
  std::optional<error> sync_directories() { return io::sync_directories(grown_); }

  // Is the lock's file still the one at its path, and whole? If not, it is let go, and enter() will say so.
  void look();

  // Between enter() and leave(), or under the exclusive lock: the facts about the live segment.
  inline lock_page& page() noexcept { return *page_; }
  inline bool is_open() const noexcept { return page_ != nullptr; }
  bool has_slot() const noexcept { return slot_ != nullptr; }

 private:
  std::optional<error> open();
  std::optional<error> open_once(bool& again);
  std::optional<error> set_up_page();
  std::optional<error> wait_for_file();
  std::optional<error> wait_for_slots();
  std::optional<error> may_create() const;
  bool is_in_place() const;
  void claim_slot();
  void let_go() noexcept;
  void unlock() noexcept;
  bool enter_without_slot() noexcept;
  void leave_without_slot() noexcept;

  lock_page* page_ = nullptr;
  lock_page::slot* slot_ = nullptr;  // null: all were taken; each append then holds the lock exclusively
  std::uint64_t epoch_ = 0;
  io::lock_file file_;
  io::mapping mapping_;
  io::file_status identity_;
  std::string live_path_;
  std::string path_;
  unsigned mode_;
  std::vector<std::string> grown_;  // directories in which others were made, and that are to be synced
};

// --- when to rotate -------------------------------------------------------------------------------------------------------

// Each that is given holds for itself. All are looked at when an event comes: no thread waits for a time. A segment without
// events is never closed by a time. Times are those of the system's clock, which may be put: a trigger fires at most once for
// a segment, and a clock that was put back by a minute or more makes the present segment begin anew.
struct triggers {
  static constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t bytes_max = no_limit;     // of a segment; one that is longer consists of one line
  std::chrono::microseconds interval{0};  // since the segment's first event came; 0: none
  std::chrono::microseconds age{0};       // of the time that the segment's first event bears; 0: none. Of a segment into which
                                          // older events are imported: a minute (or `age`, if less) after its first event came
  std::optional<wall_unit> align = {};    // at the beginnings of hours or days in `zone`
  annals::zone zone = {};

  bool has_time() const noexcept { return interval.count() != 0 || age.count() != 0 || align.has_value(); }
};

// Takes size, interval, age, align and zone from the options of a sink; problems stay with the reader.
triggers read_triggers(option_reader& reader);

enum class cause : std::uint8_t { size, interval, aligned, age, asked };
std::string_view words_for(cause why) noexcept;  // "its size", "its interval is over", ...

// --- the writer -----------------------------------------------------------------------------------------------------------

struct closed_file {
  std::string path;
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;
};

// Appends lines to a log that rotates, with any number of others like it. Failures throw sink_error. Not for concurrent use;
// opens nothing before the first call that needs it.
class segment_writer {
 public:
  // `mode` is that of a live segment where there was none; a rotation keeps that of the old one. Within the calls, `notice`
  // is called: for each rotation of this writer (segment_closed, then `closed` is called), for one that failed
  // (rotation_failed: logging continues in the current file), and as annals.sinks.appender does.
  segment_writer(std::string path, unsigned mode, triggers when, notice_handler notice,
                 std::function<void(const closed_file&)> closed = {});
  segment_writer(const segment_writer&) = delete;
  segment_writer& operator=(const segment_writer&) = delete;

  // Appends the batch: to one segment, unless a trigger cuts it, between two lines. After a failure position() tells how far it
  // came, as long as nobody else writes the log. (Part of its caller: each return behind a system call is dear.)
  [[gnu::always_inline]] inline void write(const batch& lines) {
    if (lock_.enter()) [[likely]] {
      const leaving left{lock_};
      if (lines.now < due_ && lines.now >= floor_ && !appender_.is_due(lines.now) && reserve(lines.lines.size())) [[likely]] {
        appender_.append(lines.lines, lines.count);
        return;
      }
    }
    write_in_parts(lines);
  }

  // What sink::sync, reopen and position are to do. sync() speaks for closed segments, too.
  void sync();
  void reopen();
  annals::position position();

  // Closes the live segment now. Nothing where there is none, or an empty one.
  std::optional<closed_file> rotate();

  // The log's lock. While it is held exclusively, append() is the one call of this writer that may be made.
  log_lock& lock() noexcept { return lock_; }
  void append(const log_lock::exclusive& held, std::string_view lines, std::size_t count);

 private:
  struct leaving {
    log_lock& lock;
    inline ~leaving() { lock.leave(); }
  };

  // Takes bytes from what this writer has counted in beforehand. False: that does not suffice.
  inline bool reserve(std::uint64_t count) noexcept {
    if (count > allowance_) return false;
    allowance_ -= count;
    return true;
  }

  void write_in_parts(const batch& lines);
  std::string_view reserve_part(std::string_view lines) noexcept;
  void settle(time_point now);
  bool is_settled(time_point now);
  void follow(time_point now);
  void forget() noexcept;
  void adopt(time_point now);
  void adopt(const log_lock::exclusive& held, time_point now);
  void note_facts(time_point now);
  void learn_due(time_point now);
  void begin_segment(time_point now);
  bool is_suspended();
  void rotate_or_suspend(cause why, time_point now, std::size_t next_bytes);
  bool is_wanted(cause why, time_point now, std::size_t next_bytes);
  closed_file close_live(const log_lock::exclusive& held, time_point now);
  void create_like(const io::file_status& old, time_point now);
  void tell(const closed_file& closed, cause why);

  log_lock lock_;
  appender appender_;
  triggers when_;
  notice_handler notice_;
  std::function<void(const closed_file&)> closed_;

  // Below `due_` and not below `floor_` no time trigger fires. Where that is not known, no time lies between them.
  time_point due_ = time_point::min();
  time_point floor_ = time_point::min();
  cause due_cause_ = cause::interval;
  bool settled_ = false;              // the lock's epoch is that of what we know about the files
  std::optional<time_point> oldest_;  // what the segment's first event bears, if `age` asks for it and it was read
  std::uint64_t allowance_ = 0;       // bytes that the page counts as ours in the live segment, and which are not appended yet
  std::chrono::nanoseconds suspended_until_{0};  // of the uptime: a rotation failed
};

// Closes the live segment of the log at `path`. Nothing where there is none, or an empty one. Its writers go on in a new one.
result<std::optional<closed_file>> rotate(const std::string& path);

}  // namespace annals::rotation
