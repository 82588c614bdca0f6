// SPDX-License-Identifier: Apache-2.0
//
// A process that is sent signals without end, whose handlers do not have system calls restarted, while it logs, rotates,
// archives, syncs, drains and reads: every event is accepted and there once, and nothing hangs. And one that a signal ends
// while it logs: what was acknowledged is there.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "support/child.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.rotation;
import annals.content.seekable;
import annals.segment;
#include "archive.h"
#include "rotation/rotating.h"

namespace {

using namespace std::chrono_literals;

std::atomic<long> signals_taken = 0;

// Sends both signals to a process until it is done.
class bombardment {
 public:
  bombardment() : target_(::getpid()), child_(::fork()) {
    if (child_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
      if (::kill(target_, SIGTERM) != 0 || ::kill(target_, SIGINT) != 0) ::_exit(0);
      ::usleep(30);
    }
  }
  ~bombardment() {
    ::kill(child_, SIGKILL);
    while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) continue;
  }

 private:
  pid_t target_;
  pid_t child_;
};

annals::logger_options options(const std::string& path, annals::delivery delivery) {
  annals::logger_options made;
  made.path = path;
  made.delivery = delivery;
  made.ring_bytes = annals::limits::ring_bytes_floor;
  made.on_error = [](const annals::error&) {};
  made.sink = std::make_unique<support::rotating_sink>(path, support::of_size(2000));
  return made;
}

// In a child: its handlers are its own.
int log_under_signals(annals::delivery delivery) {
  const support::temp_directory directory;
  const std::string path = directory / "audit.jsonl";
  struct ::sigaction taken = {};
  taken.sa_handler = [](int) { signals_taken.fetch_add(1); };  // without SA_RESTART
  ::sigaction(SIGTERM, &taken, nullptr);
  ::sigaction(SIGINT, &taken, nullptr);
  const bombardment bombs;
  constexpr std::int64_t events = 400;
  {
    annals::audit_logger log(options(path, delivery));
    for (std::int64_t n = 0; n < events; ++n) {
      if (!log.log_event("web", "x", {.fields = {{"n", n}}})) return 10;
      if (n % 50 == 0 && !log.sync()) return 11;
      if (n % 50 == 0 && log.tail_log(10).empty()) return 12;
    }
    if (!log.sync()) return 13;
  }
  for (const auto& one : annals::segment::closed_segments(path).value()) {
    if (annals_zstd::archive_segment(one.path, {})) return 14;
  }
  if (!annals::prune(path, {.keep_segments = 1000})) return 15;
  annals::follower follower = annals::follow(path);
  for (std::int64_t n = 0; n < events; ++n) {
    const auto e = follower.next(10s);
    if (!e || std::get<std::int64_t>(*e->find("n")) != n) return 16;
  }
  if (follower.next(20ms)) return 17;
  return signals_taken > 20 ? 0 : 18;
}

TEST(signals_without_end, disturb_nothing_of_direct_delivery) {
  support::expect_zero_in_child([] { return log_under_signals(annals::delivery::direct); });
}

TEST(signals_without_end, disturb_nothing_of_durable_delivery) {
  support::expect_zero_in_child([] { return log_under_signals(annals::delivery::durable); });
}

TEST(signals_without_end, disturb_nothing_of_a_ring) {
  support::expect_zero_in_child([] { return log_under_signals(annals::delivery::ring); });
}

TEST(a_signal_that_ends_the_process, takes_nothing_that_was_acknowledged) {
  void* const memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto& acknowledged = *::new (memory) std::atomic<std::int64_t>(0);
  for (int round = 0; round < 30; ++round) {
    const support::temp_directory directory;
    const std::string path = directory / "audit.jsonl";
    const auto delivery = round % 2 == 0 ? annals::delivery::direct : annals::delivery::ring;
    acknowledged = 0;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::signal(SIGTERM, SIG_DFL);
      ::signal(SIGINT, SIG_DFL);
      annals::audit_logger log(options(path, delivery));
      for (std::int64_t n = 1;; ++n) {
        if (log.log_event("web", "x", {.fields = {{"n", n}}})) acknowledged = n;
      }
    }
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (acknowledged < 20 + round && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    ::kill(child, round % 3 == 0 ? SIGINT : SIGTERM);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
    annals::audit_logger log(options(path, delivery));
    EXPECT_TRUE(log.log_event("web", "after"));
    std::map<std::int64_t, int> found;
    for (const annals::event& e : log.tail_log(1'000'000)) {
      if (e.action == "x") ++found[std::get<std::int64_t>(*e.find("n"))];
    }
    for (std::int64_t n = 1; n <= acknowledged; ++n) ASSERT_EQ(found[n], 1) << n << " of " << acknowledged;
  }
  ::munmap(memory, 4096);
}

}  // namespace
