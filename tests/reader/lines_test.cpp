// SPDX-License-Identifier: Apache-2.0
//
// Lines as they are, where they lie in frames that others cut anywhere; what is told of gaps; and cursors from elsewhere.
#include <gtest/gtest.h>
#include <sys/resource.h>

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

#include "seekable/forged.h"
#include "support/child.h"
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
using support::one_frame;
using support::segmented_log;
using support::write_file;

class lines : public testing::Test {
 protected:
  lines() { calls.advance(1h); }  // the renames of this test happened long ago

  annals::read_options options() {
    return {.on_damage = [this](const annals::damage& d) { damages.push_back(d); }};
  }
  std::string all_of(const std::string& path) { return support::all_lines(path, options()); }
  std::vector<std::string> followed(const std::string& path, const annals::cursor& from = {}) {
    annals::follower follower = annals::follow(path, from, options());
    std::vector<std::string> actions;
    while (const auto e = follower.next(0ms)) actions.push_back(e->action);
    return actions;
  }

  support::temp_directory dir;
  support::faulty_calls calls;
  segmented_log log{dir / "audit.jsonl"};
  std::vector<annals::damage> damages;
};

TEST_F(lines, are_given_until_no_more_is_wanted_wherever_that_is) {
  log.append_events(20);
  append_to(log.path(), "torn");
  log.rotate();
  log.append_events(20);
  append_to(log.path(), "torn");
  log.rotate();
  log.compress(2);
  log.append_events(20);
  append_to(log.path(), R"({"action":"without its newline"})");
  const std::string all = all_of(log.path());
  std::size_t pieces = 0;
  (void)annals::read_lines(log.path(), [&](std::string_view) { return ++pieces != 0; });
  ASSERT_GE(pieces, 6U) << "three segments, and three newlines that were missing";
  for (std::size_t wanted = 1; wanted <= pieces; ++wanted) {
    std::string had;
    std::size_t given = 0;
    const auto done = annals::read_lines(log.path(), [&](std::string_view piece) {
      had += piece;
      return ++given < wanted;
    });
    EXPECT_EQ(given, wanted);
    EXPECT_TRUE(done.stopped);
    EXPECT_EQ(done.bytes, had.size());
    EXPECT_TRUE(all.starts_with(had));
  }
}

TEST_F(lines, of_a_live_segment_end_with_the_last_that_is_whole) {
  EXPECT_EQ(all_of(log.path()), "") << "an empty file";
  append_to(log.path(), "{\"action\":\"tor");
  EXPECT_EQ(all_of(log.path()), "{\"action\":\"tor\n") << "nobody has been writing it for an hour";
  std::filesystem::last_write_time(log.path(), std::filesystem::file_time_type::clock::now() + 1h);  // as the clock here says
  EXPECT_EQ(all_of(log.path()), "") << "somebody may be in the middle of it";
  append_to(log.path(), "n\"}");
  EXPECT_EQ(all_of(log.path()), "{\"action\":\"torn\"}\n") << "it is an event, and ended for who reads on";
  append_to(log.path(), "\n");
  EXPECT_EQ(all_of(log.path()), "{\"action\":\"torn\"}\n");
  std::filesystem::remove(log.path());
  EXPECT_EQ(all_of(log.path()), "") << "no file at all";
  EXPECT_TRUE(damages.empty());
}

// The line that goes on in a damaged frame is ended, so that what is behind the damage is not glued to it.
TEST_F(lines, that_are_lost_in_the_middle_are_ended_where_the_loss_begins) {
  const std::string first = "{\"action\":\"a\"}\n{\"action\":\"whole\"}";
  const std::string lost = "\n{\"action\":\"lost\"}\n";
  const std::string behind = "\"}\n{\"action\":\"b\"}\n";
  std::string damaged = one_frame(lost);
  damaged.back() = static_cast<char>(damaged.back() ^ 1);  // of its checksum
  const std::string path = dir / "audit.jsonl.zst";
  write_file(path, one_frame(first) + damaged + one_frame(behind));
  EXPECT_EQ(all_of(path), first + "\n" + behind);
  ASSERT_EQ(damages.size(), 1U);
  EXPECT_TRUE(damages[0].in_compressed);
  EXPECT_EQ(damages[0].offset, one_frame(first).size());
  for (std::size_t wanted = 1; wanted <= 3; ++wanted) {
    std::size_t given = 0;
    (void)annals::read_lines(path, [&](std::string_view) { return ++given < wanted; });
    EXPECT_EQ(given, wanted);
  }
  damages.clear();
  EXPECT_EQ(followed(path), (std::vector<std::string>{"a", "whole", "b"}));
  EXPECT_EQ(damages.size(), 2U) << "the frame, and the end of a line behind it";
}

// --- gaps -------------------------------------------------------------------------------------------------------------------

TEST_F(lines, that_are_gone_are_told_in_words) {
  const std::vector<std::pair<annals::gap, std::string_view>> told = {
      {{"log", 7, 7, 0, 10, 1000}, "segment 7 is gone, deleted with 10 events, 1000 bytes"},
      {{"log", 7, 9, 0, 10, 1000}, "segments 7 to 9 are gone, deleted with 10 events, 1000 bytes"},
      {{"log", 7, 9, 50, 0, 1000},
       "segments 7 to 9 are gone, deleted with 0 events, 1000 bytes (of segment 7, 50 bytes were read before)"},
      {{"log", 7, 7, 0, std::nullopt, 1000},
       "segment 7 is gone; what was in it is not known, since the record of a deletion is missing"},
      {{"log", 7, 8, 1, 10, std::nullopt},
       "segments 7 to 8 are gone; what was in them is not known, since the record of a deletion is missing (of segment 7, 1 "
       "bytes "
       "were read before)"},
  };
  for (const auto& [gap, words] : told) EXPECT_EQ(to_string(gap), words);
}

TEST_F(lines, that_are_gone_are_counted_as_far_as_the_records_have_them) {
  for (int i = 0; i < 5; ++i) {
    log.append_events(10);
    log.rotate();
  }
  const auto gap = [&] {
    std::vector<annals::gap> gaps;
    (void)annals::scan(log.path(), {}, [](const annals::event&) { return true; },
                       {.reading = {.on_gap = [&](const annals::gap& g) { gaps.push_back(g); }}});
    EXPECT_EQ(gaps.size(), 1U);
    return gaps.at(0);
  };
  log.remove(3);
  log.remove(4);
  EXPECT_EQ(gap().events, 20U);
  // The last record of a segment is the one that counts, be it one that could not count.
  annals::segment::deleted_segment uncounted;
  uncounted.number = 3;
  uncounted.bytes = 5;
  const std::string records = annals::segment::deletion_log_path(log.path());
  append_to(records, record_of(uncounted));
  EXPECT_EQ(gap().events, std::nullopt);
  EXPECT_TRUE(gap().bytes);
  uncounted.bytes.reset();
  append_to(records, record_of(uncounted));
  EXPECT_EQ(gap().bytes, std::nullopt);
  std::filesystem::remove(records);
  std::filesystem::create_directory(records);
  EXPECT_EQ(gap().events, std::nullopt) << "records that cannot be read are none, and no reason to read no log";
  EXPECT_EQ(gap().last, 4U);
}

// --- cursors ----------------------------------------------------------------------------------------------------------------

TEST_F(lines, are_followed_from_a_cursor_without_a_check_where_it_can_be) {
  append_to(log.path(), "{\"action\":\"a\"}\n{\"action\":\"b\"}\n");
  EXPECT_EQ(followed(log.path(), {{1, 15}, 0}), std::vector<std::string>{"b"});
  EXPECT_EQ(followed(log.path(), {{1, 30}, 0}), std::vector<std::string>{});
  EXPECT_TRUE(damages.empty());
  EXPECT_EQ(followed(log.path(), {{1, 31}, 0}), (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(damages.size(), 1U);
  EXPECT_NE(damages[0].cause.find("does not fit this file"), std::string::npos);
}

TEST_F(lines, behind_one_without_its_newline_are_followed_whatever_comes) {
  for (const std::string_view more : {"\n{\"action\":\"c\"}\n", "{\"action\":\"c\"}\n", " \r\n{\"action\":\"c\"}\n"}) {
    write_file(log.path(), "{\"action\":\"a\"}\n{\"action\":\"b\"}");
    const annals::tail_page page = annals::read_tail(log.path(), 10);
    ASSERT_EQ(page.events.size(), 2U);
    append_to(log.path(), more);
    EXPECT_EQ(followed(log.path(), page.next), std::vector<std::string>{"c"});
    EXPECT_TRUE(damages.empty()) << damages[0].cause;
  }
}

TEST_F(lines, behind_one_without_its_newline_may_be_blanks_at_the_end_of_a_segment) {
  for (const std::string_view more : {"", " ", "\r"}) {
    append_to(log.path(), "{\"action\":\"b\"}");
    const annals::cursor from = annals::read_tail(log.path(), 10).next;
    append_to(log.path(), more);
    log.rotate();
    append_to(log.path(), "{\"action\":\"c\"}\n");
    EXPECT_EQ(followed(log.path(), from), std::vector<std::string>{"c"});
    EXPECT_TRUE(damages.empty()) << damages[0].cause;
  }
}

TEST_F(lines, are_looked_for_again_and_again_where_the_system_had_no_descriptor_left) {
  append_to(log.path(), "{\"action\":\"a\"}\n");
  support::expect_zero_in_child([&] {
    rlimit limit;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
    const rlim_t before = std::exchange(limit.rlim_cur, 0);
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
    annals::follower follower = annals::follow(log.path());
    limit.rlim_cur = before;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 3;
    if (follower.next(0ms)->action != "a") return 4;
    if (follower.next(1ms)) return 5;
    append_to(log.path(), "{\"action\":\"b\"}\n");
    const auto b = follower.next(60s);
    return b && b->action == "b" ? 0 : 6;
  });
}

}  // namespace
