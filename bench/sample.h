// SPDX-License-Identifier: Apache-2.0
//
// The event that every benchmark logs, and the line it becomes: 133 bytes, newline included.
#pragma once
#include <cstddef>
#include <string_view>

namespace sample {

inline constexpr std::string_view container = "web";
inline constexpr std::string_view action = "denied";
inline constexpr std::string_view dest = "203.0.113.7:443";
inline constexpr std::string_view detail = "not in allowlist; rule 17";

inline constexpr std::size_t line_bytes = 133;
inline constexpr std::string_view timestamp = "2026-11-23T09:00:00+00:00";
inline constexpr std::string_view line = R"({"ts":"2026-11-23T09:00:00+00:00","container":"web","action":"denied",)"
                                         R"("dest":"203.0.113.7:443","detail":"not in allowlist; rule 17"})"
                                         "\n";
static_assert(line.size() == line_bytes);

}  // namespace sample
