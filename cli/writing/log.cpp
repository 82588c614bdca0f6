// SPDX-License-Identifier: Apache-2.0
//
// annals log: one event from the command line, or many from standard input.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "complain.h"
#include "writing/commands.h"
import annals;
#include "exit_code_of.h"

namespace cli {

namespace {

// The lines of standard input. One that is longer than any line of a log is read to its end, but not kept.
class input_lines {
 public:
  // The next line without its newline; nothing at the end of the input, or when reading fails (see failed()).
  std::optional<std::string_view> next() {
    line_.clear();
    too_long_ = false;
    bool any = false;
    for (int c = std::getc(stdin); c != EOF; c = std::getc(stdin)) {
      any = true;
      if (c == '\n') return line_;
      if (line_.size() < annals::limits::line_bytes_ceiling) {
        line_.push_back(static_cast<char>(c));
      } else {
        too_long_ = true;
      }
    }
    if (!any) return std::nullopt;
    return line_;
  }
  bool too_long() const { return too_long_; }
  bool failed() const { return std::ferror(stdin) != 0; }

 private:
  std::string line_;
  bool too_long_ = false;
};

bool is_io(const annals::error& cause) {
  switch (cause.code) {
    case annals::errc::io:
    case annals::errc::not_a_regular_file:
    case annals::errc::sync_failed:
    case annals::errc::sink_failed: return true;
    default: return false;
  }
}

// What the library reports beside receipts, printed as it comes. What a receipt reports as well is printed with the receipt.
class reports {
 public:
  annals::error_handler on_error() {
    return [this](const annals::error& what) {
      const std::lock_guard lock(mutex_);
      pending_.push_back(what);
    };
  }
  annals::notice_handler on_notice() {
    return [this](const annals::notice& what) {
      const std::lock_guard lock(mutex_);
      if (what.code == annals::notice_code::segment_closed) ++closed_;
      if (what.severity == annals::severity::info) return;
      has_failed_ = has_failed_ || is_failure(what);
      complain(what.message);
    };
  }

  // After a call of the logger: prints the errors that its receipt does not report.
  void settle(const annals::error* of_receipt) {
    const std::lock_guard lock(mutex_);
    for (const annals::error& what : std::exchange(pending_, {})) {
      if (of_receipt != nullptr && what.code == of_receipt->code) continue;
      has_failed_ = true;
      complain(what.message);
    }
  }

  std::uint64_t closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
  }
  bool has_failed() const {
    const std::lock_guard lock(mutex_);
    return has_failed_;
  }

 private:
  static bool is_failure(const annals::notice& what) {
    using enum annals::notice_code;
    return what.severity == annals::severity::error || what.code == rotation_failed || what.code == deletion_failed ||
           what.code == archive_failed || what.code == check_failed || what.code == segment_suspect;
  }

  mutable std::mutex mutex_;
  std::vector<annals::error> pending_;
  std::uint64_t closed_ = 0;  // segments
  bool has_failed_ = false;
};

int log_one(annals::audit_logger& log, reports& told, const log_arguments& arguments) {
  std::vector<annals::field> fields;
  for (const std::string& given : arguments.fields) {
    const std::size_t equals = given.find('=');
    const bool json = equals != std::string::npos && equals != 0 && given[equals - 1] == ':';
    if (equals == std::string::npos || equals == (json ? 1 : 0)) {
      complain("--field " + given + ": expected NAME=TEXT or NAME:=JSON");
      return usage;
    }
    const std::string_view name = std::string_view(given).substr(0, json ? equals - 1 : equals);
    const std::string_view value = std::string_view(given).substr(equals + 1);
    fields.emplace_back(name, json ? annals::field_value(annals::raw_json{value}) : annals::field_value(value));
  }
  annals::event_details details;
  details.dest = arguments.dest;
  details.detail = arguments.detail;
  details.fields = fields;
  const annals::receipt made = log.log_event(arguments.container, arguments.action, details);
  told.settle(made.cause());
  if (made) return ok;
  complain(made.message());
  return is_io(*made.cause()) ? io_error : refused;
}

class json_lines_import {
 public:
  json_lines_import(annals::audit_logger& log, reports& told) : log_(log), told_(told) {}

  int run() {
    input_lines lines;
    while (const auto line = lines.next()) {
      ++number_;
      if (line->empty()) continue;
      const bool go_on = lines.too_long() ? refuse("longer than any line of a log may be") : take(*line);
      if (!go_on) return io_error;
    }
    if (lines.failed()) {
      complain("cannot read standard input after line " + std::to_string(number_));
      return io_error;
    }
    if (refused_ == 0) return ok;
    complain(std::to_string(log_.stats().accepted) + " events logged, " + std::to_string(refused_) + " lines refused");
    return refused;
  }

 private:
  // Prints the first lines that are refused. The number of all of them comes at the end.
  bool refuse(std::string_view why) {
    constexpr std::uint64_t printed_max = 20;
    if (++refused_ <= printed_max) complain("line " + std::to_string(number_) + ": " + std::string(why) + "; skipped");
    if (refused_ == printed_max) complain("more lines that are refused are counted and not shown");
    return true;
  }

  // False when nothing more can be logged.
  bool take(std::string_view line) {
    const auto event = annals::json::decode_line(line, {.keep_numbers = true, .refuse_repeated = true});
    if (!event) return refuse(event.error().message);
    for (const auto& [name, text] : {std::pair{"container", &event->container}, std::pair{"action", &event->action}}) {
      if (text->empty() && event->find(name) == nullptr) return refuse(std::string("\"") + name + "\" is missing or empty");
    }
    const annals::receipt made = log_.log_event(*event);
    told_.settle(made.cause());
    if (made) return true;
    if (!is_io(*made.cause())) return refuse(made.message());
    complain("line " + std::to_string(number_) + ": " + std::string(made.message()) + "; stopped after " +
             std::to_string(log_.stats().accepted) + " events logged");
    return false;
  }

  annals::audit_logger& log_;
  reports& told_;
  std::uint64_t number_ = 0;
  std::uint64_t refused_ = 0;
};

// Waits for the archiver: long for what this process closed, and shortly for what others left.
void finish_archiving(annals::audit_logger& log, const reports& told) {
  constexpr std::chrono::seconds patience{60};
  constexpr std::chrono::seconds patience_for_others{2};
  const std::uint64_t left = log.finish_archiving(told.closed() != 0 ? patience : patience_for_others);
  if (left == 0) return;
  complain(std::to_string(left) + (left == 1 ? " closed segment of '" : " closed segments of '") + log.path() +
           "' wait to be archived; the next process that logs goes on, or `annals archive` does it");
}

}  // namespace

int run_log(const log_arguments& arguments) try {
  reports told;
  std::string path;
  int code = ok;
  {
    annals::audit_logger log =
        arguments.config.empty()
            ? annals::audit_logger({.path = arguments.file, .on_error = told.on_error(), .on_notice = told.on_notice()})
            : annals::audit_logger::from_config(arguments.config, told.on_error(), told.on_notice());
    path = log.path();
    code = arguments.json_lines ? json_lines_import(log, told).run() : log_one(log, told, arguments);
    finish_archiving(log, told);
  }
  told.settle(nullptr);
  if (!path.empty()) code = report_blocked_retention(path, code);
  return code == ok && told.has_failed() ? io_error : code;
} catch (const annals::failure& failed) {
  complain_lines(failed.what());
  return is_io(failed.cause()) ? io_error : refused;
}

}  // namespace cli
