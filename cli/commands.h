// SPDX-License-Identifier: Apache-2.0
//
// What each command of `annals` is given, and the exit codes they share. Data goes to standard output, everything else to
// standard error.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cli {

enum exit_code : int {
  ok = 0,
  refused = 1,   // some of the input was refused; the rest is done
  usage = 2,     // the command line makes no sense
  io_error = 3,  // the system refused
};

struct log_arguments {
  std::string file;
  std::string container;
  std::string action;
  std::optional<std::string> dest;
  std::optional<std::string> detail;
  std::vector<std::string> fields;  // NAME=TEXT or NAME:=JSON
  bool json_lines = false;
};

enum class output_form : std::uint8_t { automatic, pretty, json };

struct tail_arguments {
  std::string file;
  std::int64_t count = 50;
  bool follow = false;
  output_form output = output_form::automatic;
};

int run_log(const log_arguments& arguments);
int run_tail(const tail_arguments& arguments);

}  // namespace cli
