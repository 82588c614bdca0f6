// SPDX-License-Identifier: Apache-2.0
//
// The command line of what concerns configurations and plugins: `config check`, `plugins`, `plugin check`, `plugin new`.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>

namespace cli {

using selected = std::function<int()>;  // runs the command that was asked for; to be called once the line is parsed

selected add_plugin_commands(CLI::App& app);

}  // namespace cli
