// SPDX-License-Identifier: Apache-2.0
//
// How the frames of a file are found: by its seek table, or one after the other. Included by the implementations of
// annals.content.seekable behind the module's declaration, so it includes nothing itself.
#pragma once

namespace annals::seekable {

// Bytes of a file, read as they are looked at. Errors of the system are kept: what could not be read has no bytes.
class window {
 public:
  inline window(const source& from, std::size_t bytes) : from_(from), capacity_(bytes), bytes_(new char[bytes]) {}

  // Up to `count` bytes at `offset`; fewer only at the end of the file. Valid until the next call.
  inline std::string_view at(std::uint64_t offset, std::size_t count) {
    if (offset < begin_ || offset + count > begin_ + filled_) {
      auto got = from_.read_at(bytes_.get(), capacity_, offset);
      if (!got && !failed_) failed_ = std::move(got.error());
      begin_ = offset;
      filled_ = got ? *got : 0;
    }
    return std::string_view(bytes_.get(), filled_).substr(static_cast<std::size_t>(offset - begin_), count);
  }
  // What has been read of the bytes from `offset` on, at least one unless the file ends there.
  inline std::string_view piece_at(std::uint64_t offset) {
    if (at(offset, 1).empty()) return {};
    return std::string_view(bytes_.get(), filled_).substr(static_cast<std::size_t>(offset - begin_));
  }
  inline const std::optional<error>& failed() const noexcept { return failed_; }

 private:
  const source& from_;
  std::size_t capacity_;
  std::unique_ptr<char[]> bytes_;
  std::uint64_t begin_ = 0;
  std::size_t filled_ = 0;
  std::optional<error> failed_;
};

inline constexpr std::size_t header_window_bytes =
    4 * 1024;  // a few block headers of small blocks, and soon read for large ones
inline constexpr std::size_t search_window_bytes = 64 * 1024;

// The frames found so far.
class growing_table {
 public:
  inline void add(frame next) {
    next.offset = offset_;
    offset_ += next.bytes.value_or(0);
    all_sizes_known_ = all_sizes_known_ && next.bytes;
    if (made_.frames.size() == frames_max && !crowded_) crowded_ = !halve();
    if (made_.frames.size() < frames_max) return made_.frames.push_back(next);
    if (touch(made_.frames.back(), next)) return join(made_.frames.back(), next);
    report(next.compressed_offset, next.compressed_bytes,
           "more than " + std::to_string(frames_max) + " frames with something else between them; expected fewer");
  }
  // The next frame is at this place of the uncompressed lines.
  inline void go_on_at(std::uint64_t offset) noexcept { offset_ = offset; }
  inline void forget_facts() noexcept {
    for (frame& f : made_.frames) f.known.reset();
  }

  inline void report(std::uint64_t offset, std::uint64_t bytes, std::string cause, const std::optional<facts>& known = {}) {
    all_sizes_known_ = false;
    if (made_.findings.size() < findings_max) return made_.findings.push_back({offset, bytes, std::move(cause), known});
    finding& last = made_.findings.back();
    last.known.reset();
    last.cause = "more damage than is told of one by one, between here and the end";
    last.compressed_bytes = offset + bytes - std::min(last.compressed_offset, offset);
  }

  inline table finish(bool from_seek_table) && {
    made_.from_seek_table = from_seek_table;
    if (all_sizes_known_) made_.bytes = offset_;
    facts all;
    bool known = all_sizes_known_ && !made_.frames.empty();
    for (const frame& f : made_.frames) {
      known = known && f.known;
      if (known) all = joined(all, *f.known);
    }
    if (known) made_.known = all;
    return std::move(made_);
  }

  inline const std::vector<frame>& frames() const noexcept { return made_.frames; }

 private:
  static inline bool touch(const frame& one, const frame& next) noexcept {
    return one.compressed_offset + one.compressed_bytes == next.compressed_offset;
  }
  static inline void join(frame& one, const frame& next) noexcept {
    one.compressed_bytes += next.compressed_bytes;
    one.bytes = one.bytes && next.bytes ? std::optional(*one.bytes + *next.bytes) : std::nullopt;
    one.known = one.known && next.known ? std::optional(joined(*one.known, *next.known)) : std::nullopt;
    one.claimed.reset();
  }

  // Makes one entry of each two that touch. False where those are few: a look at all entries has to be worth it, or a file of
  // nothing but tiny frames would take for ever.
  inline bool halve() {
    constexpr std::size_t few = frames_max / 16;
    std::vector<frame>& frames = made_.frames;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      frame one = frames[i];
      if (i + 1 < frames.size() && touch(one, frames[i + 1])) join(one, frames[++i]);
      frames[kept++] = one;
    }
    const bool many = kept + few <= frames.size();
    frames.resize(kept);
    return many;
  }

  table made_;
  std::uint64_t offset_ = 0;
  bool all_sizes_known_ = true;
  bool crowded_ = false;  // few entries touch another: what comes when there is no room is joined to the last, or is not had
};

// --- by the seek table (seek_table.cpp)
// ----------------------------------------------------------------------------------------

struct seek_table_place {
  std::uint64_t entries_at = 0;
  std::uint64_t frame_at = 0;  // of the skippable frame it stands in
  std::uint32_t count = 0;
  std::uint32_t entry_bytes = 0;
};

struct found_seek_table {
  std::optional<seek_table_place> place;
  std::string problem;  // where it is there, and wrong
};

found_seek_table find_seek_table(window& in, std::uint64_t size);

struct planned {
  growing_table frames;
  bool believed = false;             // everything is at its place
  bool guides = false;               // it is what our writer wrote, each entry one frame, whatever has become of those
  std::optional<error> failed = {};  // nothing of this is known, since the table could not be read
};

enum class frames_are : std::uint8_t { looked_at, taken_as_told };

// The frames as the seek table has them.
planned read_entries(const source& from, window& in, const seek_table_place& place, frames_are how);

// --- one after the other (walk.cpp)
// ----------------------------------------------------------------------------------------------

// Goes from frame to frame, past what is no frame. `plan`: the frames of a seek table of ours, which tell where in the lines
// each frame stands. Errors: io.
result<growing_table> walk_frames(const source& from, std::uint64_t size, const std::vector<frame>& plan);

}  // namespace annals::seekable
