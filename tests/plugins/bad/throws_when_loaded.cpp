// SPDX-License-Identifier: Apache-2.0
//
// A plugin in C++ that is good but for a static constructor that throws, which ends the process.
#include <annals_plugin.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
import annals.sdk;

namespace {

struct thrower {
  thrower() { throw std::runtime_error("thrown by a static constructor"); }
};
const thrower thrown;

class counting_sink final : public annals::sink {
 public:
  explicit counting_sink(const annals::sdk::host& host) { annals::option_reader(host.options, "$.sink").finish(); }
  void write(const annals::batch& lines) override { bytes_ += lines.lines.size(); }
  void sync() override {}
  void reopen() override {}
  annals::position position() override { return {1, bytes_}; }

 private:
  std::uint64_t bytes_ = 0;
};

}  // namespace

ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
    annals::sdk::describe<counting_sink>({.name = PLUGIN_NAME, .version = "1.0.0", .license = "MIT"});
