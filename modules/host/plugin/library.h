// SPDX-License-Identifier: Apache-2.0
//
// A loaded plugin, for the implementation files of annals.plugin. Includes nothing: they include it behind their imports.
#pragma once

namespace annals {

struct plugin::library {
  boost::dll::shared_library handle;
  plugin_info info;
  const void* descriptor = nullptr;
  annals_sink_functions sink = {};          // what the plugin does not have is null
  annals_archiver_functions archiver = {};  // likewise
};

inline std::string abi_text(unsigned major, unsigned minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

}  // namespace annals
