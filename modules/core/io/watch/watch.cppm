// SPDX-License-Identifier: Apache-2.0
//
// annals.io.watch: waiting for changes at a path.
module;
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
export module annals.io.watch;
import annals.event;
import annals.io.calls;

namespace annals::io {

class watch_hub;

}  // namespace annals::io

export namespace annals::io {

// Waits until the file at a path is written, created, renamed or removed. Uses inotify(7) on the file's directory, or on the
// nearest existing directory above it. All objects of a process share one inotify instance, of which a user can have few. Where
// the system refuses the instance or a watch, wait() returns every poll_interval, so that the caller looks itself.
class change_watch {
 public:
  static constexpr std::chrono::milliseconds poll_interval{250};

  explicit change_watch(std::string path);
  ~change_watch();
  change_watch(const change_watch&) = delete;
  change_watch& operator=(const change_watch&) = delete;

  // Returns once something can have changed since the last call or the constructor, after `timeout` (nothing: no limit), or
  // after wake(). Errors: the directory cannot be watched for another reason than a limit of the system. One thread at a time.
  std::optional<error> wait(std::optional<std::chrono::milliseconds> timeout);

  // Makes the current or the next wait() return. Any thread; async-signal-safe.
  void wake() noexcept;

 private:
  friend class watch_hub;
  std::optional<error> arm();
  std::optional<error> arm_if_needed(bool& is_new);

  std::string path_;
  std::string directory_;  // of the file
  std::string name_;       // of the file, in the directory
  std::string armed_;      // the watched directory; empty: none
  file_status armed_identity_;
  std::atomic<int> wake_ = -1;  // eventfd(2); -1: none could be had
  std::uint64_t wake_device_ = 0;
  std::uint64_t wake_inode_ = 0;
  std::atomic<bool> is_woken_ = false;

  watch_hub* hub_ = nullptr;  // with which it is armed; the next are changed under its lock
  int watch_ = -1;
  bool is_exact_ = false;     // the watched directory is that of the file, so names matter
  bool has_changed_ = false;  // since the last wait()
  bool is_lost_ = false;      // the watched directory is not watched any more
};

}  // namespace annals::io
