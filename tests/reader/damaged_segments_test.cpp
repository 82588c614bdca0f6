// SPDX-License-Identifier: Apache-2.0
//
// Readers over compressed segments that were cut, altered, made by others, or made to harm.
#include <gtest/gtest.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/child.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.content.seekable;
import annals.segment;
#include "support/faulty_calls.h"
#include "support/segmented_log.h"

namespace {

using namespace std::chrono_literals;
using support::content_of;
using support::segmented_log;
using support::write_file;

struct seen {
  std::vector<std::string> lines;
  std::vector<annals::damage> damages;
};

annals::read_options into(seen& all) {
  return {.on_damage = [&all](const annals::damage& d) { all.damages.push_back(d); }};
}

seen by_tail(const std::string& path) {
  seen all;
  for (const annals::event& e : annals::tail_log(path, 100'000, into(all))) all.lines.push_back(e.line);
  return all;
}

seen by_scan(const std::string& path, unsigned threads = 1) {
  seen all;
  (void)annals::scan(path, {},
                     [&](const annals::event& e) {
                       all.lines.push_back(e.line);
                       return true;
                     },
                     {.reading = into(all), .threads = threads});
  return all;
}

seen by_follow(const std::string& path) {
  seen all;
  annals::follower follower = annals::follow(path, {}, into(all));
  while (const auto e = follower.next(0ms)) all.lines.push_back(e->line);
  return all;
}

// The lines of `annals cat` that are events.
seen by_cat(const std::string& path) {
  seen all;
  std::string bytes;
  (void)annals::read_lines(
      path,
      [&](std::string_view piece) {
        bytes += piece;
        return true;
      },
      into(all));
  std::istringstream lines(bytes);
  for (std::string line; std::getline(lines, line);) {
    if (annals::json::decode_line(line)) all.lines.push_back(line);
  }
  return all;
}

// Are `some` among `all`, in their order?
bool are_among(const std::vector<std::string>& some, const std::vector<std::string>& all) {
  auto at = all.begin();
  for (const std::string& one : some) {
    at = std::find(at, all.end(), one);
    if (at == all.end()) return false;
    ++at;
  }
  return true;
}

class damaged_segments : public testing::Test {
 protected:
  damaged_segments() {
    calls.advance(1h);
    for (int i = 0; i < 30; ++i)
      log.append_events(1, ",\"detail\":\"" + std::string(1700, static_cast<char>('a' + i % 26)) + "\"");
    log.rotate();
    log.compress(1);
    path = log.path_of(1, true);
    whole = content_of(path);
    lines = log.events();
  }

  // Where the frames of the file end, and how many events there are up to each end.
  std::vector<std::pair<std::size_t, std::size_t>> frame_ends() const {
    std::vector<std::pair<std::size_t, std::size_t>> ends;
    const auto table = annals::seekable::read_table(annals::seekable::source(whole));
    std::size_t events = 0;
    for (const annals::seekable::frame& f : table ? table->frames : std::vector<annals::seekable::frame>{}) {
      events += f.known->lines;
      ends.emplace_back(f.compressed_offset + f.compressed_bytes, events);
    }
    return ends;
  }

  support::temp_directory dir;
  support::faulty_calls calls;
  segmented_log log{dir / "audit.jsonl"};
  std::string path;
  std::string whole;
  std::vector<std::string> lines;
};

TEST_F(damaged_segments, cut_at_any_byte_give_what_is_left_to_every_reader_alike) {
  const auto ends = frame_ends();
  ASSERT_GE(ends.size(), 3U);
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    write_file(path, whole.substr(0, cut));
    const seen scanned = by_scan(log.path());
    std::size_t least = 0;
    bool is_boundary = cut == 0;
    for (const auto& [end, events] : ends) {
      if (end <= cut) least = events;
      is_boundary = is_boundary || end == cut;
    }
    ASSERT_GE(scanned.lines.size(), least) << "cut at " << cut << " of " << whole.size();
    ASSERT_TRUE(std::equal(scanned.lines.begin(), scanned.lines.end(), lines.begin())) << "cut at " << cut;
    if (!is_boundary && cut < ends.back().first) {
      ASSERT_FALSE(scanned.damages.empty()) << "cut at " << cut;
      ASSERT_EQ(scanned.damages.front().file, path);
    }
    ASSERT_EQ(by_tail(log.path()).lines, scanned.lines) << "cut at " << cut;
    ASSERT_EQ(by_scan(log.path(), 2).lines, scanned.lines) << "cut at " << cut;
    ASSERT_EQ(by_cat(log.path()).lines, scanned.lines) << "cut at " << cut;
    if (cut % 7 == 0) {
      ASSERT_EQ(by_follow(log.path()).lines, scanned.lines) << "cut at " << cut;
    }
  }
}

TEST_F(damaged_segments, with_any_bit_flipped_lose_a_frame_at_most_and_invent_nothing) {
  const auto ends = frame_ends();
  std::mt19937 random(1);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string altered = whole;
    altered[at] = static_cast<char>(altered[at] ^ (1 << random() % 8));
    write_file(path, altered);
    const seen scanned = by_scan(log.path());
    ASSERT_TRUE(are_among(scanned.lines, lines)) << "byte " << at;
    std::size_t most = 0;  // of the events of one frame
    std::size_t before = 0;
    for (const auto& [end, events] : ends) most = std::max(most, events - std::exchange(before, events));
    const std::size_t lost = at < ends.back().first ? most : 0;
    ASSERT_GE(scanned.lines.size() + lost, lines.size()) << "byte " << at << " of " << whole.size();
    if (scanned.lines.size() != lines.size()) {
      ASSERT_FALSE(scanned.damages.empty()) << "byte " << at;
      ASSERT_TRUE(scanned.damages.front().in_compressed);
    }
    ASSERT_EQ(by_tail(log.path()).lines, scanned.lines) << "byte " << at;
    ASSERT_EQ(by_scan(log.path(), 2).lines, scanned.lines) << "byte " << at;
    ASSERT_EQ(by_cat(log.path()).lines, scanned.lines) << "byte " << at;
    if (at % 7 == 0) {
      ASSERT_EQ(by_follow(log.path()).lines, scanned.lines) << "byte " << at;
    }
  }
}

TEST_F(damaged_segments, are_followed_on_from_a_cursor_behind_the_damage) {
  const auto ends = frame_ends();
  std::string altered = whole;
  altered[ends[0].first + 40] ^= 0x55;  // in the second frame
  write_file(path, altered);
  const std::vector<std::string> expected = by_scan(log.path()).lines;
  ASSERT_LT(expected.size(), lines.size());
  std::vector<std::string> found;
  annals::cursor from;
  seen told;
  for (std::size_t i = 0; i <= expected.size(); ++i) {
    annals::follower follower = annals::follow(log.path(), from, into(told));
    const auto e = follower.next(0ms);
    if (e) found.push_back(e->line);
    from = follower.position();
  }
  EXPECT_EQ(found, expected);
  for (const annals::damage& d : told.damages) EXPECT_TRUE(d.in_compressed) << d.cause;
}

// --- made by others --------------------------------------------------------------------------------------------------------

struct frame_options {
  int level = 3;
  int window_log = 0;
  bool says_size = true;
};

// A frame of zstd's own making, of what `make` adds piece by piece until it adds nothing.
std::string foreign_frame(const frame_options& with, const std::function<void(std::string&)>& make) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, with.level);
  if (with.window_log != 0) ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, with.window_log);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, with.says_size ? 1 : 0);
  std::string compressed;
  std::string out(ZSTD_CStreamOutSize(), '\0');
  for (bool ended = false; !ended;) {
    std::string piece;
    make(piece);
    ZSTD_inBuffer input = {piece.data(), piece.size(), 0};
    for (std::size_t left = 1; left != 0;) {
      ZSTD_outBuffer output = {out.data(), out.size(), 0};
      left = ZSTD_compressStream2(context, &output, &input, piece.empty() ? ZSTD_e_end : ZSTD_e_continue);
      EXPECT_EQ(ZSTD_isError(left), 0U);
      compressed.append(out, 0, output.pos);
      if (!piece.empty()) left = input.size - input.pos;
    }
    ended = piece.empty();
  }
  ZSTD_freeCCtx(context);
  return compressed;
}

// Of pieces that are the same, so many.
std::string frame_of(const frame_options& with, const std::string& piece, std::size_t count) {
  return foreign_frame(with, [&](std::string& next) {
    if (count-- > 0) next = piece;
  });
}

TEST_F(damaged_segments, of_others_are_read_in_one_frame_and_in_several_that_cut_lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  std::string many;  // and long enough for a frame in which there is no way back
  std::vector<std::string> expected;
  segmented_log other(dir / "other.jsonl");
  while (many.size() < 9'000'000) {
    expected.push_back(other.event_line());
    many += expected.back() + "\n";
  }
  const auto in_frames = [](const std::string& all, std::size_t bytes, bool says_size) {
    std::string file;
    for (std::size_t at = 0; at < all.size(); at += bytes) file += frame_of({.says_size = says_size}, all.substr(at, bytes), 1);
    return file;
  };
  for (const bool says_size : {true, false}) {
    for (const std::size_t bytes : {text.size(), std::size_t{1000}, std::size_t{4097}}) {
      write_file(path, in_frames(text, bytes, says_size));
      for (const auto& read :
           {by_tail(log.path()), by_scan(log.path()), by_scan(log.path(), 2), by_follow(log.path()), by_cat(log.path())}) {
        EXPECT_EQ(read.lines, lines) << bytes;
        EXPECT_TRUE(read.damages.empty()) << read.damages.front().cause;
      }
    }
    write_file(path, in_frames(many, many.size(), says_size));
    EXPECT_EQ(by_scan(log.path()).lines, expected);
    EXPECT_EQ(by_follow(log.path()).lines, expected);
    std::vector<std::string> last;
    for (const annals::event& e : annals::tail_log(log.path(), 50)) last.push_back(e.line);
    EXPECT_EQ(last, (std::vector<std::string>{expected.end() - 50, expected.end()}));
  }
}

// --- made to harm ----------------------------------------------------------------------------------------------------------

std::uint64_t status_kib(std::string_view name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) return std::stoull(line.substr(name.size()));
  }
  return 0;
}

// Every reader over the file, each in a process of its own: how much memory it takes. (Sanitizers have an allocator of their
// own; with them only the reading is tried.)
void expect_little_memory(const std::string& path, std::uint64_t mib_max = 64) {
  const std::vector<std::function<void()>> readers = {
      [&] { (void)annals::tail_log(path, 3); },
      [&] { (void)annals::scan(path, {}, [](const annals::event&) { return true; }); },
      [&] { (void)annals::read_lines(path, [](std::string_view) { return true; }); },
      [&] {
        annals::follower follower = annals::follow(path);
        for (int i = 0; i < 100 && follower.next(0ms); ++i) {
        }
      }};
  for (std::size_t i = 0; i < readers.size(); ++i) {
    support::expect_zero_in_child([&] {
      std::ofstream("/proc/self/clear_refs") << "5";  // proc(5): the peak begins anew
      const std::uint64_t before = status_kib("VmRSS:");
      readers[i]();
      const std::uint64_t took = (status_kib("VmHWM:") - before) / 1024;
#ifdef SANITIZED
      (void)mib_max;
      (void)took;
      return 0;
#else
      if (took > mib_max) std::fprintf(stderr, "reader %zu took %llu MiB\n", i, static_cast<unsigned long long>(took));
      return took <= mib_max ? 0 : 1;
#endif
    });
  }
}

// In every way that a frame can be lost alone: its content, its header, its magic number.
TEST(damage_in_an_archive, says_how_many_lines_of_which_times_are_lost) {
  const support::temp_directory dir;
  segmented_log log(dir / "audit.jsonl");
  log.append_events(2000);
  log.rotate();
  log.append_events(1);
  log.compress(1);
  const std::string path = log.path_of(1, true);
  const std::string whole = content_of(path);
  const annals::seekable::table table = annals::seekable::read_table(annals::seekable::source(whole)).value();
  ASSERT_GT(table.frames.size(), 3U);
  const annals::seekable::frame& lost = table.frames[1];
  for (const std::uint64_t at :
       {lost.compressed_offset + lost.compressed_bytes / 2, lost.compressed_offset + 4, lost.compressed_offset}) {
    std::string altered = whole;
    altered[static_cast<std::size_t>(at)] = static_cast<char>(altered[static_cast<std::size_t>(at)] ^ 0x55);
    write_file(path, altered);
    for (const seen& read : {by_tail(log.path()), by_scan(log.path()), by_scan(log.path(), 2), by_follow(log.path())}) {
      EXPECT_EQ(read.lines.size() + lost.known->lines, log.events().size());
      const auto found =
          std::find_if(read.damages.begin(), read.damages.end(), [](const auto& d) { return d.lines.has_value(); });
      ASSERT_NE(found, read.damages.end()) << at - lost.compressed_offset;
      EXPECT_EQ(found->lines, lost.known->lines);
      EXPECT_EQ(found->first, lost.known->earliest);
      EXPECT_EQ(found->last, lost.known->latest);
      EXPECT_NE(to_string(*found).find(std::to_string(*found->lines) + " events between 2026-03-01T00:"), std::string::npos)
          << to_string(*found);
    }
  }
}

constexpr std::size_t mib = 1024 * 1024;

TEST_F(damaged_segments, that_unpack_to_gigabytes_take_little_memory) {
#ifdef SANITIZED
  constexpr std::size_t mib_of_zeros = 16;
  constexpr std::size_t empty_lines = 1'000'000;
#else
  constexpr std::size_t mib_of_zeros = 2100;
  constexpr std::size_t empty_lines = 8'000'000;
#endif
  for (const bool says_size : {true, false}) {
    write_file(path, frame_of({.says_size = says_size}, std::string(mib, '\0'), mib_of_zeros));
    expect_little_memory(log.path());
  }
  write_file(path, frame_of({}, std::string(1'000'000, '\n'), empty_lines / 1'000'000));
  expect_little_memory(log.path());
}

TEST_F(damaged_segments, of_the_longest_lines_take_little_memory) {
  const std::string line = "{\"detail\":\"" + std::string(annals::limits::read_line_bytes_max - 20, 'x') + "\"}\n";
  for (const int window_log : {20, 23}) {
    write_file(path, frame_of({.level = 1, .window_log = window_log}, line, 4));
    expect_little_memory(log.path(), 64 + 3 * 32);  // three events may be kept
  }
}

// One line of a gigabyte between events, of a byte that no line has (in a hole of the file) or that every line has. The latter
// lies in memory where there is a file system for that.
TEST(a_line_of_a_gigabyte, is_damage_to_every_reader_and_its_neighbours_are_read_in_little_memory) {
#ifdef SANITIZED
  constexpr std::size_t line_bytes = 64 * mib;
#else
  constexpr std::size_t line_bytes = 1024 * mib;
#endif
  for (const bool is_text : {false, true}) {
    std::error_code none;
    const auto shared = std::filesystem::space("/dev/shm", none);
    const bool fits = !none && shared.available != static_cast<std::uintmax_t>(-1) && shared.available > 2 * line_bytes;
    const support::temp_directory dir(fits && is_text ? "/dev/shm" : "");
    segmented_log log(dir / "audit.jsonl");
    log.append_events(2);
    const std::uintmax_t begin = std::filesystem::file_size(log.path());
    if (is_text) {
      std::ofstream out(log.path(), std::ios::binary | std::ios::app);
      const std::string piece(mib, 'x');
      for (std::size_t i = 0; i < line_bytes / mib; ++i) out << piece;
      ASSERT_TRUE(out.flush());
    } else {
      std::filesystem::resize_file(log.path(), begin + line_bytes);
    }
    support::append_to(log.path(), "\n");
    log.append_events(2);
    for (const auto& read : {by_tail(log.path()), by_scan(log.path()), by_scan(log.path(), 2), by_follow(log.path())}) {
      EXPECT_EQ(read.lines, log.events());
      auto damages = read.damages;  // of one who reads backwards, the last one is the first
      std::sort(damages.begin(), damages.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
      std::uint64_t at = begin;
      for (const auto& damage : damages) {  // a hole, and what is before and behind it, are damages of their own
        EXPECT_EQ(damage.offset, at);
        EXPECT_EQ(damage.file, log.path());
        at += damage.bytes;
      }
      EXPECT_EQ(at, begin + line_bytes);
      if (is_text) EXPECT_EQ(read.damages.size(), 1U);
    }
    expect_little_memory(log.path());
  }
}

TEST_F(damaged_segments, of_lines_with_millions_of_names_take_little_memory) {
  std::string line = "{";
  while (line.size() < 15 * mib) line += "\"" + std::to_string(line.size()) + "\":0,";
  line += "\"x\":0}\n";
  write_file(log.path(), line);
  expect_little_memory(log.path());
  EXPECT_EQ(by_tail(log.path()).damages.size(), 1U);
}

}  // namespace
