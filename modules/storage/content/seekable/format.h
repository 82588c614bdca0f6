// SPDX-License-Identifier: Apache-2.0
//
// The formats of zstd frames (RFC 8878) and of their seek table (zstd_seekable_compression_format.md, version 0.1.0), as far as
// they are read and written here. Not a public header.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace annals::seekable::format {

inline constexpr std::uint32_t frame_magic = 0xFD2FB528;
inline constexpr std::uint32_t skippable_magic = 0x184D2A50;  // and the 15 that follow
inline constexpr std::uint32_t facts_magic = 0x184D2A5A;
inline constexpr std::uint32_t seek_table_magic = 0x184D2A5E;
inline constexpr std::uint32_t seekable_magic = 0x8F92EAB1;  // the last four bytes of a file with a seek table
inline constexpr std::size_t skippable_header_bytes = 8;
inline constexpr std::size_t footer_bytes = 9;
inline constexpr std::size_t frame_header_bytes_max = 18;
inline constexpr std::size_t block_bytes_max = 128 * 1024;
inline constexpr std::size_t block_header_bytes = 3;
inline constexpr std::size_t checksum_bytes = 4;

// Little-endian, wherever this runs.
template <class Number>
inline Number load(const char* from) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(from[i])) << (8 * i);
  }
  return static_cast<Number>(value);
}
template <class Number>
inline void store(std::string& to, Number value) {
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    to += static_cast<char>(static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
}

struct frame_header {
  std::size_t bytes = 0;
  std::uint64_t window_bytes = 0;
  std::optional<std::uint64_t> content_bytes = {};
  bool checksum = false;
  bool dictionary = false;
};

inline bool is_skippable(std::uint32_t magic) noexcept {
  return (magic & 0xFFFFFFF0) == skippable_magic;
}

// Reads the header of a frame; `bytes` are up to frame_header_bytes_max. Nothing where it is none, or cut.
inline std::optional<frame_header> read_frame_header(std::string_view bytes) noexcept {
  constexpr std::size_t id_bytes[] = {0, 1, 2, 4};
  constexpr std::size_t size_bytes[] = {0, 2, 4, 8};
  if (bytes.size() < 5 || load<std::uint32_t>(bytes.data()) != frame_magic) return std::nullopt;
  const auto descriptor = static_cast<std::uint8_t>(bytes[4]);
  const bool single_segment = (descriptor & 0x20) != 0;
  const std::size_t of_size = (descriptor >> 6) == 0 && single_segment ? 1 : size_bytes[descriptor >> 6];
  frame_header header;
  header.bytes = 5 + (single_segment ? 0 : 1) + id_bytes[descriptor & 3] + of_size;
  if ((descriptor & 0x08) != 0 || bytes.size() < header.bytes) return std::nullopt;
  header.checksum = (descriptor & 0x04) != 0;
  for (std::size_t i = 0; i < id_bytes[descriptor & 3]; ++i) {
    if (bytes[5 + (single_segment ? 0 : 1) + i] != 0) header.dictionary = true;  // the identifier 0 means none
  }
  const char* const size = bytes.data() + header.bytes - of_size;
  switch (of_size) {
    case 1: header.content_bytes = load<std::uint8_t>(size); break;
    case 2: header.content_bytes = std::uint64_t{load<std::uint16_t>(size)} + 256; break;
    case 4: header.content_bytes = load<std::uint32_t>(size); break;
    case 8: header.content_bytes = load<std::uint64_t>(size); break;
    default: break;
  }
  if (single_segment) {
    header.window_bytes = header.content_bytes.value_or(0);
  } else {
    const auto window = static_cast<std::uint8_t>(bytes[5]);
    const std::uint64_t base = std::uint64_t{1} << (10 + (window >> 3));
    header.window_bytes = base + base / 8 * (window & 7);
  }
  return header;
}

struct block_header {
  bool last = false;
  bool valid = false;
  std::uint32_t bytes = 0;  // that follow in the file
};

inline block_header read_block_header(const char* from) noexcept {
  const std::uint32_t value = load<std::uint16_t>(from) | std::uint32_t{static_cast<std::uint8_t>(from[2])} << 16;
  const std::uint32_t type = value >> 1 & 3;  // raw, one repeated byte, compressed, reserved
  const std::uint32_t bytes = value >> 3;
  return {(value & 1) != 0, type != 3 && bytes <= block_bytes_max, type == 1 ? 1 : bytes};
}

}  // namespace annals::seekable::format
