// SPDX-License-Identifier: Apache-2.0
module;
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
module annals.io.mappings;
import annals.io.process;

namespace annals::io {

guarded_mapping::guarded_mapping(guarded_mapping&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)),
      bytes_(other.bytes_),
      slot_(other.slot_),
      fork_count_(other.fork_count_) {}

guarded_mapping& guarded_mapping::operator=(guarded_mapping&& other) noexcept {
  if (this != &other) {
    unmap();
    memory_ = std::exchange(other.memory_, nullptr);
    bytes_ = other.bytes_;
    slot_ = other.slot_;
    fork_count_ = other.fork_count_;
  }
  return *this;
}

guarded_mapping::~guarded_mapping() {
  unmap();
}

void guarded_mapping::unmap() noexcept {
  if (memory_ == nullptr) return;
  if (fork_count_ != io::fork_count()) {  // a child's copy: the mapping is not there, and something else may be by now
    memory_ = nullptr;
    return;
  }
  bus_guard::ignore(slot_);
  ::munmap(memory_, bytes_);
  memory_ = nullptr;
  bus_guard::release(slot_);
}

result<guarded_mapping> guarded_mapping::of(const std::string& path, std::size_t bytes, const file_status& expected) {
  const auto opened = open_to_map(path, bytes, expected);
  if (!opened) return opened.error();
  const auto slot = bus_guard::reserve(path);
  void* memory = nullptr;
  const int failed = slot ? calls().map_shared(*opened, bytes, memory) : 0;
  calls().close(*opened);
  if (!slot) return slot.error();
  if (failed < 0) {
    bus_guard::release(*slot);
    return system_error("map", path, failed);
  }
  (void)::madvise(memory, bytes, MADV_DONTFORK);
  guarded_mapping made;
  made.memory_ = static_cast<char*>(memory);
  made.bytes_ = bytes;
  made.slot_ = *slot;
  made.fork_count_ = io::fork_count();
  bus_guard::watch(*slot, memory, bytes);
  return made;
}

bool guarded_mapping::is_lost() const noexcept {
  return bus_guard::is_lost(slot_);
}

void guarded_mapping::give_up() noexcept {
  bus_guard::set_lost(slot_);
}

void guarded_mapping::populate([[maybe_unused]] std::size_t offset, [[maybe_unused]] std::size_t count) const noexcept {
#ifdef MADV_POPULATE_WRITE  // Linux 5.14; where it is missing, the first lap is slower
  if (offset < bytes_) (void)::madvise(memory_ + offset, std::min(count, bytes_ - offset), MADV_POPULATE_WRITE);
#endif
}

}  // namespace annals::io
