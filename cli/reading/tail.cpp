// SPDX-License-Identifier: Apache-2.0
//
// annals tail: the last events of a log, and those to come.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "complain.h"
#include "reading/commands.h"
import annals;
#include "display/pretty.h"
#include "reading/output.h"

namespace cli {

namespace {

constexpr std::array<int, 3> stop_signals = {SIGINT, SIGTERM, SIGHUP};
annals::follower* followed = nullptr;

extern "C" void stop_following(int) {
  followed->stop();
}

int follow_from(const tail_arguments& arguments, const annals::cursor& from, event_printer& printer, damage_printer& damages) {
  annals::follower follower = annals::follow(arguments.file, from, reporting_to(damages));
  followed = &follower;
  struct sigaction stop = {};
  stop.sa_handler = stop_following;
  for (const int signal : stop_signals) ::sigaction(signal, &stop, nullptr);
  int code = ok;
  while (const auto event = follower.next()) {
    damages.flush();
    printer.print(*event);
    if (event_printer::flush()) continue;
    code = output_failed();
    break;
  }
  for (const int signal : stop_signals) ::signal(signal, SIG_DFL);  // before the follower goes
  return code;
}

}  // namespace

int run_tail(const tail_arguments& arguments) try {
  ::signal(SIGPIPE, SIG_IGN);  // so that a closed pipe is an error of fflush, told from others
  std::error_code unknown;
  const bool exists = std::filesystem::symlink_status(arguments.file, unknown).type() != std::filesystem::file_type::not_found;
  if (!exists && arguments.follow) {
    if (annals::read_tail(arguments.file, 0).next == annals::cursor{})
      complain("there is no log at '" + arguments.file + "' yet; waiting for it");
  } else if (!is_log(arguments.file)) {
    return io_error;
  }
  event_printer printer(arguments.output);
  damage_printer damages;
  annals::read_options reading = reporting_to(damages);
  reading.with_ring = !arguments.follow;  // what is in a ring comes into the log, and so to the follower
  const annals::tail_page page = annals::read_tail(arguments.file, arguments.count, reading);
  damages.flush();
  printer.measure(page.events);
  for (const annals::event& e : page.events) printer.print(e);
  if (!event_printer::flush()) return output_failed();
  return arguments.follow ? follow_from(arguments, page.next, printer, damages) : ok;
} catch (const annals::failure& failed) {
  complain(failed.what());
  return io_error;
}

}  // namespace cli
