// SPDX-License-Identifier: Apache-2.0
//
// annals.durable: delivery::durable. An event is written to the log and made durable before its caller gets the receipt;
// callers at the same time share one write and one sync. What is made durable is the journal, a write-ahead log.
//
// Why a journal: a sync of a file that grows writes its new size as well, which costs a second write of the file system. A sync
// of a file whose blocks are all allocated costs one. So a group of lines is appended to the log, where every reader sees it,
// and made durable in a small file that is overwritten again and again. The log itself is synced when the journal is full.
// After a power loss, the journal has what the log lacks (annals.recovery).
//
// The file, `<live path>.journal`, all numbers little-endian:
//   page 0    header: magic, version, sizes, a check
//   page 1... groups, each beginning with a page: a group header, the lines, zeros up to the next page
// A lap is a run of groups from page 1 on, with one number and without a gap. What follows belongs to older laps; the log has
// been synced since. Each group says where in the log its lap begins. A page is written once in a lap, so an interrupted write
// can only damage a group that was not acknowledged, or an older lap. A group whose check does not fit was never acknowledged,
// and ends the lap. Checks are FNV-1a, 64 bit (draft-eastlake-fnv): they detect a partial group, not a forged one.
module;
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
export module annals.durable;
import annals.delivery;
import annals.event;
import annals.io;
import annals.io.owned_file;
import annals.recovery;
import annals.segment;
import annals.sink;

export namespace annals {

// The journal of one log. Movable. Not thread-safe.
class journal {
 public:
  static constexpr std::size_t page_bytes = 4096;
  static constexpr std::size_t bytes_default = 4 * 1024 * 1024;  // of groups

  // The path of the journal of the log at `log_path`.
  static std::string path_of(const std::string& log_path);

  // Opens the journal of a log and owns it. Creates it with `bytes` of groups (whole pages) where it is missing; only its user
  // can open it, whatever the mode of the log. A file that is not a journal, or that another user made or can write, is set
  // aside (renamed), and `on_notice` is called (journal_damaged). Errors: ring_not_owned when another process owns it, io.
  static result<journal> open(const std::string& log_path, std::size_t bytes, const notice_handler& on_notice);

  journal(journal&&) noexcept = default;
  journal& operator=(journal&&) noexcept = default;
  ~journal() = default;

  // Reads the lap that is in the file: what the last owner left, or what was appended since begin_lap().
  result<journal_lap> read_lap() const;

  // Begins another lap, of lines that the log has behind `from`. The log is durable up to there: what the file holds is no
  // longer needed. Takes effect with the next append().
  void begin_lap(const segment::log_place& from) noexcept;
  bool is_begun() const noexcept { return begun_; }                  // begin_lap() was called since open()
  const segment::log_place& from() const noexcept { return from_; }  // of the last begin_lap()

  // Whether lines of so many bytes fit into the rest of this lap.
  bool has_room_for(std::size_t bytes) const noexcept {
    return bytes <= capacity_ && pages_for(bytes) * page_bytes <= capacity_ - used_;
  }

  // Makes lines durable: one write, one sync. Without lines it marks the lap before as done. After an error, nothing appended
  // later counts as durable: sync the log itself and remove the journal.
  std::optional<error> append(std::string_view lines, std::size_t count);

  // Removes the file, unless the path names another one.
  std::optional<error> remove();
  // Renames it, likewise, to `<path>.damaged-<time>`.
  std::optional<error> set_aside();

 private:
  journal() = default;
  static std::size_t pages_for(std::size_t line_bytes) noexcept;
  std::optional<error> make(std::size_t bytes);
  result<std::optional<std::string>> read_header(std::size_t bytes);

  io::owned_file file_;
  std::vector<std::string> grown_;  // directories that have to be synced with the file
  std::size_t capacity_ = 0;        // bytes of groups
  std::size_t used_ = 0;            // of them, in this lap
  std::uint64_t lap_ = 0;
  std::uint64_t index_ = 0;  // of the next group in the lap
  bool begun_ = false;
  segment::log_place from_;
  std::string group_;  // as it is written
};

// delivery::durable.
class durable_delivery final : public event_delivery {
 public:
  explicit durable_delivery(output& to);  // which outlives it. Opens nothing
  // Syncs the log and removes the journal. Where the log cannot be synced, the journal is left to the next owner.
  ~durable_delivery() override;

  receipt append(std::string_view line, time_point now) noexcept override;
  error_pointer flush() noexcept override { return nullptr; }
  error_pointer sync() noexcept override;
  delivery_stats stats() const noexcept override;

 private:
  // Events of callers at the same time, which share one write and one sync. The first caller of a group leads it: it waits for
  // its turn, and commits the group for all of them.
  struct group {
    std::string lines;                    // under mutex_ while the group is open
    std::atomic<std::size_t> count = 0;   // of lines; likewise, but the leader reads it at any time
    std::atomic<std::uint32_t> turn = 0;  // 1: the leader may go on
    std::atomic<std::uint32_t> done = 0;  // 1: the next two are set
    std::uint64_t first_sequence = 0;
    error_pointer failed;
  };

  void commit(group& mine, time_point now) noexcept;
  void become_child() noexcept;

  // These run with the sink to themselves, and throw what fails.
  void prepare_journal(sink& to, std::size_t line_bytes);
  void open_journal(sink& to);
  void make_durable(sink& to, const batch& written);
  void sync_log(sink& to, const batch* unacknowledged);
  void begin_lap(sink& to);
  void clear_journal(sink& to);
  void abandon_journal(const error& cause);
  void write_lap_again(sink& to);
  void begin_segment(sink& to, const error& suspect_for);

  output& output_;
  std::mutex mutex_;             // for the next two; held for moments
  std::shared_ptr<group> open_;  // callers join it; null: the next caller makes one
  bool committing_ = false;      // a leader is at work
  std::size_t usual_count_ = 0;  // of the last group: how many callers to wait for. The leader's

  std::optional<journal> journal_;                           // used with the sink, like the next four
  std::optional<std::chrono::nanoseconds> journal_refused_;  // when it could not be opened, by io::system_calls::uptime
  bool journal_failed_ = false;                              // it is removed once the log is synced
  bool has_no_journal_ = false;                              // another process owns it, or the sink keeps no log
  std::uint64_t moves_ = 0;                                  // output::moves() when the lap began
  std::atomic<std::uint64_t> recovered_ = 0;
  fork_hook hook_;
};

}  // namespace annals
