// SPDX-License-Identifier: Apache-2.0
//
// The last 50 events of a log.
#include <cstddef>
#include <stdexcept>
#include <string>

#include "serve.h"
import annals;

int main() {
  constexpr std::size_t wanted = 50;
  return bench::serve({{"annals", [](const std::string& path) -> bench::calls {
                          return [path](std::size_t count) {
                            for (std::size_t i = 0; i < count; ++i) {
                              const auto events = annals::tail_log(path, wanted);
                              if (events.size() != wanted || events.back().action.empty()) {
                                throw std::runtime_error("tail_log did not return the last 50 events of " + path);
                              }
                            }
                          };
                        }}});
}
