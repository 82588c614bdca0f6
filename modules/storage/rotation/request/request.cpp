// SPDX-License-Identifier: Apache-2.0
module;
#include <optional>
#include <string>
module annals.rotation.request;
import annals.rotation;

namespace annals {

result<std::optional<closed_segment>> rotate_log(const std::string& path) {
  return rotation::rotate(path);
}

result<std::optional<closed_segment>> rotation_request::serve(const std::string& path) {
  if (!asked_.exchange(false)) return std::optional<closed_segment>();  // later requests are for the next call
  auto closed = rotate_log(path);
  if (!closed) ask();
  return closed;
}

}  // namespace annals
