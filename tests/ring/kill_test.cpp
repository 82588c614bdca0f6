// SPDX-License-Identifier: Apache-2.0
//
// SIGKILL at random instants, with four producers and a log that rotates: every acknowledged event is in the log exactly once,
// and no line is torn; also when recovery itself is killed. The producers count in memory that they share with this process,
// and that survives them. ANNALS_KILL_ROUNDS says how often (default 500, and 100 where sanitizers make it slow); the seed is
// printed, ANNALS_SEED sets it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.rotation;

namespace {

constexpr std::size_t producers = 4;
constexpr int rounds_in_one_log = 10;
constexpr std::size_t line_bytes_max = 6000;  // more than a page: write(2) can be killed in the middle of it

// A log that rotates every few lines, as the plugin `rotate` does it.
class rotating_sink final : public annals::sink {
 public:
  explicit rotating_sink(const std::string& path)
      : writer_(path, 0600, {.bytes_max = 100'000}, [this](const annals::notice& what) { notify(what); }) {}
  void write(const annals::batch& lines) override { writer_.write(lines); }
  void sync() override { writer_.sync(); }
  void reopen() override { writer_.reopen(); }
  annals::position position() override { return writer_.position(); }
  bool keeps_log() const noexcept override { return true; }

 private:
  annals::rotation::segment_writer writer_;
};

// What the producers of one round have begun and what was acknowledged: numbers from 1 on.
struct counts {
  std::array<std::atomic<std::uint64_t>, producers> begun;
  std::array<std::atomic<std::uint64_t>, producers> acknowledged;
};

class shared_counts {
 public:
  shared_counts() {
    memory_ = ::mmap(nullptr, sizeof(counts) * rounds_in_one_log, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) std::abort();
  }
  ~shared_counts() { ::munmap(memory_, sizeof(counts) * rounds_in_one_log); }
  shared_counts(const shared_counts&) = delete;
  shared_counts& operator=(const shared_counts&) = delete;
  counts& of(int round) { return static_cast<counts*>(memory_)[round]; }

 private:
  void* memory_;
};

annals::logger_options options(const std::string& path, std::size_t ring_bytes, bool rotates) {
  annals::logger_options made;
  made.path = path;
  made.delivery = annals::delivery::ring;
  made.ring_bytes = ring_bytes;
  made.latency_max = std::chrono::milliseconds(1);
  made.on_notice = [](const annals::notice& what) {
    const bool is_expected = what.code == annals::notice_code::segment_closed || what.code == annals::notice_code::partial_line;
    if (!is_expected) std::fprintf(stderr, "%s\n", what.message.c_str());
  };
  if (rotates) made.sink = std::make_unique<rotating_sink>(path);
  return made;
}

// Logs until it is killed.
[[noreturn]] void run_producers(annals::logger_options how, counts& shared, int round) {
  annals::audit_logger log(std::move(how));
  std::vector<std::thread> threads;
  for (std::size_t p = 0; p < producers; ++p) {
    threads.emplace_back([&, p] {
      std::minstd_rand random(static_cast<unsigned>(p + 1));
      const std::string text(line_bytes_max, 'x');
      for (std::uint64_t n = 1;; ++n) {
        const std::size_t bytes = random() % 50 == 0 ? random() % line_bytes_max : random() % 200;
        shared.begun[p].store(n);
        const annals::receipt made = log.log_event(
            "kill", "x",
            {.detail = std::string_view(text).substr(0, bytes), .fields = {{"round", round}, {"producer", p}, {"n", n}}});
        if (!made.accepted()) {
          std::fprintf(stderr, "not accepted: %s\n", std::string(made.message()).c_str());
          std::abort();
        }
        shared.acknowledged[p].store(n);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::abort();
}

// Opens the log for writing, which recovers, and ends.
[[noreturn]] void run_recovery(annals::logger_options how) {
  {
    annals::audit_logger log(std::move(how));
    (void)log.log_event("kill", "recovered");
  }
  ::_exit(0);
}

template <class Body>
pid_t in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) body();
  return child;
}

void expect_ended(pid_t child, bool killed) {
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (killed && WIFEXITED(status) && WEXITSTATUS(status) == 0) return;  // it was done before
  ASSERT_TRUE(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0) << "status " << status;
}

struct found_events {
  std::map<std::tuple<std::int64_t, std::int64_t>, std::map<std::int64_t, int>>
      counts;  // of round and producer: number, how often
  std::uint64_t damaged = 0;
};

found_events read_all(const std::string& path) {
  found_events found;
  const annals::read_options report = {.on_damage = [&found](const annals::damage& one) {
    ++found.damaged;
    std::fprintf(stderr, "%s: %llu: %s\n", one.file.c_str(), static_cast<unsigned long long>(one.offset), one.cause.c_str());
  }};
  for (const annals::event& e : annals::tail_log(path, 1'000'000'000, report)) {
    if (e.action != "x") continue;
    const auto number = [&e](std::string_view name) { return std::get<std::int64_t>(*e.find(name)); };
    ++found.counts[{number("round"), number("producer")}][number("n")];
  }
  return found;
}

void expect_exactly_once(const found_events& found, shared_counts& shared, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t p = 0; p < producers; ++p) {
      const auto of_one = found.counts.find({round, static_cast<std::int64_t>(p)});
      const std::uint64_t acknowledged = shared.of(round).acknowledged[p];
      const std::uint64_t begun = shared.of(round).begun[p];
      if (of_one == found.counts.end()) {
        EXPECT_EQ(acknowledged, 0U) << "round " << round << ", producer " << p << ": all lost";
        continue;
      }
      std::int64_t next = 1;
      for (const auto& [n, count] : of_one->second) {
        ASSERT_EQ(n, next++) << "round " << round << ", producer " << p << ": lost, of " << acknowledged << " acknowledged";
        ASSERT_EQ(count, 1) << "round " << round << ", producer " << p << ", event " << n << ": doubled";
      }
      EXPECT_GE(static_cast<std::uint64_t>(next - 1), acknowledged) << "round " << round << ", producer " << p << ": lost";
      EXPECT_LE(static_cast<std::uint64_t>(next - 1), begun);
    }
  }
  EXPECT_EQ(found.damaged, 0U) << "a torn line was not finished";
}

void kill_one_log(std::mt19937_64& random, int rounds, bool rotates) {
  const support::temp_directory directory;
  const std::string path = directory / "audit.jsonl";
  shared_counts shared;
  const std::size_t ring_bytes = random() % 2 == 0 ? annals::limits::ring_bytes_floor : 1024 * 1024;
  for (int round = 0; round < rounds; ++round) {
    counts& now = shared.of(round);
    const pid_t child = in_child([&] { run_producers(options(path, ring_bytes, rotates), now, round); });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (now.acknowledged[0] == 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    ::usleep(static_cast<useconds_t>(random() % 6000));
    ::kill(child, SIGKILL);
    expect_ended(child, true);
    for (std::uint64_t kills = random() % 4; kills > 0; --kills) {
      const pid_t recovering = in_child([&] { run_recovery(options(path, ring_bytes, rotates)); });
      ::usleep(static_cast<useconds_t>(random() % 3000));
      ::kill(recovering, SIGKILL);
      expect_ended(recovering, true);
    }
    expect_ended(in_child([&] { run_recovery(options(path, ring_bytes, rotates)); }), false);
  }
  expect_exactly_once(read_all(path), shared, rounds);
}

#ifdef SANITIZED
constexpr int rounds_unasked = 100;
#else
constexpr int rounds_unasked = 500;
#endif

void kill_many(bool rotates) {
  const char* const wanted = std::getenv("ANNALS_KILL_ROUNDS");
  const char* const seed_given = std::getenv("ANNALS_SEED");
  const int rounds = (wanted != nullptr ? std::atoi(wanted) : rounds_unasked) / 2;
  const std::uint64_t seed = seed_given != nullptr ? std::strtoull(seed_given, nullptr, 10) : std::random_device()();
  std::printf("ANNALS_SEED=%llu, %d rounds\n", static_cast<unsigned long long>(seed), rounds);
  std::mt19937_64 random(seed);
  for (int done = 0; done < rounds && !testing::Test::HasFailure(); done += rounds_in_one_log) {
    kill_one_log(random, std::min(rounds_in_one_log, rounds - done), rotates);
  }
}

TEST(kill_9, loses_and_doubles_nothing_in_a_log_that_rotates) {
  kill_many(true);
}

TEST(kill_9, loses_and_doubles_nothing_in_one_file) {
  kill_many(false);
}

}  // namespace
