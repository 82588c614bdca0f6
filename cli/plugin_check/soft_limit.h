// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/resource.h>

#include <algorithm>

namespace cli::check {

// Lowers a limit of the process for as long as it lives.
class soft_limit {
 public:
  soft_limit(__rlimit_resource which, rlim_t value) : which_(which) {
    ::getrlimit(which_, &before_);
    const rlimit lowered = {std::min(value, before_.rlim_max), before_.rlim_max};
    ::setrlimit(which_, &lowered);
  }
  ~soft_limit() { ::setrlimit(which_, &before_); }
  soft_limit(const soft_limit&) = delete;
  soft_limit& operator=(const soft_limit&) = delete;

 private:
  __rlimit_resource which_;
  rlimit before_ = {};
};

}  // namespace cli::check
