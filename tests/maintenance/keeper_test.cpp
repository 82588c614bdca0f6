// SPDX-License-Identifier: Apache-2.0
//
// Disk pressure by stages, through the seam and on a real small file system; deletions while a log is written.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
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
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "support/child.h"
#include "support/small_disk.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.content.seekable;
import annals.segment;
#include "log_files.h"
#include "support/faulty_calls.h"

namespace {

using namespace std::chrono_literals;
using annals::errc;
using annals::notice_code;
using annals::pressure_stage;
using annals::pressure_thresholds;
using annals::space_amount;

const annals::time_point long_ago = annals::parse_timestamp("2020-01-01T00:00:00Z")->time;
constexpr pressure_thresholds by_percent = {.warn = space_amount{0, 1000},
                                            .archive = space_amount{0, 800},
                                            .prune = space_amount{0, 500},
                                            .refuse = space_amount{0, 100}};

TEST(Pressure, enters_a_stage_below_its_threshold_and_leaves_it_a_tenth_above) {
  const auto next = [](pressure_stage present, std::uint64_t free) {
    return annals::next_stage(present, by_percent, {10'000, free});
  };
  EXPECT_EQ(next(pressure_stage::none, 1000), pressure_stage::none);
  EXPECT_EQ(next(pressure_stage::none, 999), pressure_stage::warn);
  EXPECT_EQ(next(pressure_stage::none, 799), pressure_stage::archive);
  EXPECT_EQ(next(pressure_stage::none, 499), pressure_stage::prune);
  EXPECT_EQ(next(pressure_stage::none, 99), pressure_stage::refuse);
  EXPECT_EQ(next(pressure_stage::refuse, 109), pressure_stage::refuse);
  EXPECT_EQ(next(pressure_stage::refuse, 110), pressure_stage::prune);
  EXPECT_EQ(next(pressure_stage::prune, 549), pressure_stage::prune);
  EXPECT_EQ(next(pressure_stage::prune, 550), pressure_stage::archive);
  EXPECT_EQ(next(pressure_stage::archive, 900), pressure_stage::warn);
  EXPECT_EQ(next(pressure_stage::warn, 1099), pressure_stage::warn);
  EXPECT_EQ(next(pressure_stage::warn, 1100), pressure_stage::none);
}

TEST(Pressure, without_thresholds_has_no_stages) {
  EXPECT_EQ(annals::next_stage(pressure_stage::none, {}, {10'000, 0}), pressure_stage::none);
}

TEST(Pressure, is_read_from_the_options_of_a_sink) {
  const auto read = [](const std::string& text, std::string* problems) {
    const std::vector<annals::option> options = {{"pressure", annals::option_kind::object, text}};
    annals::option_reader reader(options, "$.sink");
    const auto found = annals::read_pressure(reader);
    for (const annals::option_problem& one : reader.problems()) *problems += annals::to_string(one);
    return found;
  };
  std::string problems;
  EXPECT_EQ(read(R"({"warn":"10%","archive":"8%","prune":"5%","refuse":"1%"})", &problems), by_percent);
  EXPECT_EQ(problems, "");
  EXPECT_EQ(read(R"({"refuse":"64MiB"})", &problems), (pressure_thresholds{.refuse = space_amount{64 << 20, 0}}));
  EXPECT_EQ(problems, "");
  for (const char* wrong : {R"({"wrn":"10%"})", R"({"warn":10})", R"({"warn":"ten"})", R"({"warn":"1%","refuse":"2%"})"}) {
    problems.clear();
    (void)read(wrong, &problems);
    EXPECT_NE(problems.find("$.sink.pressure"), std::string::npos) << wrong;
  }
}

class Keeper : public testing::Test {
 protected:
  annals::keeper make(const annals::retention_policy& policy, const pressure_thresholds& thresholds) {
    return annals::keeper(path_, policy, thresholds, [this](const annals::notice& what) { heard_.push_back(what); });
  }
  std::size_t heard(notice_code code) const {
    std::size_t count = 0;
    for (const annals::notice& one : heard_) count += one.code == code ? 1 : 0;
    return count;
  }
  // Calls on_write until something holds; it never waits itself.
  template <class Condition>
  bool write_until(annals::keeper& keeper, Condition holds) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      (void)keeper.on_write(1);
      std::this_thread::yield();
    }
    return true;
  }
  void add_segments(std::uint64_t count) {
    for (std::uint64_t number = 1; number <= count; ++number) log_.add_plain(number, long_ago, log_.lines(5, long_ago));
    log_.write_live("");
  }

  support::temp_directory directory_;
  std::string path_ = directory_ / "audit.jsonl";
  support::log_files log_{path_};
  std::vector<annals::notice> heard_;
};

TEST_F(Keeper, refuses_nothing_where_the_file_system_does_not_report_its_size_and_says_so_once) {
  support::faulty_calls calls;
  calls.freeze();
  calls.set_space({0, 0, 0});
  for (const pressure_thresholds& thresholds : {by_percent, pressure_thresholds{.refuse = space_amount{1 << 20, 0}}}) {
    heard_.clear();
    annals::keeper keeper = make({}, thresholds);
    for (int i = 0; i < 5; ++i) {
      EXPECT_FALSE(keeper.on_write(100));
      calls.advance(1s);
    }
    EXPECT_EQ(keeper.stage(), pressure_stage::none);
    ASSERT_EQ(heard_.size(), 1u);
    EXPECT_EQ(heard_[0].code, notice_code::check_failed);
  }
}

TEST_F(Keeper, tells_of_each_stage_once_and_of_the_end) {
  support::faulty_calls calls;
  calls.freeze();
  annals::keeper keeper = make({}, by_percent);
  const auto at_free = [&](std::uint64_t free) {
    calls.set_space({10'000, free, free});
    calls.advance(1s);
    return keeper.on_write(1);
  };
  EXPECT_FALSE(at_free(5000));
  EXPECT_TRUE(heard_.empty());
  EXPECT_FALSE(at_free(900));
  EXPECT_FALSE(at_free(900));
  ASSERT_EQ(heard_.size(), 1u);
  EXPECT_EQ(heard_[0].code, notice_code::disk_space);
  EXPECT_EQ(heard_[0].severity, annals::severity::warning);
  EXPECT_NE(heard_[0].message.find("900 bytes of 10KB are free, less than 10% (stage \"warn\")"), std::string::npos)
      << heard_[0].message;
  EXPECT_FALSE(at_free(700));
  EXPECT_EQ(heard_.size(), 2u);
  EXPECT_FALSE(at_free(5000));
  ASSERT_EQ(heard_.size(), 3u);
  EXPECT_NE(heard_[2].message.find("has room again"), std::string::npos);
}

TEST_F(Keeper, wakes_the_archiver_every_minute_while_there_is_need) {
  support::faulty_calls calls;
  calls.freeze();
  calls.set_space({10'000, 700, 700});
  annals::keeper keeper = make({}, by_percent);
  for (int second = 0; second < 181; ++second) {
    (void)keeper.on_write(1);
    calls.advance(1s);
  }
  EXPECT_EQ(heard_.size(), 4u);
}

TEST_F(Keeper, looks_at_the_disk_once_a_second) {
  support::faulty_calls calls;
  calls.freeze();
  calls.set_space({10'000'000, 9'000'000, 9'000'000});
  annals::keeper keeper = make({}, by_percent);
  for (int i = 0; i < 1000; ++i) (void)keeper.on_write(100);
  EXPECT_EQ(calls.count(support::call::space_at), 1);
  calls.advance(1s);
  for (int i = 0; i < 1000; ++i) (void)keeper.on_write(100);
  EXPECT_EQ(calls.count(support::call::space_at), 2);
  keeper.after_rotation();
  EXPECT_EQ(calls.count(support::call::space_at), 3);
}

TEST_F(Keeper, refuses_before_its_own_writes_fill_the_disk_and_resumes_by_itself) {
  support::faulty_calls calls;
  calls.freeze();
  calls.set_space({10'000, 200, 200});
  annals::keeper keeper = make({}, by_percent);
  EXPECT_FALSE(keeper.on_write(50));
  calls.set_space({10'000, 99, 99});  // within the same second
  const auto refused = keeper.on_write(60);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, errc::disk_space);
  EXPECT_TRUE(keeper.on_write(1));
  calls.set_space({10'000, 5000, 5000});
  EXPECT_TRUE(keeper.on_write(1));  // it is looked once a second
  calls.advance(1s);
  EXPECT_FALSE(keeper.on_write(1));
}

TEST_F(Keeper, deletes_after_a_rotation_what_the_policy_says_and_tells) {
  add_segments(5);
  annals::keeper keeper = make({.keep_segments = 2}, {});
  keeper.after_rotation();
  EXPECT_TRUE(write_until(keeper, [this] { return heard(notice_code::segment_deleted) == 1; }));
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{4, 5}));
  EXPECT_NE(heard_[0].message.find("3 segments from 1 to 3"), std::string::npos) << heard_[0].message;
  EXPECT_NE(heard_[0].message.find("15 events"), std::string::npos) << heard_[0].message;
}

// The segment would take hours to read.
TEST_F(Keeper, that_is_destroyed_stops_in_the_middle_of_a_segment) {
  add_segments(2);
  const std::string longest = log_.closed_name(1, long_ago, false);
  std::filesystem::resize_file(longest, std::uintmax_t{1} << 40);
  struct stat status = {};
  ASSERT_EQ(::stat(longest.c_str(), &status), 0);
  std::atomic<int> reads = 0;
  const support::hooked_calls calls([&](support::system_call& one) -> std::int64_t {
    struct stat read = {};
    const bool is_read = one.which == support::call::read_at && ::fstat(one.fd, &read) == 0 && read.st_ino == status.st_ino;
    if (!is_read) return one.run();
    std::memset(one.space, 'x', one.count);
    one.space[one.count - 1] = '\n';
    ++reads;
    return static_cast<std::int64_t>(one.count);
  });
  {
    annals::keeper keeper = make({.keep_segments = 1}, {});
    keeper.after_rotation();
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (reads < 100 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  }
  EXPECT_GE(reads, 100);
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{1, 2}));
}

TEST_F(Keeper, considers_deletions_with_the_first_write_and_then_every_minute) {
  support::faulty_calls calls;
  calls.freeze();
  add_segments(3);
  annals::keeper keeper = make({.keep_segments = 2}, {});
  EXPECT_TRUE(write_until(keeper, [this] { return heard(notice_code::segment_deleted) == 1; }));
  log_.add_plain(4, long_ago, log_.lines(5, long_ago));
  calls.advance(61s);
  EXPECT_TRUE(write_until(keeper, [this] { return heard(notice_code::segment_deleted) == 2; }));
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{3, 4}));
}

TEST_F(Keeper, under_pressure_never_deletes_what_the_policy_keeps) {
  support::faulty_calls calls;
  calls.freeze();
  add_segments(6);
  calls.set_space({10'000, 10, 10});
  annals::keeper keeper = make({.keep_segments = 4}, by_percent);
  EXPECT_TRUE(keeper.on_write(1));
  EXPECT_TRUE(write_until(keeper, [this] { return heard(notice_code::segment_deleted) == 1; }));
  for (int i = 0; i < 20; ++i) {
    calls.advance(11s);
    EXPECT_TRUE(keeper.on_write(1));
  }
  EXPECT_EQ(log_.numbers_on_disk().size(), 4u);
}

TEST_F(Keeper, on_a_full_disk_keeps_what_is_younger_than_keep_for_and_reports_it) {
  support::faulty_calls calls;
  calls.freeze();
  for (std::uint64_t number = 1; number <= 4; ++number)
    log_.add_plain(number, calls.now() - 1h, log_.lines(5, calls.now() - 1h));
  log_.write_live("");
  calls.set_space({10'000, 10, 10});
  annals::keeper keeper = make({.keep_for = 24h, .keep_segments = 2, .keep_free = space_amount{0, 1000}}, by_percent);
  const auto refused = keeper.on_write(1);
  ASSERT_TRUE(refused);
  EXPECT_NE(refused->message.find("nothing is deleted that is not older than keep_for 1d"), std::string::npos);
  EXPECT_TRUE(write_until(keeper, [this] { return heard(notice_code::deletion_failed) == 1; }));
  const std::string& told = heard_.back().message;
  EXPECT_NE(told.find("keep_segments 2: 4 stay: 3 segments are not older than keep_for 1d"), std::string::npos) << told;
  EXPECT_NE(told.find("keep_free 10%: only 10 bytes will be free"), std::string::npos) << told;
  EXPECT_EQ(log_.numbers_on_disk().size(), 4u);
}

TEST_F(Keeper, tells_of_a_failure_once) {
  add_segments(3);
  support::write_file(path_ + ".holds", "garbage");
  annals::keeper keeper = make({.keep_segments = 1}, {});
  keeper.after_rotation();
  EXPECT_TRUE(write_until(keeper, [this] { return heard(notice_code::deletion_failed) == 1; }));
  for (int i = 0; i < 10; ++i) keeper.after_rotation();
  std::filesystem::remove(path_ + ".holds");
  keeper.after_rotation();
  EXPECT_TRUE(write_until(keeper, [this] { return heard(notice_code::segment_deleted) == 1; }));
  EXPECT_EQ(heard(notice_code::deletion_failed), 1u);
}

TEST_F(Keeper, goes_on_in_a_child_of_fork) {
  add_segments(8);
  annals::keeper keeper = make({.keep_segments = 6}, {});
  keeper.after_rotation();
  ASSERT_TRUE(write_until(keeper, [this] { return heard(notice_code::segment_deleted) == 1; }));
  log_.add_plain(9, long_ago, log_.lines(5, long_ago));
  support::expect_zero_in_child([&] {
    keeper.after_rotation();
    return write_until(keeper, [this] { return heard(notice_code::segment_deleted) == 2; }) ? 0 : 1;
  });
  EXPECT_EQ(log_.numbers_on_disk().size(), 6u);
  log_.add_plain(10, long_ago, log_.lines(5, long_ago));
  keeper.after_rotation();
  EXPECT_TRUE(write_until(keeper, [this] { return heard(notice_code::segment_deleted) == 2; }));
}

TEST_F(Keeper, without_limits_costs_no_system_call_and_starts_no_thread) {
  support::faulty_calls calls;
  annals::keeper keeper = make({}, {});
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(keeper.on_write(100));
  keeper.after_rotation();
  EXPECT_EQ(calls.count(support::call::space_at), 0);
  EXPECT_EQ(calls.count(support::call::list_directory), 0);
}

TEST_F(Keeper, on_a_small_disk_no_line_is_ever_torn_and_writing_resumes) {
  const support::small_disk disk(directory_ / "disk", "4m");
  if (!disk.is_there()) GTEST_SKIP() << disk.why_not();
  path_ = directory_ / "disk/audit.jsonl";
  support::log_files log(path_);
  auto file = annals::io::file::open(path_, annals::io::open_for::appending);
  ASSERT_TRUE(file);
  annals::keeper keeper = make({}, {.warn = space_amount{0, 2000}, .refuse = space_amount{256 * 1024, 0}});
  const std::string lines = log.lines(50, long_ago);
  std::optional<annals::error> refused;
  for (int i = 0; i < 10'000 && !refused; ++i) {
    refused = keeper.on_write(lines.size());
    if (refused) break;
    std::size_t appended = 0;
    ASSERT_EQ(file->append(lines, appended), 0) << "the disk is full";
  }
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, errc::disk_space);
  EXPECT_GE(heard(notice_code::disk_space), 1u);
  const std::string content = support::content_of(path_);
  EXPECT_TRUE(content.ends_with("\n"));
  EXPECT_GT(content.size(), 3u << 20);
  std::filesystem::remove(path_);
  file->close();
  EXPECT_TRUE(write_until(keeper, [&] { return !keeper.on_write(1); }));
}

}  // namespace
