// SPDX-License-Identifier: Apache-2.0
//
// annals.io.mappings: files in memory, shared with other processes.
//
// When another process cuts a mapped file, an access to the missing part raises SIGBUS. So a file that another user can cut
// must not be mapped (io::fault_of_owner), except as a guarded_mapping.
module;
#include <cstddef>
#include <string>
export module annals.io.mappings;
import annals.event;
import annals.io.calls;

export namespace annals::io {

// The first bytes of a file, shared with other processes. Movable.
class mapping {
 public:
  mapping() noexcept = default;
  mapping(mapping&& other) noexcept;
  mapping& operator=(mapping&& other) noexcept;
  ~mapping();

  // Maps the file at `path`, which has to be the `expected` one. Creates nothing. Opens the file again: a mapping keeps its
  // open file description alive, in children too, and a description with locks would keep the locks.
  static result<mapping> of(const std::string& path, std::size_t bytes, const file_status& expected);
  void* memory() const noexcept { return memory_; }

 private:
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

// A mapped file that another process may cut. `bytes` are whole pages. Children of fork(2) do not have the mapping. When the
// file is cut, a handler of SIGBUS, installed with the first such mapping, puts private memory of zeros there, and is_lost()
// returns true from then on. Other faults go to the handler that was installed before.
class guarded_mapping {
 public:
  guarded_mapping() noexcept = default;
  guarded_mapping(guarded_mapping&& other) noexcept;
  guarded_mapping& operator=(guarded_mapping&& other) noexcept;
  ~guarded_mapping();

  // Maps the file at `path`, which has to be the `expected` one and to have all these bytes. Opens it again, and creates
  // nothing, as mapping::of.
  static result<guarded_mapping> of(const std::string& path, std::size_t bytes, const file_status& expected);
  char* memory() const noexcept { return memory_; }
  bool is_lost() const noexcept;  // any thread
  void give_up() noexcept;        // makes is_lost() return true; any thread

  // Makes the kernel allocate the pages of these bytes now. The first write to a page would otherwise take up to
  // milliseconds. Any thread.
  void populate(std::size_t offset, std::size_t count) const noexcept;

 private:
  void unmap() noexcept;
  char* memory_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t slot_ = 0;  // in the table of the handler
  unsigned fork_count_ = 0;
};

}  // namespace annals::io

// --- for the units of this module -------------------------------------------------------------------------------------------

namespace annals::io {

// The table of the mapped memory for which the handler of SIGBUS is responsible. Any thread.
class bus_guard {
 public:
  // Installs the handler if necessary, and reserves an entry of the table. Errors: io, also when all entries are in use.
  static result<std::size_t> reserve(const std::string& path);
  static void watch(std::size_t slot, const void* begin, std::size_t bytes) noexcept;
  static void ignore(std::size_t slot) noexcept;  // before the memory is unmapped
  static void release(std::size_t slot) noexcept;
  static bool is_lost(std::size_t slot) noexcept;
  static void set_lost(std::size_t slot) noexcept;
};

// Opens the existing file at `path` for a mapping of `bytes`. Returns the descriptor, which the caller has to close.
result<int> open_to_map(const std::string& path, std::size_t bytes, const file_status& expected);

}  // namespace annals::io
