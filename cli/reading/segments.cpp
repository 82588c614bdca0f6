// SPDX-License-Identifier: Apache-2.0
//
// annals segments: what a log consists of.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "complain.h"
#include "display/display.h"
#include "reading/commands.h"
import annals;
#include "display/pretty.h"
#include "exit_code_of.h"
#include "reading/output.h"

namespace cli {

namespace {

const char* state_of(const annals::segment_info& one) {
  if (one.is_compressing) return one.state == annals::segment_state::live ? "live" : "compressing";
  switch (one.state) {
    case annals::segment_state::live: return "live";
    case annals::segment_state::closed: return "closed";
    case annals::segment_state::compressed: return "compressed";
  }
  return "unknown";
}

std::string time_of(const std::optional<annals::time_point>& time) {
  return time ? annals::to_string(annals::timestamp{*time, annals::precision::seconds}) : "";
}

std::string count_of(const std::optional<std::uint64_t>& count) {
  return count ? std::to_string(*count) : "?";
}

// How many times smaller it is on the disk than its lines are.
std::string ratio_of(const annals::segment_info& one) {
  if (one.state != annals::segment_state::compressed || !one.bytes || one.bytes_on_disk == 0) return "";
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.2f", static_cast<double>(*one.bytes) / static_cast<double>(one.bytes_on_disk));
  return text.data();
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + annals::visible(name);
  return text;
}

void print_json(const annals::segment_info& one) {
  const auto number = [](const char* name, const std::optional<std::uint64_t>& value) {
    return value ? ",\"" + std::string(name) + "\":" + std::to_string(*value) : "";
  };
  const auto text = [](const char* name, const std::string& value) {
    return value.empty() ? "" : ",\"" + std::string(name) + "\":" + display::json_string(value);
  };
  std::string line = "{\"segment\":" + std::to_string(one.number) + ",\"state\":\"" + state_of(one) + "\"" +
                     text("path", one.path) + number("events", one.events) + number("bytes", one.bytes) +
                     number("bytes_on_disk", one.bytes_on_disk);
  const std::string ratio = ratio_of(one);
  if (!ratio.empty()) line += ",\"ratio\":" + ratio;
  line += text("first", time_of(one.first)) + text("last", time_of(one.last));
  if (one.is_last_guessed) line += ",\"last_is_file_time\":true";
  line += ",\"held_by\":[";
  for (const std::string& name : one.held_by) line += (line.back() == '[' ? "" : ",") + display::json_string(name);
  line += "]" + text("damage", one.damage.value_or("")) + "}\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
}

using row = std::array<std::string, 9>;

void print_rows(const std::vector<row>& rows) {
  constexpr std::array<bool, 9> is_number = {true, false, true, true, true, true, false, false, false};
  std::array<std::size_t, 9> widths = {};
  for (const row& one : rows) {
    for (std::size_t i = 0; i < one.size(); ++i) widths[i] = std::max(widths[i], display::columns_of(one[i]));
  }
  for (const row& one : rows) {
    std::string line;
    for (std::size_t i = 0; i < one.size(); ++i) {
      const std::string blank(widths[i] - display::columns_of(one[i]), ' ');
      line += is_number[i] ? blank + one[i] : one[i] + blank;
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    std::printf("%s\n", line.c_str());
  }
}

// Where a log has archives, the closed segments that are not archived wait for an archiver.
void note_backlog(const std::vector<annals::segment_info>& segments) {
  const auto count = [&](annals::segment_state state) {
    return std::count_if(segments.begin(), segments.end(), [state](const auto& one) { return one.state == state; });
  };
  const auto waiting = count(annals::segment_state::closed);
  if (waiting == 0 || count(annals::segment_state::compressed) == 0) return;
  complain(std::to_string(waiting) + (waiting == 1 ? " closed segment is" : " closed segments are") +
           " not archived yet; the next process that logs with an archiver does it, or `annals archive`");
}

}  // namespace

int run_segments(const segments_arguments& arguments) {
  const auto segments = annals::list_segments(arguments.file);
  if (!segments) {
    complain(segments.error().message);
    return exit_code_of(segments.error());
  }
  if (segments->empty()) {
    if (!is_log(arguments.file)) return io_error;
    complain("'" + arguments.file +
             "' has no segment yet: its events are in the ring of a process that ended; `annals recover` " +
             "brings them into the log");
  }
  int code = ok;
  std::vector<row> rows = {{"SEGMENT", "STATE", "EVENTS", "BYTES", "ON DISK", "RATIO", "FIRST", "LAST", "HELD BY"}};
  for (const annals::segment_info& one : *segments) {
    if (one.damage) code = damaged;
    if (arguments.json) {
      print_json(one);
      continue;
    }
    if (one.damage) complain(one.path + ": damaged: " + *one.damage);
    rows.push_back({std::to_string(one.number), std::string(state_of(one)) + (one.damage ? ", damaged" : ""),
                    count_of(one.events), count_of(one.bytes), std::to_string(one.bytes_on_disk), ratio_of(one),
                    time_of(one.first), time_of(one.last) + (one.is_last_guessed ? " (file)" : ""), joined(one.held_by)});
  }
  if (!arguments.json) print_rows(rows);
  note_backlog(*segments);
  return end_output(report_blocked_retention(arguments.file, code));
}

}  // namespace cli
