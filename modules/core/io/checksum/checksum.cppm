// SPDX-License-Identifier: Apache-2.0
//
// annals.io.checksum: how damage is found: the checksum of headers, of groups of the journal and of positions in a log; and
// what is a line that annals wrote.
module;
#include <cstdint>
#include <string_view>
export module annals.io.checksum;

export namespace annals {

inline constexpr std::uint64_t fnv_1a_of_nothing = 0xcbf29ce484222325;

// FNV-1a, 64 bit (draft-eastlake-fnv). To continue after other bytes, pass their result as `before`. Detects accidental damage;
// anyone can compute it, so it does not detect manipulation.
inline std::uint64_t fnv_1a(std::string_view bytes, std::uint64_t before = fnv_1a_of_nothing) noexcept {
  for (const char c : bytes) before = (before ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  return before;
}

// Printable ASCII, as every character of a line that annals writes before its newline.
inline bool is_printable_ascii(std::string_view text) noexcept {
  bool printable = true;
  for (const char c : text) printable &= c >= ' ' && c <= '~';
  return printable;
}

// Why this is not a line as annals writes it, with its newline. Empty when it is one.
inline std::string_view fault_of_line(std::string_view line) noexcept {
  if (line.empty() || line.back() != '\n') return "a line without its newline";
  line.remove_suffix(1);
  return is_printable_ascii(line) ? std::string_view() : "a line with bytes that no line has";
}

}  // namespace annals
