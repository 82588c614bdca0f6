// SPDX-License-Identifier: Apache-2.0
//
// The decoder of lines: any bytes are a line. Boost.JSON's own values are the judge of what was read, and what was read is
// written and read again.
#include <bit>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fuzz.h"
import annals;
#include "line_of.h"

namespace {

using fuzz::require;

// In lines shorter than this there are no more names than a line may have.
constexpr std::size_t few_names_bytes = 5 * annals::limits::read_fields_max;

std::optional<boost::json::value> parsed(std::string_view text, std::size_t depth) {
  boost::json::parse_options options;
  options.max_depth = depth;
  boost::system::error_code failed;
  boost::json::value value = boost::json::parse(boost::json::string_view(text.data(), text.size()), failed, {}, options);
  if (failed) return std::nullopt;
  return value;
}

std::string_view view(const boost::json::string& text) {
  return {text.data(), text.size()};
}

bool is(const annals::stored_value& read, const boost::json::value& expected) {
  return std::visit(
      [&](const auto& value) {
        using type = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::is_same_v<type, std::nullptr_t>) {
          return expected.is_null();
        } else if constexpr (std::is_same_v<type, bool>) {
          return expected.is_bool() && expected.get_bool() == value;
        } else if constexpr (std::is_same_v<type, std::int64_t>) {
          return expected.is_int64() && expected.get_int64() == value;
        } else if constexpr (std::is_same_v<type, std::uint64_t>) {
          return expected.is_uint64() && expected.get_uint64() == value;
        } else if constexpr (std::is_same_v<type,
                                            double>) {  // the judge may be off by the last bits, and calls 0e400 no number
          if (!expected.is_double()) return false;
          const double judged = expected.get_double();
          return !std::isfinite(judged) || std::abs(judged - value) <= 1e-12 * std::abs(value) + 1e-320;
        } else if constexpr (std::is_same_v<type, std::string>) {
          return expected.is_string() && view(expected.get_string()) == value;
        } else {
          const auto again = parsed(value.text, annals::limits::json_depth_max);
          return fuzz::is_plain(value.text) && again &&
                 boost::json::serialize(*again) == boost::json::serialize(expected);  // by text: no number is itself
        }
      },
      read);
}

// The member of an event that has this name, where its value is a text.
const std::string* member(const annals::event& of, std::string_view name) {
  if (name == "ts") return &of.ts;
  if (name == "container") return &of.container;
  if (name == "action") return &of.action;
  if (name == "dest") return of.dest ? &*of.dest : nullptr;
  if (name == "detail") return of.detail ? &*of.detail : nullptr;
  return nullptr;
}

bool is_reserved(std::string_view name) {
  return name == "ts" || name == "container" || name == "action" || name == "dest" || name == "detail";
}

void compare(const annals::event& read, const boost::json::object& expected) {
  std::size_t members = 0;
  for (const auto& one : expected) {
    const std::string_view name(one.key().data(), one.key().size());
    if (one.value().is_string() && is_reserved(name)) {
      ++members;
      const std::string* const text = member(read, name);
      require(text != nullptr && *text == view(one.value().get_string()), "a text of the line is the event's", name);
    } else {
      const annals::stored_value* const value = read.find(name);
      require(value != nullptr && is(*value, one.value()), "a value of the line is the event's", name);
    }
  }
  require(read.fields.size() + members == expected.size(), "an event has the line's names, each once");
}

void check_time(std::string_view text) {
  const auto time = annals::parse_timestamp(text);
  if (!time) return;
  const std::string written = annals::to_string(*time);
  require(!written.empty() && annals::parse_timestamp(written) == time, "a time is read as it was written", written);
}

annals::result<std::string> written(const annals::event& e) {
  std::vector<annals::field> fields;
  for (const annals::stored_field& f : e.fields) fields.emplace_back(f.name, fuzz::view_of(f.value));
  annals::event_details details;
  details.dest = e.dest;
  details.detail = e.detail;
  details.fields = fields;
  return fuzz::line_of(e.ts, e.container, e.action, details);
}

// Written and read again it is the same event; written once more, the same line.
void check_round(annals::event read) {
  const auto time = annals::parse_timestamp(read.ts);
  check_time(read.ts);
  read.ts = time ? annals::to_string(*time) : "";  // what a line begins with is not escaped: it is ours
  const bool is_writable =
      read.fields.size() <= annals::limits::fields_max &&
      std::none_of(read.fields.begin(), read.fields.end(), [](const annals::stored_field& f) { return is_reserved(f.name); });
  const auto line = written(read);
  require(static_cast<bool>(line) == is_writable, "what was read can be written", line ? *line : line.error().message);
  if (!line) return;
  const auto again = annals::json::decode_line(std::string_view(*line).substr(0, line->size() - 1));
  require(static_cast<bool>(again), "what was written can be read", *line);
  require(fuzz::same_event(read, *again), "an event is read as it was written", *line);
  require(written(*again).value() == *line, "an event is written as it was read", *line);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line = fuzz::text_of(data, size);
  check_time(line);
  require(fuzz::is_plain(annals::json::quoted(line)), "foreign text in a message is plain");
  const fuzz::peak_memory memory;
  auto read = annals::json::decode_line(line);
  require(memory.bytes() <= 4 * size + (std::size_t{1} << 20), "a line takes four times its size and 1 MiB",
          std::to_string(memory.bytes()));
  if (size < few_names_bytes) {
    const auto expected = parsed(line, annals::limits::json_depth_max + 1);
    require(static_cast<bool>(read) == (expected && expected->is_object()), "an event is a line that is a JSON object");
    if (read) compare(*read, expected->get_object());
  }
  if (!read) {
    require(!read.error().message.empty() && fuzz::is_plain(read.error().message), "a refusal says why");
    return 0;
  }
  require(read->line == line && read->fields.size() <= annals::limits::read_fields_max, "an event holds its line");
  check_round(std::move(*read));
  return 0;
}
