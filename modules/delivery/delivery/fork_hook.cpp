// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>
module annals.delivery;

namespace annals {

namespace {

// All hooks of the process, and what happens at a fork.
class fork_guard {
 public:
  static fork_guard& instance;

  void add(const fork_hook& one) {
    const std::lock_guard lock(mutex_);
    locks_count_ += one.locks.size();
    locked_.reserve(locks_count_);
    all_.push_back(&one);
  }
  void remove(const fork_hook& one) noexcept {
    const std::lock_guard lock(mutex_);
    locks_count_ -= one.locks.size();
    std::erase(all_, &one);
  }

 private:
  fork_guard() { (void)io::at_fork(prepare, release, release_in_child); }
  static void prepare();
  static void release();
  static void release_in_child();

  std::mutex mutex_;
  std::vector<const fork_hook*> all_;
  std::size_t locks_count_ = 0;
  std::vector<std::mutex*> locked_;  // between prepare and release; with room for all, so that prepare allocates nothing
};

// Made when the library is loaded, so that no fork finds it half made. Never destroyed, so that a logger may outlive it.
fork_guard& fork_guard::instance = *new fork_guard;

// False where the lock stays taken: its holder may be waiting for a lock that this thread has.
bool lock_soon(std::mutex& one) {
  constexpr std::chrono::milliseconds patience{20};
  constexpr std::chrono::microseconds pause{50};
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!one.try_lock()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(pause);
  }
  return true;
}

// Locks all, in whatever order other threads lock some of them (a sink may own a logger). As std::lock does, it starts again
// with the lock that stayed taken, and holds nothing in between, its own lock included: the holder may be adding or removing a
// hook.
void fork_guard::prepare() {
  constexpr std::chrono::microseconds pause{50};
  std::vector<std::mutex*>& locks = instance.locked_;
  for (const std::mutex* taken = nullptr;;) {
    instance.mutex_.lock();
    locks.clear();
    for (const fork_hook* const one : instance.all_) locks.insert(locks.end(), one->locks.begin(), one->locks.end());
    const auto first = std::find(locks.begin(), locks.end(), taken);  // it may be gone
    if (first != locks.end()) std::swap(locks.front(), *first);
    std::size_t held = 0;
    while (held < locks.size() && lock_soon(*locks[held])) ++held;
    if (held == locks.size()) return;
    taken = locks[held];
    for (std::size_t i = 0; i < held; ++i) locks[i]->unlock();
    instance.mutex_.unlock();
    std::this_thread::sleep_for(pause);
  }
}

void fork_guard::release() {
  for (std::mutex* const one : instance.locked_) one->unlock();
  instance.mutex_.unlock();
}

void fork_guard::release_in_child() {
  for (const fork_hook* const one : instance.all_) {
    if (one->in_child) one->in_child();
  }
  release();
}

}  // namespace

fork_hook::fork_hook(std::vector<std::mutex*> held, std::function<void()> call)
    : locks(std::move(held)), in_child(std::move(call)) {
  fork_guard::instance.add(*this);
}

fork_hook::~fork_hook() {
  fork_guard::instance.remove(*this);
}

}  // namespace annals
