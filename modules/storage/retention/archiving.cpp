// SPDX-License-Identifier: Apache-2.0
module;
#include <cerrno>
#include <exception>
#include <optional>
#include <string>
module annals.retention;
import annals.rotation.lock;

namespace annals {

std::optional<error> archive_segment(const std::string& path, const closed_segment& segment, archiver& with) try {
  const auto claimed = rotation::claim::of_segment(path, segment.number);
  if (!claimed) return claimed.error();
  if (!*claimed) {
    return error{errc::io, EWOULDBLOCK, "cannot archive '" + segment.path + "': another process archives or deletes it"};
  }
  with.archive(segment);
  return std::nullopt;
} catch (const failure& thrown) {
  return thrown.cause();
} catch (const std::exception& thrown) {
  return error{errc::sink_failed, 0, "cannot archive '" + segment.path + "': " + thrown.what()};
}

}  // namespace annals
