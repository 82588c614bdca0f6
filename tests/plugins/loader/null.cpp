// SPDX-License-Identifier: Apache-2.0
//
// A plugin that does nothing: what the border itself costs.
#include <annals_plugin.h>
#include <cstdint>
#include <memory>
import annals.sdk;
class null_sink final : public annals::sink {
 public:
  explicit null_sink(const annals::sdk::host&) {}
  void write(const annals::batch& lines) override { bytes_ += lines.lines.size(); }
  void sync() override {}
  void reopen() override {}
  annals::position position() override { return {1, bytes_}; }

 private:
  std::uint64_t bytes_ = 0;
};
ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
    annals::sdk::describe<null_sink>({.name = "null", .version = "1.0.0", .license = "MIT"});
