// SPDX-License-Identifier: Apache-2.0
//
// A plugin that offers an archiver and no sink. The archiver fails.
#include <annals_plugin.h>

#include <memory>
import annals.sdk;

class failing_archiver final : public annals::archiver {
 public:
  explicit failing_archiver(const annals::sdk::host& host) { annals::option_reader(host.options, "$.archive").finish(); }
  void archive(const annals::closed_segment& segment) override {
    throw annals::sink_error({annals::errc::io, 5, "cannot archive '" + segment.path + "': on purpose"});
  }
};
ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
    annals::sdk::describe<failing_archiver>({.name = "archiver", .version = "1.0.0", .license = "MIT"});
