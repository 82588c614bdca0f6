// SPDX-License-Identifier: Apache-2.0
//
// Something happens at the Nth system call, whichever it is: the process is killed there, or the call fails, once or from then
// on. Included after `import annals.io;`.
#pragma once

namespace support {

enum class at_call { count, kill, fail_once, fail_for_ever };

// While it lives, the library's system calls are counted from 1, and `what` happens at number `at`, before anything of that
// call is done. Closing is counted and done, whatever happens. Clocks are no calls.
class counted_calls : public annals::io::system_calls {
 public:
  counted_calls(at_call what, int at, int error = EIO) : what_(what), at_(at), error_(error), override_(*this) {}

  int count() const { return count_; }
  const std::string& name() const { return name_; }  // of the call at which it happened

  int open(const char* path, annals::io::open_for purpose, unsigned mode) noexcept override {
    return next("open") ? -error_ : system_calls::open(path, purpose, mode);
  }
  int open_in(int directory, const char* name, annals::io::open_for purpose) noexcept override {
    return next("open_in") ? -error_ : system_calls::open_in(directory, name, purpose);
  }
  int close(int fd) noexcept override {
    next("close");
    return system_calls::close(fd);
  }
  std::int64_t write(int fd, const char* bytes, std::size_t count) noexcept override {
    return next("write") ? -error_ : system_calls::write(fd, bytes, count);
  }
  std::int64_t offset_of(int fd) noexcept override { return next("offset_of") ? -error_ : system_calls::offset_of(fd); }
  std::int64_t read_at(int fd, char* bytes, std::size_t count, std::uint64_t offset) noexcept override {
    return next("read_at") ? -error_ : system_calls::read_at(fd, bytes, count, offset);
  }
  int sync_data(int fd) noexcept override { return next("sync_data") ? -error_ : system_calls::sync_data(fd); }
  int sync_all(int fd) noexcept override { return next("sync_all") ? -error_ : system_calls::sync_all(fd); }
  int status_of(int fd, annals::io::file_status& status) noexcept override {
    return next("status_of") ? -error_ : system_calls::status_of(fd, status);
  }
  int status_at(const char* path, annals::io::file_status& status) noexcept override {
    return next("status_at") ? -error_ : system_calls::status_at(path, status);
  }
  int make_directory(const char* path, unsigned mode) noexcept override {
    return next("make_directory") ? -error_ : system_calls::make_directory(path, mode);
  }
  int list_directory(const char* path, std::vector<std::string>& names) noexcept override {
    return next("list_directory") ? -error_ : system_calls::list_directory(path, names);
  }
  int rename(const char* from, const char* to) noexcept override {
    return next("rename") ? -error_ : system_calls::rename(from, to);
  }
  int rename_new(const char* from, const char* to) noexcept override {
    return next("rename_new") ? -error_ : system_calls::rename_new(from, to);
  }
  int remove(const char* path) noexcept override { return next("remove") ? -error_ : system_calls::remove(path); }
  int space_at(const char* path, annals::io::space_status& space) noexcept override {
    return next("space_at") ? -error_ : system_calls::space_at(path, space);
  }
  std::int64_t write_at(int fd, const char* bytes, std::size_t count, std::uint64_t offset) noexcept override {
    return next("write_at") ? -error_ : system_calls::write_at(fd, bytes, count, offset);
  }
  int set_mode(int fd, unsigned mode) noexcept override {
    return next("set_mode") ? -error_ : system_calls::set_mode(fd, mode);
  }
  int set_owner(int fd, std::uint32_t owner, std::uint32_t group) noexcept override {
    return next("set_owner") ? -error_ : system_calls::set_owner(fd, owner, group);
  }
  int lock(int fd, bool locked) noexcept override {
    return next(locked ? "lock" : "unlock") && locked ? -error_ : system_calls::lock(fd, locked);
  }
  int lock_byte(int fd, std::uint64_t offset) noexcept override {
    return next("lock_byte") ? -error_ : system_calls::lock_byte(fd, offset);
  }
  int is_byte_locked(int fd, std::uint64_t offset) noexcept override {
    return next("is_byte_locked") ? -error_ : system_calls::is_byte_locked(fd, offset);
  }
  int map_shared(int fd, std::size_t bytes, void*& memory) noexcept override {
    return next("map_shared") ? -error_ : system_calls::map_shared(fd, bytes, memory);
  }

 private:
  bool next(const char* name) noexcept {
    ++count_;
    if (what_ == at_call::count || count_ < at_ || (count_ > at_ && what_ != at_call::fail_for_ever)) return false;
    if (what_ == at_call::kill) ::kill(::getpid(), SIGKILL);
    if (count_ == at_) name_ = name;
    return true;
  }

  at_call what_;
  int at_;
  int error_;
  int count_ = 0;
  std::string name_;
  annals::io::calls_override override_;
};

// Runs `body` in a child of fork(2) that is killed at its Nth system call. True where it got to its end before that.
template <class Body>
bool survives_until_killed_at(int nth, Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(240);
    const counted_calls calls(at_call::kill, nth);
    body();
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) || WTERMSIG(status) == SIGKILL) << "ended by signal " << WTERMSIG(status);
  EXPECT_TRUE(!WIFEXITED(status) || WEXITSTATUS(status) == 0) << "ended with " << WEXITSTATUS(status);
  return WIFEXITED(status);
}

}  // namespace support
