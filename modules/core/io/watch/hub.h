// SPDX-License-Identifier: Apache-2.0
//
// The inotify instance of the process. Included in the unit of annals.io.watch alone.
#pragma once

namespace annals::io {

// One of the threads in change_watch::wait() reads the instance for all of them (the leader); the others sleep on the eventfd
// of their object. A leader that returns wakes another thread, which leads from then on. Never destroyed. A child of fork(2)
// makes one of its own: an instance that it inherits is shared with its parent.
class watch_hub {
 public:
  // That of this process.
  static watch_hub& current();

  // Watches the directory for `one`, which watches nothing else. 0, or -errno.
  int add(change_watch& one, const std::string& directory, bool is_exact) noexcept;
  void remove(change_watch& one) noexcept;
  // Whether the directory is not watched any more.
  bool is_lost(const change_watch& one) noexcept;

  // Makes the eventfd of the object.
  static void make_wake(change_watch& one) noexcept;
  static void close_wake(change_watch& one) noexcept;
  // Wakes the thread that waits for `one`, or its next wait. Async-signal-safe.
  static void rouse(const change_watch& one) noexcept;

  // Waits for a change that concerns `one`, or wake(). 0, or -errno of poll(2).
  int wait(change_watch& one, std::optional<std::chrono::steady_clock::time_point> deadline) noexcept;

 private:
  explicit watch_hub(unsigned made_in) noexcept : made_in_(made_in) {}
  bool is_held() const noexcept;
  static bool is_wake_held(const change_watch& one, int wake) noexcept;
  int open() noexcept;
  void lose() noexcept;
  void dispatch() noexcept;
  void take(const inotify_event& event, std::string_view name) noexcept;
  void leave(change_watch& one) noexcept;

  const unsigned made_in_;  // the io::fork_count()
  std::mutex mutex_;
  int inotify_ = -1;
  struct ::stat identity_ = {};  // of inotify_
  std::vector<change_watch*> armed_;
  std::vector<change_watch*> waiting_;
  change_watch* leader_ = nullptr;
};

}  // namespace annals::io
