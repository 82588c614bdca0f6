// SPDX-License-Identifier: Apache-2.0
#include "keeping/archive_options.h"

#include <memory>

#include "commands.h"

namespace cli {

selected add_archive_command(CLI::App& app) {
  const auto arguments = std::make_shared<archive_arguments>();
  CLI::App* const archive = app.add_subcommand("archive", "Compress the closed segments of a log");
  archive->add_option("FILE", arguments->file, "The log, named by its live segment")
      ->required()
      ->check([](const std::string& given) { return std::string(given.empty() ? "expected a path, found nothing" : ""); });
  archive->add_option("--level", arguments->level, "How hard to try, 1 to 19 (default: the plugin's, 9)")
      ->check(CLI::Range(1, 19).description(""))
      ->type_name("N");
  archive->add_option("--plugin", arguments->plugin, "The archiver: its name, or its absolute path (default: zstd)")
      ->type_name("NAME");
  archive->footer(
      "Examples:\n"
      "  annals archive audit.jsonl\n"
      "  annals archive audit.jsonl --level 19\n\n"
      "It may be interrupted at any moment, and run again. Exit status: 0 done, 1 a segment was left as it is, 2 wrong usage, "
      "3 input\n"
      "or output failed.");
  return [arguments, archive] { return archive->parsed() ? run_archive(*arguments) : static_cast<int>(usage); };
}

}  // namespace cli
