// SPDX-License-Identifier: Apache-2.0
//
// annals adopt: files that others rotated become segments of a log.
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "complain.h"
#include "exit_code.h"
import annals;
#include "exit_code_of.h"
#include "keeping/commands.h"

namespace cli {

int run_adopt(const adopt_arguments& arguments) {
  const auto files =
      arguments.yes ? annals::adopt(arguments.file, arguments.files) : annals::plan_adoption(arguments.file, arguments.files);
  if (!files) {
    complain_lines(files.error().message);
    return files.error().code == annals::errc::invalid_argument ? refused : io_error;
  }
  for (const annals::adopted_file& one : *files) {
    std::printf("%s %s -> %s\n", arguments.yes ? "renamed" : "would rename", annals::visible(one.from).c_str(),
                annals::visible(one.to).c_str());
  }
  if (!arguments.yes) complain("nothing was done; --yes does it");
  return end_output(ok);
}

}  // namespace cli
