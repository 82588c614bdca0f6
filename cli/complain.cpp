// SPDX-License-Identifier: Apache-2.0
#include "complain.h"

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "exit_code.h"

import annals.event.text;

namespace cli {

void complain(std::string_view message) {
  std::fprintf(stderr, "annals: %s\n", annals::visible(message).c_str());
}

void complain_lines(std::string_view message) {
  complain(message.substr(0, message.find('\n')));
  for (std::size_t end = message.find('\n'); end != std::string_view::npos;) {
    message.remove_prefix(end + 1);
    end = message.find('\n');
    const std::string_view line = message.substr(0, end);
    complain((line.starts_with("  ") ? "" : "  ") + std::string(line));
  }
}

int output_failed() {
  const int cause = errno;
  if (cause == EPIPE) return ok;
  complain(std::string("cannot write the output: ") + std::strerror(cause));
  return io_error;
}

int end_output(int code) {
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0 ? code : output_failed();
}

}  // namespace cli
