// SPDX-License-Identifier: Apache-2.0
//
// annals log: one event from the command line, or many from standard input.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "complain.h"
#include "writing/commands.h"
import annals;

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

int log_one(annals::audit_logger& log, const log_arguments& arguments) {
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
    fields.push_back({name, json ? annals::field_value(annals::raw_json{value}) : annals::field_value(value)});
  }
  annals::event_details details;
  details.dest = arguments.dest;
  details.detail = arguments.detail;
  details.fields = fields;
  const annals::receipt made = log.log_event(arguments.container, arguments.action, details);
  if (made) return ok;
  complain(made.message());
  return is_io(*made.cause()) ? io_error : refused;
}

class json_lines_import {
 public:
  explicit json_lines_import(annals::audit_logger& log) : log_(log) {}

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
  bool refuse(std::string_view why) {
    ++refused_;
    complain("line " + std::to_string(number_) + ": " + std::string(why) + "; skipped");
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
    if (made) return true;
    if (!is_io(*made.cause())) return refuse(made.message());
    complain("line " + std::to_string(number_) + ": " + std::string(made.message()) + "; stopped after " +
             std::to_string(log_.stats().accepted) + " events logged");
    return false;
  }

  annals::audit_logger& log_;
  std::uint64_t number_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace

int run_log(const log_arguments& arguments) try {
  std::atomic<bool> left = false;  // in a ring, when the logger has ended
  // Receipts report failures; only what no receipt reports is printed from here.
  const auto on_error = [&left](const annals::error& what) {
    if (what.code != annals::errc::events_left) return;
    left = true;
    complain(what.message);
  };
  const auto on_notice = [](const annals::notice& what) {
    if (what.severity != annals::severity::info) complain(what.message);
  };
  int code = ok;
  {
    annals::audit_logger log =
        arguments.config.empty() ? annals::audit_logger({.path = arguments.file, .on_error = on_error, .on_notice = on_notice})
                                 : annals::audit_logger::from_config(arguments.config, on_error, on_notice);
    code = arguments.json_lines ? json_lines_import(log).run() : log_one(log, arguments);
  }
  return code == ok && left ? io_error : code;
} catch (const annals::failure& failed) {
  complain_lines(failed.what());
  return is_io(failed.cause()) ? io_error : refused;
}

}  // namespace cli
