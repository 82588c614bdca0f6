// SPDX-License-Identifier: Apache-2.0
//
// Text for people's eyes. See also annals::visible: a value cannot move the cursor, ring the bell, reverse the line or begin
// another.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace display {

// A line of JSON for a terminal: the same JSON, with every character outside ASCII and every control character escaped, and
// white space between tokens as spaces.
std::string visible_json(std::string_view line);

// How many terminal columns the output of annals::visible takes.
std::size_t columns_of(std::string_view visible_text);

// `text` as a JSON string, in ASCII. What is not UTF-8 becomes U+FFFD.
std::string json_string(std::string_view text);

}  // namespace display
