// SPDX-License-Identifier: Apache-2.0
//
// Small things the readers share. Not a public header.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace annals {

inline constexpr std::size_t check_bytes_max = 64;  // of a cursor's check

// FNV-1a, 64 bit: draft-eastlake-fnv. 0 is kept for "not known".
inline std::uint64_t check_of(std::string_view bytes) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) {
    hash ^= static_cast<std::uint8_t>(c);
    hash *= 0x100000001b3;
  }
  return hash == 0 ? 1 : hash;
}

inline bool is_blank(std::string_view text) noexcept {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// What to say of a line that is no event. NULs are what a crash of the system leaves where data never arrived.
inline std::string cause_of(std::string_view line, std::string decoder_says) {
  if (is_blank(line)) return "an empty line";
  if (line.find('\0') != std::string_view::npos) return "NUL bytes: space that was allocated, but never written before a crash";
  return decoder_says;
}

}  // namespace annals
