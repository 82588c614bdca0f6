// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <optional>
#include <string>
module annals.retention;

namespace annals {

result<std::optional<segment_info>> rotation_request::serve(const std::string& path) {
  if (!asked_.exchange(false)) return std::optional<segment_info>();  // what is asked for from here on is for the next call
  auto closed = rotate_log(path);
  if (!closed) ask();
  return closed;
}

}  // namespace annals
