// SPDX-License-Identifier: Apache-2.0
//
// Events as aligned columns: `annals tail`, and the plugin stderr. Included after `import annals;` or `import annals.event;`,
// and so includes nothing itself: <array>, <cstddef> and <string> come before the import.
#pragma once

namespace display {

// Lays events out in columns: time, container, action, destination, then detail and fields. Columns widen as wider values
// come, up to a limit, and never shrink, so following a log stays readable.
class pretty_printer {
 public:
  explicit pretty_printer(bool colour) : colour_(colour) {}

  // Makes the columns wide enough for this event.
  void measure(const annals::event& e);

  // One line, newline included.
  std::string line(const annals::event& e);

 private:
  static constexpr std::size_t columns = 4;
  std::array<std::size_t, columns> widths_ = {};
  bool colour_;
};

}  // namespace display
