// SPDX-License-Identifier: Apache-2.0
//
// annals.content: what readers read. The uncompressed bytes of one segment whatever its form (`segment_reader`), the segments
// of a log as they stood at one moment (`view_of`), and lines, onwards and backwards.
//
// Offsets are in the uncompressed lines, and the same in a plain segment and in what it becomes when it is compressed. Objects
// here are for one thread each. Errors are those of the file system; whatever a file may hold is no error, but a `loss`.
module;
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
export module annals.content;
import annals.event;
import annals.io;
import annals.json;
import annals.content.seekable;
import annals.segment;

export namespace annals::content {

// --- the bytes of a segment -------------------------------------------------------------------------------------------------

// A part of a compressed file from which nothing can be had: offset and size in the file itself.
struct loss {
  std::uint64_t file_offset = 0;
  std::uint64_t file_bytes = 0;
  std::string cause;
  std::optional<seekable::facts> known = {};  // of the lost lines, where the file records them
};

// Bytes that stand together, at `offset`. Valid until the next call of who gave it.
struct piece {
  std::uint64_t offset = 0;
  std::string_view bytes = {};
};

inline constexpr std::size_t block_bytes_max = 1024 * 1024;  // of a plain file, read at once

// An open segment, plain or compressed. Movable. A reader of it takes up to 50 MiB for a compressed file, 1 MiB for a plain
// one.
class segment_reader {
 public:
  segment_reader();
  segment_reader(segment_reader&&) noexcept;
  segment_reader& operator=(segment_reader&&) noexcept;
  ~segment_reader();

  // Opens a file as io::file::open does. What is compressed is told by its first bytes, or by its name. What gzip compressed is
  // refused, with the command that converts it.
  //
  // With `wanted`, a compressed file is first asked for its recorded facts. Where those are not wanted, it is open, but passed
  // over: nothing else can be done with it.
  using chooser = std::function<bool(const seekable::facts&)>;
  static result<segment_reader> open(const std::string& path, const chooser& wanted = {});

  // Reads a file that is open already. `opened` has to outlive the result. `path` is for messages.
  static result<segment_reader> of(const io::file& opened, const std::string& path);

  bool is_passed_over() const noexcept;
  bool is_open() const noexcept { return state_ != nullptr; }
  bool is_compressed() const noexcept;
  const std::string& path() const noexcept;          // where it was opened
  const io::file_status& identity() const noexcept;  // when it was opened
  result<io::file_status> status() const;
  const io::file& file() const noexcept;

  // The bytes at `offset`, as many as are at hand: up to a block of a plain file, up to the end of a frame. Where they are
  // lost, those behind: the piece then begins behind `offset`. An empty piece: there is nothing behind `offset` (yet, in a
  // plain file).
  result<piece> at(std::uint64_t offset, std::size_t bytes_max = block_bytes_max);

  // The bytes that end at `offset`, or where those are lost, at the next place before it that can be had. An empty piece: there
  // are none. Only where can_go_back().
  result<piece> before(std::uint64_t offset, std::size_t bytes_max = block_bytes_max);
  bool can_go_back();

  // Up to `count_max` bytes at, or before, `offset`; fewer at an end and where bytes are lost.
  result<std::string> text_at(std::uint64_t offset, std::size_t count_max);
  result<std::string> text_before(std::uint64_t offset, std::size_t count_max);

  // The offset behind the last byte: the present size of a plain file. Of a compressed one whose frames do not all say how long
  // they are, it takes a pass over them.
  result<std::uint64_t> bytes();

  // Hands out everything from `offset` on, piece by piece, but the frames for which `wanted` (when given) says no: it is asked
  // of those of which facts are recorded. Ends at `end` in a plain file. False when `take` did not want more.
  using taker = std::function<bool(const piece&)>;
  result<bool> each(std::uint64_t offset, std::uint64_t end, const chooser& wanted, const taker& take);

  // Has a frame turned out to be longer or shorter than the seek table says? Then the frames behind it have moved: who reads
  // backwards has to begin anew, and read onwards.
  bool is_contradicted() const noexcept;

  // The offset behind the hole of a sparse plain file that begins at `offset`, which becomes a loss; `offset` where there is
  // none. A hole takes no space on the disk, and can be longer than anybody can read.
  result<std::uint64_t> behind_hole(std::uint64_t offset);

  // The frames of a compressed file; none of a plain one.
  const std::vector<seekable::frame>& frames() const noexcept;

  // What was found lost since the last call.
  std::vector<loss> take_losses();
  // Adds to it what the caller found out about the file.
  void note_loss(std::string cause);

 private:
  struct state;
  explicit segment_reader(std::unique_ptr<state> made) noexcept;
  static result<segment_reader> begin(std::unique_ptr<state> made, const chooser& wanted);
  std::unique_ptr<state> state_;
};

// --- the segments of a log --------------------------------------------------------------------------------------------------

// A log at one moment. Of a segment that is there in both forms, the plain one is named.
struct view {
  std::vector<closed_segment> closed;  // in the order of their numbers; several of one number are different segments
  std::uint64_t live_number = 1;
  segment_reader live;  // not open without a live segment
};

// The log at `path`. The live segment is the one with live_number, and every number that is missing below it is that of a
// segment that is gone. Errors: what io::file::open says of the live segment (not_a_regular_file), the directory cannot be
// listed.
result<view> view_of(const std::string& path);

// Opens a closed segment. Not open where it is gone: it is looked for in both forms, since compression may be at work. Where
// both forms are there, the longer one is opened: an interrupted copy or decompression leaves a beginning. A loss says that the
// forms differ, or that the segment is empty.
result<segment_reader> open_closed(const std::string& path, const closed_segment& wanted,
                                   const segment_reader::chooser& by_facts = {});

// --- lines ------------------------------------------------------------------------------------------------------------------

// A line. Where it is longer than limits::read_line_bytes_max, `text` is its last bytes, of that number and one.
struct line {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;  // newline not included
  bool terminated = false;
  std::string_view text;  // valid until the next call of who gave it
  bool is_cut = false;    // the bytes behind it are lost: no newline will come

  inline bool is_too_long() const noexcept { return bytes > limits::read_line_bytes_max; }
};

// The text of a line without the byte order mark that some programs write at the beginning of a file.
inline std::string_view without_mark(const line& one) noexcept {
  constexpr std::string_view mark = "\xef\xbb\xbf";
  return one.offset == 0 && one.text.starts_with(mark) ? one.text.substr(mark.size()) : one.text;
}

// Calls `take` with each line from `offset` on, until it returns false: false then. The last line may have no newline. `wanted`
// and `end` as for segment_reader::each. `goes_on`, when given, is asked before each piece of the segment, of up to 1 MiB:
// where it returns false, the rest is not read.
result<bool> each_line(segment_reader& from, std::uint64_t offset, std::uint64_t end, const segment_reader::chooser& wanted,
                       const std::function<bool(const line&)>& take, const std::function<bool()>& goes_on = {});

// The time of a line, as json::time_of reads it. Of a line that is too long, only the time of an event that was appended to it.
json::line_time time_of(const line& one);

// The first time in the first `lines_max` lines. Nothing where none of them has one that can be read.
result<std::optional<time_point>> first_time(segment_reader& from, std::uint64_t lines_max = static_cast<std::uint64_t>(-1));

// The frames of a compressed file whose recorded facts are not those of their lines. Decodes all of it. A frame that cannot be
// decoded is not compared.
result<std::vector<loss>> wrong_facts(segment_reader& file);

// The lines of a segment, last one first, from `end` on backwards. A line that ends where bytes are lost is not terminated.
class backward_lines {
 public:
  backward_lines(segment_reader& from, std::uint64_t end);
  std::optional<line> next();  // throws annals::failure

 private:
  void start(const piece& block);
  void set_aside(std::string_view part);
  line cut(std::size_t from);

  segment_reader& from_;
  std::uint64_t begin_ = 0;  // of held_
  std::uint64_t end_ = 0;    // behind the line that held_ ends with, or that goes on in behind_
  std::string_view held_;    // of the content
  std::string behind_;       // the rest of the line, when it lies in several blocks; of one that is too long, the end
  std::size_t block_bytes_;
  bool ended_ = false;  // the line, by a newline; which is not held any more
  bool given_ = false;  // behind_ was, with the line before
  bool done_ = false;
};

// The lines of a segment that grows, from an offset on, as they become complete; and whether what was read is still there.
class forward_lines {
 public:
  forward_lines() = default;
  forward_lines(segment_reader& from, std::uint64_t at);  // throws annals::failure

  std::uint64_t offset() const noexcept { return offset_; }
  std::uint64_t end() const noexcept { return offset_ + dropped_ + (buffer_.size() - head_); }

  // Of a cursor at offset(): the beginning of the file, up to check_first_bytes_max, and the bytes before it, up to
  // check_last_bytes_max.
  std::string_view first_bytes() const noexcept;
  std::string_view last_bytes() const noexcept;

  // Does offset() lie behind a line whose newline was still missing?
  bool is_behind_line() const noexcept { return head_ != 0 && dropped_ == 0 && buffer_[head_ - 1] != '\n'; }

  enum class found : std::uint8_t { nothing, more, rewritten, lost };

  // Reads what was appended; or finds that what was read before is not there any more (`rewritten`, in a plain file), or that
  // what follows is lost (`lost`): then rest() is what had no newline, and the lines go on behind the loss after skip().
  // Throws annals::failure.
  found fill(segment_reader& from);
  void skip();

  std::optional<line> next();
  line rest() const;  // what has no newline yet

 private:
  std::string_view before_head() const noexcept;
  void append(std::string_view bytes);
  line cut(std::size_t to) const;
  void drop();

  std::string first_;              // the file's first bytes
  std::string buffer_;             // what was read, up to check_last_bytes_max bytes before head_ included
  std::size_t head_ = 0;           // where in the buffer the next line begins, or goes on behind what was dropped
  std::size_t searched_ = 0;       // bytes from head_ on that contain no newline
  std::uint64_t offset_ = 0;       // of the next line
  std::uint64_t dropped_ = 0;      // bytes of it that were let go
  std::string before_dropped_;     // the bytes before offset_, if any were dropped since
  std::uint64_t behind_loss_ = 0;  // where the lines go on
};

inline constexpr std::size_t check_first_bytes_max = 256;
inline constexpr std::size_t check_last_bytes_max = 512;

// Makes whole lines of pieces, and copies only the lines that lie in several.
class line_cutter {
 public:
  // Several whole lines, each with its newline; or one line without, which is `line::terminated` or not.
  struct lines {
    std::uint64_t offset = 0;
    std::string_view text = {};  // several
    std::optional<line> one = {};
  };
  using taker = std::function<bool(const lines&)>;

  // Pieces in order. One that does not begin where the last one ended breaks the line. False when `take` did not want more.
  bool feed(const piece& next, const taker& take);
  // There are no more: the last line, which has no newline.
  bool end(const taker& take);

 private:
  void hold(std::string_view bytes);
  bool give(bool terminated, bool is_cut, const taker& take);

  std::uint64_t next_ = 0;        // behind the piece before
  std::string held_;              // of a line that is not whole yet; of one that is too long, the end
  std::uint64_t held_bytes_ = 0;  // that it has
  std::uint64_t held_offset_ = 0;
};

}  // namespace annals::content

// --- for the units of this module -------------------------------------------------------------------------------------------

namespace annals::content {

inline bool is_zeros(std::string_view bytes) noexcept {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

}  // namespace annals::content
