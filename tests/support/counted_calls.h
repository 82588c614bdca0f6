// SPDX-License-Identifier: Apache-2.0
//
// Something happens at the Nth system call, whichever it is: the process is killed there, or the call fails, once or from then
// on. Included after `import annals.io;`.
#pragma once
#include "support/hooked_calls.h"

namespace support {

enum class at_call { count, kill, fail_once, fail_for_ever };

// While it lives, the library's system calls are counted from 1. A call that closes or unlocks is made even if it fails.
class counted_calls {
 public:
  // `at` gets the number of each call before the kernel does it: 0 lets it, -errno makes it fail.
  explicit counted_calls(std::function<int(int number)> at)
      : at_(std::move(at)), calls_([this](system_call& one) { return next(one); }) {}
  counted_calls(at_call what, int at, int error = EIO)
      : counted_calls([what, at, error](int number) {
          if (what == at_call::count || number < at || (number > at && what != at_call::fail_for_ever)) return 0;
          if (what == at_call::kill) ::kill(::getpid(), SIGKILL);
          return -error;
        }) {}

  int count() const { return count_; }
  const std::string& name() const { return name_; }  // of the first call that failed

 private:
  std::int64_t next(system_call& one) {
    const int failed = at_(++count_);
    if (failed == 0) return one.run();
    if (name_.empty()) name_ = name_of(one.which);
    if (one.which == call::unlock) return one.run();
    if (one.which == call::close) (void)one.run();
    return failed;
  }

  std::function<int(int number)> at_;
  int count_ = 0;
  std::string name_;
  hooked_calls calls_;
};

// Runs `body` in a child of fork(2) that is killed at its Nth system call. True where it got to its end before that.
template <class Body>
bool survives_until_killed_at(int nth, Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(240);
    const counted_calls calls(at_call::kill, nth);
    body();
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) || WTERMSIG(status) == SIGKILL) << "ended by signal " << WTERMSIG(status);
  EXPECT_TRUE(!WIFEXITED(status) || WEXITSTATUS(status) == 0) << "ended with " << WEXITSTATUS(status);
  return WIFEXITED(status);
}

}  // namespace support
