// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>
module annals.logger;
import annals.archiver;
import annals.drain;
import annals.io;
import annals.durable;
import annals.json;
import annals.reader;
import annals.ring;
import annals.segment;
import annals.sinks.file;
#include "state.h"

namespace annals {

// Made when the library is loaded, so that no fork finds it half made; never destroyed, so that a logger may outlive it.
fork_guard& fork_guard::instance = *new fork_guard;

fork_guard::fork_guard() {
  (void)io::at_fork(prepare, release, release_in_child);
}

void fork_guard::add(fork_participant& one) {
  const std::lock_guard lock(mutex_);
  locked_.reserve((all_.size() + 1) * std::tuple_size_v<fork_participant::locks>);
  all_.push_back(&one);
}

void fork_guard::remove(fork_participant& one) noexcept {
  const std::lock_guard lock(mutex_);
  std::erase(all_, &one);
}

// Whoever has the lock gives it back soon, unless he waits for one that we hold: then we are to begin again.
bool fork_guard::lock_soon(std::mutex& one) {
  constexpr std::chrono::milliseconds patience{20};
  constexpr std::chrono::microseconds pause{50};
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!one.try_lock()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(pause);
  }
  return true;
}

// Locks all, whatever order other threads lock some of them in (a sink may own a logger): waits for one lock while it has
// no other, and begins again with the one that was not free, as std::lock does.
void fork_guard::prepare() {
  instance.mutex_.lock();
  std::vector<std::mutex*>& locks = instance.locked_;
  locks.clear();
  for (fork_participant* const one : instance.all_) {
    const fork_participant::locks of_one = one->fork_locks();
    locks.insert(locks.end(), of_one.begin(), of_one.end());
  }
  for (std::size_t first = 0; first < locks.size();) {
    std::swap(locks.front(), locks[first]);
    locks.front()->lock();
    std::size_t held = 1;
    while (held < locks.size() && lock_soon(*locks[held])) ++held;
    if (held == locks.size()) return;
    for (std::size_t i = 0; i < held; ++i) locks[i]->unlock();
    first = held;
  }
}

void fork_guard::release() {
  for (std::mutex* const one : instance.locked_) one->unlock();
  instance.mutex_.unlock();
}

void fork_guard::release_in_child() {
  for (fork_participant* const one : instance.all_) one->become_child();
  release();
}

}  // namespace annals
