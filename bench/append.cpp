// SPDX-License-Identifier: Apache-2.0
//
// One event appended to a file on disk: by annals, by a bare write(2) of a line that is ready, by spdlog.
#include <fcntl.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

#include "sample.h"
#include "serve.h"
import annals;

namespace {

// `enabled` false: the call that does nothing.
bench::calls annals_direct(const std::string& path, bool enabled) {
  auto log = std::make_shared<annals::audit_logger>(annals::logger_options{.path = path, .enabled = enabled});
  return [log, enabled](std::size_t count) {
    std::size_t accepted = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const annals::receipt made =
          log->log_event(sample::container, sample::action, {.dest = sample::dest, .detail = sample::detail});
      accepted += made.accepted() ? 1 : 0;
    }
    if (accepted != (enabled ? count : 0)) throw std::runtime_error("annals did not accept every event");
  };
}

// The least that any writer of lines can do: the same flags as the library's file, no formatting, no lock, no counting.
bench::calls bare_write(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), path);
  return [fd](std::size_t count) {  // open until the process ends
    for (std::size_t i = 0; i < count; ++i) {
      if (::write(fd, sample::line.data(), sample::line.size()) != static_cast<ssize_t>(sample::line.size())) {
        throw std::system_error(errno, std::generic_category(), "write");
      }
    }
  };
}

// spdlog's basic file sink, safe for threads like our logger, flushed after each message: as with us, the kernel holds the
// line when the call returns. The pattern yields the same bytes for this event; nothing is escaped.
bench::calls spdlog_flushed(const std::string& path) {
  auto log = std::make_shared<spdlog::logger>("audit", std::make_shared<spdlog::sinks::basic_file_sink_mt>(path));
  log->set_formatter(std::make_unique<spdlog::pattern_formatter>(R"({"ts":"%Y-%m-%dT%H:%M:%S+00:00",%v})",
                                                                 spdlog::pattern_time_type::utc, "\n"));
  log->flush_on(spdlog::level::trace);
  log->set_error_handler([](const std::string& message) { throw std::runtime_error("spdlog: " + message); });
  return [log](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      log->info(R"("container":"{}","action":"{}","dest":"{}","detail":"{}")", sample::container, sample::action, sample::dest,
                sample::detail);
    }
  };
}

}  // namespace

int main() {
  return bench::serve({
      {"annals", [](const std::string& path) { return annals_direct(path, true); }},
      {"annals-disabled", [](const std::string& path) { return annals_direct(path, false); }},
      {"write", bare_write},
      {"spdlog", spdlog_flushed},
  });
}
