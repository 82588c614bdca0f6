// SPDX-License-Identifier: Apache-2.0
//
// annals tail: the last events of a log, and those to come.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
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

// Calls a function when standard output is a pipe whose reader has ended. Without it, a follower of an idle log would go on
// until the next event.
class reader_watch {
 public:
  explicit reader_watch(std::function<void()> ended) : ended_(std::move(ended)), stop_(::eventfd(0, EFD_CLOEXEC)) {
    if (stop_ < 0) return;
    sigset_t all;  // signals are for the thread that follows
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { wait(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  ~reader_watch() {
    if (stop_ < 0) return;
    const std::uint64_t one = 1;
    (void)!::write(stop_, &one, sizeof one);
    thread_.join();
    ::close(stop_);
  }
  reader_watch(const reader_watch&) = delete;
  reader_watch& operator=(const reader_watch&) = delete;

 private:
  void wait() const {
    pollfd polled[2] = {{STDOUT_FILENO, 0, 0}, {stop_, POLLIN, 0}};  // POLLERR and POLLHUP are always reported
    while (::poll(polled, 2, -1) < 0 && errno == EINTR) continue;
    if ((polled[0].revents & (POLLERR | POLLHUP)) != 0) ended_();
  }

  std::function<void()> ended_;
  int stop_;
  std::thread thread_;
};

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
  {
    const reader_watch output([&follower] { follower.stop(); });
    while (const auto event = follower.next()) {
      damages.flush();
      printer.print(*event);
      if (event_printer::flush()) continue;
      code = output_failed();
      break;
    }
  }
  if (code == ok) code = damages.code(ok);
  for (const int signal : stop_signals) ::signal(signal, SIG_DFL);  // before the follower goes
  return code;
}

// Prints the last events of a log, however many, in bounded memory: counts the events of the log first.
int print_many(const tail_arguments& arguments, event_printer& printer, damage_printer& damages) {
  const auto all = annals::scan(arguments.file, {}, [](const annals::event&) { return true; }).events;
  const auto count = static_cast<std::uint64_t>(arguments.count);
  std::uint64_t passed_over = all > count ? all - count : 0;
  const auto take = [&](const annals::event& e) {
    if (passed_over != 0) {
      --passed_over;
      return true;
    }
    damages.flush();
    printer.print(e);
    return std::ferror(stdout) == 0;
  };
  // Damage among the events that are passed over is not reported, as always.
  annals::read_options reading = reporting_to(damages);
  reading.on_damage = [&](const annals::damage& found) {
    if (passed_over == 0) damages(found);
  };
  reading.on_gap = [&](const annals::gap& found) {
    if (passed_over == 0) damages(found);
  };
  (void)annals::scan(arguments.file, {}, take, {.reading = reading});
  damages.flush();
  return event_printer::flush() ? damages.code(ok) : output_failed();
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
  constexpr std::int64_t held_max = 20'000;  // events
  if (arguments.count > held_max && !arguments.follow) return print_many(arguments, printer, damages);
  annals::read_options reading = reporting_to(damages);
  reading.with_ring = !arguments.follow;  // what is in a ring comes into the log, and so to the follower
  const annals::tail_page page = annals::read_tail(arguments.file, arguments.count, reading);
  damages.flush();
  printer.measure(page.events);
  for (const annals::event& e : page.events) printer.print(e);
  if (!event_printer::flush()) return output_failed();
  return arguments.follow ? follow_from(arguments, page.next, printer, damages) : damages.code(ok);
} catch (const annals::failure& failed) {
  complain(failed.what());
  return io_error;
}

}  // namespace cli
