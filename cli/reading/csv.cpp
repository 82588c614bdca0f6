// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "display/display.h"
import annals;
#include "display/field_text.h"
#include "reading/csv.h"

namespace cli {

namespace {

std::string cell(std::string_view value, bool visible_only) {
  std::string text = visible_only ? display::visible(value) : std::string(value);
  if (!text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos) text.insert(0, 1, '\'');
  if (text.find_first_of("\",\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string fields_of(const annals::event& e) {
  std::string json;
  for (const annals::stored_field& f : e.fields)
    json +=
        (json.empty() ? "{" : ",") + display::json_string(f.name) + ":" + display::field_text(f.value, display::json_string);
  return json.empty() ? json : json + "}";
}

}  // namespace

std::string csv_header() {
  return "ts,container,action,dest,detail,fields\r\n";
}

std::string csv_line(const annals::event& e, bool visible_only) {
  std::string line = cell(e.ts, visible_only);
  for (const std::string& value :
       {e.container, e.action, e.dest.value_or(std::string()), e.detail.value_or(std::string()), fields_of(e)}) {
    line += "," + cell(value, visible_only);
  }
  return line + "\r\n";
}

}  // namespace cli
