// SPDX-License-Identifier: 0BSD
//
// annals_console: writes lines to standard output or standard error. A whole plugin in C++.
#include <annals_plugin.h>
#include <errno.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
import annals.sdk;

namespace {

class console_sink final : public annals::sink {
 public:
  explicit console_sink(const annals::sdk::host& host) {
    annals::option_reader reader(host.options, "$.sink");
    if (reader.choice("stream", {"stdout", "stderr"}).value_or(0) == 1) fd_ = STDERR_FILENO;
    reader.finish();  // throws with everything that is wrong
  }

  void write(const annals::batch& lines) override {
    if (is_torn_ && !lines.lines.empty()) append("\n");
    append(lines.lines);
  }

  void sync() override {}    // a terminal or a pipe promises nothing
  void reopen() override {}  // and cannot be renamed
  annals::position position() override { return {1, bytes_}; }

 private:
  void append(std::string_view rest) {
    while (!rest.empty()) {
      const ssize_t wrote = ::write(fd_, rest.data(), rest.size());
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) {
        const int cause = errno;
        throw annals::sink_error(
            {annals::errc::io, cause, std::string("cannot write to the console: ") + std::strerror(cause)});
      }
      rest.remove_prefix(static_cast<std::size_t>(wrote));
      bytes_ += static_cast<std::uint64_t>(wrote);
      is_torn_ = !rest.empty();  // a write that fails now leaves a part of a line behind
    }
  }

  int fd_ = STDOUT_FILENO;
  std::uint64_t bytes_ = 0;
  bool is_torn_ = false;
};

}  // namespace

ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
    annals::sdk::describe<console_sink>({.name = "console", .version = "1.0.0", .license = "0BSD"});
