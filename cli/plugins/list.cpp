// SPDX-License-Identifier: Apache-2.0
//
// annals plugins: what the registry finds.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "complain.h"
#include "display/display.h"
#include "plugins/commands.h"
import annals;
#include "exit_code_of.h"

namespace cli {

namespace {

std::string capabilities_of(const annals::plugin_info& info) {
  std::string text;
  const auto add = [&text](const std::string& word) { text += (text.empty() ? "" : ", ") + word; };
  std::uint64_t others = info.capabilities;
  using annals::plugin_info;
  if ((info.capabilities & plugin_info::offers_sink) != 0) add("sink");
  if ((info.capabilities & plugin_info::offers_archiver) != 0) add("archiver");
  if ((info.capabilities & plugin_info::writes_log) != 0) add("writes the log");
  others &= ~(plugin_info::offers_sink | plugin_info::offers_archiver | plugin_info::writes_log);
  if (others != 0) add("others, of a newer ABI: " + std::to_string(others));
  return text;
}

// The same for programs: JSON strings. What this host has no name for is "bit N".
std::string capability_names(const annals::plugin_info& info) {
  std::string names;
  for (unsigned bit = 0; bit < 64; ++bit) {
    const std::uint64_t one = std::uint64_t{1} << bit;
    if ((info.capabilities & one) == 0) continue;
    const std::string name = one == annals::plugin_info::offers_sink       ? "sink"
                             : one == annals::plugin_info::offers_archiver ? "archiver"
                             : one == annals::plugin_info::writes_log      ? "writes_log"
                                                                           : "bit " + std::to_string(bit);
    names += (names.empty() ? "" : ",") + display::json_string(name);
  }
  return names;
}

std::string abi_of(unsigned major, unsigned minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

void print_text(const annals::found_plugin& found) {
  if (!found.info) {
    std::printf("refused  %s\n         %s\n", annals::visible(found.path).c_str(),
                annals::visible(found.info.error().message).c_str());
    return;
  }
  const annals::plugin_info& info = *found.info;
  std::printf("%s %s  %s\n", annals::visible(info.name).c_str(), annals::visible(info.version).c_str(),
              annals::visible(info.path).c_str());
  std::printf("         ABI %s, licence %s, built by %s, capabilities: %s\n", abi_of(info.abi_major, info.abi_minor).c_str(),
              annals::visible(info.license).c_str(), annals::visible(info.compiler).c_str(), capabilities_of(info).c_str());
}

// One object a line.
void print_json(const annals::found_plugin& found) {
  std::string line = "{\"path\":" + display::json_string(found.path);
  const auto add = [&line](const char* name, const std::string& value) {
    line += std::string(",\"") + name + "\":" + display::json_string(value);
  };
  if (found.info) {
    const annals::plugin_info& info = *found.info;
    add("name", info.name);
    add("version", info.version);
    add("license", info.license);
    add("abi", abi_of(info.abi_major, info.abi_minor));
    add("compiler", info.compiler);
    line += ",\"capabilities\":[" + capability_names(info) + "]";
  } else {
    add("refused", found.info.error().message);
  }
  std::printf("%s}\n", line.c_str());
}

}  // namespace

int run_plugins(const plugins_arguments& arguments) try {
  std::vector<std::string> directories;
  for (const std::string& given : arguments.directories) {
    directories.push_back(std::filesystem::absolute(given).lexically_normal().string());
  }
  if (!arguments.config.empty()) {
    const annals::logger_config config = annals::read_config(arguments.config).value();
    directories.insert(directories.end(), config.plugin_directories.begin(), config.plugin_directories.end());
  }
  const annals::plugin_registry plugins(directories);
  if (!arguments.json) {
    const annals::plugin_abi ours = annals::host_abi();
    std::printf("This host has ABI %s. Searched, in this order:\n", abi_of(ours.major, ours.minor).c_str());
    for (const std::string& directory : plugins.directories()) std::printf("  %s\n", annals::visible(directory).c_str());
    std::printf("\n");
  }
  int code = ok;
  const std::vector<annals::found_plugin> all = plugins.list();
  for (const annals::found_plugin& found : all) {
    arguments.json ? print_json(found) : print_text(found);
    if (!found.info) code = refused;
  }
  if (all.empty() && !arguments.json) std::printf("no plugins\n");
  return end_output(code);
} catch (const annals::failure& failed) {
  complain_lines(failed.what());
  return exit_code_of(failed.cause());
}

}  // namespace cli
