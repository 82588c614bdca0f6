// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "command_line.h"
#include "exit_code.h"
import annals;
#include "keeping/commands.h"
#include "reading/human_time.h"

namespace cli {

namespace {

// Reads a time as `annals query` does, in UTC. The end of a hold is its last microsecond.
std::optional<annals::time_point> time_of(const std::string& text, bool is_end) {
  const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
  const auto read = parse_human_time(text, now, false);
  if (!read) return std::nullopt;
  if (!is_end) return read->begin;
  return read->is_day ? read->end - std::chrono::microseconds(1) : read->end;
}

// The limits of a policy, as options.
std::vector<CLI::Option*> add_limits(CLI::App& prune, annals::retention_policy& policy) {
  const auto take_for = [&policy](const std::string& given) { return bool(policy.keep_for = annals::parse_age(given)); };
  const auto take_bytes = [&policy](const std::string& given) { return bool(policy.keep_bytes = annals::parse_size(given)); };
  const auto take_segments = [&policy](const std::string& given) {
    policy.keep_segments = annals::parse_size(given);
    return policy.keep_segments && *policy.keep_segments != 0 && given.find_first_not_of("0123456789") == std::string::npos;
  };
  const auto take_free = [&policy](const std::string& given) { return bool(policy.keep_free = annals::parse_space(given)); };
  return {
      add_read(prune, "--keep-for", "Delete segments that were last written longer ago, and none that is younger: 7y, 90d, 12h",
               "a length of time like 90d", take_for)
          ->type_name("TIME"),
      add_read(prune, "--keep-bytes", "Delete the oldest until the log takes no more than this on disk: 50GB",
               "a size like 50GB", take_bytes)
          ->type_name("SIZE"),
      add_read(prune, "--keep-segments", "Delete the oldest until there are no more than N closed segments",
               "a number, 1 or more", take_segments)
          ->type_name("N"),
      add_read(prune, "--keep-free", "Delete the oldest until this much of the file system is free: 5GiB, 10%",
               "a size like 5GiB or a share like 10%", take_free)
          ->type_name("SPACE")};
}

void add_prune(CLI::App& app, chosen_command& run) {
  const auto arguments = std::make_shared<prune_arguments>();
  CLI::App* const prune = app.add_subcommand("prune", "Delete closed segments according to limits");
  CLI::Option* const file = add_log_file(*prune, arguments->file);
  CLI::Option* const config =
      prune
          ->add_option("--config", arguments->config,
                       "A configuration: it names the log, and the keep_... options of its sink are the limits")
          ->check(not_empty)
          ->type_name("C");
  CLI::Option* const dry_run = prune->add_flag("--dry-run", arguments->dry_run, "Print what would be deleted. Delete nothing");
  prune->add_flag("--yes", arguments->yes, "Delete without asking. Needed where standard input is not a terminal")
      ->excludes(dry_run);
  prune->add_flag("--allow-younger", arguments->policy.allow_younger,
                  "Let the other limits delete segments that are younger than --keep-for");
  const std::vector<CLI::Option*> limits = add_limits(*prune, arguments->policy);
  for (CLI::Option* const one : limits) config->excludes(one);
  prune->footer(
      "Examples:\n"
      "  annals prune audit.jsonl --keep-for 7y --dry-run\n"
      "  annals prune audit.jsonl --keep-bytes 50GB --yes\n"
      "  annals prune --config annals.json --yes\n\n"
      "Prints the plan first, and asks. Years are calendar years. No limit deletes what --keep-for keeps, except with\n"
      "--allow-younger. Held segments and the last closed one are never deleted. Each deletion is an event in the log.\n"
      "Exit status: 0 done, 1 a limit is not met, or something was not deleted, 2 wrong usage, 3 input or output failed.");
  on_command(*prune, run, run_prune, arguments, [file, config, limits] {
    if (file->empty() && config->empty()) throw CLI::RequiredError("FILE, or --config");
    if (!file->empty() && !config->empty())
      throw CLI::ExtrasError({"--config: the configuration names the log; expected no FILE"});
    std::size_t given = config->count();
    for (const CLI::Option* const one : limits) given += one->count();
    if (given == 0) {
      throw CLI::RequiredError("At least one of --keep-for, --keep-bytes, --keep-segments, --keep-free, or --config");
    }
  });
}

void add_hold(CLI::App& app, chosen_command& run) {
  const auto arguments = std::make_shared<hold_arguments>();
  CLI::App* const hold = app.add_subcommand("hold", "Protect segments from deletion");
  hold->require_subcommand(1);
  CLI::App* const add = hold->add_subcommand("add", "Add a hold");
  CLI::App* const list = hold->add_subcommand("list", "List the holds");
  CLI::App* const remove = hold->add_subcommand("remove", "Remove a hold");
  for (CLI::App* const one : {add, list, remove}) add_log_file(*one, arguments->file)->required();
  for (CLI::App* const one : {add, remove}) one->add_option("NAME", arguments->hold.name, "The name of the hold")->required();
  const std::string expected = "a time like 2026-01-31T12:00:00Z, a day like 2026-01-31, yesterday, or -3h";
  add_read(*add, "--from", "Only segments with events at or after this time, or with unknown times", expected,
           [arguments](const std::string& given) { return bool(arguments->hold.from = time_of(given, false)); })
      ->type_name("TIME");
  add_read(*add, "--to", "Only segments with events at or before this time, or with unknown times", expected,
           [arguments](const std::string& given) { return bool(arguments->hold.to = time_of(given, true)); })
      ->type_name("TIME");
  add_text_or_json(*list, arguments->json, "text: for people; json: one object per hold");
  const std::string status = "\n\nExit status: 0 done, 1 refused, 2 wrong usage, 3 input or output failed.";
  add->footer("Examples:\n  annals hold add audit.jsonl case-17 --from 2026-01-01 --to 2026-03-31" + status);
  list->footer("Examples:\n  annals hold list audit.jsonl" + status);
  remove->footer("Examples:\n  annals hold remove audit.jsonl case-17" + status);
  hold->footer("Examples:\n  annals hold add audit.jsonl case-17\n  annals hold list audit.jsonl");
  on_command(*add, run, run_hold_add, arguments);
  on_command(*list, run, run_hold_list, arguments);
  on_command(*remove, run, run_hold_remove, arguments);
}

void add_adopt(CLI::App& app, chosen_command& run) {
  const auto arguments = std::make_shared<adopt_arguments>();
  CLI::App* const adopt = app.add_subcommand("adopt", "Turn files that other programs rotated into segments of a log");
  add_log_file(*adopt, arguments->file)->required();
  adopt->add_option("FOREIGN", arguments->files, "The files: audit.jsonl.1, audit.jsonl-20261101, audit.jsonl.2.zst")
      ->required()
      ->check(not_empty);
  adopt->add_flag("--yes", arguments->yes, "Rename the files. Without it, only print what would be done");
  adopt->footer(
      "Examples:\n"
      "  annals adopt audit.jsonl audit.jsonl.*\n"
      "  annals adopt audit.jsonl audit.jsonl.* --yes\n\n"
      "Exit status: 0 done, 1 a file cannot be adopted, and none was, 2 wrong usage, 3 input or output failed.");
  on_command(*adopt, run, run_adopt, arguments);
}

void add_archive(CLI::App& app, chosen_command& run) {
  const auto arguments = std::make_shared<archive_arguments>();
  CLI::App* const archive = app.add_subcommand("archive", "Compress the closed segments of a log");
  add_log_file(*archive, arguments->file)->required();
  archive->add_option("--level", arguments->level, "The compression level, 1 to 19 (default: the plugin's, 9)")
      ->check(CLI::Range(1, 19).description(""))
      ->type_name("N");
  archive->add_option("--plugin", arguments->plugin, "The archiver: its name, or its absolute path (default: zstd)")
      ->type_name("NAME");
  archive->footer(
      "Examples:\n"
      "  annals archive audit.jsonl\n"
      "  annals archive audit.jsonl --level 19\n\n"
      "You can interrupt it at any moment and run it again. Exit status: 0 done, 1 a segment was left as it is, 2 wrong "
      "usage,\n"
      "3 input or output failed.");
  on_command(*archive, run, run_archive, arguments);
}

}  // namespace

void add_keeping_commands(CLI::App& app, chosen_command& run) {
  add_prune(app, run);
  add_hold(app, run);
  add_adopt(app, run);
  add_archive(app, run);
}

}  // namespace cli
