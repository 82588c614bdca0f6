// SPDX-License-Identifier: Apache-2.0
module;
#include <sys/mman.h>

#include <cstddef>
#include <string>
#include <utility>
module annals.io.mappings;
import annals.io.files;

namespace annals::io {

mapping::mapping(mapping&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

mapping& mapping::operator=(mapping&& other) noexcept {
  if (this != &other) {
    if (memory_ != nullptr) ::munmap(memory_, bytes_);
    memory_ = std::exchange(other.memory_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

mapping::~mapping() {
  if (memory_ != nullptr) ::munmap(memory_, bytes_);
}

result<mapping> mapping::of(const std::string& path, std::size_t bytes, const file_status& expected) {
  auto opened = file::open(path, open_for::locking);
  if (!opened) return std::move(opened.error());
  const auto status = opened->status();
  if (!status) return status.error();
  if (!same_file(*status, expected) || status->bytes < bytes) {
    return error{errc::io, 0, "cannot map '" + path + "': it was replaced or cut at this moment"};
  }
  mapping made;
  const int failed = calls().map_shared(opened->descriptor(), bytes, made.memory_);
  if (failed < 0) return system_error("map", path, failed);
  made.bytes_ = bytes;
  return made;
}

}  // namespace annals::io
