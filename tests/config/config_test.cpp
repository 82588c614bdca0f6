// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "support/temp_directory.h"
import annals;

namespace {

using support::temp_directory;

// The problems of this text, one a line.
std::string problems_of(std::string_view text) {
  std::string all;
  for (const annals::option_problem& one : annals::check_config(text, "/etc/x").problems) all += to_string(one) + "\n";
  return all;
}

annals::logger_config good(std::string_view text) {
  EXPECT_EQ(problems_of(text), "");
  return annals::check_config(text, "/etc/x").config;
}

TEST(config, of_a_path_alone_is_a_file_sink_with_the_defaults) {
  const annals::logger_config config = good(R"({"path": "audit.jsonl"})");
  EXPECT_EQ(config.path, "/etc/x/audit.jsonl");
  EXPECT_TRUE(config.enabled);
  EXPECT_EQ(config.timestamps, annals::precision::seconds);
  EXPECT_EQ(config.max_line_bytes, annals::limits::line_bytes_max);
  EXPECT_EQ(config.file_mode, 0600U);
  EXPECT_EQ(config.sink_type, "file");
  EXPECT_TRUE(config.sink_options.empty());
}

TEST(config, has_every_option_of_a_logger) {
  const annals::logger_config config = good(R"({
    "$schema": "annals.schema.json", "path": "/var/log/audit.jsonl", "enabled": false, "delivery": "ring", "ring_bytes": "1MiB", "on_full": "drop",
    "ring_in_use": "use_direct", "latency_max": "20ms", "timestamps": "microseconds", "max_line_bytes": "64KiB", "file_mode": "0640", "plugin_directories": ["/opt/a", "b"],
    "sink": {"type": "syslog", "address": "/dev/log", "port": 514, "ratio": 0.5, "on": true, "none": null, "list": [1, "a\n"],
             "map": {"k": {"l": []}}}})");
  EXPECT_EQ(config.path, "/var/log/audit.jsonl");
  EXPECT_FALSE(config.enabled);
  EXPECT_EQ(config.timestamps, annals::precision::microseconds);
  EXPECT_EQ(config.max_line_bytes, 65536U);
  EXPECT_EQ(config.delivery, annals::delivery::ring);
  EXPECT_EQ(config.ring_bytes, 1024U * 1024U);
  EXPECT_EQ(config.on_full, annals::on_full::drop);
  EXPECT_EQ(config.ring_in_use, annals::ring_in_use::use_direct);
  EXPECT_EQ(config.latency_max.count(), 20);
  EXPECT_EQ(config.file_mode, 0640U);
  EXPECT_EQ(config.plugin_directories, (std::vector<std::string>{"/opt/a", "/etc/x/b"}));
  EXPECT_EQ(config.sink_type, "syslog");
  std::string options;
  for (const annals::option& one : config.sink_options) {
    options += one.name + "=" + one.text + ":" + std::to_string(static_cast<int>(one.kind)) + " ";
  }
  EXPECT_EQ(
      options,
      "address=/dev/log:4 port=514:2 ratio=0.5:3 on=true:1 none=null:0 list=[1,\"a\\u000a\"]:5 map={\"k\":{\"l\":[]}}:6 ");
}

TEST(config, names_an_archiver_beside_its_sink) {
  const annals::logger_config config = good(R"({"path": "a", "archive": {"type": "zstd", "level": 3}})");
  EXPECT_EQ(config.sink_type, "file");
  EXPECT_EQ(config.archiver_type, "zstd");
  ASSERT_EQ(config.archiver_options.size(), 1U);
  EXPECT_EQ(config.archiver_options.front().name, "level");
  EXPECT_EQ(good(R"({"path": "a"})").archiver_type, "");
  EXPECT_EQ(problems_of(R"({"sink": {"type": "syslog"}, "archive": {"type": "zstd"}})"),
            "$.path: missing; expected the path of the log's file\n");
  EXPECT_EQ(problems_of(R"({"path": "a", "archive": {"level": 3}})"),
            "$.archive.type: missing; expected the name of a plugin or its absolute path\n");
}

TEST(config, has_all_its_problems_told_in_one_pass) {
  EXPECT_EQ(
      problems_of(R"({
    "paht": "x", "enabled": "yes", "delivery": "rign", "on_full": 5, "latency_max": "2s", "timestamps": "hours", "max_line_bytes": "17MiB", "file_mode": "0777",
    "plugin_directories": ["a", 5, ""], "sink": {"type": "file", "rotate": true}})"),
      "$.enabled: found \"yes\"; expected true or false\n"
      "$.delivery: found \"rign\"; expected \"direct\", \"ring\" or \"durable\" (did you mean \"ring\"?)\n"
      "$.on_full: found 5; expected \"block\", \"fail\" or \"drop\"\n"
      "$.latency_max: found \"2s\"; expected a length of time from \"1ms\" to \"1s\", like \"1h30m\"\n"
      "$.timestamps: found \"hours\"; expected \"seconds\", \"milliseconds\" or \"microseconds\"\n"
      "$.max_line_bytes: found \"17MiB\"; expected a size from 64 to 16MiB, like \"64KiB\"\n"
      "$.file_mode: found \"0777\"; expected octal digits that let the owner read and write and nobody execute: \"0600\", "
      "\"0640\"\n"
      "$.path: missing; expected the path of the log's file\n"
      "$.paht: found \"x\"; expected one of \"$schema\", \"enabled\", \"delivery\", \"ring_bytes\", \"on_full\", "
      "\"ring_in_use\", \"latency_max\", \"timestamps\", \"max_line_bytes\", \"file_mode\", \"plugin_directories\", \"sink\", "
      "\"archive\", \"archive_priority\" or \"path\" (did you mean \"path\"?)\n"
      "$.plugin_directories[1]: found 5; expected the path of a directory\n"
      "$.plugin_directories[2]: found \"\"; expected the path of a directory\n"
      "$.sink.rotate: found true; expected one of \"type\"\n");
}

TEST(config, names_the_line_and_column_of_what_is_no_json) {
  EXPECT_NE(problems_of("{\n  \"path\": \"x\",\n}").find("line 3, column 1: found"), std::string::npos)
      << problems_of("{\n  \"path\": \"x\",\n}");
  EXPECT_NE(problems_of("{\"path\": \"x\"} {}").find("line 1, column 15: found \"{\"; expected JSON"), std::string::npos);
  for (const std::string_view text : {"", " ", "{", "[]", "5", "\"x\"", "null", "{\"a\":1,}", "{'a':1}", "{\"a\":01}",
                                      "// x\n{}", "{\"path\":\"\xff\"}", "\xef\xbb\xbf{}"}) {
    const auto problems = annals::check_config(text, "").problems;
    ASSERT_EQ(problems.size(), 1U) << text;
    EXPECT_EQ(problems[0].path.find("line 1"), 0U) << to_string(problems[0]);
  }
  EXPECT_EQ(annals::check_config(std::string(100'000, '['), "").problems.size(), 1U);
}

TEST(config, takes_no_name_twice_at_any_depth) {
  const std::string said =
      problems_of(R"({"path": "a", "path": "b", "sink": {"type": "x", "a": {"b": 1, "b": 2}, "type": "y"}})");
  EXPECT_NE(said.find("$.path: found \"b\"; expected each name once: this one stands twice in $\n"), std::string::npos) << said;
  EXPECT_NE(said.find("$.sink.a.b: found 2; expected each name once: this one stands twice in $.sink.a\n"), std::string::npos)
      << said;
  EXPECT_NE(said.find("$.sink.type: found \"y\"; expected each name once"), std::string::npos) << said;
}

TEST(config, shows_names_and_values_shortened_and_escaped_wherever_they_stand) {
  const std::string large(100'000, 'v');
  for (const std::string& text :
       {R"({"path": "a", "path": ")" + large + "\"}", R"({"path": "a", "plugin_directories": [{"k": ")" + large + "\"}]}",
        R"({"path": "a", ")" + large + "\": 1}", R"({"sink": {"type": "x", ")" + large + R"(": {"b": 1, "b": 2}}})"}) {
    const std::string said = problems_of(text);
    EXPECT_NE(said, "");
    EXPECT_LT(said.size(), 500U) << said.substr(0, 500);
  }
  const std::string forged = problems_of(R"({"path": "a", "sink": {"type": "x", "a\nb": {"c: d": 1, "c: d": "\u001b[2J"}}})");
  EXPECT_EQ(
      forged,
      R"($.sink["a\u000ab"]["c: d"]: found "\u001b[2J"; expected each name once: this one stands twice in $.sink["a\u000ab"])"
      "\n");
}

// What a file of 1 MiB can ask for at most.
TEST(config, is_judged_with_bounded_effort) {
  std::string names;
  for (int i = 0; i < 4000; ++i) names += (i == 0 ? "\"" : ",\"") + std::string("n") + std::to_string(i) + "\":0";
  std::string objects;
  for (int i = 0; i < 20; ++i) objects += std::string(i == 0 ? "" : ",") + "{" + names + "}";
  EXPECT_EQ(problems_of(R"({"sink": {"type": "x", "list": [)" + objects + "]}}"), "");

  std::string deep = "{\"type\": \"x\"";
  std::string ends = "}";
  for (int i = 0; i < 28; ++i) {
    deep += ",\"" + std::string(20'000, 'd') + "\":{\"a\":0";
    ends += "}";
  }
  for (int i = 0; i < 4000; ++i) deep += ",\"a\":0";
  const auto problems = annals::check_config("{\"sink\":" + deep + ends + "}", "").problems;
  EXPECT_EQ(problems.size(), 1000U);
  EXPECT_LT(to_string(problems.back()).size(), 10'000U);
}

// Each problem is one line without control characters, whatever the file holds.
TEST(config, of_random_bytes_is_judged_like_any_other) {
  std::mt19937_64 random(std::random_device{}());
  const std::string good = R"({"$schema": "s", "path": "/var/log/\u00fc.jsonl", "enabled": false, "timestamps": "seconds",
    "max_line_bytes": "64KiB", "file_mode": "0640", "plugin_directories": ["/opt/a", "b"],
    "sink": {"type": "syslog", "port": 514, "ratio": -0.5e3, "none": null, "list": [1, "a\n", {"k": []}]}})";
  constexpr std::string_view inserted[] = {"\"", "\\",      "{",       "}",    "[",        "]",     ",",
                                           ":",  "\\u0000", "\\ud800", "\xff", "\xc2\x9b", "1e999", "\n"};
  unsigned refused = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string text = good;
    for (std::uint64_t left = 1 + random() % 4; left > 0; --left) {
      const std::size_t at = random() % text.size();
      switch (random() % 4) {
        case 0: text[at] = static_cast<char>(random()); break;
        case 1: text.erase(at, 1 + random() % 8); break;
        case 2: text.insert(at, inserted[random() % std::size(inserted)]); break;
        default: text.insert(at, text.substr(random() % text.size(), random() % 30)); break;
      }
    }
    (void)annals::parse_options(text);
    const auto problems = annals::check_config(text, "/etc/x").problems;
    refused += problems.empty() ? 0 : 1;
    for (const annals::option_problem& one : problems) {
      const std::string said = to_string(one);
      for (const char c : said) ASSERT_TRUE(static_cast<unsigned char>(c) >= ' ' && c != 0x7f) << said << " of " << text;
      ASSERT_FALSE(one.path.empty() || one.expected.empty()) << said;
    }
  }
  EXPECT_GT(refused, 1000U);
}

TEST(config, takes_no_option_whose_name_a_plugin_could_not_see_the_end_of) {
  EXPECT_EQ(problems_of(R"({"sink": {"type": "x", "a\u0000b": 1}})"),
            "$.sink[\"a\\u0000b\"]: found 1; expected a name without NUL\n");
}

TEST(config, is_relative_to_where_the_file_really_is) {
  const temp_directory directory;
  std::filesystem::create_directories(directory / "real/inner");
  std::filesystem::create_directory_symlink(directory / "real/inner", directory / "link");
  support::write_file(directory / "real/annals.json", R"({"path": "audit.jsonl", "plugin_directories": ["plugins"]})");
  for (const char* const way : {"real/annals.json", "link/../annals.json", "real/inner/../annals.json"}) {
    const auto read = annals::read_config(directory / way);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->path, directory / "real/audit.jsonl") << way;
    EXPECT_EQ(read->plugin_directories.at(0), directory / "real/plugins") << way;
  }
}

TEST(config, needs_a_type_that_can_be_one) {
  EXPECT_EQ(problems_of(R"({"path": "a", "sink": {}})"),
            "$.sink.type: missing; expected \"file\", the name of a plugin or its absolute path\n");
  for (const char* const type : {"../x", "a/b", "A", "a.so", "libx "}) {
    EXPECT_NE(problems_of(R"({"path": "a", "sink": {"type": ")" + std::string(type) + "\"}}"), "") << type;
  }
  EXPECT_EQ(good(R"({"sink": {"type": "/opt/x/annals_x.so"}})").sink_type, "/opt/x/annals_x.so");
  EXPECT_EQ(good(R"({"sink": {"type": "stderr"}})").path, "");
}

TEST(config, file_is_read_whole_and_must_be_one) {
  const temp_directory directory;
  support::write_file(directory / "annals.json", R"({"path": "sub/audit.jsonl"})");
  const auto read = annals::read_config(directory / "annals.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->path, directory / "sub/audit.jsonl");
  support::write_file(directory / "bad.json", R"({"enabled": 1})");
  const auto bad = annals::read_config(directory / "bad.json");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, annals::errc::invalid_config);
  EXPECT_EQ(bad.error().message, "cannot use the configuration '" + (directory / "bad.json") +
                                     "': 2 problems:\n  $.enabled: found 1; expected true or false\n"
                                     "  $.path: missing; expected the path of the log's file");
  EXPECT_EQ(annals::read_config(directory / "none.json").error().code, annals::errc::io);
  EXPECT_EQ(annals::read_config(directory.path()).error().code, annals::errc::not_a_regular_file);
  EXPECT_EQ(annals::read_config("").error().code, annals::errc::invalid_argument);
  support::write_file(directory / "large.json", std::string(1024 * 1024 + 1, ' '));
  EXPECT_NE(annals::read_config(directory / "large.json").error().message.find("more than 1048576 bytes"), std::string::npos);
}

TEST(config, options_of_a_sink_can_be_read_alone) {
  const auto options = annals::parse_options(R"({"a": 1, "b": "x"})");
  ASSERT_TRUE(options);
  ASSERT_EQ(options->size(), 2U);
  EXPECT_EQ((*options)[1].text, "x");
  EXPECT_FALSE(annals::parse_options("[]"));
  EXPECT_FALSE(annals::parse_options(R"({"a": 1, "a": 2})"));
}

}  // namespace
