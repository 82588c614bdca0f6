// SPDX-License-Identifier: Apache-2.0
//
// The exit codes of the commands. Data goes to standard output, everything else to standard error.
#pragma once

namespace cli {

enum exit_code : int {
  ok = 0,
  refused = 1,   // some of the input was refused; the rest is done
  usage = 2,     // the command line makes no sense
  io_error = 3,  // the system refused
};

}  // namespace cli
