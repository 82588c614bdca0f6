// SPDX-License-Identifier: Apache-2.0
//
// A plugin that does nothing: what the border itself costs.
#include <annals_plugin.h>
#include <cstdint>
#include <memory>
import annals.sdk;
#include "../counting_sink.h"
class null_sink final : public counting_sink {
 public:
  explicit null_sink(const annals::sdk::host&) {}
};
ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
    annals::sdk::describe<null_sink>({.name = "null", .version = "1.0.0", .license = "MIT"});
