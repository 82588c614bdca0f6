// SPDX-License-Identifier: Apache-2.0
//
// annals prune, and annals hold: what is deleted, and what is kept from it.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "complain.h"
#include "display/display.h"
#include "exit_code.h"
import annals;
#include "exit_code_of.h"
#include "keeping/commands.h"

namespace cli {

namespace {

int code_of(const annals::error& cause) {
  complain_lines(cause.message);
  const bool is_ours = cause.code == annals::errc::invalid_argument || cause.code == annals::errc::invalid_json ||
                       cause.code == annals::errc::invalid_config;
  return is_ours ? refused : io_error;
}

void print(const char* verb, const annals::planned_deletion& one) {
  const std::string events = one.segment.events ? ", " + std::to_string(*one.segment.events) + " events" : "";
  std::printf("%s segment %llu, %s%s, %llu bytes on disk: %s\n", verb, static_cast<unsigned long long>(one.segment.number),
              annals::visible(one.segment.path).c_str(), events.c_str(),
              static_cast<unsigned long long>(one.segment.bytes_on_disk), annals::visible(one.why).c_str());
}

// Prints what stays although it should go. A limit that is not met changes the exit code.
int finish(const std::vector<annals::unmet_limit>& unmet, const std::vector<std::string>& conflicts, int code) {
  code = end_output(conflicts.empty() && unmet.empty() ? code : refused);
  for (const std::string& one : conflicts) complain(one);
  for (const annals::unmet_limit& one : unmet) complain("not met: " + one.why);
  return code;
}

// Prints the plan. Returns the number of segments that it deletes.
std::size_t show(const annals::prune_plan& plan) {
  for (const annals::segment_info& one : plan.unfinished) {
    print("would delete", {one, {}, "an earlier run recorded it as deleted and did not remove it"});
  }
  for (const annals::planned_deletion& one : plan.deletions) print("would delete", one);
  return plan.unfinished.size() + plan.deletions.size();
}

// Asks on the terminal. False without a terminal, and for any answer except "y" and "yes".
bool is_confirmed(std::size_t segments) {
  if (::isatty(STDIN_FILENO) == 0) {
    complain("nothing was deleted; --yes deletes " + std::to_string(segments) + (segments == 1 ? " segment" : " segments"));
    return false;
  }
  std::fflush(stdout);
  std::fprintf(stderr, "Delete %zu %s for ever? [y/N] ", segments, segments == 1 ? "segment" : "segments");
  std::string answer;
  for (int c = std::getc(stdin); c != EOF && c != '\n'; c = std::getc(stdin)) {
    if (answer.size() < 4) answer.push_back(static_cast<char>(c));
  }
  if (answer == "y" || answer == "yes") return true;
  complain("nothing was deleted");
  return false;
}

// The log and the policy that a configuration says.
annals::result<prune_arguments> from_config(const prune_arguments& given) {
  auto config = annals::read_config(given.config);
  if (!config) return std::move(config.error());
  prune_arguments made = given;
  made.file = config->path;
  annals::option_reader reader(config->sink_options, "$.sink");
  made.policy = annals::read_retention(reader);
  made.policy.allow_younger = made.policy.allow_younger || given.policy.allow_younger;
  std::string faults;
  for (const annals::option_problem& one : reader.problems()) {  // the others are the sink's own business
    if (one.path.starts_with("$.sink.keep_") || one.path == "$.sink.allow_younger") faults += "\n" + annals::to_string(one);
  }
  if (faults.empty() && made.policy.is_empty())
    faults = "\n$.sink: none of keep_for, keep_bytes, keep_segments and keep_free is there";
  if (faults.empty() && made.file.empty()) faults = "\n$.path: missing; expected the path of the log";
  if (faults.empty()) return made;
  return annals::error{annals::errc::invalid_config, 0, "cannot take a policy from '" + given.config + "':" + faults};
}

std::string text_of(const std::optional<annals::time_point>& time) {
  return time ? annals::to_string(annals::timestamp{*time, annals::precision::seconds}) : "";
}

}  // namespace

int run_prune(const prune_arguments& given) {
  prune_arguments arguments = given;
  if (!given.config.empty()) {
    auto read = from_config(given);
    if (!read) return code_of(read.error());
    arguments = std::move(*read);
  }
  if (!arguments.yes) {
    const auto plan = annals::plan_prune(arguments.file, arguments.policy);
    if (!plan) return code_of(plan.error());
    const std::size_t segments = show(*plan);
    if (segments == 0) complain(arguments.dry_run ? "nothing would be deleted" : "nothing is to be deleted");
    if (arguments.dry_run || segments == 0) return finish(plan->unmet, plan->conflicts, ok);
    if (!is_confirmed(segments)) return finish(plan->unmet, plan->conflicts, refused);
  }
  const auto outcome = annals::prune(arguments.file, arguments.policy);
  if (!outcome) return code_of(outcome.error());
  for (const annals::planned_deletion& one : outcome->deleted) print("deleted", one);
  if (outcome->finished != 0) {
    complain("removed " + std::to_string(outcome->finished) +
             " segments that an earlier run recorded as deleted but did not remove");
  }
  for (const std::string& one : outcome->skipped) complain("left for the next time: " + one);
  return finish(outcome->unmet, outcome->conflicts, outcome->skipped.empty() ? ok : refused);
}

int run_hold_add(const hold_arguments& arguments) {
  const auto added = annals::add_hold(arguments.file, arguments.hold);
  return added ? report_blocked_retention(arguments.file, ok) : code_of(added.error());
}

int run_hold_remove(const hold_arguments& arguments) {
  const auto removed = annals::remove_hold(arguments.file, arguments.hold.name);
  return removed ? report_blocked_retention(arguments.file, ok) : code_of(removed.error());
}

int run_hold_list(const hold_arguments& arguments) {
  const auto holds = annals::list_holds(arguments.file);
  if (!holds) return code_of(holds.error());
  for (const annals::hold& one : *holds) {
    if (arguments.json) {
      std::string line = "{\"name\":" + display::json_string(one.name);
      if (one.from) line += ",\"from\":" + display::json_string(text_of(one.from));
      if (one.to) line += ",\"to\":" + display::json_string(text_of(one.to));
      if (one.added) line += ",\"added\":" + display::json_string(text_of(one.added));
      std::printf("%s,\"by\":%s}\n", line.c_str(), display::json_string(one.by).c_str());
      continue;
    }
    const std::string range = !one.from && !one.to ? "everything"
                                                   : (one.from ? "from " + text_of(one.from) : std::string("up")) +
                                                         (one.to ? " to " + text_of(one.to) : std::string(" on"));
    std::printf("%s: %s; added %s by %s\n", annals::visible(one.name).c_str(), range.c_str(), text_of(one.added).c_str(),
                annals::visible(one.by).c_str());
  }
  return end_output(report_blocked_retention(arguments.file, ok));
}

}  // namespace cli
