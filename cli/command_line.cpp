// SPDX-License-Identifier: Apache-2.0
#include "command_line.h"

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace cli {

std::string not_empty(const std::string& given) {
  return given.empty() ? "expected a path, found nothing" : "";
}

CLI::Option* add_log_file(CLI::App& command, std::string& file) {
  return command.add_option("FILE", file, "The log, named by its live segment")->check(not_empty);
}

void add_text_or_json(CLI::App& command, bool& json, const std::string& help) {
  command.add_option_function<std::string>(
             "--output", [&json](const std::string& form) { json = form == "json"; }, help)
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->type_name("text|json");
}

CLI::Option* add_read(CLI::App& command, const std::string& name, const std::string& help, const std::string& expected,
                      const std::function<bool(const std::string&)>& take) {
  return command.add_option_function<std::string>(
      name,
      [name, expected, take](const std::string& given) {
        if (!take(given)) throw CLI::ValidationError(name, "expected " + expected + ", found '" + given + "'");
      },
      help);
}

}  // namespace cli
