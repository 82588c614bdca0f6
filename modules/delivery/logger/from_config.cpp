// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>
module annals.logger;
import annals.config;
import annals.options;
import annals.plugin;

namespace annals {

namespace {

// Whether it is known which plugin the member at `where` means, and where it is looked for: else it would be missing for that
// reason alone.
bool is_known(const config_check& checked, const std::string& where, const std::string& type) {
  return !type.empty() && std::none_of(checked.problems.begin(), checked.problems.end(), [&](const option_problem& one) {
    return one.path.starts_with("$.plugin_directories") || one.path == where + ".type" || one.path == where;
  });
}

// Throws with everything that is wrong: with the file, and with what its sink makes of its options.
logger_options options_of(const std::string& path) {
  config_check checked = check_config_file(path).value();
  logger_config& config = checked.config;
  logger_options options;
  const auto make = [&](const char* member, const std::string& type, const std::vector<option>& given, auto function) {
    try {
      const plugin loaded = plugin_registry(config.plugin_directories).load(type).value();
      return (loaded.*function)({given, config.path, config.file_mode});
    } catch (const failure& failed) {
      error cause = failed.cause();
      if (!checked.problems.empty() || cause.message.find('\n') != std::string::npos) {
        throw failure(config_error(path, checked.problems, cause.message));
      }
      cause.message = "cannot use the configuration '" + path + "': $." + member + ": " + cause.message;
      throw failure(std::move(cause));
    }
  };
  if (config.sink_type != "file" && is_known(checked, "$.sink", config.sink_type)) {
    options.sink = make("sink", config.sink_type, config.sink_options, &plugin::make_sink);
  }
  if (is_known(checked, "$.archive", config.archiver_type)) {
    options.archiver = make("archive", config.archiver_type, config.archiver_options, &plugin::make_archiver);
  }
  if (!checked.problems.empty()) throw failure(config_error(path, checked.problems));
  options.path = std::move(config.path);
  options.enabled = config.enabled;
  options.delivery = config.delivery;
  options.ring_bytes = config.ring_bytes;
  options.on_full = config.on_full;
  options.ring_in_use = config.ring_in_use;
  options.archive_priority = config.archive_priority;
  options.latency_max = config.latency_max;
  options.timestamps = config.timestamps;
  options.max_line_bytes = config.max_line_bytes;
  options.file_mode = config.file_mode;
  return options;
}

}  // namespace

audit_logger audit_logger::from_config(const std::string& path, error_handler on_error, notice_handler on_notice) {
  logger_options options = options_of(path);
  options.on_error = std::move(on_error);
  options.on_notice = std::move(on_notice);
  return audit_logger(std::move(options));
}

}  // namespace annals
