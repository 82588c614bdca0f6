// SPDX-License-Identifier: Apache-2.0
//
// annals.json: one line from an event, one event from a line.
//
// The line is one JSON object (RFC 8259), compact, ASCII only, ended by "\n"; byte for byte what Python's
// json.dumps(entry, separators=(",", ":")) writes for the same values. docs/line-format.md is the specification.
module;
#include <cstddef>
#include <optional>
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

struct decode_options {
  bool keep_numbers = false;     // numbers with a fraction or an exponent become stored_json: their text, not a rounded double
  bool refuse_repeated = false;  // a name that stands twice in the line's object is an error; else its last value counts
};

// The event in `line` (without its newline; white space around the object is allowed), or why the line has no event
// (invalid_json: not JSON, not UTF-8, not an object, nested deeper than limits::json_depth_max, of more names than
// limits::read_fields_max). Takes no more memory than four times the line's, and 1 MiB. Any thread.
result<event> decode_line(std::string_view line, const decode_options& how = {});

// --- the time of a line ------------------------------------------------------------------------------------------------------

// How every line that encode_line writes begins; the text of its `ts` follows, up to the next quote.
inline constexpr std::string_view line_beginning = "{\"ts\":\"";

// The text of a line's `ts`, where that is certain without decoding the line: it stands first, and no other member of the line
// can be named `ts`. Empty where it is not certain. Any thread.
std::string_view leading_time(std::string_view line) noexcept;

// What can be read of a line's time.
struct line_time {
  bool is_event = false;                // the line is an event, or looks like one as far as it was read
  std::optional<time_point> time = {};  // absent in an event: it has no `ts`, or one that is not a time
};

// Reads the time of a line (without its newline): the one that decode_line gives. Decodes only lines whose time is not certain
// from their first bytes. A partial line has the time it begins with; a line with another event appended to a partial one, the
// time of that event. Any thread.
line_time time_of(std::string_view line);

// A writer that dies in the middle of a line leaves a partial one, and the next event of another process can end up on the same
// line. That event was acknowledged.
struct appended_event {
  std::size_t offset = 0;  // where it begins in the line
  event read;
};

// Looks for such an event in a line that decode_line refused. Any thread.
std::optional<appended_event> find_appended_event(std::string_view line);

}  // namespace annals::json
#pragma GCC visibility pop
