// SPDX-License-Identifier: Apache-2.0
//
// What a loss of power may leave of a file that is mapped into memory: the system writes its pages to the disk when it likes,
// and the disk may have written a part of one. So each unit, a sector of 512 bytes or a page of 4096, is that of any moment
// since the file was last synced.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <random>
#include <span>
#include <string>

namespace support {

// What an environment variable says.
inline std::uint64_t number_given(const char* name, std::uint64_t otherwise) {
  const char* const given = std::getenv(name);
  return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
}

inline constexpr std::size_t sector_bytes = 512;
inline constexpr std::size_t page_bytes = 4096;

// A file of the size of the last version, whose unit number n is that of version `which(n)`. Behind the end of a version there
// are zeros.
inline std::string mixed(std::span<const std::string> versions, std::size_t unit_bytes,
                         const std::function<std::size_t(std::size_t unit)>& which) {
  std::string file(versions.back().size(), '\0');
  for (std::size_t at = 0; at < file.size(); at += unit_bytes) {
    const std::string& from = versions[which(at / unit_bytes)];
    if (at < from.size()) file.replace(at, std::min(unit_bytes, from.size() - at), from, at, unit_bytes);
  }
  return file;
}

// Likewise, by chance: each unit of any version, or nearly all of the first or of the last one, as `random` decides.
inline std::string mixed_by_chance(std::span<const std::string> versions, std::size_t unit_bytes, std::mt19937_64& random) {
  const std::size_t last = versions.size() - 1;
  const std::uint64_t how = random() % 4;
  return mixed(versions, unit_bytes, [&](std::size_t) -> std::size_t {
    const std::size_t any = random() % versions.size();
    switch (how) {
      case 0: return any;
      case 1: return random() % 2 == 0 ? 0 : last;
      case 2: return random() % 8 == 0 ? any : 0;
      default: return random() % 8 == 0 ? any : last;
    }
  });
}

}  // namespace support
