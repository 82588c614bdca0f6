// SPDX-License-Identifier: Apache-2.0
//
// annals.durable: the journal (write-ahead log) of delivery::durable. A sync of a file that grows has to bring its new size to
// the disk, too, and so costs two writes of the file system; a sync of a file whose blocks are all there costs one. So a group
// of lines is appended to the log, where every reader sees it, and made durable here, in a small file that is written over and
// over. The log itself is synced once the journal is full. After a loss of power, what the log lacks is in the journal.
//
// The file, `<live path>.journal`, all numbers little-endian:
//   page 0    header: magic, version, sizes, a check
//   page 1... groups, each beginning with a page: a group header, the lines, zeros up to the next page
// A lap is a run of groups from page 1 on, with one number and without a hole; what lies behind it is of older laps, of which
// the log has been synced since. Each group says where in the log its lap begins. A page is written once in a lap: that a write
// which the loss of power interrupts harms what was there before is no danger to a group that is acknowledged. A group that is
// not whole, as its check tells, was never acknowledged, and ends the lap. Checks are FNV-1a, 64 bit (draft-eastlake-fnv): they
// tell a torn group, and no forger is kept out by them.
module;
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
export module annals.durable;
import annals.event;
import annals.io;
import annals.io.owned_file;
import annals.recovery;
import annals.segment;

export namespace annals {

class journal {
 public:
  static constexpr std::size_t page_bytes = 4096;
  static constexpr std::size_t bytes_default = 4 * 1024 * 1024;  // of groups

  // The path of the journal of the log at `log_path`.
  static std::string path_of(const std::string& log_path);

  // Opens the journal of a log, or makes it, of `bytes` of groups (whole pages) and with `mode`, and owns it. Errors:
  // ring_not_owned where another process has it, io. A file that is no journal is set aside (renamed), and
  // `on_notice` is called (journal_damaged).
  static result<journal> open(const std::string& log_path, std::size_t bytes, unsigned mode, const notice_handler& on_notice);

  journal(journal&&) noexcept = default;
  journal& operator=(journal&&) noexcept = default;
  ~journal() = default;

  // The lap that is in the file: what the last owner left, or what was appended since begin_lap(). Read from the file.
  result<journal_lap> read_lap() const;

  // From here on the lap is another one, of lines that go to the log behind `from`. What was in the file is no longer needed:
  // the log is durable. Takes effect with the next append().
  void begin_lap(const segment::log_place& from) noexcept;
  bool is_begun() const noexcept { return begun_; }  // begin_lap() was called since open()

  // Have lines of so many bytes room in this lap?
  bool has_room_for(std::size_t bytes) const noexcept {
    return bytes <= capacity_ && pages_for(bytes) * page_bytes <= capacity_ - used_;
  }

  // Makes lines durable: one write, one sync. No lines: the file then tells that the lap before is done with. After an error
  // what is appended later must not be believed to be durable: the log is to be synced itself, and this to be removed.
  std::optional<error> append(std::string_view lines, std::size_t count);

  // Removes the file.
  std::optional<error> remove();

 private:
  journal() = default;
  static std::size_t pages_for(std::size_t line_bytes) noexcept;
  static result<std::optional<journal>> open_file(const std::string& path, std::size_t bytes, unsigned mode,
                                                  const notice_handler& on_notice);
  std::optional<error> make(std::size_t bytes);
  std::optional<std::string> read_header();

  std::string path_;
  std::vector<std::string> grown_;  // directories in which others were made for it, and that are to be synced
  io::lock_file file_;
  std::size_t capacity_ = 0;  // bytes of groups
  std::size_t used_ = 0;      // of them, in this lap
  std::uint64_t lap_ = 0;
  std::uint64_t index_ = 0;  // of the next group in the lap
  bool begun_ = false;
  segment::log_place from_;
  std::string group_;  // as it is written
};

}  // namespace annals
