// SPDX-License-Identifier: Apache-2.0
//
// delivery::durable: what is acknowledged was synced, callers share syncs, and a file whose sync failed is not trusted again.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/child.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
#include "support/faulty_calls.h"

namespace {

class durable : public testing::Test {
 protected:
  annals::logger_options options() {
    annals::logger_options made;
    made.path = log_path;
    made.delivery = annals::delivery::durable;
    made.on_error = [this](const annals::error& what) {
      const std::lock_guard lock(heard_mutex);
      heard.push_back(what.message);
    };
    made.on_notice = [this](const annals::notice& what) {
      const std::lock_guard lock(heard_mutex);
      heard.push_back(what.message);
    };
    return made;
  }
  std::string said(std::string_view part) {
    const std::lock_guard lock(heard_mutex);
    for (const std::string& one : heard) {
      if (one.find(part) != std::string::npos) return one;
    }
    return "";
  }

  const support::temp_directory directory;
  const std::string log_path = directory / "audit.jsonl";
  std::mutex heard_mutex;
  std::vector<std::string> heard;
};

// Writes to the journal fail, too, when told to.
class journal_faults final : public support::faulty_calls {
 public:
  std::int64_t write_at(int fd, const char* bytes, std::size_t count, std::uint64_t offset) noexcept override {
    const bool is_of_journal = offset >= 4096;  // other files that are written to in place have one page
    return refuses_the_journal && is_of_journal ? -EIO : faulty_calls::write_at(fd, bytes, count, offset);
  }
  std::atomic<bool> refuses_the_journal = false;
};

TEST_F(durable, events_are_synced_before_they_are_acknowledged) {
  support::faulty_calls calls;
  annals::audit_logger log(options());
  ASSERT_TRUE(log.log_event("web", "x").accepted());
  EXPECT_GE(calls.count(support::call::sync_all), 1) << "the directory, after the journal was made";
  const int syncs = calls.count(support::call::sync_data);
  const int journaled = calls.count(support::call::write_at);
  for (int i = 1; i <= 4; ++i) {
    const annals::receipt made = log.log_event("web", "x");
    ASSERT_TRUE(made.accepted());
    EXPECT_EQ(made.sequence(), static_cast<std::uint64_t>(1 + i));
    EXPECT_EQ(calls.count(support::call::sync_data), syncs + i) << "a single caller pays one sync";
    EXPECT_EQ(calls.count(support::call::write_at), journaled + i) << "of one write to the journal";
    EXPECT_EQ(calls.count(support::call::write), 1 + i) << "and one write to the log";
  }
  EXPECT_EQ(support::lines_of(log_path).size(), 5U) << "every reader sees them";
  EXPECT_EQ(log.stats().accepted, 5U);
}

// A device whose syncs take time: in memory they take none, and callers would not meet.
class slow_device final : public support::faulty_calls {
 public:
  int sync_data(int fd) noexcept override {
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    return faulty_calls::sync_data(fd);
  }
};

TEST_F(durable, callers_at_the_same_time_share_a_write_and_a_sync) {
  slow_device calls;
  constexpr int threads = 8;
  constexpr int events_each = 200;
  annals::audit_logger log(options());
  std::vector<std::thread> callers;
  std::vector<std::vector<std::uint64_t>> sequences(threads);
  for (int t = 0; t < threads; ++t) {
    callers.emplace_back([&, t] {
      for (int i = 0; i < events_each; ++i) {
        const annals::receipt made = log.log_event(std::to_string(t), std::to_string(i));
        if (made.accepted()) sequences[static_cast<std::size_t>(t)].push_back(made.sequence());
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_LT(calls.count(support::call::write_at), threads * events_each / 2);
  EXPECT_LT(calls.count(support::call::write), threads * events_each / 2);
  const auto events = annals::tail_log(log_path, 10'000);
  ASSERT_EQ(events.size(), static_cast<std::size_t>(threads * events_each));
  std::map<std::string, int> next;
  for (std::size_t i = 0; i < events.size(); ++i) {
    int& n = next[events[i].container];
    EXPECT_EQ(events[i].action, std::to_string(n));
    EXPECT_EQ(sequences[static_cast<std::size_t>(std::stoi(events[i].container))][static_cast<std::size_t>(n)], i + 1)
        << "the receipt's sequence number is the place in the log";
    ++n;
  }
}

TEST_F(durable, a_journal_that_fails_is_done_without) {
  support::faulty_calls calls;
  annals::audit_logger log(options());
  ASSERT_TRUE(log.log_event("web", "before"));
  ASSERT_TRUE(std::filesystem::exists(log_path + ".journal"));
  calls.fail(support::call::write_at, EIO).times(1);
  const int syncs = calls.count(support::call::sync_data);
  ASSERT_TRUE(log.log_event("web", "again").accepted());
  EXPECT_EQ(calls.count(support::call::sync_data), syncs + 1);
  EXPECT_NE(said("The log itself is synced instead"), "");
  ASSERT_TRUE(log.log_event("web", "after").accepted());
  EXPECT_FALSE(std::filesystem::exists(log_path + ".journal")) << "no other journal is made at once";
  EXPECT_EQ(support::lines_of(log_path).size(), 3U);
}

// The one failure of the log's own sync is met where the journal is full, or cannot be used.
TEST_F(durable, a_file_whose_sync_failed_is_closed_and_what_was_not_synced_is_written_again_in_a_fresh_one) {
  journal_faults calls;
  annals::audit_logger log(options());
  ASSERT_TRUE(log.log_event("web", "before"));
  calls.refuses_the_journal = true;
  calls.fail(support::call::sync_data, EIO).times(1);
  const annals::receipt made = log.log_event("web", "again");
  EXPECT_TRUE(made.accepted()) << made.message();
  EXPECT_EQ(made.sequence(), 2U);
  EXPECT_NE(said("is suspect: a sync of it failed"), "");
  const auto live = support::lines_of(log_path);
  ASSERT_EQ(live.size(), 3U);
  EXPECT_NE(live[0].find(R"("action":"segment_suspect","dest":"audit-000001-)"), std::string::npos) << live[0];
  EXPECT_NE(live[1].find("before"), std::string::npos) << "it was acknowledged, and is in no file that was synced";
  EXPECT_NE(live[2].find("again"), std::string::npos);
  std::vector<std::string> actions;
  for (const annals::event& e : annals::tail_log(log_path, 10)) actions.push_back(e.action);
  EXPECT_EQ(actions, (std::vector<std::string>{"before", "again", "segment_suspect", "before", "again"}))
      << "what may not be durable is read, too";
  EXPECT_TRUE(log.log_event("web", "after").accepted());
}

TEST_F(durable, a_full_journal_is_begun_anew_once_the_log_is_synced) {
  support::faulty_calls calls;
  annals::audit_logger log(options());
  const std::string large(300'000, 'x');
  const annals::event_details details{.detail = large};
  for (int i = 0; i < 40; ++i) {
    if (i == 5) calls.fail(support::call::sync_data, EIO).after(8).times(1);  // those of the journal; then the log's own
    ASSERT_TRUE(log.log_event("web", std::to_string(i), details).accepted()) << i;
  }
  EXPECT_NE(said("is suspect: a sync of it failed"), "");
  std::set<std::string> actions;
  for (const annals::event& e : annals::tail_log(log_path, 1000)) actions.insert(e.action);
  EXPECT_GE(actions.size(), 40U);
  EXPECT_LE(std::filesystem::file_size(log_path + ".journal"), 5U << 20);
}

// Whatever fails when, with groups on their way: what was acknowledged is in the log, and what is in files that were trusted to
// the end or is written again.
TEST_F(durable, no_acknowledged_event_is_missing_whatever_fails_under_load) {
  journal_faults calls;
  constexpr int threads = 6;
  constexpr int events_each = 400;
  std::vector<std::vector<std::string>> acknowledged(threads);
  {
    annals::audit_logger log(options());
    std::vector<std::thread> callers;
    for (int t = 0; t < threads; ++t) {
      callers.emplace_back([&, t] {
        for (int i = 0; i < events_each; ++i) {
          const std::string name = std::to_string(t) + "-" + std::to_string(i);
          if (t == 0 && i % 40 == 20) calls.refuses_the_journal = i % 80 == 20;
          if (t == 1 && i % 60 == 30) calls.fail(support::call::sync_data, EIO).times(1);
          if (t == 2 && i % 90 == 45) calls.fail(support::call::write, ENOSPC).times(1);
          if (log.log_event("web", name).accepted()) acknowledged[static_cast<std::size_t>(t)].push_back(name);
        }
      });
    }
    for (std::thread& caller : callers) caller.join();
    calls.heal();
    calls.refuses_the_journal = false;
  }
  std::map<std::string, int> there;
  for (const annals::event& e : annals::tail_log(log_path, 1'000'000)) ++there[e.action];
  for (const auto& of_thread : acknowledged) {
    EXPECT_GT(of_thread.size(), static_cast<std::size_t>(events_each) / 2);
    for (const std::string& name : of_thread) ASSERT_GE(there[name], 1) << name;
  }
}

TEST_F(durable, a_line_longer_than_the_journal_is_synced_in_the_log_itself) {
  annals::logger_options with = options();
  with.max_line_bytes = annals::limits::line_bytes_ceiling;
  annals::audit_logger log(std::move(with));
  const std::string large(5'000'000, 'x');
  const annals::event_details details{.detail = large};
  ASSERT_TRUE(log.log_event("web", "small").accepted());
  ASSERT_TRUE(log.log_event("web", "large", details).accepted());
  ASSERT_TRUE(log.log_event("web", "small").accepted());
  EXPECT_EQ(support::lines_of(log_path).size(), 3U);
}

TEST_F(durable, several_loggers_of_one_log_all_are_and_one_of_them_has_the_journal) {
  {
    annals::audit_logger one(options());
    annals::audit_logger other(options());
    for (int i = 0; i < 10; ++i) {
      ASSERT_TRUE(one.log_event("web", "x").accepted());
      ASSERT_TRUE(other.log_event("web", "x").accepted());
    }
    EXPECT_TRUE(std::filesystem::exists(log_path + ".journal"));
  }
  EXPECT_FALSE(std::filesystem::exists(log_path + ".journal")) << "the log was synced, and nothing is left in it";
  EXPECT_EQ(support::lines_of(log_path).size(), 20U);
  EXPECT_TRUE(heard.empty());
}

TEST_F(durable, events_whose_sync_fails_everywhere_are_never_acknowledged) {
  journal_faults calls;
  annals::audit_logger log(options());
  ASSERT_TRUE(log.log_event("web", "before"));
  calls.refuses_the_journal = true;
  calls.fail(support::call::sync_data, EIO);
  const annals::receipt refused = log.log_event("web", "lost");
  EXPECT_FALSE(refused);
  EXPECT_EQ(refused.cause()->code, annals::errc::sync_failed) << refused.message();
  EXPECT_EQ(log.stats().accepted, 1U);
  EXPECT_EQ(log.stats().failed, 1U);
  calls.heal();
  calls.refuses_the_journal = false;
  EXPECT_TRUE(log.log_event("web", "after").accepted()) << "resumes when the fault is gone";
}

TEST_F(durable, events_that_are_not_written_are_not_acknowledged) {
  support::faulty_calls calls;
  annals::audit_logger log(options());
  ASSERT_TRUE(log.log_event("web", "before"));
  calls.fail(support::call::write, ENOSPC);
  EXPECT_FALSE(log.log_event("web", "lost"));
  calls.heal();
  EXPECT_TRUE(log.log_event("web", "after").accepted());
  const auto events = annals::tail_log(log_path, 10);
  ASSERT_EQ(events.size(), 2U);
}

TEST_F(durable, children_of_a_fork_under_load_log_on) {
  annals::audit_logger log(options());
  std::atomic<bool> stop = false;
  std::atomic<int> logged = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        if (log.log_event("parent", "x").accepted()) ++logged;
      }
    });
  }
  for (int i = 0; i < 8; ++i) {
    support::expect_zero_in_child([&] { return log.log_event("child", std::to_string(i)).accepted() ? 0 : 1; });
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  int parents = 0;
  int children = 0;
  for (const annals::event& e : annals::tail_log(log_path, 10'000'000)) ++(e.container == "child" ? children : parents);
  EXPECT_EQ(parents, logged);
  EXPECT_EQ(children, 8);
}

}  // namespace
