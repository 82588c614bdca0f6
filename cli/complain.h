// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

namespace cli {

// Prints "annals: MESSAGE" to standard error, with every character made visible.
void complain(std::string_view message);

// Prints each line of the message in that form.
void complain_lines(std::string_view message);

}  // namespace cli
