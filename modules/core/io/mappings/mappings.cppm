// SPDX-License-Identifier: Apache-2.0
//
// annals.io.mappings: files in memory, shared with other processes.
module;
#include <cstddef>
#include <string>
export module annals.io.mappings;
import annals.event;
import annals.io.calls;

export namespace annals::io {

// The first bytes of a file, shared with other processes. Movable. The file must not become shorter while it is mapped.
class mapping {
 public:
  mapping() noexcept = default;
  mapping(mapping&& other) noexcept;
  mapping& operator=(mapping&& other) noexcept;
  ~mapping();

  // Maps the file at `path`, which has to be the `expected` one. Opens it again: a mapping keeps its open file description
  // alive, in children too, and a description with locks would keep the locks.
  static result<mapping> of(const std::string& path, std::size_t bytes, const file_status& expected);
  void* memory() const noexcept { return memory_; }

 private:
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

// A mapped file for a queue that wraps: its first `head_bytes` once, followed by its next `bytes` twice in a row, so that an
// entry which wraps is in one piece. Both sizes are whole pages. Children of fork(2) do not have the mapping. When the file is
// cut, an access to the missing part raises SIGBUS: a handler, installed with the first mapping, puts private memory there, and
// is_lost() returns true. Other faults go to the handler that was installed before.
class wrapped_mapping {
 public:
  wrapped_mapping() noexcept = default;
  wrapped_mapping(wrapped_mapping&& other) noexcept;
  wrapped_mapping& operator=(wrapped_mapping&& other) noexcept;
  ~wrapped_mapping();

  // Maps the file at `path`, which has to be the `expected` one and to have all these bytes. Opens it again, as mapping::of.
  static result<wrapped_mapping> of(const std::string& path, std::size_t head_bytes, std::size_t bytes,
                                    const file_status& expected);
  char* head() const noexcept { return memory_; }
  char* wrapped() const noexcept { return memory_ + head_bytes_; }
  bool is_lost() const noexcept;  // any thread

  // Makes the kernel allocate the pages of these bytes after the head now. The first write to a page would otherwise take up to
  // milliseconds. Any thread.
  void populate(std::size_t offset, std::size_t count) const noexcept;

 private:
  void unmap() noexcept;
  char* memory_ = nullptr;
  std::size_t head_bytes_ = 0;
  std::size_t bytes_ = 0;
  std::size_t slot_ = 0;  // in the table of the handler
  unsigned fork_count_ = 0;
};

}  // namespace annals::io
