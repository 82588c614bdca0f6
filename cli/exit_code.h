// SPDX-License-Identifier: Apache-2.0
//
// The exit codes of the commands. Data goes to standard output, everything else to standard error.
#pragma once

namespace cli {

enum exit_code : int {
  ok = 0,
  refused = 1,   // some of the input was refused; the rest is done
  no_match = 1,  // a search found nothing
  usage = 2,     // the command line makes no sense
  io_error = 3,  // the system refused
  damaged = 4,   // all that can be read was read, and some of the log cannot
};

}  // namespace cli
