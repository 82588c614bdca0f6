// SPDX-License-Identifier: 0BSD
//
// annals_mysink: a sink that appends lines to a file of its own. Change it as you like. The interface of annals::sink describes
// what each function must do; `annals plugin check` tests it.
//
// Options: path (text, required), the file.
#include <annals_plugin.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
import annals.sdk;

namespace {

class mysink_sink final : public annals::sink {
 public:
  // Checks all options. Opens nothing: the first write does.
  explicit mysink_sink(const annals::sdk::host& host) : mode_(host.file_mode) {
    annals::option_reader reader(host.options, "$.sink");
    reader.require("path", "the file to append to");
    path_ = reader.text("path").value_or("");
    reader.finish();
  }
  ~mysink_sink() override { let_go(); }
  mysink_sink(const mysink_sink&) = delete;
  mysink_sink& operator=(const mysink_sink&) = delete;

  void write(const annals::batch& lines) override {
    if (fd_ < 0) open();
    if (is_torn_) append("\n");
    append(lines.lines);
  }

  void sync() override {
    if (is_lost_) {
      throw annals::sink_error({annals::errc::sync_failed, 0,
                                "an earlier sync of '" + path_ + "' failed; lines written before it may not be durable"});
    }
    if (fd_ < 0 || ::fsync(fd_) == 0) return;
    is_lost_ = true;
    fail(annals::errc::sync_failed, "sync");
  }

  void reopen() override {
    is_lost_ = false;
    let_go();
  }

  annals::position position() override {
    struct stat found = {};
    if ((fd_ >= 0 ? ::fstat(fd_, &found) : ::stat(path_.c_str(), &found)) != 0 && errno != ENOENT)
      fail(annals::errc::io, "examine");
    return {1, static_cast<std::uint64_t>(found.st_size)};
  }

 private:
  [[noreturn]] void fail(annals::errc code, const std::string& attempted) const {
    const int cause = errno;
    throw annals::sink_error({code, cause, "cannot " + attempted + " '" + path_ + "': " + std::strerror(cause)});
  }

  void open() {
    const int fd = ::open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode_);
    if (fd < 0) fail(annals::errc::io, "open");
    fd_ = fd;
    struct stat found = {};
    char last = '\n';
    if (::fstat(fd_, &found) != 0 || !S_ISREG(found.st_mode)) {
      let_go();
      throw annals::sink_error({annals::errc::not_a_regular_file, 0, "'" + path_ + "' is not a regular file"});
    }
    if (found.st_size > 0 && ::pread(fd_, &last, 1, found.st_size - 1) != 1) {
      let_go();
      fail(annals::errc::io, "read");
    }
    is_torn_ = last != '\n';  // its writer died while it wrote the line
  }

  void append(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t wrote = ::write(fd_, bytes.data(), bytes.size());
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) fail(annals::errc::io, "append to");
      is_torn_ = true;  // until everything is written
      bytes.remove_prefix(static_cast<std::size_t>(wrote));
    }
    is_torn_ = false;
  }

  void let_go() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  std::string path_;
  unsigned mode_;
  int fd_ = -1;           // open from the first write on
  bool is_torn_ = false;  // the last line of the file may be incomplete
  bool is_lost_ = false;  // a sync failed: lines written before it may not be durable, and later syncs must fail
};

}  // namespace

ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
    annals::sdk::describe<mysink_sink>({.name = "mysink", .version = "0.1.0", .license = "0BSD"});
