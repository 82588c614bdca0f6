// SPDX-License-Identifier: Apache-2.0
//
// annals.io.worker: a background thread that repeats one step of work, and sleeps between the steps.
//
// The thread gets none of the process's signals. It does not exist in a child of fork(2): there the worker starts another one
// when it is started or woken.
module;
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>
export module annals.io.worker;
import annals.event;

export namespace annals::io {

// A member that `step` uses has to be declared before the worker: the worker's destructor stops the thread.
class worker {
 public:
  // What the thread does between two steps, the lightest sleep first.
  enum sleep : std::uint32_t {
    none,     // starts the next step at once
    pausing,  // until the limit is over or the worker stops; a wake() during the pause counts after it
    resting,  // also until wake() or wake_from(resting)
    idle,     // also until wake_from(idle)
  };
  struct rest {
    sleep how = resting;
    std::optional<std::chrono::nanoseconds> limit;  // nothing: no limit
  };
  struct options {
    const char* name = "annals";  // of the thread, up to 15 characters; a literal
    archive_priority priority = archive_priority::unchanged;
  };

  // `step` does what is due, and returns how the thread sleeps afterwards. When it throws std::exception, the thread repeats it
  // after a second. `has_work`, if given, is called between the decision to be idle and the sleep: true cancels the sleep. Both
  // are called on the thread. Starts no thread.
  worker(const options& with, std::function<rest()> step, std::function<bool()> has_work = {});
  ~worker();  // stop()
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;

  // Starts the thread unless it runs in this process already. Errors: io, when the system refuses a thread. Any thread; takes
  // no lock.
  std::optional<error> start();

  // Makes the thread run its step after this call, and starts it if necessary. A step that is running when this is called is
  // followed by another one. Errors: as start(). Any thread; takes no lock.
  std::optional<error> wake();

  // Wakes the thread if its sleep is `lightest` or deeper. For a caller that published work which `has_work` sees: costs one
  // atomic load unless the thread has to be woken. Does not start a thread. Any thread.
  inline void wake_from(sleep lightest) noexcept {
    if (sleep_.load(std::memory_order_seq_cst) >= lightest) [[unlikely]]
      wake_sleeping(lightest);
  }

  // Blocks until the running step returns, and ends the thread for good. One thread may call this, once.
  void stop() noexcept;
  // A long step looks here whether it should return early. Any thread.
  inline bool is_stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }

  // The process was forked after the thread had started: the thread is the parent's, and what it was doing to the data of the
  // step stays half done in this process.
  bool is_inherited() const noexcept;

 private:
  void run() noexcept;
  void sleep_until_woken(const rest& how);
  void wake_sleeping(sleep lightest) noexcept;

  const options options_;
  const std::function<rest()> step_;
  const std::function<bool()> has_work_;
  alignas(64) std::atomic<std::uint32_t> sleep_ = 0;  // a value of `sleep`; alone in its cache line, since callers read it
  std::atomic<bool> wanted_ = false;                  // wake() was called since the last step began
  std::atomic<bool> stopping_ = false;
  std::atomic<unsigned> runs_in_ = 0;  // the fork_count() of the process that has the thread; 0: none
  std::thread thread_;
};

}  // namespace annals::io
