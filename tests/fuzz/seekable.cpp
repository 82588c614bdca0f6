// SPDX-License-Identifier: Apache-2.0
//
// Compressed segments: any bytes are a file. What the writer wrote is had whole; what is damaged in one frame harms no other;
// whatever a file holds, memory is bounded, and what is told of it is true. The first byte of an input says which file it is.
#include <zstd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz.h"
import annals;
import annals.content.seekable;

namespace {

namespace seekable = annals::seekable;
using fuzz::require;

constexpr std::size_t enough_bytes =
    4 * 1024 * 1024;  // of what comes out: a bomb of gigabytes would take the time of thousands

struct everything {
  std::string lines;
  seekable::table table;
  std::vector<std::string> of_frames;  // what each of them gave
  bool damaged = false;                // anything told
};

void check_table(const seekable::table& table, std::size_t file_bytes) {
  require(table.frames.size() <= seekable::frames_max && table.findings.size() <= seekable::findings_max,
          "a table has its limits");
  std::uint64_t end = 0;
  std::uint64_t offset = 0;
  for (const seekable::frame& f : table.frames) {
    require(f.compressed_offset >= end && f.compressed_bytes <= file_bytes &&
                f.compressed_offset <= file_bytes - f.compressed_bytes,
            "frames stand in the file one behind the other");
    require(f.offset >= offset, "frames have their lines one behind the other");
    end = f.compressed_offset + f.compressed_bytes;
    offset = f.offset + f.bytes.value_or(0);
  }
  for (const seekable::finding& one : table.findings) {
    require(fuzz::is_plain(one.cause) && !one.cause.empty(), "a finding says what was found", one.cause);
  }
  require(!table.bytes || *table.bytes == offset, "all bytes are those of the frames");
}

everything all_of(std::string_view file) {
  everything had;
  const fuzz::peak_memory memory;
  const seekable::source from(file);
  had.table = seekable::read_table(from).value();
  const std::uint64_t of_table = memory.bytes();
  require(of_table <= 8 * 1024 * 1024, "to find frames takes 8 MiB", std::to_string(of_table));
  check_table(had.table, file.size());
  had.damaged = !had.table.findings.empty();
  seekable::decoder decode(from);
  for (const seekable::frame& f : had.table.frames) {
    std::string given;
    const std::size_t room = enough_bytes - std::min(enough_bytes, had.lines.size());
    const auto outcome = decode.decode(f, [&](std::string_view part) {
      require(!part.empty() && part.size() <= seekable::part_bytes_max, "parts have their size");
      given += part;
      return given.size() < room;
    });
    require(outcome.bytes == given.size(), "what was handed out is counted");
    require(!outcome.complete || !outcome.damage, "a frame is whole or damaged");
    require(outcome.complete || outcome.damage || given.size() >= room, "a frame that is not whole says why");
    require(!outcome.complete || !f.bytes || *f.bytes == given.size(), "a frame has the bytes that it says");
    require(!outcome.damage || fuzz::is_plain(outcome.damage->cause), "damage is plain text");
    had.damaged = had.damaged || outcome.damage;
    had.lines += given;
    had.of_frames.push_back(std::move(given));
    if (had.lines.size() >= enough_bytes) break;
  }
  // 40 MiB of the decoder, and what is kept here, which may double when it grows.
  require(memory.bytes() <= of_table + (40U << 20) + 6 * enough_bytes, "to decode takes 40 MiB",
          std::to_string(memory.bytes()));
  return had;
}

std::string ours(std::string_view lines, const seekable::writer::options& with) {
  std::string file;
  seekable::writer to(with, [&](std::string_view bytes) -> std::optional<annals::error> {
    file += bytes;
    return std::nullopt;
  });
  require(!to.add(lines) && !to.finish(), "lines can be compressed");
  require(to.bytes_in() == lines.size() && to.bytes_out() == file.size(), "the writer counts");
  return file;
}

// --- a file of ours ------------------------------------------------------------------------------------------------------

// The text over and over again, until it fills some frames.
std::string many(std::string_view text, std::size_t bytes) {
  std::string all;
  for (std::size_t i = 0; all.size() < bytes && !text.empty(); ++i) all.append(text).append(std::to_string(i)).append("\n");
  return all.empty() ? std::string(text) : all;
}

// No reader that passes a frame by its recorded times misses an event, not even one behind the fragment of another.
void check_times(std::string_view line, const seekable::facts& known) {
  const auto read = annals::json::decode_line(line);
  if (!read) {
    const std::size_t glued = line.find("{\"ts\":\"", 1);
    if (glued != std::string_view::npos) check_times(line.substr(glued), known);
    return;
  }
  const auto time = annals::parse_timestamp(read->ts);
  require(!time || (time->time >= *known.earliest && time->time <= *known.latest), "recorded times are those of all events",
          line);
}

void check_whole(std::string_view lines, const everything& had) {
  require(had.lines == lines && !had.damaged, "all lines of a file of ours are had");
  require(had.table.bytes == lines.size(), "a file of ours says how many bytes it has");
  if (lines.empty()) return;
  require(had.table.from_seek_table && had.table.known, "a file of ours has a seek table and facts");
  const auto newlines = static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
  require(had.table.known->lines == newlines + (lines.back() == '\n' ? 0 : 1), "facts count the lines",
          std::to_string(had.table.known->lines));
  if (!had.table.known->earliest) return;
  fuzz::input in(lines);
  while (!in.is_empty()) check_times(in.upto('\n'), *had.table.known);
}

// Bytes of one frame are changed, behind its header. Its table is believed, so the others are had, and it gives what it held,
// or nothing.
void check_damaged(const everything& whole, std::string file, fuzz::input& in) {
  if (whole.table.frames.empty()) return;
  constexpr std::uint64_t header_bytes = 18;
  const std::size_t which = in.byte() % whole.table.frames.size();
  const seekable::frame& f = whole.table.frames[which];
  if (f.compressed_bytes <= header_bytes) return;
  for (std::uint64_t changes = 1 + in.below(8); changes > 0; --changes) {
    const std::uint64_t at = header_bytes + in.number<std::uint32_t>() % (f.compressed_bytes - header_bytes);
    file[f.compressed_offset + at] = static_cast<char>(in.byte());
  }
  const everything had = all_of(file);
  require(had.of_frames.size() == whole.of_frames.size(), "damage within a frame leaves the others where they are");
  for (std::size_t i = 0; i < whole.of_frames.size(); ++i) {
    const bool is_same = had.of_frames[i] == whole.of_frames[i];
    require(is_same || (i == which && had.of_frames[i].empty() && had.damaged), "damage within a frame harms no other");
  }
}

// What is left of a file that was cut gives a beginning of its lines, and all frames that are whole.
void check_cut(const everything& whole, std::string_view file, std::string_view lines, fuzz::input& in) {
  const std::size_t left = in.number<std::uint32_t>() % (file.size() + 1);
  const everything had = all_of(file.substr(0, left));
  std::size_t sure = 0;
  for (const seekable::frame& f : whole.table.frames) {
    if (f.compressed_offset + f.compressed_bytes <= left) sure += f.bytes.value_or(0);
  }
  require(lines.starts_with(had.lines) && had.lines.size() >= sure, "of a file that was cut, all that was whole is had");
}

void check_ours(fuzz::input& in) {
  seekable::writer::options with;
  with.level = static_cast<int>(1 + in.below(3));
  with.frame_bytes = seekable::frame_bytes_min;
  const std::size_t bytes = in.byte() * std::size_t{512};
  const auto then = in.below(3);
  fuzz::input damage(in.take(32));
  const std::string lines = many(in.rest(), bytes);
  const std::string file = ours(lines, with);
  const everything whole = all_of(file);
  check_whole(lines, whole);
  if (then == 1) check_damaged(whole, file, damage);
  if (then == 2) check_cut(whole, file, lines, damage);
}

// --- a file of others ------------------------------------------------------------------------------------------------------

void put(std::string& to, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) to += static_cast<char>(value >> (8 * i) & 255);
}

std::string one_frame(std::string_view text, unsigned how) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, (how & 1) != 0 ? 1 : 0);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, (how & 2) != 0 ? 1 : 0);
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, (how & 4) != 0 ? 10 : 0);
  std::string made(ZSTD_compressBound(text.size()), '\0');
  made.resize(ZSTD_compress2(context, made.data(), made.size(), text.data(), text.size()));
  ZSTD_freeCCtx(context);
  return made;
}

struct foreign {
  std::string file;
  std::string lines;  // of its frames
  std::vector<std::pair<std::uint32_t, std::uint32_t>> entries;
  bool is_clean = true;  // of frames alone
  bool sized = true;     // which all say how long they are

  void add(fuzz::input& in) {
    const unsigned what = in.byte();
    const std::string text = in.text();
    const std::size_t before = file.size();
    if ((what & 0xc0) == 0x40) {  // a skippable frame, whatever it holds
      put(file, 0x184D2A50 + (what & 15));
      put(file, static_cast<std::uint32_t>(text.size()));
      file += text;
      entries.emplace_back(static_cast<std::uint32_t>(file.size() - before), 0U);
    } else if ((what & 0xc0) == 0x80) {  // garbage
      file += text;
      is_clean = is_clean && text.empty();
    } else {
      const std::string content = (what & 8) != 0 ? many(text, 200'000) : text;
      sized = sized && (what & 2) != 0;
      lines += content;
      file += one_frame(content, what);
      entries.emplace_back(static_cast<std::uint32_t>(file.size() - before), static_cast<std::uint32_t>(content.size()));
    }
  }

  // With lies, as many as the input wants.
  void add_table(fuzz::input& in) {
    const unsigned how = in.byte();
    const bool checksums = (how & 1) != 0;
    for (std::uint64_t lies = (how & 2) != 0 ? in.below(4) : 0; lies > 0 && !entries.empty(); --lies) {
      auto& [compressed_bytes, bytes] = entries[in.byte() % entries.size()];
      ((how & 4) != 0 ? compressed_bytes : bytes) += in.number<std::uint32_t>();
    }
    put(file, 0x184D2A5E);
    put(file, static_cast<std::uint32_t>(entries.size() * (checksums ? 12 : 8) + 9));
    for (const auto& [compressed_bytes, bytes] : entries) {
      put(file, compressed_bytes);
      put(file, bytes);
      if (checksums) put(file, in.number<std::uint32_t>());
    }
    put(file, static_cast<std::uint32_t>(entries.size()) + ((how & 8) != 0 ? in.number<std::uint32_t>() : 0));
    file += static_cast<char>(checksums ? 0x80 : (how & 0x70));
    put(file, 0x8F92EAB1);
  }
};

void check_foreign(fuzz::input& in) {
  foreign made;
  const bool with_table = in.chance();
  fuzz::input of_table(in.take(32));
  for (int frames = 0; frames < 64 && !in.is_empty(); ++frames) made.add(in);
  if (with_table) made.add_table(of_table);
  const everything had = all_of(made.file);
  if (made.lines.size() >= enough_bytes || !made.is_clean) return;
  require(had.lines == made.lines, "all lines of frames that are whole are had, whatever a seek table says of them");
  // A frame that does not say how long it is cannot be told from what a table says of it before it is decoded.
  const bool is_true = !had.table.bytes || *had.table.bytes == made.lines.size();
  require(is_true || (had.table.from_seek_table && !made.sized && had.damaged),
          "a size that is told is true, or found out not to be");
  require(had.table.bytes || !made.sized || had.damaged, "the size of a file whose frames say theirs is known");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in(fuzz::text_of(data, size));
  switch (in.below(3)) {
    case 0: (void)all_of(in.rest()); break;
    case 1: check_ours(in); break;
    default: check_foreign(in); break;
  }
  return 0;
}
