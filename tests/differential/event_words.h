// SPDX-License-Identifier: Apache-2.0
//
// Events as words that Python reads. One event a line:
//   TS CONTAINER ACTION DEST DETAIL [NAME TYPE VALUE]...
// TS is microseconds and digits of an event to be written, hex of one that was read; strings are hex, "-" where absent.
// Included after `import annals;`.
#pragma once

namespace words {

inline std::string hex(std::string_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out = "x";  // so that an empty string is a word, too
  for (const char c : bytes) {
    out += digits[static_cast<std::uint8_t>(c) >> 4];
    out += digits[static_cast<std::uint8_t>(c) & 15];
  }
  return out;
}

inline std::string hex_or_absent(const auto& text) {
  return text ? hex(*text) : "-";
}

inline std::string of(const annals::timestamp& ts) {
  return std::to_string(ts.time.time_since_epoch().count()) + ":" + std::to_string(static_cast<int>(ts.precision));
}

inline std::string value_words(const annals::stored_value& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using type = std::remove_cvref_t<decltype(v)>;
        if constexpr (std::is_same_v<type, std::nullptr_t>) {
          return "null x";
        } else if constexpr (std::is_same_v<type, bool>) {
          return v ? "bool 1" : "bool 0";
        } else if constexpr (std::is_same_v<type, double>) {
          char text[40];
          std::snprintf(text, sizeof text, "double %a", v);
          return text;
        } else if constexpr (std::is_integral_v<type>) {
          return "int " + std::to_string(v);
        } else if constexpr (std::is_same_v<type, std::string>) {
          return "string " + hex(v);
        } else {
          return "json " + hex(v.text);
        }
      },
      value);
}

inline void write(std::ostream& out, const auto& e, const std::string& ts) {
  out << ts << ' ' << hex(e.container) << ' ' << hex(e.action) << ' ' << hex_or_absent(e.dest) << ' '
      << hex_or_absent(e.detail);
  for (const annals::stored_field& f : e.fields) out << ' ' << hex(f.name) << ' ' << value_words(f.value);
  out << '\n';
}

}  // namespace words
