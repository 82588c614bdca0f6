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

wrapped_mapping::wrapped_mapping(wrapped_mapping&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)),
      head_bytes_(other.head_bytes_),
      bytes_(other.bytes_),
      slot_(other.slot_),
      fork_count_(other.fork_count_) {}

wrapped_mapping& wrapped_mapping::operator=(wrapped_mapping&& other) noexcept {
  if (this != &other) {
    unmap();
    memory_ = std::exchange(other.memory_, nullptr);
    head_bytes_ = other.head_bytes_;
    bytes_ = other.bytes_;
    slot_ = other.slot_;
    fork_count_ = other.fork_count_;
  }
  return *this;
}

wrapped_mapping::~wrapped_mapping() {
  unmap();
}

void wrapped_mapping::unmap() noexcept {
  if (memory_ == nullptr) return;
  if (fork_count_ != io::fork_count()) {  // a child's copy: the mapping is not there, and something else may be by now
    memory_ = nullptr;
    return;
  }
  bus_guard::ignore(slot_);
  ::munmap(memory_, head_bytes_ + 2 * bytes_);
  memory_ = nullptr;
  bus_guard::release(slot_);
}

result<wrapped_mapping> wrapped_mapping::of(const std::string& path, std::size_t head_bytes, std::size_t bytes,
                                            const file_status& expected) {
  const auto opened = open_to_map(path, head_bytes + bytes, expected);
  if (!opened) return opened.error();
  const auto slot = bus_guard::reserve(path);
  void* memory = nullptr;
  const int failed = slot ? calls().map_wrapped(*opened, head_bytes, bytes, memory) : 0;
  calls().close(*opened);
  if (!slot) return slot.error();
  if (failed < 0) {
    bus_guard::release(*slot);
    return system_error("map", path, failed);
  }
  const std::size_t all = head_bytes + 2 * bytes;
  (void)::madvise(memory, all, MADV_DONTFORK);
  wrapped_mapping made;
  made.memory_ = static_cast<char*>(memory);
  made.head_bytes_ = head_bytes;
  made.bytes_ = bytes;
  made.slot_ = *slot;
  made.fork_count_ = io::fork_count();
  bus_guard::watch(*slot, memory, all);
  return made;
}

bool wrapped_mapping::is_lost() const noexcept {
  return bus_guard::is_lost(slot_);
}

void wrapped_mapping::give_up() noexcept {
  bus_guard::set_lost(slot_);
}

void wrapped_mapping::populate([[maybe_unused]] std::size_t offset, [[maybe_unused]] std::size_t count) const noexcept {
#ifdef MADV_POPULATE_WRITE  // Linux 5.14; where it is missing, the first lap is slower
  if (offset < bytes_) (void)::madvise(wrapped() + offset, std::min(count, bytes_ - offset), MADV_POPULATE_WRITE);
#endif
}

}  // namespace annals::io
