// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
#include "support/faulty_calls.h"

namespace {

using support::write_file;

struct tail_result {
  std::vector<std::string> actions;
  std::vector<annals::damage> damages;
  annals::cursor next;
};

tail_result tail_of(const std::string& path, std::int64_t n) {
  tail_result result;
  const annals::tail_page page =
      annals::read_tail(path, n, {.on_damage = [&](const annals::damage& d) { result.damages.push_back(d); }});
  for (const annals::event& e : page.events) result.actions.push_back(e.action);
  result.next = page.next;
  return result;
}

std::string line(std::string_view action, std::size_t padding = 0) {
  std::string text = "{\"action\":\"" + std::string(action) + "\"";
  if (padding != 0) text += ",\"x\":\"" + std::string(padding, 'x') + "\"";
  return text + "}\n";
}

TEST(tail_log, agrees_with_every_golden_tail) {
  const support::temp_directory dir;
  const auto cases = support::lines_of(GOLDEN_DIRECTORY "/tails.jsonl");
  ASSERT_GE(cases.size(), 14U);
  for (const std::string& text : cases) {
    const boost::json::object golden = boost::json::parse(text).as_object();
    std::string content;
    for (const auto& chunk : golden.at("file").as_array()) content += std::string_view(chunk.as_string());
    write_file(dir / "audit.jsonl", content);
    std::vector<std::string> expected;
    for (const auto& action : golden.at("actions").as_array()) expected.emplace_back(action.as_string());
    EXPECT_EQ(tail_of(dir / "audit.jsonl", golden.at("n").as_int64()).actions, expected) << golden.at("name");
  }
}

TEST(tail_log, gives_none_where_no_file_is) {
  const support::temp_directory dir;
  EXPECT_TRUE(annals::tail_log(dir / "none").empty());
  EXPECT_TRUE(annals::tail_log(dir / "none/none").empty());
  EXPECT_TRUE(annals::tail_log(dir.path()).empty()) << "a directory";
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);
  EXPECT_TRUE(annals::tail_log(dir / "fifo").empty());
}

TEST(tail_log, refuses_a_symbolic_link_rather_than_say_the_log_is_empty) {
  const support::temp_directory dir;
  write_file(dir / "audit.jsonl", line("a"));
  std::filesystem::create_symlink(dir / "audit.jsonl", dir / "link");
  try {
    (void)annals::tail_log(dir / "link");
    FAIL() << "nothing thrown";
  } catch (const annals::failure& e) {
    EXPECT_EQ(e.cause().code, annals::errc::not_a_regular_file);
    EXPECT_NE(std::string(e.what()).find("it is a symbolic link"), std::string::npos);
  }
}

TEST(tail_log, throws_what_the_system_says_when_the_file_cannot_be_read) {
  const support::temp_directory dir;
  write_file(dir / "audit.jsonl", line("a"));
  support::faulty_calls calls;
  for (const auto which : {support::call::open, support::call::read_at, support::call::status_of, support::call::status_at}) {
    calls.fail(which, EIO);
    EXPECT_THROW((void)annals::tail_log(dir / "audit.jsonl"), annals::failure);
  }
}

TEST(tail_log, finds_lines_wherever_the_blocks_it_reads_begin) {
  const support::temp_directory dir;
  for (const std::size_t padding : {0U, 1U, 31U, 1000U, 32'000U, 32'750U, 32'767U, 32'768U, 32'769U, 70'000U, 300'000U}) {
    std::string content;
    std::vector<std::string> actions;
    for (int i = 0; i < 7; ++i) {
      actions.push_back("e" + std::to_string(i));
      content += line(actions.back(), i % 2 == 0 ? padding : padding / 3);
    }
    write_file(dir / "audit.jsonl", content);
    EXPECT_EQ(tail_of(dir / "audit.jsonl", 100).actions, actions) << padding;
    EXPECT_EQ(tail_of(dir / "audit.jsonl", 1).actions, std::vector{actions.back()}) << padding;
  }
}

TEST(tail_log, returns_every_whole_line_of_a_file_cut_at_any_byte) {
  const support::temp_directory dir;
  const std::string content = line("a") + line("b", 10) + line("c");
  for (std::size_t cut = 0; cut <= content.size(); ++cut) {
    const std::string part = content.substr(0, cut);
    write_file(dir / "audit.jsonl", part);
    std::size_t whole = 0;
    for (const char c : part) whole += c == '\n' ? 1U : 0U;
    if (!part.empty() && part.back() == '}') ++whole;  // only the newline is missing
    const tail_result read = tail_of(dir / "audit.jsonl", 100);
    EXPECT_EQ(read.actions.size(), whole) << part;
    EXPECT_TRUE(read.damages.empty()) << "a torn tail is no damage";
  }
}

TEST(tail_log, reports_damage_with_its_place_and_cause) {
  const support::temp_directory dir;
  const std::string content = line("a") + "garbage\n" + "\n" + "[1]\n" + std::string(5, '\0') + "\n" + line("b");
  write_file(dir / "audit.jsonl", content);
  const tail_result read = tail_of(dir / "audit.jsonl", 2);
  EXPECT_EQ(read.actions, (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(read.damages.size(), 4U);
  for (const annals::damage& d : read.damages) EXPECT_EQ(d.file, dir / "audit.jsonl");
  EXPECT_EQ(read.damages[3].offset, 15U);
  EXPECT_EQ(read.damages[3].bytes, 7U);
  EXPECT_NE(read.damages[3].cause.find("not valid JSON"), std::string::npos);
  EXPECT_EQ(read.damages[2].cause, "an empty line");
  EXPECT_EQ(read.damages[1].cause, "not a JSON object");
  EXPECT_NE(read.damages[0].cause.find("NUL bytes"), std::string::npos);
}

TEST(tail_log, reports_nothing_that_lies_before_the_events_asked_for) {
  const support::temp_directory dir;
  write_file(dir / "audit.jsonl", "garbage\n" + line("a"));
  EXPECT_TRUE(tail_of(dir / "audit.jsonl", 1).damages.empty());
}

TEST(tail_log, passes_over_a_line_longer_than_any_may_be) {
  const support::temp_directory dir;
  const std::size_t bytes = annals::limits::read_line_bytes_max + 1000;
  write_file(dir / "audit.jsonl", line("a") + std::string(bytes, 'x') + "\n" + line("b"));
  const tail_result read = tail_of(dir / "audit.jsonl", 100);
  EXPECT_EQ(read.actions, (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(read.damages.size(), 1U);
  EXPECT_EQ(read.damages[0].offset, 15U);
  EXPECT_EQ(read.damages[0].bytes, bytes);
}

TEST(tail_log, reads_the_longest_line_that_can_be_written) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl",
                            .max_line_bytes = annals::limits::line_bytes_ceiling,
                            .on_error = [](const annals::error&) {}});
  const std::string detail(annals::limits::line_bytes_ceiling - 83, 'x');
  EXPECT_TRUE(log.log_event("web", "denied", {.detail = detail}));
  EXPECT_FALSE(log.log_event("web", "denied", {.detail = detail + "x"}));
  ASSERT_EQ(log.tail_log().size(), 1U);
  EXPECT_EQ(log.tail_log().at(0).detail, detail);
}

TEST(tail_log, touches_only_what_it_needs_of_a_huge_file) {
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  write_file(path, line("first"));
  std::filesystem::resize_file(path, std::uintmax_t{10} << 30);  // a hole
  support::append_to(path, "\n");
  for (int i = 0; i < 100; ++i) support::append_to(path, line("e" + std::to_string(i), 100));
  support::faulty_calls calls;
  EXPECT_EQ(annals::tail_log(path, 50).size(), 50U);
  EXPECT_LE(calls.bytes_read(), 64U * 1024);
}

TEST(tail_log, finds_a_line_behind_the_longest_fragment_there_can_be) {
  const support::temp_directory dir;
  const std::string begun = R"({"ts":"2026-03-07T12:00:00+00:00","container":"web","action":"b","detail":")";
  const std::size_t bytes = annals::limits::line_bytes_ceiling - 1;
  const std::string fragment = begun + std::string(bytes - begun.size(), 'x');
  const std::string whole = begun + std::string(bytes - begun.size() - 2, 'y') + "\"}\n";
  write_file(dir / "audit.jsonl", fragment + whole + line("c"));
  const tail_result read = tail_of(dir / "audit.jsonl", 10);
  EXPECT_EQ(read.actions, (std::vector<std::string>{"b", "c"}));
  ASSERT_EQ(read.damages.size(), 1U);
  EXPECT_EQ(read.damages[0].bytes, bytes);
}

TEST(tail_log, counts_the_damage) {
  const support::temp_directory dir;
  write_file(dir / "audit.jsonl", line("a") + "garbage\n" + line("b") + "[]\n");
  EXPECT_EQ(annals::read_tail(dir / "audit.jsonl").damaged, 2U);
}

TEST(tail_log, needs_no_more_than_the_file_to_be_readable) {
  const support::temp_directory dir;
  write_file(dir / "audit.jsonl", line("a"));
  support::faulty_calls calls;
  calls.fail(support::call::list_directory, EACCES);
  EXPECT_EQ(annals::tail_log(dir / "audit.jsonl").size(), 1U);
}

TEST(tail_page, goes_on_where_it_ended) {
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  for (const std::string_view end : {"", "{\"action\":\"tor", "{\"action\":\"whole\"}"}) {
    write_file(path, line("a") + line("b") + std::string(end));
    const tail_result read = tail_of(path, 10);
    annals::follower rest =
        annals::follow(path, read.next, {.on_damage = [](const annals::damage& d) { ADD_FAILURE() << d.cause; }});
    EXPECT_EQ(rest.next(std::chrono::milliseconds(0)), std::nullopt);
    const bool torn = end.ends_with("tor");
    support::append_to(path, (torn ? "n\"}\n" : end.empty() ? "" : "\n") + line("c"));
    if (torn) {
      EXPECT_EQ(rest.next(std::chrono::seconds(10))->action, "torn");
    }
    EXPECT_EQ(rest.next(std::chrono::seconds(10))->action, "c");
  }
}

TEST(tail_page, of_no_events_stands_at_the_end_all_the_same) {
  const support::temp_directory dir;
  write_file(dir / "audit.jsonl", line("a") + line("b"));
  EXPECT_EQ(tail_of(dir / "audit.jsonl", 0).next.at, (annals::position{1, 30}));
  EXPECT_EQ(tail_of(dir / "audit.jsonl", 1).next.at, (annals::position{1, 30}));
  EXPECT_EQ(tail_of(dir / "none", 1).next, annals::cursor{});
}

}  // namespace
