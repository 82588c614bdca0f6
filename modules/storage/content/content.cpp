// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.content;
import annals.event.text;
import annals.io;
import annals.content.seekable;

namespace annals::content {

namespace {

// What is kept decoded of a frame: all of it, up to this, and of a longer one that much at a time.
constexpr std::size_t held_bytes_max = seekable::checked_bytes_max;

constexpr std::size_t hole_losses_max = 64;     // that are told of one by one
constexpr std::uint64_t hole_bytes_min = 4096;  // how exactly the beginning of a hole is found

// RFC 8878, 3.1.1 and 3.1.2: a frame begins with the number FD2FB528, little-endian, a skippable one with 184D2A50 to 5F.
bool begins_like_zstd(std::string_view bytes) noexcept {
  if (bytes.size() < 4) return false;
  const std::string_view rest = bytes.substr(1, 3);
  return bytes.substr(0, 4) == "\x28\xb5\x2f\xfd" || ((bytes[0] & 0xf0) == 0x50 && rest == "\x2a\x4d\x18");
}

bool begins_like_gzip(std::string_view bytes) noexcept {  // RFC 1952, 2.3.1
  return bytes.size() >= 2 && bytes.substr(0, 2) == "\x1f\x8b";
}

// What the first bytes of a file say it is, if that is none of our forms; empty for other bytes.
std::string_view foreign_form(std::string_view first_bytes) noexcept {
  struct form {
    std::string_view begins;
    std::string_view what;
  };
  constexpr std::array<form, 6> forms = {{{"\xff\xfe", "text in UTF-16"},
                                          {"\xfe\xff", "text in UTF-16"},
                                          {"\xfd\x37zXZ", "compressed with xz"},
                                          {"BZh", "compressed with bzip2"},
                                          {"\x04\x22\x4d\x18", "compressed with lz4"},
                                          {"PK\x03\x04", "a zip archive"}}};
  const auto found =
      std::find_if(forms.begin(), forms.end(), [&](const form& one) { return first_bytes.starts_with(one.begins); });
  return found == forms.end() ? std::string_view() : found->what;
}

error gzip_error(const std::string& path) {
  std::string plain = path.ends_with(".gz") ? path.substr(0, path.size() - 3) : path;
  return {errc::invalid_argument, 0,
          "cannot read '" + path +
              "': it is compressed with gzip, which has no frames to seek in; expected plain lines or zstd. " +
              "To convert it: gzip -dc " + shell_quoted(path) + " | zstd -o " + shell_quoted(plain + ".zst")};
}

}  // namespace

struct segment_reader::state {
  io::file own;
  const io::file* file = nullptr;
  std::string path;
  io::file_status identity;
  bool compressed = false;
  bool passed_over = false;

  std::string held;               // a block of a plain file; what was decoded last of a compressed one
  std::uint64_t held_offset = 0;  // of it in the lines

  // Of a compressed file.
  seekable::table table;
  std::optional<seekable::decoder> decoder;
  std::size_t placed = 0;  // so many frames have their offset: the table's does not count frames that do not say their size
  std::size_t sized = 0;   // and so many have a size
  std::uint64_t uncounted = 0;  // the bytes of those that did not say it
  std::vector<bool> reported;   // frames whose damage was told
  bool contradicted = false;    // a frame has another size than the seek table says
  std::vector<loss> losses;

  result<piece> plain_at(std::uint64_t offset, std::size_t bytes_max);
  result<piece> compressed_at(std::uint64_t offset);
  std::optional<error> read_table();
  void place(std::size_t frame);
  void size(std::size_t frame, std::uint64_t bytes);
  void size_frames(std::uint64_t until);
  void resize(std::size_t frame, std::uint64_t bytes);
  void lose_hole(std::uint64_t begin, std::uint64_t end);
  result<bool> has_data(std::uint64_t begin, std::uint64_t end) const;
  result<std::uint64_t> begin_of_hole(std::uint64_t end) const;
  std::size_t frame_of(std::uint64_t offset) const;
  std::uint64_t end_of(std::size_t frame) const { return table.frames[frame].offset + *table.frames[frame].bytes; }
  bool is_whole(std::size_t frame) const noexcept;
  void hold(std::size_t frame, std::uint64_t skipped);
  void note(std::size_t frame, const seekable::decoder::outcome& decoded);
};

segment_reader::segment_reader() = default;
segment_reader::segment_reader(std::unique_ptr<state> made) noexcept : state_(std::move(made)) {}
segment_reader::segment_reader(segment_reader&&) noexcept = default;
segment_reader& segment_reader::operator=(segment_reader&&) noexcept = default;
segment_reader::~segment_reader() = default;

result<segment_reader> segment_reader::open(const std::string& path, const chooser& wanted) {
  auto opened = io::file::open(path, io::open_for::reading);
  if (!opened) return std::move(opened.error());
  auto made = std::make_unique<state>();
  made->own = std::move(*opened);
  made->file = &made->own;
  made->path = path;
  return begin(std::move(made), wanted);
}

result<segment_reader> segment_reader::of(const io::file& opened, const std::string& path) {
  auto made = std::make_unique<state>();
  made->file = &opened;
  made->path = path;
  return begin(std::move(made), {});
}

result<segment_reader> segment_reader::begin(std::unique_ptr<state> made, const chooser& wanted) {
  auto status = made->file->status();
  if (!status) return std::move(status.error());
  made->identity = *status;
  char magic[5] = {};
  const auto got = made->file->read_at(magic, sizeof magic, 0);
  if (!got) return got.error();
  const std::string_view first(magic, *got);
  if (begins_like_gzip(first)) return gzip_error(made->path);
  if (const std::string_view form = foreign_form(first); !form.empty()) {
    return error{errc::invalid_argument, 0,
                 "cannot read '" + made->path + "': it is " + std::string(form) +
                     "; expected lines in UTF-8, plain or compressed with zstd"};
  }
  made->compressed = begins_like_zstd(first) || made->path.ends_with(".zst");
  if (made->compressed && wanted) {
    const auto facts = seekable::read_facts(seekable::source(*made->file, made->path));
    if (!facts) return facts.error();
    made->passed_over = *facts && !wanted(**facts);
  }
  if (made->compressed && !made->passed_over) {
    if (auto failed = made->read_table()) return std::move(*failed);
  }
  return segment_reader(std::move(made));
}

bool segment_reader::is_compressed() const noexcept {
  return state_->compressed;
}

const std::string& segment_reader::path() const noexcept {
  return state_->path;
}

const io::file_status& segment_reader::identity() const noexcept {
  return state_->identity;
}

const io::file& segment_reader::file() const noexcept {
  return *state_->file;
}

result<io::file_status> segment_reader::status() const {
  return state_->file->status();
}

bool segment_reader::is_contradicted() const noexcept {
  return state_->contradicted;
}

const std::vector<seekable::frame>& segment_reader::frames() const noexcept {
  return state_->table.frames;
}

bool segment_reader::is_passed_over() const noexcept {
  return state_->passed_over;
}

void segment_reader::note_loss(std::string cause) {
  state_->losses.push_back({0, 0, std::move(cause)});
}

std::vector<loss> segment_reader::take_losses() {
  return std::exchange(state_->losses, {});
}

std::optional<error> segment_reader::state::read_table() {
  auto read = seekable::read_table(*file, path);
  if (!read) return std::move(read.error());
  table = std::move(*read);
  for (const seekable::finding& found : table.findings)
    losses.push_back({found.compressed_offset, found.compressed_bytes, found.cause, found.known});
  table.findings.clear();
  reported.resize(table.frames.size());
  decoder.emplace(*file, path);
  return std::nullopt;
}

// The first report of a frame's damage is the one that counts; it is met again whenever the frame is.
void segment_reader::state::note(std::size_t frame, const seekable::decoder::outcome& decoded) {
  const auto& damage = decoded.damage;
  if (!damage || reported[frame]) return;
  reported[frame] = true;
  losses.push_back({damage->compressed_offset, damage->compressed_bytes, damage->cause, damage->known});
  if (decoded.bytes == 0) losses.back().known = table.frames[frame].known;  // of a part of its lines it says nothing
}

// May the frame be kept whole once it is decoded?
bool segment_reader::state::is_whole(std::size_t frame) const noexcept {
  const auto& bytes = table.frames[frame].bytes;
  return bytes && *bytes <= held_bytes_max;
}

// Frames are placed in their order, each one once those before it have a size.
void segment_reader::state::place(std::size_t frame) {
  if (frame < placed) return;
  table.frames[frame].offset += uncounted;
  placed = frame + 1;
}

void segment_reader::state::size(std::size_t frame, std::uint64_t bytes) {
  if (frame < sized) return;
  if (!table.frames[frame].bytes) uncounted += bytes;
  table.frames[frame].bytes = table.frames[frame].bytes.value_or(bytes);
  sized = frame + 1;
}

// Places and sizes frames up to the first one that ends behind `until`. One that does not say how long it is has to be decoded
// for that; damaged, it is as long as what can be had of it.
void segment_reader::state::size_frames(std::uint64_t until) {
  while (sized < table.frames.size() && (sized == 0 || end_of(sized - 1) <= until)) {
    const seekable::frame& next = table.frames[sized];
    place(sized);
    std::uint64_t bytes = 0;
    if (!next.bytes) {
      const auto outcome = decoder->decode(next, [](std::string_view) { return true; });
      note(sized, outcome);
      bytes = outcome.bytes;
    }
    size(sized, bytes);
  }
}

// A frame has other bytes than the seek table says: those behind it move.
void segment_reader::state::resize(std::size_t frame, std::uint64_t bytes) {
  const std::uint64_t before = std::exchange(table.frames[frame].bytes, bytes).value_or(bytes);
  if (before == bytes) return;
  contradicted = true;
  for (std::size_t i = frame + 1; i < placed; ++i) table.frames[i].offset += bytes - before;
  uncounted += bytes - before;
}

// The frame with the byte at `offset`, or the first one behind it with any byte; the number of frames where there is none.
std::size_t segment_reader::state::frame_of(std::uint64_t offset) const {
  const auto end = table.frames.begin() + static_cast<std::ptrdiff_t>(sized);
  const auto found =
      std::partition_point(table.frames.begin(), end, [&](const seekable::frame& f) { return f.offset + *f.bytes <= offset; });
  return static_cast<std::size_t>(found - table.frames.begin());
}

// Decodes a frame into what is held: all of it, or as much as is kept of one, behind its first `skipped` bytes.
void segment_reader::state::hold(std::size_t frame, std::uint64_t skipped) {
  held.clear();
  held_offset = table.frames[frame].offset + skipped;
  const auto outcome = decoder->decode(
      table.frames[frame],
      [&](std::string_view part) {
        held.append(part);
        return held.size() < held_bytes_max;
      },
      skipped);
  note(frame, outcome);
  const std::optional<std::uint64_t> expected = table.frames[frame].bytes;
  if (outcome.contradicts) {
    resize(frame, outcome.bytes);
  } else if (expected && skipped + held.size() > *expected) {  // it is longer than what is held of it
    const auto counted = decoder->decode(table.frames[frame], [](std::string_view) { return true; });
    note(frame, counted);
    resize(frame, counted.bytes);
  }
}

void segment_reader::state::lose_hole(std::uint64_t begin, std::uint64_t end) {
  if (losses.size() < hole_losses_max) losses.push_back({begin, end - begin, "a hole in the file; expected lines"});
}

result<bool> segment_reader::state::has_data(std::uint64_t begin, std::uint64_t end) const {
  const auto data = file->next_data(begin);
  if (!data) return data.error();
  return *data && **data < end;
}

// Where the hole begins that ends at `end`: `end` itself where there is none.
result<std::uint64_t> segment_reader::state::begin_of_hole(std::uint64_t end) const {
  std::uint64_t data = 0;
  std::uint64_t hole = end;
  const auto any = has_data(0, end);
  if (!any) return any.error();
  if (!*any) return std::uint64_t{0};
  while (hole - data > hole_bytes_min) {
    const std::uint64_t middle = data + (hole - data) / 2;
    const auto found = has_data(middle, end);
    if (!found) return found.error();
    (*found ? data : hole) = middle;
  }
  return hole;
}

result<piece> segment_reader::state::compressed_at(std::uint64_t offset) {
  const auto is_held = [&] { return offset >= held_offset && offset < held_offset + held.size(); };
  if (!is_held()) {
    size_frames(offset);
    for (std::size_t frame = frame_of(offset);; ++frame) {
      if (frame == sized) size_frames(frame == 0 ? 0 : end_of(frame - 1));
      if (frame >= sized) return piece{offset, {}};
      offset = std::max(offset, table.frames[frame].offset);
      hold(frame, is_whole(frame) ? 0 : offset - table.frames[frame].offset);
      if (is_held()) break;
      held.clear();  // what was had of it lies before the offset
    }
  }
  return piece{offset, std::string_view(held).substr(static_cast<std::size_t>(offset - held_offset))};
}

result<piece> segment_reader::state::plain_at(std::uint64_t offset, std::size_t bytes_max) {
  held.resize(bytes_max);
  const auto got = file->read_at(held.data(), bytes_max, offset);
  if (!got) return got.error();
  held.resize(*got);
  held_offset = offset;
  return piece{offset, held};
}

result<std::uint64_t> segment_reader::behind_hole(std::uint64_t offset) {
  const auto data = state_->file->next_data(offset);
  if (!data) return data.error();
  std::uint64_t end = data->value_or(offset);
  if (!*data) {
    const auto now = bytes();
    if (!now) return now;
    end = std::max(*now, offset);
  }
  if (end != offset) state_->lose_hole(offset, end);
  return end;
}

result<piece> segment_reader::at(std::uint64_t offset, std::size_t bytes_max) {
  return state_->compressed ? state_->compressed_at(offset) : state_->plain_at(offset, bytes_max);
}

bool segment_reader::can_go_back() {
  state& s = *state_;
  if (!s.compressed) return true;
  for (std::size_t i = 0; i < s.table.frames.size(); ++i) {
    seekable::frame& frame = s.table.frames[i];
    if (frame.bytes && *frame.bytes > held_bytes_max) return false;
    if (!frame.bytes && (i + 1 != s.table.frames.size() || frame.compressed_bytes > held_bytes_max)) return false;
  }
  if (s.table.frames.empty() || s.table.frames.back().bytes) {
    s.size_frames(static_cast<std::uint64_t>(-1));
    return true;
  }
  // The last frame alone does not say how long it is, as one that the end of the file cuts: it may be short.
  const seekable::frame& last = s.table.frames.back();
  const std::size_t index = s.table.frames.size() - 1;
  std::uint64_t bytes = 0;
  const auto outcome = s.decoder->decode(last, [&](std::string_view part) {
    bytes += part.size();
    return bytes <= held_bytes_max;
  });
  if (bytes > held_bytes_max) return false;
  s.note(index, outcome);
  if (index != 0) {
    while (s.sized < index) s.size_frames(s.sized == 0 ? 0 : s.end_of(s.sized - 1));
  }
  s.place(index);
  s.size(index, bytes);
  return true;
}

result<piece> segment_reader::before(std::uint64_t offset, std::size_t bytes_max) {
  state& s = *state_;
  if (offset == 0) return piece{};
  if (!s.compressed) {
    const std::size_t bytes = static_cast<std::size_t>(std::min<std::uint64_t>(bytes_max, offset));
    auto read = s.plain_at(offset - bytes, bytes);
    if (!read) return read;
    s.held.resize(bytes);  // what a file that was cut meanwhile no longer has reads as NULs, and so as damage
    if (is_zeros(s.held)) {
      const auto hole = s.begin_of_hole(offset - bytes);
      if (!hole) return hole.error();
      if (*hole != offset - bytes) {
        s.lose_hole(*hole, offset);
        return before(*hole, bytes_max);
      }
    }
    return piece{offset - bytes, s.held};
  }
  if (offset > s.held_offset && offset <= s.held_offset + s.held.size())
    return piece{s.held_offset, std::string_view(s.held).substr(0, static_cast<std::size_t>(offset - s.held_offset))};
  for (std::size_t frame = std::min(s.frame_of(offset - 1) + 1, s.sized); frame-- > 0;) {
    const seekable::frame& entry = s.table.frames[frame];
    if (entry.offset >= offset || *entry.bytes == 0) continue;
    s.hold(frame, 0);
    if (s.contradicted) return piece{};
    const std::string_view bytes = std::string_view(s.held).substr(0, static_cast<std::size_t>(offset - entry.offset));
    if (!bytes.empty()) return piece{entry.offset, bytes};
  }
  return piece{};
}

result<std::string> segment_reader::text_at(std::uint64_t offset, std::size_t count_max) {
  std::string text;
  while (text.size() < count_max) {
    const auto next = at(offset + text.size(), count_max - text.size());
    if (!next) return next.error();
    if (next->bytes.empty() || next->offset != offset + text.size()) break;
    text.append(next->bytes.substr(0, count_max - text.size()));
  }
  return text;
}

result<std::string> segment_reader::text_before(std::uint64_t offset, std::size_t count_max) {
  std::string text;
  for (std::uint64_t from = offset - std::min<std::uint64_t>(offset, count_max); from < offset;) {
    const auto next = at(from, static_cast<std::size_t>(offset - from));
    if (!next) return next.error();
    if (next->bytes.empty() || next->offset != from) text.clear();  // what was had does not adjoin
    if (next->bytes.empty() || next->offset >= offset) break;
    text.append(next->bytes.substr(0, static_cast<std::size_t>(offset - next->offset)));
    from = next->offset + std::min<std::uint64_t>(next->bytes.size(), offset - next->offset);
  }
  return text;
}

result<std::uint64_t> segment_reader::bytes() {
  state& s = *state_;
  if (!s.compressed) {
    const auto now = s.file->status();
    if (!now) return now.error();
    return now->bytes;
  }
  s.size_frames(static_cast<std::uint64_t>(-1));
  return s.table.frames.empty() ? 0 : s.end_of(s.table.frames.size() - 1);
}

result<bool> segment_reader::each(std::uint64_t offset, std::uint64_t end, const chooser& wanted, const taker& take) {
  state& s = *state_;
  if (!s.compressed) {
    while (offset < end) {
      const auto next = s.plain_at(offset, static_cast<std::size_t>(std::min<std::uint64_t>(block_bytes_max, end - offset)));
      if (!next) return next.error();
      if (next->bytes.empty()) break;
      const bool may_be_hole = is_zeros(next->bytes);
      offset += next->bytes.size();
      if (!take(*next)) return false;
      if (!may_be_hole) continue;
      const auto behind = behind_hole(offset);
      if (!behind) return behind.error();
      offset = *behind;
    }
    return true;
  }
  s.size_frames(offset);
  for (std::size_t i = s.frame_of(offset); i < s.table.frames.size(); ++i) {
    const seekable::frame& frame = s.table.frames[i];
    s.place(i);
    if (frame.bytes) s.size(i, *frame.bytes);
    if (wanted && frame.known && frame.bytes && !wanted(*frame.known)) continue;
    std::uint64_t at = frame.offset;
    bool more = true;
    const auto outcome = s.decoder->decode(frame, [&](std::string_view part) {
      const std::uint64_t passed = offset > at ? std::min<std::uint64_t>(offset - at, part.size()) : 0;
      const piece given{at + passed, part.substr(static_cast<std::size_t>(passed))};
      at += part.size();
      more = given.bytes.empty() || take(given);
      return more;
    });
    s.note(i, outcome);
    if (!more) return false;
    s.size(i, outcome.bytes);
    if (outcome.contradicts) s.resize(i, outcome.bytes);
  }
  return true;
}

}  // namespace annals::content
