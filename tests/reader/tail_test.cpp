// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "seekable/forged.h"
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

TEST(tail_log, tells_of_very_much_damage_piece_by_piece_and_once) {
  const support::temp_directory dir;
  std::string content = line("a");
  for (int i = 0; i < 1500; ++i) content += "garbage\n";
  write_file(dir / "audit.jsonl", content + line("b"));
  std::vector<std::uint64_t> offsets;
  const auto events =
      annals::tail_log(dir / "audit.jsonl", 2, {.on_damage = [&](const annals::damage& d) { offsets.push_back(d.offset); }});
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].action, "a");
  ASSERT_EQ(offsets.size(), 1500U);
  for (std::size_t i = 0; i < offsets.size(); ++i) EXPECT_EQ(offsets[i], line("a").size() + 8 * (offsets.size() - 1 - i));
}

// Others make frames so long that there is no way back in them. Behind the events stand more lines that are none than are
// looked at first, and more than are remembered.
TEST(tail_log, finds_the_last_events_before_much_that_is_none_where_there_is_no_way_back) {
  const support::temp_directory dir;
  std::string content;
  for (int i = 0; content.size() < 9'000'000; ++i)
    content += line("e" + std::to_string(i), 1000) + (i % 10 == 0 ? "no event\n" : "");
  const std::string events = content;
  for (int i = 0; i < 10'500; ++i) content += "garbage\n";
  content += "{\"action\":\"tor";
  write_file(dir / "plain.jsonl", events);
  const auto expected = annals::tail_log(dir / "plain.jsonl", 20);
  for (const bool says_size : {true, false}) {
    write_file(dir / "audit.jsonl.zst", support::one_frame(content, says_size));
    std::uint64_t damages = 0;
    std::uint64_t first = content.size();
    const auto found = annals::tail_log(dir / "audit.jsonl.zst", 20, {.on_damage = [&](const annals::damage& d) {
                                          ++damages;
                                          first = std::min(first, d.offset);
                                        }});
    ASSERT_EQ(found.size(), 20U);
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i].line, expected[i].line);
    EXPECT_EQ(damages, 10'000U);
    EXPECT_GE(first, events.size()) << "none that lies before the events asked for";
    write_file(dir / "audit.jsonl.zst", support::one_frame(events, says_size));
    EXPECT_EQ(annals::tail_log(dir / "audit.jsonl.zst", 20).front().line, expected.front().line);
    EXPECT_TRUE(annals::read_tail(dir / "audit.jsonl.zst", 0).events.empty());
    EXPECT_EQ(annals::read_tail(dir / "audit.jsonl.zst", 0).next.at, (annals::position{1, events.size()}));
  }
}

TEST(tail_log, gives_nothing_to_who_asks_for_nothing) {
  const support::temp_directory dir;
  write_file(dir / "audit.jsonl", line("a") + "{\"action\":\"without its newline\"}");
  for (const std::int64_t n : {std::int64_t{0}, std::int64_t{-1}, INT64_MIN}) {
    EXPECT_TRUE(annals::tail_log(dir / "audit.jsonl", n).empty());
    EXPECT_TRUE(tail_of(dir / "audit.jsonl", n).actions.empty());
    EXPECT_EQ(tail_of(dir / "audit.jsonl", n).next.at, (annals::position{1, 15})) << "that line is still to be read";
  }
  EXPECT_EQ(tail_of(dir.path(), 10).next, annals::cursor{}) << "a directory";
}

TEST(tail_log, leaves_an_endless_last_line_to_its_writer) {
  const support::temp_directory dir;
  write_file(dir / "audit.jsonl", line("a") + std::string(annals::limits::read_line_bytes_max + 5, 'x'));
  const tail_result read = tail_of(dir / "audit.jsonl", 10);
  EXPECT_EQ(read.actions, std::vector<std::string>{"a"});
  EXPECT_TRUE(read.damages.empty());
  EXPECT_EQ(read.next.at, (annals::position{1, 15}));
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
