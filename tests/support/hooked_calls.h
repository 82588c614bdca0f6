// SPDX-License-Identifier: Apache-2.0
//
// System calls that a test observes, fails, delays or answers by itself, and clocks that it sets. Included after `import
// annals.io;`.
#pragma once

namespace support {

enum class call {
  open,
  open_in,
  close,
  write,
  offset_of,
  read_at,
  next_data,
  sync_data,
  sync_all,
  status_of,
  status_at,
  make_directory,
  list_directory,
  resolve,
  rename,
  rename_new,
  remove,
  space_at,
  write_at,
  set_mode,
  set_owner,
  set_modified,
  lock,
  unlock,
  lock_byte,
  is_byte_locked,
  map_shared,
  allocate,
  find_thread
};

inline std::string_view name_of(call which) {
  constexpr std::string_view names[] = {"open",           "open_in",        "close",          "write",      "offset_of",
                                        "read_at",        "next_data",      "sync_data",      "sync_all",   "status_of",
                                        "status_at",      "make_directory", "list_directory", "resolve",    "rename",
                                        "rename_new",     "remove",         "space_at",       "write_at",   "set_mode",
                                        "set_owner",      "set_modified",   "lock",           "unlock",     "lock_byte",
                                        "is_byte_locked", "map_shared",     "allocate",       "find_thread"};
  static_assert(std::size(names) == static_cast<std::size_t>(call::find_thread) + 1);
  return names[static_cast<std::size_t>(which)];
}

// The path of a name in an open directory.
class path_in {
 public:
  path_in(int directory, const char* name) noexcept {
    char link[32];
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    const ssize_t bytes = ::readlink(link, text_, sizeof text_ - 1);
    const std::size_t at = bytes < 0 ? 0 : static_cast<std::size_t>(bytes);
    std::snprintf(text_ + at, sizeof text_ - at, "/%s", name);
  }
  const char* text() const noexcept { return text_; }

 private:
  char text_[8192];
};

// One system call on its way to the kernel, with the arguments that it has. A call in an open directory has the full path.
struct system_call {
  call which;
  const char* path = "";
  const char* to = "";  // of a rename
  int fd = -1;          // of a file, or of a directory in which a file is opened
  annals::io::open_for purpose = annals::io::open_for::reading;
  unsigned mode = 0;
  const char* bytes = nullptr;  // to write
  char* space = nullptr;        // to read into
  std::size_t count = 0;        // of both; can be lowered
  std::uint64_t offset = 0;
  annals::io::file_status* status = nullptr;
  annals::io::space_status* disk = nullptr;
  std::vector<std::string>* names = nullptr;

  // Lets the kernel do it, and returns its answer: a value >= 0, or -errno.
  std::int64_t run() { return do_it(kernel); }

  const void* kernel = nullptr;
  std::int64_t (*do_it)(const void*) = nullptr;
};

// While it lives, the library's system calls go through `hook`, which returns what the call returns. Without a hook, the kernel
// does them. The hook runs on the thread that makes the call. It allocates nothing of its own.
class hooked_calls : public annals::io::system_calls {
 public:
  using hook = std::function<std::int64_t(system_call&)>;

  explicit hooked_calls(hook with = {}) : hook_(std::move(with)) { override_.emplace(*this); }

  // Puts both clocks forward.
  void advance(std::chrono::nanoseconds by) {
    const std::lock_guard lock(mutex_);
    advanced_ += by;
  }
  void set_now(annals::time_point now) {
    const std::lock_guard lock(mutex_);
    now_ = now;
  }
  // Stops the monotonic clock, except for advance().
  void freeze() {
    const auto now = system_calls::uptime();
    const std::lock_guard lock(mutex_);
    frozen_ = now;
  }
  // The kernel's answer, past the hook.
  annals::io::file_status kernel_status(int fd) noexcept {
    annals::io::file_status found;
    (void)system_calls::status_of(fd, found);
    return found;
  }
  std::optional<annals::io::file_status> kernel_status(const char* path) noexcept {
    annals::io::file_status found;
    return system_calls::status_at(path, found) == 0 ? std::optional(found) : std::nullopt;
  }

  int open(const char* path, annals::io::open_for purpose, unsigned mode) noexcept override {
    system_call one{.which = call::open, .path = path, .purpose = purpose, .mode = mode};
    return through(one, [&] { return system_calls::open(path, purpose, mode); });
  }
  int open_in(int directory, const char* name, annals::io::open_for purpose) noexcept override {
    system_call one{.which = call::open_in, .path = name, .fd = directory, .purpose = purpose};
    return through(one, [&] { return system_calls::open_in(directory, name, purpose); });
  }
  int close(int fd) noexcept override {
    system_call one{.which = call::close, .fd = fd};
    return through(one, [&] { return system_calls::close(fd); });
  }
  std::int64_t write(int fd, const char* bytes, std::size_t count) noexcept override {
    system_call one{.which = call::write, .fd = fd, .bytes = bytes, .count = count};
    return through(one, [&] { return system_calls::write(fd, bytes, one.count); });
  }
  std::int64_t offset_of(int fd) noexcept override {
    system_call one{.which = call::offset_of, .fd = fd};
    return through(one, [&] { return system_calls::offset_of(fd); });
  }
  std::int64_t read_at(int fd, char* bytes, std::size_t count, std::uint64_t offset) noexcept override {
    system_call one{.which = call::read_at, .fd = fd, .space = bytes, .count = count, .offset = offset};
    return through(one, [&] { return system_calls::read_at(fd, bytes, one.count, offset); });
  }
  std::int64_t next_data(int fd, std::uint64_t offset) noexcept override {
    system_call one{.which = call::next_data, .fd = fd, .offset = offset};
    return through(one, [&] { return system_calls::next_data(fd, offset); });
  }
  int sync_data(int fd) noexcept override {
    system_call one{.which = call::sync_data, .fd = fd};
    return through(one, [&] { return system_calls::sync_data(fd); });
  }
  int sync_all(int fd) noexcept override {
    system_call one{.which = call::sync_all, .fd = fd};
    return through(one, [&] { return system_calls::sync_all(fd); });
  }
  int status_of(int fd, annals::io::file_status& status) noexcept override {
    system_call one{.which = call::status_of, .fd = fd, .status = &status};
    return through(one, [&] { return system_calls::status_of(fd, status); });
  }
  int status_at(const char* path, annals::io::file_status& status) noexcept override {
    system_call one{.which = call::status_at, .path = path, .status = &status};
    return through(one, [&] { return system_calls::status_at(path, status); });
  }
  int make_directory(const char* path, unsigned mode) noexcept override {
    system_call one{.which = call::make_directory, .path = path, .mode = mode};
    return through(one, [&] { return system_calls::make_directory(path, mode); });
  }
  int list_directory(const char* path, std::string_view prefix, std::size_t names_max,
                     std::vector<std::string>& names) noexcept override {
    system_call one{.which = call::list_directory, .path = path, .names = &names};
    return through(one, [&] { return system_calls::list_directory(path, prefix, names_max, names); });
  }
  int resolve(const char* path, std::string& resolved) noexcept override {
    system_call one{.which = call::resolve, .path = path};
    return through(one, [&] { return system_calls::resolve(path, resolved); });
  }
  int rename(const char* from, const char* to) noexcept override {
    system_call one{.which = call::rename, .path = from, .to = to};
    return through(one, [&] { return system_calls::rename(from, to); });
  }
  int status_in(int directory, const char* name, annals::io::file_status& status) noexcept override {
    const path_in path(directory, name);
    system_call one{.which = call::status_at, .path = path.text(), .status = &status};
    return through(one, [&] { return system_calls::status_in(directory, name, status); });
  }
  int rename_new_in(int from_directory, const char* from, int to_directory, const char* to) noexcept override {
    const path_in source(from_directory, from);
    const path_in target(to_directory, to);
    system_call one{.which = call::rename_new, .path = source.text(), .to = target.text()};
    return through(one, [&] { return system_calls::rename_new_in(from_directory, from, to_directory, to); });
  }
  int remove_in(int directory, const char* name) noexcept override {
    const path_in path(directory, name);
    system_call one{.which = call::remove, .path = path.text()};
    return through(one, [&] { return system_calls::remove_in(directory, name); });
  }
  int remove(const char* path) noexcept override {
    system_call one{.which = call::remove, .path = path};
    return through(one, [&] { return system_calls::remove(path); });
  }
  int space_at(const char* path, annals::io::space_status& space) noexcept override {
    system_call one{.which = call::space_at, .path = path, .disk = &space};
    return through(one, [&] { return system_calls::space_at(path, space); });
  }
  std::int64_t write_at(int fd, const char* bytes, std::size_t count, std::uint64_t offset) noexcept override {
    system_call one{.which = call::write_at, .fd = fd, .bytes = bytes, .count = count, .offset = offset};
    return through(one, [&] { return system_calls::write_at(fd, bytes, one.count, offset); });
  }
  int set_mode(int fd, unsigned mode) noexcept override {
    system_call one{.which = call::set_mode, .fd = fd, .mode = mode};
    return through(one, [&] { return system_calls::set_mode(fd, mode); });
  }
  int set_owner(int fd, std::uint32_t owner, std::uint32_t group) noexcept override {
    system_call one{.which = call::set_owner, .fd = fd};
    return through(one, [&] { return system_calls::set_owner(fd, owner, group); });
  }
  int set_modified(int fd, annals::time_point time) noexcept override {
    system_call one{.which = call::set_modified, .fd = fd};
    return through(one, [&] { return system_calls::set_modified(fd, time); });
  }
  int lock(int fd, bool locked) noexcept override {
    system_call one{.which = locked ? call::lock : call::unlock, .fd = fd};
    return through(one, [&] { return system_calls::lock(fd, locked); });
  }
  int lock_byte(int fd, std::uint64_t offset) noexcept override {
    system_call one{.which = call::lock_byte, .fd = fd, .offset = offset};
    return through(one, [&] { return system_calls::lock_byte(fd, offset); });
  }
  int is_byte_locked(int fd, std::uint64_t offset) noexcept override {
    system_call one{.which = call::is_byte_locked, .fd = fd, .offset = offset};
    return through(one, [&] { return system_calls::is_byte_locked(fd, offset); });
  }
  int map_shared(int fd, std::size_t bytes, void*& memory) noexcept override {
    system_call one{.which = call::map_shared, .fd = fd, .count = bytes};
    return through(one, [&] { return system_calls::map_shared(fd, bytes, memory); });
  }
  int allocate(int fd, std::uint64_t bytes) noexcept override {
    system_call one{.which = call::allocate, .fd = fd, .offset = bytes};
    return through(one, [&] { return system_calls::allocate(fd, bytes); });
  }
  int find_thread(std::uint32_t thread) noexcept override {
    system_call one{.which = call::find_thread};
    return through(one, [&] { return system_calls::find_thread(thread); });
  }
  annals::time_point now() noexcept override {
    const std::lock_guard lock(mutex_);
    return (now_ ? *now_ : system_calls::now()) + std::chrono::duration_cast<std::chrono::microseconds>(advanced_);
  }
  std::chrono::nanoseconds uptime() noexcept override {
    const std::lock_guard lock(mutex_);
    return (frozen_ ? *frozen_ : system_calls::uptime()) + advanced_;
  }

 protected:
  // For a class whose hook uses its own members: it has a calls_override as its last member.
  struct overridden_later {};
  hooked_calls(hook with, overridden_later) : hook_(std::move(with)) {}

 private:
  template <class Kernel>
  auto through(system_call& one, const Kernel& kernel) noexcept -> decltype(kernel()) {
    if (!hook_) return kernel();
    one.kernel = &kernel;
    one.do_it = [](const void* at) { return static_cast<std::int64_t>((*static_cast<const Kernel*>(at))()); };
    return static_cast<decltype(kernel())>(hook_(one));
  }

  const hook hook_;
  std::mutex mutex_;
  std::chrono::nanoseconds advanced_{0};
  std::optional<annals::time_point> now_;
  std::optional<std::chrono::nanoseconds> frozen_;
  std::optional<annals::io::calls_override> override_;
};

}  // namespace support
