// SPDX-License-Identifier: Apache-2.0
//
// A plugin in C++ that is good but for a static constructor that throws, which ends the process.
#include <annals_plugin.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
import annals.sdk;
#include "../counting_sink.h"

namespace {

struct thrower {
  thrower() { throw std::runtime_error("thrown by a static constructor"); }
};
const thrower thrown;

class strict_sink final : public counting_sink {
 public:
  explicit strict_sink(const annals::sdk::host& host) { annals::option_reader(host.options, "$.sink").finish(); }
};

}  // namespace

ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
    annals::sdk::describe<strict_sink>({.name = PLUGIN_NAME, .version = "1.0.0", .license = "MIT"});
