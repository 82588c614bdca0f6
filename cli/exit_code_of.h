// SPDX-License-Identifier: Apache-2.0
//
// Which exit code tells of a configuration that is not used. Included after `import annals;` and commands.h, and so includes
// nothing itself.
#pragma once

namespace cli {

inline int exit_code_of(const annals::error& cause) {
  const bool unreadable = cause.code == annals::errc::io || cause.code == annals::errc::not_a_regular_file;
  return unreadable ? io_error : refused;
}

}  // namespace cli
