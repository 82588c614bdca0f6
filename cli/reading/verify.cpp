// SPDX-License-Identifier: Apache-2.0
//
// annals verify: reads all of a log, and reports what is damaged or missing.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "complain.h"
#include "reading/commands.h"
import annals;
#include "display/pretty.h"
#include "reading/output.h"

namespace cli {

int run_verify(const verify_arguments& arguments) try {
  if (!is_log(arguments.file)) return io_error;
  damage_printer damages;
  const auto every_event = [&damages](const annals::event&) {
    damages.flush();
    return true;
  };
  const annals::scan_result read = annals::scan(
      arguments.file, {}, every_event, {.reading = reporting_to(damages), .threads = arguments.threads, .check_facts = true});
  damages.flush();
  const int code = damages.code(ok);
  std::printf("%s: %llu events, %llu bytes of lines read: %s\n", annals::visible(arguments.file).c_str(),
              static_cast<unsigned long long>(read.events), static_cast<unsigned long long>(read.bytes),
              code == ok ? "no damage" : "damaged, see above");
  return end_output(code);
} catch (const annals::failure& failed) {
  complain(failed.what());
  return io_error;
}

}  // namespace cli
