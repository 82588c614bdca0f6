// SPDX-License-Identifier: Apache-2.0
//
// Holds: what they keep, how they are stored, and that a file of them that cannot be read keeps everything.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

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
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.content.seekable;
import annals.segment;
#include "log_files.h"
#include "support/counted_calls.h"

namespace {

using namespace std::chrono_literals;

annals::time_point at(std::string_view text) {
  return annals::parse_timestamp(text)->time;
}

class Holds : public testing::Test {
 protected:
  // Segments 1 to 4, of January 1 to 4, 2020.
  void make_log() {
    for (std::uint64_t number = 1; number <= 4; ++number) {
      const auto first = at("2019-12-31T00:00:00Z") + 24h * number;
      const std::string lines = log_.lines(10, first);
      number % 2 == 0 ? log_.add_compressed(number, first, lines) : log_.add_plain(number, first, lines);
    }
    log_.write_live(log_.lines(1, at("2020-01-05T00:00:00Z")));
  }
  std::set<std::uint64_t> left_by_pruning_all() {
    const auto outcome = annals::prune(path_, {.keep_segments = 1});
    EXPECT_TRUE(outcome) << outcome.error().message;
    return log_.numbers_on_disk();
  }
  using numbers = std::set<std::uint64_t>;

  support::temp_directory directory_;
  std::string path_ = directory_ / "audit.jsonl";
  support::log_files log_{path_};
};

TEST_F(Holds, are_added_listed_and_removed_and_each_is_an_event) {
  make_log();
  const auto added = annals::add_hold(path_, {.name = "case-17", .from = at("2020-01-02T00:00:00Z")});
  ASSERT_TRUE(added) << added.error().message;
  EXPECT_EQ(added->by, annals::io::user_name());
  ASSERT_TRUE(annals::add_hold(path_, {.name = "F\xc3\xa4lle \"2\""}));
  const auto listed = annals::list_holds(path_);
  ASSERT_TRUE(listed) << listed.error().message;
  ASSERT_EQ(listed->size(), 2u);
  EXPECT_EQ(listed->at(0).name, "case-17");
  EXPECT_EQ(listed->at(0).from, at("2020-01-02T00:00:00Z"));
  EXPECT_EQ(listed->at(0).to, std::nullopt);
  EXPECT_EQ(listed->at(1).name, "F\xc3\xa4lle \"2\"");
  EXPECT_EQ(std::filesystem::status(path_ + ".holds").permissions(), std::filesystem::status(path_).permissions());
  ASSERT_TRUE(annals::remove_hold(path_, "case-17"));
  EXPECT_EQ(annals::list_holds(path_)->size(), 1u);

  const auto told = log_.events_of("hold_added");
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].container, "annals");
  EXPECT_EQ(told[0].dest, "case-17");
  EXPECT_EQ(told[0].detail, "hold case-17 was added: it keeps the segments with events from 2020-01-02T00:00:00+00:00");
  EXPECT_EQ(support::text_of(told[0], "from"), "2020-01-02T00:00:00+00:00");
  ASSERT_EQ(log_.events_of("hold_removed").size(), 1u);
}

TEST_F(Holds, without_times_keep_every_segment_also_those_to_come) {
  make_log();
  ASSERT_TRUE(annals::add_hold(path_, {.name = "all"}));
  EXPECT_EQ(left_by_pruning_all(), (numbers{1, 2, 3, 4}));
  log_.add_plain(5, at("2021-01-01T00:00:00Z"), log_.lines(1, at("2021-01-01T00:00:00Z")));
  log_.add_plain(6, at("2021-01-01T00:00:00Z"), log_.lines(1, at("2021-01-01T00:00:00Z")));
  EXPECT_EQ(left_by_pruning_all(), (numbers{1, 2, 3, 4, 5, 6}));
  ASSERT_TRUE(annals::remove_hold(path_, "all"));
  EXPECT_EQ(left_by_pruning_all(), (numbers{6}));
}

TEST_F(Holds, with_times_keep_the_segments_whose_events_are_of_those_times) {
  make_log();
  ASSERT_TRUE(annals::add_hold(path_, {.name = "h", .from = at("2020-01-02T00:00:09Z"), .to = at("2020-01-03T00:00:00Z")}));
  EXPECT_EQ(left_by_pruning_all(), (numbers{2, 3, 4}));
}

TEST_F(Holds, between_the_events_of_two_segments_keep_neither) {
  make_log();
  ASSERT_TRUE(annals::add_hold(path_, {.name = "h", .from = at("2020-01-02T00:00:10Z"), .to = at("2020-01-02T23:59:59Z")}));
  EXPECT_EQ(left_by_pruning_all(), (numbers{4}));
}

TEST_F(Holds, with_times_keep_a_segment_whose_times_are_not_known) {
  make_log();
  log_.add_plain(5, at("2020-01-05T00:00:00Z"),
                 "{\"ts\":\"2020-01-05T00:00:00Z\",\"action\":\"x\"}\n{\"action\":\"undated\"}\n");
  log_.add_plain(6, at("2020-01-06T00:00:00Z"), log_.lines(1, at("2020-01-06T00:00:00Z")));
  ASSERT_TRUE(annals::add_hold(path_, {.name = "h", .to = at("1999-01-01T00:00:00Z")}));
  EXPECT_EQ(left_by_pruning_all(), (numbers{5, 6}));
}

TEST_F(Holds, are_named_by_the_segments_they_keep) {
  make_log();
  ASSERT_TRUE(annals::add_hold(path_, {.name = "all"}));
  ASSERT_TRUE(annals::add_hold(path_, {.name = "one", .from = at("2020-01-02T00:00:00Z"), .to = at("2020-01-02T00:00:00Z")}));
  const auto segments = annals::list_segments(path_);
  ASSERT_TRUE(segments);
  EXPECT_EQ(segments->at(0).held_by, std::vector<std::string>{"all"});
  EXPECT_EQ(segments->at(1).held_by, (std::vector<std::string>{"all", "one"}));
  EXPECT_TRUE(segments->back().held_by.empty());  // the live one is not deleted anyway
}

TEST_F(Holds, that_make_no_sense_are_refused_and_nothing_is_made) {
  make_log();
  for (const annals::hold& wrong :
       {annals::hold{.name = ""}, annals::hold{.name = std::string(129, 'x')}, annals::hold{.name = "a\nb"},
        annals::hold{.name = "\xff"},
        annals::hold{.name = "x", .from = at("2020-01-02T00:00:00Z"), .to = at("2020-01-01T00:00:00Z")}}) {
    const auto added = annals::add_hold(path_, wrong);
    ASSERT_FALSE(added) << wrong.name;
    EXPECT_EQ(added.error().code, annals::errc::invalid_argument);
  }
  EXPECT_FALSE(std::filesystem::exists(path_ + ".holds"));
  ASSERT_TRUE(annals::add_hold(path_, {.name = "x"}));
  EXPECT_EQ(annals::add_hold(path_, {.name = "x"}).error().code, annals::errc::invalid_argument);
  const auto none = annals::remove_hold(path_, "y");
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("it has x"), std::string::npos) << none.error().message;
}

TEST_F(Holds, that_are_damaged_let_nothing_be_deleted) {
  make_log();
  ASSERT_TRUE(annals::add_hold(path_, {.name = "h", .to = at("2000-01-01T00:00:00Z")}));
  const std::string good = support::content_of(path_ + ".holds");
  std::vector<std::string> damaged = {"{}",
                                      "[]",
                                      "null",
                                      "{\"version\":2,\"holds\":[]}",
                                      "{\"version\":1,\"holds\":[{}]}",
                                      "{\"version\":1,\"holds\":[{\"name\":\"x\",\"from\":\"noon\"}]}",
                                      good + "x"};
  for (std::size_t bytes = 0; bytes + 1 < good.size(); ++bytes) damaged.push_back(good.substr(0, bytes));  // cut at any byte
  for (const std::string& one : damaged) {
    support::write_file(path_ + ".holds", one);
    const auto outcome = annals::prune(path_, {.keep_segments = 1});
    ASSERT_FALSE(outcome) << one;
    EXPECT_EQ(outcome.error().code, annals::errc::invalid_json) << one;
    EXPECT_FALSE(annals::plan_prune(path_, {.keep_segments = 1})) << one;
    EXPECT_FALSE(annals::add_hold(path_, {.name = "other"})) << one;
  }
  EXPECT_EQ(log_.numbers_on_disk().size(), 4u);
  support::write_file(path_ + ".holds", good);
  EXPECT_EQ(left_by_pruning_all(), (numbers{4}));
}

TEST_F(Holds, are_those_of_the_log_where_their_file_is_lost) {
  make_log();
  ASSERT_TRUE(annals::add_hold(path_, {.name = "gone", .from = at("2020-01-03T00:00:00Z")}));
  ASSERT_TRUE(annals::add_hold(path_, {.name = "case", .from = at("2020-01-02T00:00:00Z"), .to = at("2020-01-02T12:00:00Z")}));
  ASSERT_TRUE(annals::remove_hold(path_, "gone"));
  ASSERT_TRUE(annals::rotate_log(path_).value());
  for (const bool in_archive : {false, true}) {
    const std::string closed = annals::segment::closed_segments(path_).value().back().path;
    if (in_archive) {
      support::write_file(closed + ".zst", support::log_files::compressed(support::content_of(closed), 16 * 1024));
      std::filesystem::remove(closed);
    }
    std::filesystem::remove(path_ + ".holds");
    const auto plan = annals::plan_prune(path_, {.keep_segments = 1});
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->conflicts.size(), 1U);
    EXPECT_EQ(plan->deletions.size(), in_archive ? 0U : 3U);
    EXPECT_FALSE(std::filesystem::exists(path_ + ".holds"));
    if (!in_archive) {
      EXPECT_EQ(left_by_pruning_all(), (numbers{2, 5}));
      ASSERT_EQ(annals::list_holds(path_)->size(), 1U);
      EXPECT_EQ(annals::list_holds(path_)->front().to, at("2020-01-02T12:00:00Z"));
    }
  }
  ASSERT_TRUE(annals::add_hold(path_, {.name = "next"}));
  EXPECT_EQ(annals::list_holds(path_)->size(), 2U) << "a new one does not replace those that were lost";
}

TEST_F(Holds, that_never_were_are_looked_for_once) {
  make_log();
  ASSERT_TRUE(annals::prune(path_, {.keep_segments = 2}));
  EXPECT_TRUE(annals::list_holds(path_)->empty());
  EXPECT_TRUE(std::filesystem::exists(path_ + ".holds"));
}

TEST_F(Holds, are_whole_whenever_the_process_is_killed) {
  int last = 0;
  for (int nth = 1; last == 0; ++nth) {
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) std::filesystem::remove_all(entry.path());
    make_log();
    ASSERT_TRUE(annals::add_hold(path_, {.name = "first"}));
    const auto work = [this] {
      (void)annals::add_hold(path_, {.name = "second"});
      (void)annals::remove_hold(path_, "first");
    };
    if (support::survives_until_killed_at(nth, work)) last = nth;
    SCOPED_TRACE("killed at call " + std::to_string(nth));
    const auto holds = annals::list_holds(path_);
    ASSERT_TRUE(holds) << holds.error().message;
    ASSERT_GE(holds->size(), 1u);
    // No hold goes without a word in the log.
    if (holds->front().name != "first") {
      EXPECT_EQ(log_.events_of("hold_removed").size(), 1u);
    }
    if (holds->size() == 1 && holds->front().name == "first") {
      EXPECT_TRUE(log_.events_of("hold_removed").empty());
    }
    const auto repeated = annals::add_hold(path_, {.name = "third"});
    ASSERT_TRUE(repeated) << repeated.error().message;
  }
  EXPECT_GT(last, 30);
}

TEST_F(Holds, by_many_processes_at_once_are_all_there) {
  make_log();
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::alarm(240);
      int failed = 0;
      for (int k = 0; k < 5; ++k)
        failed += annals::add_hold(path_, {.name = std::to_string(i) + "-" + std::to_string(k)}) ? 0 : 1;
      ::_exit(failed);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(annals::list_holds(path_)->size(), 30u);
  EXPECT_EQ(log_.events_of("hold_added").size(), 30u);
}

}  // namespace
