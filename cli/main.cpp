// SPDX-License-Identifier: Apache-2.0
//
// The annals command. Each folder has the commands of one subject; its options.cpp describes their command lines.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <clocale>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

#include "command_line.h"
#include "complain.h"
#include "exit_code.h"

int main(int argc, char** argv) try {
  // Where a standard descriptor is closed, no file may take its place. What is opened there refuses the use of the descriptor,
  // so output that goes nowhere is reported.
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);  // takes the lowest free one
  }
  ::signal(SIGXFSZ, SIG_IGN);           // a file at its size limit is an error of write(2), reported like any other
  std::setlocale(LC_CTYPE, "C.UTF-8");  // for the width of characters; logs are UTF-8 whatever the terminal says
  cli::chosen_command run;
  CLI::App app("annals: structured audit logs as JSON lines", "annals");
  app.set_version_flag("--version", "annals " ANNALS_VERSION);
  app.require_subcommand(1);
  app.footer("`annals COMMAND --help` shows the options. Example:\n  annals log audit.jsonl web denied --dest 203.0.113.7:443");
  cli::add_writing_commands(app, run);
  cli::add_reading_commands(app, run);
  cli::add_keeping_commands(app, run);
  cli::add_plugin_commands(app, run);
  if (const std::string wrong = cli::unknown_command(app, argc, argv); !wrong.empty()) {
    cli::complain(wrong);
    return cli::usage;
  }
  try {
    app.parse(cli::with_empty_values(argc, argv));
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) {  // help, or the version
      app.exit(e);
      return std::cout.flush() ? cli::ok : cli::output_failed();
    }
    cli::complain(e.what());
    cli::complain("see `annals --help` and `annals COMMAND --help`");
    return cli::usage;
  }
  return run();
} catch (const std::exception& e) {
  cli::complain(e.what());
  return cli::io_error;
}
