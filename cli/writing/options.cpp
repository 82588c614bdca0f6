// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "command_line.h"
#include "writing/commands.h"

namespace cli {

namespace {

void add_log(CLI::App& app, chosen_command& run) {
  const auto arguments = std::make_shared<log_arguments>();
  CLI::App* const log = app.add_subcommand("log", "Append events to a log");
  CLI::Option* const file =
      log->add_option("FILE", arguments->file, "The log. Created, with its directories, if it does not exist")
          ->check(not_empty);
  CLI::Option* const container = log->add_option("CONTAINER", arguments->container, "What the event is about");
  CLI::Option* const action = log->add_option("ACTION", arguments->action, "What happened: setup, denied, allowed, ...");
  CLI::Option* const dest = log->add_option("--dest", arguments->dest, "Destination: an address or a domain");
  CLI::Option* const detail = log->add_option("--detail", arguments->detail, "Further details, as text");
  CLI::Option* const field =
      log->add_option("--field", arguments->fields, "An extra field, NAME=TEXT or NAME:=JSON; may be repeated");
  field->allow_extra_args(false);
  CLI::Option* const json_lines =
      log->add_flag("--jsonl", arguments->json_lines, "Read events as JSON lines from standard input");
  for (CLI::Option* const one : {dest, detail, field}) json_lines->excludes(one);
  CLI::Option* const config =
      log->add_option(
             "--config", arguments->config,
             "A configuration that names the log and its sink. Give no FILE then: annals log --config C CONTAINER ACTION")
          ->check(not_empty)
          ->type_name("C");
  log->footer(
      "Examples:\n"
      "  annals log audit.jsonl web denied --dest 203.0.113.7:443 --field rule:=17\n"
      "  annals log audit.jsonl --jsonl < events.jsonl\n"
      "  annals log --config annals.json web denied\n\n"
      "With an archiver, waits up to a minute until the segments that it closed are archived.\n"
      "Exit status: 0 done, 1 some of the input was refused, 2 wrong usage, 3 input or output failed, or the events are\n"
      "logged, and a rotation, an archive or a deletion failed.");
  on_command(*log, run, run_log, arguments, [arguments, file, container, action, json_lines, config] {
    const std::size_t given = file->count() + container->count() + action->count();
    if (config->empty() && given == 0) throw CLI::RequiredError("FILE");
    const std::size_t expected = (config->empty() ? 1 : 0) + (json_lines->empty() ? 2 : 0);
    if (given < expected) throw CLI::RequiredError("CONTAINER and ACTION, or --jsonl");
    if (given > expected) {
      throw CLI::ExtrasError({config->empty() ? "--jsonl: CONTAINER and ACTION are in the lines; expected FILE alone"
                                              : "--config: the configuration names the log; expected no FILE"});
    }
    if (config->empty()) return;
    arguments->action = std::exchange(arguments->container, std::exchange(arguments->file, {}));
  });
}

void add_rotate(CLI::App& app, chosen_command& run) {
  const auto arguments = std::make_shared<rotate_arguments>();
  CLI::App* const rotate = app.add_subcommand("rotate", "Close the live segment of a log and start a new one");
  add_log_file(*rotate, arguments->file)->required();
  rotate->footer(
      "Examples:\n"
      "  annals rotate audit.jsonl\n\n"
      "Exit status: 0 done, or there was nothing to close, 2 wrong usage, 3 input or output failed.");
  on_command(*rotate, run, run_rotate, arguments);
}

void add_recover(CLI::App& app, chosen_command& run) {
  const auto arguments = std::make_shared<recover_arguments>();
  CLI::App* const recover =
      app.add_subcommand("recover", "Recover the events that a dead process left in the ring or journal of a log");
  add_log_file(*recover, arguments->file)->required();
  recover->footer(
      "Example:\n"
      "  annals recover audit.jsonl\n\n"
      "The next process that logs to FILE does this, too. Exit status: 0 done, or there was nothing to recover, 2 wrong "
      "usage,\n"
      "3 the owner of the ring or journal is alive, or input or output failed.");
  on_command(*recover, run, run_recover, arguments);
}

}  // namespace

void add_writing_commands(CLI::App& app, chosen_command& run) {
  add_log(app, run);
  add_rotate(app, run);
  add_recover(app, run);
}

}  // namespace cli
