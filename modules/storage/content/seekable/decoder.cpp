// SPDX-License-Identifier: Apache-2.0
module;
#include <zstd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format.h"
module annals.content.seekable;

namespace annals::seekable {

namespace {

constexpr int window_log_max = 25;
static_assert(std::size_t{1} << window_log_max == window_bytes_max);
constexpr std::size_t first_piece_bytes = 4 * 1024;  // of compressed bytes, where a frame is not read at once
constexpr std::size_t piece_bytes = 128 * 1024;
constexpr std::size_t context_bytes_kept = 1024 * 1024;  // with which a context is used again
constexpr std::size_t kept_parts = checked_bytes_max / part_bytes_max;

struct free_context {
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

// Bytes that are not zeroed first, and only ever more of them.
class buffer {
 public:
  char* with(std::size_t bytes) {
    if (size_ < bytes) {
      bytes_.reset();  // first: the two are not needed at once
      bytes_.reset(new char[bytes]);
      size_ = bytes;
    }
    return bytes_.get();
  }
  void release() noexcept {
    bytes_.reset();
    size_ = 0;
  }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
};

std::string amount(std::uint64_t bytes) {
  return std::to_string(bytes) + " bytes";
}

}  // namespace

// A zstd frame that is decoded piece by piece, and can be left when its taker wants no more, and gone on with.
struct streamed_frame {
  std::uint64_t begin = 0;  // in the file
  std::uint64_t at = 0;     // of what is read next
  std::uint64_t end = 0;    // of the frame, or what holds it
  std::size_t want_max = first_piece_bytes;
  ZSTD_inBuffer input = {nullptr, 0, 0};
  std::size_t filled = 0;      // of the last part
  std::size_t handed_out = 0;  // of the parts
  bool more = false;           // may be had of the input that was read
  bool checked = true;         // nothing is handed out before its checksum was seen
  bool is_decoded = false;     // what is left are parts to be handed out
};

struct decoder::state {
  explicit state(source given) : from(std::move(given)) {}

  void decode(const frame& entry, std::uint64_t skipped, const taker& take);
  void decode_all(const frame& entry, const taker& take);
  bool go_on(std::uint64_t& at, const taker& take);
  bool decode_one(std::uint64_t& at, std::uint64_t end, const taker& take);
  std::optional<bool> decode_at_once(std::uint64_t& at, std::size_t count, std::uint64_t content, const taker& take);
  bool decode_streamed(std::uint64_t& at, const taker& take);
  bool hand_out_parts(const taker& take);
  bool hand_out(std::string_view bytes, const taker& take);
  bool damaged(std::uint64_t at, std::uint64_t end, std::string cause);
  ZSTD_DCtx* context_for_next();

  source from;
  std::unique_ptr<ZSTD_DCtx, free_context> context;
  buffer in;
  buffer out;
  std::vector<std::unique_ptr<char[]>> parts;  // streamed, and not handed out; all but the last are full
  streamed_frame stream;
  std::uint64_t left_in = 0;  // the offset of the entry in whose streamed frame the taker wanted no more
  bool is_streaming = false;  // there
  outcome result;             // of the present entry
  bool stopped = false;
};

// A context keeps the window of the frame before: beside what is decoded and not checked yet, that would be more than we may
// have.
ZSTD_DCtx* decoder::state::context_for_next() {
  if (context && ZSTD_sizeof_DCtx(context.get()) > context_bytes_kept) context.reset();
  if (!context) {
    context.reset(ZSTD_createDCtx());
    if (!context) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, window_log_max);
  }
  ZSTD_DCtx_reset(context.get(), ZSTD_reset_session_only);
  return context.get();
}

bool decoder::state::damaged(std::uint64_t at, std::uint64_t end, std::string cause) {
  if (!result.damage) result.damage = finding{at, end - at, std::move(cause)};
  return false;
}

// False where the taker wants no more.
bool decoder::state::hand_out(std::string_view bytes, const taker& take) {
  while (!bytes.empty() && !stopped) {
    const std::string_view part = bytes.substr(0, part_bytes_max);
    stopped = !take(part);
    result.bytes += part.size();
    bytes.remove_prefix(part.size());
  }
  return !stopped;
}

// Decodes the frame, or skips the skippable one, that begins at `at`, and puts `at` behind it. False where what follows it, up
// to `end`, cannot be found.
bool decoder::state::decode_one(std::uint64_t& at, std::uint64_t end, const taker& take) {
  char beginning[format::frame_header_bytes_max];
  const auto got = from.read_at(beginning, static_cast<std::size_t>(std::min<std::uint64_t>(sizeof beginning, end - at)), at);
  if (!got) return damaged(at, end, got.error().message);
  const std::string_view header_bytes(beginning, *got);
  if (*got >= format::skippable_header_bytes && format::is_skippable(format::load<std::uint32_t>(beginning))) {
    at += format::skippable_header_bytes + format::load<std::uint32_t>(beginning + 4);
    return true;
  }
  const auto header = format::read_frame_header(header_bytes);
  if (!header) {
    const bool cut = *got < sizeof beginning && *got < end - at;
    return damaged(at, end, cut ? "the file ends within the header of a frame" : "no zstd frame; expected one");
  }
  if (header->dictionary) return damaged(at, end, "the frame needs a dictionary; expected one that needs none");
  if (header->content_bytes && *header->content_bytes <= checked_bytes_max) {
    const std::uint64_t room = ZSTD_compressBound(static_cast<std::size_t>(*header->content_bytes));
    const auto count = static_cast<std::size_t>(std::min(end - at, room));
    if (const auto goes_on = decode_at_once(at, count, *header->content_bytes, take)) return *goes_on;
  }
  if (header->window_bytes > window_bytes_max) {
    return damaged(at, end,
                   "the frame has a window of " + amount(header->window_bytes) + "; expected at most " +
                       amount(window_bytes_max) + ": decompress it with zstd --long=31");
  }
  (void)context_for_next();
  in.release();
  out.release();
  parts.resize(1);
  if (!parts.front()) parts.front().reset(new char[part_bytes_max]);
  stream = {.begin = at, .at = at, .end = end};
  return go_on(at, take);
}

// Nothing where the frame does not end within these bytes.
std::optional<bool> decoder::state::decode_at_once(std::uint64_t& at, std::size_t count, std::uint64_t content,
                                                   const taker& take) {
  char* const compressed = in.with(count);
  const auto got = from.read_at(compressed, count, at);
  if (!got) return damaged(at, at + count, got.error().message);
  const std::size_t bytes = ZSTD_findFrameCompressedSize(compressed, *got);
  if (ZSTD_isError(bytes) != 0) return std::nullopt;
  char* const lines = out.with(std::max<std::size_t>(static_cast<std::size_t>(content), 1));
  const std::size_t made = ZSTD_decompressDCtx(context_for_next(), lines, static_cast<std::size_t>(content), compressed, bytes);
  const std::uint64_t begin = std::exchange(at, at + bytes);
  if (ZSTD_isError(made) != 0) {
    (void)damaged(begin, at, std::string("the frame is damaged: zstd says: ") + ZSTD_getErrorName(made));
    return true;
  }
  (void)hand_out({lines, made}, take);
  return true;
}

// False where the taker wants no more: what is left is handed out by the next call.
bool decoder::state::hand_out_parts(const taker& take) {
  for (std::size_t& i = stream.handed_out; i < parts.size();) {
    const std::string_view part(parts[i].get(), i + 1 < parts.size() ? part_bytes_max : stream.filled);
    ++i;
    if (!hand_out(part, take)) return false;
  }
  parts.resize(1);
  stream.filled = 0;
  stream.handed_out = 0;
  return true;
}

// For frames that are long, or do not say how long, or are cut, or whose blocks make no sense. Puts `at` behind the frame.
// Left when the taker wants no more, it goes on at the next call.
bool decoder::state::decode_streamed(std::uint64_t& at, const taker& take) {
  streamed_frame& s = stream;
  if (s.handed_out != 0 && !hand_out_parts(take)) return false;
  while (!s.is_decoded) {
    if (!s.more) {
      const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(std::exchange(s.want_max, piece_bytes), s.end - s.at));
      char* const piece = in.with(piece_bytes);
      const auto got = from.read_at(piece, want, s.at);
      if (!got) return damaged(s.begin, s.end, got.error().message);
      if (*got == 0) {
        const auto size = from.bytes();
        if (want == 0 && size && *size > s.end) {
          return damaged(s.begin, s.end, "the frame does not end where it should; it is damaged");
        }
        (void)damaged(s.begin, s.end, "the file ends within the frame; its last lines are missing");
        s.is_decoded = true;
        break;
      }
      s.input = {piece, *got, 0};
      s.at += *got;
    }
    for (s.more = true; s.more;) {
      if (s.filled == part_bytes_max) {
        s.checked = s.checked && parts.size() < kept_parts;
        if (s.checked) {
          parts.emplace_back(new char[part_bytes_max]);
          s.filled = 0;
        } else if (!hand_out_parts(take)) {
          return false;
        }
      }
      ZSTD_outBuffer output = {parts.back().get(), part_bytes_max, s.filled};
      const std::size_t left = ZSTD_decompressStream(context.get(), &output, &s.input);
      if (ZSTD_isError(left) != 0) {
        return damaged(s.begin, s.end, std::string("the frame is damaged: zstd says: ") + ZSTD_getErrorName(left));
      }
      s.filled = output.pos;
      s.is_decoded = left == 0;
      s.more = !s.is_decoded && (s.input.pos < s.input.size || output.pos == output.size);
    }
  }
  at = s.at - (s.input.size - s.input.pos);
  return hand_out_parts(take) && !result.damage;
}

bool decoder::state::go_on(std::uint64_t& at, const taker& take) {
  const bool goes_on = decode_streamed(at, take);
  is_streaming = stopped;
  return goes_on;
}

void decoder::state::decode_all(const frame& entry, const taker& take) {
  const std::uint64_t end = entry.compressed_offset + std::min(entry.compressed_bytes, UINT64_MAX - entry.compressed_offset);
  std::uint64_t at = entry.compressed_offset;
  bool goes_on = !is_streaming || go_on(at, take);
  while (goes_on && at < end && !stopped) goes_on = decode_one(at, end, take);
  if (stopped || result.damage) return;
  const std::optional<std::uint64_t> expected = entry.bytes ? entry.bytes : entry.claimed;
  if (at != end || (expected && *expected != result.bytes)) {
    result.contradicts = at == end;
    (void)damaged(entry.compressed_offset, end,
                  (result.contradicts ? "the seek table is wrong, and this frame was read all the same: "
                                      : "the frame is another than was expected: ") +
                      amount(at - entry.compressed_offset) + " with " + amount(result.bytes) + " in them; expected " +
                      amount(entry.compressed_bytes) + (expected ? " with " + amount(*expected) : ""));
    return;
  }
  result.complete = true;
}

void decoder::state::decode(const frame& entry, std::uint64_t skipped, const taker& take) {
  const bool was_left_here = is_streaming && left_in == entry.compressed_offset && result.bytes <= skipped;
  if (!was_left_here) {
    is_streaming = false;
    result = {};
  }
  left_in = entry.compressed_offset;
  stopped = false;
  std::uint64_t to_skip = skipped - result.bytes;
  if (to_skip == 0) return decode_all(entry, take);
  decode_all(entry, [&](std::string_view part) {
    const auto passed = static_cast<std::size_t>(std::min<std::uint64_t>(to_skip, part.size()));
    to_skip -= passed;
    return passed == part.size() || take(part.substr(passed));
  });
}

decoder::decoder(source from) : state_(std::make_unique<state>(std::move(from))) {}
decoder::~decoder() = default;
decoder::decoder(decoder&&) noexcept = default;
decoder& decoder::operator=(decoder&&) noexcept = default;

decoder::outcome decoder::decode(const frame& entry, const taker& take, std::uint64_t skipped) {
  state_->decode(entry, skipped, take);
  return state_->result;
}

}  // namespace annals::seekable
