// SPDX-License-Identifier: Apache-2.0
//
// The kernel's system calls, counted: something happens at the one with a given number, whatever it is. Included after
// `import annals.io;`.
#pragma once

namespace support {

// While it lives, the library's calls that change or look at files go through it. `at` is asked before each, with its number
// from 1 on: 0 lets it through, anything else is what the call returns (-errno). It may as well end the process.
class counted_calls : public annals::io::system_calls {
 public:
  explicit counted_calls(std::function<int(int number)> at) : at_(std::move(at)), override_(*this) {}
  int count() const noexcept { return count_; }

  int open(const char* path, annals::io::open_for purpose, unsigned mode) noexcept override {
    const int failed = next();
    return failed != 0 ? failed : system_calls::open(path, purpose, mode);
  }
  int close(int fd) noexcept override {
    const int failed = next();
    const int closed = system_calls::close(fd);
    return failed != 0 ? failed : closed;
  }
  std::int64_t write(int fd, const char* bytes, std::size_t count) noexcept override {
    const int failed = next();
    return failed != 0 ? failed : system_calls::write(fd, bytes, count);
  }
  std::int64_t read_at(int fd, char* bytes, std::size_t count, std::uint64_t offset) noexcept override {
    const int failed = next();
    return failed != 0 ? failed : system_calls::read_at(fd, bytes, count, offset);
  }
  int sync_data(int fd) noexcept override {
    const int failed = next();
    return failed != 0 ? failed : system_calls::sync_data(fd);
  }
  int sync_all(int fd) noexcept override {
    const int failed = next();
    return failed != 0 ? failed : system_calls::sync_all(fd);
  }
  int status_of(int fd, annals::io::file_status& status) noexcept override {
    const int failed = next();
    return failed != 0 ? failed : system_calls::status_of(fd, status);
  }
  int status_at(const char* path, annals::io::file_status& status) noexcept override {
    const int failed = next();
    return failed != 0 ? failed : system_calls::status_at(path, status);
  }
  int set_mode(int fd, unsigned mode) noexcept override {
    const int failed = next();
    return failed != 0 ? failed : system_calls::set_mode(fd, mode);
  }
  int set_owner(int fd, std::uint32_t owner, std::uint32_t group) noexcept override {
    const int failed = next();
    return failed != 0 ? failed : system_calls::set_owner(fd, owner, group);
  }
  int set_modified(int fd, annals::time_point time) noexcept override {
    const int failed = next();
    return failed != 0 ? failed : system_calls::set_modified(fd, time);
  }
  int rename_new(const char* from, const char* to) noexcept override {
    const int failed = next();
    return failed != 0 ? failed : system_calls::rename_new(from, to);
  }
  int remove(const char* path) noexcept override {
    const int failed = next();
    return failed != 0 ? failed : system_calls::remove(path);
  }
  int lock(int fd, bool locked) noexcept override {
    const int failed = next();
    return failed != 0 ? failed : system_calls::lock(fd, locked);
  }

 private:
  int next() noexcept { return at_(++count_); }

  std::function<int(int number)> at_;
  int count_ = 0;
  annals::io::calls_override override_;
};

}  // namespace support
