// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "complain.h"
#include "display/display.h"
#include "reading/commands.h"
import annals;
#include "display/pretty.h"
#include "reading/output.h"

namespace cli {

namespace {

bool wants_colour() {
  const char* const no_color = std::getenv("NO_COLOR");  // no-color.org: set and not empty
  const char* const term = std::getenv("TERM");
  return is_terminal() && (no_color == nullptr || *no_color == '\0') && (term == nullptr || std::string_view(term) != "dumb");
}

// A path that is the same for each way to write the same name: its directory is resolved.
std::string place_of(const std::string& file) {
  std::error_code unknown;
  const std::filesystem::path given(file);
  const auto directory = std::filesystem::canonical(given.has_parent_path() ? given.parent_path() : ".", unknown);
  return unknown ? given.lexically_normal().string() : (directory / given.filename()).string();
}

}  // namespace

bool is_terminal() {
  return ::isatty(STDOUT_FILENO) != 0;
}

event_printer::event_printer(output_form form)
    : terminal_(is_terminal()),
      pretty_(form == output_form::automatic ? terminal_ : form == output_form::pretty),
      printer_(wants_colour()) {}

void event_printer::measure(const std::vector<annals::event>& events) {
  for (const annals::event& e : events) printer_.measure(e);
}

void event_printer::print(const annals::event& e) {
  if (!pretty_ && !terminal_) {
    std::fwrite(e.line.data(), 1, e.line.size(), stdout);
    std::putc('\n', stdout);
    return;
  }
  const std::string text = pretty_ ? printer_.line(e) : display::visible_json(e.line) + '\n';
  std::fwrite(text.data(), 1, text.size(), stdout);
}

bool event_printer::flush() {
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
}

void damage_printer::operator()(const annals::damage& found) {
  is_damaged_ = true;
  is_unreadable_ = is_unreadable_ || found.is_unreadable;
  if (found.cause == cause_) {
    ++more_;
    bytes_ += found.bytes;
    lines_ += found.lines.value_or(0);
    return;
  }
  flush();
  cause_ = found.cause;
  complain(to_string(found));
}

void damage_printer::operator()(const annals::gap& found) {
  is_damaged_ = is_damaged_ || !found.events;  // a deletion that was recorded is no damage
  flush();
  complain(found.log + ": " + to_string(found));
}

void damage_printer::flush() {
  if (more_ != 0) {
    complain("and " + std::to_string(more_) + " more of that kind, " + std::to_string(bytes_) + " bytes in all" +
             (lines_ == 0 ? "" : ", with " + std::to_string(lines_) + " recorded events"));
  }
  cause_.clear();
  more_ = bytes_ = lines_ = 0;
}

bool is_log(const std::string& file) {
  std::error_code unknown;
  const auto type = std::filesystem::symlink_status(file, unknown).type();
  if (type == std::filesystem::file_type::regular || type == std::filesystem::file_type::symlink) return true;
  if (type != std::filesystem::file_type::not_found) {
    complain("cannot read '" + file +
             "': " + (unknown ? unknown.message() : "it is no regular file; expected the live segment of a log"));
    return false;
  }
  bool is_there = false;  // a ring of a dead process, maybe one that cannot be read, is a log, too
  const annals::tail_page last = annals::read_tail(file, 1, {.on_damage = [&](const annals::damage&) { is_there = true; }});
  if (is_there || !last.events.empty() || last.next != annals::cursor{}) return true;
  complain("there is no log at '" + file + "'");
  return false;
}

std::vector<std::string> without_parts_of_logs(const std::vector<std::string>& files) {
  std::vector<std::string> places;
  for (const std::string& file : files) places.push_back(place_of(file));
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto log = annals::log_of_file(places[i]);
    const auto begin = places.begin();
    if (log && std::find(begin, places.end(), *log) != places.end()) {
      complain("'" + files[i] + "' belongs to the log '" + *log + "', which is read with all its segments; read once");
    } else if (const auto before = begin + static_cast<std::ptrdiff_t>(i); std::find(begin, before, places[i]) != before) {
      complain("'" + files[i] + "' is given twice; read once");
    } else {
      kept.push_back(files[i]);
    }
  }
  return kept;
}

}  // namespace cli
