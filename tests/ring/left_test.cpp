// SPDX-License-Identifier: Apache-2.0
//
// What a killed process left in its ring: readers of other processes see it, and recover_log brings it into the log, once.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/temp_directory.h"
import annals;

namespace {

// Takes two batches, and then none any more: what comes later stays in the ring.
class tired_sink final : public annals::sink {
 public:
  explicit tired_sink(std::string path) : path_(std::move(path)) {}
  void write(const annals::batch& lines) override {
    if (++batches_ > 2) throw annals::sink_error({annals::errc::io, 5, "the sink is tired"});
    support::append_to(path_, lines.lines);
  }
  void sync() override {}
  void reopen() override {}
  annals::position position() override { return {1, 0}; }
  bool keeps_log() const noexcept override { return true; }

 private:
  std::string path_;
  int batches_ = 0;
};

class what_is_left_in_a_ring : public testing::Test {
 protected:
  // Five events of which two are in the log, by a process that is killed then.
  void SetUp() override {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      annals::logger_options options;
      options.path = path;
      options.delivery = annals::delivery::ring;
      options.ring_bytes = annals::limits::ring_bytes_floor;
      options.sink = std::make_unique<tired_sink>(path);
      options.on_error = [](const annals::error&) {};
      annals::audit_logger log(std::move(options));
      for (int i = 1; i <= 5; ++i) {
        if (!log.log_event("web", std::to_string(i)).accepted()) ::_exit(1);
        (void)log.sync();
      }
      ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    ASSERT_EQ(support::lines_of(path).size(), 2U);
  }

  static std::string actions(const std::vector<annals::event>& events) {
    std::string all;
    for (const annals::event& e : events) all += e.action;
    return all;
  }
  std::string scanned() {
    std::string all;
    annals::scan(path, {}, [&](const annals::event& e) {
      all += e.action;
      return true;
    });
    return all;
  }
  std::string all_lines() {
    std::string all;
    annals::read_lines(path, [&](std::string_view piece) {
      all += piece;
      return true;
    });
    return all;
  }

  const support::temp_directory directory;
  const std::string path = directory / "audit.jsonl";
};

TEST_F(what_is_left_in_a_ring, is_seen_by_every_reader_and_stays_where_it_is) {
  for (int look = 0; look < 2; ++look) {
    EXPECT_EQ(actions(annals::tail_log(path, 50)), "12345");
    EXPECT_EQ(actions(annals::tail_log(path, 2)), "45");
    EXPECT_EQ(actions(annals::read_tail(path, 4).events), "2345");
    EXPECT_EQ(scanned(), "12345");
    const std::string lines = all_lines();
    EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 5);
    EXPECT_EQ(support::lines_of(path).size(), 2U);
  }
  EXPECT_EQ(actions(annals::tail_log(path, 50, {.with_ring = false})), "12");
}

TEST_F(what_is_left_in_a_ring, is_given_until_no_more_is_wanted_and_not_at_all_when_not_asked_for) {
  for (std::size_t wanted = 1; wanted <= 5; ++wanted) {
    for (const unsigned threads : {1U, 3U}) {
      std::string all;
      const auto done = annals::scan(path, {},
                                     [&](const annals::event& e) {
                                       all += e.action;
                                       return all.size() < wanted;
                                     },
                                     {.threads = threads});
      EXPECT_TRUE(done.stopped);
      EXPECT_EQ(all, std::string("12345").substr(0, wanted));
    }
  }
  std::size_t pieces = 0;
  for (std::size_t wanted = 1; wanted <= 4; ++wanted) {  // the file, and three lines
    pieces = 0;
    EXPECT_TRUE(annals::read_lines(path, [&](std::string_view) { return ++pieces < wanted; }).stopped);
    EXPECT_EQ(pieces, wanted);
  }
  pieces = 0;
  (void)annals::read_lines(path, [&](std::string_view) { return ++pieces != 0; }, {.with_ring = false});
  EXPECT_EQ(pieces, 1U);
  std::string all;
  (void)annals::scan(path, {}, [&](const annals::event& e) { return !(all += e.action).empty(); },
                     {.reading = {.with_ring = false}});
  EXPECT_EQ(all, "12");
}

TEST_F(what_is_left_in_a_ring, is_brought_into_the_log_once) {
  const auto done = annals::recover_log(path);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(done->found);
  EXPECT_EQ(done->events, 3U);
  EXPECT_EQ(support::lines_of(path).size(), 5U);
  EXPECT_FALSE(std::filesystem::exists(path + ".ring"));
  EXPECT_EQ(actions(annals::tail_log(path, 50)), "12345");
  const auto again = annals::recover_log(path);
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->found);
}

TEST_F(what_is_left_in_a_ring, is_not_touched_while_its_owner_lives) {
  annals::logger_options options;
  options.path = path;
  options.delivery = annals::delivery::ring;
  annals::audit_logger log(std::move(options));
  ASSERT_TRUE(log.log_event("web", "6"));
  const auto refused = annals::recover_log(path);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, annals::errc::ring_not_owned);
  EXPECT_EQ(actions(log.tail_log(50)), "123456");
}

}  // namespace
