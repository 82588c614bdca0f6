// SPDX-License-Identifier: Apache-2.0
//
// The values of fields in words. Included after `import annals;` or `import annals.event;`, and so includes nothing itself:
// <charconv>, <string>, <string_view>, <type_traits> and <variant> come before the import.
#pragma once

namespace display {

// A number in full precision, raw JSON as it stands (which is ASCII), a text as `of_text` gives it.
inline std::string field_text(const annals::stored_value& value, std::string (*of_text)(std::string_view text)) {
  return std::visit(
      [of_text](const auto& v) -> std::string {
        using type = std::remove_cvref_t<decltype(v)>;
        if constexpr (std::is_same_v<type, std::nullptr_t>) {
          return "null";
        } else if constexpr (std::is_same_v<type, bool>) {
          return v ? "true" : "false";
        } else if constexpr (std::is_same_v<type, std::string>) {
          return of_text(v);
        } else if constexpr (std::is_arithmetic_v<type>) {
          char text[32];
          return std::string(text, std::to_chars(text, text + sizeof text, v).ptr);
        } else {
          return v.text;
        }
      },
      value);
}

}  // namespace display
