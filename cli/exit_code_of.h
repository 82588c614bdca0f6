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

// Reports that no segment of the log can be deleted, which its limits need. Returns the exit code, `code` where all is well.
inline int report_blocked_retention(const std::string& log, int code) {
  const auto fault = annals::retention_fault(log);
  if (!fault) return code;
  complain_lines(fault->message);
  return code == ok ? static_cast<int>(io_error) : code;
}

}  // namespace cli
