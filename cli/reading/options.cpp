// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "command_line.h"
#include "reading/commands.h"
import annals;
#include "reading/human_time.h"

namespace cli {

namespace {

constexpr unsigned threads_max = 64;

// Decimal, 0 or more; and no empty text, which a shell's unset variable leaves.
std::string is_count(const std::string& given) {
  const bool good = !given.empty() && given.size() <= 18 && given.find_first_not_of("0123456789") == std::string::npos;
  return good ? "" : "expected a number of events, 0 or more, found '" + given + "'";
}

std::string is_time(const std::string& given) {
  if (parse_human_time(given, annals::time_point{}, false)) return {};
  return "expected a time, like -3h, yesterday, 2026-11-01, 2026-11-01T14:30 or 2026-11-01T14:30:00+01:00, found '" + given +
         "'";
}

std::string is_address(const std::string& given) {
  if (annals::parse_address_match(given)) return {};
  return "expected an IP address, a range of them or one with a port, like 203.0.113.7, 203.0.113.0/24, 203.0.113.7:443, "
         "2001:db8::/32 or [2001:db8::1]:443, found '" +
         given + "'";
}

// A destination that is a range of addresses is compared as a text, and would not be found in silence.
std::string is_no_range(const std::string& given) {
  if (given.find('/') == std::string::npos || !annals::parse_address_match(given)) return {};
  return "expected a destination as events have it, found the range '" + given + "'; to find addresses in it: --address " +
         given;
}

output_form form_of(const std::string& name) {
  return name == "pretty" ? output_form::pretty
         : name == "json" ? output_form::json
         : name == "csv"  ? output_form::csv
                          : output_form::count;
}

void add_tail(CLI::App& app, chosen_command& run) {
  const auto arguments = std::make_shared<tail_arguments>();
  CLI::App* const tail = app.add_subcommand("tail", "Show the last events of a log, and follow new ones");
  tail->add_option("FILE", arguments->file, "The log")->required()->check(not_empty);
  tail->add_option_function<std::string>(
          "-n,--lines", [arguments](const std::string& n) { arguments->count = std::stoll(n, nullptr, 10); },
          "How many events to show")
      ->check(is_count)
      ->type_name("N")
      ->default_str("50");
  tail->add_flag("-f,--follow", arguments->follow,
                 "Then wait for more events, also after truncation or replacement of the file");
  const auto set_form = [arguments](const std::string& form) {
    arguments->output = form == "pretty" ? output_form::pretty : output_form::json;
  };
  tail->add_option_function<std::string>("--output", set_form,
                                         "pretty: columns, for people; json: the lines as they are\n"
                                         "(default: pretty on a terminal, else json)")
      ->check(CLI::IsMember({"pretty", "json"}).description(""))
      ->type_name("pretty|json");
  tail->footer(
      "Examples:\n"
      "  annals tail -n 20 audit.jsonl\n"
      "  annals tail -f audit.jsonl --output json | jq .dest\n\n"
      "NO_COLOR in the environment turns colours off.\n"
      "Exit status: 0 done, 2 wrong usage, 3 input or output failed, 4 some of the log is damaged or missing.");
  on_command(*tail, run, run_tail, arguments);
}

void add_query(CLI::App& app, chosen_command& run) {
  const auto arguments = std::make_shared<query_arguments>();
  CLI::App* const query = app.add_subcommand("query", "Find events in logs");
  query->add_option("FILE", arguments->files, "A log, a closed segment, or a file that another program rotated")
      ->required()
      ->check(not_empty);
  query->add_option("--since", arguments->since, "Events at this time or later. Of a day: from its beginning")
      ->check(is_time)
      ->type_name("TIME");
  query->add_option("--until", arguments->until, "Events before this time. Of a day: to its end")
      ->check(is_time)
      ->type_name("TIME");
  query->add_flag("--local", arguments->local, "Times without an offset are in the local time zone, not UTC");
  query
      ->add_option("--container", arguments->container,
                   "What the event is about. With * (any text) or ? (one character), a pattern;\n"
                   "\\* and \\? are the characters themselves")
      ->type_name("C");
  query->add_option("--action", arguments->action, "What happened. As above")->type_name("A");
  query->add_option("--dest", arguments->dest, "The whole destination. As above")->check(is_no_range)->type_name("D");
  query
      ->add_option("--address", arguments->address,
                   "The IP address of the destination, a range (203.0.113.0/24), or one with a port.\n"
                   "Without a port: whatever the port is")
      ->check(is_address)
      ->type_name("ADDRESS");
  query->add_option("--contains", arguments->contains, "A text anywhere in the line, however it is escaped there")
      ->type_name("TEXT");
  query
      ->add_option_function<std::string>(
          "--output", [arguments](const std::string& name) { arguments->output = form_of(name); },
          "pretty: columns, for people; json: the lines as they are; csv: RFC 4180; count: how many\n"
          "(default: pretty on a terminal, else json)")
      ->check(CLI::IsMember({"pretty", "json", "csv", "count"}).description(""))
      ->type_name("pretty|json|csv|count");
  query->add_option("--threads", arguments->threads, "How many processor cores to use")
      ->check(CLI::Range(1U, threads_max).description(""))
      ->type_name("N")
      ->default_str("1");
  query->footer(
      "Examples:\n"
      "  annals query audit.jsonl --since yesterday --until yesterday --address 203.0.113.0/24\n"
      "  annals query audit.jsonl --since -3h --action denied --output count\n\n"
      "TIME: now, today, yesterday, -3h (that long ago), 2026-11-01, 2026-11-01T14:30, RFC 3339.\n"
      "Exit status: 0 events found, 1 none found, 2 wrong usage, 3 input or output failed, 4 some of the log is damaged or\n"
      "missing.");
  on_command(*query, run, run_query, arguments);
}

void add_cat(CLI::App& app, chosen_command& run) {
  const auto arguments = std::make_shared<cat_arguments>();
  CLI::App* const cat = app.add_subcommand("cat", "Print all lines of logs, uncompressed");
  cat->add_option("FILE", arguments->files, "A log, a closed segment, or a file that another program rotated")
      ->required()
      ->check(not_empty);
  cat->footer(
      "Examples:\n"
      "  annals cat audit.jsonl | jq -r .dest | sort | uniq -c\n"
      "  annals cat audit.jsonl.2.zst audit.jsonl.1 audit.jsonl\n\n"
      "Prints every line as it is, events or not. Exit status: 0 done, 2 wrong usage, 3 input or output failed, 4 some of the\n"
      "log is damaged or missing.");
  on_command(*cat, run, run_cat, arguments);
}

void add_verify(CLI::App& app, chosen_command& run) {
  const auto arguments = std::make_shared<verify_arguments>();
  CLI::App* const verify = app.add_subcommand("verify", "Read all of a log and report damage");
  verify->add_option("FILE", arguments->file, "A log, a closed segment, or a file that another program rotated")
      ->required()
      ->check(not_empty);
  verify->add_option("--threads", arguments->threads, "How many processor cores to use")
      ->check(CLI::Range(1U, threads_max).description(""))
      ->type_name("N")
      ->default_str("1");
  verify->footer(
      "Examples:\n"
      "  annals verify audit.jsonl\n\n"
      "Decodes every archive, compares every checksum and recorded fact, and reads every line. Does not detect lines that\n"
      "somebody changed.\n"
      "Exit status: 0 no damage, 2 wrong usage, 3 input or output failed, 4 some of the log is damaged or missing.");
  on_command(*verify, run, run_verify, arguments);
}

void add_segments(CLI::App& app, chosen_command& run) {
  const auto arguments = std::make_shared<segments_arguments>();
  CLI::App* const segments = app.add_subcommand("segments", "List the segments of a log");
  add_log_file(*segments, arguments->file)->required();
  add_text_or_json(*segments, arguments->json, "text: columns, for people; json: one object per segment");
  segments->footer(
      "Examples:\n"
      "  annals segments audit.jsonl\n\n"
      "Exit status: 0 done, 2 wrong usage, 3 input or output failed, 4 a segment is damaged.");
  on_command(*segments, run, run_segments, arguments);
}

}  // namespace

void add_reading_commands(CLI::App& app, chosen_command& run) {
  add_tail(app, run);
  add_query(app, run);
  add_cat(app, run);
  add_verify(app, run);
  add_segments(app, run);
}

}  // namespace cli
