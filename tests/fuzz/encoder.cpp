// SPDX-License-Identifier: Apache-2.0
//
// The encoder of lines: an event of any bytes is refused for a reason, or becomes a line that both Boost.JSON and our decoder
// read as what went in. (fuzz.encoder_against_python compares the corpus with what Python writes.)
#include <bit>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fuzz.h"
import annals;
#include "encoder_input.h"

namespace {

using fuzz::require;

std::optional<boost::json::value> parsed(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = annals::limits::json_depth_max + 1;
  boost::system::error_code failed;
  boost::json::value value = boost::json::parse(boost::json::string_view(text.data(), text.size()), failed, {}, options);
  if (failed) return std::nullopt;
  return value;
}

// How many bytes at `at` are a character, or the beginning of one that goes no further (Unicode 15, table 3-7).
std::size_t part_at(std::string_view text, std::size_t at, bool& whole) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned lead = byte(at);
  whole = lead < 0x80;
  if (lead < 0xc2 || lead > 0xf4) return 1;
  const std::size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  for (std::size_t i = 1; i < size; ++i) {
    if (byte(at + i) < low || byte(at + i) > high) return i;
    low = 0x80;
    high = 0xbf;
  }
  whole = true;
  return size;
}

// What is written of a text: each part of it that is no UTF-8 becomes U+FFFD.
std::string as_utf8(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    bool whole = false;
    const std::size_t bytes = part_at(text, at, whole);
    out += whole ? text.substr(at, bytes) : std::string_view("\xef\xbf\xbd");
    at += bytes;
  }
  return out;
}

// Has the event to be refused?
bool is_refused(const fuzz::made_event& made) {
  const std::set<std::string> reserved = {"ts", "container", "action", "dest", "detail"};
  if (made.fields.size() > annals::limits::fields_max) return true;
  std::set<std::string> names;
  for (const annals::stored_field& f : made.fields) {
    const double* const number = std::get_if<double>(&f.value);
    const annals::stored_json* const json = std::get_if<annals::stored_json>(&f.value);
    if (reserved.contains(f.name) || !names.insert(as_utf8(f.name)).second) return true;
    if (number != nullptr && !std::isfinite(*number)) return true;
    if (json != nullptr && !parsed(json->text)) return true;  // a text here is too short to be nested too deeply
  }
  return false;
}

annals::stored_value as_written(const annals::stored_value& value) {
  if (const auto* const text = std::get_if<std::string>(&value)) return as_utf8(*text);
  return value;
}

// Is the value that was read the one that went in? Small numbers have one type once they are text; raw JSON has its value's.
bool is(const annals::stored_value& read, const annals::stored_value& made, const boost::json::value& of_line) {
  if (const auto* const json = std::get_if<annals::stored_json>(&made))
    return boost::json::serialize(*parsed(json->text)) == boost::json::serialize(of_line);
  if (const auto* const number = std::get_if<std::uint64_t>(&made); number != nullptr && *number <= INT64_MAX) {
    return read == annals::stored_value(static_cast<std::int64_t>(*number));
  }
  return fuzz::same_value(read, as_written(made));
}

void compare(const fuzz::made_event& made, std::string_view line, const std::string& ts) {
  const auto judge = parsed(line);
  require(judge && judge->is_object(), "a line is a JSON object", line);
  const auto read = annals::json::decode_line(line);
  require(static_cast<bool>(read), "what was written can be read", line);
  require(read->ts == ts && annals::parse_timestamp(ts) == annals::parse_timestamp(read->ts), "the time is the event's", line);
  require(read->container == as_utf8(made.container) && read->action == as_utf8(made.action), "the names are the event's",
          line);
  require(read->dest.has_value() == made.dest.has_value() && read->detail.has_value() == made.detail.has_value(),
          "what is absent is left out", line);
  require(!made.dest || *read->dest == as_utf8(*made.dest), "the destination is the event's", line);
  require(!made.detail || *read->detail == as_utf8(*made.detail), "the detail is the event's", line);
  require(read->fields.size() == made.fields.size(), "all fields are there", line);
  std::vector<std::string> names = {"ts", "container", "action"};
  if (made.dest) names.emplace_back("dest");
  if (made.detail) names.emplace_back("detail");
  for (std::size_t i = 0; i < made.fields.size(); ++i) {
    names.push_back(as_utf8(made.fields[i].name));
    const auto* const of_line = judge->get_object().if_contains(names.back());
    require(of_line != nullptr && read->fields[i].name == names.back(), "a field has its name", line);
    require(is(read->fields[i].value, made.fields[i].value, *of_line), "a field has its value", line);
  }
  std::size_t next = 0;
  for (const auto& one : judge->get_object()) {
    require(next < names.size() && std::string_view(one.key().data(), one.key().size()) == names[next],
            "names have their order", line);
    ++next;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in(fuzz::text_of(data, size));
  const fuzz::made_event made = fuzz::event_from(in);
  const std::vector<annals::field> fields = made.field_views();
  const annals::event_details details = made.details(fields);
  const std::string ts = annals::to_string(made.ts);
  require(annals::parse_timestamp(ts).has_value(), "a time is read as it was written", ts);
  const auto line = fuzz::line_of(ts, made.container, made.action, details);
  require(static_cast<bool>(line) != is_refused(made), "an event is refused where it has to be, and else not",
          line ? *line : line.error().message);
  if (!line) {
    require(fuzz::is_plain(line.error().message), "a refusal is plain text", line.error().message);
    return 0;
  }
  compare(made, std::string_view(*line).substr(0, line->size() - 1), ts);
  return 0;
}
