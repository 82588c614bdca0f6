// SPDX-License-Identifier: Apache-2.0
//
// The files of plugins/template/, which are part of the command.
#pragma once
#include <span>
#include <string_view>

namespace cli {

struct template_file {
  std::string_view name;
  std::string_view content;
};

std::span<const template_file> template_in_c();
std::span<const template_file> template_in_cpp();

}  // namespace cli
