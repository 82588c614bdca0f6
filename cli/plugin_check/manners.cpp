// SPDX-License-Identifier: Apache-2.0
//
// The cases of `annals plugin check` about the process that a plugin is a guest of.
#include <annals_plugin.h>
#include <fcntl.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "plugins/commands.h"
import annals;
#include "plugin_check/cases.h"

// Where the process runs with a sanitizer, its malloc says what is in use.
// NOLINTNEXTLINE(bugprone-reserved-identifier, readability-identifier-naming): that is its name
extern "C" std::size_t __sanitizer_get_current_allocated_bytes() __attribute__((weak));

namespace cli::check {

using std::string;

namespace {

// Whatever segments became.
void remove_archives(const plugin_trial& trial) {
  for (const string& name : names_in(trial.directory())) {
    if (trial.archives() && name.starts_with("audit-")) std::filesystem::remove(trial.directory() + "/" + name);
  }
}

}  // namespace

void creation_opens_nothing(plugin_trial& trial) {
  const auto threads = names_in("/proc/self/task");
  const auto descriptors = open_descriptors();
  const auto files = names_in(trial.directory());
  made_object* const sink = trial.make();
  if (open_descriptors() != descriptors) fail_case("create opened a descriptor; expected that the first write does");
  if (names_in(trial.directory()) != files) fail_case("create made a file; expected that the first write does");
  if (names_in("/proc/self/task").size() > threads.size()) fail_case("create started a thread");
  trial.destroy(sink);
  if (open_descriptors() != descriptors || names_in(trial.directory()) != files) {
    fail_case("destroy of a sink that was never written to left a file or a descriptor");
  }
}

void descriptors(plugin_trial& trial) {
  const auto before = open_descriptors();
  std::set<string> after_first;
  for (int round = 0; round < 200; ++round) {
    made_object* const sink = trial.make();
    use(trial, sink, 0);
    for (const string& one : open_descriptors()) {
      if (before.contains(one)) continue;
      const int flags = ::fcntl(std::stoi(one), F_GETFD);
      if (flags >= 0 && (flags & FD_CLOEXEC) == 0) {
        fail_case("it opened a descriptor that programs started by the host inherit; expected O_CLOEXEC");
      }
    }
    call_the_rest(trial, sink);
    use(trial, sink, 1);
    trial.destroy(sink);
    remove_archives(trial);
    if (round == 0) after_first = open_descriptors();
  }
  const auto after = open_descriptors();
  if (after.size() > after_first.size()) {
    fail_case("200 sinks left " + std::to_string(after.size() - before.size()) + " descriptors open");
  }
}

namespace {

// Bytes that malloc has given out and not got back: exact, and not blurred by what an allocator keeps for later.
std::size_t allocated_bytes() {
  if (__sanitizer_get_current_allocated_bytes != nullptr) return __sanitizer_get_current_allocated_bytes();
  const struct ::mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

// Pages that are the process's own, for what does not come from malloc.
std::size_t resident_bytes() {
  if (__sanitizer_get_current_allocated_bytes != nullptr) return 0;  // a sanitizer keeps what was freed
  std::ifstream file("/proc/self/statm");
  std::size_t all = 0;
  std::size_t resident = 0;
  std::size_t shared = 0;
  file >> all >> resident >> shared;
  return (resident - shared) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// What `rounds` of `work` leave behind, after a tenth as many to warm up; ends the case where it is more than 20 bytes of
// malloc a round on average, or 60 of other memory, and a megabyte (allocators round; a leak of 100 bytes a round is over
// both).
template <class Work>
void expect_no_growth(std::size_t rounds, const char* what, const Work& work) {
  for (std::size_t i = 0; i < rounds / 10; ++i) work();
  const std::size_t allocated = allocated_bytes();
  const std::size_t resident = resident_bytes();
  for (std::size_t i = 0; i < rounds; ++i) work();
  const std::size_t allocated_after = allocated_bytes();
  const std::size_t resident_after = resident_bytes();
  if (allocated_after > allocated + rounds * 20) {
    fail_case(std::to_string(rounds) + " " + what + " left " + std::to_string(allocated_after - allocated) +
              " bytes allocated");
  }
  if (resident_after > resident + rounds * 60 + 1024 * 1024) {
    fail_case(std::to_string(rounds) + " " + what + " made the process " + std::to_string(resident_after - resident) +
              " bytes larger");
  }
}

}  // namespace

void memory_growth(plugin_trial& trial) {
  const string line = trial_line(1);
  made_object* const sink = trial.make();
  const auto work = [&](made_object* with) {
    if (!trial.archives()) return trial.write(with, line, 1);
    use(trial, with, 0);
    remove_archives(trial);
  };
  expect_no_growth(trial.archives() ? 60 : 50'000, "calls", [&] { work(sink); });
  trial.destroy(sink);
  expect_no_growth(trial.archives() ? 30 : 1000, "sinks", [&] {
    made_object* const one = trial.make();
    work(one);
    trial.destroy(one);
  });
}

// --- manners ------------------------------------------------------------------------------------------------------------

namespace {

// What of the process a plugin has to leave alone, as text.
std::map<string, string> process_state() {
  std::map<string, string> state;
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction found = {};
    if (::sigaction(signal, nullptr, &found) != 0) continue;
    char text[64];
    std::snprintf(text, sizeof text, "%p %x", reinterpret_cast<void*>(found.sa_handler), static_cast<unsigned>(found.sa_flags));
    state["the handling of signal " + std::to_string(signal)] = text;
  }
  sigset_t blocked;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  string& mask = state["the signal mask"];
  for (int signal = 1; signal < NSIG; ++signal) mask += ::sigismember(&blocked, signal) == 1 ? '1' : '0';
  const mode_t mode = ::umask(0);
  ::umask(mode);
  state["the umask"] = std::to_string(mode);
  std::error_code unknown;
  state["the working directory"] = std::filesystem::current_path(unknown).string();
  state["the locale"] = ::setlocale(LC_ALL, nullptr);
  return state;
}

void use_once(plugin_trial& trial) {
  made_object* const sink = trial.make();
  for (std::uint64_t i = 0; i < 10; ++i) use(trial, sink, i);
  call_the_rest(trial, sink);
  use(trial, sink, 10);
  trial.destroy(sink);
}

}  // namespace

void signals_left_alone(plugin_trial& trial) {
  const auto before = process_state();
  use_once(trial);
  for (const auto& [what, value] : process_state()) {
    if (value != before.at(what)) fail_case("it changed " + what + " of the process; expected it to be left alone");
  }
}

void silence(plugin_trial& trial) {
  use_once(trial);
  std::vector<annals::option> wrong = trial.options();
  wrong.push_back({unknown_option, annals::option_kind::null, "null"});
  if (made_object* const made = trial.try_make(wrong)) trial.destroy(made);
  std::fflush(nullptr);
  std::vector<string> streams = {trial.captured_output() + ".other"};
  if (!trial.writes_to_output()) streams.push_back(trial.captured_output());
  for (const string& stream : streams) {
    const string printed = content_of(stream);
    if (!printed.empty()) fail_case("it printed to a standard stream that is not its destination: " + printed.substr(0, 100));
  }
}

}  // namespace cli::check
