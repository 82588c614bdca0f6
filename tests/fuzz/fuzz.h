// SPDX-License-Identifier: Apache-2.0
//
// What the fuzz targets share. A target is one function, LLVMFuzzerTestOneInput, that takes any bytes and asks for more than to
// survive them: `require` ends the process where a promise does not hold. libFuzzer drives it, or replay.cpp, file by file.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "../support/temp_directory.h"

extern "C" {
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
// Of the sanitizers (sanitizer/allocator_interface.h); not there without one.
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, std::size_t),
                                              void (*on_free)(const volatile void*)) __attribute__((weak));
std::size_t __sanitizer_get_allocated_size(const volatile void* memory) __attribute__((weak));
}

namespace fuzz {

// A promise: where it does not hold, that is a finding. `seen` is what was met instead.
inline void require(bool holds, std::string_view promise, std::string_view seen = {}) {
  if (holds) [[likely]]
    return;
  std::fprintf(stderr, "broken promise: %.*s%s%.*s\n", static_cast<int>(promise.size()), promise.data(),
               seen.empty() ? "" : "\nseen: ", static_cast<int>(std::min<std::size_t>(seen.size(), 4000)), seen.data());
  std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Takes decisions and texts out of an input. Behind its end there are zeroes and empty texts.
class input {
 public:
  explicit input(std::string_view bytes) : left_(bytes) {}

  bool is_empty() const { return left_.empty(); }
  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(left_.front());
    left_.remove_prefix(1);
    return value;
  }
  std::uint64_t below(std::uint64_t n) { return (n <= 256 ? byte() : number<std::uint32_t>()) % n; }
  bool chance() { return (byte() & 1) != 0; }
  template <class Number>
  Number number() {
    Number value = 0;
    const std::size_t bytes = std::min(sizeof value, left_.size());
    std::memcpy(&value, left_.data(), bytes);
    left_.remove_prefix(bytes);
    return value;
  }
  // A length of a byte, and so many bytes. 255: of 254 bytes, repeated as often as the next byte says.
  std::string text() {
    const std::size_t bytes = byte();
    if (bytes != 255) return std::string(take(bytes));
    const std::size_t times = byte();
    const std::string_view once = take(254);
    std::string all;
    for (std::size_t i = 0; i < times; ++i) all += once;
    return all;
  }
  std::string_view take(std::size_t bytes) {
    const std::string_view taken = left_.substr(0, bytes);
    left_.remove_prefix(taken.size());
    return taken;
  }
  // Up to the separator, which is taken, too.
  std::string_view upto(char separator) {
    const std::string_view taken = left_.substr(0, left_.find(separator));
    left_.remove_prefix(std::min(taken.size() + 1, left_.size()));
    return taken;
  }
  std::string_view rest() { return take(left_.size()); }

 private:
  std::string_view left_;
};

// How much memory is in use at most from its construction on, as far as a sanitizer tells: without one, nothing.
class peak_memory {
 public:
  peak_memory() {
    static const bool installed =
        __sanitizer_install_malloc_and_free_hooks != nullptr && __sanitizer_install_malloc_and_free_hooks(taken, given) != 0;
    (void)installed;
    used = 0;
    most = 0;
  }
  std::uint64_t bytes() const { return static_cast<std::uint64_t>(std::max<std::int64_t>(most.load(), 0)); }

 private:
  static void taken(const volatile void* memory, std::size_t) {
    const std::int64_t now = used += static_cast<std::int64_t>(__sanitizer_get_allocated_size(memory));
    if (now > most.load(std::memory_order_relaxed)) most = now;  // one thread at a time does the work
  }
  static void given(const volatile void* memory) {
    if (memory != nullptr) used -= static_cast<std::int64_t>(__sanitizer_get_allocated_size(memory));
  }
  static inline std::atomic<std::int64_t> used = 0;
  static inline std::atomic<std::int64_t> most = 0;
};

using support::content_of;
using support::write_file;

// A directory of this process, empty at the beginning of each input.
class work_directory : public support::temp_directory {
 public:
  void clear() const {
    for (const auto& entry : std::filesystem::directory_iterator(path())) std::filesystem::remove_all(entry.path());
  }
};

// Text that a terminal shows as it is, in one line: no control characters, and none that turn the order around (in UTF-8).
inline bool is_plain(std::string_view text) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; };
  if (std::any_of(text.begin(), text.end(), is_control)) return false;
  for (std::size_t at = 0; at + 1 < text.size(); ++at) {
    const auto byte = [&](std::size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U; };
    if (byte(0) == 0xc2 && byte(1) >= 0x80 && byte(1) <= 0x9f) return false;                       // C1
    if (byte(0) == 0xd8 && byte(1) == 0x9c) return false;                                          // U+061C
    if (byte(0) == 0xe2 && byte(1) == 0x80 && byte(2) >= 0xa8 && byte(2) <= 0xae) return false;    // U+2028..E
    if (byte(0) == 0xe2 && byte(1) == 0x80 && (byte(2) == 0x8e || byte(2) == 0x8f)) return false;  // U+200E, F
    if (byte(0) == 0xe2 && byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9) return false;    // U+2066..9
  }
  return true;
}

}  // namespace fuzz
