// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "command_line.h"
#include "plugins/commands.h"
import annals;

namespace cli {

namespace {

std::string is_deadline(const std::string& given) {
  const auto length = annals::parse_duration(given);
  const bool good = length && *length >= std::chrono::milliseconds(100) && *length <= std::chrono::hours(1);
  return good ? "" : "expected a length of time from \"100ms\" to \"1h\", found \"" + given + "\"";
}

void add_config(CLI::App& app, chosen_command& run) {
  const auto arguments = std::make_shared<config_check_arguments>();
  CLI::App* const config = app.add_subcommand("config", "Check a configuration");
  config->require_subcommand(1);
  CLI::App* const check = config->add_subcommand("check", "Report every mistake in a configuration");
  check->add_option("FILE", arguments->file, "The configuration, usually annals.json")->required()->check(not_empty);
  check->add_flag("!--no-load", arguments->load, "Do not load the sink's plugin. Its options are not checked");
  check->footer(
      "Examples:\n"
      "  annals config check annals.json\n\n"
      "Exit status: 0 good, 1 there are mistakes, 2 wrong usage, 3 the configuration cannot be read.");
  config->footer("Examples:\n  annals config check annals.json");
  on_command(*check, run, run_config_check, arguments);
}

void add_plugins(CLI::App& app, chosen_command& run) {
  const auto arguments = std::make_shared<plugins_arguments>();
  CLI::App* const plugins = app.add_subcommand("plugins", "List the plugins that can be loaded, and why others are refused");
  plugins->add_option("--config", arguments->config, "A configuration. Its plugin_directories are searched, too")
      ->check(not_empty)
      ->type_name("FILE");
  plugins->add_option("--directory", arguments->directories, "A directory to search first. May be repeated")
      ->allow_extra_args(false)
      ->check(not_empty)
      ->type_name("DIR");
  add_text_or_json(*plugins, arguments->json, "text: for people; json: one object per plugin");
  plugins->footer(
      "Examples:\n"
      "  annals plugins --directory /opt/example/annals\n\n"
      "Loads no plugin. Exit status: 0 done, 1 a plugin is refused or the configuration is wrong, 2 wrong usage,\n"
      "3 the configuration cannot be read.");
  on_command(*plugins, run, run_plugins, arguments);
}

void add_plugin_check(CLI::App& plugin, chosen_command& run) {
  const auto arguments = std::make_shared<plugin_check_arguments>();
  CLI::App* const check = plugin.add_subcommand("check", "Test that a plugin keeps its contract with its host");
  CLI::Option* const file = check->add_option("FILE", arguments->file, "The plugin, annals_NAME.so")->check(not_empty);
  check->add_option("--options", arguments->options, "The sink's options. {directory} stands for the directory of the case")
      ->type_name("JSON");
  check
      ->add_option("--destination", arguments->destination,
                   "Where the checker reads the lines: a file ({directory}/...), stdout or stderr")
      ->type_name("FILE");
  check->add_option("--case", arguments->cases, "Only this case. May be repeated")->allow_extra_args(false)->type_name("NAME");
  check
      ->add_option_function<std::string>(
          "--deadline",
          [arguments](const std::string& given) {
            arguments->deadline = std::chrono::duration_cast<std::chrono::milliseconds>(*annals::parse_duration(given));
          },
          "How long a case may take")
      ->check(is_deadline)
      ->type_name("TIME")
      ->default_str("10s");
  check->add_option("--junit", arguments->junit, "Also write the results as JUnit XML")->type_name("FILE");
  CLI::Option* const list = check->add_flag("--list", arguments->list, "Print what the cases demand. Check nothing");
  check->footer(
      "Examples:\n"
      "  annals plugin check annals_mine.so --options '{\"path\":\"{directory}/out\"}' --destination '{directory}/out'\n\n"
      "Exit status: 0 nothing failed, 1 a case failed or the plugin is refused, 2 wrong usage, 3 the checker itself failed.");
  on_command(*check, run, run_plugin_check, arguments, [file, list] {
    if (file->empty() && list->empty()) throw CLI::RequiredError("FILE");
  });
}

void add_plugin_new(CLI::App& plugin, chosen_command& run) {
  const auto arguments = std::make_shared<plugin_new_arguments>();
  CLI::App* const fresh = plugin.add_subcommand("new", "Create the project of a new plugin, with a test");
  fresh->add_option("NAME", arguments->name, "The name of the plugin: a-z, 0-9 and _, beginning with a letter")->required();
  fresh->add_option("--language", arguments->language, "The language of its source")
      ->check(CLI::IsMember({"cpp", "c"}).description(""))
      ->type_name("cpp|c")
      ->default_str("cpp");
  fresh->add_option("--directory", arguments->directory, "The directory to create. It must not exist")
      ->type_name("DIR")
      ->default_str("annals_NAME");
  fresh->footer(
      "Examples:\n"
      "  annals plugin new mine --language c\n\n"
      "Exit status: 0 done, 2 wrong usage, 3 a file cannot be written.");
  on_command(*fresh, run, run_plugin_new, arguments);
}

}  // namespace

void add_plugin_commands(CLI::App& app, chosen_command& run) {
  add_config(app, run);
  add_plugins(app, run);
  CLI::App* const plugin = app.add_subcommand("plugin", "Write and check plugins");
  plugin->require_subcommand(1);
  plugin->footer("Examples:\n  annals plugin new mine\n  annals plugin check build/annals_mine.so");
  add_plugin_check(*plugin, run);
  add_plugin_new(*plugin, run);
}

}  // namespace cli
