// SPDX-License-Identifier: Apache-2.0
//
// annals query: the events of logs that meet a filter.
#include <signal.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "complain.h"
#include "reading/commands.h"
import annals;
#include "display/pretty.h"
#include "reading/csv.h"
#include "reading/human_time.h"
#include "reading/output.h"

namespace cli {

namespace {

std::optional<annals::text_match> match_of(const std::optional<std::string>& given) {
  if (!given) return std::nullopt;
  return annals::text_match{*given, given->find_first_of("*?") != std::string::npos};
}

std::optional<human_time> time_of(const std::string& given, annals::time_point now, bool local) {
  return given.empty() ? std::nullopt : parse_human_time(given, now, local);
}

annals::scan_filter filter_of(const query_arguments& arguments) {
  const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
  const auto since = time_of(arguments.since, now, arguments.local);
  const auto until = time_of(arguments.until, now, arguments.local);
  return {.since = since ? std::optional(since->begin) : std::nullopt,
          .until = until ? std::optional(until->end) : std::nullopt,
          .container = match_of(arguments.container),
          .action = match_of(arguments.action),
          .dest = match_of(arguments.dest),
          .address = arguments.address ? annals::parse_address_match(*arguments.address) : std::nullopt,
          .contains = arguments.contains};
}

class result_printer {
 public:
  explicit result_printer(output_form form) : form_(form), terminal_(is_terminal()), printer_(form) {
    if (form_ == output_form::csv) put(csv_header());
  }

  // False when nobody reads our output any more.
  bool operator()(const annals::event& e) {
    ++events_;
    if (form_ == output_form::count) return true;
    if (form_ == output_form::csv) {
      put(csv_line(e, terminal_));
    } else {
      printer_.print(e);
    }
    return std::ferror(stdout) == 0;
  }

  // Events that were not read, but counted by the records of compressed segments.
  void add_recorded(std::uint64_t events) { events_ += events; }
  std::uint64_t events() const { return events_; }

  bool end() {
    if (form_ == output_form::count) put(std::to_string(events_) + "\n");
    return event_printer::flush();
  }

 private:
  static void put(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

  output_form form_;
  bool terminal_;
  event_printer printer_;
  std::uint64_t events_ = 0;
};

}  // namespace

int run_query(const query_arguments& arguments) try {
  ::signal(SIGPIPE, SIG_IGN);
  constexpr std::size_t buffer_bytes = 256 * 1024;
  if (!is_terminal()) std::setvbuf(stdout, nullptr, _IOFBF, buffer_bytes);
  const annals::scan_filter filter = filter_of(arguments);
  if (filter.since && filter.until && *filter.since >= *filter.until) {
    complain("--since " + arguments.since + " is not before --until " + arguments.until + ": no event can meet both");
    return usage;
  }
  damage_printer damages;
  result_printer printer(arguments.output);
  int code = ok;
  bool broken = false;
  std::uint64_t undated = 0;
  std::uint64_t recorded = 0;
  for (const std::string& file : without_parts_of_logs(arguments.files)) {
    if (!is_log(file)) {
      code = io_error;
      continue;
    }
    const auto take = [&](const annals::event& e) {
      damages.flush();
      return printer(e);
    };
    const auto done = annals::scan(file, filter, take,
                                   {.reading = reporting_to(damages),
                                    .threads = arguments.threads,
                                    .count_recorded = arguments.output == output_form::count});
    undated += done.undated;
    recorded += done.recorded;
    broken = done.stopped;
    if (broken) break;
  }
  damages.flush();
  if (undated != 0) {
    complain(std::to_string(undated) + (undated == 1 ? " event has" : " events have") +
             " no time that can be read, and cannot be found by --since and --until");
  }
  printer.add_recorded(recorded);
  if (recorded != 0) {
    complain(std::to_string(recorded) + " of these events were counted by the records of compressed segments, which were not " +
             "decoded; `annals verify` decodes them");
  }
  if (!printer.end() || broken) return output_failed();
  return code != ok ? code : damages.code(printer.events() == 0 ? no_match : ok);
} catch (const annals::failure& failed) {
  complain(failed.what());
  return io_error;
}

}  // namespace cli
