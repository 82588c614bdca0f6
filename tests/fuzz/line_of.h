// SPDX-License-Identifier: Apache-2.0
//
// Events written anew. Included after `import annals;`.
#pragma once
#include "../support/events.h"

namespace fuzz {

using support::same_event;
using support::same_value;
using support::view_of;

// The line of an event, in memory of exactly its size; or why there is none.
inline annals::result<std::string> line_of(std::string_view ts, std::string_view container, std::string_view action,
                                           const annals::event_details& details) {
  const annals::json::line_parts parts{ts, container, action, details};
  const auto bytes = annals::json::line_bytes(parts);
  if (!bytes) {
    std::string room(annals::json::line_bytes_bound(parts), '\0');
    require(!annals::json::encode_line(parts, room.data()), "what has no size cannot be written");
    return bytes.error();
  }
  require(*bytes <= annals::json::line_bytes_bound(parts) && *bytes >= annals::json::line_bytes_floor(parts),
          "a line's size lies between its bounds", std::to_string(*bytes));
  const std::unique_ptr<char[]> exact(new char[*bytes]);
  const auto written = annals::json::encode_line(parts, exact.get());
  require(written && *written == *bytes, "a line has the size that was said");
  const std::unique_ptr<char[]> ample(new char[annals::json::line_bytes_bound(parts)]);
  require(annals::json::encode_line(parts, ample.get()).value() == *bytes, "room does not change a line");
  require(std::memcmp(exact.get(), ample.get(), *bytes) == 0, "room does not change a line");
  std::string line(exact.get(), *bytes);
  require(line.ends_with('\n') && std::all_of(line.begin(), line.end() - 1, [](char c) { return c >= ' ' && c <= '~'; }),
          "a line is printable ASCII and ends with its only newline", line);
  return line;
}

}  // namespace fuzz
