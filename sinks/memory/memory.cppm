// SPDX-License-Identifier: Apache-2.0
//
// annals.sinks.memory: a sink for tests. Keeps the lines in memory for the test to read, and fails when the test asks for it.
//
//   auto kept = std::make_shared<annals::memory_log>();
//   annals::audit_logger log({.sink = std::make_unique<annals::memory_sink>(kept)});
//   ... the tested code logs ...
//   EXPECT_EQ(kept->events().at(0).action, "denied");
module;
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>
export module annals.sinks.memory;
import annals.event;
import annals.sink;
#pragma GCC visibility push(default)

export namespace annals {

// What memory sinks have taken; several sinks may share one. Any thread.
class memory_log {
 public:
  std::vector<std::string> lines() const;  // without their newlines
  std::vector<event> events() const;
  std::size_t batches() const;  // how many calls of write succeeded
  std::size_t syncs() const;
  std::size_t reopens() const;
  void clear();  // forgets lines and counts

  // The next `times` calls of write, or of sync, throw this; -1: all, until the next call of the same function.
  void fail_writes(error cause, int times = -1);
  void fail_syncs(error cause, int times = -1);

 private:
  friend class memory_sink;
  struct fault {
    error cause;
    int times = 0;
  };
  static void meet(fault& one);

  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
  std::size_t batches_ = 0;
  std::size_t syncs_ = 0;
  std::size_t reopens_ = 0;
  std::uint64_t bytes_ = 0;
  fault writes_;
  fault sync_faults_;
};

class memory_sink final : public sink {
 public:
  explicit memory_sink(std::shared_ptr<memory_log> log);
  ~memory_sink() override;

  void write(const batch& lines) override;
  void sync() override;
  void reopen() override;
  annals::position position() override;  // {1, bytes taken since the log was made}

 private:
  std::shared_ptr<memory_log> log_;
};

}  // namespace annals
#pragma GCC visibility pop
