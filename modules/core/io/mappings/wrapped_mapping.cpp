// SPDX-License-Identifier: Apache-2.0
module;
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
module annals.io.mappings;
import annals.io.files;
import annals.io.process;

namespace annals::io {

namespace {

// The mappings whose faults are ours. A slot is taken by setting `begin`, read by the signal handler at any time, and lost for
// good where there are no more: then the mapping has no guard, and is refused.
struct guarded {
  std::atomic<std::uintptr_t> begin = 0;
  std::atomic<std::uintptr_t> end = 0;
  std::atomic<bool> taken = false;
  std::atomic<bool> lost = false;
};

constexpr std::size_t guarded_max = 256;
std::array<guarded, guarded_max> table;
struct sigaction before = {};
std::uintptr_t page_bytes = 4096;

// Puts memory where the file has none any more. mmap(2) is a plain system call here; systemd's journal does the same.
bool patch(std::uintptr_t address) noexcept {
  for (guarded& one : table) {
    if (address < one.begin.load(std::memory_order_acquire) || address >= one.end.load(std::memory_order_acquire)) continue;
    void* const page = reinterpret_cast<void*>(address & ~(page_bytes - 1));  // NOLINT: an address the kernel gave
    if (::mmap(page, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
      return false;
    one.lost.store(true, std::memory_order_release);
    return true;
  }
  return false;
}

extern "C" void annals_on_bus_error(int signal, siginfo_t* info, void* context) {
  const int kept_errno = errno;
  if (info->si_code > 0 && patch(reinterpret_cast<std::uintptr_t>(info->si_addr))) {
    errno = kept_errno;
    return;
  }
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {  // the access is made again, and ends the process as it would have without us
    ::signal(signal, SIG_DFL);
    if (info->si_code <= 0) ::raise(signal);  // sent by somebody: nothing is made again
  }
  errno = kept_errno;
}

int install_guard() noexcept {
  static std::once_flag once;
  static int failed = 0;
  std::call_once(once, [] {
    page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction ours = {};
    ours.sa_sigaction = annals_on_bus_error;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    ::sigemptyset(&ours.sa_mask);
    if (::sigaction(SIGBUS, &ours, &before) != 0) failed = -errno;
  });
  return failed;
}

}  // namespace

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
  guarded& slot = table[slot_];
  slot.end.store(0, std::memory_order_release);
  slot.begin.store(0, std::memory_order_release);
  ::munmap(memory_, head_bytes_ + 2 * bytes_);
  memory_ = nullptr;
  slot.taken.store(false, std::memory_order_release);
}

result<wrapped_mapping> wrapped_mapping::of(const std::string& path, std::size_t head_bytes, std::size_t bytes,
                                            const file_status& expected) {
  if (const int failed = install_guard(); failed < 0) return system_error("guard against the loss of", path, failed);
  auto opened = file::open(path, open_for::locking);
  if (!opened) return std::move(opened.error());
  const auto status = opened->status();
  if (!status) return status.error();
  if (!same_file(*status, expected) || status->bytes < head_bytes + bytes) {
    return error{errc::io, 0, "cannot map '" + path + "': it was replaced or cut at this moment"};
  }
  std::size_t slot = 0;
  while (slot < guarded_max && table[slot].taken.exchange(true, std::memory_order_acq_rel)) ++slot;
  if (slot == guarded_max) {
    return error{
        errc::io, 0,
        "cannot map '" + path + "': this process has " + std::to_string(guarded_max) + " such mappings, and may have no more"};
  }
  void* memory = nullptr;
  const int failed = calls().map_wrapped(opened->descriptor(), head_bytes, bytes, memory);
  if (failed < 0) {
    table[slot].taken.store(false, std::memory_order_release);
    return system_error("map", path, failed);
  }
  const std::size_t all = head_bytes + 2 * bytes;
  (void)::madvise(memory, all, MADV_DONTFORK);
  wrapped_mapping made;
  made.memory_ = static_cast<char*>(memory);
  made.head_bytes_ = head_bytes;
  made.bytes_ = bytes;
  made.slot_ = slot;
  made.fork_count_ = io::fork_count();
  table[slot].lost.store(false, std::memory_order_relaxed);
  table[slot].begin.store(reinterpret_cast<std::uintptr_t>(memory), std::memory_order_release);
  table[slot].end.store(reinterpret_cast<std::uintptr_t>(memory) + all, std::memory_order_release);
  return made;
}

bool wrapped_mapping::is_lost() const noexcept {
  return table[slot_].lost.load(std::memory_order_acquire);
}

void wrapped_mapping::populate([[maybe_unused]] std::size_t offset, [[maybe_unused]] std::size_t count) const noexcept {
#ifdef MADV_POPULATE_WRITE  // Linux 5.14; where it is missing, the first lap is slower
  if (offset < bytes_) (void)::madvise(wrapped() + offset, std::min(count, bytes_ - offset), MADV_POPULATE_WRITE);
#endif
}

}  // namespace annals::io
