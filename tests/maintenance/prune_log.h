// SPDX-License-Identifier: Apache-2.0
//
// A log of some segments, to delete from. Included after log_files.h.
#pragma once

namespace support {

inline const annals::time_point long_ago = annals::parse_timestamp("2020-01-01T00:00:00Z")->time;

class Prune : public testing::Test {
 protected:
  // Segments 1, 2, ... of ten events each, a day apart: plain, compressed, and in both forms by turns; then a live one.
  void make_log(std::uint64_t segments) {
    using namespace std::chrono_literals;
    for (std::uint64_t number = 1; number <= segments; ++number) {
      const auto first = long_ago + 24h * number;
      const std::string lines = log_.lines(10, first);
      if (number % 3 != 2) log_.add_plain(number, first, lines);
      if (number % 3 != 1) log_.add_compressed(number, first, lines);
    }
    log_.write_live(log_.lines(3, long_ago + 24h * (segments + 1)));
  }

  void expect_one_event_and_one_record_for(const std::set<std::uint64_t>& deleted) {
    std::multiset<std::uint64_t> told;
    for (const annals::event& one : log_.events_of("segment_deleted")) told.insert(number_of(one, "segment"));
    EXPECT_EQ(told, std::multiset<std::uint64_t>(deleted.begin(), deleted.end()));
    expect_one_record_for(deleted);
  }
  void expect_one_record_for(const std::set<std::uint64_t>& deleted) {
    std::multiset<std::uint64_t> recorded;
    const auto records = annals::segment::deleted_segments(path_);
    ASSERT_TRUE(records) << records.error().message;
    for (const annals::segment::deleted_segment& one : *records) recorded.insert(one.number);
    EXPECT_EQ(recorded, std::multiset<std::uint64_t>(deleted.begin(), deleted.end()));
  }

  temp_directory directory_;
  std::string path_ = directory_ / "audit.jsonl";
  log_files log_{path_};
};

}  // namespace support
