// SPDX-License-Identifier: Apache-2.0
//
// Many threads and many processes append to one log: the exact multiset of events arrives, and no line is torn.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "support/temp_directory.h"
import annals;

namespace {

#ifdef SANITIZED
constexpr int events_each = 10'000;
#else
constexpr int events_each = 50'000;
#endif
const std::string filler(300, 'x');

// Each writer numbers its events; the length of the details varies so that lines end at every place of a page.
annals::receipt log_numbered(annals::audit_logger& log, int writer, int number) {
  return log.log_event("writer", "numbered",
                       {.detail = std::string_view(filler).substr(0, static_cast<std::size_t>(number % 300)),
                        .fields = {{"writer", writer}, {"number", number}}});
}

// Every writer's events are there, each once and in its order, and nothing else is.
void expect_all(const std::string& path, int writers, int events_of_each = events_each) {
  annals::follower log =
      annals::follow(path, {}, {.on_damage = [](const annals::damage& d) { ADD_FAILURE() << d.offset << ": " << d.cause; }});
  std::vector<std::int64_t> next(static_cast<std::size_t>(writers), 0);
  std::int64_t count = 0;
  while (const auto e = log.next(std::chrono::milliseconds(0))) {
    const auto writer = static_cast<std::size_t>(std::get<std::int64_t>(*e->find("writer")));
    const auto number = std::get<std::int64_t>(*e->find("number"));
    ASSERT_LT(writer, next.size());
    ASSERT_EQ(number, next[writer]++) << "of writer " << writer;
    ASSERT_EQ(e->detail->size(), static_cast<std::size_t>(number % 300));
    ++count;
  }
  EXPECT_EQ(count, std::int64_t{writers} * events_of_each);
}

TEST(many_writers, sixteen_threads) {
  constexpr int threads_count = 16;
  const support::temp_directory dir;
  {
    annals::audit_logger log({.path = dir / "audit.jsonl"});
    std::vector<std::thread> threads;
    for (int t = 0; t < threads_count; ++t) {
      threads.emplace_back([&log, t] {
        for (int i = 0; i < events_each; ++i) ASSERT_TRUE(log_numbered(log, t, i));
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(log.stats().accepted, std::uint64_t{threads_count} * events_each);
  }
  expect_all(dir / "audit.jsonl", threads_count);
}

TEST(many_writers, eight_processes) {
  constexpr int processes_count = 8;
  const support::temp_directory dir;
  std::vector<pid_t> children;
  for (int p = 0; p < processes_count; ++p) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      annals::audit_logger log({.path = dir / "audit.jsonl"});
      bool good = true;
      for (int i = 0; i < events_each; ++i) good = good && log_numbered(log, p, i);
      ::_exit(good && log.stats().notices == 0 ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  expect_all(dir / "audit.jsonl", processes_count);
}

// A child inherits the logger while other threads are in the middle of using it. It must neither hang nor log anything twice.
TEST(many_writers, children_forked_while_threads_log) {
  constexpr int threads_count = 3;
  constexpr int children_count = 40;
  constexpr int events = 2000;
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl", .on_error = [](const annals::error&) {}});
  std::vector<std::thread> threads;
  for (int t = 0; t < threads_count; ++t) {
    threads.emplace_back([&log, t] {
      for (int i = 0; i < events; ++i) ASSERT_TRUE(log_numbered(log, t, i));
    });
  }
  std::vector<pid_t> children;
  for (int c = 0; c < children_count; ++c) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::alarm(240);  // a child that hangs is killed, and seen
      bool good = true;
      for (int i = 0; i < events; ++i) good = good && log_numbered(log, threads_count + c, i);
      ::_exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (std::thread& thread : threads) thread.join();
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  }
  expect_all(dir / "audit.jsonl", threads_count + children_count, events);
}

}  // namespace
