// SPDX-License-Identifier: Apache-2.0
module;
#include <zstd.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format.h"
module annals.content.seekable;
import annals.io.checksum;
import annals.io.invariant;

namespace annals::seekable {

namespace {

// Bytes without a newline are cut here: no reader looks at a line this long.
constexpr std::size_t frame_bytes_longest = limits::read_line_bytes_max;
constexpr std::size_t frames_of_a_file_max = 0x8000000;  // ZSTD_SEEKABLE_MAXFRAMES

// Of levels 5 to 10, what compresses lines in frames of their own better than what zstd takes for files of any kind and size:
// it looks at more candidates, in a table that fits a frame, and for longer matches (docs/decisions.md has the figures).
void tune(ZSTD_CCtx* context, int level, std::size_t frame_bytes) {
  constexpr int first_level = 5;
  constexpr int search_log[] = {3, 4, 5, 5, 5, 6};
  if (level < first_level || level - first_level >= static_cast<int>(std::size(search_log))) return;
  ZSTD_CCtx_setParameter(context, ZSTD_c_searchLog, search_log[level - first_level]);
  ZSTD_CCtx_setParameter(context, ZSTD_c_minMatch, 6);
  ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, static_cast<int>(std::bit_width(frame_bytes)) - 3);
}

struct free_context {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
};

// Bytes that are not zeroed first.
struct buffer {
  std::unique_ptr<char[]> bytes;
  std::size_t size = 0;

  void grow(std::size_t to, std::size_t kept) {
    std::unique_ptr<char[]> larger(new char[to]);
    if (kept != 0) std::memcpy(larger.get(), bytes.get(), kept);
    bytes = std::move(larger);
    size = to;
  }
};

}  // namespace

struct writer::state {
  struct entry {
    std::uint32_t compressed_bytes;
    std::uint32_t bytes;
    std::uint32_t checksum;
  };

  state(const options& with, output to)
      : frame_bytes(std::clamp(with.frame_bytes, frame_bytes_min, frame_bytes_ceiling)), write(std::move(to)) {
    context.reset(ZSTD_createCCtx());
    if (!context) throw std::bad_alloc();
    const int level = std::clamp(with.level, 1, level_max);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
    tune(context.get(), level, frame_bytes);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_contentSizeFlag, 1);
    in.grow(frame_bytes, 0);
  }

  std::optional<error> put(std::string_view bytes) {
    bytes_out += bytes.size();
    return write(bytes);
  }
  std::optional<error> compress(std::string_view lines);
  std::size_t end_of_frame();
  std::optional<error> put_skippable(std::uint32_t magic, const std::string& content);
  void check_entries() const;
  std::string seek_table_entries() const;
  static void store(std::string& to, const entry& of_one) {
    format::store(to, of_one.compressed_bytes);
    format::store(to, of_one.bytes);
    format::store(to, of_one.checksum);
  }

  std::size_t frame_bytes;
  output write;
  std::unique_ptr<ZSTD_CCtx, free_context> context;
  buffer in;
  std::size_t filled = 0;
  std::size_t searched = 0;  // of `in`: without a newline behind frame_bytes
  buffer out;
  line_reader reader;
  std::vector<entry> entries;
  std::vector<facts> of_frames;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
};

std::optional<error> writer::state::compress(std::string_view lines) {
  if (entries.size() == frames_of_a_file_max - 1) {
    return error{errc::io, 0, "cannot compress: the seek table has no room for more frames; expected a larger frame_size"};
  }
  if (const std::size_t bound = ZSTD_compressBound(lines.size()); out.size < bound) out.grow(bound, 0);
  const std::size_t made = ZSTD_compress2(context.get(), out.bytes.get(), out.size, lines.data(), lines.size());
  if (ZSTD_isError(made) != 0) {
    return error{errc::io, 0, std::string("cannot compress: zstd says: ") + ZSTD_getErrorName(made)};
  }
  // A frame ends with the low four bytes of the XXH64 of its content: what the seek table wants, too.
  entries.push_back({static_cast<std::uint32_t>(made), static_cast<std::uint32_t>(lines.size()),
                     format::load<std::uint32_t>(out.bytes.get() + made - format::checksum_bytes)});
  of_frames.push_back(reader.look_at(lines));
  return put({out.bytes.get(), made});
}

// Where the frame at the beginning of `in` ends: at the last end of a line that keeps it within frame_bytes; behind the first
// line where that is longer; 0 where that has not been seen.
std::size_t writer::state::end_of_frame() {
  if (filled < frame_bytes) return 0;
  if (searched < frame_bytes) {
    const std::size_t last = std::string_view(in.bytes.get(), frame_bytes).rfind('\n');
    if (last != std::string_view::npos) return last + 1;
    searched = frame_bytes;
  }
  const void* const first = std::memchr(in.bytes.get() + searched, '\n', filled - searched);
  if (first != nullptr) return static_cast<std::size_t>(static_cast<const char*>(first) - in.bytes.get()) + 1;
  searched = filled;
  return filled >= frame_bytes_longest ? filled : 0;
}

std::optional<error> writer::state::put_skippable(std::uint32_t magic, const std::string& content) {
  std::string frame;
  frame.reserve(format::skippable_header_bytes + content.size());
  format::store(frame, magic);
  format::store(frame, static_cast<std::uint32_t>(content.size()));
  return put(frame += content);
}

// The seek table and the facts describe each frame, and the frames are all that was written so far.
void writer::state::check_entries() const {
  std::uint64_t compressed = 0;
  std::uint64_t decompressed = 0;
  for (const entry& of_one : entries) {
    compressed += of_one.compressed_bytes;
    decompressed += of_one.bytes;
  }
  invariant(of_frames.size() == entries.size(), "each frame has facts and an entry in the seek table");
  invariant(compressed == bytes_out, "the frames of the seek table are the bytes written");
  invariant(decompressed == bytes_in, "the frames of the seek table contain the bytes taken");
}

std::string writer::state::seek_table_entries() const {
  std::string table;
  table.reserve((entries.size() + 1) * sizeof(entry) + format::footer_bytes);
  for (const entry& of_one : entries) store(table, of_one);
  return table;
}

writer::writer(const options& with, output to) : state_(std::make_unique<state>(with, std::move(to))) {}
writer::~writer() = default;

std::span<char> writer::space() {
  return {state_->in.bytes.get() + state_->filled, state_->in.size - state_->filled};
}

std::optional<error> writer::took(std::size_t bytes) {
  state& s = *state_;
  invariant(bytes <= s.in.size - s.filled, "the bytes taken fit into the space offered");
  s.filled += bytes;
  s.bytes_in += bytes;
  while (const std::size_t end = s.end_of_frame()) {
    invariant(end <= s.filled, "a frame ends within the bytes taken");
    if (auto failed = s.compress({s.in.bytes.get(), end})) return failed;
    s.filled -= end;
    s.searched = 0;
    std::memmove(s.in.bytes.get(), s.in.bytes.get() + end, s.filled);
  }
  if (s.filled == s.in.size) s.in.grow(std::min(s.in.size * 2, frame_bytes_longest), s.filled);
  return std::nullopt;
}

std::optional<error> writer::add(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::span<char> room = space();
    const std::size_t count = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), count);
    bytes.remove_prefix(count);
    if (auto failed = took(count)) return failed;
  }
  return std::nullopt;
}

std::optional<error> writer::finish() {
  state& s = *state_;
  // Without a frame at all, some programs take the file for a broken one.
  if (s.filled != 0 || s.entries.empty()) {
    if (auto failed = s.compress({s.in.bytes.get(), s.filled})) return failed;
    s.filled = 0;
  }
  constexpr std::uint32_t checksum_of_nothing = 0x51D8E999;  // low half of XXH64 of no bytes
  constexpr char with_checksums = static_cast<char>(0x80);
  if constexpr (checks_invariants) s.check_entries();
  std::string table = s.seek_table_entries();
  const std::string known = encode_facts(s.of_frames, fnv_1a(table));
  if (auto failed = s.put_skippable(format::facts_magic, known)) return failed;
  state::store(table, {static_cast<std::uint32_t>(format::skippable_header_bytes + known.size()), 0, checksum_of_nothing});
  format::store(table, static_cast<std::uint32_t>(s.entries.size() + 1));
  table += with_checksums;
  format::store(table, format::seekable_magic);
  return s.put_skippable(format::seek_table_magic, table);
}

std::uint64_t writer::bytes_in() const noexcept {
  return state_->bytes_in;
}

std::uint64_t writer::bytes_out() const noexcept {
  return state_->bytes_out;
}

}  // namespace annals::seekable
