// SPDX-License-Identifier: Apache-2.0
//
// System calls that fail on demand, and clocks that are set by hand. Included after `import annals.io;`.
#pragma once

namespace support {

enum class call {
  open,
  write,
  read_at,
  sync_data,
  sync_all,
  status_of,
  status_at,
  make_directory,
  list_directory,
  rename,
  rename_new,
  remove,
  lock,
  space_at,
  write_at,
  set_mode,
  lock_byte,
  map_shared
};

// The kernel's system calls, but for the faults that a test asked for:
//   faulty_calls calls;
//   calls.fail(call::write, ENOSPC).times(2);
// While it lives, the library's calls go through it.
class faulty_calls : public annals::io::system_calls {
 public:
  faulty_calls() : override_(*this) {}

  // Makes the next calls of this kind fail, for ever or as often as `times` says.
  faulty_calls& fail(call which, int error) {
    const std::lock_guard lock(mutex_);
    fault_ = {which, error, -1, 0};
    return *this;
  }
  // Lets so many calls of the kind through first.
  faulty_calls& after(int count) {
    const std::lock_guard lock(mutex_);
    fault_->skipped = count;
    return *this;
  }
  void times(int count) {
    const std::lock_guard lock(mutex_);
    fault_->left = count;
  }
  void heal() {
    const std::lock_guard lock(mutex_);
    fault_.reset();
    write_bytes_max_ = static_cast<std::size_t>(-1);
  }
  // No write takes more bytes than this.
  void shorten_writes(std::size_t bytes_max) {
    const std::lock_guard lock(mutex_);
    write_bytes_max_ = bytes_max;
  }
  void advance(std::chrono::nanoseconds by) {
    const std::lock_guard lock(mutex_);
    advanced_ += by;
  }
  void set_now(annals::time_point now) {
    const std::lock_guard lock(mutex_);
    now_ = now;
  }
  // The clock of time gone by stands still, but for advance().
  void freeze() {
    const auto now = system_calls::uptime();
    const std::lock_guard lock(mutex_);
    frozen_ = now;
  }
  // Every file system has this much room.
  void set_space(const annals::io::space_status& space) {
    const std::lock_guard lock(mutex_);
    space_ = space;
  }
  int count(call which) const {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(which);
    return found == counts_.end() ? 0 : found->second;
  }
  std::uint64_t bytes_read() const {
    const std::lock_guard lock(mutex_);
    return bytes_read_;
  }

  int open(const char* path, annals::io::open_for purpose, unsigned mode) noexcept override {
    const int failed = check(call::open);
    return failed != 0 ? failed : system_calls::open(path, purpose, mode);
  }
  std::int64_t write(int fd, const char* bytes, std::size_t count) noexcept override {
    const int failed = check(call::write);
    if (failed != 0) return failed;
    std::size_t bytes_max;
    {
      const std::lock_guard lock(mutex_);
      bytes_max = write_bytes_max_;
    }
    return system_calls::write(fd, bytes, count < bytes_max ? count : bytes_max);
  }
  std::int64_t read_at(int fd, char* bytes, std::size_t count, std::uint64_t offset) noexcept override {
    const int failed = check(call::read_at);
    if (failed != 0) return failed;
    const std::int64_t got = system_calls::read_at(fd, bytes, count, offset);
    const std::lock_guard lock(mutex_);
    if (got > 0) bytes_read_ += static_cast<std::uint64_t>(got);
    return got;
  }
  int sync_data(int fd) noexcept override {
    const int failed = check(call::sync_data);
    return failed != 0 ? failed : system_calls::sync_data(fd);
  }
  int sync_all(int fd) noexcept override {
    const int failed = check(call::sync_all);
    return failed != 0 ? failed : system_calls::sync_all(fd);
  }
  int status_of(int fd, annals::io::file_status& status) noexcept override {
    const int failed = check(call::status_of);
    return failed != 0 ? failed : system_calls::status_of(fd, status);
  }
  int status_at(const char* path, annals::io::file_status& status) noexcept override {
    const int failed = check(call::status_at);
    return failed != 0 ? failed : system_calls::status_at(path, status);
  }
  int make_directory(const char* path, unsigned mode) noexcept override {
    const int failed = check(call::make_directory);
    return failed != 0 ? failed : system_calls::make_directory(path, mode);
  }
  int list_directory(const char* path, std::vector<std::string>& names) noexcept override {
    const int failed = check(call::list_directory);
    return failed != 0 ? failed : system_calls::list_directory(path, names);
  }
  int rename(const char* from, const char* to) noexcept override {
    const int failed = check(call::rename);
    return failed != 0 ? failed : system_calls::rename(from, to);
  }
  int rename_new(const char* from, const char* to) noexcept override {
    const int failed = check(call::rename_new);
    return failed != 0 ? failed : system_calls::rename_new(from, to);
  }
  int remove(const char* path) noexcept override {
    const int failed = check(call::remove);
    return failed != 0 ? failed : system_calls::remove(path);
  }
  int lock(int fd, bool locked) noexcept override {
    const int failed = check(call::lock);
    return failed != 0 ? failed : system_calls::lock(fd, locked);
  }
  std::int64_t write_at(int fd, const char* bytes, std::size_t count, std::uint64_t offset) noexcept override {
    const int failed = check(call::write_at);
    return failed != 0 ? failed : system_calls::write_at(fd, bytes, count, offset);
  }
  int set_mode(int fd, unsigned mode) noexcept override {
    const int failed = check(call::set_mode);
    return failed != 0 ? failed : system_calls::set_mode(fd, mode);
  }
  int lock_byte(int fd, std::uint64_t offset) noexcept override {
    const int failed = check(call::lock_byte);
    return failed != 0 ? failed : system_calls::lock_byte(fd, offset);
  }
  int map_shared(int fd, std::size_t bytes, void*& memory) noexcept override {
    const int failed = check(call::map_shared);
    return failed != 0 ? failed : system_calls::map_shared(fd, bytes, memory);
  }
  int space_at(const char* path, annals::io::space_status& space) noexcept override {
    if (const int failed = check(call::space_at); failed != 0) return failed;
    const std::lock_guard lock(mutex_);
    if (space_) space = *space_;
    return space_ ? 0 : system_calls::space_at(path, space);
  }
  annals::time_point now() noexcept override {
    const std::lock_guard lock(mutex_);
    return (now_ ? *now_ : system_calls::now()) + std::chrono::duration_cast<std::chrono::microseconds>(advanced_);
  }
  std::chrono::nanoseconds uptime() noexcept override {
    const std::lock_guard lock(mutex_);
    return (frozen_ ? *frozen_ : system_calls::uptime()) + advanced_;
  }

 private:
  struct fault {
    call which;
    int error;
    int left;     // below 0: for ever
    int skipped;  // calls that succeed before
  };

  int check(call which) noexcept {
    const std::lock_guard lock(mutex_);
    ++counts_[which];
    if (!fault_ || fault_->which != which || fault_->left == 0) return 0;
    if (fault_->skipped > 0) {
      --fault_->skipped;
      return 0;
    }
    if (fault_->left > 0) --fault_->left;
    return -fault_->error;
  }

  mutable std::mutex mutex_;
  std::optional<fault> fault_;
  std::map<call, int> counts_;
  std::size_t write_bytes_max_ = static_cast<std::size_t>(-1);
  std::uint64_t bytes_read_ = 0;
  std::chrono::nanoseconds advanced_{0};
  std::optional<annals::time_point> now_;
  std::optional<annals::io::space_status> space_;
  std::optional<std::chrono::nanoseconds> frozen_;
  annals::io::calls_override override_;
};

}  // namespace support
