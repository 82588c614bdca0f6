// SPDX-License-Identifier: Apache-2.0
//
// What the descriptions of the command line share. Each folder describes its commands in its options.cpp.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace cli {

// Runs the command that the command line names. Empty until the line is parsed.
using chosen_command = std::function<int()>;

// Makes `run` call `function` if the line names `command`. `check`, if any, is called first, with the line parsed: it throws
// CLI::ParseError for wrong usage.
template <class Arguments>
void on_command(CLI::App& command, chosen_command& run, int (*function)(const Arguments&),
                const std::shared_ptr<Arguments>& arguments, const std::function<void()>& check = {}) {
  command.callback([&run, function, arguments, check] {
    if (check) check();
    run = [function, arguments] { return function(*arguments); };
  });
}

// A validator: "" for a text that is not empty, else what was expected.
std::string not_empty(const std::string& given);

// The operand FILE of most commands.
CLI::Option* add_log_file(CLI::App& command, std::string& file);

// The option --output of the commands that print text or JSON.
void add_text_or_json(CLI::App& command, bool& json, const std::string& help);

// An option whose text `take` reads; it returns false for a text that is not `expected`.
CLI::Option* add_read(CLI::App& command, const std::string& name, const std::string& help, const std::string& expected,
                      const std::function<bool(const std::string&)>& take);

void add_reading_commands(CLI::App& app, chosen_command& run);  // tail, query, cat, verify, segments
void add_writing_commands(CLI::App& app, chosen_command& run);  // log, rotate, recover
void add_keeping_commands(CLI::App& app, chosen_command& run);  // prune, hold, adopt, archive
void add_plugin_commands(CLI::App& app, chosen_command& run);   // config, plugins, plugin

// The arguments behind the program's name, the last one first, as CLI11 takes them. `--name=` becomes `--name` and an empty
// value.
std::vector<std::string> with_empty_values(int argc, const char* const* argv);

// What is wrong if the first argument is no command and no option; empty otherwise. Names the most similar command.
std::string unknown_command(const CLI::App& app, int argc, const char* const* argv);

}  // namespace cli
