// SPDX-License-Identifier: Apache-2.0
//
// Compressed lines in memory, and all that can be had of them. Included after `import annals.content.seekable;`.
#pragma once

namespace support {

// The lines of `count` events, a second apart, some 120 bytes each and never two alike.
inline std::string many_lines(std::size_t count, std::uint64_t first = 0) {
  constexpr std::uint64_t begin_s = 1'700'000'000;
  std::string lines;
  std::uint64_t mixed = first * 2654435761 + 1;
  for (std::uint64_t i = first; i < first + count; ++i) {
    mixed = mixed * 6364136223846793005 + 1442695040888963407;
    lines +=
        R"({"ts":")" + annals::to_string({annals::time_point(std::chrono::seconds(begin_s + i)), annals::precision::seconds});
    lines += R"(","container":"c)" + std::to_string(mixed >> 60) + R"(","action":"denied","dest":"203.0.)" +
             std::to_string(mixed >> 40 & 255) + "." + std::to_string(mixed >> 32 & 255) + R"(:443","n":)" + std::to_string(i) +
             "}\n";
  }
  return lines;
}

inline std::string compressed(std::string_view lines, annals::seekable::writer::options with = {}) {
  std::string file;
  annals::seekable::writer to(with, [&](std::string_view bytes) -> std::optional<annals::error> {
    file += bytes;
    return std::nullopt;
  });
  EXPECT_FALSE(to.add(lines));
  EXPECT_FALSE(to.finish());
  EXPECT_EQ(to.bytes_in(), lines.size());
  EXPECT_EQ(to.bytes_out(), file.size());
  return file;
}

struct everything {
  std::string lines;
  annals::seekable::table table;
  std::vector<annals::seekable::finding> damage;  // of frames
  bool has_damage() const { return !damage.empty() || !table.findings.empty(); }
};

inline everything all_of(const annals::seekable::source& from) {
  everything had;
  had.table = annals::seekable::read_table(from).value();
  annals::seekable::decoder decode(from);
  for (const annals::seekable::frame& f : had.table.frames) {
    std::uint64_t given = 0;
    auto outcome = decode.decode(f, [&](std::string_view part) {
      EXPECT_LE(part.size(), annals::seekable::part_bytes_max);
      had.lines += part;
      given += part.size();
      return true;
    });
    EXPECT_EQ(outcome.bytes, given);
    EXPECT_EQ(outcome.complete, !outcome.damage);
    if (outcome.damage) had.damage.push_back(*outcome.damage);
  }
  return had;
}

inline everything all_of(std::string_view bytes) {
  return all_of(annals::seekable::source(bytes));
}

}  // namespace support
