// SPDX-License-Identifier: Apache-2.0
module;
#include <functional>
#include <memory>
#include <string>
#include <utility>
module annals.logger;
import annals.config;
import annals.options;
import annals.plugin;

namespace annals {

namespace {

// The sink that the configuration names; none for the built-in one.
std::unique_ptr<sink> sink_of(const logger_config& config, const std::string& path) {
  if (config.sink_type == "file") return nullptr;
  const auto refuse = [&path](error cause) {
    cause.message = "cannot use the configuration '" + path + "': $.sink: " + cause.message;
    return failure(std::move(cause));
  };
  auto loaded = plugin_registry(config.plugin_directories).load(config.sink_type);
  if (!loaded) throw refuse(std::move(loaded.error()));
  try {
    return loaded->make_sink({config.sink_options, config.path, config.file_mode});
  } catch (const failure& failed) {
    throw refuse(failed.cause());
  }
}

logger_options options_of(const std::string& path, std::function<void(const error&)> on_error) {
  logger_config config = read_config(path).value();
  logger_options options;
  options.sink = sink_of(config, path);
  options.path = std::move(config.path);
  options.enabled = config.enabled;
  options.delivery = config.delivery;
  options.timestamps = config.timestamps;
  options.max_line_bytes = config.max_line_bytes;
  options.file_mode = config.file_mode;
  options.on_error = std::move(on_error);
  return options;
}

}  // namespace

audit_logger audit_logger::from_config(const std::string& path, std::function<void(const error&)> on_error) {
  return audit_logger(options_of(path, std::move(on_error)));
}

}  // namespace annals
