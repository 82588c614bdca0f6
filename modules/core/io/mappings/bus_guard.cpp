// SPDX-License-Identifier: Apache-2.0
module;
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
module annals.io.mappings;

namespace annals::io {

namespace {

// A range of mapped memory. `taken` reserves the entry; the signal handler reads the others at any time.
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

result<std::size_t> bus_guard::reserve(const std::string& path) {
  if (const int failed = install_guard(); failed < 0) return system_error("guard against the loss of", path, failed);
  for (std::size_t slot = 0; slot < guarded_max; ++slot) {
    if (table[slot].taken.exchange(true, std::memory_order_acq_rel)) continue;
    table[slot].lost.store(false, std::memory_order_relaxed);
    return slot;
  }
  return error{
      errc::io, 0,
      "cannot map '" + path + "': this process has " + std::to_string(guarded_max) + " such mappings, and may have no more"};
}

void bus_guard::watch(std::size_t slot, const void* begin, std::size_t bytes) noexcept {
  table[slot].begin.store(reinterpret_cast<std::uintptr_t>(begin), std::memory_order_release);
  table[slot].end.store(reinterpret_cast<std::uintptr_t>(begin) + bytes, std::memory_order_release);
}

void bus_guard::ignore(std::size_t slot) noexcept {
  table[slot].end.store(0, std::memory_order_release);
  table[slot].begin.store(0, std::memory_order_release);
}

void bus_guard::release(std::size_t slot) noexcept {
  table[slot].taken.store(false, std::memory_order_release);
}

bool bus_guard::is_lost(std::size_t slot) noexcept {
  return table[slot].lost.load(std::memory_order_acquire);
}

void bus_guard::set_lost(std::size_t slot) noexcept {
  table[slot].lost.store(true, std::memory_order_release);
}

}  // namespace annals::io
