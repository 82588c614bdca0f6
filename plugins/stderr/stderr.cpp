// SPDX-License-Identifier: Apache-2.0
//
// annals_stderr: a sink that prints lines to standard error, for services whose supervisor collects their output.
// docs/sinks.md lists the options and the guarantees.
#include <annals_plugin.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <variant>
#include <vector>

#include "display/display.h"
import annals.sdk;
import annals.json;
#include "display/pretty.h"

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

enum class colour_choice : std::uint8_t { automatic, always, never };

// While one exists, a write to a pipe without a reader raises no SIGPIPE in the process: the signal goes to the thread that
// writes, which blocks it, and removes it if this write caused it.
class no_pipe_signal {
 public:
  no_pipe_signal() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    ::sigpending(&pending);
    was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~no_pipe_signal() {
    const int kept = errno;
    constexpr timespec at_once = {0, 0};
    if (is_broken && !was_pending_) ::sigtimedwait(&pipe_, nullptr, &at_once);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = kept;
  }
  no_pipe_signal(const no_pipe_signal&) = delete;
  no_pipe_signal& operator=(const no_pipe_signal&) = delete;

  bool is_broken = false;

 private:
  sigset_t pipe_;
  sigset_t before_;
  bool was_pending_ = false;
};

bool no_colour_wanted() {
  // NOLINTBEGIN(concurrency-mt-unsafe): read once, while the sink is created
  const char* const no_color = std::getenv("NO_COLOR");  // https://no-color.org
  const char* const terminal = std::getenv("TERM");
  // NOLINTEND(concurrency-mt-unsafe)
  return (no_color != nullptr && *no_color != '\0') || (terminal != nullptr && std::string_view(terminal) == "dumb");
}

class stderr_sink final : public annals::sink {
 public:
  explicit stderr_sink(const annals::sdk::host& host) {
    annals::option_reader reader(host.options, "$.sink");
    is_pretty_ = reader.choice("format", {"json", "pretty"}).value_or(0) == 1;
    const auto colour = static_cast<colour_choice>(reader.choice("colour", {"auto", "always", "never"}).value_or(0));
    if (const auto priority = reader.integer("journal_priority", 0, 7)) prefix_ = "<" + std::to_string(*priority) + ">";
    if (const auto prefix = reader.text("prefix")) {
      // Visible text only: a newline in a prefix would end the line.
      if (annals::visible(*prefix) != *prefix || prefix->size() > 256) {
        reader.problem("prefix", "a text of up to 256 bytes without control characters and backslashes");
      }
      prefix_ += *prefix;
    }
    timeout_ = reader.duration("timeout", 1ms, 5min).value_or(5s);
    reader.finish();
    colours_ = colour == colour_choice::automatic && no_colour_wanted() ? colour_choice::never : colour;
  }

  void write(const annals::batch& batch) override {
    struct ::stat found = {};
    if (::fstat(STDERR_FILENO, &found) != 0) fail(annals::errc::io, "cannot write to standard error", errno);
    std::string text = is_torn_ ? "\n" : "";  // ends the line that a failure left incomplete
    const std::size_t ending = text.size();
    append(text, batch.lines);
    const bool is_file = S_ISREG(found.st_mode);
    if (is_file) written_ = {true, found.st_dev, found.st_ino};
    send(text, is_file ? text.size() : PIPE_BUF, ending);
    bytes_ += batch.lines.size();
  }

  // Only a regular file can be made durable. Whether the reader of a pipe or a terminal keeps the lines is not known.
  void sync() override {
    if (is_lost_) {
      fail(annals::errc::sync_failed, "an earlier sync of standard error failed; lines written before it may not be durable",
           0);
    }
    if (!written_.is_file) return;
    struct ::stat found = {};
    const bool is_there = ::fstat(STDERR_FILENO, &found) == 0;
    const int cause = is_there ? 0 : errno;
    if (is_there && found.st_dev == written_.device && found.st_ino == written_.inode) {
      if (::fdatasync(STDERR_FILENO) == 0) return;
      is_lost_ = true;
      fail(annals::errc::sync_failed, "cannot sync the file that is standard error", errno);
    }
    is_lost_ = true;
    fail(annals::errc::sync_failed,
         "cannot sync standard error: since the last write it was closed or redirected, so the file that was written to is out "
         "of "
         "reach",
         cause);
  }

  // Only the process itself can redirect its standard error.
  void reopen() override {
    is_lost_ = false;
    written_ = {};
  }

  annals::position position() override { return {1, bytes_}; }

 private:
  struct regular_file {
    bool is_file = false;
    dev_t device = 0;
    ino_t inode = 0;
  };

  [[noreturn]] static void fail(annals::errc code, std::string message, int cause) {
    if (cause != 0) message += ": " + std::generic_category().message(cause);
    throw annals::sink_error({code, cause, std::move(message)});
  }

  void append(std::string& text, std::string_view lines) {
    if (is_pretty_ && !printer_) {
      const bool colour =
          colours_ == colour_choice::always || (colours_ == colour_choice::automatic && ::isatty(STDERR_FILENO) == 1);
      printer_.emplace(colour);
    }
    if (!is_pretty_ && prefix_.empty()) {
      text += lines;
      return;
    }
    while (!lines.empty()) {
      const std::size_t end = lines.find('\n');
      const std::string_view line = lines.substr(0, end);
      lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
      text += prefix_;
      text += is_pretty_ ? pretty(line) : std::string(line) + '\n';
    }
  }

  std::string pretty(std::string_view line) {
    const auto decoded = annals::json::decode_line(line);
    return decoded ? printer_->line(*decoded) : annals::visible(line) + '\n';  // a line that is not an event is shown, too
  }

  // Writes all of `text`, at most `at_once` bytes at a time. A pipe that is ready takes PIPE_BUF bytes at once and without
  // blocking. So the wait stays within the timeout although the descriptor blocks (other processes share it, so its flags must
  // not change), and shorter lines of several processes do not mix.
  void send(std::string_view text, std::size_t at_once, std::size_t ending) {
    no_pipe_signal quiet;
    const auto deadline = clock::now() + timeout_;
    std::size_t done = 0;
    while (done < text.size()) {
      std::string_view part = text.substr(done, at_once);
      if (part.size() < text.size() - done && part.find('\n') != std::string_view::npos) {
        part = part.substr(0, part.rfind('\n') + 1);
      }
      const int cause = wait_until_ready(deadline);
      const ::ssize_t wrote = cause == 0 ? ::write(STDERR_FILENO, part.data(), part.size()) : -1;
      if (wrote >= 0) {
        done += static_cast<std::size_t>(wrote);
        is_torn_ = done == 0 ? is_torn_ : text[done - 1] != '\n';
        continue;
      }
      const int error = cause != 0 ? cause : errno;
      if (error == EINTR || error == EAGAIN || error == EWOULDBLOCK) continue;  // the deadline bounds it
      quiet.is_broken = error == EPIPE;
      fail_write(text.size() - ending, done > ending ? done - ending : 0, error);
    }
  }

  // 0, or ETIMEDOUT. Other errors of the descriptor are reported by the write.
  static int wait_until_ready(clock::time_point deadline) {
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now());
      pollfd polled = {STDERR_FILENO, POLLOUT, 0};
      const int ready = ::poll(&polled, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
      if (ready > 0) return 0;
      if (ready < 0 && errno != EINTR) return errno;
      if (clock::now() >= deadline) return ETIMEDOUT;
    }
  }

  [[noreturn]] void fail_write(std::size_t all, std::size_t done, int error) const {
    std::string message = "cannot write to standard error";
    if (error == ETIMEDOUT) {
      message += ": nobody has read from it for " +
                 std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(timeout_).count()) +
                 " ms (option \"timeout\")";
    }
    if (done != 0) {
      message += "; " + std::to_string(done) + " of " + std::to_string(all) + " bytes got through" +
                 (is_torn_ ? ", the last line of them incomplete: the next write ends it" : "");
    }
    fail(annals::errc::io, std::move(message), error);
  }

  bool is_pretty_ = false;
  colour_choice colours_ = colour_choice::automatic;
  std::string prefix_;
  std::chrono::microseconds timeout_ = 5s;
  std::optional<display::pretty_printer> printer_;  // from the first write on: standard error may be redirected until then
  std::uint64_t bytes_ = 0;
  bool is_torn_ = false;  // the last line written is incomplete
  regular_file written_;  // the destination of the last write, if a regular file
  bool is_lost_ = false;  // a sync failed: lines written before it may not be durable, and later syncs must fail
};

}  // namespace

ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
    annals::sdk::describe<stderr_sink>({.name = "stderr", .version = "0.1.0", .license = "Apache-2.0"});
