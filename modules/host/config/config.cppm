// SPDX-License-Identifier: Apache-2.0
//
// annals.config: the configuration of a logger as a file, annals.json. docs/configuration.md describes every key;
// docs/annals.schema.json says the same to editors.
//
//   {
//     "path": "audit.jsonl",
//     "sink": {"type": "syslog", "address": "/dev/log"}
//   }
module;
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>
export module annals.config;
import annals.event;
import annals.options;
#pragma GCC visibility push(default)

export namespace annals {

struct logger_config {
  std::string path;  // of the log; a relative one has been joined to the directory of the configuration
  bool enabled = true;
  annals::delivery delivery = annals::delivery::direct;
  std::size_t ring_bytes = 64 * 1024 * 1024;
  annals::on_full on_full = annals::on_full::block;
  annals::ring_in_use ring_in_use = annals::ring_in_use::refuse;
  std::chrono::milliseconds latency_max{5};
  precision timestamps = precision::seconds;
  std::size_t max_line_bytes = limits::line_bytes_max;
  unsigned file_mode = 0600;
  std::vector<std::string> plugin_directories;  // absolute; searched before the installed one
  std::string sink_type = "file";               // "file", the name of a plugin, or the absolute path of one
  std::vector<option> sink_options;             // what else "sink" holds; the sink checks them
  std::string archiver_type;                    // a plugin likewise; empty: none
  std::vector<option> archiver_options;         // what else "archive" holds
  annals::archive_priority archive_priority = annals::archive_priority::automatic;
};

struct config_check {
  logger_config config;                  // of use only where there are no problems
  std::vector<option_problem> problems;  // all there are; those of the sink's own options are found when it is made
};

// Reads the text of a configuration. `directory` is what relative paths are relative to. Any thread.
config_check check_config(std::string_view text, const std::string& directory);

// The members of a JSON object, as make_sink takes them; `text` has to be one (invalid_config). Any thread.
result<std::vector<option>> parse_options(std::string_view text);

// The configuration in the file at `path`, of at most 1 MiB, with its problems; or an error where it cannot be checked (io,
// not_a_regular_file; invalid_config: it is too large). Any thread.
result<config_check> check_config_file(const std::string& path);

// What a file with these problems is refused with: invalid_config with all of them, one a line. `of_sink` is what its sink says
// of its options, one problem a line, or empty. Any thread.
error config_error(const std::string& path, const std::vector<option_problem>& problems, std::string_view of_sink = {});

// check_config_file, where problems are an error, too. Any thread.
result<logger_config> read_config(const std::string& path);

}  // namespace annals
#pragma GCC visibility pop
