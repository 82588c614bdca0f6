// SPDX-License-Identifier: Apache-2.0
//
// The path of an event takes nothing from the heap. In a program of its own, since it replaces operator new.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "support/temp_directory.h"
import annals;

namespace {

std::atomic<long> allocations = 0;

}  // namespace

void* operator new(std::size_t bytes) {
  ++allocations;
  void* const memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace {

TEST(log_event_of_any_kind, takes_nothing_from_the_heap) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl"});
  const std::string long_text(100'000, 'x');
  const std::string escapes(500, '\n');
  const std::vector<annals::field> fields = {{"s", "text"},  {"i", -1},
                                             {"d", 0.1},     {"b", true},
                                             {"n", nullptr}, {"raw", annals::raw_json{R"({"a":[1,"b\n",{"c":null}]})"}}};
  const auto log_all = [&] {
    ASSERT_TRUE(log.log_event("web", "x"));
    ASSERT_TRUE(log.log_event("web", "x", {.dest = "203.0.113.7:443", .detail = escapes}));
    ASSERT_TRUE(log.log_event("web", "x", {.fields = fields}));
    ASSERT_TRUE(log.log_event("web", "x", {.detail = long_text}));
  };
  log_all();  // opens the file, and gets the buffer for long lines
  const long before = allocations;
  for (int i = 0; i < 100; ++i) log_all();
  EXPECT_EQ(allocations - before, 0);
  log.set_enabled(false);
  EXPECT_TRUE(log.log_event("web", "x", {.fields = fields}));
  EXPECT_EQ(allocations - before, 0);
}

}  // namespace
