// SPDX-License-Identifier: Apache-2.0
//
// What each command of `annals` is given, and the exit codes they share. Data goes to standard output, everything else to
// standard error.
#pragma once
#include <chrono>
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
  std::string file;    // of the log; empty where `config` says it
  std::string config;  // a configuration; empty: none
  std::string container;
  std::string action;
  std::optional<std::string> dest;
  std::optional<std::string> detail;
  std::vector<std::string> fields;  // NAME=TEXT or NAME:=JSON
  bool json_lines = false;
};

enum class output_form : std::uint8_t { automatic, pretty, json, csv, count };

struct tail_arguments {
  std::string file;
  std::int64_t count = 50;
  bool follow = false;
  output_form output = output_form::automatic;
};

struct archive_arguments {
  std::string file;
  std::optional<int> level;     // nothing: the archiver's own default
  std::string plugin = "zstd";  // its name, or an absolute path
};

struct cat_arguments {
  std::vector<std::string> files;
};

struct query_arguments {
  std::vector<std::string> files;
  std::string since;  // as parse_human_time reads it; empty: not given
  std::string until;
  bool local = false;                    // times without an offset are of the local zone, not UTC
  std::optional<std::string> container;  // with a `*` at the end: what begins so
  std::optional<std::string> action;
  std::optional<std::string> dest;
  std::string contains;
  output_form output = output_form::automatic;
  unsigned threads = 1;
};

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
int run_archive(const archive_arguments& arguments);
int run_cat(const cat_arguments& arguments);
int run_query(const query_arguments& arguments);
int run_log(const log_arguments& arguments);
int run_tail(const tail_arguments& arguments);

}  // namespace cli
