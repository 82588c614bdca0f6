// SPDX-License-Identifier: Apache-2.0
//
// The commands that write a log, and their arguments.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "exit_code.h"

namespace cli {

struct log_arguments {
  std::string file;    // of the log; empty where `config` says it
  std::string config;  // a configuration; empty: none
  std::string container;
  std::string action;
  std::optional<std::string> dest;
  std::optional<std::string> detail;
  std::vector<std::string> fields;  // NAME=TEXT or NAME:=JSON
  bool json_lines = false;
};

struct rotate_arguments {
  std::string file;
};

struct recover_arguments {
  std::string file;  // of the log
};

int run_log(const log_arguments& arguments);
int run_rotate(const rotate_arguments& arguments);
int run_recover(const recover_arguments& arguments);

}  // namespace cli
