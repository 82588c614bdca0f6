// SPDX-License-Identifier: Apache-2.0
//
// The command line of `annals cat` and `annals query`.
#pragma once
#include "plugins/options.h"

namespace cli {

selected add_reading_commands(CLI::App& app);

}  // namespace cli
