// SPDX-License-Identifier: Apache-2.0
//
// Every system call fails, one after the other, once or with all after it, with every code that a disk in trouble gives; or
// takes only a part of what is written. Nothing ends the process, what was acknowledged is in the log once, errors are told,
// and all goes on when the cause is gone. (Rotation, archiving and deletion have tests of their own: rotation/crash_test.cpp,
// zstd/archive_test.cpp, maintenance/prune_test.cpp.)
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "support/child.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.rotation;
import annals.segment;
import annals.content.seekable;
#include "archive.h"
#include "rotation/rotating.h"
#include "support/hooked_calls.h"

namespace {

using namespace std::chrono_literals;

struct fault {
  int code = 0;  // 0: writes take a part
  bool for_ever = false;
};

constexpr std::array faults = {fault{ENOSPC, false}, fault{EIO, false},   fault{EINTR, false}, fault{EMFILE, false},
                               fault{EDQUOT, false}, fault{EROFS, false}, fault{0, false},     fault{ENOSPC, true},
                               fault{EIO, true},     fault{EMFILE, true}, fault{EDQUOT, true}, fault{EROFS, true},
                               fault{0, true}};

std::string words_for(long nth, const fault& what) {
  return "call " + std::to_string(nth) + (what.for_ever ? " and all after it: " : ": ") +
         (what.code == 0 ? "short" : std::to_string(what.code));
}

// The calls of all threads are counted, and from `nth` on one or all of them fail.
class failing_calls {
 public:
  failing_calls(long nth, const fault& what) : nth_(nth), what_(what) {}
  void heal() {
    healed_ = true;
    calls_.advance(1h);  // a caller that waits before it tries again does so at once
  }
  long count() const { return count_; }

 private:
  std::int64_t next(support::system_call& one) {
    using support::call;
    if (one.which == call::close || one.which == call::unlock) return one.run();
    const long number = ++count_;
    const bool fails = !healed_ && (number == nth_ || (what_.for_ever && number > nth_));
    if (fails && what_.code != 0) return -what_.code;
    const bool transfers = one.which == call::write || one.which == call::write_at || one.which == call::read_at;
    if (fails && transfers) one.count = (one.count + 1) / 2;
    return one.which == call::sync_data || one.which == call::sync_all ? 0 : one.run();  // no test cuts the power here
  }

  const long nth_;
  const fault what_;
  std::atomic<long> count_ = 0;
  std::atomic<bool> healed_ = false;
  support::hooked_calls calls_{[this](support::system_call& one) { return next(one); }};
};

// --- writing ----------------------------------------------------------------------------------------------------------------

constexpr std::size_t events_under_fault = 4;
constexpr std::size_t events_in_all = events_under_fault + 2;
using flags = std::array<bool, events_in_all>;

void expect_in_log(const std::string& path, const flags& accepted, int copies_max, const std::string& when) {
  std::array<int, events_in_all> found{};
  for (const annals::event& e : annals::tail_log(path, 1000)) {
    if (e.action == "x") ++found.at(static_cast<std::size_t>(std::get<std::int64_t>(*e.find("number"))));
  }
  for (std::size_t i = 0; i < events_in_all; ++i) {
    EXPECT_GE(found[i], accepted[i] ? 1 : 0) << when << ": event " << i << " is lost";
    EXPECT_LE(found[i], copies_max) << when << ": event " << i;
  }
}

using make_options = std::function<annals::logger_options(const std::string& path)>;

bool log_while_one_fails(const make_options& options, long nth, const fault& what, int copies_max) {
  const support::temp_directory directory;
  const std::string path = directory / "sub/audit.jsonl";
  const std::string when = words_for(nth, what);
  flags accepted{};
  long count = 0;
  const auto log_one = [&accepted](annals::audit_logger& log, std::size_t i) {
    const annals::receipt made = log.log_event("web", "x", {.detail = std::string(i * 100, 'y'), .fields = {{"number", i}}});
    accepted[i] = made.accepted();
    EXPECT_TRUE(made.accepted() || !made.message().empty());
    return made;
  };
  {
    failing_calls calls(nth, what);
    annals::audit_logger log(options(path));
    for (std::size_t i = 0; i < events_under_fault; ++i) {
      (void)log_one(log, i);
      if (i == 1) (void)log.sync();
    }
    calls.heal();
    count = calls.count();
    const annals::receipt made = log_one(log, events_under_fault);
    EXPECT_TRUE(made.accepted()) << when << ": the cause is gone: " << made.message();
  }
  annals::audit_logger log(options(path));
  EXPECT_TRUE(log_one(log, events_in_all - 1).accepted()) << when;
  EXPECT_TRUE(log.sync()) << when;
  expect_in_log(path, accepted, copies_max, when);
  return count >= nth;
}

void log_while_each_fails(const make_options& options, int copies_max = 1) {
  long cases = 0;
  for (const fault& what : faults) {
    for (long nth = 1; log_while_one_fails(options, nth, what, copies_max); ++nth) {
      ASSERT_FALSE(testing::Test::HasFailure());
      ++cases;
    }
  }
  std::printf("%ld faults\n", cases);
  EXPECT_GT(cases, 100);
}

annals::logger_options silent(const std::string& path, annals::delivery delivery) {
  annals::logger_options made;
  made.path = path;
  made.delivery = delivery;
  made.ring_bytes = annals::limits::ring_bytes_floor;
  made.latency_max = 1ms;
  made.on_error = [](const annals::error&) {};
  return made;
}

annals::logger_options rotating(const std::string& path, annals::delivery delivery) {
  annals::logger_options made = silent(path, delivery);
  made.sink = std::make_unique<support::rotating_sink>(path, support::of_size(300));
  return made;
}

TEST(calls_that_fail, lose_no_event_that_was_delivered_directly) {
  log_while_each_fails([](const std::string& path) { return silent(path, annals::delivery::direct); });
}

// After a failed sync the same lines may stand in the suspect segment, too (docs/delivery.md).
TEST(calls_that_fail, lose_no_event_that_was_synced) {
  log_while_each_fails([](const std::string& path) { return silent(path, annals::delivery::durable); }, 2);
}

TEST(calls_that_fail, lose_no_event_that_was_put_into_a_ring) {
  log_while_each_fails([](const std::string& path) { return silent(path, annals::delivery::ring); });
}

TEST(calls_that_fail, lose_no_event_that_was_synced_in_a_log_that_rotates) {
  log_while_each_fails([](const std::string& path) { return rotating(path, annals::delivery::durable); }, 2);
}

TEST(calls_that_fail, lose_no_event_that_was_put_into_the_ring_of_a_log_that_rotates) {
  log_while_each_fails([](const std::string& path) { return rotating(path, annals::delivery::ring); });
}

// --- recovering -------------------------------------------------------------------------------------------------------------

// A sink that takes nothing, so that all stays in the ring.
class closed_sink final : public annals::sink {
 public:
  void write(const annals::batch&) override { throw annals::sink_error({annals::errc::io, EIO, "takes nothing"}); }
  void sync() override {}
  void reopen() override {}
  annals::position position() override { return {1, 0}; }
  bool keeps_log() const noexcept override { return true; }
};

TEST(calls_that_fail, lose_nothing_in_the_recovery_of_a_ring) {
  const support::temp_directory before;
  support::expect_zero_in_child([&] {
    annals::logger_options how = silent(before / "audit.jsonl", annals::delivery::ring);
    how.sink = std::make_unique<closed_sink>();
    auto& log = *new annals::audit_logger(std::move(how));
    int accepted = 0;
    for (std::size_t i = 0; i < events_in_all; ++i) {
      accepted += log.log_event("web", "x", {.fields = {{"number", i}}}).accepted() ? 1 : 0;
    }
    return accepted == events_in_all ? 0 : 1;  // dies with the ring full
  });
  flags all;
  all.fill(true);
  long cases = 0;
  for (const fault& what : faults) {
    for (long nth = 1;; ++nth) {
      const support::temp_directory directory;
      const std::string path = directory / "audit.jsonl";
      std::filesystem::copy_file(before / "audit.jsonl.ring", path + ".ring");
      long count = 0;
      {
        failing_calls calls(nth, what);
        (void)annals::recover_log(path);
        count = calls.count();
      }
      const auto recovered = annals::recover_log(path);
      ASSERT_TRUE(recovered) << words_for(nth, what) << ": " << recovered.error().message;
      expect_in_log(path, all, 1, words_for(nth, what));
      ASSERT_FALSE(testing::Test::HasFailure());
      if (count < nth) break;
      ++cases;
    }
  }
  std::printf("%ld faults\n", cases);
  EXPECT_GT(cases, 100);
}

// --- reading ----------------------------------------------------------------------------------------------------------------

class log_under_faults : public testing::Test {
 protected:
  log_under_faults() {
    annals::audit_logger log(rotating(path_, annals::delivery::direct));
    for (std::size_t i = 0; i < count_; ++i) EXPECT_TRUE(log.log_event("web", "x", {.detail = std::string(100, 'y')}));
    EXPECT_FALSE(annals_zstd::archive_segment(annals::segment::closed_segments(path_).value().at(0).path, {}));
  }

  // `read` gives how many events it saw, or nothing where it told an error or damage.
  void read_while_each_fails(const std::function<std::optional<std::size_t>(const annals::read_options&)>& read) {
    long cases = 0;
    for (const fault& what : faults) {
      for (long nth = 1;; ++nth) {
        failing_calls calls(nth, what);
        bool is_told = false;
        const annals::read_options reading = {.on_damage = [&](const annals::damage&) { is_told = true; }};
        std::optional<std::size_t> got;
        try {
          got = read(reading);
        } catch (const annals::failure& failed) {
          EXPECT_NE(failed.cause().message, "");
        }
        if (got && !is_told) {
          ASSERT_EQ(*got, count_) << words_for(nth, what) << ", and nobody was told";
        }
        if (calls.count() < nth) break;
        ++cases;
      }
    }
    std::printf("%ld faults\n", cases);
    EXPECT_GT(cases, 50);
  }

  const support::temp_directory directory_;
  const std::string path_ = directory_ / "audit.jsonl";
  const std::size_t count_ = 12;
};

TEST_F(log_under_faults, is_told_in_full_by_tail_or_an_error_is) {
  read_while_each_fails([&](const annals::read_options& reading) { return annals::tail_log(path_, 1000, reading).size(); });
}

TEST_F(log_under_faults, is_told_in_full_by_scan_or_an_error_is) {
  read_while_each_fails([&](const annals::read_options& reading) {
    std::size_t count = 0;
    (void)annals::scan(path_, {}, [&](const annals::event&) { return ++count != 0; }, {.reading = reading});
    return count;
  });
}

TEST_F(log_under_faults, is_told_in_full_by_cat_or_an_error_is) {
  read_while_each_fails([&](const annals::read_options& reading) {
    std::size_t count = 0;
    const auto take = [&](std::string_view piece) {
      count += static_cast<std::size_t>(std::count(piece.begin(), piece.end(), '\n'));
      return true;
    };
    (void)annals::read_lines(path_, take, reading);
    return count;
  });
}

TEST_F(log_under_faults, is_told_in_full_by_a_follower_or_an_error_is) {
  // In one file: behind a closed segment it waits for late writers.
  const std::string single = directory_ / "single.jsonl";
  (void)annals::read_lines(path_, [&](std::string_view piece) { return support::append_to(single, piece), true; });
  read_while_each_fails([&](const annals::read_options& reading) -> std::optional<std::size_t> {
    annals::follower follower = annals::follow(single, {}, reading);
    std::size_t count = 0;
    while (count < count_ && follower.next(5ms)) ++count;
    if (count < count_) return std::nullopt;  // it still looks for the rest
    return count;
  });
}

}  // namespace
