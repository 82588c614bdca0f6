// SPDX-License-Identifier: Apache-2.0
//
// The plugins that were built for these tests, copied to where their loader trusts them: the build's own directories may be
// writable by others.
#pragma once
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "support/temp_directory.h"

namespace support {

// Copies the plugin of this variant into `directory`; returns its path there.
inline std::string plugin_in(const temp_directory& directory, const std::string& variant, const std::string& name = "broken") {
  const std::string to = directory / ("annals_" + name + ".so");
  std::filesystem::copy_file(std::string(PLUGINS "/") + variant + "/annals_" + name + ".so", to);
  EXPECT_EQ(::chmod(to.c_str(), 0644), 0);
  return to;
}

}  // namespace support
