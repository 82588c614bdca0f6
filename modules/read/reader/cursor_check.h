// SPDX-License-Identifier: Apache-2.0
//
// The check of a cursor. Included behind the imports, so it includes nothing itself.
#pragma once

namespace annals {

// Covers the beginning of the file, which contains a time and so identifies the file, and the last bytes that were read, which
// show whether they are still there (annals.content has both lengths). 0 means "not known".
inline std::uint64_t check_of(std::string_view first, std::string_view last) noexcept {
  const std::uint64_t check = fnv_1a(last, fnv_1a(first));
  return check == 0 ? 1 : check;
}

}  // namespace annals
