// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <memory>
#include <string>
import annals;

namespace {

struct memory_sink_test : testing::Test {
  std::shared_ptr<annals::memory_log> kept = std::make_shared<annals::memory_log>();
  annals::audit_logger log{{.on_error = [](const annals::error&) {}, .sink = std::make_unique<annals::memory_sink>(kept)}};
};

TEST_F(memory_sink_test, keeps_what_is_logged_in_order) {
  ASSERT_TRUE(log.log_event("web", "allowed", {.dest = "a"}));
  ASSERT_TRUE(log.log_event("web", "denied", {.dest = "b\n"}));
  ASSERT_EQ(kept->events().size(), 2U);
  EXPECT_EQ(kept->events()[0].action, "allowed");
  EXPECT_EQ(kept->events()[1].dest, "b\n");
  EXPECT_EQ(kept->lines()[1], kept->events()[1].line);
  EXPECT_EQ(kept->batches(), 2U);
  kept->clear();
  EXPECT_TRUE(kept->lines().empty());
}

TEST_F(memory_sink_test, fails_as_often_as_it_is_told_and_keeps_nothing_then) {
  kept->fail_writes({annals::errc::io, 28, "no room"}, 2);
  for (int i = 0; i < 2; ++i) {
    const annals::receipt made = log.log_event("web", "denied");
    ASSERT_FALSE(made);
    EXPECT_EQ(made.cause()->code, annals::errc::io);
    EXPECT_EQ(made.cause()->system_code, 28);
    EXPECT_EQ(made.message(), "no room");
  }
  EXPECT_TRUE(log.log_event("web", "allowed"));
  EXPECT_EQ(kept->lines().size(), 1U);
  EXPECT_EQ(log.stats().failed, 2U);
}

TEST_F(memory_sink_test, counts_syncs_and_reopens_and_fails_syncs) {
  EXPECT_TRUE(log.sync());
  EXPECT_TRUE(log.reopen());
  kept->fail_syncs({annals::errc::sync_failed, 5, "not durable"});
  EXPECT_FALSE(log.sync());
  EXPECT_FALSE(log.sync());
  kept->fail_syncs({}, 0);
  EXPECT_TRUE(log.sync());
  EXPECT_EQ(kept->syncs(), 2U);
  EXPECT_EQ(kept->reopens(), 1U);
}

TEST_F(memory_sink_test, is_named_by_the_error_of_a_logger_that_has_no_log_to_read_back) {
  ASSERT_TRUE(log.log_event("web", "allowed"));
  try {
    (void)log.tail_log();
    FAIL() << "expected it to throw";
  } catch (const annals::failure& thrown) {
    EXPECT_EQ(thrown.cause().code, annals::errc::invalid_argument);
    EXPECT_NE(thrown.cause().message.find("memory_log::events()"), std::string::npos) << thrown.cause().message;
  }
}

TEST_F(memory_sink_test, counts_its_position_in_bytes_from_segment_one) {
  annals::memory_sink sink(kept);
  EXPECT_EQ(sink.position(), (annals::position{1, 0}));
  ASSERT_TRUE(log.log_event("web", "denied"));
  EXPECT_EQ(sink.position(), (annals::position{1, kept->lines()[0].size() + 1}));
}

}  // namespace
