// SPDX-License-Identifier: Apache-2.0
//
// annals tail: the last events of a log, and those to come.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "commands.h"
#include "display.h"
import annals;
#include "pretty.h"

namespace cli {

namespace {

bool wants_colour() {
  const char* const no_color = std::getenv("NO_COLOR");  // no-color.org: set and not empty
  const char* const term = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) != 0 && (no_color == nullptr || *no_color == '\0') &&
         (term == nullptr || std::string_view(term) != "dumb");
}

class event_printer {
 public:
  explicit event_printer(output_form form)
      : terminal_(::isatty(STDOUT_FILENO) != 0),
        pretty_(form == output_form::automatic ? terminal_ : form == output_form::pretty),
        printer_(wants_colour()) {}

  void measure(const std::vector<annals::event>& events) {
    for (const annals::event& e : events) printer_.measure(e);
  }

  // JSON is the line as it is in the file, untouched, but on a terminal: a foreign line may hold what a terminal obeys.
  void print(const annals::event& e) {
    const std::string text = pretty_ ? printer_.line(e) : (terminal_ ? visible_json(e.line) : e.line) + '\n';
    std::fwrite(text.data(), 1, text.size(), stdout);
  }

  // False when nobody reads our output any more.
  static bool flush() { return std::fflush(stdout) == 0 && std::ferror(stdout) == 0; }

 private:
  bool terminal_;
  bool pretty_;
  pretty_printer printer_;
};

// Prints each kind of damage when it is met, and how much more of the same there was before anything else happened.
class damage_printer {
 public:
  void operator()(const annals::damage& found) {
    if (found.cause == cause_) {
      ++more_;
      bytes_ += found.bytes;
      return;
    }
    flush();
    cause_ = found.cause;
    std::string text = found.file + ": at offset " + std::to_string(found.offset) + ": ";
    if (found.bytes != 0) text += std::to_string(found.bytes) + " bytes skipped: ";
    complain(text + found.cause);
  }
  void flush() {
    if (more_ != 0)
      complain("and " + std::to_string(more_) + " more of that kind, " + std::to_string(bytes_) + " bytes in all");
    cause_.clear();
    more_ = bytes_ = 0;
  }

 private:
  std::string cause_;
  std::uint64_t more_ = 0;
  std::uint64_t bytes_ = 0;
};

constexpr std::array<int, 3> stop_signals = {SIGINT, SIGTERM, SIGHUP};
annals::follower* followed = nullptr;

extern "C" void stop_following(int) {
  followed->stop();
}

int output_failed() {
  const int cause = errno;
  if (cause == EPIPE) return ok;  // the reader has seen enough
  complain(std::string("cannot write the output: ") + std::strerror(cause));
  return io_error;
}

int follow_from(const tail_arguments& arguments, const annals::cursor& from, event_printer& printer, damage_printer& damages) {
  annals::follower follower = annals::follow(arguments.file, from, {.on_damage = std::ref(damages)});
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
  const auto status = std::filesystem::symlink_status(arguments.file, unknown);
  const bool exists = status.type() != std::filesystem::file_type::not_found;
  const bool readable =
      status.type() == std::filesystem::file_type::regular || status.type() == std::filesystem::file_type::symlink;
  if (exists && !readable) {
    complain("cannot read '" + arguments.file +
             "': " + (unknown ? unknown.message() : "it is no regular file; expected the live segment of a log"));
    return io_error;
  }
  if (!exists) complain("there is no log at '" + arguments.file + (arguments.follow ? "' yet; waiting for it" : "'"));
  if (!exists && !arguments.follow) return io_error;
  event_printer printer(arguments.output);
  damage_printer damages;
  const annals::tail_page page = annals::read_tail(arguments.file, arguments.count, {.on_damage = std::ref(damages)});
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
