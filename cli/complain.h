// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

namespace cli {

// Prints "annals: MESSAGE" to standard error, with every character made visible.
void complain(std::string_view message);

// Prints each line of the message in that form. All lines but the first are indented, so that a line break in the name of a
// file cannot begin what looks like another message.
void complain_lines(std::string_view message);

// To be called when a call on standard output failed: reports why (errno) and returns the exit code. A pipe whose reader has
// ended is no failure.
int output_failed();

// Writes what standard output still has in its buffer. Returns `code`, or the exit code of output_failed().
int end_output(int code);

}  // namespace cli
