// SPDX-License-Identifier: Apache-2.0
#include "command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

std::vector<std::string> with_empty_values(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  if (argc < 2) return arguments;
  bool are_options = true;
  for (const std::string given : std::span(argv + 1, static_cast<std::size_t>(argc) - 1)) {
    are_options = are_options && given != "--";
    if (are_options && given.size() > 3 && given.starts_with("--") && given.find('=') == given.size() - 1) {
      arguments.push_back(given.substr(0, given.size() - 1));
      arguments.emplace_back();
    } else {
      arguments.push_back(given);
    }
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

namespace {

// How many characters have to be changed, inserted or removed to make one text of the other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({changed, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row.back();
}

}  // namespace

std::string unknown_command(const CLI::App& app, int argc, const char* const* argv) {
  if (argc < 2) return {};
  const std::string given = argv[1];
  if (given.empty() || given.front() == '-') return {};
  std::string similar;
  std::size_t best = 3;  // changes at most
  for (const CLI::App* const command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == given) return {};
    const std::size_t changes = distance(given, command->get_name());
    if (changes >= best) continue;
    best = changes;
    similar = command->get_name();
  }
  return "unknown command '" + given + "'" + (similar.empty() ? "; see `annals --help`" : "; did you mean '" + similar + "'?");
}

}  // namespace cli
