// SPDX-License-Identifier: Apache-2.0
//
// annals.drain: from the ring into the log. Opens the ring of a log, sees to what a dead owner left in it, and runs the thread
// that takes lines out of it and gives them to the sink.
//
// Exactly once: before a batch is given to the sink, the ring remembers where in the log it will go; after it was, that it is
// there. What happens between the two, a death or a failed write, is looked up in the log itself: its lines behind that place
// are compared with those of the batch. So a line is never lost, and written again only where the log was replaced meanwhile,
// or where the sink keeps no log to look into. The caller's promise does not depend on this thread: a line in the ring is safe.
module;
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>
export module annals.drain;
import annals.event;
import annals.io;
import annals.io.owned_file;
import annals.ring;
import annals.sink;

export namespace annals {

// --- after a death ---------------------------------------------------------------------------------------------------------

// What a search of a log for the lines of a batch found.
struct arrivals {
  std::vector<bool> arrived;  // of each line
  std::string uncertain;      // why nothing can be known, and so nothing is taken to have arrived; empty where all is known
  // The log ends in the middle of line `torn`, of which it has `torn_bytes`; nothing where it does not.
  std::optional<std::size_t> torn;
  std::size_t torn_bytes = 0;
};

// Looks for the lines (each with its newline) in the log at `path`, in whichever segments and form, from `from` on.
result<arrivals> find_in_log(const std::string& path, const ring::log_place& from, std::span<const std::string_view> lines);

// Appends what is missing of a torn last line (`found.torn`, with the text `line`) to the log at `path`, so that it is there
// once and whole, and notes that it arrived. Where that fails, a sink ends it as a fragment, and it is to be written anew.
void finish_torn(arrivals& found, const std::string& path, unsigned mode, std::string_view line);

// What a dead owner of the ring of the log at `path` has not brought into it. For readers: changes nothing. While it lives,
// nobody becomes the owner of the ring, and so brings these lines into the log.
class left_in_ring {
 public:
  left_in_ring() noexcept = default;  // nothing
  // Nothing, too, where there is no ring, its owner lives, or it is damaged.
  static left_in_ring of(const std::string& path);
  const std::vector<std::string_view>& lines() const noexcept { return lines_; }  // in their order, each with its newline

 private:
  io::lock_file owner_;
  io::wrapped_mapping mapping_;
  std::vector<std::string_view> lines_;  // in mapping_
};

// --- the drain -------------------------------------------------------------------------------------------------------------

struct drain_options {
  std::string log_path;
  std::size_t ring_bytes = 0;
  unsigned file_mode = 0600;
  std::chrono::nanoseconds latency{0};  // how long a line may stay in the ring, while the sink is well
  bool keeps_log = false;               // sink::keeps_log()
};

// What the drain needs of the logger.
class drain_client {
 public:
  virtual ~drain_client();
  // Gives the batch to the sink: null when it took it. The sink's notices go to `notices`.
  virtual std::shared_ptr<const error> write(const batch& lines, std::vector<notice>& notices) noexcept = 0;
  // Called with no lock of the drain's held.
  virtual void report(const error& what) noexcept = 0;
  virtual void report(const notice& what) noexcept = 0;
  virtual std::string line_of_dropped(std::uint64_t count) = 0;  // the event that tells of events dropped
};

class ring_drain {
 public:
  // Opens or makes the ring, `log_path` + ".ring"; recovers; starts the thread. Errors: ring_not_owned where another process
  // has it, io. A file that is no whole ring is set aside (renamed) and reported. `client` and `consumer` outlive the drain;
  // `consumer` is locked while lines are taken out of the ring, and to be held over a fork(2).
  static result<std::unique_ptr<ring_drain>> open(const drain_options& options, drain_client& client, std::mutex& consumer);

  // Drains; removes the ring when it is empty, and leaves it for the next owner when the sink does not take what is in it.
  ~ring_drain();
  ring_drain(const ring_drain&) = delete;
  ring_drain& operator=(const ring_drain&) = delete;

  ring::queue& queue() noexcept { return *queue_; }
  const ring::queue& queue() const noexcept { return *queue_; }
  std::uint64_t recovered() const noexcept { return queue_->found(); }

  // Sequence numbers that were given to events which were accepted.
  std::uint64_t accepted() const noexcept {
    return queue_->last_sequence() - queue_->found() - others_.load(std::memory_order_relaxed);
  }
  void count_failed() noexcept { others_.fetch_add(1, std::memory_order_relaxed); }  // its number was taken, and not used

  // To be called after each put. Wakes the drain only where it sleeps for want of work, or is needed early.
  inline void after_put(bool more_than_half) noexcept {
    if (sleeping_.load(std::memory_order_seq_cst) == idle) [[unlikely]]
      wake(idle);
    if (more_than_half && sleeping_.load(std::memory_order_relaxed) == resting) [[unlikely]]
      wake(resting);
  }

  // Puts a line once there is room. 0 when the ring is lost, or the drain is being destroyed.
  std::uint64_t put_waiting(std::string_view line) noexcept;

  // Somebody cut the ring's file: nothing that is put is safe any more.
  inline bool is_lost() const noexcept { return mapping_.is_lost(); }

  // Returns once every line put before the call is in the sink; or why it is not. Any thread.
  std::shared_ptr<const error> flush() noexcept;

  // What was drained before the call is not brought into the log again, whatever a power loss leaves of the ring's file. Any
  // thread.
  std::optional<error> sync();

  // In a child of fork(2): the ring, its file and its thread are the parent's. Nothing but the destructor may be called any
  // more.
  void become_inherited() noexcept;

 private:
  static constexpr std::uint32_t working = 0;
  static constexpr std::uint32_t resting = 1;  // for a part of the latency, to let lines gather
  static constexpr std::uint32_t idle = 2;     // for as long as nothing is put

  ring_drain(const drain_options& options, drain_client& client, std::mutex& consumer);
  std::optional<error> open_file();
  std::optional<error> make_file();
  result<bool> use_file();
  std::optional<error> set_aside(const std::string& why);
  std::optional<error> recover();

  void run() noexcept;
  void prefault(std::uint64_t end) noexcept;
  void rest(std::uint32_t how, std::optional<std::chrono::nanoseconds> limit) noexcept;
  void wake(std::uint32_t from) noexcept;
  enum class pass : std::uint8_t { nothing, some, much, failed };
  pass drain_once(std::chrono::nanoseconds how_patient);
  void tell_of_room() noexcept;
  std::shared_ptr<const error> flush_once();
  void end(const error* failed);
  bool settle_unsettled();
  bool settle_failed(const ring::queue::batch& batch);
  void tell_of_dropped();
  result<ring::log_place> place();
  void report_heard() noexcept;

  const drain_options options_;
  drain_client& client_;
  const std::string ring_path_;
  std::vector<std::string> grown_;  // directories in which others were made for the ring, and that are to be synced
  io::lock_file owner_;
  io::wrapped_mapping mapping_;
  ring::file_header* header_ = nullptr;
  std::unique_ptr<ring::queue> queue_;
  bool is_new_ = false;
  std::size_t prefaulted_ = 0;  // bytes from the beginning; the thread's alone
  bool inherited_ = false;

  std::mutex& consumer_;                 // for the queue's consumer functions, and the next five
  ring::log_place live_;                 // the live segment when it was looked up last
  std::shared_ptr<const error> failed_;  // why the last batch was not written
  std::vector<std::string_view> lines_;
  std::vector<error> errors_;  // to be reported once consumer_ is free, like the next
  std::vector<notice> notices_;

  alignas(64) std::atomic<std::uint32_t> sleeping_ = working;
  std::atomic<bool> stopping_ = false;
  alignas(64) std::atomic<std::uint32_t> room_ = 0;  // changes when room was given back
  std::atomic<std::uint32_t> waiting_for_room_ = 0;
  std::atomic<std::uint64_t> others_ = 0;  // numbers that no accepted event has
  std::thread thread_;
};

}  // namespace annals
