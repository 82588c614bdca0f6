// SPDX-License-Identifier: Apache-2.0
//
// annals.content.seekable: compressed segments, `.jsonl.zst`. What they look like, byte by byte, stands in
// docs/archive-format.md: the standard seekable format of zstd (independent frames, a seek table in the last skippable frame),
// with facts of ours about each frame in one skippable frame before it. Whatever reads .zst files reads them.
//
// The reading half takes any file, ours, foreign, damaged or made to harm: no number in it is trusted, memory is bounded, and
// all lines that can be decoded are given. One of these is for one thread; several may work on one file.
module;
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
export module annals.content.seekable;
import annals.event;
import annals.io;

export namespace annals::seekable {

// --- limits -----------------------------------------------------------------------------------------------------------------

inline constexpr std::size_t frame_bytes_default = 1024 * 1024;  // of lines in a frame; one longer line makes a longer frame
inline constexpr std::size_t frame_bytes_min = 16 * 1024;        // of what writer::options::frame_bytes may be
inline constexpr std::size_t frame_bytes_ceiling = 8 * 1024 * 1024;
inline constexpr int level_default = 9;
inline constexpr int level_max = 19;
inline constexpr std::size_t part_bytes_max = 1024 * 1024;  // what a decoder hands out at a time
inline constexpr std::size_t checked_bytes_max =
    8 * 1024 * 1024;  // frames up to this are handed out only once they are verified
inline constexpr std::size_t window_bytes_max = 32 * 1024 * 1024;  // frames that look further back are refused
inline constexpr std::size_t frames_max = 64 * 1024;               // entries of a table; see `frame`
inline constexpr std::size_t findings_max = 64;                    // of a table; the last one then stands for all that follow

// --- where compressed bytes come from --------------------------------------------------------------------------------------

// A file, or bytes in memory; neither is owned.
class source {
 public:
  source(const io::file& from, std::string path);
  explicit source(std::string_view bytes, std::string name = "bytes in memory");

  result<std::size_t> read_at(char* bytes, std::size_t count, std::uint64_t offset) const;  // as io::file::read_at
  result<std::uint64_t> bytes() const;                                                      // the present size
  const std::string& path() const noexcept { return path_; }

 private:
  const io::file* file_ = nullptr;
  std::string_view memory_;
  std::string path_;
};

// --- what a file consists of -----------------------------------------------------------------------------------------------

// What is known of some lines without decoding them.
struct facts {
  std::uint64_t lines = 0;
  // Of the `ts` of all these lines; absent where one of them has none that can be read (or there is no line).
  std::optional<time_point> earliest = {};
  std::optional<time_point> latest = {};
  bool operator==(const facts&) const = default;
};

// A zstd frame. In a file of more than frames_max frames, some entries are several frames in a row.
struct frame {
  std::uint64_t compressed_offset = 0;
  std::uint64_t compressed_bytes = 0;
  std::uint64_t offset = 0;                 // in the uncompressed lines: all bytes before it that are known of
  std::optional<std::uint64_t> bytes = {};  // uncompressed; not known where the frame does not say, or is cut
  std::optional<facts> known = {};          // where the file has our facts
  // Of a frame whose `bytes` only decoding can tell: what the seek table says. Another size is damage.
  std::optional<std::uint64_t> claimed = {};
};

// A part of the file from which nothing can be had, and why. None tells of a seek table that is missing, since other programs
// write none: of a file of ours that has none (from_seek_table), the end has been cut off. A frame that the end of the file
// cuts is among the frames, without a size.
struct finding {
  std::uint64_t compressed_offset = 0;
  std::uint64_t compressed_bytes = 0;
  std::string cause;                // what was found, what was expected
  std::optional<facts> known = {};  // of the lines that are lost, where the file records them
};

struct table {
  std::vector<frame> frames;                // in the order of the file; skippable frames are none
  std::optional<std::uint64_t> bytes = {};  // uncompressed, of all frames; where all of them say so and there is no finding
  std::optional<facts> known = {};          // of all lines; likewise
  bool from_seek_table = false;             // or from the frames themselves, one after the other
  std::vector<finding> findings;            // garbage between frames, a seek table that is wrong or damaged
};

// Finds the frames of a file. The seek table is believed where its sizes add up to the file and nothing at its places says
// something else; a frame that does not say how long it is may still be another than the table says, which the decoder finds;
// of a frame that is empty according to the table and not according to itself, the size is not known. Otherwise the file is
// walked, from block header to block header, past whatever is no frame. An empty file has no frames and no finding. Reads the
// seek table and a few bytes of each frame, or, walking, of each block. Up to 8 MiB of memory. Errors: io only.
result<table> read_table(const source& from);
inline result<table> read_table(const io::file& from, const std::string& path) {
  return read_table(source(from, path));
}

// The facts of all lines, as the file records them, without a look at the frames themselves: enough to decide not to read on.
// Nothing where there are none, or where they do not fit the seek table and the file's size. Reads the end of the file. Errors:
// io only.
result<std::optional<facts>> read_facts(const source& from);

// --- decoding --------------------------------------------------------------------------------------------------------------

// Decodes frames. Keeps its memory from frame to frame, 40 MiB at most: make one for a file or for many.
class decoder {
 public:
  // Takes a part of the uncompressed bytes, valid during the call; returns whether to go on.
  using taker = std::function<bool(std::string_view part)>;

  struct outcome {
    std::uint64_t bytes = 0;             // handed out or skipped
    bool complete = false;               // all of the frame was
    bool contradicts = false;            // all of it was, and it has another size than the entry says: `damage` says so
    std::optional<finding> damage = {};  // why not, unless the taker wanted no more; the first of several
  };

  explicit decoder(source from);
  decoder(const io::file& from, std::string path) : decoder(source(from, std::move(path))) {}
  ~decoder();
  decoder(decoder&&) noexcept;
  decoder& operator=(decoder&&) noexcept;

  // Hands out what a frame holds, in parts of up to part_bytes_max, in order.
  // - A frame of up to checked_bytes_max is decoded whole and its checksum compared first (where it has one: ours do): damaged,
  // it
  //   gives nothing. A longer one is handed out as it is decoded, and what came before the damage has been given by then.
  // - A frame that the end of the file cuts gives what can be decoded of it, which no checksum vouches for.
  // - Damage also is: a frame other than the entry says, a window over window_bytes_max, a dictionary, no frame at all.
  // With `skipped`, that many bytes are not handed out. Who reads a long frame in several calls gives what came before: such a
  // call goes on where the taker of the last one wanted no more, and decodes nothing twice.
  outcome decode(const frame& entry, const taker& take, std::uint64_t skipped = 0);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

// --- writing ---------------------------------------------------------------------------------------------------------------

// Compresses lines. What it gives to its output, one piece after the other, is the file.
class writer {
 public:
  // Appends to the file; the writer returns the error to its caller.
  using output = std::function<std::optional<error>(std::string_view bytes)>;

  struct options {
    int level = level_default;  // 1 to level_max
    std::size_t frame_bytes = frame_bytes_default;
  };

  // Throws std::bad_alloc.
  writer(const options& with, output to);
  ~writer();
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;

  // Takes bytes of lines, cut anywhere. After an error the writer is of no more use.
  std::optional<error> add(std::string_view bytes);

  // The same without a copy: put bytes at the beginning of space(), which is never empty, then say how many.
  std::span<char> space();
  std::optional<error> took(std::size_t bytes);

  // Writes the last frame, the facts and the seek table. A last line without a newline stays as it is. Nothing may follow.
  std::optional<error> finish();

  std::uint64_t bytes_in() const noexcept;
  std::uint64_t bytes_out() const noexcept;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

// Finds facts in lines at a small part of the cost of compressing them.
class line_reader {
 public:
  facts look_at(std::string_view lines);

 private:
  struct times;
  std::optional<time_point> time_at(const char* text, const char* end);
  void look_closely(std::string_view lines, times& seen);

  char day_text_[10] = {};  // the date of the last line, and its beginning: lines have few different ones
  time_point day_ = {};
};

}  // namespace annals::seekable

// --- shared by the implementations -----------------------------------------------------------------------------------------

namespace annals::seekable {

// The content of our skippable frame. `entries_check` is FNV-1a of the entries of these frames in the seek table.
std::string encode_facts(std::span<const facts> of_frames, std::uint64_t entries_check);

// Reads it piece by piece from the frame whose content stands at `offset`. Nothing where it is not ours, or damaged.
class facts_frame {
 public:
  static std::optional<facts_frame> open(const source& from, std::uint64_t offset, std::uint64_t bytes);
  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t entries_check() const noexcept { return entries_check_; }
  std::optional<facts> next();  // of the next frame, in order

 private:
  facts_frame() = default;

  static constexpr std::size_t read_bytes = 8 * 1024;  // at a time: some hundred entries

  const source* from_ = nullptr;
  std::uint64_t at_ = 0;       // the next entry
  std::string read_;           // what was read,
  std::uint64_t read_at_ = 0;  // and from where
  std::uint32_t entry_bytes_ = 0;
  std::uint64_t count_ = 0;
  std::uint64_t entries_check_ = 0;
};

// The facts of lines that stand one behind the other.
facts joined(const facts& a, const facts& b);

}  // namespace annals::seekable
