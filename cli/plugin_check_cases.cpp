// SPDX-License-Identifier: Apache-2.0
//
// The cases of `annals plugin check`: what each demands, and how it is tried.
#include <annals_plugin.h>
#include <dirent.h>
#include <fcntl.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "commands.h"
import annals;
#include "plugin_check.h"

namespace cli {

namespace {

using std::string;

// Lines first ... first + count - 1.
string lines(std::uint64_t first, std::uint64_t count) {
  string text;
  for (std::uint64_t i = first; i < first + count; ++i) text += trial_line(i);
  return text;
}

// --- what the process has -----------------------------------------------------------------------------------------------

std::set<string> names_in(const string& directory) {
  std::set<string> names;
  DIR* const opened = ::opendir(directory.c_str());
  if (opened == nullptr) return names;
  const string own = std::to_string(::dirfd(opened));
  while (const dirent* const entry = ::readdir(opened)) {
    if (entry->d_name[0] != '.' && entry->d_name != own) names.insert(entry->d_name);
  }
  ::closedir(opened);
  return names;
}

std::set<string> open_descriptors() {
  return names_in("/proc/self/fd");
}

// Bytes that malloc has given out. Nothing where a sanitizer has a malloc of its own.
std::optional<std::size_t> allocated_bytes() {
  const auto in_use = [] {
    const struct ::mallinfo2 info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  const std::size_t before = in_use();
  constexpr std::size_t probe_bytes = 100'000;
  void* const volatile probe = ::malloc(probe_bytes);
  const bool is_counted = in_use() >= before + probe_bytes;
  ::free(probe);
  return is_counted ? std::optional(before) : std::nullopt;
}

// --- the identity -------------------------------------------------------------------------------------------------------

void descriptor(plugin_trial& trial) {
  const annals_identity& said = trial.identity();
  if (std::any_of(std::begin(said.reserved), std::end(said.reserved), [](std::uint64_t one) { return one != 0; })) {
    fail_case("a reserved slot of the identity is not 0; expected 0 in all of them");
  }
  const std::uint64_t known = ANNALS_CAN_ARCHIVE | ANNALS_WRITES_LOG;
  if (said.abi_minor <= ANNALS_PLUGIN_ABI_MINOR && (said.capabilities & ~known) != 0) {
    fail_case("its capabilities are " + std::to_string(said.capabilities) + ", of which ABI " + std::to_string(said.abi_major) +
              "." + std::to_string(said.abi_minor) + " knows " + std::to_string(known));
  }
  if (!trial.has(ANNALS_CAN_ARCHIVE) && trial.functions().archive != nullptr) {
    fail_case("it has the function archive, but not the capability ANNALS_CAN_ARCHIVE: nobody will call it");
  }
}

void bad_options(plugin_trial& trial) {
  const string unknown = "no_such_option_8f3a";
  std::vector<annals::option> options = trial.options();
  options.push_back({unknown, annals::option_kind::text, "x"});
  if (annals_sink* const made = trial.try_make(options)) {
    trial.destroy(made);
    fail_case("create took the unknown option \"" + unknown + "\"; expected it to refuse what it does not know");
  }
  if (trial.reason().find(unknown) == string::npos) {
    fail_case("create refused an unknown option without naming it; expected \"" + unknown + "\" in: " + trial.reason());
  }
  using kind = annals::option_kind;
  const std::vector<annals::option> junk = {{"", kind::null, "null"},
                                            {"", kind::boolean, "true"},
                                            {"", kind::integer, "-99999999999999999999999"},
                                            {"", kind::number, "1e999"},
                                            {"", kind::text, ""},
                                            {"", kind::text, string(100'000, 'x')},
                                            {"", kind::text, string("\0\n\xff", 3)},
                                            {"", kind::array, "[[],{}]"},
                                            {"", kind::object, "{\"a\":{}}"}};
  for (std::size_t i = 0; i < trial.options().size(); ++i) {
    for (const annals::option& other : junk) {
      options = trial.options();
      options[i].kind = other.kind;
      options[i].text = other.text;
      if (annals_sink* const made = trial.try_make(options)) trial.destroy(made);
    }
  }
  trial.destroy(trial.make());  // and it works as before
}

void creation_opens_nothing(plugin_trial& trial) {
  const auto threads = names_in("/proc/self/task");
  const auto descriptors = open_descriptors();
  const auto files = names_in(trial.directory());
  annals_sink* const sink = trial.make();
  if (open_descriptors() != descriptors) fail_case("create opened a descriptor; expected that the first write does");
  if (names_in(trial.directory()) != files) fail_case("create made a file; expected that the first write does");
  if (names_in("/proc/self/task").size() > threads.size()) fail_case("create started a thread");
  trial.destroy(sink);
  if (open_descriptors() != descriptors || names_in(trial.directory()) != files) {
    fail_case("destroy of a sink that was never written to left a file or a descriptor");
  }
}

// --- writing ------------------------------------------------------------------------------------------------------------

void order(plugin_trial& trial) {
  trial.need_visible();
  annals_sink* const sink = trial.make();
  string expected;
  std::uint64_t next = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const std::uint64_t count = 1 + i % 7;
    const string batch = lines(next, count);
    trial.write(sink, batch, count);
    expected += batch;
    next += count;
  }
  trial.destroy(sink);
  trial.expect_delivered(expected);
}

void empty_batch(plugin_trial& trial) {
  annals_sink* const sink = trial.make();
  trial.write(sink, "", 0);
  trial.write(sink, lines(0, 1), 1);
  trial.write(sink, "", 0);
  trial.write(sink, lines(1, 1), 1);
  trial.destroy(sink);
  if (trial.is_visible()) trial.expect_delivered(lines(0, 2));
}

// A destination may have a limit of its own, which is then an error; what follows gets through all the same.
void large_batch(plugin_trial& trial) {
  constexpr std::size_t bytes = 1024 * 1024;
  string many;
  std::uint64_t count = 0;
  while (many.size() < bytes) many += trial_line(count++);
  const string one = R"({"ts":"2026-01-01T00:00:00+00:00","container":"check","action":"write","detail":")" +
                     string(bytes - 100, 'x') + "\"}\n";
  annals_sink* const sink = trial.make();
  string expected;
  if (trial.try_write(sink, many, count)) expected += many;
  if (trial.try_write(sink, one, 1)) expected += one;
  trial.write(sink, lines(0, 1), 1);
  expected += lines(0, 1);
  trial.destroy(sink);
  if (trial.is_visible()) trial.expect_delivered(expected);
}

void many_batches(plugin_trial& trial) {
  annals_sink* const sink = trial.make();
  string expected;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    const string line = trial_line(i);
    trial.write(sink, line, 1);
    if (trial.is_visible()) expected += line;
  }
  trial.destroy(sink);
  if (trial.is_visible()) trial.expect_delivered(expected);
}

void sync(plugin_trial& trial) {
  annals_sink* const sink = trial.make();
  trial.sync(sink);
  for (std::uint64_t i = 0; i < 20; ++i) {
    trial.write(sink, trial_line(i), 1);
    trial.sync(sink);
    if (trial.is_visible()) trial.expect_delivered(lines(0, i + 1));
  }
  trial.sync(sink);
  trial.destroy(sink);
}

void reopen(plugin_trial& trial) {
  annals_sink* const sink = trial.make();
  trial.reopen(sink);
  trial.write(sink, lines(0, 3), 3);
  if (trial.is_file()) std::filesystem::rename(trial.destination(), trial.destination() + ".1");
  trial.reopen(sink);
  trial.write(sink, lines(3, 2), 2);
  trial.destroy(sink);
  if (!trial.is_visible()) return;
  if (!trial.is_file()) return trial.expect_delivered(lines(0, 5));
  trial.expect_delivered(lines(3, 2));
  std::ifstream old(trial.destination() + ".1", std::ios::binary);
  if (string(std::istreambuf_iterator<char>(old), {}) != lines(0, 3)) {
    fail_case("the file that was renamed before reopen has not the lines that were written before it, or more");
  }
}

void position_is_monotonic(plugin_trial& trial) {
  annals_sink* const sink = trial.make();
  annals_position last = trial.position(sink);
  for (std::uint64_t i = 0; i < 200; ++i) {
    const string batch = lines(i, 1 + i % 3);
    trial.write(sink, batch, 1 + i % 3);
    const annals_position now = trial.position(sink);
    const bool forward =
        now.segment > last.segment || (now.segment == last.segment && now.offset >= last.offset + batch.size());
    if (!forward) {
      fail_case("after " + std::to_string(batch.size()) + " bytes the position went from segment " +
                std::to_string(last.segment) + ", offset " + std::to_string(last.offset) + " to " +
                std::to_string(now.segment) + ", " + std::to_string(now.offset) + "; expected it to advance by at least that");
    }
    last = now;
  }
  trial.destroy(sink);
}

// --- lives --------------------------------------------------------------------------------------------------------------

void create_and_destroy_twice(plugin_trial& trial) {
  trial.destroy(nullptr);
  for (int round = 0; round < 3; ++round) {
    annals_sink* const first = trial.make();
    annals_sink* const second = trial.make();
    if (first == second) fail_case("create made the same sink twice");
    trial.write(first, lines(0, 1), 1);
    trial.write(second, lines(1, 1), 1);
    trial.destroy(round == 0 ? second : first);
    trial.write(round == 0 ? first : second, lines(2, 1), 1);
    trial.destroy(round == 0 ? first : second);
  }
}

void fork_leaves_the_parent_alone(plugin_trial& trial) {
  annals_sink* const sink = trial.make();
  trial.write(sink, lines(0, 10), 10);
  const pid_t child = ::fork();
  if (child < 0) fail_case("the checker could not fork");
  if (child == 0) {
    trial.destroy(sink);
    std::exit(0);  // with all that a process does at its end: buffers that were copied are flushed now
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0) {
    fail_case("a forked child that destroyed its copy of the sink ended with status " + std::to_string(status));
  }
  trial.write(sink, lines(10, 10), 10);
  trial.sync(sink);
  trial.destroy(sink);
  if (trial.is_visible()) trial.expect_delivered(lines(0, 20));
}

void descriptors(plugin_trial& trial) {
  const auto before = open_descriptors();
  std::set<string> after_first;
  for (int round = 0; round < 200; ++round) {
    annals_sink* const sink = trial.make();
    trial.write(sink, lines(0, 1), 1);
    for (const string& one : open_descriptors()) {
      if (before.contains(one)) continue;
      const int flags = ::fcntl(std::stoi(one), F_GETFD);
      if (flags >= 0 && (flags & FD_CLOEXEC) == 0) {
        fail_case("it opened a descriptor that programs started by the host inherit; expected O_CLOEXEC");
      }
    }
    trial.reopen(sink);
    trial.write(sink, lines(1, 1), 1);
    trial.destroy(sink);
    if (round == 0) after_first = open_descriptors();
  }
  const auto after = open_descriptors();
  if (after.size() > after_first.size()) {
    fail_case("200 sinks left " + std::to_string(after.size() - before.size()) + " descriptors open");
  }
}

void memory_growth(plugin_trial& trial) {
  constexpr std::size_t batches = 50'000;
  constexpr std::size_t sinks = 1'000;
  constexpr std::size_t bytes_of_a_batch = 20;  // allowed, on average: allocators round
  constexpr std::size_t bytes_of_a_sink = 32;
  if (!allocated_bytes()) {
    throw case_ended{verdict::not_checked, "this annals was built with a sanitizer, whose malloc does not say what is in use"};
  }
  annals_sink* const sink = trial.make();
  const string line = trial_line(1);
  for (std::size_t i = 0; i < 1000; ++i) trial.write(sink, line, 1);
  const std::size_t warm = *allocated_bytes();
  for (std::size_t i = 0; i < batches; ++i) trial.write(sink, line, 1);
  const std::size_t after = *allocated_bytes();
  trial.destroy(sink);
  if (after > warm + batches * bytes_of_a_batch) {
    fail_case(std::to_string(batches) + " batches left " + std::to_string(after - warm) + " bytes allocated");
  }
  for (std::size_t i = 0; i < 50; ++i) trial.destroy(trial.make());
  const std::size_t before = *allocated_bytes();
  for (std::size_t i = 0; i < sinks; ++i) {
    annals_sink* const one = trial.make();
    trial.write(one, line, 1);
    trial.destroy(one);
  }
  if (const std::size_t left = *allocated_bytes(); left > before + sinks * bytes_of_a_sink) {
    fail_case(std::to_string(sinks) + " sinks left " + std::to_string(left - before) + " bytes allocated");
  }
}

// --- manners ------------------------------------------------------------------------------------------------------------

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
  annals_sink* const sink = trial.make();
  for (std::uint64_t i = 0; i < 10; ++i) trial.write(sink, trial_line(i), 1);
  trial.sync(sink);
  (void)trial.position(sink);
  trial.reopen(sink);
  trial.write(sink, trial_line(10), 1);
  trial.destroy(sink);
}

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
  wrong.push_back({"no_such_option_8f3a", annals::option_kind::null, "null"});
  if (annals_sink* const made = trial.try_make(wrong)) trial.destroy(made);
  std::fflush(nullptr);
  std::vector<string> streams = {trial.captured_output() + ".other"};
  if (!trial.writes_to_output()) streams.push_back(trial.captured_output());
  for (const string& stream : streams) {
    std::ifstream file(stream, std::ios::binary);
    const string printed(std::istreambuf_iterator<char>(file), {});
    if (!printed.empty()) fail_case("it printed to a standard stream that is not its destination: " + printed.substr(0, 100));
  }
}

void last_error(plugin_trial& trial) {
  annals_sink* const sink = trial.make();
  if (!trial.create_error().empty()) fail_case("last_error has a message for create, which succeeded");
  trial.write(sink, lines(0, 1), 1);
  if (const string said = trial.last_error(sink); !said.empty()) {
    fail_case("last_error has a message after a write that succeeded: " + said);
  }
  std::vector<annals::option> wrong = trial.options();
  wrong.push_back({"no_such_option_8f3a", annals::option_kind::null, "null"});
  if (annals_sink* const made = trial.try_make(wrong)) trial.destroy(made);  // bad_options tells of that
  trial.write(sink, lines(1, 1), 1);
  if (const string said = trial.last_error(sink); !said.empty()) {
    fail_case("a failed create is told of as the failure of another sink: " + said);
  }
  trial.destroy(sink);
}

void threads(plugin_trial& trial) {
  annals_sink* const sink = trial.make();
  std::exception_ptr failed;
  const auto in_thread = [&failed](const std::function<void()>& work) {
    return std::thread([&failed, work] {
      try {
        work();
      } catch (...) {
        failed = std::current_exception();
      }
    });
  };
  for (std::uint64_t i = 0; i < 100; ++i) in_thread([&] { trial.write(sink, trial_line(i), 1); }).join();
  trial.destroy(sink);
  if (failed) std::rethrow_exception(failed);
  if (trial.is_visible()) trial.expect_delivered(lines(0, 100));
  // Four sinks in four threads. The trial itself keeps state, so each thread has the table alone.
  std::vector<annals_sink*> sinks;
  for (int i = 0; i < 4; ++i) sinks.push_back(trial.make());
  std::vector<std::thread> running;
  std::array<int, 4> failures = {};
  for (std::size_t i = 0; i < sinks.size(); ++i) {
    running.emplace_back([&, i] {
      for (std::uint64_t n = 0; n < 500; ++n) {
        const string line = trial_line(n);
        annals_batch batch = {sizeof batch, line.data(), line.size(), 1, n + 1, 0};
        if (trial.functions().write(sinks[i], &batch) != ANNALS_OK) ++failures[i];
      }
    });
  }
  for (std::thread& one : running) one.join();
  for (annals_sink* const one : sinks) trial.destroy(one);
  const int all = failures[0] + failures[1] + failures[2] + failures[3];
  if (all != 0) fail_case(std::to_string(all) + " of 2000 writes failed with four sinks in four threads");
}

// --- failures of the destination ----------------------------------------------------------------------------------------

class soft_limit {
 public:
  soft_limit(__rlimit_resource which, rlim_t value) : which_(which) {
    ::getrlimit(which_, &before_);
    const rlimit lowered = {std::min(value, before_.rlim_max), before_.rlim_max};
    ::setrlimit(which_, &lowered);
  }
  ~soft_limit() { ::setrlimit(which_, &before_); }
  soft_limit(const soft_limit&) = delete;
  soft_limit& operator=(const soft_limit&) = delete;

 private:
  __rlimit_resource which_;
  rlimit before_ = {};
};

// The sink goes on by itself once the fault is gone; a back-off may take a while.
void expect_recovery(plugin_trial& trial, annals_sink* sink, std::vector<string>& acknowledged, const string& line) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(4);
  while (!trial.try_write(sink, line, 1)) {
    if (std::chrono::steady_clock::now() > until) {
      fail_case("it does not go on after the fault is gone; the last error: " + trial.reason());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  acknowledged.push_back(line);
}

void expect_acknowledged(const plugin_trial& trial, const std::vector<string>& acknowledged) {
  if (!trial.is_visible()) return;
  std::set<string> found;
  const string text = trial.delivered();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1);
    found.insert(text.substr(at, end - at + 1));
    at = end + 1;
  }
  for (const string& line : acknowledged) {
    if (!found.contains(line)) fail_case("write succeeded, but the line is not at the destination: " + line);
  }
}

void failing_destination(plugin_trial& trial) {
  ::signal(SIGXFSZ, SIG_IGN);  // as a host does that limits the size of its files
  annals_sink* const sink = trial.make();
  std::vector<string> acknowledged;
  std::uint64_t next = 0;
  const auto try_line = [&] {
    const string line = trial_line(next++);
    if (trial.try_write(sink, line, 1)) acknowledged.push_back(line);
  };
  try_line();
  {
    std::error_code unknown;
    const auto size = trial.is_visible() ? std::filesystem::file_size(trial.destination(), unknown) : 0;
    const soft_limit full(RLIMIT_FSIZE, unknown ? 0 : size + 150);
    for (int i = 0; i < 20; ++i) try_line();
  }
  expect_recovery(trial, sink, acknowledged, trial_line(next++));
  {
    rlim_t most = 3;
    for (const string& one : open_descriptors()) most = std::max<rlim_t>(most, static_cast<rlim_t>(std::stoi(one)) + 1);
    const soft_limit none_left(RLIMIT_NOFILE, most);
    std::vector<int> taken;
    for (int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC); fd >= 0; fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) {
      taken.push_back(fd);
    }
    try_line();
    trial.reopen(sink);
    try_line();
    for (const int fd : taken) ::close(fd);
  }
  expect_recovery(trial, sink, acknowledged, trial_line(next++));
  if (trial.is_file()) {
    const string aside = trial.destination() + ".aside";
    std::filesystem::rename(trial.destination(), aside);
    std::filesystem::create_directory(trial.destination());
    trial.reopen(sink);
    for (int i = 0; i < 3; ++i) try_line();
    std::filesystem::remove(trial.destination());
    std::filesystem::rename(aside, trial.destination());
    expect_recovery(trial, sink, acknowledged, trial_line(next++));
  }
  trial.destroy(sink);
  expect_acknowledged(trial, acknowledged);
}

void archive(plugin_trial& trial) {
  if (!trial.has(ANNALS_CAN_ARCHIVE)) throw case_ended{verdict::not_applicable, "it has not the capability ANNALS_CAN_ARCHIVE"};
  const string path = trial.directory() + "/audit-000001-20260101T000000Z.jsonl";
  std::ofstream(path, std::ios::binary) << lines(0, 1000);
  annals_sink* const sink = trial.make();
  if (!trial.try_archive(sink, path, 1)) fail_case("archive of a good segment failed: " + trial.reason());
  if (std::filesystem::exists(path)) fail_case("archive succeeded, and the segment is still there");
  if (names_in(trial.directory()).empty()) fail_case("archive removed the segment and left nothing in its place");
  (void)trial.try_archive(sink, path, 1);  // again: what it says is its own affair, as long as it says it well
  if (trial.try_archive(sink, trial.directory() + "/audit-000002-20260101T000000Z.jsonl", 2)) {
    fail_case("archive of a segment that never was succeeded");
  }
  trial.destroy(sink);
}

constexpr std::array<check_case, 20> cases = {{
    {"descriptor", "reserved slots are 0, the capabilities are known and agree with the table", descriptor},
    {"bad_options", "an unknown option is refused and named; values of any kind crash nothing", bad_options},
    {"creation_opens_nothing", "create and destroy leave no file, descriptor or thread", creation_opens_nothing},
    {"order", "1,000 batches arrive whole and in order", order},
    {"empty_batch", "a batch of no lines does nothing and succeeds", empty_batch},
    {"large_batch", "1 MiB in many lines and in one arrives, or fails with a reason; then it goes on", large_batch},
    {"many_batches", "100,000 batches succeed and arrive", many_batches},
    {"sync", "sync succeeds, before and after writes, and what was written is there", sync},
    {"reopen", "after a rename and reopen, new lines go to a new file", reopen},
    {"position_is_monotonic", "the position advances by at least what was written", position_is_monotonic},
    {"create_and_destroy_twice", "sinks can be made and destroyed again, two at a time, in any order; null is ignored",
     create_and_destroy_twice},
    {"fork", "a forked child that destroys its copy changes nothing for the parent", fork_leaves_the_parent_alone},
    {"descriptors", "200 sinks leave no descriptor open, and none is inherited by other programs", descriptors},
    {"memory_growth", "50,000 batches and 1,000 sinks leave no memory allocated", memory_growth},
    {"signals_left_alone", "signal handlers, signal mask, umask, working directory and locale stay as they are",
     signals_left_alone},
    {"silence", "nothing is printed but to its destination", silence},
    {"last_error", "there is a message after a failure, and none after success", last_error},
    {"threads", "a sink may be called by changing threads, four sinks by four at once", threads},
    {"failing_destination", "a full disk, no descriptors, a directory in the way: errors with reasons, then it goes on",
     failing_destination},
    {"archive", "a closed segment is replaced; a missing one is an error", archive},
}};

}  // namespace

std::span<const check_case> check_cases() {
  return cases;
}

}  // namespace cli
