// SPDX-License-Identifier: Apache-2.0
//
// delivery::ring as an application sees it: what is promised, and what happens when the ring is full or the sink fails.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.ring;
#include "ring_logger.h"
#include "support/faulty_calls.h"

namespace {

using namespace std::chrono_literals;
using support::a_ring;
using support::eventually;
using support::gated_sink;

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WATCHED_BY_A_THREAD
#endif
#endif
#if defined(WATCHED_BY_A_THREAD)  // ThreadSanitizer's own, which looks around ten times a second
constexpr long others = 8;
#else
constexpr long others = 1;
#endif

TEST_F(a_ring, brings_every_event_into_the_log_and_leaves_no_file) {
  {
    annals::audit_logger log(options());
    EXPECT_FALSE(std::filesystem::exists(ring_path)) << "opened before the first event";
    for (int i = 0; i < 5000; ++i) {
      const annals::receipt made = log.log_event("web", "x", {.fields = {{"n", i}}});
      ASSERT_TRUE(made.accepted()) << made.message();
      ASSERT_EQ(made.sequence(), static_cast<std::uint64_t>(i + 1));
    }
    EXPECT_EQ(log.stats().accepted, 5000U);
    struct stat status = {};
    ASSERT_EQ(::stat(ring_path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U);
    EXPECT_GE(static_cast<std::uint64_t>(status.st_blocks) * 512, annals::limits::ring_bytes_floor) << "not allocated in full";
  }
  EXPECT_FALSE(std::filesystem::exists(ring_path));
  const auto events = annals::tail_log(log_path, 10'000);
  ASSERT_EQ(events.size(), 5000U);
  for (std::size_t i = 0; i < events.size(); ++i)
    EXPECT_EQ(std::get<std::int64_t>(*events[i].find("n")), static_cast<std::int64_t>(i));
  EXPECT_TRUE(heard.empty());
  EXPECT_TRUE(notices.empty());
}

TEST_F(a_ring, shows_its_own_process_every_event_at_once) {
  annals::audit_logger log(options());
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(log.log_event("web", std::to_string(i)));
    ASSERT_EQ(log.tail_log(1).at(0).action, std::to_string(i));
  }
}

TEST_F(a_ring, brings_a_lonely_event_into_the_log_without_being_asked) {
  annals::audit_logger log(options());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(log.log_event("web", "x"));
    ASSERT_TRUE(eventually([&] { return support::lines_of(log_path).size() == static_cast<std::size_t>(i + 1); }));
  }
}

TEST_F(a_ring, makes_events_durable_when_asked) {
  annals::audit_logger log(options());
  const annals::receipt first = log.log_event("web", "1");
  const annals::receipt second = log.log_event("web", "2");
  EXPECT_TRUE(log.sync(first));
  EXPECT_EQ(support::lines_of(log_path).size(), 2U);
  EXPECT_EQ(log.sync(second).sequence(), second.sequence());
  const annals::receipt all = log.sync();
  EXPECT_EQ(all.sequence(), 2U);
}

TEST_F(a_ring, costs_no_system_call_for_what_a_sync_has_spoken_for) {
  support::faulty_calls calls;
  annals::audit_logger log(options());
  const annals::receipt first = log.log_event("web", "1");
  ASSERT_TRUE(log.sync());
  calls.fail(support::call::sync_data, EIO);
  EXPECT_TRUE(log.sync(first));
  const annals::receipt second = log.log_event("web", "2");
  EXPECT_FALSE(log.sync(second));
}

TEST_F(a_ring, says_that_a_sync_failed_where_that_of_its_own_file_did) {
  std::atomic<bool> is_failing = false;
  std::atomic<int> syncs_of_ring = 0;
  support::hooked_calls calls([&](support::system_call& one) {
    if (one.which != support::call::sync_data) return one.run();
    const std::string file = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(one.fd)).string();
    if (!file.ends_with(".ring")) return one.run();
    ++syncs_of_ring;
    return is_failing ? std::int64_t{-EIO} : one.run();
  });
  annals::audit_logger log(options());
  ASSERT_TRUE(log.log_event("web", "1"));
  ASSERT_TRUE(log.sync());
  is_failing = true;
  const annals::receipt failed = log.sync();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.cause()->code, annals::errc::sync_failed);
  EXPECT_NE(failed.message().find(ring_path), std::string_view::npos) << failed.message();
  EXPECT_EQ(said(annals::errc::sync_failed), failed.message());
  EXPECT_FALSE(log.sync()) << "it goes on failing";
  is_failing = false;
  EXPECT_TRUE(log.sync()) << "the page is written again, and so the sync can be believed";
  EXPECT_GE(syncs_of_ring, 4);
}

TEST_F(a_ring, does_not_poll_when_idle) {
  annals::audit_logger log(options());
  ASSERT_TRUE(log.log_event("web", "x"));
  const auto switches = [] {
    rusage used = {};
    ::getrusage(RUSAGE_SELF, &used);
    return used.ru_nvcsw;
  };
  // Once the drain has found nothing to do, no thread of ours runs: voluntary switches of the whole process stand still, but
  // for the one this sleep is.
  ASSERT_TRUE(eventually([&] {
    const long before = switches();
    std::this_thread::sleep_for(300ms);
    return switches() - before <= others;
  }));
}

TEST_F(a_ring, lets_callers_wait_while_it_is_full) {
  gated_sink::control gate;
  gate.set(false);
  auto made = options();
  made.sink = std::make_unique<gated_sink>(gate);
  annals::audit_logger log(std::move(made));
  std::atomic<int> logged = 0;
  std::thread caller([&] {
    for (int i = 0; i < 3000; ++i) {
      if (log.log_event("web", "x", {.detail = "some text that fills the ring"}).accepted()) ++logged;
    }
  });
  const auto stands_still = [&] {
    const int before = logged;
    std::this_thread::sleep_for(50ms);
    return before > 0 && logged == before;
  };
  EXPECT_TRUE(eventually(stands_still));
  EXPECT_LT(logged, 3000);
  gate.set(true);
  caller.join();
  EXPECT_EQ(logged, 3000);
  ASSERT_TRUE(log.sync());
  const std::string lines = gate.taken();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 3000);
  EXPECT_EQ(log.stats().failed, 0U);
}

TEST_F(a_ring, refuses_events_at_once_while_it_is_full_when_told_so) {
  gated_sink::control gate;
  gate.set(false);
  auto made = options(annals::on_full::fail);
  made.sink = std::make_unique<gated_sink>(gate);
  annals::audit_logger log(std::move(made));
  annals::receipt refused;
  for (int i = 0; i < 3000 && refused; ++i) refused = log.log_event("web", "x", {.detail = "some text"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.cause()->code, annals::errc::ring_full);
  EXPECT_NE(refused.message().find("on_full is fail"), std::string_view::npos) << refused.message();
  EXPECT_EQ(log.stats().failed, 1U);
  gate.set(true);
  ASSERT_TRUE(log.sync());
  EXPECT_TRUE(log.log_event("web", "y"));
  ASSERT_TRUE(log.sync());
  const std::string lines = gate.taken();
  EXPECT_EQ(static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n')), log.stats().accepted);
  EXPECT_EQ(lines.find("dropped"), std::string::npos);
}

TEST_F(a_ring, says_in_the_log_how_many_events_it_dropped) {
  gated_sink::control gate;
  gate.set(false);
  auto made = options(annals::on_full::drop);
  made.sink = std::make_unique<gated_sink>(gate);
  annals::audit_logger log(std::move(made));
  int accepted = 0;
  for (int i = 0; i < 3000; ++i) accepted += log.log_event("web", "x", {.detail = "some text"}).accepted() ? 1 : 0;
  EXPECT_LT(accepted, 3000);
  EXPECT_EQ(log.stats().dropped, static_cast<std::uint64_t>(3000 - accepted));
  EXPECT_EQ(log.stats().accepted, static_cast<std::uint64_t>(accepted));
  gate.set(true);
  ASSERT_TRUE(log.sync());
  ASSERT_TRUE(log.sync());  // the line about the gap is put once there is room
  const std::string lines = gate.taken();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), accepted + 1);
  EXPECT_NE(lines.find(R"("container":"annals","action":"dropped","detail":"the ring was full","count":)" +
                       std::to_string(3000 - accepted) + "}"),
            std::string::npos);
  EXPECT_EQ(log.stats().accepted, static_cast<std::uint64_t>(accepted)) << "the line about the gap is no accepted event";
}

TEST_F(a_ring, keeps_what_the_sink_does_not_take_until_it_does) {
  gated_sink::control gate;
  gate.set(true, true);
  auto made = options();
  made.sink = std::make_unique<gated_sink>(gate);
  annals::audit_logger log(std::move(made));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(log.log_event("web", std::to_string(i)));
  EXPECT_FALSE(log.sync());
  EXPECT_TRUE(has_heard(annals::errc::io));
  EXPECT_EQ(log.stats().failed, 0U) << "the events are safe";
  gate.set(true);
  EXPECT_TRUE(eventually([&] { return !gate.taken().empty(); })) << "the drain tries again by itself";
  ASSERT_TRUE(log.sync());
  const std::string lines = gate.taken();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 100);
}

TEST_F(a_ring, leaves_to_the_next_logger_what_the_sink_never_took) {
  gated_sink::control gate;
  gate.set(true, true);
  {
    auto made = options();
    made.sink = std::make_unique<gated_sink>(gate);
    annals::audit_logger log(std::move(made));
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(log.log_event("web", std::to_string(i)));
  }
  EXPECT_TRUE(std::filesystem::exists(ring_path));
  EXPECT_NE(said(annals::errc::io), "");
  EXPECT_NE(said(annals::errc::events_left).find("annals recover"), std::string::npos)
      << "told though failures were, a moment ago";
  {
    annals::audit_logger log(options());
    ASSERT_TRUE(log.log_event("web", "last"));
    EXPECT_EQ(log.stats().recovered, 100U);
  }
  const auto events = annals::tail_log(log_path, 1000);
  ASSERT_EQ(events.size(), 101U);
  EXPECT_EQ(events.at(99).action, "99");
  EXPECT_EQ(events.at(100).action, "last");
}

TEST_F(a_ring, resumes_exactly_after_a_disk_that_was_full_for_a_while) {
  support::faulty_calls calls;
  annals::audit_logger log(options());
  ASSERT_TRUE(log.log_event("web", "0"));
  ASSERT_TRUE(log.sync());
  for (int round = 1; round <= 20; ++round) {
    calls.shorten_writes(40 + static_cast<std::size_t>(round));  // so that a part arrives before the failure
    calls.fail(support::call::write, ENOSPC).after(1);
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(log.log_event("web", std::to_string(round)));
    (void)log.sync();
    calls.heal();
    ASSERT_TRUE(log.sync());
  }
  std::map<std::string, int> counts;
  for (const annals::event& e : annals::tail_log(log_path, 1000)) ++counts[e.action];
  EXPECT_EQ(counts["0"], 1);
  for (int round = 1; round <= 20; ++round) EXPECT_EQ(counts[std::to_string(round)], 10) << round;
}

TEST_F(a_ring, passes_lines_that_are_too_long_for_it_in_their_order) {
  annals::audit_logger log(options());
  const std::string text(40'000, 'x');  // more than a quarter of the ring
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(log.log_event("web", std::to_string(2 * i)));
    const annals::receipt made = log.log_event("web", std::to_string(2 * i + 1), {.detail = text});
    ASSERT_EQ(made.sequence(), static_cast<std::uint64_t>(2 * i + 2)) << made.message();
  }
  EXPECT_EQ(log.stats().accepted, 40U);
  const auto events = log.tail_log(100);
  ASSERT_EQ(events.size(), 40U);
  for (std::size_t i = 0; i < 40; ++i) EXPECT_EQ(events[i].action, std::to_string(i));
}

TEST_F(a_ring, may_have_an_error_handler_that_calls_the_logger) {
  gated_sink::control gate;
  gate.set(true, true);
  annals::audit_logger* self = nullptr;
  std::atomic<int> calls = 0;
  auto made = options();
  made.sink = std::make_unique<gated_sink>(gate);
  made.on_error = [&](const annals::error&) {
    if (++calls == 1) (void)self->sync();
  };
  annals::audit_logger log(std::move(made));
  self = &log;
  ASSERT_TRUE(log.log_event("web", "x"));
  EXPECT_TRUE(eventually([&] { return calls > 0; }));
  gate.set(true);
  EXPECT_TRUE(eventually([&] { return !gate.taken().empty(); }));
}

TEST(options_of_a_ring, out_of_range_are_refused) {
  const auto refused = [](annals::logger_options options) {
    options.delivery = annals::delivery::ring;
    try {
      const annals::audit_logger log(std::move(options));
      return std::string();
    } catch (const annals::failure& failed) {
      return std::string(failed.what());
    }
  };
  EXPECT_NE(refused({.path = "x", .ring_bytes = 1}).find("ring_bytes is 1; expected 65536 to 536870912"), std::string::npos);
  EXPECT_NE(refused({.path = "x", .ring_bytes = 1UL << 40}).find("ring_bytes"), std::string::npos);
  EXPECT_NE(refused({.path = "x", .latency_max = 0ms}).find("latency_max is 0 ms; expected 1 to 1000"), std::string::npos);
}

}  // namespace
