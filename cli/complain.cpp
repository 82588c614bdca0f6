// SPDX-License-Identifier: Apache-2.0
#include "complain.h"

#include <cstddef>
#include <cstdio>
#include <string_view>

#include "display/display.h"

namespace cli {

void complain(std::string_view message) {
  std::fprintf(stderr, "annals: %s\n", display::visible(message).c_str());
}

void complain_lines(std::string_view message) {
  while (!message.empty()) {
    const std::size_t end = message.find('\n');
    complain(message.substr(0, end));
    message.remove_prefix(end == std::string_view::npos ? message.size() : end + 1);
  }
}

}  // namespace cli
