// SPDX-License-Identifier: Apache-2.0
//
// The commands for configurations and plugins, and their arguments.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "exit_code.h"

namespace cli {

struct config_check_arguments {
  std::string file;
  bool load = true;  // the sink is made, so that its plugin checks its options
};

struct plugins_arguments {
  std::string config;                    // whose plugin_directories are searched first; empty: none
  std::vector<std::string> directories;  // before those
  bool json = false;
};

struct plugin_check_arguments {
  std::string file;
  std::string options = "{}";      // JSON; {directory} is replaced
  std::string destination;         // where the lines can be read: a file, "stdout", "stderr"; empty: the log, or unknown
  std::vector<std::string> cases;  // empty: all
  std::chrono::milliseconds deadline{10'000};  // of each case
  std::string junit;                           // a file to write; empty: none
  bool list = false;
};

struct plugin_new_arguments {
  std::string name;
  std::string language = "cpp";
  std::string directory;  // empty: annals_NAME in the working directory
};

int run_config_check(const config_check_arguments& arguments);
int run_plugins(const plugins_arguments& arguments);
int run_plugin_check(const plugin_check_arguments& given);
int run_plugin_new(const plugin_new_arguments& arguments);

}  // namespace cli
