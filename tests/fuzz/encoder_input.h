// SPDX-License-Identifier: Apache-2.0
//
// Events made of any bytes, for the fuzz target and for the comparison with Python. Included after `import annals;`.
#pragma once
#include "line_of.h"

namespace fuzz {

struct made_event {
  annals::timestamp ts;
  std::string container, action;
  std::optional<std::string> dest, detail;
  std::vector<annals::stored_field> fields;

  std::vector<annals::field> field_views() const {
    std::vector<annals::field> views;
    for (const annals::stored_field& f : fields) views.push_back({f.name, view_of(f.value)});
    return views;
  }
  annals::event_details details(const std::vector<annals::field>& views) const {
    return {.dest = dest, .detail = detail, .fields = views};
  }
};

inline annals::stored_value value_from(input& in) {
  switch (in.below(8)) {
    case 0: return nullptr;
    case 1: return in.chance();
    case 2: return in.number<std::int64_t>();
    case 3: return in.number<std::uint64_t>();
    case 4: return std::bit_cast<double>(in.number<std::uint64_t>());
    case 5: return static_cast<double>(in.number<std::int16_t>()) / 8;
    case 6: return annals::stored_json{in.text()};
    default: return in.text();
  }
}

inline made_event event_from(input& in) {
  constexpr std::uint64_t us_of_all_years = 253'402'300'800'000'000;  // 1970 to 9999
  made_event made;
  made.ts.precision = static_cast<annals::precision>(in.below(3));
  made.ts.time = annals::time_point(std::chrono::microseconds(in.number<std::uint64_t>() % us_of_all_years));
  made.container = in.text();
  made.action = in.text();
  const unsigned which = in.byte();
  if ((which & 1) != 0) made.dest = in.text();
  if ((which & 2) != 0) made.detail = in.text();
  const std::size_t copies = (which & 4) != 0 ? in.byte() : 0;  // of a name with a number: more fields than bytes
  for (std::size_t i = 0; i < 8 * copies; ++i) made.fields.push_back({"f" + std::to_string(i), std::uint64_t{i}});
  while (!in.is_empty()) {
    std::string name = in.text();
    made.fields.push_back({std::move(name), value_from(in)});
  }
  return made;
}

}  // namespace fuzz
