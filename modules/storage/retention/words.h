// SPDX-License-Identifier: Apache-2.0
//
// Amounts, times and lists in words, for messages and for the details of events. Included by implementations of this module
// behind its declaration, so it includes nothing itself.
#pragma once

namespace annals::words {

// The largest unit that leaves a whole number of up to four digits, else one decimal of the largest that fits: "64KiB", "10GB",
// "12.1 GB".
inline std::string bytes(std::uint64_t count) {
  struct unit {
    std::string_view name;
    std::uint64_t value;
  };
  constexpr std::uint64_t k = 1000;
  constexpr std::uint64_t ki = 1024;
  constexpr unit exact[] = {{"TiB", ki * ki * ki * ki}, {"TB", k * k * k * k}, {"GiB", ki * ki * ki}, {"GB", k * k * k},
                            {"MiB", ki * ki},           {"MB", k * k},         {"KiB", ki},           {"KB", k}};
  for (const unit& one : exact) {
    if (count != 0 && count % one.value == 0 && count / one.value < 10'000)
      return std::to_string(count / one.value) + std::string(one.name);
  }
  for (const unit& one : exact) {
    if (one.name.size() != 2 || count < one.value) continue;
    const std::uint64_t tenths = count / (one.value / 10);
    return std::to_string(tenths / 10) + '.' + static_cast<char>('0' + tenths % 10) + ' ' + std::string(one.name);
  }
  return std::to_string(count) + " bytes";
}

// As parse_duration reads it: "7y", "1d12h".
inline std::string duration(std::chrono::microseconds length) {
  struct unit {
    std::string_view name;
    std::int64_t value;
  };
  constexpr std::int64_t second = 1'000'000;
  constexpr unit units[] = {{"y", 365 * 86400 * second},
                            {"d", 86400 * second},
                            {"h", 3600 * second},
                            {"m", 60 * second},
                            {"s", second},
                            {"ms", 1000},
                            {"us", 1}};
  std::string text;
  std::int64_t left = length.count();
  for (const unit& one : units) {
    if (left >= one.value) text += std::to_string(left / one.value) + std::string(one.name);
    left %= one.value;
  }
  return text.empty() ? "0s" : text;
}

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
