// SPDX-License-Identifier: Apache-2.0
//
// The command line of what is done to the segments of a log: `segments`, `prune`, `hold add|list|remove`, `adopt`.
#pragma once
#include "plugins/options.h"

namespace cli {

// To be called once the line is parsed, and where one of these commands is in it.
selected add_maintenance_commands(CLI::App& app);
bool is_maintenance(const CLI::App& app);

}  // namespace cli
