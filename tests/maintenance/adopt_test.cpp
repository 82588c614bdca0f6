// SPDX-License-Identifier: Apache-2.0
//
// Files that others rotated become segments; and the listing of segments.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
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

class Adopt : public testing::Test {
 protected:
  std::string foreign(std::string_view name, annals::time_point first, int events = 3) {
    const std::string path = directory_ / name;
    const std::string lines = log_.lines(events, first);
    support::write_file(path, name.ends_with(".zst") ? support::log_files::compressed(lines, 16 * 1024) : lines);
    return path;
  }
  std::string why_not(const std::vector<std::string>& files) {
    const auto plan = annals::plan_adoption(path_, files);
    if (plan) return "it can be adopted";
    EXPECT_EQ(plan.error().code, annals::errc::invalid_argument);
    const auto done = annals::adopt(path_, files);
    EXPECT_FALSE(done);
    return plan.error().message;
  }

  support::temp_directory directory_;
  std::string path_ = directory_ / "audit.jsonl";
  support::log_files log_{path_};
};

TEST_F(Adopt, logrotates_files_get_numbers_in_the_order_of_their_events) {
  const auto third = foreign("audit.jsonl.1", at("2026-03-01T00:00:00Z"));
  const auto second = foreign("audit.jsonl.2.zst", at("2026-02-01T00:00:00Z"));
  const auto first = foreign("audit.jsonl-20260131", at("2026-01-01T00:00:00Z"));
  log_.write_live(log_.lines(1, at("2026-04-01T00:00:00Z")));
  const std::string live = support::content_of(path_);
  const std::vector<std::string> files = {third, first, second};
  const auto plan = annals::plan_adoption(path_, files);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->size(), 3u);
  EXPECT_EQ(plan->at(0).to, directory_ / "audit-000001-20260101T000000Z.jsonl");
  EXPECT_EQ(plan->at(1).to, directory_ / "audit-000002-20260201T000000Z.jsonl.zst");
  EXPECT_EQ(plan->at(2).to, directory_ / "audit-000003-20260301T000000Z.jsonl");
  EXPECT_TRUE(std::filesystem::exists(first));  // nothing was done yet

  const auto done = annals::adopt(path_, files);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{1, 2, 3}));
  for (const std::string& file : files) EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_TRUE(support::content_of(path_).starts_with(live));
  const auto told = log_.events_of("segment_adopted");
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(told[2].dest, "audit-000003-20260301T000000Z.jsonl");
  const auto events = annals::tail_log(path_, 100);
  ASSERT_EQ(events.size(), 13u);
  EXPECT_EQ(events[0].ts, "2026-01-01T00:00:00+00:00");
}

TEST_F(Adopt, goes_on_behind_the_last_closed_segment) {
  log_.add_plain(7, at("2026-01-01T00:00:00Z"), log_.lines(2, at("2026-01-01T00:00:00Z")));
  const auto file = foreign("audit.jsonl.1", at("2026-02-01T00:00:00Z"));
  const auto done = annals::adopt(path_, std::vector{file});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{7, 8}));
}

TEST_F(Adopt, refuses_what_would_stand_in_the_wrong_place) {
  log_.add_plain(1, at("2026-02-01T00:00:00Z"), log_.lines(2, at("2026-02-01T00:00:00Z")));
  log_.write_live(log_.lines(1, at("2026-04-01T00:00:00Z")));
  const std::string early = why_not({foreign("a.1", at("2026-01-01T00:00:00Z"))});
  EXPECT_NE(early.find("earlier than segment 1"), std::string::npos) << early;
  const std::string late = why_not({foreign("a.2", at("2026-05-01T00:00:00Z"))});
  EXPECT_NE(late.find("later than the live segment"), std::string::npos) << late;
  EXPECT_EQ(log_.numbers_on_disk().size(), 1u);
}

TEST_F(Adopt, never_uses_a_number_twice) {
  log_.add_plain(1, at("2020-01-01T00:00:00Z"), log_.lines(2, at("2020-01-01T00:00:00Z")));
  log_.add_plain(2, at("2020-01-02T00:00:00Z"), log_.lines(2, at("2020-01-02T00:00:00Z")));
  ASSERT_TRUE(annals::prune(path_, {.keep_segments = 1}));
  std::filesystem::remove(path_);
  std::filesystem::remove(log_.closed_name(2, at("2020-01-02T00:00:00Z"), false));  // by hand: only the record of 1 is left
  const auto file = foreign("audit.jsonl.1", at("2020-02-01T00:00:00Z"));
  const auto plan = annals::plan_adoption(path_, std::vector{file});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_GE(plan->at(0).number, 2u);
}

TEST_F(Adopt, refuses_gzip_with_the_command_that_converts_it) {
  const std::string path = directory_ / "audit.jsonl.3.gz";
  support::write_file(path, std::string("\x1f\x8b\x08\x00", 4));
  const std::string why = why_not({path});
  EXPECT_NE(why.find("zcat '" + path + "' | zstd -o '" + (directory_ / "audit.jsonl.3") + ".zst'"), std::string::npos) << why;
}

TEST_F(Adopt, refuses_what_is_no_log_and_names_every_such_file) {
  log_.write_live(log_.lines(1, at("2026-04-01T00:00:00Z")));
  support::write_file(directory_ / "empty", "");
  support::write_file(directory_ / "text", "one\ntwo\n");
  std::filesystem::create_symlink(path_, directory_ / "link");
  const auto good = foreign("audit.jsonl.1", at("2026-01-01T00:00:00Z"));
  const auto closed = log_.add_plain(1, at("2026-01-01T00:00:00Z"), log_.lines(1, at("2026-01-01T00:00:00Z")));
  const std::string why = why_not(
      {directory_ / "empty", directory_ / "text", directory_ / "link", directory_ / "missing", path_, good, good, closed});
  for (const std::string_view expected :
       {"it is empty", "2 of its 2 lines are no events", "it is a symbolic link", "No such file", "it is the live segment",
        "it is given twice", "it is a closed segment of the log already"}) {
    EXPECT_NE(why.find(expected), std::string::npos) << expected << "\n" << why;
  }
  EXPECT_TRUE(std::filesystem::exists(good));
}

TEST_F(Adopt, orders_files_without_times_by_their_names) {
  for (const char* const name : {"a-20260102", "a-20260101"}) support::write_file(directory_ / name, "{\"action\":\"x\"}\n");
  const auto plan = annals::plan_adoption(path_, std::vector{directory_ / "a-20260102", directory_ / "a-20260101"});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->at(0).from, directory_ / "a-20260101");
  EXPECT_EQ(plan->at(1).to, directory_ / "audit-000002-20260102T000000Z.jsonl");
}

TEST_F(Adopt, killed_at_any_system_call_loses_nothing_and_is_repeated_with_the_rest) {
  int last = 0;
  for (int nth = 1; last == 0; ++nth) {
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) std::filesystem::remove_all(entry.path());
    log_ = support::log_files(path_);
    std::vector<std::string> files = {foreign("a.3", at("2026-01-01T00:00:00Z")),
                                      foreign("a.2.zst", at("2026-02-01T00:00:00Z")),
                                      foreign("a.1", at("2026-03-01T00:00:00Z"))};
    log_.write_live(log_.lines(1, at("2026-04-01T00:00:00Z")));
    if (support::survives_until_killed_at(nth, [&] { (void)annals::adopt(path_, files); })) last = nth;
    SCOPED_TRACE("killed at call " + std::to_string(nth));
    std::erase_if(files, [](const std::string& file) { return !std::filesystem::exists(file); });
    if (!files.empty()) {
      const auto again = annals::adopt(path_, files);
      ASSERT_TRUE(again) << again.error().message;
    }
    EXPECT_EQ(log_.numbers_on_disk(), (std::set<std::uint64_t>{1, 2, 3}));
    std::vector<std::string> firsts;
    for (const auto& [number, lines] : log_.lines_on_disk()) firsts.push_back(lines.at(0));
    EXPECT_TRUE(std::is_sorted(firsts.begin(), firsts.end()));
    if (HasFailure()) return;
  }
  EXPECT_GT(last, 30);
}

// --- somebody who changes the directories meanwhile ------------------------------------------------------------------------

// The directory of the files is replaced by a link to another one after the first, second ... system call: whatever the call,
// only files that were examined become segments, and the other directory stays as it is.
TEST_F(Adopt, never_takes_a_file_that_was_not_examined_though_its_directory_is_replaced_at_any_system_call) {
  const std::string old = directory_ / "old";
  const std::string others = directory_ / "others";
  const std::string secret = "root:secret\n";
  int last = 0;
  int taken = 0;
  for (int nth = 1; last == 0; ++nth) {
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) std::filesystem::remove_all(entry.path());
    log_ = support::log_files(path_);
    std::filesystem::create_directory(old);
    std::filesystem::create_directory(others);
    support::write_file(others + "/shadow", secret);
    const std::vector<std::string> files = {foreign("old/shadow", at("2026-01-01T00:00:00Z")),
                                            foreign("old/zz", at("2026-02-01T00:00:00Z"))};
    {
      const support::counted_calls calls([&](int number) {
        if (number != nth) return 0;
        std::filesystem::rename(old, directory_ / "moved");
        std::filesystem::create_directory_symlink(others, old);
        return 0;
      });
      (void)annals::adopt(path_, files);
      if (calls.count() < nth) last = nth;
    }
    SCOPED_TRACE("replaced at call " + std::to_string(nth));
    EXPECT_EQ(support::content_of(others + "/shadow"), secret);
    taken += static_cast<int>(log_.numbers_on_disk().size());
    for (const auto& [number, lines] : log_.lines_on_disk()) {
      for (const std::string& line : lines) EXPECT_NE(line + "\n", secret) << "in segment " << number;
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(last, 30);
  EXPECT_GT(taken, 0);
}

TEST_F(Adopt, refuses_a_file_that_was_changed_after_it_was_examined) {
  const auto file = foreign("audit.jsonl.1", at("2026-01-01T00:00:00Z"));
  bool is_changed = false;
  {
    const support::hooked_calls calls([&](support::system_call& one) {
      if (one.which == support::call::lock_byte && !std::exchange(is_changed, true)) {
        std::ofstream(file, std::ios::app) << "more\n";
      }
      return one.run();
    });
    const auto done = annals::adopt(path_, std::vector{file});
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message.find("changed since it was examined"), std::string::npos) << done.error().message;
  }
  EXPECT_TRUE(is_changed);
  EXPECT_TRUE(std::filesystem::exists(file));
  EXPECT_TRUE(log_.numbers_on_disk().empty());
}

// --- the listing -----------------------------------------------------------------------------------------------------------

class Segments : public Adopt {};

TEST_F(Segments, are_listed_with_what_is_in_them) {
  const auto first = at("2026-01-01T00:00:00Z");
  log_.add_plain(1, first, log_.lines(10, first));
  const std::string lines = log_.lines(5000, first + 24h);
  log_.add_compressed(2, first + 24h, lines);
  const std::string both = log_.lines(3, first + 48h);
  log_.add_plain(3, first + 48h, both);
  log_.add_compressed(3, first + 48h, both);
  log_.add_plain(4, first + 72h, log_.lines(1, first + 72h));
  support::write_file(log_.closed_name(4, first + 72h, true) + ".tmp", "");
  log_.write_live(log_.lines(2, first + 96h) + "{\"ts\":\"20");
  const auto segments = annals::list_segments(path_);
  ASSERT_TRUE(segments) << segments.error().message;
  ASSERT_EQ(segments->size(), 5u);
  const annals::segment_info& compressed = segments->at(1);
  EXPECT_EQ(compressed.state, annals::segment_state::compressed);
  EXPECT_EQ(compressed.events, 5000u);
  EXPECT_EQ(compressed.bytes, lines.size());
  EXPECT_LT(compressed.bytes_on_disk, lines.size());
  EXPECT_EQ(compressed.first, first + 24h);
  EXPECT_EQ(compressed.last, first + 24h + 4999s);
  EXPECT_EQ(segments->at(0).events, 10u);
  EXPECT_FALSE(segments->at(0).is_compressing);
  EXPECT_TRUE(segments->at(2).is_compressing);
  EXPECT_EQ(segments->at(2).state, annals::segment_state::closed);
  EXPECT_EQ(segments->at(2).events, 3u);
  EXPECT_TRUE(segments->at(3).is_compressing);
  EXPECT_EQ(segments->at(4).state, annals::segment_state::live);
  EXPECT_EQ(segments->at(4).number, 5u);
  EXPECT_EQ(segments->at(4).events, 2u);  // the line that is being written is none yet
}

TEST_F(Segments, that_are_damaged_are_listed_with_what_is_wrong) {
  const auto first = at("2026-01-01T00:00:00Z");
  const std::string path = log_.add_compressed(1, first, log_.lines(3000, first));
  const std::string bytes = support::content_of(path);
  support::write_file(path, std::string_view(bytes).substr(0, bytes.size() / 2));
  const auto segments = annals::list_segments(path_);
  ASSERT_TRUE(segments) << segments.error().message;
  ASSERT_TRUE(segments->at(0).damage);
  EXPECT_GT(segments->at(0).events, 0u);
  EXPECT_LT(segments->at(0).events, 3000u);
}

TEST_F(Segments, of_a_foreign_compressor_are_counted_by_decoding) {
  const auto first = at("2026-01-01T00:00:00Z");
  const std::string plain = directory_ / "plain";
  support::write_file(plain, log_.lines(1000, first));
  const std::string target = log_.closed_name(1, first, true);
  if (std::system(("zstd -q -o '" + target + "' '" + plain + "'").c_str()) != 0) FAIL() << "the zstd command is needed";
  const auto segments = annals::list_segments(path_);
  ASSERT_TRUE(segments) << segments.error().message;
  EXPECT_EQ(segments->at(0).events, 1000u);
  EXPECT_EQ(segments->at(0).last, first + 999s);
}

TEST_F(Segments, by_facts_are_listed_without_decoding) {
  const auto first = at("2026-01-01T00:00:00Z");
  log_.add_compressed(1, first, log_.lines(200'000, first), 1024 * 1024);
  support::counted_calls calls(support::at_call::count, 0);
  ASSERT_TRUE(annals::list_segments(path_));
  EXPECT_LT(calls.count(), 120);  // some calls a frame, of which there are about 15
}

TEST_F(Adopt, takes_none_of_the_files_that_belong_to_a_log) {
  for (const char* const name :
       {"audit.jsonl.holds", "audit.jsonl.deleted", "audit.jsonl.lock", "audit.jsonl.ring", "audit.jsonl.journal",
        "other.jsonl.holds", "audit.jsonl.holds.tmp", "audit.jsonl.ring.damaged-2026-01-01T00-00-00"}) {
    const std::string path = foreign(name, at("2026-01-01T00:00:00Z"));
    EXPECT_NE(why_not({path}).find("it is no log, but belongs to one"), std::string::npos) << name;
    EXPECT_TRUE(std::filesystem::exists(path));
  }
}

}  // namespace
