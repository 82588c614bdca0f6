// SPDX-License-Identifier: Apache-2.0
//
// annals adopt: files that others rotated become segments of a log.
#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "complain.h"
#include "exit_code.h"
import annals;
#include "exit_code_of.h"
#include "keeping/commands.h"

namespace cli {

namespace {

// The files that are given, without those that belong to the log itself: a pattern like audit.jsonl.* gives them, too.
std::vector<std::string> foreign_files(const adopt_arguments& arguments) {
  std::vector<std::string> files;
  for (const std::string& one : arguments.files) {
    const std::string_view ending = std::string_view(one).substr(std::min(arguments.file.size(), one.size()));
    const bool is_own = one.starts_with(arguments.file) && (ending == ".holds" || ending == ".deleted" || ending == ".lock" ||
                                                            ending == ".ring" || ending == ".journal");
    if (is_own) {
      complain("'" + one + "' belongs to the log and is left alone");
    } else {
      files.push_back(one);
    }
  }
  return files;
}

}  // namespace

int run_adopt(const adopt_arguments& arguments) {
  const std::vector<std::string> given = foreign_files(arguments);
  if (given.empty()) {
    complain("there is no file to adopt");
    return refused;
  }
  const auto files = arguments.yes ? annals::adopt(arguments.file, given) : annals::plan_adoption(arguments.file, given);
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
