// SPDX-License-Identifier: Apache-2.0
//
// A plugin, to see that the package has what authors of plugins need.
#include <annals_plugin.h>
import annals.sdk;

namespace {

class nothing_sink final : public annals::sink {
 public:
  explicit nothing_sink(const annals::sdk::host& host) { annals::option_reader(host.options, "$.sink").finish(); }
  void write(const annals::batch& lines) override { place_.offset += lines.lines.size(); }
  void sync() override {}
  void reopen() override {}
  annals::position position() override { return place_; }

 private:
  annals::position place_{1, 0};
};

}  // namespace

ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
    annals::sdk::describe<nothing_sink>({.name = "nothing", .version = "1.0.0", .license = "Apache-2.0"});
