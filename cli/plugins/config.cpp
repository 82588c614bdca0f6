// SPDX-License-Identifier: Apache-2.0
//
// annals config check: everything that is wrong with a configuration, and what a logger would make of a good one.
#include <cstdio>
#include <string>
#include <string_view>

#include "commands.h"
#include "display/display.h"
import annals;
#include "exit_code_of.h"

namespace cli {

namespace {

void tell(std::string_view name, const std::string& value) {
  std::printf("  %-20.*s %s\n", static_cast<int>(name.size()), name.data(), visible(value).c_str());
}

const char* name_of(annals::precision digits) {
  switch (digits) {
    case annals::precision::seconds: return "seconds";
    case annals::precision::milliseconds: return "milliseconds";
    case annals::precision::microseconds: return "microseconds";
  }
  return "unknown";
}

}  // namespace

int run_config_check(const config_check_arguments& arguments) try {
  const auto read = annals::read_config(arguments.file);
  if (!read && arguments.load) (void)annals::audit_logger::from_config(arguments.file);  // tells of the sink's options, too
  if (!read) throw annals::failure(read.error());
  const annals::logger_config& config = *read;
  std::string sink = config.sink_type;
  if (sink != "file") {
    const annals::plugin_registry plugins(config.plugin_directories);
    if (arguments.load) (void)annals::audit_logger::from_config(arguments.file);  // which opens nothing
    const auto info = plugins.examine(config.sink_type);
    if (!info) {
      complain_lines("cannot use the configuration '" + arguments.file + "': $.sink: " + info.error().message);
      return exit_code_of(info.error());
    }
    sink = info->name + " " + info->version + ", " + info->path;
  }
  std::string archiver = "none";
  if (!config.archiver_type.empty()) {
    if (arguments.load && sink == "file") (void)annals::audit_logger::from_config(arguments.file);
    const auto info = annals::plugin_registry(config.plugin_directories).examine(config.archiver_type);
    if (!info) {
      complain_lines("cannot use the configuration '" + arguments.file + "': $.archive: " + info.error().message);
      return exit_code_of(info.error());
    }
    archiver = info->name + " " + info->version + ", " + info->path;
  }
  std::printf("%s: good\n", visible(arguments.file).c_str());
  tell("path", config.path.empty() ? "none" : config.path);
  tell("sink", sink);
  tell("archive", archiver);
  tell("delivery", "direct");
  tell("enabled", config.enabled ? "yes" : "no");
  tell("timestamps", name_of(config.timestamps));
  tell("max_line_bytes", std::to_string(config.max_line_bytes));
  char mode[16];
  std::snprintf(mode, sizeof mode, "%04o", config.file_mode);
  tell("file_mode", mode);
  if ((sink != "file" || archiver != "none") && !arguments.load) {
    tell("not checked", "the plugins' own options (--no-load)");
  }
  return std::fflush(stdout) == 0 ? ok : io_error;
} catch (const annals::failure& failed) {
  complain_lines(failed.what());
  return exit_code_of(failed.cause());
}

}  // namespace cli
