// SPDX-License-Identifier: Apache-2.0
//
// annals rotate: closes the live segment of a log.
#include <cstdio>
#include <string>
#include <vector>

#include "complain.h"
#include "display/display.h"
#include "writing/commands.h"
import annals;

namespace cli {

int run_rotate(const rotate_arguments& arguments) {
  const auto closed = annals::rotate_log(arguments.file);
  if (!closed) {
    complain(closed.error().message);
    return io_error;
  }
  if (!*closed) {
    complain("nothing to close: '" + arguments.file + "' is empty or missing");
    return ok;
  }
  std::printf("%s\n", display::visible((*closed)->path).c_str());
  return std::fflush(stdout) == 0 ? ok : io_error;
}

}  // namespace cli
