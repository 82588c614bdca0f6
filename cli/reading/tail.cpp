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
#include <chrono>
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

// Passes over all events of a log except the last `count`, so that these can be printed in bounded memory, however many they
// are: counts the events of the log first.
class last_events {
 public:
  last_events() = default;
  last_events(const std::string& file, std::uint64_t count, bool with_ring) {
    const auto every = [](const annals::event&) { return true; };
    const std::uint64_t all = annals::scan(file, {}, every, {.reading = {.with_ring = with_ring}}).events;
    left_ = all > count ? all - count : 0;
  }

  // Is the next event one that is not printed?
  bool pass_over() {
    if (left_ == 0) return false;
    --left_;
    return true;
  }

  // Damage among the events that are passed over is not reported, as always.
  annals::read_options reporting_to(damage_printer& damages) const {
    return {.on_damage = [this, &damages](const annals::damage& found) { report(found, damages); },
            .on_gap = [this, &damages](const annals::gap& found) { report(found, damages); }};
  }

 private:
  template <class Found>
  void report(const Found& found, damage_printer& damages) const {
    if (left_ == 0) damages(found);
  }

  std::uint64_t left_ = 0;
};

int follow_from(const tail_arguments& arguments, const annals::cursor& from, event_printer& printer, damage_printer& damages,
                last_events& wanted) {
  annals::follower follower = annals::follow(arguments.file, from, wanted.reporting_to(damages));
  followed = &follower;
  struct sigaction stop = {};
  stop.sa_handler = stop_following;
  for (const int signal : stop_signals) ::sigaction(signal, &stop, nullptr);
  int code = ok;
  {
    const reader_watch output([&follower] { follower.stop(); });
    for (;;) {
      auto event = follower.next(std::chrono::milliseconds(0));
      if (!event) {  // what was printed is to be seen before we wait
        if (!event_printer::flush()) code = output_failed();
        if (code == ok) event = follower.next();
      }
      if (!event) break;
      if (wanted.pass_over()) continue;
      damages.flush();
      printer.print(*event);
      if (std::ferror(stdout) == 0) continue;
      code = output_failed();
      break;
    }
  }
  if (code == ok) code = damages.code(ok);
  for (const int signal : stop_signals) ::signal(signal, SIG_DFL);  // before the follower goes
  return code;
}

// Prints the last events of a log, however many.
int print_many(const tail_arguments& arguments, event_printer& printer, damage_printer& damages) {
  last_events wanted(arguments.file, static_cast<std::uint64_t>(arguments.count), !arguments.follow);
  if (arguments.follow) return follow_from(arguments, {}, printer, damages, wanted);
  const auto take = [&](const annals::event& e) {
    if (wanted.pass_over()) return true;
    damages.flush();
    printer.print(e);
    return std::ferror(stdout) == 0;
  };
  (void)annals::scan(arguments.file, {}, take, {.reading = wanted.reporting_to(damages)});
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
  if (arguments.count > held_max) return print_many(arguments, printer, damages);
  annals::read_options reading = reporting_to(damages);
  reading.with_ring = !arguments.follow;  // what is in a ring comes into the log, and so to the follower
  const annals::tail_page page = annals::read_tail(arguments.file, arguments.count, reading);
  damages.flush();
  printer.measure(page.events);
  for (const annals::event& e : page.events) printer.print(e);
  if (!event_printer::flush()) return output_failed();
  if (!arguments.follow) return damages.code(ok);
  last_events all_to_come;
  return follow_from(arguments, page.next, printer, damages, all_to_come);
} catch (const annals::failure& failed) {
  complain(failed.what());
  return io_error;
}

}  // namespace cli
