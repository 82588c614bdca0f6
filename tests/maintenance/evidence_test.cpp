// SPDX-License-Identifier: Apache-2.0
//
// What decides that a segment is deleted: neither records of other segments, nor facts that archives record about themselves,
// nor what clients put into their events.
#include <gtest/gtest.h>
#include <sys/stat.h>
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

#include "seekable/forged.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.content.seekable;
import annals.segment;
#include "log_files.h"
#include "prune_log.h"
#include "support/counted_calls.h"

namespace {

using namespace std::chrono_literals;
using annals::retention_policy;
using annals::segment::deleted_segment;
using support::long_ago;
using numbers = std::set<std::uint64_t>;

const retention_policy lenient = {.keep_for = 24h * 36500};  // deletes nothing of today's

annals::time_point at(std::string_view text) {
  return annals::parse_timestamp(text)->time;
}

// --- records ----------------------------------------------------------------------------------------------------------------

class StaleRecords : public support::Prune {
 protected:
  std::string records_path() const { return annals::segment::deletion_log_path(path_); }
  void expect_no_deletion() {
    const auto before = log_.numbers_on_disk();
    const auto plan = annals::plan_prune(path_, lenient);
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_TRUE(plan->deletions.empty() && plan->unfinished.empty());
    const auto outcome = annals::prune(path_, lenient);
    ASSERT_TRUE(outcome) << outcome.error().message;
    EXPECT_EQ(outcome->finished, 0U);
    EXPECT_EQ(plan->conflicts, outcome->conflicts);
    conflicts_ = outcome->conflicts;
    EXPECT_EQ(log_.numbers_on_disk(), before);
  }
  // Segment 1 is deleted, and comes back as it was.
  deleted_segment bring_one_back() {
    make_log(3);
    const std::string path = log_.closed_name(1, long_ago + 24h, false);
    const std::string lines = support::content_of(path);
    EXPECT_TRUE(annals::prune(path_, {.keep_segments = 2}));
    support::write_file(path, lines);
    return annals::segment::deleted_segments(path_).value().at(0);
  }

  std::vector<std::string> conflicts_;
};

TEST_F(StaleRecords, of_lost_segments_delete_no_others_with_their_numbers) {
  make_log(4);
  ASSERT_TRUE(annals::prune(path_, {.keep_segments = 1}));
  std::filesystem::remove(log_.closed_name(4, long_ago + 4 * 24h, false));
  for (std::uint64_t number = 1; number <= 4; ++number) log_.add_plain(number, long_ago, log_.lines(10, long_ago + 1h));
  expect_no_deletion();
  ASSERT_EQ(conflicts_.size(), 3U);
  EXPECT_EQ(conflicts_[0],
            "segment 1 is recorded as deleted, but its file holds other lines than the record says; it is treated as a segment "
            "that was never deleted");
  ASSERT_TRUE(annals::prune(path_, {.keep_segments = 2}));
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{3, 4})) << "limits apply to them as to others";
}

TEST_F(StaleRecords, are_finished_where_the_file_holds_what_they_say) {
  bring_one_back();
  const auto plan = annals::plan_prune(path_, lenient);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->unfinished.size(), 1U);
  EXPECT_EQ(plan->unfinished[0].number, 1U);
  EXPECT_TRUE(plan->conflicts.empty());
  const auto outcome = annals::prune(path_, lenient);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->finished, 1U);
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{2, 3}));
}

TEST_F(StaleRecords, finish_nothing_where_one_of_their_facts_differs) {
  const deleted_segment whole = bring_one_back();
  ASSERT_FALSE(whole.check.empty());
  const std::vector<std::function<void(deleted_segment&)>> changes = {
      [](auto& one) { ++*one.events; },         [](auto& one) { one.events.reset(); },
      [](auto& one) { --*one.bytes; },          [](auto& one) { one.bytes.reset(); },
      [](auto& one) { one.first->time -= 1s; }, [](auto& one) { one.first.reset(); },
      [](auto& one) { one.last->time += 1s; },  [](auto& one) { one.check[0] = one.check[0] == '0' ? '1' : '0'; },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    SCOPED_TRACE(i);
    deleted_segment other = whole;
    changes[i](other);
    support::write_file(records_path(), annals::segment::record_of(other));
    expect_no_deletion();
    EXPECT_EQ(conflicts_.size(), 1U);
  }
  support::write_file(records_path(), "{\"segment\":1}\n{\"segment\":2}\n{\"segment\":3}\n");
  expect_no_deletion();
}

TEST_F(StaleRecords, make_the_numbers_of_new_segments_higher) {
  for (const bool has_plan : {true, false}) {
    std::filesystem::remove_all(directory_.path());
    std::filesystem::create_directory(directory_.path());
    make_log(4);
    ASSERT_TRUE(annals::prune(path_, {.keep_segments = 1}));
    if (!has_plan) support::write_file(records_path(), "{\"segment\":3}\n{\"segment\":4}\n{\"segment\":2}\n");
    for (const auto& one : annals::segment::closed_segments(path_).value()) std::filesystem::remove(one.path);
    std::filesystem::remove(path_ + ".lock");
    EXPECT_EQ(annals::segment::live_number(path_).value(), 5U);
    ASSERT_TRUE(annals::rotate_log(path_).value());
    EXPECT_EQ(log_.numbers_on_disk(), numbers{5});
  }
}

TEST_F(StaleRecords, with_numbers_that_no_log_reaches_are_not_believed) {
  support::write_file(records_path(),
                      "{\"segment\":18446744073709551615}\n{\"segment\":18446744073709551614}\n{\"segment\":2000000000000000}\n"
                      "{\"planned\":[1],\"at\":{\"segment\":18446744073709551615,\"offset\":0}}\n{\"segment\":7}\n");
  EXPECT_EQ(annals::segment::live_number(path_).value(), 8U);
}

TEST_F(StaleRecords, that_cannot_be_read_let_no_number_be_used_again) {
  log_.write_live(log_.lines(1, long_ago));
  support::write_file(records_path(), "{\"segment\":7}\n");
  const support::hooked_calls calls([&](support::system_call& one) -> std::int64_t {
    const bool is_records = one.which == support::call::open && std::string_view(one.path) == records_path();
    return is_records ? -EIO : one.run();
  });
  EXPECT_FALSE(annals::rotate_log(path_));
  EXPECT_TRUE(log_.numbers_on_disk().empty());
}

// --- two segments with one number ---------------------------------------------------------------------------------------

class ReplacedDirectories : public support::Prune {};

// --- files -------------------------------------------------------------------------------------------------------------------

// The directory is replaced by a link to another one, in which a file has the name of the segment that is to be deleted.
TEST_F(ReplacedDirectories, have_no_file_deleted_that_was_not_examined) {
  const std::string directory = directory_ / "log";
  const std::string others = directory_ / "others";
  int last = 0;
  int deleted = 0;
  for (int nth = 1; last == 0; ++nth) {
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) std::filesystem::remove_all(entry.path());
    std::filesystem::create_directory(directory);
    std::filesystem::create_directory(others);
    support::log_files log(directory + "/audit.jsonl");
    for (std::uint64_t number = 1; number <= 3; ++number) {
      const auto first = long_ago + 24h * number;
      log.add_plain(number, first, log.lines(3, first));
    }
    log.write_live(log.lines(1, long_ago + 24h * 4));
    const std::string name = std::filesystem::path(log.closed_name(1, long_ago + 24h, false)).filename();
    const std::string precious = log.lines(5, annals::io::calls().now());
    support::write_file(others + "/" + name, precious);
    {
      const support::counted_calls calls([&](int number) {
        if (number != nth) return 0;
        std::filesystem::rename(directory, directory_ / "moved");
        std::filesystem::create_directory_symlink(others, directory);
        return 0;
      });
      (void)annals::prune(directory + "/audit.jsonl", {.keep_segments = 2});
      if (calls.count() < nth) last = nth;
    }
    SCOPED_TRACE("replaced at call " + std::to_string(nth));
    EXPECT_EQ(support::content_of(others + "/" + name), precious);
    const bool is_left =
        std::filesystem::exists(directory_ / ("moved/" + name)) || std::filesystem::exists(directory + "/" + name);
    deleted += is_left ? 0 : 1;
    if (HasFailure()) return;
  }
  EXPECT_GT(last, 30);
  EXPECT_GT(deleted, 0);
}

class DoubledNumbers : public support::Prune {};

TEST_F(DoubledNumbers, delete_neither_of_the_two) {
  for (const bool is_compressed : {false, true}) {
    make_log(4);
    const std::string lines = log_.lines(2, long_ago + 1h);
    is_compressed ? log_.add_compressed(1, long_ago + 1h, lines) : log_.add_plain(1, long_ago + 1h, lines);
    const auto outcome = annals::prune(path_, {.keep_for = 24h, .keep_segments = 1});
    ASSERT_TRUE(outcome) << outcome.error().message;
    ASSERT_EQ(outcome->conflicts.size(), 1U);
    EXPECT_NE(outcome->conflicts[0].find("two segments have the number 1, and neither is deleted"), std::string::npos);
    EXPECT_TRUE(std::filesystem::exists(log_.closed_name(1, long_ago + 24h, false)));
    EXPECT_TRUE(std::filesystem::exists(log_.closed_name(1, long_ago + 1h, is_compressed)));
    EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 4}));
    EXPECT_NE(annals::list_segments(path_).value().at(0).damage.value_or("").find("another segment has its number"),
              std::string::npos);
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) std::filesystem::remove_all(entry.path());
  }
}

// --- events of deletions
// ------------------------------------------------------------------------------------------------------

class ForgedEvents : public support::Prune {
 protected:
  // A run died behind its plan for segments 1 and 2; then the log gets these lines.
  void make_log_with(const std::string& lines) {
    make_log(4);
    const std::string live = support::content_of(path_);
    support::write_file(annals::segment::deletion_log_path(path_),
                        annals::segment::record_of(annals::segment::planned_deletions{
                            {1, 2}, {5, live.size()}, {"0123456789abcdef", "fedcba9876543210"}}));
    support::append_to(path_, lines);
  }
  static std::string event(const std::string& more) {
    return R"({"ts":"2026-01-01T00:00:00+00:00","container":"annals","action":"segment_deleted","segment":1,"events":10,)" +
           more + "\"reason\":\"age\"}\n";
  }
};

TEST_F(ForgedEvents, confirm_no_plan) {
  for (const std::string& token :
       {"", R"("token":"",)", R"("token":"fedcba9876543210",)", R"("token":["0123456789abcdef"],)", R"("token":null,)"}) {
    make_log_with(event(token));
    const auto outcome = annals::prune(path_, lenient);
    ASSERT_TRUE(outcome) << outcome.error().message;
    EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 2, 3, 4})) << token;
    EXPECT_TRUE(annals::segment::deleted_segments(path_)->empty()) << token;
  }
}

TEST_F(ForgedEvents, of_a_plan_without_tokens_confirm_nothing) {
  make_log(4);
  support::write_file(annals::segment::deletion_log_path(path_), "{\"planned\":[1,2],\"at\":{\"segment\":5,\"offset\":0}}\n");
  support::append_to(path_, event(R"("token":"",)"));
  ASSERT_TRUE(annals::prune(path_, lenient));
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 2, 3, 4}));
}

TEST_F(ForgedEvents, with_a_token_that_was_read_still_delete_no_other_lines) {
  make_log_with(event(R"("token":"0123456789abcdef",)"));
  const auto outcome = annals::prune(path_, lenient);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 2, 3, 4})) << "the event does not say how many bytes the segment has";
  EXPECT_EQ(outcome->conflicts.size(), 1U);
}

// --- facts
// ---------------------------------------------------------------------------------------------------------------------

class ForgedFacts : public support::Prune {
 protected:
  // An archive of events of June 2026 whose facts say that they are of 1990.
  void add_forged(std::uint64_t number) {
    const std::string lines = log_.lines(3, at("2026-06-15T12:00:00Z"));
    support::forged_archive made;
    made.frames.push_back({support::one_frame(lines), static_cast<std::uint32_t>(lines.size()), 3, true,
                           at("1990-01-01T00:00:00Z").time_since_epoch().count(),
                           at("1990-01-02T00:00:00Z").time_since_epoch().count()});
    const std::string path = log_.closed_name(number, long_ago, true);
    support::write_file(path, made.bytes());
    support::log_files::set_written(path, long_ago);
  }
};

TEST_F(ForgedFacts, release_no_segment_from_a_hold) {
  add_forged(1);
  log_.add_plain(2, long_ago, log_.lines(1, long_ago));
  log_.add_plain(3, long_ago, log_.lines(1, long_ago));
  ASSERT_TRUE(annals::add_hold(path_, {.name = "case", .from = at("2026-06-01T00:00:00Z"), .to = at("2026-06-30T00:00:00Z")}));
  const auto plan = annals::plan_prune(path_, {.keep_segments = 1});
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->deletions.size(), 1U);
  EXPECT_EQ(plan->deletions[0].segment.number, 2U);
  ASSERT_TRUE(annals::prune(path_, {.keep_segments = 1}));
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 3}));
}

TEST_F(ForgedFacts, make_no_segment_old) {
  add_forged(1);
  log_.add_plain(2, long_ago, log_.lines(1, long_ago));
  const auto age = annals::io::calls().now() - at("2026-06-15T12:00:00Z");
  log_.write_live("");
  ASSERT_TRUE(annals::prune(path_, {.keep_for = age + 24h}));
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 2}));
  ASSERT_TRUE(annals::prune(path_, {.keep_for = age - 1h}));
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{2}));
}

TEST_F(ForgedFacts, are_not_what_is_recorded_of_a_deletion) {
  add_forged(1);
  log_.add_plain(2, long_ago, log_.lines(1, long_ago));
  ASSERT_TRUE(annals::prune(path_, {.keep_segments = 1}));
  const auto records = annals::segment::deleted_segments(path_).value();
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(annals::to_string(*records[0].first), "2026-06-15T12:00:00+00:00");
}

TEST_F(ForgedFacts, of_two_forms_that_differ_leave_the_times_unknown) {
  log_.add_plain(1, long_ago, log_.lines(1, long_ago));
  log_.add_compressed(1, long_ago, log_.lines(1, at("2026-06-15T12:00:00Z")));
  log_.add_plain(2, long_ago, log_.lines(1, long_ago));
  ASSERT_TRUE(annals::prune(path_, {.keep_for = 24h}));
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 2}));
}

// --- times
// ---------------------------------------------------------------------------------------------------------------------

class ClientTimes : public support::Prune, public testing::WithParamInterface<bool> {
 protected:
  std::string add(std::uint64_t number, annals::time_point written, const std::string& lines) {
    return GetParam() ? log_.add_compressed(number, written, lines) : log_.add_plain(number, written, lines);
  }
  static std::string line(std::string_view ts, std::string_view body = R"({"user":"bob"})") {
    return R"({"ts":")" + std::string(ts) + R"(","container":"gw","action":"request","body":)" + std::string(body) + "}\n";
  }
  const annals::time_point now_ = annals::io::calls().now();
};

INSTANTIATE_TEST_SUITE_P(forms, ClientTimes, testing::Bool());

TEST_P(ClientTimes, in_nested_objects_decide_nothing) {
  const std::string recent = annals::to_string({now_ - 1h});
  const std::vector<std::string> bodies = {R"({"ts":"9999-12-31T23:59:59Z"})", R"({"ts":"x"})",
                                           R"([{"a":{"ts":")" + recent + "\"}}]", R"({"t\u0073":")" + recent + "\"}",
                                           R"("\"ts\":\"9999-12-31T23:59:59Z\"")"};
  std::uint64_t number = 0;
  for (const std::string& body : bodies) add(++number, long_ago, line("2020-06-01T00:00:00Z", body));
  log_.add_plain(++number, long_ago, log_.lines(1, long_ago));
  ASSERT_TRUE(annals::add_hold(path_, {.name = "case", .from = at("2025-01-01T00:00:00Z"), .to = at("2025-02-01T00:00:00Z")}));
  const auto outcome = annals::prune(path_, {.keep_for = 365 * 24h});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{number}));
}

TEST_P(ClientTimes, of_long_ago_make_no_segment_old) {
  add(1, now_ - 1h, line("1970-01-01T00:00:00Z"));
  add(2, now_ - 48h, line("1970-01-01T00:00:00Z"));
  log_.add_plain(3, long_ago, log_.lines(1, long_ago));
  log_.write_live("");
  const auto outcome = annals::prune(path_, {.keep_for = 24h});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 3}));
  ASSERT_EQ(outcome->deleted.size(), 1U);
  EXPECT_EQ(outcome->deleted[0].why, "it was last written at " + annals::to_string({now_ - 48h}) + ", longer ago than 1d");
}

TEST_P(ClientTimes, of_the_future_keep_no_segment_for_ever) {
  add(1, long_ago, line("9999-12-31T23:59:59Z"));
  log_.add_plain(2, long_ago, log_.lines(1, long_ago));
  log_.write_live("");
  ASSERT_TRUE(annals::prune(path_, {.keep_for = 24h}));
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{2}));
}

TEST_P(ClientTimes, of_a_partial_line_do_not_hide_the_event_that_was_appended_to_it) {
  const std::string whole = line("2020-01-01T00:00:00Z");
  add(1, long_ago, whole.substr(0, whole.size() - 4) + line("2026-06-15T12:00:00Z"));
  log_.add_plain(2, long_ago, log_.lines(1, long_ago));
  ASSERT_TRUE(annals::add_hold(path_, {.name = "case", .from = at("2026-06-01T00:00:00Z"), .to = at("2026-06-30T00:00:00Z")}));
  ASSERT_TRUE(annals::prune(path_, {.keep_segments = 1}));
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 2}));
}

TEST_P(ClientTimes, that_are_missing_leave_a_segment_held) {
  const std::string dated = line("2020-01-01T00:00:00Z");
  std::uint64_t number = 0;
  for (const std::string& undated :
       {std::string("Jun 15 2026 a line of another program\n"), std::string("{\"action\":\"no ts\"}\n"),
        std::string("{\"ts\":\"noon\",\"action\":\"x\"}\n"), std::string("{\"ts\":17}\n")}) {
    add(++number, long_ago, dated + undated);
  }
  log_.add_plain(number + 1, long_ago, log_.lines(1, long_ago));
  ASSERT_TRUE(annals::add_hold(path_, {.name = "h", .from = at("2026-06-01T00:00:00Z")}));
  ASSERT_TRUE(annals::prune(path_, {.keep_segments = 1}));
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 2, 3, 4, 5}));
}

// --- files that are made
// -------------------------------------------------------------------------------------------------------

class MadeFiles : public support::Prune {
 protected:
  struct stat status_of(const std::string& path) const {
    struct stat found = {};
    EXPECT_EQ(::stat(path.c_str(), &found), 0) << path;
    return found;
  }
  void expect_like(const std::string& path, uid_t owner, gid_t group, mode_t mode) const {
    const struct stat found = status_of(path);
    EXPECT_EQ(found.st_uid, owner) << path;
    EXPECT_EQ(found.st_gid, group) << path;
    EXPECT_EQ(found.st_mode & 07777, mode) << path;
  }
};

TEST_F(MadeFiles, can_be_written_by_the_group_that_may_write_the_log) {
  make_log(4);
  ASSERT_EQ(::chmod(path_.c_str(), 0660), 0);
  ASSERT_TRUE(annals::prune(path_, {.keep_segments = 3}));
  ASSERT_TRUE(annals::add_hold(path_, {.name = "case"}));
  expect_like(path_ + ".deleted", ::geteuid(), ::getegid(), 0660);
  expect_like(path_ + ".holds", ::geteuid(), ::getegid(), 0660);
}

TEST_F(MadeFiles, can_be_read_by_those_who_may_read_the_log) {
  make_log(4);
  ASSERT_EQ(::chmod(path_.c_str(), 0644), 0);
  ASSERT_TRUE(annals::prune(path_, {.keep_segments = 3}));
  ASSERT_TRUE(annals::add_hold(path_, {.name = "case"}));
  expect_like(path_ + ".deleted", ::geteuid(), ::getegid(), 0644);
  expect_like(path_ + ".holds", ::geteuid(), ::getegid(), 0644);
}

TEST_F(MadeFiles, in_place_of_a_missing_live_segment_are_like_the_last_closed_one) {
  make_log(4);
  std::filesystem::remove(path_);
  ASSERT_EQ(::chmod(log_.closed_name(4, long_ago + 4 * 24h, false).c_str(), 0640), 0);
  ASSERT_TRUE(annals::add_hold(path_, {.name = "case"}));
  expect_like(path_, ::geteuid(), ::getegid(), 0640);
}

TEST_F(MadeFiles, by_root_belong_to_the_owner_of_the_log) {
  if (::geteuid() != 0) GTEST_SKIP() << "NOT TESTED: only root may make files of other users (chown(2)): run this test as root";
  constexpr uid_t owner = 1234;
  constexpr gid_t group = 2345;
  for (const bool has_live : {true, false}) {
    make_log(4);
    if (!has_live) std::filesystem::remove(path_);
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      ASSERT_EQ(::chown(entry.path().c_str(), owner, group), 0);
    }
    ASSERT_TRUE(annals::add_hold(path_, {.name = "case", .to = long_ago}));
    ASSERT_TRUE(annals::prune(path_, {.keep_segments = 2}));
    for (const char* const suffix : {"", ".deleted", ".holds", ".lock"}) {
      expect_like(path_ + suffix, owner, group, status_of(path_ + suffix).st_mode & 07777);
    }
    ASSERT_TRUE(annals::remove_hold(path_, "case"));
    expect_like(path_ + ".holds", owner, group, status_of(path_).st_mode & 07777);
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) std::filesystem::remove_all(entry.path());
  }
}

TEST_F(MadeFiles, of_a_log_that_does_not_exist_belong_to_the_owner_of_the_directory) {
  if (::geteuid() != 0) GTEST_SKIP() << "NOT TESTED: only root may make files of other users (chown(2)): run this test as root";
  ASSERT_EQ(::chown(directory_.path().c_str(), 1234, 2345), 0);
  ASSERT_TRUE(annals::add_hold(path_, {.name = "case"}));
  for (const char* const suffix : {"", ".holds", ".lock"}) expect_like(path_ + suffix, 1234, 2345, 0600);
}

TEST_F(MadeFiles, that_cannot_get_the_owner_of_the_log_are_not_left) {
  make_log(4);
  const support::hooked_calls calls([](support::system_call& one) -> std::int64_t {
    const bool is_status = one.which == support::call::status_at || one.which == support::call::status_of;
    const std::int64_t done = one.which == support::call::set_owner ? -EPERM : one.run();
    if (is_status && std::string_view(one.path).ends_with("audit.jsonl")) ++one.status->group;
    return done;
  });
  EXPECT_FALSE(annals::prune(path_, {.keep_segments = 2}));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".deleted"));
  EXPECT_EQ(log_.numbers_on_disk(), (numbers{1, 2, 3, 4}));
}

}  // namespace
