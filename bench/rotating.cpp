// SPDX-License-Identifier: Apache-2.0
//
// What rotation costs: one event through log_event to the plain file sink, and to the sink `rotate`, which closes segments of
// 64 MiB. Each is in the kernel on return.
//
//   rotating PLUGIN
#include <cstddef>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "sample.h"
#include "serve.h"
import annals;

namespace {

bench::calls logging_with(annals::logger_options options) {
  auto log = std::make_shared<annals::audit_logger>(std::move(options));
  return [log](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const annals::receipt made =
          log->log_event(sample::container, sample::action, {.dest = sample::dest, .detail = sample::detail});
      if (!made.accepted()) throw std::runtime_error(std::string(made.message()));
    }
  };
}

bench::calls rotating(const std::string& path, const std::string& plugin) {
  const std::vector<annals::option> options = {{"size", annals::option_kind::text, "64MiB"}};
  auto sink = annals::load_plugin(plugin).value().make_sink({.options = options, .log_path = path});
  return logging_with({.path = path, .sink = std::move(sink)});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: rotating PLUGIN\n";
    return 2;
  }
  const std::string plugin = argv[1];
  return bench::serve({
      {"plain", [](const std::string& path) { return logging_with({.path = path}); }},
      {"rotate", [plugin](const std::string& path) { return rotating(path, plugin); }},
  });
}
