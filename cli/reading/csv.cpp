// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cstddef>
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

// Whether a spreadsheet can take a cell that begins like this for a formula. The full-width forms of the signs count, too.
bool begins_formula(std::string_view text) {
  for (const std::string_view sign : {"=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20"}) {
    if (text.starts_with(sign)) return true;
  }
  return false;
}

// `text` with an apostrophe before each formula that a spreadsheet could find in it: at its beginning, and behind what
// separates cells or lines where commas do not, as in countries that write decimal fractions with a comma.
std::string without_formulas(std::string_view text) {
  std::string out;
  bool begins_cell = true;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (begins_cell && begins_formula(text.substr(at))) out += '\'';
    out += text[at];
    begins_cell = std::string_view(";|\t\r\n").find(text[at]) != std::string_view::npos || (begins_cell && text[at] == '"');
  }
  return out;
}

std::string cell(std::string_view value, bool visible_only) {
  std::string text = without_formulas(visible_only ? annals::visible(value) : std::string(value));
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
