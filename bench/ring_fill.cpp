// SPDX-License-Identifier: Apache-2.0
//
// Leaves a full ring behind, as the death of a process does: the thread that drains it is held (ptrace), the ring is filled
// until log_event waits for room, and the process is killed. Or tells how often the threads of an idle ring wake up.
//
//   ring_fill fill RING_BYTES PATH    prints how many events were acknowledged
//   ring_fill idle RING_BYTES PATH    prints how often threads but the main one were switched to in 2 idle seconds
#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "sample.h"
import annals;

namespace {

using namespace std::chrono_literals;

std::unique_ptr<annals::audit_logger> ring_log(const std::string& path, std::size_t bytes) {
  return std::make_unique<annals::audit_logger>(
      annals::logger_options{.path = path, .delivery = annals::delivery::ring, .ring_bytes = bytes});
}

void log_one(annals::audit_logger& log) {
  const annals::receipt made =
      log.log_event(sample::container, sample::action, {.dest = sample::dest, .detail = sample::detail});
  if (!made.accepted()) throw std::runtime_error(std::string(made.message()));
}

// The threads of a process but its first.
std::vector<pid_t> other_threads(pid_t process) {
  std::vector<pid_t> found;
  const std::string path = "/proc/" + std::to_string(process) + "/task";
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) throw std::system_error(errno, std::generic_category(), path);
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name[0] != '.' && std::stoi(name) != process) found.push_back(std::stoi(name));
  }
  return found;
}

struct shared_state {
  std::atomic<std::uint64_t> acknowledged;
  std::atomic<int> stage;  // 1: the ring is there; 2: it may be filled
};

[[noreturn]] void fill(shared_state& shared, const std::string& path, std::size_t bytes) {
  const auto log = ring_log(path, bytes);
  log_one(*log);
  if (!log->sync()) ::_exit(1);
  shared.acknowledged = 1;
  shared.stage = 1;
  shared.stage.notify_all();
  while (shared.stage != 2) std::this_thread::sleep_for(1ms);
  for (;;) {
    log_one(*log);
    shared.acknowledged.fetch_add(1, std::memory_order_release);
  }
}

// Returns when nothing has been acknowledged for 200 ms.
std::uint64_t wait_until_full(const shared_state& shared) {
  std::uint64_t before = 0;
  for (auto since = std::chrono::steady_clock::now(); std::chrono::steady_clock::now() - since < 200ms;) {
    std::this_thread::sleep_for(10ms);
    const std::uint64_t now = shared.acknowledged;
    if (now != before) since = std::chrono::steady_clock::now();
    before = now;
  }
  return before;
}

void hold_threads(pid_t process) {
  for (const pid_t thread : other_threads(process)) {
    if (::ptrace(PTRACE_SEIZE, thread, nullptr, nullptr) != 0 || ::ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr) != 0) {
      throw std::system_error(errno, std::generic_category(), "ptrace");
    }
    int status = 0;
    if (::waitpid(thread, &status, __WALL) != thread) throw std::system_error(errno, std::generic_category(), "waitpid");
  }
}

std::uint64_t leave_full_ring(const std::string& path, std::size_t bytes) {
  void* const memory = ::mmap(nullptr, sizeof(shared_state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
  auto* const shared = new (memory) shared_state{};
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0) try {
      fill(*shared, path, bytes);
    } catch (const std::exception& thrown) {
      std::cerr << "ring_fill: " << thrown.what() << '\n';
      ::_exit(1);
    }
  while (shared->stage != 1) {
    std::this_thread::sleep_for(1ms);
    if (::waitpid(child, nullptr, WNOHANG) == child) throw std::runtime_error("the process that fills the ring ended");
  }
  hold_threads(child);
  shared->stage = 2;
  const std::uint64_t acknowledged = wait_until_full(*shared);
  ::kill(child, SIGKILL);
  while (::waitpid(-1, nullptr, __WALL) > 0) {
  }
  return acknowledged;
}

std::uint64_t switches(pid_t thread) {
  std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/status");
  std::uint64_t sum = 0;
  for (std::string line; std::getline(status, line);) {
    if (line.find("ctxt_switches:") != line.npos) sum += std::stoull(line.substr(line.find(':') + 1));
  }
  return sum;
}

std::uint64_t idle_wake_ups(const std::string& path, std::size_t bytes) {
  const auto log = ring_log(path, bytes);
  log_one(*log);
  if (!log->sync()) throw std::runtime_error("the ring could not be synced");
  std::this_thread::sleep_for(500ms);  // what follows the last event is over
  const auto all = [] {
    std::uint64_t sum = 0;
    for (const pid_t thread : other_threads(::getpid())) sum += switches(thread);
    return sum;
  };
  if (other_threads(::getpid()).empty()) throw std::runtime_error("there is no thread that drains the ring");
  const std::uint64_t before = all();
  std::this_thread::sleep_for(2s);
  return all() - before;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string_view what = argc == 4 ? argv[1] : "";
  if (what != "fill" && what != "idle") {
    std::cerr << "usage: ring_fill fill|idle RING_BYTES PATH\n";
    return 2;
  }
  const std::size_t bytes = std::stoull(argv[2]);
  std::cout << (what == "fill" ? leave_full_ring(argv[3], bytes) : idle_wake_ups(argv[3], bytes)) << '\n';
} catch (const std::exception& thrown) {
  std::cerr << "ring_fill: " << thrown.what() << '\n';
  return 1;
}
