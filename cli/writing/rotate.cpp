// SPDX-License-Identifier: Apache-2.0
//
// annals rotate: closes the live segment of a log.
#include <cstdio>
#include <string>
#include <vector>

#include "complain.h"
#include "writing/commands.h"
import annals;

namespace cli {

int run_rotate(const rotate_arguments& arguments) {
  const auto closed = annals::rotate_log(arguments.file);
  if (!closed) {
    complain(closed.error().message);
    return closed.error().code == annals::errc::invalid_argument ? refused : io_error;
  }
  if (!*closed) {
    complain("nothing to close: '" + arguments.file + "' is empty or missing");
    return ok;
  }
  std::printf("%s\n", annals::visible((*closed)->path).c_str());
  return end_output(ok);
}

}  // namespace cli
