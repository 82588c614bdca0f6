// SPDX-License-Identifier: Apache-2.0
//
// annals.drain: from the ring into the log. Opens the ring of a log, recovers what a dead owner left in it, and runs the thread
// that takes lines out of it and gives them to the sink.
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
#include <thread>
#include <vector>
export module annals.drain;
import annals.event;
import annals.io;
import annals.io.owned_file;
import annals.ring;
import annals.segment;
import annals.sink;

export namespace annals {

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
  result<segment::log_place> place();
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
  segment::log_place live_;              // the live segment when it was looked up last
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
