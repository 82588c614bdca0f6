// SPDX-License-Identifier: Apache-2.0
//
// annals cat: all lines of logs.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "complain.h"
#include "display/display.h"
#include "reading/commands.h"
import annals;
#include "display/pretty.h"
#include "reading/output.h"

namespace cli {

namespace {

// Writes all of it to standard output; false when that fails, and errno then says why.
bool write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

// Lets whoever reads from the pipe, if it is one, take what was written while we decode on: a pipe holds 64 KiB otherwise.
void widen_pipe() {
  constexpr int bytes = 1024 * 1024;  // what proc(5) lets anybody have (pipe-max-size)
  (void)::fcntl(STDOUT_FILENO, F_SETPIPE_SZ, bytes);
}

// For a terminal, which must not obey what was logged: line by line, long ones in parts.
class visible_writer {
 public:
  bool operator()(std::string_view bytes) {
    constexpr std::size_t part_bytes_max = 64 * 1024;
    while (!bytes.empty()) {
      const std::size_t newline = bytes.find('\n');
      line_ += bytes.substr(0, newline);
      bytes.remove_prefix(newline == std::string_view::npos ? bytes.size() : newline + 1);
      const bool whole = newline != std::string_view::npos;
      if (!whole && line_.size() < part_bytes_max) continue;
      if (!write_all(display::visible_json(line_) + (whole ? "\n" : ""))) return false;
      line_.clear();
    }
    return true;
  }

 private:
  std::string line_;
};

}  // namespace

int run_cat(const cat_arguments& arguments) try {
  ::signal(SIGPIPE, SIG_IGN);
  damage_printer damages;
  visible_writer to_terminal;
  int code = ok;
  const bool terminal = is_terminal();
  widen_pipe();
  bool failed = false;
  const auto take = [&](std::string_view piece) {
    damages.flush();
    if (terminal ? to_terminal(piece) : write_all(piece)) return true;
    failed = true;
    code = output_failed();
    return false;
  };
  for (const std::string& file : without_parts_of_logs(arguments.files)) {
    if (!is_log(file)) {
      code = io_error;
      continue;
    }
    (void)annals::read_lines(file, take, reporting_to(damages));
    if (failed) break;
  }
  damages.flush();
  return code == ok && !failed ? damages.code(ok) : code;
} catch (const annals::failure& failed) {
  complain(failed.what());
  return io_error;
}

}  // namespace cli
