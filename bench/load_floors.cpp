// SPDX-License-Identifier: Apache-2.0
//
// The least that anything with the same promise can do, for a line that is ready: no clock, no encoding, no result, nobody who
// empties the queue.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "load.h"

namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::vector<std::string_view> lines_of(const bench::workload& items) {
  std::vector<std::string_view> lines;
  for (const bench::item& each : items) lines.push_back(each.line);
  return lines;
}

// Reserves room in a shared file mapping as large as the queues of the others, and copies the line there.
class mapping {
 public:
  mapping(const bench::request& order, const bench::workload& items)
      : lines_(lines_of(items)), size_(order.queue_bytes), line_bytes_max_(bench::line_bytes_max(items)) {
    const int fd = ::open(order.path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) fail(order.path);
    const std::size_t mapped = size_ + line_bytes_max_;  // the last line may stand over the end
    if (const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(mapped)); error != 0) {
      throw std::system_error(error, std::generic_category(), "posix_fallocate " + order.path);
    }
    void* const at = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    if (at == MAP_FAILED) fail("mmap " + order.path);
    bytes_ = static_cast<char*>(at);
  }
  mapping(const mapping&) = delete;
  mapping& operator=(const mapping&) = delete;
  ~mapping() { ::munmap(bytes_, size_ + line_bytes_max_); }

  void log(std::size_t i) {
    const std::string_view line = lines_[i];
    const std::size_t at = reserved_.fetch_add(line.size(), std::memory_order_relaxed) % size_;
    std::memcpy(bytes_ + at, line.data(), line.size());
  }
  void finish() {}

 private:
  std::vector<std::string_view> lines_;
  std::size_t size_;
  std::size_t line_bytes_max_;
  char* bytes_ = nullptr;
  alignas(64) std::atomic<std::size_t> reserved_ = 0;
};

// The line in the kernel on return.
class writing {
 public:
  writing(const bench::request& order, const bench::workload& items)
      : lines_(lines_of(items)), fd_(::open(order.path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) {
    if (fd_ < 0) fail(order.path);
  }
  writing(const writing&) = delete;
  writing& operator=(const writing&) = delete;
  ~writing() { ::close(fd_); }

  void log(std::size_t i) {
    const std::string_view line = lines_[i];
    if (::write(fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) fail("write");
  }
  void finish() {}

 private:
  std::vector<std::string_view> lines_;
  int fd_;
};

// The line on the disk on return: nothing of the file but its bytes has to change for that.
class writing_durably {
 public:
  writing_durably(const bench::request& order, const bench::workload& items)
      : lines_(lines_of(items)), fd_(::open(order.path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
    if (fd_ < 0) fail(order.path);
    const std::string zeros(order.events * bench::line_bytes_max(items), '\0');
    if (::write(fd_, zeros.data(), zeros.size()) != static_cast<ssize_t>(zeros.size()) || ::fsync(fd_) != 0) fail(order.path);
  }
  writing_durably(const writing_durably&) = delete;
  writing_durably& operator=(const writing_durably&) = delete;
  ~writing_durably() { ::close(fd_); }

  void log(std::size_t i) {
    const std::string_view line = lines_[i];
    const auto at = static_cast<off_t>(reserved_.fetch_add(line.size(), std::memory_order_relaxed));
    if (::pwrite(fd_, line.data(), line.size(), at) != static_cast<ssize_t>(line.size()) || ::fdatasync(fd_) != 0)
      fail("pwrite");
  }
  void finish() {
    if (::ftruncate(fd_, static_cast<off_t>(reserved_.load())) != 0) fail("ftruncate");
  }

 private:
  std::vector<std::string_view> lines_;
  int fd_;
  std::atomic<std::size_t> reserved_ = 0;
};

template <class Subject>
bench::answer load(const bench::request& order, const bench::workload& items) {
  return bench::run<Subject>(order, items);
}

}  // namespace

int main() {
  return bench::serve_loads({
      {"memcpy", load<mapping>},
      {"write", load<writing>},
      {"pwrite-fdatasync", load<writing_durably>},
  });
}
