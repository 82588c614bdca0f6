// SPDX-License-Identifier: Apache-2.0
//
// A plugin made with the SDK that checks its options: port (an integer), address (a text).
#include <annals_plugin.h>

#include <cstdint>
#include <memory>
#include <string>
import annals.sdk;
#include "../counting_sink.h"

class strict_sink final : public counting_sink {
 public:
  explicit strict_sink(const annals::sdk::host& host) {
    annals::option_reader reader(host.options, "$.sink");
    (void)reader.integer("port", 1, 65535);
    (void)reader.text("address");
    reader.finish();
  }
};
ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
    annals::sdk::describe<strict_sink>({.name = "strict", .version = "1.0.0", .license = "MIT"});
