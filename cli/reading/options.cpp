// SPDX-License-Identifier: Apache-2.0
#include "reading/options.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "commands.h"
import annals;
#include "reading/human_time.h"

namespace cli {

namespace {

constexpr unsigned threads_max = 64;

std::string not_empty(const std::string& given) {
  return given.empty() ? "expected a path, found nothing" : "";
}

std::string is_time(const std::string& given) {
  if (parse_human_time(given, annals::time_point{}, false)) return {};
  return "expected a time, like -3h, yesterday, 2026-11-01, 2026-11-01T14:30 or 2026-11-01T14:30:00+01:00, found '" + given +
         "'";
}

output_form form_of(const std::string& name) {
  return name == "pretty" ? output_form::pretty
         : name == "json" ? output_form::json
         : name == "csv"  ? output_form::csv
                          : output_form::count;
}

void add_cat(CLI::App& app, cat_arguments& arguments) {
  CLI::App* const cat = app.add_subcommand("cat", "Write out all lines of logs, uncompressed");
  cat->add_option("FILE", arguments.files, "A log, a closed segment of one, or what another program made of it")
      ->required()
      ->check(not_empty);
  cat->footer(
      "Examples:\n"
      "  annals cat audit.jsonl | jq -r .dest | sort | uniq -c\n"
      "  annals cat audit.jsonl.2.zst audit.jsonl.1 audit.jsonl\n\n"
      "The lines come as they are, be they events or not. Exit status: 0 done, 2 wrong usage, 3 input or output failed.");
}

void add_query(CLI::App& app, query_arguments& arguments) {
  CLI::App* const query = app.add_subcommand("query", "Find events in logs");
  query->add_option("FILE", arguments.files, "A log, a closed segment of one, or what another program made of it")
      ->required()
      ->check(not_empty);
  query->add_option("--since", arguments.since, "Events at this time or later")->check(is_time)->type_name("TIME");
  query->add_option("--until", arguments.until, "Events before this time")->check(is_time)->type_name("TIME");
  query->add_flag("--local", arguments.local, "Times given without an offset are those of this machine's zone, not UTC");
  query->add_option("--container", arguments.container, "What the event is about; C* is what begins with C")->type_name("C");
  query->add_option("--action", arguments.action, "What happened; likewise")->type_name("A");
  query->add_option("--dest", arguments.dest, "Destination; likewise")->type_name("D");
  query->add_option("--contains", arguments.contains, "A text that stands anywhere in the line")->type_name("TEXT");
  query
      ->add_option_function<std::string>(
          "--output", [&arguments](const std::string& name) { arguments.output = form_of(name); },
          "pretty: columns, for people; json: the lines as they are; csv: RFC 4180; count: how many\n"
          "(default: pretty on a terminal, else json)")
      ->check(CLI::IsMember({"pretty", "json", "csv", "count"}).description(""))
      ->type_name("pretty|json|csv|count");
  query->add_option("--threads", arguments.threads, "How many processor cores to use")
      ->check(CLI::Range(1U, threads_max).description(""))
      ->type_name("N")
      ->default_str("1");
  query->footer(
      "Examples:\n"
      "  annals query audit.jsonl --since yesterday --until today --dest '203.0.113.*'\n"
      "  annals query audit.jsonl --since -3h --action denied --output count\n\n"
      "TIME: now, today, yesterday, -3h (that long ago), 2026-11-01, 2026-11-01T14:30, RFC 3339.\n"
      "Exit status: 0 done, 2 wrong usage, 3 input or output failed.");
}

}  // namespace

selected add_reading_commands(CLI::App& app) {
  struct all_arguments {
    cat_arguments cat;
    query_arguments query;
  };
  const auto arguments = std::make_shared<all_arguments>();
  add_cat(app, arguments->cat);
  add_query(app, arguments->query);
  return [&app, arguments] { return app.got_subcommand("cat") ? run_cat(arguments->cat) : run_query(arguments->query); };
}

}  // namespace cli
