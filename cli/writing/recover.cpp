// SPDX-License-Identifier: Apache-2.0
//
// annals recover: brings into a log what a dead process left in its ring, and a loss of power in its journal.
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "complain.h"
#include "writing/commands.h"
import annals;

namespace cli {

int run_recover(const recover_arguments& arguments) {
  const auto done = annals::recover_log(arguments.file, [](const annals::notice& what) { complain(what.message); });
  if (!done) {
    complain(done.error().message);
    return done.error().code == annals::errc::invalid_argument ? refused : io_error;
  }
  if (!done->found) {
    complain("there is nothing to recover: '" + arguments.file + "' has neither a ring nor a journal");
    return ok;
  }
  std::printf("%llu events recovered\n", static_cast<unsigned long long>(done->events));
  return end_output(ok);
}

}  // namespace cli
