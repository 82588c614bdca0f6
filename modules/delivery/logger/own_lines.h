// SPDX-License-Identifier: Apache-2.0
//
// The events that the library itself puts into a log. Includes nothing: it comes behind the imports.
#pragma once

namespace annals {

std::string own_line(std::string_view action, const event_details& details, precision timestamps);  // ended by a newline
std::string dropped_line(std::uint64_t count, precision timestamps);

}  // namespace annals
