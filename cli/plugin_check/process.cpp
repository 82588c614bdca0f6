// SPDX-License-Identifier: Apache-2.0
//
// The process of a case of `annals plugin check`: a plugin that crashes, hangs or exits ends its own case only.
#include <annals_plugin.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "plugins/commands.h"
import annals;
#include "plugin_check/trial.h"

namespace cli {

namespace {

[[noreturn]] void system_failure(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// Directories of one case, removed with all they hold: one that is the plugin's, one for what it prints.
class case_directory {
 public:
  case_directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "annals-check-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) system_failure("mkdtemp " + pattern);
    path_ = pattern;
    std::filesystem::create_directory(path_ + "/case");
  }
  ~case_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  case_directory(const case_directory&) = delete;
  case_directory& operator=(const case_directory&) = delete;
  std::string of_plugin() const { return path_ + "/case"; }
  std::string output() const { return path_ + "/output"; }

 private:
  std::string path_;
};

// What the child is calling, for when it does not come back.
class shared_call {
 public:
  shared_call() {
    void* const page = ::mmap(nullptr, sizeof(table_call), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) system_failure("mmap");
    place_ = static_cast<table_call*>(page);
  }
  ~shared_call() { ::munmap(static_cast<void*>(place_), sizeof(table_call)); }
  shared_call(const shared_call&) = delete;
  shared_call& operator=(const shared_call&) = delete;
  table_call* place() const { return place_; }

 private:
  table_call* place_ = nullptr;
};

// The child: runs the case and reports "VERDICT WHY" through the pipe. What a plugin does to this process hurts nobody else.
[[noreturn]] void be_child(const check_case& one, const plugin_check_arguments& arguments, const case_directory& directory,
                           table_call* call, int report) {
  ::setpgid(0, 0);  // so that what it starts ends with it
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const int output = ::open(directory.output().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (null < 0 || output < 0) ::_exit(3);
  ::dup2(null, STDIN_FILENO);
  // The other stream is captured, too, but kept apart where one of them is the destination.
  const bool to_stdout = arguments.destination == "stdout";
  const bool to_stderr = arguments.destination == "stderr";
  const int other = ::open((directory.output() + ".other").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ::dup2(to_stderr ? other : output, STDOUT_FILENO);
  ::dup2(to_stdout ? other : output, STDERR_FILENO);
  ::close(null);
  ::close(output);
  ::close(other);
  outcome done;
  try {
    plugin_trial trial(arguments, directory.of_plugin(), directory.output(), call);
    one.run(trial);
  } catch (const case_ended& ended) {
    done = {ended.verdict, ended.why};
  } catch (const std::exception& thrown) {
    done = {verdict::failed, std::string("an exception came out of the plugin, or the case could not run: ") + thrown.what()};
  } catch (...) {
    done = {verdict::failed, "an exception came out of the plugin; none may cross the boundary"};
  }
  const std::string text = std::to_string(static_cast<int>(done.verdict)) + " " + done.why;
  const ssize_t wrote = ::write(report, text.data(), text.size());
  ::_exit(wrote == static_cast<ssize_t>(text.size()) ? 0 : 3);
}

// What comes through the pipe until its end or the deadline; nothing when that passed.
std::optional<std::string> read_report(int fd, std::chrono::steady_clock::time_point until) {
  std::string text;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return std::nullopt;
    pollfd polled = {fd, POLLIN, 0};
    const int ready = ::poll(&polled, 1, static_cast<int>(left.count()) + 1);
    if (ready < 0 && errno != EINTR) system_failure("poll");
    if (ready <= 0) continue;
    char bytes[4096];
    const ssize_t got = ::read(fd, bytes, sizeof bytes);
    if (got < 0 && errno != EINTR) system_failure("read from the case's process");
    if (got == 0) return text;
    if (got > 0) text.append(bytes, static_cast<std::size_t>(got));
  }
}

outcome judge_child(const std::optional<std::string>& report, int status, table_call call, std::chrono::milliseconds deadline) {
  constexpr std::array<const char*, 11> places = {"",
                                                  " in its static constructors",
                                                  " in create",
                                                  " in write",
                                                  " in sync",
                                                  " in reopen",
                                                  " in position",
                                                  " in start_segment",
                                                  " in archive",
                                                  " in destroy",
                                                  " in last_error"};
  const auto place = static_cast<std::size_t>(call);  // from memory that the plugin could have written to
  const std::string where = place < places.size() ? places[place] : "";
  if (!report) {
    return {verdict::failed, "it did not end within " + std::to_string(deadline.count()) + " ms, and was killed" + where};
  }
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    return {verdict::failed,
            "the process was ended by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")" + where};
  }
  if (report->size() < 2 || (*report)[0] < '0' || (*report)[0] > '3') {
    return {verdict::failed, "the process ended with exit code " + std::to_string(WEXITSTATUS(status)) + where +
                                 " before the case was done: a plugin may not exit"};
  }
  return {static_cast<verdict>((*report)[0] - '0'), report->substr(2)};
}

}  // namespace

outcome run_case(const check_case& one, const plugin_check_arguments& arguments) {
  const case_directory directory;
  const auto start = std::chrono::steady_clock::now();
  const shared_call call;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) system_failure("pipe");
  std::fflush(nullptr);  // or the child would print it once more
  const pid_t child = ::fork();
  if (child < 0) system_failure("fork");
  if (child == 0) {
    ::close(ends[0]);
    be_child(one, arguments, directory, call.place(), ends[1]);
  }
  ::setpgid(child, child);
  ::close(ends[1]);
  // A process that the plugin left behind may hold the pipe open: the child itself is what counts, so it is not waited for
  // beyond the deadline either way.
  const auto report = read_report(ends[0], start + arguments.deadline);
  ::close(ends[0]);
  if (!report) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ::kill(-child, SIGKILL);
  outcome done = judge_child(report, status, *call.place(), arguments.deadline);
  done.took = std::chrono::steady_clock::now() - start;
  return done;
}

}  // namespace cli
