// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
#include "support/faulty_calls.h"

namespace {

using namespace std::chrono_literals;
using support::append_to;
using support::write_file;

std::string line(std::string_view action) {
  return "{\"action\":\"" + std::string(action) + "\"}\n";
}

class follow : public testing::Test {
 protected:
  void begin(const annals::cursor& from = {}) {
    follower.emplace(annals::follow(path, from, {.on_damage = [this](const annals::damage& d) { damages.push_back(d); }}));
  }
  // The action of the next event; it is there, or will be soon.
  std::string next() {
    const auto begun = std::chrono::steady_clock::now();
    const auto e = follower->next(40s);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 20s) << "it was not told of, but found at the end of the time given";
    return e ? e->action : "(none came)";
  }
  bool nothing_now() { return !follower->next(0ms); }

  support::temp_directory dir;
  std::string path = dir / "audit.jsonl";
  std::vector<annals::damage> damages;
  std::optional<annals::follower> follower;
};

TEST_F(follow, yields_what_is_there_and_then_what_comes) {
  write_file(path, line("a") + line("b"));
  begin();
  EXPECT_EQ(next(), "a");
  EXPECT_EQ(next(), "b");
  EXPECT_TRUE(nothing_now());
  append_to(path, line("c"));
  EXPECT_EQ(next(), "c");
}

TEST_F(follow, is_woken_by_a_writer_while_it_waits) {
  begin();
  std::thread writer([&] {
    annals::audit_logger log({.path = path});
    for (int i = 0; i < 2000; ++i) EXPECT_TRUE(log.log_event("web", std::to_string(i)));
  });
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(next(), std::to_string(i));
  writer.join();
}

TEST_F(follow, waits_for_a_file_whose_directories_do_not_exist_yet) {
  path = dir / "a/b/audit.jsonl";
  begin();
  EXPECT_TRUE(nothing_now());
  std::thread writer([&] {
    annals::audit_logger log({.path = path});
    EXPECT_TRUE(log.log_event("web", "first"));
  });
  EXPECT_EQ(next(), "first");
  writer.join();
}

TEST_F(follow, works_for_a_path_without_a_directory) {
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  path = "audit.jsonl";
  begin();
  EXPECT_TRUE(nothing_now());
  write_file(path, line("a"));
  EXPECT_EQ(next(), "a");
  std::filesystem::current_path(before);
}

TEST_F(follow, yields_a_line_once_its_writer_is_done_with_it) {
  write_file(path, "{\"action\":");
  begin();
  EXPECT_TRUE(nothing_now());
  append_to(path, "\"slow\"}");
  EXPECT_TRUE(nothing_now());
  append_to(path, "\n");
  EXPECT_EQ(next(), "slow");
  EXPECT_TRUE(damages.empty());
}

TEST_F(follow, reports_damage_and_goes_on) {
  write_file(path, line("a") + "garbage\n" + line("b"));
  begin();
  EXPECT_EQ(next(), "a");
  EXPECT_EQ(next(), "b");
  ASSERT_EQ(damages.size(), 1U);
  EXPECT_EQ(damages[0].offset, 15U);
  EXPECT_EQ(damages[0].bytes, 7U);
}

TEST_F(follow, passes_over_a_line_longer_than_any_may_be) {
  const std::size_t bytes = annals::limits::read_line_bytes_max + 1000;
  write_file(path, line("a") + std::string(bytes, 'x') + "\n" + line("b"));
  begin();
  EXPECT_EQ(next(), "a");
  EXPECT_EQ(next(), "b");
  ASSERT_EQ(damages.size(), 1U);
  EXPECT_EQ(damages[0].offset, 15U);
  EXPECT_EQ(damages[0].bytes, bytes);
  EXPECT_EQ(follower->position().at.offset, 15 + bytes + 1 + 15);
}

TEST_F(follow, begins_again_when_the_file_is_truncated) {
  write_file(path, line("a") + line("b"));
  begin();
  EXPECT_EQ(next(), "a");
  EXPECT_EQ(next(), "b");
  std::filesystem::resize_file(path, 0);
  append_to(path, line("c"));
  EXPECT_EQ(next(), "c");
  ASSERT_EQ(damages.size(), 1U);
  EXPECT_NE(damages[0].cause.find("cut or rewritten"), std::string::npos);
}

TEST_F(follow, begins_again_when_the_file_was_truncated_and_has_grown_past_it) {
  write_file(path, line("a") + line("b"));
  begin();
  EXPECT_EQ(next(), "a");
  EXPECT_EQ(next(), "b");
  std::filesystem::resize_file(path, 0);
  append_to(path, line("c1") + line("c2") + line("c3"));
  EXPECT_EQ(next(), "c1");
  EXPECT_EQ(next(), "c2");
  EXPECT_EQ(next(), "c3");
  EXPECT_EQ(damages.size(), 1U);
}

TEST_F(follow, reads_a_renamed_file_to_its_end_and_then_the_new_one) {
  write_file(path, line("a"));
  begin();
  EXPECT_EQ(next(), "a");
  append_to(path, line("b"));
  std::filesystem::rename(path, path + ".1");
  append_to(path + ".1", line("c"));
  write_file(path, line("d"));
  append_to(path + ".1", line("e"));  // a writer that has not noticed yet
  EXPECT_EQ(next(), "b");
  EXPECT_EQ(next(), "c");
  EXPECT_EQ(next(), "e");
  EXPECT_EQ(next(), "d");
  EXPECT_TRUE(damages.empty());
}

TEST_F(follow, loses_nothing_when_a_writer_is_rotated_by_renaming_under_load) {
  constexpr int events = 6000;
  std::atomic<int> seen = -1;
  const auto wait_until_seen = [&](int number) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (seen < number && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(1ms);
  };
  std::thread writer([&] {
    annals::audit_logger log({.path = path, .on_error = [](const annals::error&) {}});
    for (int i = 0; i < events; ++i) {
      EXPECT_TRUE(log.log_event("web", std::to_string(i)));
      if (i == 0) wait_until_seen(i);  // a file that was renamed before the reader came is not the log's any more
      if (i % 2000 != 999) continue;
      // In the middle of writing the file is renamed, and the next ones go to it still. Then comes a new file, and the reader
      // has the time to see that one before it is renamed, as it has in life.
      std::filesystem::rename(path, path + "." + std::to_string(i));
      for (const int end = i + 500; i < end;) EXPECT_TRUE(log.log_event("web", std::to_string(++i)));
      EXPECT_TRUE(log.reopen());
      EXPECT_TRUE(log.log_event("web", std::to_string(++i)));
      wait_until_seen(i);
    }
  });
  begin();
  for (int i = 0; i < events; ++i) {
    ASSERT_EQ(next(), std::to_string(i));
    seen = i;
  }
  writer.join();
  EXPECT_TRUE(damages.empty());
}

// Lines of one shape that differ in their times only, as those of a real log do.
std::string timed_line(int hour, int second) {
  char text[160];
  std::snprintf(
      text, sizeof text,
      "{\"ts\":\"2026-03-07T%02d:00:%02d+00:00\",\"container\":\"web\",\"action\":\"denied\",\"dest\":\"203.0.113.7:443\","
      "\"detail\":\"not in the allowlist of this container\"}\n",
      hour, second);
  return text;
}

std::string timed_lines(int hour, int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) lines += timed_line(hour, i % 60);
  return lines;
}

TEST_F(follow, notices_a_rewritten_file_whose_lines_look_the_same) {
  write_file(path, timed_lines(12, 100));
  begin();
  for (int i = 0; i < 100; ++i) (void)next();
  std::filesystem::resize_file(path, 0);
  append_to(path, timed_lines(13, 103));
  for (int i = 0; i < 103; ++i) EXPECT_EQ(next(), "denied");
  EXPECT_TRUE(nothing_now());
  EXPECT_EQ(damages.size(), 1U);
}

TEST_F(follow, does_not_trust_a_cursor_of_another_file_whose_lines_look_the_same) {
  write_file(path, timed_lines(12, 100));
  begin();
  for (int i = 0; i < 100; ++i) (void)next();
  const annals::cursor saved = follower->position();
  write_file(path, timed_lines(13, 150));
  begin(saved);
  for (int i = 0; i < 150; ++i) EXPECT_EQ(next(), "denied");
  EXPECT_TRUE(nothing_now());
  EXPECT_EQ(damages.size(), 1U);
}

TEST_F(follow, tells_the_position_of_what_it_read_not_of_what_the_file_holds_now) {
  write_file(path, timed_lines(12, 10));
  begin();
  for (int i = 0; i < 4; ++i) (void)next();
  write_file(path, timed_lines(13, 10));
  begin(follower->position());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(next(), "denied");
  EXPECT_EQ(damages.size(), 1U);
}

TEST_F(follow, reads_a_line_that_is_glued_to_the_fragment_of_another) {
  const std::string whole = timed_line(12, 0);
  write_file(path, line("a") + whole.substr(0, 60) + whole + line("b"));
  begin();
  EXPECT_EQ(next(), "a");
  EXPECT_EQ(next(), "denied");
  EXPECT_EQ(next(), "b");
  ASSERT_EQ(damages.size(), 1U);
  EXPECT_EQ(damages[0].bytes, 60U);
  EXPECT_EQ(follower->damaged(), 1U);
}

TEST_F(follow, does_not_take_an_object_inside_a_fragment_for_an_event) {
  const std::string nested = R"({"ts":"2026-03-07T12:00:00+00:00","container":"forged","action":"allowed"})";
  for (const char* before :
       {R"("x":)", R"("x":[)", R"("x":[1,)", R"("x": )", "\"x\":\t", "\"x\":\r", "\"x\":\r\r", "\"x\":[1,\r"}) {
    write_file(path, R"({"ts":"2026-03-07T12:00:00+00:00","container":"web","action":"a",)" + std::string(before) + nested +
                         "\n" + line("b"));
    begin();
    EXPECT_EQ(next(), "b") << before;
  }
}

// Each of these could begin the event that the line ends with; the search decodes the line once, and not once for each.
TEST_F(follow, reads_the_event_at_the_end_of_a_long_line_full_of_beginnings) {
  std::string text;
  while (text.size() < 4'000'000) text += R"({"ts":"2026-03-07T12:00:00+00:00","x":")";
  write_file(path, text + "\n" + text + timed_line(12, 0) + line("b"));
  begin();
  EXPECT_EQ(next(), "denied");
  EXPECT_EQ(next(), "b");
}

TEST_F(follow, takes_the_longest_and_the_shortest_of_times_as_a_limit) {
  write_file(path, line("a"));
  begin();
  EXPECT_EQ(follower->next(std::chrono::milliseconds::max())->action, "a");
  EXPECT_EQ(follower->next(std::chrono::milliseconds::min()), std::nullopt);
  std::thread writer([&] { append_to(path, line("b")); });
  EXPECT_EQ(follower->next(std::chrono::milliseconds::max())->action, "b");
  writer.join();
}

TEST_F(follow, sees_what_a_late_writer_adds_to_a_renamed_file_that_nothing_replaced) {
  write_file(path, line("a"));
  begin();
  EXPECT_EQ(next(), "a");
  std::filesystem::rename(path, path + ".1");
  EXPECT_TRUE(nothing_now());
  append_to(path + ".1", line("late"));
  EXPECT_EQ(next(), "late");
}

TEST_F(follow, reads_the_unfinished_last_line_of_a_replaced_file) {
  write_file(path, line("a") + "{\"action\":\"no newline\"}");
  begin();
  EXPECT_EQ(next(), "a");
  std::filesystem::rename(path, path + ".1");
  write_file(path, line("new"));
  EXPECT_EQ(next(), "no newline");
  EXPECT_EQ(next(), "new");
  EXPECT_TRUE(damages.empty());
}

TEST_F(follow, reports_a_segment_that_cannot_be_read_once_and_goes_on_with_the_next) {
  const auto closed = [&](int number) { return dir / ("audit-00000" + std::to_string(number) + "-20260101T000000Z.jsonl"); };
  write_file(closed(1), line("1"));
  std::filesystem::create_symlink("nowhere", closed(2));
  write_file(closed(3), line("3"));
  std::filesystem::create_symlink("nowhere", closed(4));
  begin();
  EXPECT_EQ(next(), "1");
  EXPECT_EQ(next(), "3");
  for (int i = 0; i < 3; ++i) {
    const auto more = follower->next(300ms);
    EXPECT_FALSE(more) << more->action;
  }
  write_file(path, line("5"));
  EXPECT_EQ(next(), "5");
  ASSERT_EQ(damages.size(), 2U);
  for (const annals::damage& found : damages) EXPECT_TRUE(found.is_unreadable) << found.cause;
}

TEST_F(follow, keeps_few_files_open_when_the_file_is_replaced_very_quickly) {
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
  };
  support::faulty_calls calls;
  calls.freeze();  // so no replaced file is left for its age
  write_file(path, line("0"));
  begin();
  EXPECT_EQ(next(), "0");
  const auto before = descriptors();
  std::vector<std::string> seen;
  for (int i = 1; i <= 300; ++i) {
    write_file(path + ".new", line(std::to_string(i)));
    std::filesystem::rename(path + ".new", path);
    if (const auto e = follower->next(0ms)) seen.push_back(e->action);
    ASSERT_LT(descriptors(), before + 30) << "after " << i << " replacements";
  }
  for (int more = 0; more < 50; ++more) {
    calls.advance(1s);
    if (const auto e = follower->next(0ms)) seen.push_back(e->action);
  }
  ASSERT_EQ(seen.size(), 300U);
  for (int i = 1; i <= 300; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i) - 1], std::to_string(i));
  ASSERT_EQ(damages.size(), 1U);
  EXPECT_NE(damages[0].cause.find("too quickly"), std::string::npos) << damages[0].cause;
}

TEST_F(follow, survives_removal_of_the_file_and_of_its_directory) {
  path = dir / "sub/audit.jsonl";
  std::filesystem::create_directory(dir / "sub");
  write_file(path, line("a"));
  begin();
  EXPECT_EQ(next(), "a");
  std::filesystem::remove_all(dir / "sub");
  EXPECT_TRUE(nothing_now());
  std::filesystem::create_directory(dir / "sub");
  write_file(path, line("b"));
  EXPECT_EQ(next(), "b");
}

// The follower's own open file keeps a removed directory alive, and the kernel silent about it.
TEST_F(follow, survives_removal_of_the_directory_while_it_waits) {
  path = dir / "sub/audit.jsonl";
  std::filesystem::create_directory(dir / "sub");
  write_file(path, line("a"));
  begin();
  EXPECT_EQ(next(), "a");
  std::thread other([&] {
    std::this_thread::sleep_for(50ms);  // likely, not surely, after the follower began to wait: both must do
    std::filesystem::remove_all(dir / "sub");
    std::this_thread::sleep_for(50ms);
    std::filesystem::create_directory(dir / "sub");
    write_file(path, line("b"));
  });
  EXPECT_EQ(next(), "b");
  other.join();
  append_to(path, line("c"));
  EXPECT_EQ(next(), "c");
}

TEST_F(follow, waits_when_what_comes_to_the_path_cannot_be_read) {
  write_file(path, line("a"));
  begin();
  EXPECT_EQ(next(), "a");
  std::filesystem::rename(path, path + ".1");
  std::filesystem::create_directory(path);
  EXPECT_TRUE(nothing_now());
  EXPECT_TRUE(nothing_now());
  ASSERT_EQ(damages.size(), 1U);
  EXPECT_NE(damages[0].cause.find("it is a directory"), std::string::npos);
  std::filesystem::remove(path);
  write_file(path, line("b"));
  EXPECT_EQ(next(), "b");
}

TEST_F(follow, goes_on_from_a_saved_cursor) {
  write_file(path, line("a") + line("b") + line("c"));
  begin();
  EXPECT_EQ(next(), "a");
  const std::string saved = to_string(follower->position());
  EXPECT_EQ(next(), "b");
  begin(*annals::parse_cursor(saved));
  EXPECT_EQ(next(), "b");
  EXPECT_EQ(next(), "c");
  EXPECT_TRUE(damages.empty());
}

TEST_F(follow, goes_on_from_every_position_without_gap_or_repetition) {
  std::string content;
  for (int i = 0; i < 50; ++i) content += line(std::string(static_cast<std::size_t>(i * 7 % 90), 'x') + std::to_string(i));
  write_file(path, content);
  std::vector<std::string> expected;
  std::vector<std::string> seen;
  for (const annals::event& e : annals::tail_log(path)) expected.push_back(e.action);
  annals::cursor from;
  for (int i = 0; i < 50; ++i) {
    begin(from);
    seen.push_back(next());
    from = follower->position();
  }
  EXPECT_EQ(seen, expected);
}

TEST_F(follow, does_not_trust_a_cursor_of_another_file) {
  write_file(path, line("a") + line("b"));
  begin();
  EXPECT_EQ(next(), "a");
  const annals::cursor saved = follower->position();
  write_file(path, line("x") + line("y") + line("z"));  // as long, and with a line's end at the same place
  begin(saved);
  EXPECT_EQ(next(), "x");
  ASSERT_EQ(damages.size(), 1U);
  EXPECT_NE(damages[0].cause.find("does not fit this file"), std::string::npos);
  damages.clear();
  write_file(path, line("s"));
  begin({{1, 1000}, 7});
  EXPECT_EQ(next(), "s");
  EXPECT_EQ(damages.size(), 1U);
  damages.clear();
  begin({{9, 0}, 0});
  EXPECT_EQ(next(), "s");
  ASSERT_EQ(damages.size(), 1U);
  EXPECT_NE(damages[0].cause.find("segment 9"), std::string::npos);
}

TEST_F(follow, does_not_poll_an_idle_log) {
  write_file(path, line("a"));
  support::faulty_calls calls;
  begin();
  EXPECT_EQ(next(), "a");
  const int before = calls.count(support::call::read_at);
  EXPECT_EQ(follower->next(300ms), std::nullopt);
  EXPECT_LE(calls.count(support::call::read_at) - before, 4) << "two looks, of two reads each";
}

TEST_F(follow, is_not_woken_by_other_files_of_the_directory) {
  write_file(path, line("a"));
  support::faulty_calls calls;
  begin();
  EXPECT_EQ(next(), "a");
  const int before = calls.count(support::call::read_at);
  std::thread other([&] {
    for (int i = 0; i < 200; ++i) append_to(dir / "other.jsonl", line("x"));
  });
  EXPECT_EQ(follower->next(300ms), std::nullopt);
  other.join();
  EXPECT_LE(calls.count(support::call::read_at) - before, 4) << "two looks, of two reads each";
}

TEST_F(follow, stops_when_told_from_another_thread) {
  begin();
  std::thread other([&] { follower->stop(); });
  EXPECT_EQ(follower->next(), std::nullopt);
  other.join();
  write_file(path, line("a"));
  EXPECT_EQ(follower->next(), std::nullopt) << "and stays so";
}

TEST_F(follow, throws_what_the_system_says_when_the_file_cannot_be_read) {
  write_file(path, line("a"));
  support::faulty_calls calls;
  begin();
  calls.fail(support::call::read_at, EIO);
  EXPECT_THROW((void)next(), annals::failure);
  calls.heal();
  EXPECT_EQ(next(), "a") << "and goes on when the cause is gone";
}

TEST_F(follow, refuses_a_directory) {
  path = dir.path();
  begin();
  EXPECT_THROW((void)next(), annals::failure);
}

}  // namespace
