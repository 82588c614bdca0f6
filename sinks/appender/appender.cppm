// SPDX-License-Identifier: Apache-2.0
//
// annals.sinks.appender: appends lines to the file at a path, whatever others do to it meanwhile. What the sinks that write a
// log have in common: the default one (annals.sinks.file) and the one that rotates (annals.rotation).
//
// One write(2) with O_APPEND for each append, so several processes may append to one file: on local file systems Linux
// serialises such writes. The file is opened (and created, with missing directories) when it is first needed. At most every
// 100 ms it is looked whether the file that is held is still the one at the path.
module;
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

// What fails throws sink_error. Not for concurrent use.
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

  // --- the parts of write(), for who does something between them ---

  bool is_open() const noexcept { return file_.is_open(); }

  // No file is open, or it was looked for 100 ms ago or in what is the future now.
  inline bool is_due(time_point now) const noexcept {
    return !file_.is_open() || now - looked_ >= check_interval || now < looked_;
  }

  // Sees to it that the file at the path is the one that is open.
  void look(time_point now);

  // Appends to the open file. An incomplete last line, of a writer that died, is ended first.
  inline void append(std::string_view lines, std::size_t count) {
    if (torn_) [[unlikely]]
      end_partial_line();
    std::size_t appended = 0;
    const int failed = file_.append(lines, appended);
    if (appended != 0) unsynced_ = true;
    if (failed != 0) [[unlikely]]
      fail_append(failed, appended);
    lines_since_look_ += count;
  }

  // Ends the last line of the open file where it is incomplete.
  void end_partial_line();

  // --- the rest ---

  // Everything appended so far is durable, in files that were let go, too; and the directories in which files were created or
  // renamed. Goes on failing for what can no longer be made durable. Looks first whether the open file is still in its place.
  void sync();
  void sync_without_look();

  // Is the open file still the one at the path? If not, it is let go, and `notice` hears of it.
  bool is_in_place(time_point now);

  // Lets go of the file; what cannot be made durable any more is known to whoever asked for it.
  void reopen();

  // The open file was renamed as planned: lets go of it. It waits for sync() where that is still to be done.
  void close_as_planned();
  // Syncs the oldest of the files that wait for it, where they are more than closed_files_max. sync() tells what fails.
  void sync_surplus();

  // The parts of sync() that a rotation does itself.
  void directory_changed();
  std::optional<error> sync_directories();

  const std::string& path() const noexcept { return path_; }
  const io::file& file() const noexcept { return file_; }                 // open, or not
  const io::file_status& identity() const noexcept { return identity_; }  // of file(), when it was opened; of the last one
  std::uint64_t bytes();                                                  // of the open file, or of the one at the path

 private:
  void open(time_point now);
  [[noreturn]] void fail_append(int failed, std::size_t appended);
  void retire(const error* removed);

  std::string path_;
  unsigned mode_;
  notice_handler notice_;
  io::file file_;
  io::file_status identity_;
  time_point looked_ = {};  // when the path was last seen to be file_
  std::uint64_t lines_since_look_ = 0;
  bool torn_ = false;                              // the last line may be incomplete
  bool unsynced_ = false;                          // file_ holds bytes no sync has covered
  std::vector<io::file> closed_;                   // complete files that hold bytes no sync has covered, the oldest first
  std::vector<std::string> unsynced_directories_;  // in which something was, or may have been, created since their sync
  std::optional<error> lost_durability_;           // a file given up was not synced: no sync is complete until reopen()
  std::optional<error> suspect_;                   // a sync of the file `identity_` failed: no later one is believed
};

// The value, or its error as a sink_error.
template <class T>
T or_throw(result<T> value) {
  if (!value) throw sink_error(std::move(value.error()));
  return std::move(*value);
}

}  // namespace annals
