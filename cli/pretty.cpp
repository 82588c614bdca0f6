// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "display.h"
import annals;
#include "pretty.h"

namespace cli {

namespace {

constexpr std::array<std::size_t, 4> widths_max = {32, 28, 20, 42};

std::string value_text(const annals::stored_value& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using type = std::remove_cvref_t<decltype(v)>;
        if constexpr (std::is_same_v<type, std::nullptr_t>) {
          return "null";
        } else if constexpr (std::is_same_v<type, bool>) {
          return v ? "true" : "false";
        } else if constexpr (std::is_same_v<type, std::string>) {
          const std::string shown = visible(v);
          const bool plain = !shown.empty() && shown.find_first_of(" \"=") == std::string::npos;
          return plain ? shown : '"' + shown + '"';
        } else if constexpr (std::is_same_v<type, double>) {
          char text[32];
          std::snprintf(text, sizeof text, "%.17g", v);
          return text;
        } else if constexpr (std::is_integral_v<type>) {
          return std::to_string(v);
        } else {
          return v.text;  // ASCII already
        }
      },
      value);
}

std::array<std::string, 4> cells_of(const annals::event& e) {
  return {visible(e.ts), visible(e.container), visible(e.action), e.dest ? visible(*e.dest) : std::string()};
}

std::string rest_of(const annals::event& e) {
  std::string rest = e.detail ? visible(*e.detail) : std::string();
  for (const annals::stored_field& f : e.fields) {
    if (!rest.empty()) rest += "  ";
    rest += visible(f.name) + "=" + value_text(f.value);
  }
  return rest;
}

// The words that audit logs use for a refusal or a failure, and for the opposite.
std::string_view colour_of_action(std::string_view action) {
  for (const std::string_view word : {"den", "refuse", "reject", "block", "fail", "error", "drop"}) {
    if (action.find(word) != std::string_view::npos) return "\x1b[31m";
  }
  for (const std::string_view word : {"allow", "accept", "grant", "ok", "success"}) {
    if (action.find(word) != std::string_view::npos) return "\x1b[32m";
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

}  // namespace cli
