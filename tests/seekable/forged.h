// SPDX-License-Identifier: Apache-2.0
//
// Archives made by hand, byte by byte as docs/archive-format.md has them: of others, or of somebody who means harm.
#pragma once
#include <zstd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace support {

// Little-endian.
inline void put(std::string& to, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) to += static_cast<char>(value >> (8 * i) & 255);
}
inline void put_long(std::string& to, std::uint64_t value) {
  put(to, static_cast<std::uint32_t>(value));
  put(to, static_cast<std::uint32_t>(value >> 32));
}

inline std::string skippable(std::string_view content) {
  std::string frame;
  put(frame, 0x184D2A53);
  put(frame, static_cast<std::uint32_t>(content.size()));
  return frame.append(content);
}

// A seek table of these frames: their compressed bytes, and those of their content.
inline std::string seek_table(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& entries) {
  std::string table;
  put(table, 0x184D2A5E);
  put(table, static_cast<std::uint32_t>(entries.size() * 8 + 9));
  for (const auto& [compressed_bytes, bytes] : entries) {
    put(table, compressed_bytes);
    put(table, bytes);
  }
  put(table, static_cast<std::uint32_t>(entries.size()));
  table += '\0';
  put(table, 0x8F92EAB1);
  return table;
}

// A frame of zstd's own making.
inline std::string one_frame(std::string_view lines, bool sized = true, int level = 3, bool checksum = true) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum ? 1 : 0);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, sized ? 1 : 0);
  std::string made(ZSTD_compressBound(lines.size()), '\0');
  made.resize(ZSTD_compress2(context, made.data(), made.size(), lines.data(), lines.size()));
  ZSTD_freeCCtx(context);
  return made;
}

inline std::uint64_t fnv1a(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  return hash;
}

// An archive like ours, in which everything may lie.
struct forged_archive {
  struct frame {
    std::string compressed;
    std::uint32_t bytes = 0;  // of its content
    std::uint64_t lines = 0;  // as the facts have it, and everything else
    bool has_times = true;
    std::int64_t earliest_us = 0;
    std::int64_t latest_us = 0;
  };
  std::vector<frame> frames;
  std::string name = "annalsF1";
  std::uint32_t header_bytes = 32;
  std::uint32_t entry_bytes = 32;
  std::optional<std::uint64_t> count;    // or what is true
  std::uint64_t check_off_by = 0;        // the check of the facts,
  std::uint64_t entries_off_by = 0;      // and that of the seek table's entries
  std::optional<std::string> all_facts;  // in place of what the others say
  std::uint32_t facts_off_by = 0;        // the size of the facts' frame in the seek table

  std::string bytes() const {
    std::string file;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> entries;
    for (const frame& f : frames) {
      file += f.compressed;
      entries.emplace_back(static_cast<std::uint32_t>(f.compressed.size()), f.bytes);
    }
    const std::string known = all_facts.value_or(facts(entries));
    put(file, 0x184D2A5A);
    put(file, static_cast<std::uint32_t>(known.size()));
    file += known;
    entries.emplace_back(static_cast<std::uint32_t>(known.size() + 8) + facts_off_by, 0U);
    return file + seek_table(entries);
  }

  std::string facts(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& entries) const {
    std::string of_entries;
    for (const auto& [compressed_bytes, content_bytes] : entries) {
      put(of_entries, compressed_bytes);
      put(of_entries, content_bytes);
    }
    std::string text = name;
    put(text, header_bytes);
    put(text, entry_bytes);
    put_long(text, count.value_or(frames.size()));
    put_long(text, fnv1a(of_entries) + entries_off_by);
    text.resize(std::max<std::size_t>(header_bytes, 32), '#');  // what a later version put there
    for (const frame& f : frames) {
      const std::size_t begin = text.size();
      put_long(text, f.lines);
      put(text, f.has_times ? 1U : 0U);
      put(text, 0U);
      put_long(text, static_cast<std::uint64_t>(f.earliest_us));
      put_long(text, static_cast<std::uint64_t>(f.latest_us));
      text.resize(begin + std::max<std::size_t>(entry_bytes, 32), '#');
    }
    put_long(text, fnv1a(text) + check_off_by);
    return text;
  }
};

}  // namespace support
