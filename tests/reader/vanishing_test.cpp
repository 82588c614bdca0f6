// SPDX-License-Identifier: Apache-2.0
//
// Segments that are deleted, closed or replaced between two system calls of a reader.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
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
#include <utility>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.content.seekable;
import annals.segment;
#include "support/faulty_calls.h"
#include "support/segmented_log.h"

namespace {

using namespace std::chrono_literals;
using support::append_to;
using support::segmented_log;
using support::write_file;

// Somebody acts right before a file is opened, or its status asked for.
class interrupted_calls : public support::faulty_calls {
 public:
  std::string path;  // of the file whose opening is waited for
  std::function<void()> before_open;
  std::function<void()> before_status;

  int open(const char* at, annals::io::open_for purpose, unsigned mode) noexcept override {
    if (path == at) act(before_open);
    return support::faulty_calls::open(at, purpose, mode);
  }
  int status_of(int fd, annals::io::file_status& status) noexcept override {
    act(before_status);
    return support::faulty_calls::status_of(fd, status);
  }

 private:
  static void act(std::function<void()>& what) {
    if (const auto once = std::exchange(what, nullptr)) once();
  }
};

class vanishing : public testing::Test {
 protected:
  vanishing() {
    calls.advance(1h);  // the renames of this test happened long ago
    for (int segment = 0; segment < 3; ++segment) {
      log.append_events(10);
      log.rotate();
    }
    log.append_events(10);
  }
  // Retention deletes this segment when it is about to be opened.
  void delete_when_opened(std::uint64_t number) {
    calls.path = log.path_of(number, false);
    calls.before_open = [this, number] { log.remove(number); };
  }
  annals::read_options options() {
    gaps.clear();
    return {.on_damage = [](const annals::damage& d) { ADD_FAILURE() << d.cause; },
            .on_gap = [this](const annals::gap& g) { gaps.emplace_back(g.first, g.last); }};
  }
  static std::vector<std::string> lines_of(const std::vector<annals::event>& events) {
    std::vector<std::string> lines;
    for (const annals::event& e : events) lines.push_back(e.line);
    return lines;
  }

  support::temp_directory dir;
  interrupted_calls calls;
  segmented_log log{dir / "audit.jsonl"};
  std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps;
  using numbers = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
};

TEST_F(vanishing, segments_are_a_gap_to_scan_be_they_in_the_middle_or_the_last) {
  for (const std::uint64_t number : {2U, 3U}) {
    delete_when_opened(number);
    std::vector<std::string> lines;
    (void)annals::scan(log.path(), {},
                       [&](const annals::event& e) {
                         lines.push_back(e.line);
                         return true;
                       },
                       {.reading = options()});
    EXPECT_EQ(lines, log.events());
    EXPECT_EQ(gaps, (numbers{{2, number}})) << "of two, once both are gone";
  }
}

TEST_F(vanishing, segments_are_a_gap_to_who_reads_lines_be_they_in_the_middle_or_the_last) {
  for (const std::uint64_t number : {2U, 3U}) {
    delete_when_opened(number);
    std::string text;
    (void)annals::read_lines(
        log.path(),
        [&](std::string_view piece) {
          text += piece;
          return true;
        },
        options());
    std::string expected;
    for (const std::string& line : log.events()) expected += line + "\n";
    EXPECT_EQ(text, expected);
    EXPECT_EQ(gaps, (numbers{{2, number}}));
  }
}

TEST_F(vanishing, segments_are_a_gap_to_tail) {
  delete_when_opened(2);
  const auto read = lines_of(annals::tail_log(log.path(), 100, options()));
  EXPECT_EQ(read, log.events());  // those that are left now
  EXPECT_EQ(gaps, (numbers{{2, 2}}));
  delete_when_opened(1);
  const auto page = lines_of(annals::read_tail(log.path(), 100, options()).events);
  EXPECT_EQ(page, log.events());
  EXPECT_TRUE(gaps.empty()) << "where the log begins now, nothing is missing";
}

TEST_F(vanishing, segments_are_a_gap_to_a_follower_that_is_about_to_open_them) {
  delete_when_opened(2);
  annals::follower follower = annals::follow(log.path(), {}, options());
  std::vector<std::string> seen;
  std::vector<std::string> expected = log.events();
  while (const auto e = follower.next(0ms)) seen.push_back(e->line);
  expected.erase(expected.begin() + 10, expected.begin() + 20);
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(gaps, (numbers{{2, 2}}));
}

// --- what a follower has open -----------------------------------------------------------------------------------------------

class followed : public vanishing {
 protected:
  followed() {
    follower.emplace(annals::follow(log.path(), {}, options()));
    read();
    EXPECT_EQ(seen, log.events());
  }
  void read() {
    while (const auto e = follower->next(0ms)) seen.push_back(e->line);
  }
  std::optional<annals::follower> follower;
  std::vector<std::string> seen;
};

TEST_F(followed, a_live_segment_is_read_to_its_end_when_it_is_closed_compressed_or_deleted) {
  for (int round = 0; round < 3; ++round) {
    const std::uint64_t number = log.number();
    log.append_events(5);
    log.rotate();
    log.append_events(5);
    log.rotate();
    log.append_events(1);
    const auto expected = log.events();
    if (round == 1) log.compress(number);
    if (round == 2) log.remove(number);
    read();
    EXPECT_EQ(seen, expected) << round;
  }
  EXPECT_TRUE(gaps.empty());
}

TEST_F(followed, closed_segments_are_waited_for_while_a_late_writer_may_write_to_them) {
  calls.set_now(std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()) - 1h);  // and so now
  calls.freeze();
  const std::string closed = log.rotate();
  log.append_events(1);
  const std::size_t before = seen.size();
  read();
  read();
  EXPECT_EQ(seen.size(), before) << "what is in the next segment comes later";
  append_to(closed, R"({"action":"late"})"
                    "\n");
  read();
  EXPECT_EQ(seen.back(), R"({"action":"late"})");
  calls.advance(300ms);
  read();
  EXPECT_EQ(seen.back(), log.events().back());
}

TEST_F(followed, closed_segments_have_a_last_look_at_their_end) {
  const std::string closed = log.rotate();
  log.append_events(1);
  calls.before_status = [&] {
    append_to(closed, R"({"action":"at the last moment"})"
                      "\n");
  };
  read();
  ASSERT_GE(seen.size(), 2U);
  EXPECT_EQ(seen[seen.size() - 2], R"({"action":"at the last moment"})");
  EXPECT_EQ(seen.back(), log.events().back());
}

// By another program that renames: then that file is rotated, before it was looked at, or once it was.
TEST_F(followed, a_file_that_replaced_it_is_read_though_it_was_rotated_in_its_turn) {
  for (const bool was_seen : {false, true}) {
    for (const bool is_compressed : {false, true}) {
      std::filesystem::rename(log.path(), dir / "moved away");
      write_file(log.path(), "");
      append_to(dir / "moved away", R"({"action":"by a late writer"})"
                                    "\n");
      log.append_events(2);
      std::vector<std::string> expected = {R"({"action":"by a late writer"})"};
      expected.push_back(log.lines[log.lines.size() - 2].text);
      expected.push_back(log.lines.back().text);
      seen.clear();
      if (was_seen) {
        calls.freeze();
        read();
      }
      log.rotate();
      log.append_events(1);
      expected.push_back(log.lines.back().text);
      if (is_compressed) log.compress(log.number() - 1);
      read();
      calls.advance(1h);
      read();
      calls.advance(1h);
      read();
      if (is_compressed && !was_seen) expected.erase(expected.begin() + 1, expected.begin() + 3);
      EXPECT_EQ(seen, expected) << was_seen << is_compressed;
    }
  }
}

TEST_F(followed, a_file_that_is_removed_is_left_for_the_next_there_will_be) {
  append_to(log.path(), R"({"action":"never ended"})");
  std::filesystem::remove(log.path());
  seen.clear();
  read();
  calls.advance(1s);
  read();
  EXPECT_EQ(seen, std::vector<std::string>{R"({"action":"never ended"})"});
  EXPECT_EQ(follower->position().at, (annals::position{4, 0}));
  calls.advance(1s);
  read();
  write_file(log.path(), R"({"action":"new"})"
                         "\n");
  read();
  EXPECT_EQ(seen.back(), R"({"action":"new"})");
  EXPECT_EQ(seen.size(), 2U);
}

TEST_F(followed, what_comes_to_the_path_and_is_no_log_is_told_once_each) {
  std::vector<std::string> causes;
  follower.emplace(
      annals::follow(log.path(), {{4, 0}, 0}, {.on_damage = [&](const annals::damage& d) { causes.push_back(d.cause); }}));
  ASSERT_TRUE(follower->next(0ms));
  std::filesystem::rename(log.path(), dir / "moved away");
  seen.clear();
  read();
  const std::vector<std::function<void()>> what = {[&] { std::filesystem::create_directory(log.path()); },
                                                   [&] { std::filesystem::create_symlink(dir / "moved away", log.path()); }};
  for (std::size_t i = 0; i < what.size(); ++i) {
    what[i]();
    for (int look = 0; look < 3; ++look) read();
    EXPECT_EQ(causes.size(), i + 1);
    std::filesystem::rename(log.path(), dir / ("was there " + std::to_string(i)));
  }
  write_file(log.path(), R"({"action":"new"})"
                         "\n");
  read();
  calls.advance(1s);
  read();
  EXPECT_EQ(seen.back(), R"({"action":"new"})");
}

}  // namespace
