// SPDX-License-Identifier: Apache-2.0
//
// annals config check: everything that is wrong with a configuration, and what a logger would make of a good one.
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "complain.h"
#include "plugins/commands.h"
import annals;
#include "exit_code_of.h"

namespace cli {

namespace {

void tell(std::string_view name, const std::string& value) {
  std::printf("  %-20.*s %s\n", static_cast<int>(name.size()), name.data(), annals::visible(value).c_str());
}

const char* name_of(annals::precision digits) {
  switch (digits) {
    case annals::precision::seconds: return "seconds";
    case annals::precision::milliseconds: return "milliseconds";
    case annals::precision::microseconds: return "microseconds";
  }
  return "unknown";
}

const char* name_of(annals::on_full what) {
  switch (what) {
    case annals::on_full::block: return "block";
    case annals::on_full::fail: return "fail";
    case annals::on_full::drop: return "drop";
  }
  return "unknown";
}

void tell_options(const std::string& of, const std::vector<annals::option>& options) {
  for (const annals::option& one : options) tell(of + "." + one.name, one.text);
}

const char* name_of(annals::delivery kind) {
  switch (kind) {
    case annals::delivery::direct: return "direct";
    case annals::delivery::ring: return "ring";
    case annals::delivery::durable: return "durable";
  }
  return "unknown";
}

// The version and the file of the plugin that a member of the configuration names. Throws if it cannot be used as this.
std::string examined(const std::string& file, const std::string& member, const annals::logger_config& config,
                     const std::string& type, annals::plugin_kind wanted) {
  auto info = annals::plugin_registry(config.plugin_directories).examine(type);
  auto refused = info ? annals::refuse_unless_offered(*info, wanted) : std::move(info.error());
  if (!refused) return info->name + " " + info->version + ", " + info->path;
  refused->message = "cannot use the configuration '" + file + "': $." + member + ": " + refused->message;
  throw annals::failure(std::move(*refused));
}

}  // namespace

int run_config_check(const config_check_arguments& arguments) try {
  const auto read = annals::read_config(arguments.file);
  if (!read && arguments.load) (void)annals::audit_logger::from_config(arguments.file);  // reports the plugins' options, too
  if (!read) throw annals::failure(read.error());
  const annals::logger_config& config = *read;
  std::string sink = config.sink_type;
  std::string archiver = "none";
  const bool has_plugin = sink != "file" || !config.archiver_type.empty();
  if (has_plugin && arguments.load) (void)annals::audit_logger::from_config(arguments.file);  // which opens nothing
  if (sink != "file") sink = examined(arguments.file, "sink", config, sink, annals::plugin_kind::sink);
  if (!config.archiver_type.empty()) {
    archiver = examined(arguments.file, "archive", config, config.archiver_type, annals::plugin_kind::archiver);
  }
  std::printf("%s: good\n", annals::visible(arguments.file).c_str());
  tell("path", config.path.empty() ? "none" : config.path);
  tell("sink", sink);
  tell_options("sink", config.sink_options);
  tell("archive", archiver);
  tell_options("archive", config.archiver_options);
  tell("delivery", name_of(config.delivery));
  if (config.delivery == annals::delivery::ring) {
    tell("ring_bytes", std::to_string(config.ring_bytes));
    tell("on_full", name_of(config.on_full));
    tell("ring_in_use", config.ring_in_use == annals::ring_in_use::refuse ? "refuse" : "use_direct");
    tell("latency_max", std::to_string(config.latency_max.count()) + " ms");
  }
  tell("enabled", config.enabled ? "yes" : "no");
  tell("timestamps", name_of(config.timestamps));
  tell("max_line_bytes", std::to_string(config.max_line_bytes));
  char mode[16];
  std::snprintf(mode, sizeof mode, "%04o", config.file_mode);
  tell("file_mode", mode);
  if (has_plugin && !arguments.load) {
    tell("not checked", "the plugins' own options (--no-load)");
  }
  return end_output(ok);
} catch (const annals::failure& failed) {
  complain_lines(failed.what());
  return exit_code_of(failed.cause());
}

}  // namespace cli
