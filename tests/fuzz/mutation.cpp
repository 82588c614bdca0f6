// SPDX-License-Identifier: Apache-2.0
//
// A ring whose mapped file another thread changes all the time, as a process could that can write the file: while a logger puts
// events into it, while its thread drains it, while readers look at it, and while it is recovered. Nothing crashes or hangs, no
// event is invented, and what is refused has a reason.
//
// An input is a list of changes, which the other thread makes again and again.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "fuzz.h"
import annals;
import annals.io;
import annals.recovery;
import annals.ring;

namespace {

namespace ring = annals::ring;
using fuzz::require;

constexpr std::size_t file_bytes = ring::page_bytes + ring::bytes_min;
constexpr std::int64_t events = 60;

struct change {
  std::size_t word = 0;  // of the file
  std::uint64_t value = 0;
  unsigned how = 0;
};

std::vector<change> changes_of(fuzz::input& in) {
  std::vector<change> made;
  while (!in.is_empty() && made.size() < 64) {
    const unsigned how = in.byte();
    // The first words of records lie at the beginning, mostly; the first page has 200 bytes of meaning.
    const std::size_t word = (how & 1) != 0   ? in.below(25)
                             : (how & 2) != 0 ? ring::page_bytes / 8 + in.below(256)
                                              : in.number<std::uint32_t>() % (file_bytes / 8);
    made.push_back({word, in.number<std::uint64_t>(), how});
  }
  return made;
}

// Maps the ring, once it is there, and changes it until the end.
void attack(const std::string& path, const std::vector<change>& changes, const std::atomic<bool>& is_over) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* const mapped = ::mmap(nullptr, file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (mapped == MAP_FAILED) return;
  auto* const words = static_cast<std::uint64_t*>(mapped);
  while (!is_over.load(std::memory_order_relaxed)) {
    for (const change& one : changes) {
      const std::atomic_ref<std::uint64_t> word(words[one.word]);
      const std::uint64_t now = word.load(std::memory_order_relaxed);
      switch (one.how >> 2 & 3) {
        case 0: word.store(one.value, std::memory_order_relaxed); break;
        case 1:
          word.store((now & ~ring::line_bytes_mask) | (one.value & ring::line_bytes_mask), std::memory_order_relaxed);
          break;
        case 2:
          word.store(ring::with_mark(now, static_cast<ring::mark>(0xa1 + one.value % 4)), std::memory_order_relaxed);
          break;
        default: word.store(now ^ one.value, std::memory_order_relaxed);
      }
    }
    std::this_thread::yield();
  }
  ::munmap(mapped, file_bytes);
}

void require_ours(const annals::event& one) {
  const auto* const number = one.find("n");
  const bool is_ours = one.container == "annals" || (number != nullptr && std::get<std::int64_t>(*number) < events);
  require(is_ours, "no event is invented", one.action);
}

void look(const std::string& path) {
  annals::left_in_ring left = annals::left_in_ring::of(path);
  (void)left.each([](std::string_view line) {
    require(line.ends_with('\n') && fuzz::is_plain(line.substr(0, line.size() - 1)), "a line is printable", line);
    return true;
  });
  (void)annals::scan(path, {}, [](const annals::event& one) {
    require_ours(one);
    return true;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::work_directory directory;
  directory.clear();
  const std::string path = directory / "audit.jsonl";
  fuzz::input in(fuzz::text_of(data, size));
  const bool is_left = in.chance();  // the logger finds the ring of a dead one
  const std::vector<change> changes = changes_of(in);

  annals::logger_options options;
  options.path = path;
  options.delivery = annals::delivery::ring;
  options.ring_bytes = annals::limits::ring_bytes_floor;
  options.on_error = [](const annals::error&) {};
  std::atomic<bool> is_over = false;
  std::thread attacker;
  {
    std::optional<annals::audit_logger> log(std::move(options));
    const auto put = [&](std::int64_t n) {
      const annals::receipt made = log->log_event("fuzz", "x", {.fields = {{"n", n}}});
      require(made || !made.message().empty(), "what is refused has a reason");
    };
    put(0);
    if (is_left) fuzz::write_file(path + ".copy", fuzz::content_of(path + ".ring"));
    attacker = std::thread([&] { attack(path + ".ring", changes, is_over); });
    for (std::int64_t n = 1; n < events; ++n) {
      put(n);
      if (n % 20 == 10) (void)log->sync();
      if (n % 20 == 15) look(path);
    }
  }
  is_over = true;
  attacker.join();
  if (is_left) {
    fuzz::write_file(path + ".ring", fuzz::content_of(path + ".copy"));
    is_over = false;
    attacker = std::thread([&] { attack(path + ".ring", changes, is_over); });
    for (int round = 0; round < 3; ++round) look(path);
    (void)annals::recover_log(path);
    is_over = true;
    attacker.join();
  }
  look(path);
  (void)annals::read_lines(path, [&](std::string_view piece) {
    require(piece.find('\0') == std::string_view::npos, "what comes into a log are lines", piece);
    return true;
  });
  return 0;
}
