// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <bit>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/system/error_code.hpp>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <variant>
module annals.json;
import annals.event.text;

#include "escape.h"
#include "rewrite.h"

namespace annals::json {

namespace {

constexpr std::size_t escaped_bytes_max = 6;   // of one byte of input: \u00ff
constexpr std::size_t frame_bytes_max = 96;    // names, quotes, braces and the newline of a line without extra fields
constexpr std::size_t scalar_bytes_max = 32;   // any number, true, false, null
constexpr std::size_t small_field_count = 32;  // up to here comparing every pair of names beats a hash table

bool is_reserved(std::string_view name) noexcept {
  return name == "ts" || name == "container" || name == "action" || name == "dest" || name == "detail";
}

// The name that stands twice, or null. Names are the same when they are written the same.
const field* repeated_name(const field_list& fields) {
  const bool ascii = std::all_of(fields.begin(), fields.end(), [](const field& f) {
    return std::all_of(f.name.begin(), f.name.end(), [](char c) { return static_cast<std::uint8_t>(c) < 0x80; });
  });
  if (!ascii || fields.size() > small_field_count) {
    std::unordered_set<std::string> names;
    for (const field& f : fields) {
      std::string written;
      string_output out(written);
      put_escaped(out, f.name);
      if (!names.insert(std::move(written)).second) return &f;
    }
    return nullptr;
  }
  for (const field& f : fields) {
    for (const field* before = fields.begin(); before != &f; ++before) {
      if (before->name == f.name) return &f;
    }
  }
  return nullptr;
}

// Fills `why` and returns false when the event's extra fields cannot be written, whatever their JSON text holds.
bool fields_are_valid(const field_list& fields, error& why) {
  if (fields.size() > limits::fields_max) {
    why = {errc::invalid_field, 0,
           "cannot log the event: it has " + std::to_string(fields.size()) + " extra fields; expected at most " +
               std::to_string(limits::fields_max)};
    return false;
  }
  for (const field& f : fields) {
    if (is_reserved(f.name)) {
      why = {errc::invalid_field, 0,
             "cannot log the event: an extra field is named " + quoted(f.name) +
                 "; expected a name other than ts, container, action, dest and detail"};
      return false;
    }
    const double* number = std::get_if<double>(&f.value.get());
    if (number != nullptr && !std::isfinite(*number)) {
      why = {errc::invalid_field, 0,
             "cannot log the event: the field " + quoted(f.name) + " is " +
                 (std::isnan(*number) ? "not a number" : "infinite") + "; JSON has finite numbers only"};
      return false;
    }
  }
  if (const field* twice = repeated_name(fields)) {
    why = {errc::invalid_field, 0, "cannot log the event: the extra field " + quoted(twice->name) + " is given twice"};
    return false;
  }
  return true;
}

template <class Output>
bool put_raw_json(Output& out, const field& f, std::string_view json, error& why) {
  boost::json::parse_options options;
  options.max_depth = limits::json_depth_max;
  boost::json::basic_parser<rewriter<Output>> parser(options, out);
  const boost::system::error_code ec = parse_all(parser, json);
  if (ec) {
    why = {errc::invalid_json, 0,
           "cannot log the event: the raw JSON of the field " + quoted(f.name) + " is not valid: " + ec.message()};
    return false;
  }
  out = parser.handler().output();
  return true;
}

template <class Output>
bool put_field_value(Output& out, const field& f, error& why) {
  return std::visit(
      [&](const auto& value) {
        using type = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::is_same_v<type, std::nullptr_t>) {
          out.put("null");
        } else if constexpr (std::is_same_v<type, bool>) {
          out.put(value ? std::string_view("true") : std::string_view("false"));
        } else if constexpr (std::is_same_v<type, double>) {
          put_double(out, value);
        } else if constexpr (std::is_integral_v<type>) {
          put_integer(out, value);
        } else if constexpr (std::is_same_v<type, std::string_view>) {
          put_string(out, value);
        } else {
          return put_raw_json(out, f, value.text, why);
        }
        return true;
      },
      f.value.get());
}

template <class Output>
bool put_fields(Output& out, const field_list& fields, error& why) {
  if (!fields_are_valid(fields, why)) return false;
  for (const field& f : fields) {
    out.put(',');
    put_string(out, f.name);
    out.put(':');
    if (!put_field_value(out, f, why)) return false;
  }
  return true;
}

template <class Output>
bool put_line(Output& out, const line_parts& parts, error& why) {
  out.put(line_beginning);
  out.put(parts.ts);
  out.put("\",\"container\":\"");
  put_escaped(out, parts.container);
  out.put("\",\"action\":\"");
  put_escaped(out, parts.action);
  if (parts.details.dest) {
    out.put("\",\"dest\":\"");
    put_escaped(out, *parts.details.dest);
  }
  if (parts.details.detail) {
    out.put("\",\"detail\":\"");
    put_escaped(out, *parts.details.detail);
  }
  out.put('"');
  if (!parts.details.fields.empty() && !put_fields(out, parts.details.fields, why)) return false;
  out.put("}\n");
  return true;
}

// Bytes of input, apart from raw JSON; and of raw JSON.
struct input_bytes {
  std::size_t text = 0;
  std::size_t json = 0;
};

input_bytes bytes_of(const line_parts& parts) noexcept {
  input_bytes bytes;
  bytes.text = parts.container.size() + parts.action.size();
  if (parts.details.dest) bytes.text += parts.details.dest->size();
  if (parts.details.detail) bytes.text += parts.details.detail->size();
  for (const field& f : parts.details.fields) {
    bytes.text += f.name.size();
    if (const auto* text = std::get_if<std::string_view>(&f.value.get())) bytes.text += text->size();
    if (const auto* json = std::get_if<raw_json>(&f.value.get())) bytes.json += json->text.size();
  }
  return bytes;
}

}  // namespace

std::string quoted(std::string_view text) {
  constexpr std::size_t shown_bytes_max = 64;
  std::string shown;
  string_output out(shown);
  put_string(out, text.substr(0, shown_bytes_max));
  if (text.size() > shown_bytes_max) shown += "...";
  return shown;
}

std::size_t line_bytes_bound(const line_parts& parts) noexcept {
  const input_bytes bytes = bytes_of(parts);
  return frame_bytes_max + parts.ts.size() + escaped_bytes_max * (bytes.text + bytes.json) +
         scalar_bytes_max * parts.details.fields.size();
}

std::size_t line_bytes_floor(const line_parts& parts) noexcept {
  return bytes_of(parts).text;  // no byte of a string becomes fewer than one
}

result<std::size_t> line_bytes(const line_parts& parts) {
  error why;
  size_output out;
  if (!put_line(out, parts, why)) return why;
  return out.bytes();
}

result<std::size_t> encode_line(const line_parts& parts, char* out) {
  error why;
  text_output text(out);
  if (!put_line(text, parts, why)) return why;
  return static_cast<std::size_t>(text.at() - out);
}

}  // namespace annals::json
