// SPDX-License-Identifier: Apache-2.0
//
// Events that were read: compared, and written anew. Included after `import annals;`, and so includes nothing itself:
// <algorithm>, <bit>, <cstdint> and <variant> come before the import.
#pragma once

namespace support {

inline bool same_value(const annals::stored_value& a, const annals::stored_value& b) {
  const double* const x = std::get_if<double>(&a);
  const double* const y = std::get_if<double>(&b);
  if (x != nullptr && y != nullptr) return std::bit_cast<std::uint64_t>(*x) == std::bit_cast<std::uint64_t>(*y);
  return a == b;
}

inline bool same_event(const annals::event& a, const annals::event& b) {
  return a.ts == b.ts && a.container == b.container && a.action == b.action && a.dest == b.dest && a.detail == b.detail &&
         std::equal(a.fields.begin(), a.fields.end(), b.fields.begin(), b.fields.end(),
                    [](const auto& f, const auto& g) { return f.name == g.name && same_value(f.value, g.value); });
}

inline annals::field_value view_of(const annals::stored_value& value) {
  return std::visit(
      [](const auto& v) -> annals::field_value {
        if constexpr (requires { v.text; }) {
          return annals::raw_json{v.text};
        } else {
          return v;
        }
      },
      value);
}

}  // namespace support
