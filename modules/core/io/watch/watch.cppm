// SPDX-License-Identifier: Apache-2.0
//
// annals.io.watch: waiting for changes at a path.
module;
#include <chrono>
#include <optional>
#include <string>
export module annals.io.watch;
import annals.event;
import annals.io.calls;

export namespace annals::io {

// Waits until the file at a path is written, created, renamed or removed. Uses inotify(7) on the file's directory, or on the
// nearest existing directory above it. Does not poll.
class change_watch {
 public:
  explicit change_watch(std::string path);
  ~change_watch();
  change_watch(const change_watch&) = delete;
  change_watch& operator=(const change_watch&) = delete;

  // Returns once something can have changed since the last call or the constructor, after `timeout` (nothing: no limit), or
  // after wake(). Errors: the system has no more inotify watches or descriptors.
  std::optional<error> wait(std::optional<std::chrono::milliseconds> timeout);

  // Makes the current or the next wait() return. Any thread; async-signal-safe.
  void wake() noexcept;

 private:
  std::optional<error> arm();
  int add_watch(const std::string& directory) noexcept;
  bool concerns_us();

  std::string path_;
  std::string directory_;  // of the file
  std::string name_;       // of the file, in the directory
  std::string armed_;      // the watched directory; empty: none
  file_status armed_identity_;
  int inotify_ = -1;
  int watch_ = -1;
  int wake_ = -1;
  int open_errno_ = 0;
};

}  // namespace annals::io
