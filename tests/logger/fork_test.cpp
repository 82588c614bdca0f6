// SPDX-License-Identifier: Apache-2.0
// What a fork takes and releases.
#include <gtest/gtest.h>

#include <latch>
#include <mutex>
#include <thread>

#include "support/child.h"
import annals;
import annals.delivery;

namespace {

// The thread adds and removes a hook while it holds a lock that the fork waits for, as a sink does that opens a logger.
TEST(fork, waits_for_a_thread_that_adds_a_hook_under_a_lock_of_another_hook) {
  std::mutex first;
  std::mutex second;
  const annals::fork_hook hook({&first, &second});
  std::latch holds(1);
  std::thread adding([&] {
    const std::lock_guard held(second);
    holds.count_down();
    while (first.try_lock()) {  // until the fork holds it, and so waits for `second`
      first.unlock();
      std::this_thread::yield();
    }
    std::mutex third;
    const annals::fork_hook added({&third});
  });
  holds.wait();
  support::expect_zero_in_child([&] {
    const bool are_free = first.try_lock() && second.try_lock();
    return are_free ? 0 : 1;
  });
  adding.join();
  const bool are_free = first.try_lock() && second.try_lock();
  EXPECT_TRUE(are_free);
  if (!are_free) return;
  second.unlock();
  first.unlock();
}

}  // namespace
