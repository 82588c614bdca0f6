// SPDX-License-Identifier: Apache-2.0
//
// annals.rotation.request: closes the live segment of a log on demand.
module;
#include <atomic>
#include <optional>
#include <string>
export module annals.rotation.request;
import annals.event;
#pragma GCC visibility push(default)

export namespace annals {

// Closes the live segment of the log at `path` and begins another, in which its writers go on. Returns the closed segment;
// nothing if there is no live segment, or an empty one. Errors: io. Any thread, any number of processes.
result<std::optional<closed_segment>> rotate_log(const std::string& path);

// For a host that rotates when it gets a signal. The handler must not rotate: it calls ask(), and the host calls serve() where
// it can.
class rotation_request {
 public:
  inline void ask() noexcept { asked_.store(true, std::memory_order_relaxed); }  // any thread, any signal handler
  inline bool is_asked() const noexcept { return asked_.load(std::memory_order_relaxed); }

  // Calls rotate_log(path) if ask() was called since the last call that succeeded. Any thread.
  result<std::optional<closed_segment>> serve(const std::string& path);

 private:
  std::atomic<bool> asked_ = false;
  static_assert(std::atomic<bool>::is_always_lock_free);
};

}  // namespace annals
#pragma GCC visibility pop
