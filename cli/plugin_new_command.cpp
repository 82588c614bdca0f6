// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
namespace cli {
int run_plugin_new(const plugin_new_arguments&) {
  return 0;
}
}  // namespace cli
