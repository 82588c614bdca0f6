// SPDX-License-Identifier: Apache-2.0
//
// annals.sinks.file: the default sink. Appends lines to one file, the live segment.
//
// One write(2) with O_APPEND for each batch, so several processes may append to one file: on local file systems Linux
// serialises such writes. The file is opened (and created, with missing directories) by the first write. At most every
// 100 ms a write first looks whether its file is still the one at the path.
module;
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>
export module annals.sinks.file;
import annals.event;
import annals.io;
import annals.sink;

export namespace annals {

class file_sink final : public sink {
 public:
  static constexpr std::chrono::milliseconds check_interval{100};

  // `mode` is that of a file this sink creates; the process's umask applies.
  explicit file_sink(std::string path, unsigned mode = 0600);
  ~file_sink() override;

  void write(const batch& lines) override;
  void sync() override;
  void reopen() override;
  annals::position position() override;

 private:
  void open(time_point now);
  bool is_in_place(time_point now);
  void end_torn_tail();
  void retire(const error* removed);
  void sync_directories();

  std::string path_;
  unsigned mode_;
  io::file file_;
  io::file_status identity_;  // of file_, when it was opened
  time_point looked_ = {};    // when the path was last seen to be file_; batch::now
  std::uint64_t lines_since_look_ = 0;
  bool torn_ = false;                              // a write of ours failed half-way
  bool unsynced_ = false;                          // file_ holds bytes no sync has covered
  std::vector<std::string> unsynced_directories_;  // in which something was, or may have been, created since their sync
  std::optional<error> lost_durability_;           // a file given up was not synced: no sync is complete until reopen()
  std::optional<error> suspect_;                   // a sync of the file `identity_` failed: no later one is believed
};

}  // namespace annals
