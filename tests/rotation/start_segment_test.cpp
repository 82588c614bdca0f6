// SPDX-License-Identifier: Apache-2.0
//
// sink::start_segment of the sinks that write a log, and of one that has no segments.
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.rotation;
import annals.segment;
import annals.sinks.file;
#include "rotation/rotating.h"
#include "support/faulty_calls.h"

namespace {

using support::call;

struct kind_of_sink {
  const char* name;
  std::unique_ptr<annals::sink> (*make)(const std::string& path);
};

class start_segment : public testing::TestWithParam<kind_of_sink> {
 protected:
  start_segment() {
    sink_->set_notice_handler([this](const annals::notice& what) { notices_.push_back(what); });
  }
  void write(std::string_view line) { sink_->write({line, 1, next_++, annals::io::calls().now()}); }
  std::vector<annals::notice_code> codes() const {
    std::vector<annals::notice_code> codes;
    for (const annals::notice& one : notices_) codes.push_back(one.code);
    return codes;
  }

  support::temp_directory directory_;
  support::faulty_calls calls_;
  std::string path_ = directory_ / "audit.jsonl";
  std::unique_ptr<annals::sink> sink_ = GetParam().make(path_);
  std::vector<annals::notice> notices_;
  std::uint64_t next_ = 1;
};

TEST_P(start_segment, closes_what_was_written_and_continues_in_a_new_one) {
  write("{\"n\":1}\n");
  const auto closed = sink_->start_segment();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->number, 1U);
  EXPECT_EQ(support::content_of(closed->path), "{\"n\":1}\n");
  EXPECT_EQ(sink_->position(), (annals::position{2, 0}));
  write("{\"n\":2}\n");
  EXPECT_EQ(support::content_of(path_), "{\"n\":2}\n");
  EXPECT_EQ(codes(), std::vector{annals::notice_code::segment_closed});
  EXPECT_EQ(notices_[0].severity, annals::severity::info);
}

TEST_P(start_segment, closes_nothing_where_nothing_was_written) {
  EXPECT_FALSE(sink_->start_segment());
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path())) << "and leaves no trace";
  write("{\"n\":1}\n");
  ASSERT_TRUE(sink_->start_segment());
  EXPECT_FALSE(sink_->start_segment()) << "the new segment is empty";
}

TEST_P(start_segment, leaves_the_closed_segment_to_a_later_sync) {
  write("{\"n\":1}\n");
  ASSERT_TRUE(sink_->start_segment());
  const int before = calls_.count(call::sync_data);
  sink_->sync();
  EXPECT_GE(calls_.count(call::sync_data), before + 1);
}

TEST_P(start_segment, and_reopen_clear_the_failure_of_an_earlier_sync) {
  write("{\"n\":1}\n");
  calls_.fail(call::sync_data, EIO).times(1);
  EXPECT_THROW(sink_->sync(), annals::sink_error);
  EXPECT_THROW(sink_->sync(), annals::sink_error) << "a failed sync is not believed again";
  ASSERT_TRUE(sink_->start_segment());
  EXPECT_THROW(sink_->sync(), annals::sink_error) << "the closed segment is still suspect";
  sink_->reopen();
  write("{\"n\":2}\n");
  sink_->sync();
}

TEST_P(start_segment, that_fails_leaves_the_current_segment) {
  write("{\"n\":1}\n");
  calls_.fail(call::rename_new, EACCES);
  EXPECT_THROW((void)sink_->start_segment(), annals::sink_error);
  calls_.heal();
  write("{\"n\":2}\n");
  EXPECT_EQ(support::content_of(path_), "{\"n\":1}\n{\"n\":2}\n");
}

constexpr kind_of_sink kinds[] = {
    {"file",
     [](const std::string& path) -> std::unique_ptr<annals::sink> { return std::make_unique<annals::file_sink>(path); }},
    {"rotating", [](const std::string& path) -> std::unique_ptr<annals::sink> {
       return std::make_unique<support::rotating_sink>(path, annals::rotation::triggers{});
     }}};
INSTANTIATE_TEST_SUITE_P(of, start_segment, testing::ValuesIn(kinds),
                         [](const testing::TestParamInfo<kind_of_sink>& one) { return std::string(one.param.name); });

TEST(start_segment_of_a_sink, without_segments_throws) {
  annals::memory_sink sink(std::make_shared<annals::memory_log>());
  EXPECT_THROW((void)sink.start_segment(), annals::sink_error);
}

}  // namespace
