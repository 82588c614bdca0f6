// SPDX-License-Identifier: Apache-2.0
//
// Deleting segments: what is deleted and told, and several processes at once.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
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
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.content.seekable;
import annals.rotation.lock;
import annals.segment;
#include "log_files.h"
#include "prune_log.h"
#include "support/faulty_calls.h"

namespace {

using namespace std::chrono_literals;
using annals::retention_policy;
using support::long_ago;
using support::Prune;

TEST_F(Prune, deletes_tells_and_records) {
  make_log(4);
  const auto outcome = annals::prune(path_, {.keep_segments = 2});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->deleted.size(), 2u);
  EXPECT_TRUE(outcome->skipped.empty());
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{3, 4}));
  expect_one_event_and_one_record_for({1, 2});

  const auto events = log_.events_of("segment_deleted");
  ASSERT_EQ(events.size(), 2u);
  const annals::event& second = events[1];
  EXPECT_EQ(second.container, "annals");
  EXPECT_EQ(second.dest, "audit-000002-20200103T000000Z.jsonl.zst");
  EXPECT_EQ(second.detail, "segment 2 with 10 events was deleted: there are 3 closed segments, more than 2");
  EXPECT_EQ(support::number_of(second, "segment"), 2u);
  EXPECT_EQ(support::number_of(second, "events"), 10u);
  EXPECT_EQ(support::text_of(second, "first"), "2020-01-03T00:00:00+00:00");
  EXPECT_EQ(support::text_of(second, "last"), "2020-01-03T00:00:09+00:00");
  EXPECT_EQ(support::text_of(second, "reason"), "segments");
  EXPECT_EQ(support::text_of(second, "by"), annals::io::user_name());
  EXPECT_EQ(support::text_of(second, "program"), annals::io::program_name());
  EXPECT_EQ(support::number_of(second, "pid"), static_cast<std::uint64_t>(::getpid()));

  const auto records = annals::segment::deleted_segments(path_);
  ASSERT_EQ(records->size(), 2u);
  EXPECT_EQ(records->at(0).events, 10u);
  EXPECT_EQ(records->at(0).bytes, support::number_of(events[0], "bytes"));
  EXPECT_EQ(annals::to_string(*records->at(0).last), "2020-01-02T00:00:09+00:00");
  EXPECT_EQ(records->at(0).reason, "segments");
  EXPECT_EQ(std::filesystem::status(path_ + ".deleted").permissions(), std::filesystem::status(path_).permissions());
}

TEST_F(Prune, of_a_log_that_is_as_the_policy_wants_it_changes_nothing) {
  make_log(4);
  const std::string live = support::content_of(path_);
  const auto outcome = annals::prune(path_, {.keep_for = 24h * 36500, .keep_bytes = 1 << 30, .keep_segments = 4});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_TRUE(outcome->deleted.empty());
  EXPECT_EQ(log_.numbers_on_disk().size(), 4u);
  EXPECT_EQ(support::content_of(path_), live);
  EXPECT_FALSE(std::filesystem::exists(path_ + ".deleted"));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".lock"));
}

TEST_F(Prune, plans_what_it_does) {
  make_log(6);
  const retention_policy policy = {.keep_for = 1h, .keep_segments = 3};
  const auto plan = annals::plan_prune(path_, policy);
  ASSERT_TRUE(plan) << plan.error().message;
  const auto outcome = annals::prune(path_, policy);
  ASSERT_TRUE(outcome) << outcome.error().message;
  ASSERT_EQ(plan->deletions.size(), 5u);
  ASSERT_EQ(outcome->deleted.size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(plan->deletions[i].segment.number, outcome->deleted[i].segment.number);
    EXPECT_EQ(plan->deletions[i].why, outcome->deleted[i].why);
  }
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{6}));
  ASSERT_EQ(outcome->unmet.size(), 1u);  // the last one is old, too
}

TEST_F(Prune, believes_no_clock_that_is_far_ahead_of_the_files_of_the_log) {
  support::faulty_calls calls;
  calls.freeze();
  const auto now = calls.now();
  log_.add_plain(1, now - 24h * 400, log_.lines(2, now - 24h * 400));
  log_.add_plain(2, now - 24h * 200, log_.lines(2, now - 24h * 200));
  log_.add_plain(3, now - 24h, log_.lines(2, now - 24h));
  log_.write_live(log_.lines(1, now));
  calls.advance(24h * 365);
  const auto outcome = annals::prune(path_, {.keep_for = 300 * 24h});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{2, 3}));  // 1 is old by either clock
  ASSERT_EQ(outcome->unmet.size(), 1u);
  EXPECT_NE(outcome->unmet[0].why.find("after the newest file of the log was written"), std::string::npos)
      << outcome->unmet[0].why;
}

TEST_F(Prune, reports_no_clock_that_makes_no_segment_old) {
  support::faulty_calls calls;
  calls.freeze();
  log_.add_plain(1, calls.now(), log_.lines(2, calls.now()));
  log_.add_plain(2, calls.now(), log_.lines(2, calls.now()));
  calls.advance(24h * 200);
  const auto outcome = annals::prune(path_, {.keep_for = 300 * 24h});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_TRUE(outcome->unmet.empty());
}

TEST_F(Prune, copies_its_records_where_a_snapshot_of_hard_links_has_them) {
  make_log(4);
  ASSERT_TRUE(annals::prune(path_, {.keep_segments = 3}));
  const std::string before = support::content_of(path_ + ".deleted");
  std::filesystem::create_hard_link(path_ + ".deleted", directory_ / "snapshot");
  EXPECT_FALSE(annals::retention_fault(path_));
  const auto outcome = annals::prune(path_, {.keep_segments = 2});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{3, 4}));
  EXPECT_EQ(support::content_of(directory_ / "snapshot"), before);
  expect_one_event_and_one_record_for({1, 2});
}

TEST_F(Prune, that_cannot_read_or_write_what_it_needs_is_reported_as_a_fault_of_the_log) {
  make_log(4);
  EXPECT_FALSE(annals::retention_fault(path_));
  for (const char* const suffix : {".holds", ".deleted"}) {
    std::filesystem::create_directory(path_ + suffix);
    const auto fault = annals::retention_fault(path_);
    ASSERT_TRUE(fault) << suffix;
    EXPECT_NE(fault->message.find("no segment of '" + path_ + "' can be deleted: "), std::string::npos) << fault->message;
    std::filesystem::remove(path_ + suffix);
  }
}

// Until something is removed, nothing can be written: each of the things that are written fails in its turn.
TEST_F(Prune, on_a_full_disk_makes_room_with_the_oldest_segments) {
  for (const int fails_at : {0, 1, 2, 3}) {
    make_log(5);
    int writes = 0;
    bool is_full = false;
    const support::hooked_calls calls([&](support::system_call& one) -> std::int64_t {
      const std::int64_t done = one.which == support::call::write && writes++ == fails_at ? -ENOSPC
                                : is_full && one.which == support::call::write            ? -ENOSPC
                                                                                          : one.run();
      if (done == -ENOSPC) is_full = true;
      if (one.which == support::call::remove && done == 0) is_full = false;
      return done;
    });
    const auto outcome = annals::prune(path_, {.keep_segments = 2});
    ASSERT_TRUE(outcome) << outcome.error().message;
    EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{4, 5}));
    expect_one_event_and_one_record_for({1, 2, 3});
    EXPECT_FALSE(is_full);
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) std::filesystem::remove_all(entry.path());
  }
}

TEST_F(Prune, of_no_log_does_nothing) {
  const auto outcome = annals::prune(path_, {.keep_segments = 1});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

TEST_F(Prune, keeps_a_segment_that_has_an_event_young_enough_anywhere) {
  const auto now = annals::io::calls().now();
  log_.add_plain(1, long_ago,
                 log_.lines(2, long_ago) + log_.lines(1, now - 1h) + log_.lines(2, long_ago));  // a clock stepped back
  log_.add_plain(2, long_ago, log_.lines(5, long_ago));
  log_.add_compressed(3, long_ago, log_.lines(2, long_ago) + log_.lines(1, now - 1h) + log_.lines(2, long_ago));
  log_.add_plain(4, now - 1h, log_.lines(1, now - 1h));
  const auto outcome = annals::prune(path_, {.keep_for = 24h});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{1, 3, 4}));
}

TEST_F(Prune, takes_the_age_of_events_without_time_from_the_file) {
  support::log_files::set_written(log_.add_plain(1, long_ago, log_.lines(2, long_ago) + "{\"container\":\"x\"}\n"),
                                  annals::io::calls().now());
  const std::string old = log_.add_plain(2, long_ago, "{\"container\":\"x\"}\n");
  support::log_files::set_written(old, annals::io::calls().now() - 24h * 30);
  log_.add_plain(3, long_ago, log_.lines(1, long_ago));
  const auto outcome = annals::prune(path_, {.keep_for = 24h});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{1, 3}));
  EXPECT_NE(log_.events_of("segment_deleted").at(0).detail->find("(by the time of the file"), std::string::npos);
}

TEST_F(Prune, ends_a_torn_line_of_the_live_segment_and_of_the_records_first) {
  make_log(3);
  support::append_to(path_, "{\"ts\":\"2020");
  support::append_to(path_ + ".deleted", "{\"segm");
  const auto outcome = annals::prune(path_, {.keep_segments = 2});
  ASSERT_TRUE(outcome) << outcome.error().message;
  expect_one_record_for({1});
  EXPECT_NE(support::content_of(path_).find("{\"ts\":\"2020\n{\"ts\":"), std::string::npos);
}

TEST_F(Prune, deletes_a_damaged_segment_and_says_what_could_be_counted) {
  const std::string path = log_.add_compressed(1, long_ago, log_.lines(2000, long_ago));
  std::string bytes = support::content_of(path);
  support::write_file(path, std::string_view(bytes).substr(0, bytes.size() / 2));
  log_.add_plain(2, long_ago, log_.lines(1, long_ago));
  const auto outcome = annals::prune(path_, {.keep_segments = 1});
  ASSERT_TRUE(outcome) << outcome.error().message;
  const auto events = log_.events_of("segment_deleted");
  ASSERT_EQ(events.size(), 1u);
  EXPECT_NE(events[0].detail->find("readable events"), std::string::npos) << *events[0].detail;
  EXPECT_NE(support::text_of(events[0], "damage"), "");
}

TEST_F(Prune, leaves_a_segment_that_is_being_compressed_for_the_next_run) {
  make_log(4);
  auto archiver = annals::rotation::claim::of_segment(path_, 1);
  ASSERT_TRUE(archiver) << archiver.error().message;
  ASSERT_TRUE(*archiver);
  const auto outcome = annals::prune(path_, {.keep_segments = 2});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->skipped, std::vector<std::string>{"segment 1: it is being compressed"});
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{1, 3, 4}));
  archiver->reset();
  ASSERT_TRUE(annals::prune(path_, {.keep_segments = 2}));
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{3, 4}));
  expect_one_event_and_one_record_for({1, 2});
}

// What a user can do who can only read the log, for example by its group.
TEST_F(Prune, is_not_stopped_by_a_reader_that_locks_every_file_it_can_open) {
  make_log(4);
  log_.write_live(log_.lines(1, long_ago + 24h * 10));
  ASSERT_EQ(::chmod(path_.c_str(), 0640), 0);
  ASSERT_TRUE(annals::add_hold(path_, {.name = "case"}));  // makes the log's other files
  ASSERT_TRUE(annals::remove_hold(path_, "case"));
  std::vector<int> held;
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    struct ::stat found = {};
    ASSERT_EQ(::stat(entry.path().c_str(), &found), 0);
    const bool is_segment = entry.path().string().starts_with(directory_ / "audit-");
    if ((found.st_mode & 0044U) == 0 && !is_segment) continue;
    held.push_back(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::flock(held.back(), LOCK_EX | LOCK_NB), 0) << entry.path();
    struct ::flock asked = {F_RDLCK, SEEK_SET, 0, 0, 0};
    ASSERT_EQ(::fcntl(held.back(), F_OFD_SETLK, &asked), 0) << entry.path();
  }
  EXPECT_GE(held.size(), 5u);
  const auto outcome = annals::prune(path_, {.keep_segments = 1});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_TRUE(outcome->skipped.empty());
  EXPECT_EQ(log_.numbers_on_disk(), std::set<std::uint64_t>{4});
  for (const int fd : held) ::close(fd);
}

TEST_F(Prune, removes_both_forms_and_what_a_dead_archiver_left) {
  make_log(4);
  const std::string temporary = log_.closed_name(1, long_ago + 24h, true) + ".tmp";
  support::write_file(temporary, "half");
  ASSERT_TRUE(annals::prune(path_, {.keep_segments = 1}));
  EXPECT_FALSE(std::filesystem::exists(temporary));
  EXPECT_EQ(annals::segment::closed_segments(path_)->size(), 1u);
}

TEST_F(Prune, of_many_segments_goes_in_batches_and_in_order) {
  for (std::uint64_t number = 1; number <= 200; ++number) log_.add_plain(number, long_ago, log_.lines(1, long_ago));
  const auto outcome = annals::prune(path_, {.keep_segments = 10});
  ASSERT_TRUE(outcome) << outcome.error().message;
  std::set<std::uint64_t> deleted;
  for (std::uint64_t number = 1; number <= 190; ++number) deleted.insert(number);
  expect_one_event_and_one_record_for(deleted);
  const auto events = log_.events_of("segment_deleted");
  for (std::size_t i = 0; i < events.size(); ++i) EXPECT_EQ(support::number_of(events[i], "segment"), i + 1);
}

TEST_F(Prune, by_eight_processes_at_once_deletes_each_segment_once) {
  for (std::uint64_t number = 1; number <= 60; ++number) log_.add_plain(number, long_ago, log_.lines(3, long_ago));
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::alarm(240);
      int failed = 0;
      for (std::uint64_t keep = 50; keep >= 5; keep -= 5) failed += annals::prune(path_, {.keep_segments = keep}) ? 0 : 1;
      ::_exit(failed);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  std::set<std::uint64_t> deleted;
  for (std::uint64_t number = 1; number <= 55; ++number) deleted.insert(number);
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{56, 57, 58, 59, 60}));
  expect_one_event_and_one_record_for(deleted);
}

TEST_F(Prune, syncs_the_events_before_it_removes_anything) {
  make_log(2);
  support::write_file(path_ + ".holds", "{\"version\":1,\"holds\":[]}\n");
  std::string said;
  std::optional<support::hooked_calls> calls;
  calls.emplace([&](support::system_call& one) {
    if (one.which == support::call::remove) said += "remove ";
    if (one.which == support::call::sync_all) said += "directory ";
    if (one.which == support::call::sync_data) {
      const auto live = calls->kernel_status(path_.c_str());
      said += live && annals::io::same_file(calls->kernel_status(one.fd), *live) ? "live " : "record ";
    }
    return one.run();
  });
  ASSERT_TRUE(annals::prune(path_, {.keep_segments = 1}));
  EXPECT_EQ(said, "record live directory record remove remove remove directory ");
}

}  // namespace
