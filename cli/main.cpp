// SPDX-License-Identifier: Apache-2.0
//
// The annals command. This file knows the command line; what the commands do is in the files named after them.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <clocale>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <utility>

#include "commands.h"
#include "display/display.h"
#include "keeping/archive_options.h"
#include "keeping/options.h"
#include "plugins/options.h"
#include "reading/options.h"

namespace {

std::string not_empty(const std::string& given) {
  return given.empty() ? "expected a path, found nothing" : "";
}

// Decimal, 0 or more; and no empty text, which a shell's unset variable leaves.
std::string is_count(const std::string& given) {
  const bool good = !given.empty() && given.size() <= 18 && given.find_first_not_of("0123456789") == std::string::npos;
  return good ? "" : "expected a number of events, 0 or more, found '" + given + "'";
}

void add_log(CLI::App& app, cli::log_arguments& arguments) {
  CLI::App* const log = app.add_subcommand("log", "Append events to a log");
  CLI::Option* const file =
      log->add_option("FILE", arguments.file, "The log; created, with its directories, when it is missing")->check(not_empty);
  CLI::Option* const container = log->add_option("CONTAINER", arguments.container, "What the event is about");
  CLI::Option* const action = log->add_option("ACTION", arguments.action, "What happened: setup, denied, allowed, ...");
  CLI::Option* const dest = log->add_option("--dest", arguments.dest, "Destination: an address or a domain");
  CLI::Option* const detail = log->add_option("--detail", arguments.detail, "Anything more, as text");
  CLI::Option* const field =
      log->add_option("--field", arguments.fields, "An extra field, NAME=TEXT or NAME:=JSON; may be repeated");
  field->allow_extra_args(false);
  CLI::Option* const json_lines =
      log->add_flag("--jsonl", arguments.json_lines, "Read events as JSON lines from standard input");
  for (CLI::Option* const one : {dest, detail, field}) json_lines->excludes(one);
  CLI::Option* const config =
      log->add_option(
             "--config", arguments.config,
             "A configuration that says where events go; FILE is left out then: annals log --config C CONTAINER ACTION")
          ->check(not_empty)
          ->type_name("C");
  log->callback([&arguments, file, container, action, json_lines, config] {
    const std::size_t given = file->count() + container->count() + action->count();
    if (config->empty() && given == 0) throw CLI::RequiredError("FILE");
    const std::size_t expected = (config->empty() ? 1 : 0) + (json_lines->empty() ? 2 : 0);
    if (given < expected) throw CLI::RequiredError("CONTAINER and ACTION, or --jsonl");
    if (given > expected) {
      throw CLI::ExtrasError({config->empty() ? "--jsonl: CONTAINER and ACTION are in the lines; expected FILE alone"
                                              : "--config: the configuration names the log; expected no FILE"});
    }
    if (config->empty()) return;
    arguments.action = std::exchange(arguments.container, std::exchange(arguments.file, {}));
  });
  log->footer(
      "Examples:\n"
      "  annals log audit.jsonl web denied --dest 203.0.113.7:443 --field rule:=17\n"
      "  annals log audit.jsonl --jsonl < events.jsonl\n"
      "  annals log --config annals.json web denied\n\n"
      "Exit status: 0 done, 1 some of the input was refused, 2 wrong usage, 3 input or output failed.");
}

void add_tail(CLI::App& app, cli::tail_arguments& arguments) {
  CLI::App* const tail = app.add_subcommand("tail", "Show the last events of a log, and those to come");
  tail->add_option("FILE", arguments.file, "The log")->required()->check(not_empty);
  tail->add_option_function<std::string>(
          "-n,--lines", [&arguments](const std::string& n) { arguments.count = std::stoll(n, nullptr, 10); },
          "How many events to show")
      ->check(is_count)
      ->type_name("N")
      ->default_str("50");
  tail->add_flag("-f,--follow", arguments.follow, "Then wait for more, across truncation and replacement of the file");
  const auto set_form = [&arguments](const std::string& form) {
    arguments.output = form == "pretty" ? cli::output_form::pretty : cli::output_form::json;
  };
  tail->add_option_function<std::string>("--output", set_form,
                                         "pretty: columns, for people; json: the lines as they are\n"
                                         "(default: pretty on a terminal, else json)")
      ->check(CLI::IsMember({"pretty", "json"}).description(""))
      ->type_name("pretty|json");
  tail->footer(
      "Examples:\n"
      "  annals tail -n 20 audit.jsonl\n"
      "  annals tail -f audit.jsonl --output json | jq .dest\n\n"
      "Colours are left out when NO_COLOR is set. Exit status: 0 done, 2 wrong usage, 3 input or output failed.");
}

}  // namespace

int main(int argc, char** argv) try {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", O_RDWR);  // takes the lowest free one
  }
  ::signal(SIGXFSZ, SIG_IGN);           // a file at its size limit is an error of write(2), told like any other
  std::setlocale(LC_CTYPE, "C.UTF-8");  // for the width of characters; logs are UTF-8 whatever the terminal says
  cli::log_arguments log;
  cli::tail_arguments tail;
  CLI::App app("annals: structured audit logs as JSON lines", "annals");
  app.set_version_flag("--version", "annals " ANNALS_VERSION);
  app.require_subcommand(1);
  app.footer("`annals COMMAND --help` tells more. Example:\n  annals log audit.jsonl web denied --dest 203.0.113.7:443");
  add_log(app, log);
  add_tail(app, tail);
  const cli::selected archive = cli::add_archive_command(app);
  const cli::selected maintained = cli::add_maintenance_commands(app);
  const cli::selected reading = cli::add_reading_commands(app);
  const cli::selected chosen = cli::add_plugin_commands(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) {  // help, or the version
      app.exit(e);
      return std::cout.flush() ? cli::ok : cli::io_error;
    }
    cli::complain(e.what());
    cli::complain("`annals --help` and `annals COMMAND --help` tell more");
    return cli::usage;
  }
  if (app.got_subcommand("log")) return cli::run_log(log);
  if (app.got_subcommand("tail")) return cli::run_tail(tail);
  if (app.got_subcommand("archive")) return archive();
  if (cli::is_maintenance(app)) return maintained();
  if (app.got_subcommand("cat") || app.got_subcommand("query")) return reading();
  return chosen();
} catch (const std::exception& e) {
  cli::complain(e.what());
  return cli::io_error;
}
