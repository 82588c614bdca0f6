// SPDX-License-Identifier: Apache-2.0
//
// annals.sinks.appender: appends lines to the file at a path, while other programs may rename, remove or replace it. Used by
// the sinks that write a log: the default one (annals.sinks.file) and the one that rotates (annals.rotation).
//
// Each append is one write(2) with O_APPEND, so several processes may append to one file: on local file systems Linux
// serialises such writes. The file is opened (and created, with missing directories) when it is first needed. Every 100 ms at
// most, the appender checks whether the open file is still the one at the path. It goes on with the open file where the path
// cannot be examined, or the process has another root directory since: no other file can be opened in its place then.
module;
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
export module annals.sinks.appender;
import annals.event;
import annals.io;
import annals.sink;

export namespace annals {

// Failures throw sink_error. Not thread-safe.
class appender {
 public:
  static constexpr std::chrono::milliseconds check_interval{100};
  static constexpr std::size_t closed_files_max = 8;  // descriptors that wait for a sync()

  // `mode` is that of a file that is created; the process's umask applies. `notice` is called within the other
  // calls: check_failed, file_replaced, partial_line.
  appender(std::string path, unsigned mode, notice_handler notice);

  // Appends complete lines, `count` of them; `now` is the system's clock.
  inline void write(std::string_view lines, std::size_t count, time_point now) {
    if (is_due(now)) [[unlikely]]
      look(now);
    append(lines, count);
  }

  // --- the parts of write(), for callers that do something between them ---

  bool is_open() const noexcept { return file_.is_open(); }

  // Whether look() is due: no file is open, the last look is 100 ms old or in the future of a clock that stepped back, or the
  // process has forked since: a daemon closes its descriptors then.
  inline bool is_due(time_point now) const noexcept {
    return !file_.is_open() || now - looked_ >= check_interval || now < looked_ || io::fork_count() != looked_in_;
  }

  // Makes the file at the path the open one.
  void look(time_point now);

  // Appends to the open file. Ends a partial last line of a dead writer first.
  inline void append(std::string_view lines, std::size_t count) {
    if (torn_) [[unlikely]]
      end_partial_line();
    std::size_t appended = 0;
    int failed = file_.append(lines, appended);
    if (failed == -EBADF && appended == 0) [[unlikely]]
      failed = append_again(lines, appended);
    if (appended != 0) unsynced_ = true;
    bytes_ += appended;
    if (failed != 0) [[unlikely]]
      fail_append(failed, appended);
    lines_since_look_ += count;
  }

  // Ends the last line of the open file if it is incomplete.
  void end_partial_line();

  // --- the rest ---

  // Makes everything appended so far durable, also in files that were closed meanwhile, and the directories in which files were
  // created or renamed. Continues to fail after lines could not be made durable, until reopen(). Checks first whether the open
  // file is still in its place; sync_without_look() does not.
  void sync();
  void sync_without_look();

  // Whether the open file is still the one at the path. If not, closes it and gives a notice.
  bool is_in_place(time_point now);

  // Closes the file, and clears earlier sync failures.
  void reopen();

  // The open file was renamed as planned: releases it. It is kept open for sync() if it holds lines that no sync has covered.
  void close_as_planned();
  // Syncs the oldest files that wait for sync(), while they are more than closed_files_max. sync() reports failures.
  void sync_surplus();

  // The parts of sync() that a rotation does itself.
  void directory_changed();
  std::optional<error> sync_directories();

  const std::string& path() const noexcept { return path_; }
  const io::file& file() const noexcept { return file_; }                 // open, or not
  const io::file_status& identity() const noexcept { return identity_; }  // of file(), or of the last one
  std::uint64_t bytes();                                                  // of the open file, or of the one at the path

 private:
  void open(time_point now);
  int append_again(std::string_view lines, std::size_t& appended);
  void regain_descriptor(time_point now);
  [[noreturn]] void fail_append(int failed, std::size_t appended);
  void retire(const error* removed);

  std::string path_;
  unsigned mode_;
  notice_handler notice_;
  io::file file_;
  io::file_status identity_;
  io::root_mark root_;
  time_point looked_ = {};  // when the path was last seen to be file_
  unsigned looked_in_ = 0;  // the io::fork_count() then
  std::uint64_t lines_since_look_ = 0;
  std::uint64_t bytes_ = 0;                        // that the file has at least, as far as this appender knows
  bool torn_ = false;                              // the last line may be incomplete
  bool unsynced_ = false;                          // file_ holds bytes no sync has covered
  std::vector<io::file> closed_;                   // complete files that hold bytes no sync has covered, the oldest first
  std::vector<std::string> unsynced_directories_;  // in which a file may have been created since their sync
  std::optional<error> lost_durability_;           // a closed file was not synced: every sync fails until reopen()
  std::optional<error> suspect_;                   // a sync of the file `identity_` failed: later ones must fail, too
};

// The value, or its error as a sink_error.
template <class T>
T or_throw(result<T> value) {
  if (!value) throw sink_error(std::move(value.error()));
  return std::move(*value);
}

}  // namespace annals
