// SPDX-License-Identifier: Apache-2.0
#include "keeping/options.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "commands.h"
import annals;
#include "keeping/arguments.h"
#include "reading/human_time.h"

namespace cli {

namespace {

std::string not_empty(const std::string& given) {
  return given.empty() ? "expected a path, found nothing" : "";
}

// As `annals query` takes times, in UTC; but a day that is an end is meant to its last microsecond.
std::optional<annals::time_point> time_of(const std::string& text, bool is_end) {
  const bool is_day = text.size() == std::string_view("2026-01-31").size();
  if (const auto day = annals::parse_timestamp(text + "T23:59:59.999999Z"); is_end && is_day && day) return day->time;
  const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
  return parse_human_time(text, now, false);
}

// An option whose text `take` reads; false: it is not what was expected.
template <class Take>
CLI::Option* add_read(CLI::App& app, const std::string& name, const std::string& help, const std::string& expected, Take take) {
  return app.add_option_function<std::string>(
      name,
      [name, expected, take](const std::string& given) {
        if (!take(given)) throw CLI::ValidationError(name, "expected " + expected + ", found '" + given + "'");
      },
      help);
}

struct all_arguments {
  segments_arguments segments;
  recover_arguments recover;
  rotate_arguments rotate;
  prune_arguments prune;
  hold_arguments hold;
  adopt_arguments adopt;
};

void add_segments(CLI::App& app, segments_arguments& arguments) {
  CLI::App* const segments = app.add_subcommand("segments", "List the segments of a log");
  segments->add_option("FILE", arguments.file, "The log, named by its live segment")->required()->check(not_empty);
  segments
      ->add_option_function<std::string>(
          "--output", [&arguments](const std::string& form) { arguments.json = form == "json"; },
          "text: columns, for people; json: one object for each segment")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->type_name("text|json");
  segments->footer(
      "Examples:\n"
      "  annals segments audit.jsonl\n\n"
      "Exit status: 0 done, 1 a segment is damaged, 2 wrong usage, 3 input or output failed.");
}

void add_recover(CLI::App& app, recover_arguments& arguments) {
  CLI::App* const recover = app.add_subcommand("recover", "Bring into a log what a dead process left in its ring or journal");
  recover->add_option("FILE", arguments.file, "The log, named by its live segment")->required()->check(not_empty);
  recover->footer(
      "Example:\n"
      "  annals recover audit.jsonl\n\n"
      "The next logger of the log does the same by itself. Exit status: 0 done, or nothing was left; 2 wrong usage, 3 the\n"
      "owner of ring or journal lives, or input or output failed.");
}

void add_rotate(CLI::App& app, rotate_arguments& arguments) {
  CLI::App* const rotate = app.add_subcommand("rotate", "Close the live segment of a log, and begin a new one");
  rotate->add_option("FILE", arguments.file, "The log, named by its live segment")->required()->check(not_empty);
  rotate->footer(
      "Examples:\n"
      "  annals rotate audit.jsonl\n\n"
      "Exit status: 0 done, or there was nothing to close, 2 wrong usage, 3 input or output failed.");
}

void add_prune(CLI::App& app, prune_arguments& arguments) {
  CLI::App* const prune = app.add_subcommand("prune", "Delete closed segments, as a policy says");
  annals::retention_policy& policy = arguments.policy;
  CLI::Option* const file = prune->add_option("FILE", arguments.file, "The log, named by its live segment")->check(not_empty);
  CLI::Option* const config = prune
                                  ->add_option("--config", arguments.config,
                                               "A configuration: its path is the log, the keep_... of its sink are the policy")
                                  ->check(not_empty)
                                  ->type_name("C");
  prune->add_flag("--dry-run", arguments.dry_run, "Tell what would be deleted, and delete nothing");
  const auto take_for = [&policy](const std::string& given) { return bool(policy.keep_for = annals::parse_duration(given)); };
  const auto take_bytes = [&policy](const std::string& given) { return bool(policy.keep_bytes = annals::parse_size(given)); };
  const auto take_segments = [&policy](const std::string& given) {
    policy.keep_segments = annals::parse_size(given);
    return policy.keep_segments && *policy.keep_segments != 0 && given.find_first_not_of("0123456789") == std::string::npos;
  };
  const auto take_free = [&policy](const std::string& given) { return bool(policy.keep_free = annals::parse_space(given)); };
  std::vector<CLI::Option*> limits;
  limits.push_back(add_read(*prune, "--keep-for", "Segments whose newest event is older go: 7y, 90d, 12h",
                            "a length of time like 90d", take_for)
                       ->type_name("TIME"));
  limits.push_back(add_read(*prune, "--keep-bytes", "The oldest go until the log takes no more on disk: 50GB",
                            "a size like 50GB", take_bytes)
                       ->type_name("SIZE"));
  limits.push_back(add_read(*prune, "--keep-segments", "The oldest go until there are no more closed segments",
                            "a number, 1 or more", take_segments)
                       ->type_name("N"));
  limits.push_back(add_read(*prune, "--keep-free", "The oldest go until this much of the file system is free: 5GiB, 10%",
                            "a size like 5GiB or a share like 10%", take_free)
                       ->type_name("SPACE"));
  for (CLI::Option* const one : limits) config->excludes(one);
  prune->callback([file, config, limits] {
    if (file->empty() && config->empty()) throw CLI::RequiredError("FILE, or --config");
    if (!file->empty() && !config->empty())
      throw CLI::ExtrasError({"--config: the configuration names the log; expected no FILE"});
    std::size_t given = config->count();
    for (const CLI::Option* const one : limits) given += one->count();
    if (given == 0) {
      throw CLI::RequiredError("At least one of --keep-for, --keep-bytes, --keep-segments, --keep-free, or --config");
    }
  });
  prune->footer(
      "Examples:\n"
      "  annals prune audit.jsonl --keep-for 7y --keep-free 10% --dry-run\n"
      "  annals prune --config annals.json\n\n"
      "Held segments and the last closed one are never deleted. Each deletion is an event in the log.\n"
      "Exit status: 0 done, 1 some of it was left for the next time, 2 wrong usage, 3 input or output failed.");
}

void add_hold(CLI::App& app, hold_arguments& arguments) {
  CLI::App* const hold = app.add_subcommand("hold", "Keep segments from being deleted");
  hold->require_subcommand(1);
  CLI::App* const add = hold->add_subcommand("add", "Add a hold");
  CLI::App* const list = hold->add_subcommand("list", "List the holds");
  CLI::App* const remove = hold->add_subcommand("remove", "Remove a hold");
  for (CLI::App* const one : {add, list, remove}) {
    one->add_option("FILE", arguments.file, "The log, named by its live segment")->required()->check(not_empty);
  }
  for (CLI::App* const one : {add, remove}) one->add_option("NAME", arguments.hold.name, "The name of the hold")->required();
  const std::string expected = "a time like 2026-01-31T12:00:00Z, a day like 2026-01-31, yesterday, or -3h";
  add_read(*add, "--from", "Only segments with events from this time on, or whose times are not known", expected,
           [&arguments](const std::string& given) { return bool(arguments.hold.from = time_of(given, false)); })
      ->type_name("TIME");
  add_read(*add, "--to", "Only segments with events up to this time, or whose times are not known", expected,
           [&arguments](const std::string& given) { return bool(arguments.hold.to = time_of(given, true)); })
      ->type_name("TIME");
  list->add_option_function<std::string>(
          "--output", [&arguments](const std::string& form) { arguments.json = form == "json"; },
          "text: for people; json: one object for each hold")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->type_name("text|json");
  const std::string status = "\n\nExit status: 0 done, 1 refused, 2 wrong usage, 3 input or output failed.";
  add->footer("Examples:\n  annals hold add audit.jsonl case-17 --from 2026-01-01 --to 2026-03-31" + status);
  list->footer("Examples:\n  annals hold list audit.jsonl" + status);
  remove->footer("Examples:\n  annals hold remove audit.jsonl case-17" + status);
  hold->footer("Examples:\n  annals hold add audit.jsonl case-17\n  annals hold list audit.jsonl");
}

void add_adopt(CLI::App& app, adopt_arguments& arguments) {
  CLI::App* const adopt = app.add_subcommand("adopt", "Take files that others rotated into a log");
  adopt->add_option("FILE", arguments.file, "The log, named by its live segment")->required()->check(not_empty);
  adopt->add_option("FOREIGN", arguments.files, "The files: audit.jsonl.1, audit.jsonl-20261101, audit.jsonl.2.zst")
      ->required()
      ->check(not_empty);
  adopt->add_flag("--yes", arguments.yes, "Do it; without, only what would be done is told");
  adopt->footer(
      "Examples:\n"
      "  annals adopt audit.jsonl audit.jsonl.*\n"
      "  annals adopt audit.jsonl audit.jsonl.* --yes\n\n"
      "Exit status: 0 done, 1 a file cannot be taken in, and none was, 2 wrong usage, 3 input or output failed.");
}

}  // namespace

selected add_maintenance_commands(CLI::App& app) {
  const auto arguments = std::make_shared<all_arguments>();
  add_segments(app, arguments->segments);
  add_recover(app, arguments->recover);
  add_rotate(app, arguments->rotate);
  add_prune(app, arguments->prune);
  add_hold(app, arguments->hold);
  add_adopt(app, arguments->adopt);
  return [&app, arguments] {
    if (app.got_subcommand("segments")) return run_segments(arguments->segments);
    if (app.got_subcommand("recover")) return run_recover(arguments->recover);
    if (app.got_subcommand("rotate")) return run_rotate(arguments->rotate);
    if (app.got_subcommand("prune")) return run_prune(arguments->prune);
    if (app.got_subcommand("adopt")) return run_adopt(arguments->adopt);
    const CLI::App* const hold = app.get_subcommand("hold");
    if (hold->got_subcommand("add")) return run_hold_add(arguments->hold);
    return hold->got_subcommand("list") ? run_hold_list(arguments->hold) : run_hold_remove(arguments->hold);
  };
}

bool is_maintenance(const CLI::App& app) {
  for (const char* const name : {"segments", "recover", "rotate", "prune", "hold", "adopt"}) {
    if (app.got_subcommand(name)) return true;
  }
  return false;
}

}  // namespace cli
