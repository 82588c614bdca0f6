// SPDX-License-Identifier: Apache-2.0
//
// The generator's events as lines of a log.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "generator.h"

namespace bench {

// Appends the event's line, newline included, to `out`. Throws annals::failure where it has none.
void append_line(const generated_event& event, std::string& out);

// A number of bytes of lines, spread evenly over the time between `from` and `to` (seconds since 1970, `to` excluded).
class line_stream {
 public:
  line_stream(std::uint64_t seed, std::uint64_t bytes, std::int64_t from, std::int64_t to);

  // Appends the next line to `out` and returns its event; null when the lines have `bytes` bytes, or a part of a line more.
  const generated_event* next(std::string& out);

 private:
  generator generator_;
  std::uint64_t bytes_;
  std::uint64_t made_bytes_ = 0;
  std::int64_t from_;
  std::int64_t to_;
};

}  // namespace bench
