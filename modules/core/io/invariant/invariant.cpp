// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdio>
#include <cstdlib>
#include <source_location>
module annals.io.invariant;

namespace annals {

void report_broken_invariant(const char* meaning, const std::source_location& where) noexcept {
  (void)std::fprintf(stderr, "annals: %s:%u: broken invariant: %s\n", where.file_name(), static_cast<unsigned>(where.line()),
                     meaning);
  std::abort();
}

}  // namespace annals
