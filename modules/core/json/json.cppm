// SPDX-License-Identifier: Apache-2.0
//
// annals.json: one line from an event, one event from a line.
//
// The line is one JSON object (RFC 8259), compact, ASCII only, ended by "\n"; byte for byte what Python's
// json.dumps(entry, separators=(",", ":")) writes for the same values. docs/line-format.md is the specification.
module;
#include <cstddef>
#include <string>
#include <string_view>
export module annals.json;
import annals.event;
#pragma GCC visibility push(default)

export namespace annals::json {

// What goes into one line. `ts` is the text of the timestamp, as format_timestamp wrote it.
struct line_parts {
  std::string_view ts;
  std::string_view container;
  std::string_view action;
  const event_details& details;
};

// An upper bound of the line's size in bytes, newline included; costs a few additions. Any thread.
std::size_t line_bytes_bound(const line_parts& parts) noexcept;

// A lower bound of the line's size in bytes, as cheap. (Raw JSON, which may shrink to a byte, is not in it.)
std::size_t line_bytes_floor(const line_parts& parts) noexcept;

// The exact size of the line in bytes, newline included, or why it cannot be written (invalid_field, invalid_json).
// Reads every byte of the parts; allocates nothing unless it fails. Any thread.
result<std::size_t> line_bytes(const line_parts& parts);

// Writes the line at `out`, which has room for line_bytes_bound(parts) or line_bytes(parts) bytes, and returns the bytes
// written; or why it cannot be written, and then `out` holds nothing of value. Allocates nothing unless it fails. Any thread.
result<std::size_t> encode_line(const line_parts& parts, char* out);

// The beginning of `text`, up to 64 bytes, as a JSON string: foreign text in a message of ours. Any thread.
std::string quoted(std::string_view text);

// The event in `line` (without its newline; white space around the object is allowed), or why there is none
// (invalid_json: not JSON, not UTF-8, not an object, nested deeper than limits::json_depth_max, of more names than
// limits::read_fields_max). Takes no more memory than four times the line's, and 1 MiB. Any thread.
result<event> decode_line(std::string_view line);

}  // namespace annals::json
#pragma GCC visibility pop
