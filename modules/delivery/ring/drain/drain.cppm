// SPDX-License-Identifier: Apache-2.0
//
// annals.ring.drain: delivery::ring. A caller puts an event into the ring; a thread takes lines out of it and gives them to the
// sink. The guarantee of an accepted event does not depend on the thread: what is in the ring survives the process.
//
// Three classes: owned_ring is the file, ring_drain brings lines from the ring into the sink, ring_delivery puts them in and
// has the thread.
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
export module annals.ring.drain;
import annals.delivery;
import annals.event;
import annals.io;
import annals.io.owned_file;
import annals.io.worker;
import annals.ring;
import annals.segment;

export namespace annals {

// The file `<log path>.ring`, owned by this process and mapped. Only its user can open it, whatever the mode of the log.
// Movable.
class owned_ring {
 public:
  // Opens the ring of a log, or creates one of `bytes` of records. Recovers what a dead owner left: lines that it was writing
  // are looked up in the log, so that the queue on this ring begins with the ones that are missing there. A file that is not a
  // ring, or that another user made or can write, is set aside (renamed). `notices` gets ring_damaged and events_repeated.
  // Errors: ring_not_owned when another process owns it, io.
  static result<owned_ring> open(const output& to, std::size_t bytes, std::vector<notice>& notices);

  ring::file_header& header() const noexcept { return *reinterpret_cast<ring::file_header*>(mapping_.memory()); }
  char* records() const noexcept { return mapping_.memory() + ring::page_bytes; }
  const ring::start& start() const noexcept { return start_; }
  bool is_new() const noexcept { return is_new_; }  // it was created by open()
  const std::string& path() const noexcept { return file_.path(); }

  // Another program truncated or changed the file: nothing that is put is safe any more. Any thread.
  inline bool is_lost() const noexcept { return mapping_.is_lost(); }
  void give_up() noexcept { mapping_.give_up(); }
  // Renames and removes the file, unless the path names another one.
  result<std::optional<std::string>> set_aside() const { return file_.set_aside(); }
  std::optional<error> remove() const { return file_.remove_in_place(); }
  // Whether what was put before this end has been released. For a child of the owner: looks at the file alone.
  bool is_released_to(std::uint64_t end) const;

  // Makes the kernel provide pages of the records before they are written to. Any thread.
  void populate(std::size_t offset, std::size_t count) const noexcept { mapping_.populate(ring::page_bytes + offset, count); }

  // Where another part of the process closed the ring's descriptor, and with it the lock: takes the ring again.
  std::optional<error> hold_again() { return file_.hold_again(); }

  std::optional<error> sync_data() { return file_.sync_data(); }
  std::optional<error> sync_directories() { return io::sync_directories(grown_); }  // those that were made for it

 private:
  result<bool> use(std::size_t bytes, std::vector<notice>& notices);
  std::optional<error> set_aside(const std::string& fault, std::vector<notice>& notices);
  std::optional<error> make(std::size_t bytes);
  std::optional<error> map(std::size_t bytes, const io::file_status& expected);
  std::optional<error> recover(const output& to, std::vector<notice>& notices);
  std::optional<error> settle(const output& to, std::vector<notice>& notices);
  ring::record_source source() const;
  error unreadable() const;

  io::owned_file file_;
  io::guarded_mapping mapping_;
  std::vector<std::string> grown_;  // directories that have to be synced with the file
  ring::facts facts_;
  ring::start start_;
  bool is_new_ = false;
};

// Brings lines from the ring into the sink. Thread-safe, except for prefault(), close() and the destructor.
class ring_drain {
 public:
  enum class pass : std::uint8_t { nothing, some, much, failed };
  struct state {  // after a pass
    pass last = pass::nothing;
    std::uint64_t head = 0;   // queue::head() before the pass
    bool is_held_up = false;  // a producer has reserved a record and not committed it
  };

  ring_drain(owned_ring ring, output& to);  // `to` outlives it
  ring_drain(const ring_drain&) = delete;
  ring_drain& operator=(const ring_drain&) = delete;

  inline ring::queue& queue() noexcept { return queue_; }
  inline const ring::queue& queue() const noexcept { return queue_; }
  inline bool is_lost() const noexcept { return ring_.is_lost(); }
  std::uint64_t recovered() const noexcept { return queue_.found(); }
  bool is_released_to(std::uint64_t end) const { return ring_.is_released_to(end); }

  // Sequence numbers that no accepted event of this process has: those of recovered events, and count_unused().
  std::uint64_t unused() const noexcept { return queue_.found() + unused_.load(std::memory_order_relaxed); }
  void count_unused() noexcept { unused_.fetch_add(1, std::memory_order_relaxed); }

  // Puts a line once there is room, and returns its sequence number. `wake` makes another thread call drain(). 0 when the ring
  // is lost.
  std::uint64_t put_waiting(std::string_view line, const std::function<void()>& wake) noexcept;

  // Takes one batch out of the ring and gives it to the sink. Passes records that their producers hold up only after a moment.
  state drain() noexcept;

  // Returns once the sink has taken every line that was put before the call, or why it has not.
  error_pointer flush() noexcept;

  // Syncs the file. What was drained before the call is not logged again after a power loss. Any number of threads.
  std::optional<error> sync();

  // In a new ring, the kernel allocates each page at the first write to it, which can take milliseconds. This does it for the
  // next part that producers have not used yet.
  void prefault() noexcept;

  // Flushes, and removes the file. Where lines are left, leaves it to the next owner and reports events_left; a file that was
  // truncated or changed is set aside.
  void close() noexcept;

 private:
  pass drain_once(std::chrono::nanoseconds how_patient);
  error_pointer flush_once();
  void report_pending() noexcept;
  void log_dropped();
  void announce_room() noexcept;
  bool settle_unsettled();
  bool settle_failed(const ring::queue::batch& batch);
  void give_up(std::string why);
  bool fail(error cause);
  result<segment::log_place> place();

  owned_ring ring_;
  output& output_;
  ring::queue queue_;
  std::size_t prefaulted_ = 0;  // bytes from the beginning of the records

  std::mutex consumer_;      // for the queue's consumer functions, and the next four
  segment::log_place live_;  // the live segment when it was looked up last
  error_pointer failed_;     // why the last batch was not written
  std::vector<std::string_view> lines_;
  std::vector<error> errors_;  // reported without the lock

  alignas(64) std::atomic<std::uint32_t> room_ = 0;  // changes when room was given back
  std::atomic<std::uint32_t> waiting_for_room_ = 0;
  std::atomic<std::uint64_t> unused_ = 0;
  std::atomic<bool> is_sync_suspect_ = false;  // the last sync of the ring's file failed
  fork_hook hook_{{&consumer_}};
};

struct ring_options {
  std::size_t bytes = 0;                // of records
  std::chrono::nanoseconds latency{0};  // how long a line may stay in the ring while the sink works
  annals::on_full on_full = annals::on_full::block;
  annals::ring_in_use ring_in_use = annals::ring_in_use::refuse;
};

// delivery::ring. Delivers directly where it has no ring: in a child of fork(2), where another process owns the ring and
// ring_in_use allows it, and once the ring is lost.
class ring_delivery final : public event_delivery {
 public:
  ring_delivery(output& to, const ring_options& options);  // `to` outlives it. Opens nothing
  ~ring_delivery() override;                               // drains

  receipt append(std::string_view line, time_point now) noexcept override;
  error_pointer flush() noexcept override;
  error_pointer sync() noexcept override;
  delivery_stats stats() const noexcept override;

 private:
  receipt append_without_ring(std::string_view line, time_point now) noexcept;
  receipt append_past_ring(ring_drain& open, std::string_view line, time_point now) noexcept;
  error_pointer open_ring();
  receipt refuse_full(ring_drain& open) noexcept;
  receipt refuse_lost(ring_drain& open) noexcept;
  void deliver_directly(const ring_drain& open) noexcept;
  void become_child() noexcept;
  bool is_parents_time();
  error_pointer settle_parents(std::chrono::nanoseconds wait);
  io::worker::rest step();

  // To be called after each put. Costs one load unless the thread has to be woken: for a line in an empty ring, and early where
  // the ring fills up.
  inline void wake(bool more_than_half) noexcept { worker_.wake_from(more_than_half ? io::worker::resting : io::worker::idle); }

  std::atomic<ring_drain*> open_ = nullptr;  // the ring, while events go through it
  std::atomic<ring_drain*> lost_ = nullptr;  // the ring, once another program truncated or changed it
  const ring_options options_;
  output& output_;

  // In a child of fork(2): events that were logged before the fork may be in the parent's ring, before this end.
  std::atomic<bool> is_parents_left_ = false;
  std::uint64_t parents_end_ = 0;

  std::atomic<bool> is_direct_ = false;
  std::mutex open_mutex_;  // for the next four
  std::optional<std::chrono::nanoseconds> parents_tried_;
  std::unique_ptr<ring_drain> drain_;
  std::optional<std::chrono::nanoseconds> refused_;  // when it could not be opened, by io::system_calls::uptime
  error_pointer refusal_;
  std::atomic<std::uint64_t> dropped_ = 0;
  std::atomic<std::uint64_t> recovered_ = 0;
  std::atomic<std::uint64_t> unused_ = 0;  // of a ring that is no longer used

  std::chrono::milliseconds retry_;  // the thread's, like the next
  std::uint64_t seen_head_ = 0;
  io::worker worker_;
  fork_hook hook_;
};

}  // namespace annals
