// SPDX-License-Identifier: Apache-2.0
module;
#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
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

result<int> open_to_map(const std::string& path, std::size_t bytes, const file_status& expected) {
  int fd = -EINTR;
  while (fd == -EINTR) fd = calls().open_in(AT_FDCWD, path.c_str(), open_for::locking);  // unlike open(), it never creates
  if (fd < 0) return system_error("open to map", path, fd);
  const auto status = detail::status(fd, path);
  if (status && same_file(*status, expected) && status->bytes >= bytes) return fd;
  calls().close(fd);
  if (!status) return status.error();
  return error{errc::io, 0, "cannot map '" + path + "': it was replaced or cut at this moment"};
}

result<mapping> mapping::of(const std::string& path, std::size_t bytes, const file_status& expected) {
  const auto opened = open_to_map(path, bytes, expected);
  if (!opened) return opened.error();
  mapping made;
  const int failed = calls().map_shared(*opened, bytes, made.memory_);
  calls().close(*opened);
  if (failed < 0) return system_error("map", path, failed);
  made.bytes_ = bytes;
  return made;
}

}  // namespace annals::io
