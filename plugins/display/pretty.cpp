// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "display/display.h"
import annals.event;
import annals.event.text;
#include "display/field_text.h"
#include "display/pretty.h"

namespace display {

namespace {

constexpr std::array<std::size_t, 4> widths_max = {32, 28, 20, 42};

std::string quoted(std::string_view shown) {
  std::string text = "\"";
  for (const char c : shown) {
    if (c == '"') text += '\\';
    text += c;
  }
  return text + '"';
}

// `text` so that it cannot be taken for more than one thing: in quotes where it holds what separates fields.
std::string delimited(std::string_view text, std::string_view separators) {
  std::string shown = annals::visible(text);
  if (!shown.empty() && shown.find_first_of('"') == std::string::npos && shown.find(separators) == std::string::npos &&
      shown.find('=') == std::string::npos) {
    return shown;
  }
  return quoted(shown);
}

// A value in a column of its own: in quotes where it could be taken for more than one column, or for none.
std::string cell(std::string_view text) {
  const std::string shown = annals::visible(text);
  const bool plain = !shown.empty() && shown.front() != ' ' && shown.back() != ' ' && shown.front() != '"' &&
                     shown.find("  ") == std::string::npos;
  return plain ? shown : quoted(shown);
}

std::string value_text(const annals::stored_value& value) {
  return field_text(value, [](std::string_view text) { return delimited(text, " "); });
}

std::array<std::string, 4> cells_of(const annals::event& e) {
  return {cell(e.ts), cell(e.container), cell(e.action), e.dest ? cell(*e.dest) : std::string()};
}

std::string rest_of(const annals::event& e) {
  std::string rest = e.detail ? delimited(*e.detail, "  ") : std::string();
  for (const annals::stored_field& f : e.fields) {
    if (!rest.empty()) rest += "  ";
    rest += delimited(f.name, " ") + "=" + value_text(f.value);
  }
  return rest;
}

// The words that audit logs use for a refusal or a failure, and for the opposite.
std::string_view colour_of_action(std::string_view action) {
  for (const std::string_view word :
       {"denied", "deny", "refused", "rejected", "blocked", "failed", "failure", "error", "dropped"}) {
    if (action == word) return "\x1b[31m";
  }
  for (const std::string_view word : {"allowed", "allow", "accepted", "granted", "ok", "success"}) {
    if (action == word) return "\x1b[32m";
  }
  return "\x1b[33m";
}

}  // namespace

void pretty_printer::measure(const annals::event& e) {
  const auto cells = cells_of(e);
  for (std::size_t i = 0; i < columns; ++i) {
    widths_[i] = std::max(widths_[i], std::min(columns_of(cells[i]), widths_max[i]));
  }
}

std::string pretty_printer::line(const annals::event& e) {
  measure(e);
  const auto cells = cells_of(e);
  const std::array<std::string_view, columns> colours = {"\x1b[2m", "\x1b[36m", colour_of_action(e.action), "\x1b[35m"};
  std::string out;
  for (std::size_t i = 0; i < columns; ++i) {
    if (widths_[i] == 0) continue;  // no event has had one
    if (colour_) out += colours[i];
    out += cells[i];
    if (colour_) out += "\x1b[0m";
    const std::size_t taken = columns_of(cells[i]);
    out.append(taken < widths_[i] ? widths_[i] - taken : 0, ' ');
    out += "  ";
  }
  out += rest_of(e);
  out.erase(out.find_last_not_of(' ') + 1);
  out += '\n';
  return out;
}

}  // namespace display
