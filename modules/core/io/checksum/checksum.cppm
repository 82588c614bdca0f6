// SPDX-License-Identifier: Apache-2.0
//
// annals.io.checksum: the checksum of headers, of groups of the journal and of positions in a log.
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

}  // namespace annals
