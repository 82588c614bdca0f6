// SPDX-License-Identifier: Apache-2.0
//
// A plugin made with the SDK that checks its options: port (an integer), address (a text).
#include <annals_plugin.h>

#include <cstdint>
#include <memory>
#include <string>
import annals.sdk;

class strict_sink final : public annals::sink {
 public:
  explicit strict_sink(const annals::sdk::host& host) {
    annals::option_reader reader(host.options, "$.sink");
    (void)reader.integer("port", 1, 65535);
    (void)reader.text("address");
    reader.finish();
  }
  void write(const annals::batch& lines) override { bytes_ += lines.lines.size(); }
  void sync() override {}
  void reopen() override {}
  annals::position position() override { return {1, bytes_}; }

 private:
  std::uint64_t bytes_ = 0;
};
ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
    annals::sdk::describe<strict_sink>({.name = "strict", .version = "1.0.0", .license = "MIT"});
