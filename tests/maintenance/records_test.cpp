// SPDX-License-Identifier: Apache-2.0
//
// The records of deletions, as they are written and as they are read whatever stands between them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
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

#include "support/temp_directory.h"
import annals.event;
import annals.io;
import annals.segment;
#include "support/faulty_calls.h"

namespace {

using annals::segment::deleted_segment;
using annals::segment::planned_deletions;

class Records : public testing::Test {
 protected:
  annals::segment::deletion_log read() {
    auto log = annals::segment::read_deletion_log(path_);
    EXPECT_TRUE(log) << log.error().message;
    return log ? std::move(*log) : annals::segment::deletion_log{};
  }
  void write(const std::string& text) { support::write_file(path_ + ".deleted", text); }

  support::temp_directory directory_;
  std::string path_ = directory_ / "audit.jsonl";
  const deleted_segment full_ = {42,
                                 1000,
                                 115000,
                                 annals::parse_timestamp("2026-01-01T00:00:00+00:00"),
                                 annals::parse_timestamp("2026-01-02T00:00:00+00:00"),
                                 *annals::parse_timestamp("2026-11-24T12:00:00+00:00"),
                                 "age,bytes",
                                 ""};
};

TEST_F(Records, are_written_as_the_format_says) {
  EXPECT_EQ(record_of(full_),
            "{\"segment\":42,\"events\":1000,\"bytes\":115000,\"first\":\"2026-01-01T00:00:00+00:00\",\"last\":"
            "\"2026-01-02T00:00:00+00:00\",\"deleted\":\"2026-11-24T12:00:00+00:00\",\"reason\":\"age,bytes\"}\n");
  EXPECT_EQ(record_of(planned_deletions{{1, 2}, {50, 7}, {}}), "{\"planned\":[1,2],\"at\":{\"segment\":50,\"offset\":7}}\n");
  EXPECT_EQ(record_of(planned_deletions{}), "{\"planned\":[],\"at\":{\"segment\":0,\"offset\":0}}\n");
}

TEST_F(Records, are_read_as_they_were_written) {
  deleted_segment bare;
  bare.number = 43;
  bare.deleted = full_.deleted;
  const planned_deletions planned = {{42, 43, 18446744073709551615u}, {50, 7}, {}};
  write(record_of(planned_deletions{{1}, {2, 3}, {}}) + record_of(planned) + record_of(full_) + record_of(bare) +
        annals::segment::suspect_record(9));
  const auto log = read();
  EXPECT_EQ(log.deleted, (std::vector{full_, bare}));
  EXPECT_EQ(log.planned, planned);
  EXPECT_EQ(log.suspect, 9u);
  EXPECT_FALSE(log.is_torn);
}

TEST_F(Records, that_are_none_are_passed_over) {
  write(
      "\n{}\nnull\n{\"segment\":-1}\n{\"segment\":\"7\"}\n{\"planned\":[1,}\n{\"planned\":[\"x\"]}\n"
      "{\"segment\":1.5}\n{\"segment\":18446744073709551616}\n{\"planned\":[1.5],\"at\":{}}\n{\"planned\":{\"1\":2},\"at\":{}"
      "}\n"
      "{\"planned\":[7]}\n{\"planned\":[7],\"at\":\"the end\"}\n" +
      std::string(200'000, 'x') + "\n" + "{\"segment\":7,\"later\":[1,{\"a\":2}],\"reason\":\"age\"}\n" + record_of(full_));
  const auto log = read();
  ASSERT_EQ(log.deleted.size(), 2u);
  EXPECT_EQ(log.deleted[0].number, 7u);
  EXPECT_EQ(log.deleted[0].events, std::nullopt);
  EXPECT_EQ(log.deleted[1], full_);
  EXPECT_EQ(log.planned, std::nullopt);
}

TEST_F(Records, hold_numbers_of_any_size) {
  deleted_segment last = full_;
  last.number = UINT64_MAX;
  last.events = std::uint64_t{INT64_MAX} + 1;
  last.bytes = 0;
  write(record_of(last));
  EXPECT_EQ(read().deleted, std::vector{last});
}

TEST_F(Records, that_cannot_be_read_are_an_error_and_not_none) {
  write(record_of(full_));
  support::faulty_calls calls;
  for (const support::call which : {support::call::status_at, support::call::open, support::call::read_at}) {
    calls.fail(which, EIO);
    const auto log = annals::segment::deleted_segments(path_);
    ASSERT_FALSE(log);
    EXPECT_NE(log.error().message.find(path_ + ".deleted"), std::string::npos) << log.error().message;
  }
  calls.heal();
  EXPECT_EQ(annals::segment::deleted_segments(path_)->size(), 1u);
}

TEST_F(Records, are_records_however_long_the_reason_is) {
  deleted_segment long_winded = full_;
  long_winded.reason.assign(100, 'x');
  write(record_of(long_winded));
  ASSERT_EQ(read().deleted.size(), 1u);
  EXPECT_EQ(read().deleted[0].reason, std::string(64, 'x'));
}

TEST_F(Records, without_an_end_are_none_yet) {
  const std::string text = record_of(full_);
  for (std::size_t bytes = 1; bytes < text.size(); ++bytes) {
    write(text.substr(0, bytes));
    const auto log = read();
    EXPECT_TRUE(log.is_torn);
    EXPECT_TRUE(log.deleted.empty());
  }
}

TEST_F(Records, of_a_log_that_has_none_are_none) {
  EXPECT_TRUE(read().deleted.empty());
  EXPECT_TRUE(annals::segment::deleted_segments(path_)->empty());
}

// --- of ranges ---------------------------------------------------------------------------------------------------------------

class Counts : public Records {
 protected:
  static std::string record(std::uint64_t number, std::optional<std::uint64_t> events, std::optional<std::uint64_t> bytes) {
    deleted_segment one;
    one.number = number;
    one.events = events;
    one.bytes = bytes;
    return record_of(one);
  }
  void expect(std::uint64_t first, std::uint64_t last, std::optional<std::uint64_t> events,
              std::optional<std::uint64_t> bytes) {
    const auto found = counts_.of(first, last);
    EXPECT_EQ(found.events, events) << first << " to " << last;
    EXPECT_EQ(found.bytes, bytes) << first << " to " << last;
  }

  annals::segment::deletion_counts counts_{path_};
};

TEST_F(Counts, are_sums_where_every_segment_has_a_record) {
  write(record(3, 30, 300) + record(1, 10, 100) + record(2, 20, 200) + record(5, 50, 500));
  expect(1, 3, 60, 600);
  expect(2, 2, 20, 200);
  expect(3, 5, std::nullopt, std::nullopt);
  expect(6, 6, std::nullopt, std::nullopt);
  expect(0, UINT64_MAX, std::nullopt, std::nullopt);
}

TEST_F(Counts, are_not_known_where_a_record_does_not_say_them) {
  write(record(1, 10, std::nullopt) + record(2, 20, 200));
  expect(1, 2, 30, std::nullopt);
}

TEST_F(Counts, take_the_last_of_several_records) {
  write(record(1, 10, 100) + record(2, 20, 200) + record(1, 11, 101));
  expect(1, 2, 31, 301);
}

TEST_F(Counts, know_what_was_appended_and_what_replaced_the_file) {
  expect(1, 1, std::nullopt, std::nullopt);
  const std::string second = record(2, 20, 200);
  write(record(1, 10, 100) + second.substr(0, 9));
  expect(1, 1, 10, 100);
  support::append_to(path_ + ".deleted", second.substr(9) + record(3, 30, 300));
  expect(1, 3, 60, 600);
  support::write_file(path_ + ".new", record(1, 7, 70));
  std::filesystem::rename(path_ + ".new", path_ + ".deleted");
  expect(1, 1, 7, 70);
  expect(2, 2, std::nullopt, std::nullopt);
}

TEST_F(Counts, are_not_known_while_the_records_cannot_be_read) {
  write(record(1, 10, 100));
  support::faulty_calls calls;
  calls.fail(support::call::read_at, EIO);
  expect(1, 1, std::nullopt, std::nullopt);
  calls.heal();
  expect(1, 1, 10, 100);
}

TEST_F(Records, behind_a_hole_are_read_and_what_goes_on_behind_it_is_none) {
  const std::string path = path_ + ".deleted";
  write(record_of(full_) + "{\"segment\":7");
  if (::truncate(path.c_str(), off_t{8} << 40) != 0)
    GTEST_SKIP()
        << "NOT TESTED: the file system has no files of 8 TiB: set TMPDIR to a directory on one that has, such as tmpfs or XFS";
  support::append_to(path, "}\n" + record_of(full_));
  EXPECT_EQ(read().deleted, (std::vector{full_, full_}));
}

TEST_F(Records, are_read_with_what_identifies_the_segment_and_the_plan) {
  deleted_segment with_check = full_;
  with_check.check = "0123456789abcdef";
  const planned_deletions planned = {{1, 2}, {50, 7}, {"aa", "bb"}};
  EXPECT_EQ(record_of(planned), "{\"planned\":[1,2],\"at\":{\"segment\":50,\"offset\":7},\"tokens\":[\"aa\",\"bb\"]}\n");
  write(record_of(planned) + record_of(with_check));
  EXPECT_EQ(read().planned, planned);
  EXPECT_EQ(read().deleted, std::vector{with_check});
}

TEST_F(Records, that_nobody_wants_are_not_kept) {
  write(record_of(full_) + record_of(full_));
  int seen = 0;
  const auto log = annals::segment::read_deletion_log(path_, [&](const deleted_segment&) { return ++seen == 2; });
  ASSERT_TRUE(log);
  EXPECT_EQ(log->deleted.size(), 1U);
}

}  // namespace
