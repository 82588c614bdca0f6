// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "support/child.h"
import annals;
import annals.io;
import annals.io.worker;

namespace {

using annals::io::worker;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Waits until the condition holds; false after a minute.
bool comes_true(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST(worker, starts_no_thread_before_it_is_needed) {
  std::atomic<int> steps = 0;
  worker idle({}, [&] {
    ++steps;
    return worker::rest{};
  });
  idle.wake_from(worker::pausing);
  idle.stop();
  EXPECT_EQ(steps, 0);
}

TEST(worker, repeats_its_step_without_a_sleep) {
  std::atomic<int> steps = 0;
  worker busy({}, [&] {
    ++steps;
    return worker::rest{worker::none, {}};
  });
  ASSERT_FALSE(busy.start());
  ASSERT_FALSE(busy.start());  // has no effect
  EXPECT_TRUE(comes_true([&] { return steps > 100; }));
}

TEST(worker, repeats_its_step_after_the_limit_of_its_sleep) {
  for (const auto how : {worker::pausing, worker::resting, worker::idle}) {
    std::atomic<int> steps = 0;
    worker timed({}, [&] {
      ++steps;
      return worker::rest{how, milliseconds(1)};
    });
    ASSERT_FALSE(timed.start());
    EXPECT_TRUE(comes_true([&] { return steps > 10; })) << how;
  }
}

TEST(worker, runs_a_step_after_each_wake) {
  std::atomic<int> steps = 0;
  worker woken({}, [&] {
    ++steps;
    return worker::rest{worker::idle, {}};
  });
  for (int i = 0; i < 100; ++i) {
    const int before = steps;
    ASSERT_FALSE(woken.wake());
    ASSERT_TRUE(comes_true([&] { return steps > before; })) << i;
  }
}

TEST(worker, runs_another_step_when_it_is_woken_in_the_middle_of_one) {
  std::atomic<int> steps = 0;
  std::atomic<bool> may_end = false;
  worker woken({}, [&] {
    ++steps;
    while (!may_end) std::this_thread::yield();
    return worker::rest{worker::idle, {}};
  });
  ASSERT_FALSE(woken.start());
  ASSERT_TRUE(comes_true([&] { return steps == 1; }));
  ASSERT_FALSE(woken.wake());
  may_end = true;
  EXPECT_TRUE(comes_true([&] { return steps == 2; }));
}

TEST(worker, is_not_woken_from_a_pause) {
  std::atomic<int> steps = 0;
  worker pausing(
      {}, [&] { return ++steps == 1 ? worker::rest{worker::pausing, milliseconds(200)} : worker::rest{worker::idle, {}}; });
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_FALSE(pausing.start());
  ASSERT_TRUE(comes_true([&] { return steps == 1; }));
  while (steps == 1) ASSERT_FALSE(pausing.wake());
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(200));
}

// A producer of work that wakes the thread only from idleness, as many times as a lost wake-up would need to show.
TEST(worker, loses_no_work_that_is_published_before_wake_from) {
  std::atomic<std::size_t> published = 0;
  std::atomic<std::size_t> done = 0;
  std::size_t seen = 0;
  worker consumer(
      {},
      [&] {
        seen = published.load();
        done = seen;
        return worker::rest{worker::idle, {}};
      },
      [&] { return published.load() != seen; });
  ASSERT_FALSE(consumer.start());
  for (std::size_t i = 1; i <= 2'000; ++i) {
    published.store(i);
    consumer.wake_from(worker::idle);
    if (i % 4 == 0) {
      ASSERT_TRUE(comes_true([&] { return done == i; })) << i;
    }
  }
}

TEST(worker, is_woken_from_a_rest_only_by_those_who_ask_for_it) {
  std::atomic<int> steps = 0;
  worker resting({}, [&] {
    ++steps;
    return worker::rest{worker::resting, {}};
  });
  ASSERT_FALSE(resting.start());
  ASSERT_TRUE(comes_true([&] { return steps == 1; }));
  for (int i = 0; i < 1000; ++i) resting.wake_from(worker::idle);
  EXPECT_EQ(steps, 1);
  EXPECT_TRUE(comes_true([&] {
    resting.wake_from(worker::resting);
    return steps > 1;
  }));
}

TEST(worker, stops_during_any_sleep) {
  for (const auto how : {worker::none, worker::pausing, worker::resting, worker::idle}) {
    std::atomic<int> steps = 0;
    worker stopped({}, [&] {
      ++steps;
      return worker::rest{how, {}};
    });
    ASSERT_FALSE(stopped.start());
    ASSERT_TRUE(comes_true([&] { return steps > 0; }));
    stopped.stop();
    const int after = steps;
    EXPECT_FALSE(stopped.wake());
    EXPECT_EQ(steps, after) << how;
  }
}

TEST(worker, tells_a_long_step_that_it_stops) {
  std::atomic<bool> has_begun = false;
  worker* self = nullptr;
  worker slow({}, [&] {
    has_begun = true;
    while (!self->is_stopping()) std::this_thread::yield();
    return worker::rest{};
  });
  self = &slow;
  ASSERT_FALSE(slow.start());
  ASSERT_TRUE(comes_true([&] { return has_begun.load(); }));
}

TEST(worker, repeats_a_step_that_threw) {
  std::atomic<int> steps = 0;
  worker throwing({}, [&] {
    if (++steps == 1) throw std::runtime_error("first");
    return worker::rest{worker::idle, {}};
  });
  ASSERT_FALSE(throwing.start());
  EXPECT_TRUE(comes_true([&] { return steps == 2; }));
}

TEST(worker, has_a_name_and_gets_no_signals) {
  for (const auto priority : {annals::archive_priority::unchanged, annals::archive_priority::lowest}) {
    std::string name;
    bool is_blocked = false;
    std::atomic<bool> done = false;
    worker named({.name = "annals-named", .priority = priority}, [&] {
      char text[16] = {};
      ::pthread_getname_np(::pthread_self(), text, sizeof text);
      name = text;
      sigset_t mask;
      ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
      is_blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGINT) == 1;
      done = true;
      return worker::rest{worker::idle, {}};
    });
    ASSERT_FALSE(named.start());
    ASSERT_TRUE(comes_true([&] { return done.load(); }));
    EXPECT_EQ(name, "annals-named");
    EXPECT_TRUE(is_blocked);
  }
}

TEST(worker, starts_another_thread_in_a_child) {
  std::atomic<int> steps = 0;
  worker forked({}, [&] {
    ++steps;
    return worker::rest{worker::idle, {}};
  });
  ASSERT_FALSE(forked.start());
  ASSERT_TRUE(comes_true([&] { return steps == 1; }));
  support::expect_zero_in_child([&] {
    if (!forked.is_inherited()) return 1;
    if (forked.wake()) return 2;
    if (forked.is_inherited() || !comes_true([&] { return steps >= 2; })) return 3;
    forked.stop();
    return 0;
  });
  support::expect_zero_in_child([&] {
    forked.stop();  // the parent's thread is not waited for
    return 0;
  });
  EXPECT_FALSE(forked.is_inherited());
  ASSERT_FALSE(forked.wake());
  EXPECT_TRUE(comes_true([&] { return steps >= 2; }));
}

}  // namespace
