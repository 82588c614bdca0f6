// SPDX-License-Identifier: Apache-2.0
//
// annals plugin new: writes out the project of a plugin that works, to be changed.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "complain.h"
#include "plugins/commands.h"
#include "plugins/templates.h"
import annals.event.text;

namespace cli {

namespace {

constexpr std::string_view name_in_template = "mysink";
constexpr std::string_view built_in_sink = "file";
constexpr std::size_t name_bytes_max = 31;

bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= name_bytes_max && name[0] >= 'a' && name[0] <= 'z' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
}

std::string named(std::string_view text, const std::string& name) {
  std::string out(text);
  for (std::size_t at = out.find(name_in_template); at != std::string::npos;
       at = out.find(name_in_template, at + name.size())) {
    out.replace(at, name_in_template.size(), name);
  }
  return out;
}

// Never touches a file that is there. Returns what the system said, or nothing.
std::string write_new(const std::string& path, const std::string& content) {
  std::FILE* const file = std::fopen(path.c_str(), "wxe");
  if (file == nullptr) return std::strerror(errno);
  const bool wrote = std::fwrite(content.data(), 1, content.size(), file) == content.size();
  const int cause = errno;
  if (std::fclose(file) == 0 && wrote) return {};
  return std::strerror(wrote ? errno : cause);
}

}  // namespace

int run_plugin_new(const plugin_new_arguments& arguments) {
  if (!is_name(arguments.name)) {
    complain("\"" + arguments.name +
             "\" is not a name for a plugin; expected up to 31 of a-z, 0-9 and _, beginning with a letter");
    return usage;
  }
  if (arguments.name == built_in_sink) {
    complain("a plugin called \"" + arguments.name +
             "\" would never be loaded: that is the sink of annals itself; expected another name");
    return usage;
  }
  const std::string directory = arguments.directory.empty() ? "annals_" + arguments.name : arguments.directory;
  std::error_code failed;
  if (!std::filesystem::create_directory(directory, failed)) {
    complain("cannot make the directory '" + directory + "': " + (failed ? failed.message() : "it is there already"));
    return io_error;
  }
  for (const template_file& one : arguments.language == "c" ? template_in_c() : template_in_cpp()) {
    const std::string path = directory + "/" + named(one.name, arguments.name);
    if (const std::string why = write_new(path, named(one.content, arguments.name)); !why.empty()) {
      complain("cannot write '" + path + "': " + why);
      return io_error;
    }
    std::printf("%s\n", annals::visible(path).c_str());
  }
  std::printf("\nNext: read %s/README.md, which tells how to build it, to check it and to use it.\n",
              annals::visible(directory).c_str());
  return end_output(ok);
}

}  // namespace cli
