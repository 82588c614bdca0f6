// SPDX-License-Identifier: Apache-2.0
//
// System calls that fail on demand, and clocks that a test sets. Included after `import annals.io;`.
#pragma once
#include "support/hooked_calls.h"

namespace support {

// The kernel's system calls, except for the faults that a test asked for:
//   faulty_calls calls;
//   calls.fail(call::write, ENOSPC).times(2);
// While it lives, the library's calls go through it.
class faulty_calls : public hooked_calls {
 public:
  faulty_calls() : hooked_calls([this](system_call& one) { return next(one); }, overridden_later{}) {}

  // Makes the next calls of this kind fail, for ever or as often as `times` says.
  faulty_calls& fail(call which, int error) {
    const std::lock_guard lock(mutex_);
    fault_ = {which, error, -1, 0};
    return *this;
  }
  // Lets so many calls of the kind through first.
  faulty_calls& after(int count) {
    const std::lock_guard lock(mutex_);
    fault_->skipped = count;
    return *this;
  }
  void times(int count) {
    const std::lock_guard lock(mutex_);
    fault_->left = count;
  }
  void heal() {
    const std::lock_guard lock(mutex_);
    fault_.reset();
    write_bytes_max_ = static_cast<std::size_t>(-1);
  }
  // No write takes more bytes than this.
  void shorten_writes(std::size_t bytes_max) {
    const std::lock_guard lock(mutex_);
    write_bytes_max_ = bytes_max;
  }
  // Every file system has this much room.
  void set_space(const annals::io::space_status& space) {
    const std::lock_guard lock(mutex_);
    space_ = space;
  }
  int count(call which) const {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(which);
    return found == counts_.end() ? 0 : found->second;
  }
  std::uint64_t bytes_read() const {
    const std::lock_guard lock(mutex_);
    return bytes_read_;
  }

 private:
  struct fault {
    call which;
    int error;
    int left;     // below 0: for ever
    int skipped;  // calls that succeed before
  };

  std::int64_t next(system_call& one) {
    {
      const std::lock_guard lock(mutex_);
      if (const int failed = check(one.which); failed != 0) return failed;
      if (one.which == call::write) one.count = std::min(one.count, write_bytes_max_);
      if (one.which == call::space_at && space_) {
        *one.disk = *space_;
        return 0;
      }
    }
    const std::int64_t done = one.run();
    if (one.which == call::read_at && done > 0) {
      const std::lock_guard lock(mutex_);
      bytes_read_ += static_cast<std::uint64_t>(done);
    }
    return done;
  }

  int check(call which) {
    ++counts_[which];
    if (!fault_ || fault_->which != which || fault_->left == 0) return 0;
    if (fault_->skipped > 0) {
      --fault_->skipped;
      return 0;
    }
    if (fault_->left > 0) --fault_->left;
    return -fault_->error;
  }

  mutable std::mutex mutex_;
  std::optional<fault> fault_;
  std::map<call, int> counts_;
  std::size_t write_bytes_max_ = static_cast<std::size_t>(-1);
  std::uint64_t bytes_read_ = 0;
  std::optional<annals::io::space_status> space_;
  annals::io::calls_override override_{*this};
};

}  // namespace support
