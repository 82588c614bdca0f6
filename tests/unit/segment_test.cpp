// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.segment;

namespace {

using namespace annals::segment;

const annals::time_point last_second_of_january = annals::parse_timestamp("2026-01-31T23:59:59Z")->time;

TEST(segment_names, have_the_number_first_and_the_time_for_people) {
  EXPECT_EQ(closed_path("logs/audit.jsonl", 42, last_second_of_january, false), "logs/audit-000042-20260131T235959Z.jsonl");
  EXPECT_EQ(closed_path("audit.jsonl", 1234567, last_second_of_january, true), "audit-1234567-20260131T235959Z.jsonl.zst");
  EXPECT_EQ(closed_path("/var/log/trail", 1, last_second_of_january, false), "/var/log/trail-000001-20260131T235959Z.jsonl");
}

TEST(segment_names, read_back_as_they_were_written) {
  for (const std::uint64_t number : {std::uint64_t{1}, std::uint64_t{999999}, std::uint64_t{1000000}, number_max}) {
    for (const bool compressed : {false, true}) {
      const auto read = parse_closed_name(closed_path("audit.jsonl", number, last_second_of_january, compressed), "audit");
      ASSERT_TRUE(read);
      EXPECT_EQ(read->number, number);
      EXPECT_EQ(read->compressed, compressed);
      EXPECT_EQ(read->first_event(), "20260131T235959Z");
    }
  }
}

TEST(segment_names, are_told_from_all_others) {
  for (const std::string_view name :
       {"audit.jsonl", "audit.jsonl.ring", "audit-000000-20260131T235959Z.jsonl", "audit-42-20260131T235959Z.jsonl",
        "audit-0000042-20260131T235959Z.jsonl", "audit-00004x-20260131T235959Z.jsonl", "audit-000042-20260131T235959.jsonl",
        "audit-000042-20260131235959Z.jsonl", "audit-000042-20260131T235959Z.jsonl.gz",
        "audit-000042-20260131T235959Z.jsonl.zst.tmp", "other-000042-20260131T235959Z.jsonl",
        "audit-18446744073709551616-20260131T235959Z.jsonl", "audit-18446744073709551615-20260131T235959Z.jsonl",
        "audit-000042.jsonl", "", "audit--00042-20260131T235959Z.jsonl", "xaudit-000042-20260131T235959Z.jsonl"}) {
    EXPECT_EQ(parse_closed_name(name, "audit"), std::nullopt) << name;
  }
}

TEST(log_of, tells_to_which_log_a_file_belongs_by_its_name) {
  for (const std::string_view end : {".jsonl", ".jsonl.zst", ".jsonl.zst.tmp"}) {
    EXPECT_EQ(log_of("d/my-audit-000042-20260131T235959Z" + std::string(end)), "d/my-audit.jsonl") << end;
  }
  for (const std::string_view end : {".lock", ".deleted", ".holds", ".ring", ".journal"}) {
    EXPECT_EQ(log_of("d/audit.jsonl" + std::string(end)), "d/audit.jsonl") << end;
  }
  for (const std::string_view other :
       {"audit.jsonl", "audit.jsonl.1", "audit.lock", "audit-42-20260131T235959Z.jsonl", "-000042-20260131T235959Z.jsonl",
        "audit-000042-20260131T235959Z.json", "", "d/", "audit-000042-20260131T235959Z.jsonl/x"}) {
    EXPECT_EQ(log_of(other), std::nullopt) << other;
  }
}

TEST(a_log, can_have_any_name_except_that_of_another_file_of_a_log_and_of_an_archive) {
  for (const std::string_view name : {"audit.jsonl", "audit.log", "/var/log/trail", "audit-2026.jsonl", "audit.jsonl.1"}) {
    EXPECT_FALSE(refuse_as_log(name)) << name;
  }
  for (const std::string_view name : {"d/audit-000042-20260131T235959Z.jsonl", "audit-000042-20260131T235959Z.jsonl.zst",
                                      "audit.jsonl.lock", "audit.jsonl.holds", "x.zst"}) {
    const auto refused = refuse_as_log(name);
    ASSERT_TRUE(refused) << name;
    EXPECT_NE(refused->message.find(name), std::string::npos) << refused->message;
  }
}

TEST(closed_segments, come_in_the_order_of_their_numbers_whatever_their_times_say) {
  const support::temp_directory dir;
  for (const std::string_view name :
       {"audit-000010-20250101T000000Z.jsonl", "audit-000002-20260101T000000Z.jsonl.zst",
        "audit-1000000-20240101T000000Z.jsonl", "audit.jsonl", "notes.txt", "other-000003-20260101T000000Z.jsonl"}) {
    support::write_file(dir / name, "");
  }
  const auto found = closed_segments(dir / "audit.jsonl");
  ASSERT_TRUE(found);
  std::vector<std::uint64_t> numbers;
  for (const closed_segment& segment : *found) numbers.push_back(segment.number);
  EXPECT_EQ(numbers, (std::vector<std::uint64_t>{2, 10, 1000000}));
  EXPECT_EQ(found->front().path, dir / "audit-000002-20260101T000000Z.jsonl.zst");
  EXPECT_EQ(*live_number(dir / "audit.jsonl"), 1000001U);
}

TEST(closed_segments, are_none_where_there_is_no_directory) {
  const support::temp_directory dir;
  EXPECT_TRUE(closed_segments(dir / "missing/audit.jsonl")->empty());
  EXPECT_EQ(*live_number(dir / "missing/audit.jsonl"), 1U);
}

// A directory of more names than a log has is read no further.
TEST(closed_segments, of_too_many_names_are_an_error) {
  const support::temp_directory dir;
  for (const std::string_view name : {"audit-1", "audit-2", "audit-3", "other"}) support::write_file(dir / name, "");
  EXPECT_EQ(annals::io::list_directory(dir.path(), "audit-", 3)->size(), 3U);
  EXPECT_EQ(annals::io::list_directory(dir.path())->size(), 6U) << "with . and ..";
  const auto more = annals::io::list_directory(dir.path(), "audit-", 2);
  ASSERT_FALSE(more);
  EXPECT_NE(more.error().message.find("more than 2 names begin with 'audit-'"), std::string::npos) << more.error().message;

  class crowded : public annals::io::system_calls {
   public:
    int list_directory(const char*, std::string_view prefix, std::size_t names_max,
                       std::vector<std::string>&) noexcept override {
      return prefix == "audit-" && names_max <= files_max ? -EOVERFLOW : 0;
    }
  };
  crowded names;
  const annals::io::calls_override calls(names);
  const auto closed = closed_segments(dir / "audit.jsonl");
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().system_code, EOVERFLOW);
}

TEST(list, has_each_segment_once_with_the_sizes_of_its_files) {
  const support::temp_directory dir;
  support::write_file(dir / "audit-000001-20260101T000000Z.jsonl.zst", "abc");
  support::write_file(dir / "audit-000002-20260101T000000Z.jsonl", "0123456789");
  support::write_file(dir / "audit-000002-20260101T000000Z.jsonl.zst", "abcde");
  support::write_file(dir / "audit-000003-20260101T000000Z.jsonl", "0123");
  support::write_file(dir / "audit-000003-20260101T000000Z.jsonl.zst.tmp", "ab");
  std::filesystem::create_directory(dir / "audit-000004-20260101T000000Z.jsonl");
  support::write_file(dir / "audit.jsonl", "012");
  const auto found = list(dir / "audit.jsonl", {.with_sizes = true});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->closed.size(), 3U);
  EXPECT_EQ(found->closed[0].bytes, 3U);
  EXPECT_TRUE(found->closed[0].compressed);
  EXPECT_FALSE(found->closed[0].is_compressing);
  EXPECT_EQ(found->closed[1].path, dir / "audit-000002-20260101T000000Z.jsonl") << "the lines as they were written";
  EXPECT_EQ(found->closed[1].bytes, 15U);
  EXPECT_FALSE(found->closed[1].compressed);
  EXPECT_TRUE(found->closed[1].is_compressing);
  EXPECT_EQ(found->closed[2].bytes, 4U);
  EXPECT_TRUE(found->closed[2].is_compressing);
  EXPECT_EQ(found->live_number, 5U) << "no number is used twice, whatever has it";
  EXPECT_EQ(found->live_bytes, 3U);
}

}  // namespace
