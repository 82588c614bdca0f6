// SPDX-License-Identifier: Apache-2.0
//
// What the border to a plugin costs: one event through log_event to a sink that only counts bytes, compiled into this program
// or loaded at run time. The paths that the driver gives are not used: no file is written.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "sample.h"
#include "serve.h"
import annals;

namespace {

// The same as tests/plugins/loader/null.cpp, which is the plugin.
class null_sink final : public annals::sink {
 public:
  void write(const annals::batch& lines) override { bytes_ += lines.lines.size(); }
  void sync() override {}
  void reopen() override {}
  annals::position position() override { return {1, bytes_}; }

 private:
  std::uint64_t bytes_ = 0;
};

bench::calls logging_to(std::unique_ptr<annals::sink> sink) {
  annals::sink* const counted = sink.get();
  auto log = std::make_shared<annals::audit_logger>(annals::logger_options{.sink = std::move(sink)});
  return [log, counted](std::size_t count) {
    const std::uint64_t before = counted->position().offset;
    for (std::size_t i = 0; i < count; ++i) {
      (void)log->log_event(sample::container, sample::action, {.dest = sample::dest, .detail = sample::detail});
    }
    if (counted->position().offset - before != count * sample::line.size()) {
      throw std::runtime_error("the sink has not got every byte");
    }
  };
}

}  // namespace

int main() {
  return bench::serve({
      {"built-in", [](const std::string&) { return logging_to(std::make_unique<null_sink>()); }},
      {"plugin", [](const std::string&) { return logging_to(annals::load_plugin(NULL_PLUGIN).value().make_sink({})); }},
  });
}
