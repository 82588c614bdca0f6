// SPDX-License-Identifier: Apache-2.0
//
// The command line of `annals archive`.
#pragma once
#include "plugins/options.h"

namespace cli {

selected add_archive_command(CLI::App& app);

}  // namespace cli
