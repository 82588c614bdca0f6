// SPDX-License-Identifier: Apache-2.0
//
// An operator new that fails when it is told to. For programs of their own, without sanitizers, which have theirs.
#pragma once
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

namespace support {

// While it lives, allocation number `nth` of the process fails, or all from that one on.
class failing_memory {
 public:
  failing_memory(long nth, bool for_ever) {
    seen = 0;
    first_to_fail = nth;
    fails_for_ever = for_ever;
    std::set_terminate([] {
      std::fprintf(stderr, "the process was ended while allocation %ld failed, %s\n", first_to_fail.load(),
                   fails_for_ever ? "and all after it" : "once");
      std::abort();
    });
    armed = true;
  }
  ~failing_memory() { heal(); }
  failing_memory(const failing_memory&) = delete;
  failing_memory& operator=(const failing_memory&) = delete;

  static void heal() { armed = false; }
  static long count() { return seen; }

  static void check() {
    if (!armed.load(std::memory_order_relaxed)) return;
    const long number = ++seen;
    if (number == first_to_fail || (fails_for_ever && number > first_to_fail)) throw std::bad_alloc();
  }

 private:
  static inline std::atomic<bool> armed = false;
  static inline std::atomic<bool> fails_for_ever = false;
  static inline std::atomic<long> seen = 0;
  static inline std::atomic<long> first_to_fail = 0;
};

}  // namespace support

void* operator new(std::size_t bytes) {
  support::failing_memory::check();
  void* const memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  support::failing_memory::check();
  const auto step = static_cast<std::size_t>(alignment);
  void* const memory = std::aligned_alloc(step, (bytes + step - 1) / step * step);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
