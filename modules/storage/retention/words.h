// SPDX-License-Identifier: Apache-2.0
//
// Times and lists in words, for messages and for the details of events. Included by implementations of this module
// behind its declaration, so it includes nothing itself.
#pragma once

namespace annals::words {

inline std::string time(time_point at) {
  const std::string text = to_string(timestamp{at, precision::seconds});
  return text.empty() ? "a year that is none" : text;
}

// "a, b, c and 2 more"
inline std::string list(const std::vector<std::string>& names, std::size_t shown_max) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < shown_max; ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > shown_max) text += " and " + std::to_string(names.size() - shown_max) + " more";
  return text;
}

}  // namespace annals::words
