// SPDX-License-Identifier: Apache-2.0
//
// Many threads and many processes write and rotate one log: the exact multiset of events arrives, each writer's in its order,
// the numbers have no holes; and processes come, go, fork and are killed meanwhile.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.rotation;
import annals.segment;
#include "rotation/rotating.h"

namespace {

constexpr std::uint64_t segment_bytes_max = 64 * 1024;
const std::string filler(300, 'x');

annals::receipt log_numbered(annals::audit_logger& log, int writer, int number) {
  return log.log_event("writer", "numbered",
                       {.detail = std::string_view(filler).substr(0, static_cast<std::size_t>(number % 300)),
                        .fields = {{"writer", writer}, {"number", number}}});
}

annals::logger_options rotating(const std::string& path, std::uint64_t bytes_max = segment_bytes_max) {
  return {.path = path,
          .on_error = [](const annals::error&) {},
          .sink = std::make_unique<support::rotating_sink>(path, support::of_size(bytes_max))};
}

// A process that logs, and then ends with 0 if all was well.
template <class Body>
pid_t start(Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(240);  // one that hangs is killed, and seen
    ::_exit(body() ? 0 : 1);
  }
  return child;
}

void expect_success(const std::vector<pid_t>& children) {
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  }
}

TEST(many_rotating_writers, eight_processes) {
  constexpr int events = 10'000;
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  std::vector<pid_t> children;
  for (int p = 0; p < 8; ++p) {
    children.push_back(start([&] {
      annals::audit_logger log(rotating(path));
      bool good = true;
      for (int i = 0; i < events; ++i) good = log_numbered(log, p, i) && good;
      return good;
    }));
  }
  expect_success(children);
  const support::whole_log whole(path);
  EXPECT_GT(whole.closed.size(), 200U);
  whole.expect_sizes(segment_bytes_max);
  support::expect_all(whole, 8, events);
}

TEST(many_rotating_writers, eight_threads_with_one_logger_and_four_with_their_own) {
  constexpr int events = 3'000;
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  {
    annals::audit_logger shared(rotating(path));
    std::vector<std::thread> threads;
    for (int t = 0; t < 12; ++t) {
      threads.emplace_back([&, t] {
        std::optional<annals::audit_logger> own;
        if (t >= 8) own.emplace(rotating(path));
        for (int i = 0; i < events; ++i) ASSERT_TRUE(log_numbered(own ? *own : shared, t, i));
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  const support::whole_log whole(path);
  whole.expect_sizes(segment_bytes_max);
  support::expect_all(whole, 12, events);
}

TEST(many_rotating_writers, children_forked_while_threads_log) {
  constexpr int threads_count = 3;
  constexpr int children_count = 20;
  constexpr int events = 500;
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  annals::audit_logger log(rotating(path));
  std::vector<std::thread> threads;
  for (int t = 0; t < threads_count; ++t) {
    threads.emplace_back([&log, t] {
      for (int i = 0; i < events; ++i) ASSERT_TRUE(log_numbered(log, t, i));
    });
  }
  std::vector<pid_t> children;
  for (int c = 0; c < children_count; ++c) {
    children.push_back(start([&] {
      bool good = true;
      for (int i = 0; i < events; ++i) good = log_numbered(log, threads_count + c, i) && good;
      return good;
    }));
  }
  for (std::thread& thread : threads) thread.join();
  expect_success(children);
  const support::whole_log whole(path);
  whole.expect_sizes(segment_bytes_max);
  support::expect_all(whole, threads_count + children_count, events);
}

// Four processes log and never stop; each is killed at some moment, and replaced by another. A fifth rotates all the time.
TEST(many_rotating_writers, killed_at_any_moment_block_nobody_and_lose_nothing_that_was_accepted) {
  constexpr int killed_count = 40;
  constexpr int survivor_events = 3'000;
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  const pid_t survivor = start([&] {
    annals::audit_logger log(rotating(path, 4096));
    bool good = true;
    for (int i = 0; i < survivor_events; ++i) good = log_numbered(log, 0, i) && good;
    return good;
  });
  std::vector<std::int64_t> accepted(killed_count + 1, 0);
  for (int k = 1; k <= killed_count; ++k) {
    int numbers[2];
    ASSERT_EQ(::pipe2(numbers, O_CLOEXEC), 0);
    const pid_t victim = start([&] {
      annals::audit_logger log(rotating(path, 4096));
      for (std::int64_t i = 0;; ++i) {
        if (!log_numbered(log, k, static_cast<int>(i))) return false;
        if (::write(numbers[1], &i, sizeof i) != sizeof i) return false;
      }
    });
    std::int64_t last = -1;
    while (last < 10 * k) ASSERT_EQ(::read(numbers[0], &last, sizeof last), static_cast<ssize_t>(sizeof last));
    ::kill(victim, SIGKILL);
    ::waitpid(victim, nullptr, 0);
    ::close(numbers[1]);
    while (::read(numbers[0], &last, sizeof last) == sizeof last) continue;
    ::close(numbers[0]);
    accepted[static_cast<std::size_t>(k)] = last + 1;
  }
  expect_success({survivor});
  const support::whole_log whole(path);
  std::vector<std::int64_t> next(killed_count + 1, 0);
  for (const std::string& line : whole.lines) {
    const auto writer = static_cast<std::size_t>(support::number_in(line, "writer"));
    ASSERT_LT(writer, next.size());
    ASSERT_EQ(support::number_in(line, "number"), next[writer]++);
  }
  EXPECT_EQ(next[0], survivor_events);
  for (std::size_t k = 1; k < next.size(); ++k) {
    EXPECT_GE(next[k], accepted[k]);
    EXPECT_LE(next[k], accepted[k] + 1) << "one may have been written and not yet told of";
  }
}

// Writers come and go, so that slots are given back and taken again, while somebody rotates on demand.
TEST(many_rotating_writers, come_and_go_while_the_log_is_rotated_on_demand) {
  constexpr int writers = 60;
  constexpr int events = 100;
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  std::atomic<bool> done = false;
  std::atomic<int> rotations = 0;
  std::thread rotator([&] {
    while (!done) {
      const auto closed = annals::rotation::rotate(path);
      EXPECT_TRUE(closed) << closed.error().message;
      if (closed && *closed) ++rotations;
    }
  });
  for (int w = 0; w < writers; w += 3) {
    std::vector<pid_t> children;
    for (int p = w; p < w + 3; ++p) {
      children.push_back(start([&] {
        annals::audit_logger log(rotating(path));
        bool good = true;
        for (int i = 0; i < events; ++i) good = log_numbered(log, p, i) && good;
        return good;
      }));
    }
    expect_success(children);
  }
  done = true;
  rotator.join();
  EXPECT_GT(rotations, 10);
  support::expect_all(support::whole_log(path), writers, events);
}

}  // namespace
