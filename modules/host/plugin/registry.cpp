// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <boost/dll/runtime_symbol_info.hpp>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>
module annals.plugin;
import annals.io;
import annals.json;

namespace annals {

namespace {

constexpr std::string_view prefix = "annals_";
constexpr std::string_view suffix = ".so";

bool is_plugin_file(std::string_view name) {
  return name.size() > prefix.size() + suffix.size() && name.starts_with(prefix) && name.ends_with(suffix);
}

bool is_no_directory(io::file_kind kind) {
  return kind != io::file_kind::directory && kind != io::file_kind::symlink;  // a link may lead to one
}

std::string joined(const std::string& directory, std::string_view name) {
  return directory + (directory.ends_with('/') ? "" : "/") + std::string(name);
}

}  // namespace

std::string installed_plugin_directory() {
  std::error_code failed;
  const std::filesystem::path told = boost::dll::this_line_location(failed);
  // With a static library this is the program itself, which the dynamic linker knows by the name that it was called by.
  const std::filesystem::path ours =
      std::filesystem::canonical(!failed && told.is_absolute() ? told : std::filesystem::path("/proc/self/exe"), failed);
  return failed ? std::string() : (ours.parent_path() / "annals" / "plugins").string();
}

plugin_registry::plugin_registry(std::vector<std::string> directories) : directories_(std::move(directories)) {
  if (std::string installed = installed_plugin_directory(); !installed.empty()) directories_.push_back(std::move(installed));
}

const std::vector<std::string>& plugin_registry::directories() const noexcept {
  return directories_;
}

std::vector<found_plugin> plugin_registry::list() const {
  std::vector<found_plugin> found;
  for (const std::string& directory : directories_) {
    if (!directory.starts_with('/')) {
      found.push_back({directory, error{errc::plugin_refused, 0,
                                        "cannot look for plugins in '" + directory + "': expected an absolute path"}});
      continue;
    }
    auto names = io::list_directory(directory);
    if (!names) {
      found.push_back({directory, std::move(names.error())});
      continue;
    }
    if (const auto there = io::status_at(directory); names->empty() && there && *there && is_no_directory((*there)->kind)) {
      found.push_back({directory, error{errc::plugin_refused, 0,
                                        "cannot look for plugins in '" + directory + "': Not a directory; expected one"}});
    }
    std::sort(names->begin(), names->end());
    for (const std::string& name : *names) {
      if (!is_plugin_file(name)) continue;
      const std::string path = joined(directory, name);
      found.push_back({path, examine_plugin(path)});
    }
  }
  return found;
}

result<std::string> plugin_registry::path_of(std::string_view name_or_path) const {
  if (name_or_path.starts_with('/')) return std::string(name_or_path);
  const bool is_name = !name_or_path.empty() && std::all_of(name_or_path.begin(), name_or_path.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (!is_name) {
    return error{
        errc::plugin_refused, 0,
        "cannot load the plugin " + json::quoted(name_or_path) + ": expected a name of a-z, 0-9 and _, or an absolute path"};
  }
  const std::string file_name = std::string(prefix) + std::string(name_or_path) + std::string(suffix);
  std::string places;
  for (const std::string& directory : directories_) {
    std::string path = joined(directory, file_name);
    if (!directory.starts_with('/')) return path;  // refused: a relative path
    auto there = io::status_at(path);
    if (!there) return std::move(there.error());
    if (*there) return path;
    places += (places.empty() ? "'" : ", '") + directory + "'";
  }
  return error{errc::plugin_refused, 0,
               "cannot load the plugin '" + std::string(name_or_path) + "': there is no " + file_name + " in " + places +
                   "; install it there, or name its directory (plugin_directories)"};
}

result<plugin_info> plugin_registry::examine(std::string_view name_or_path) const {
  const auto path = path_of(name_or_path);
  return path ? examine_plugin(*path) : result<plugin_info>(path.error());
}

result<plugin> plugin_registry::load(std::string_view name_or_path, unload policy) const {
  const auto path = path_of(name_or_path);
  return path ? load_plugin(*path, policy) : result<plugin>(path.error());
}

}  // namespace annals
