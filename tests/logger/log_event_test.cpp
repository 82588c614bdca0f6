// SPDX-License-Identifier: Apache-2.0
//
// The logger as an application uses it, and point by point what the origin did.
#include <gtest/gtest.h>
#include <sys/stat.h>

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
#include <stdexcept>
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

using support::content_of;

const annals::timestamp noon = *annals::parse_timestamp("2026-03-07T12:00:00Z");

annals::receipt log_at_noon(annals::audit_logger& log, annals::event_details details = {}) {
  details.ts = noon;
  return log.log_event("web", "denied", details);
}

TEST(log_event, appends_one_line_per_event) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl"});
  EXPECT_TRUE(log_at_noon(log));
  EXPECT_TRUE(log_at_noon(log, {.dest = "203.0.113.7:443", .detail = "not in allowlist"}));
  EXPECT_EQ(content_of(dir / "audit.jsonl"),
            "{\"ts\":\"2026-03-07T12:00:00+00:00\",\"container\":\"web\",\"action\":\"denied\"}\n"
            "{\"ts\":\"2026-03-07T12:00:00+00:00\",\"container\":\"web\",\"action\":\"denied\",\"dest\":\"203.0.113.7:443\","
            "\"detail\":\"not in allowlist\"}\n");
}

TEST(log_event, leaves_out_texts_that_are_null_pointers) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl"});
  const char* const null = nullptr;
  EXPECT_TRUE(log_at_noon(log, {.dest = null, .detail = null, .fields = {{"user", null}}}));
  EXPECT_EQ(content_of(dir / "audit.jsonl"),
            "{\"ts\":\"2026-03-07T12:00:00+00:00\",\"container\":\"web\",\"action\":\"denied\",\"user\":null}\n");
}

TEST(log_event, leaves_errno_as_it_was) {
  const support::temp_directory dir;
  for (const auto delivery : {annals::delivery::direct, annals::delivery::ring, annals::delivery::durable}) {
    annals::audit_logger log({.path = dir / ("of_" + std::to_string(static_cast<int>(delivery)) + ".jsonl"),
                              .delivery = delivery,
                              .on_error = [](const annals::error&) { errno = EIO; }});
    support::faulty_calls faulty;
    const annals::io::calls_override installed(faulty);
    errno = ENOTTY;
    EXPECT_TRUE(log_at_noon(log));
    EXPECT_EQ(errno, ENOTTY);
    EXPECT_TRUE(log.sync());
    EXPECT_TRUE(log.reopen());
    (void)log.stats();
    EXPECT_EQ(errno, ENOTTY);
    EXPECT_FALSE(log.log_event("web", "denied", {.fields = {{"ts", 1}}}));
    EXPECT_EQ(errno, ENOTTY);
  }
}

TEST(log_event, says_in_its_receipt_whether_it_was_accepted_refused_or_disabled) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl", .on_error = [](const annals::error&) {}});
  EXPECT_EQ(log_at_noon(log).status(), annals::receipt_status::accepted);
  EXPECT_EQ(log.log_event("web", "denied", {.fields = {{"ts", 1}}}).status(), annals::receipt_status::failed);
  log.set_enabled(false);
  EXPECT_EQ(log_at_noon(log).status(), annals::receipt_status::disabled);
}

TEST(log_event, goes_on_in_a_logger_that_was_moved) {
  const support::temp_directory dir;
  for (const auto delivery : {annals::delivery::direct, annals::delivery::ring, annals::delivery::durable}) {
    const std::string path = dir / ("of_" + std::to_string(static_cast<int>(delivery)) + ".jsonl");
    annals::audit_logger first({.path = path, .delivery = delivery});
    EXPECT_TRUE(log_at_noon(first));
    annals::audit_logger second(std::move(first));
    EXPECT_TRUE(log_at_noon(second));
    annals::audit_logger third({.path = dir / "other.jsonl"});
    third = std::move(second);
    EXPECT_TRUE(log_at_noon(third));
    EXPECT_EQ(third.path(), path);
    EXPECT_EQ(third.tail_log().size(), 3U);
    EXPECT_EQ(third.stats().accepted, 3U);
  }
}

TEST(log_event, leaves_out_what_is_absent_and_writes_what_is_empty) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl"});
  EXPECT_TRUE(log_at_noon(log, {.dest = "", .detail = ""}));
  EXPECT_EQ(
      content_of(dir / "audit.jsonl"),
      "{\"ts\":\"2026-03-07T12:00:00+00:00\",\"container\":\"web\",\"action\":\"denied\",\"dest\":\"\",\"detail\":\"\"}\n");
}

TEST(log_event, appends_to_what_earlier_loggers_wrote) {
  const support::temp_directory dir;
  for (int i = 0; i < 3; ++i) {
    annals::audit_logger log({.path = dir / "audit.jsonl"});
    EXPECT_TRUE(log_at_noon(log));
  }
  EXPECT_EQ(support::lines_of(dir / "audit.jsonl").size(), 3U);
}

TEST(log_event, creates_the_file_and_its_directories_at_the_first_event_only) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "a/b/audit.jsonl"});
  EXPECT_FALSE(std::filesystem::exists(dir / "a"));
  EXPECT_TRUE(log_at_noon(log));
  EXPECT_TRUE(std::filesystem::exists(dir / "a/b/audit.jsonl"));
}

TEST(log_event, creates_files_and_directories_for_their_owner_only) {
  const support::temp_directory dir;
  const mode_t before = ::umask(0);
  annals::audit_logger log({.path = dir / "a/audit.jsonl"});
  EXPECT_TRUE(log_at_noon(log));
  annals::audit_logger for_group({.path = dir / "b/audit.jsonl", .file_mode = 0640});
  EXPECT_TRUE(log_at_noon(for_group));
  ::umask(before);
  struct stat status;
  ASSERT_EQ(::stat((dir / "a/audit.jsonl").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  ASSERT_EQ(::stat((dir / "a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700U);
  ASSERT_EQ(::stat((dir / "b/audit.jsonl").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640U);
}

TEST(log_event, stamps_the_present_time_with_the_precision_chosen) {
  const support::temp_directory dir;
  support::faulty_calls calls;
  calls.set_now(noon.time + std::chrono::microseconds(123456));
  using annals::precision;
  for (const auto& [digits, ts] : {std::pair{precision::seconds, "2026-03-07T12:00:00+00:00"},
                                   {precision::milliseconds, "2026-03-07T12:00:00.123+00:00"},
                                   {precision::microseconds, "2026-03-07T12:00:00.123456+00:00"}}) {
    annals::audit_logger log({.path = dir / "audit.jsonl", .timestamps = digits});
    EXPECT_TRUE(log.log_event("web", "x"));
    EXPECT_EQ(log.tail_log(1).at(0).ts, ts);
  }
}

TEST(log_event, takes_the_time_from_the_systems_clock) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl", .timestamps = annals::precision::microseconds});
  const auto before = std::chrono::system_clock::now() - std::chrono::microseconds(1);
  EXPECT_TRUE(log.log_event("web", "x"));
  const auto after = std::chrono::system_clock::now();
  const auto written = annals::parse_timestamp(log.tail_log(1).at(0).ts);
  ASSERT_TRUE(written);
  EXPECT_GE(written->time, before);
  EXPECT_LE(written->time, after);
}

TEST(log_event, does_nothing_while_disabled) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "a/audit.jsonl", .enabled = false});
  EXPECT_FALSE(log.enabled());
  const annals::receipt made = log_at_noon(log);
  EXPECT_TRUE(made) << "nothing failed";
  EXPECT_FALSE(made.accepted());
  EXPECT_TRUE(log.log_event(annals::event{.container = "web", .action = "x"}));
  EXPECT_FALSE(std::filesystem::exists(dir / "a"));
  EXPECT_EQ(log.stats().accepted, 0U);
}

TEST(log_event, can_be_turned_on_and_off_and_keeps_its_file_open) {
  const support::temp_directory dir;
  support::faulty_calls calls;
  annals::audit_logger log({.path = dir / "audit.jsonl"});
  EXPECT_TRUE(log_at_noon(log));
  log.set_enabled(false);
  EXPECT_FALSE(log_at_noon(log).accepted());
  log.set_enabled(true);
  EXPECT_TRUE(log_at_noon(log).accepted());
  EXPECT_EQ(calls.count(support::call::open), 1);
  EXPECT_EQ(support::lines_of(dir / "audit.jsonl").size(), 2U);
}

TEST(log_event, numbers_what_it_accepts) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl", .on_error = [](const annals::error&) {}});
  EXPECT_EQ(log_at_noon(log).sequence(), 1U);
  EXPECT_EQ(log_at_noon(log, {.fields = {{"ts", 1}}}).sequence(), 0U);
  EXPECT_EQ(log_at_noon(log).sequence(), 2U);
  const annals::logger_stats stats = log.stats();
  EXPECT_EQ(stats.accepted, 2U);
  EXPECT_EQ(stats.failed, 1U);
  EXPECT_EQ(stats.bytes, content_of(dir / "audit.jsonl").size());
}

TEST(log_event, refuses_an_invalid_event_and_writes_nothing_of_it) {
  const support::temp_directory dir;
  std::vector<annals::errc> heard;
  annals::audit_logger log({.path = dir / "audit.jsonl", .on_error = [&](const annals::error& e) { heard.push_back(e.code); }});
  const auto code_of = [](const annals::receipt& r) {
    return r.cause() == nullptr ? std::optional<annals::errc>() : r.cause()->code;
  };
  EXPECT_EQ(code_of(log_at_noon(log, {.fields = {{"dest", 1}}})), annals::errc::invalid_field);
  EXPECT_EQ(code_of(log_at_noon(log, {.fields = {{"x", annals::raw_json{"{"}}}})), annals::errc::invalid_json);
  EXPECT_EQ(code_of(log.log_event("web", "x", {.ts = annals::timestamp{annals::time_point::max()}})),
            annals::errc::invalid_time);
  EXPECT_EQ(heard, (std::vector{annals::errc::invalid_field, annals::errc::invalid_json, annals::errc::invalid_time}));
  EXPECT_FALSE(std::filesystem::exists(dir / "audit.jsonl"));
}

TEST(log_event, refuses_the_container_of_events_about_the_log) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl", .on_error = [](const annals::error&) {}});
  const auto refused = log.log_event("annals", "segment_deleted", {.fields = {{"segment", 1}}});
  ASSERT_NE(refused.cause(), nullptr);
  EXPECT_EQ(refused.cause()->code, annals::errc::invalid_field);
  annals::event read;
  read.container = "annals";
  read.action = "hold_removed";
  EXPECT_FALSE(log.log_event(read));
  EXPECT_FALSE(std::filesystem::exists(dir / "audit.jsonl"));
  EXPECT_TRUE(log.log_event("annals2", "segment_deleted"));
}

TEST(log_event, refuses_a_line_over_the_limit_and_never_cuts_one) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl", .max_line_bytes = 200, .on_error = [](const annals::error&) {}});
  const std::size_t frame = 83;  // of a line with an empty detail, newline included
  EXPECT_TRUE(log_at_noon(log, {.detail = std::string(200 - frame, 'x')}));
  EXPECT_EQ(content_of(dir / "audit.jsonl").size(), 200U);
  const annals::receipt made = log_at_noon(log, {.detail = std::string(201 - frame, 'x')});
  EXPECT_FALSE(made);
  EXPECT_EQ(made.cause()->code, annals::errc::line_too_long);
  EXPECT_NE(made.message().find("201 bytes"), std::string::npos) << made.message();
  EXPECT_FALSE(log_at_noon(log, {.detail = std::string(100, '\x01')})) << "the encoded line counts";
  EXPECT_FALSE(log_at_noon(log, {.detail = std::string(100'000, 'x')}));
  EXPECT_EQ(support::lines_of(dir / "audit.jsonl").size(), 1U);
}

TEST(log_event, writes_long_lines_up_to_the_limit) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl"});
  for (const std::size_t bytes : {1'000U, 1'400U, 8'100U, 8'192U, 100'000U, 1'000'000U}) {
    const std::string detail(bytes, 'x');
    EXPECT_TRUE(log_at_noon(log, {.detail = detail}));
    EXPECT_EQ(log.tail_log(1).at(0).detail, detail);
  }
}

TEST(log_event, refuses_a_gigabyte_without_reading_it) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl", .on_error = [](const annals::error&) {}});
  const char one = 'x';
  // A view of far more than there is: it would crash whoever reads it.
  EXPECT_EQ(log_at_noon(log, {.detail = std::string_view(&one, std::size_t{1} << 40)}).cause()->code,
            annals::errc::line_too_long);
}

TEST(log_event, logs_an_event_that_was_read_with_its_own_time) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl"});
  const std::string line =
      R"({"ts":"2020-01-01T00:00:00.5+01:00","container":"web","action":"x","dest":"d","n":1,"raw":{"a":[1]},"big":123456789012345678901234567890,"d":1e400})";
  EXPECT_TRUE(log.log_event(*annals::json::decode_line(line)));
  EXPECT_EQ(
      content_of(dir / "audit.jsonl"),
      R"({"ts":"2019-12-31T23:00:00.500+00:00","container":"web","action":"x","dest":"d","n":1,"raw":{"a":[1]},"big":123456789012345678901234567890,"d":1e400})"
      "\n");
}

TEST(log_event, takes_a_null_destination_of_an_event_that_was_read_for_an_absent_one) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl"});
  EXPECT_TRUE(log.log_event(*annals::json::decode_line(
      R"({"ts":"2020-01-01T00:00:00Z","container":"web","action":"x","dest":null,"detail":null,"y":null})")));
  EXPECT_EQ(content_of(dir / "audit.jsonl"), R"({"ts":"2020-01-01T00:00:00+00:00","container":"web","action":"x","y":null})"
                                             "\n");
}

TEST(log_event, refuses_an_event_that_was_read_with_a_time_that_is_none) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl", .on_error = [](const annals::error&) {}});
  const annals::receipt made = log.log_event(annals::event{.ts = "yesterday", .container = "web", .action = "x"});
  EXPECT_FALSE(made);
  EXPECT_EQ(made.cause()->code, annals::errc::invalid_time);
  EXPECT_NE(made.message().find("yesterday"), std::string::npos);
  EXPECT_TRUE(log.log_event(annals::event{.container = "web", .action = "x"})) << "no time: now";
}

TEST(audit_logger, refuses_options_that_make_no_sense) {
  const auto message_of = [](annals::logger_options options) -> std::string {
    try {
      const annals::audit_logger log(std::move(options));
    } catch (const annals::failure& e) {
      EXPECT_EQ(e.cause().code, annals::errc::invalid_argument);
      return e.what();
    }
    return "";
  };
  EXPECT_NE(message_of({}).find("path is empty"), std::string::npos);
  EXPECT_NE(message_of({.path = std::string("a\0b", 3)}).find("NUL"), std::string::npos);
  EXPECT_NE(message_of({.path = "x", .max_line_bytes = 63}).find("max_line_bytes is 63"), std::string::npos);
  EXPECT_NE(message_of({.path = "x", .max_line_bytes = annals::limits::line_bytes_ceiling + 1}).find("max_line_bytes"),
            std::string::npos);
  EXPECT_NE(message_of({.path = "x", .file_mode = 04600}).find("file_mode"), std::string::npos);
  EXPECT_NE(message_of({.path = "x", .file_mode = 0400}).find("file_mode"), std::string::npos);
  EXPECT_EQ(message_of({.path = "x"}), "");
}

class recording_sink : public annals::sink {
 public:
  struct record {
    std::string lines;
    std::vector<std::uint64_t> sequences;
    int syncs = 0;
    int reopens = 0;
    std::function<void()> on_write;
  };
  explicit recording_sink(std::shared_ptr<record> into) : into_(std::move(into)) {}
  void write(const annals::batch& b) override {
    if (into_->on_write) into_->on_write();
    into_->lines += b.lines;
    into_->sequences.push_back(b.first_sequence);
    EXPECT_EQ(b.count, 1U);
  }
  void sync() override { ++into_->syncs; }
  void reopen() override { ++into_->reopens; }
  annals::position position() override { return {1, into_->lines.size()}; }

 private:
  std::shared_ptr<record> into_;
};

TEST(audit_logger, gives_its_lines_to_a_sink_of_the_users_own) {
  const auto record = std::make_shared<recording_sink::record>();
  annals::audit_logger log({.sink = std::make_unique<recording_sink>(record)});
  EXPECT_TRUE(log_at_noon(log));
  EXPECT_TRUE(log_at_noon(log));
  EXPECT_TRUE(log.sync());
  EXPECT_TRUE(log.reopen());
  EXPECT_EQ(record->sequences, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(record->syncs, 1);
  EXPECT_EQ(record->reopens, 1);
  EXPECT_THROW((void)log.tail_log(5), annals::failure) << "no path, no file";
}

TEST(audit_logger, turns_whatever_a_sink_throws_into_a_failed_event) {
  const auto record = std::make_shared<recording_sink::record>();
  std::vector<std::string> heard;
  annals::audit_logger log({.on_error = [&](const annals::error& e) { heard.push_back(e.message); },
                            .sink = std::make_unique<recording_sink>(record)});
  record->on_write = [] { throw annals::sink_error({annals::errc::io, 5, "the tape is full"}); };
  EXPECT_EQ(log_at_noon(log).message(), "the tape is full");
  record->on_write = [] { throw std::runtime_error("odd"); };
  EXPECT_EQ(log_at_noon(log).message(), "the sink failed: odd");
  record->on_write = [] { throw 42; };
  EXPECT_FALSE(log_at_noon(log));
  record->on_write = [] { throw std::bad_alloc(); };
  EXPECT_FALSE(log_at_noon(log));
  record->on_write = nullptr;
  EXPECT_EQ(log_at_noon(log).sequence(), 1U);
  EXPECT_EQ(log.stats().failed, 4U);
  ASSERT_GE(heard.size(), 2U);
  EXPECT_EQ(heard[0], "the tape is full");
}

TEST(log_event, does_not_refuse_raw_json_for_its_white_space) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl", .max_line_bytes = 200});
  EXPECT_TRUE(log_at_noon(log, {.fields = {{"x", annals::raw_json{std::string(1'500'000, ' ') + "1"}}}}));
}

TEST(audit_logger, hears_a_sink_that_has_something_to_say_when_it_is_destroyed) {
  class leaving_sink : public annals::sink {
   public:
    ~leaving_sink() override { notify({annals::notice_code::other, annals::severity::info, 0, "goodbye"}); }
    void write(const annals::batch&) override {}
    void sync() override {}
    void reopen() override {}
    annals::position position() override { return {}; }
  };
  std::vector<std::string> heard;
  {
    const annals::audit_logger log(
        {.on_notice = [&](const annals::notice& n) { heard.push_back(n.message); }, .sink = std::make_unique<leaving_sink>()});
  }
  EXPECT_EQ(heard, std::vector<std::string>{"goodbye"});
}

// A sink that owns a logger: its lock is taken while the outer logger's is held, and a fork must not wait for them the other
// way round.
TEST(audit_logger, may_be_owned_by_a_sink_while_the_process_forks) {
  class tee_sink : public annals::sink {
   public:
    explicit tee_sink(std::string path) : inner_({.path = std::move(path)}) {}
    void write(const annals::batch& b) override { EXPECT_TRUE(inner_.log_event("tee", std::to_string(b.first_sequence))); }
    void sync() override { EXPECT_TRUE(inner_.sync()); }
    void reopen() override {}
    annals::position position() override { return {}; }

   private:
    annals::audit_logger inner_;
  };
  const support::temp_directory dir;
  annals::audit_logger log({.sink = std::make_unique<tee_sink>(dir / "audit.jsonl")});
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      while (!done) EXPECT_TRUE(log_at_noon(log));
    });
  }
  for (int i = 0; i < 100; ++i) {
    support::expect_zero_in_child([&] { return log_at_noon(log) ? 0 : 1; });
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
}

TEST(audit_logger, never_calls_its_sink_from_two_threads_at_a_time) {
  const auto record = std::make_shared<recording_sink::record>();
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  record->on_write = [&] {
    most = std::max(most.load(), ++inside);
    std::this_thread::yield();
    --inside;
  };
  annals::audit_logger log({.sink = std::make_unique<recording_sink>(record)});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) EXPECT_TRUE(log_at_noon(log));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(most.load(), 1);
  for (std::size_t i = 0; i < record->sequences.size(); ++i) ASSERT_EQ(record->sequences[i], i + 1);
}

TEST(audit_logger, may_be_switched_read_and_synced_from_any_thread_while_others_log) {
  const support::temp_directory dir;
  annals::audit_logger log({.path = dir / "audit.jsonl"});
  std::atomic<bool> done = false;
  std::thread other([&] {
    while (!done) {
      log.set_enabled(!log.enabled());
      (void)log.stats();
      EXPECT_TRUE(log.sync());
      EXPECT_TRUE(log.reopen());
      (void)log.tail_log(3);
    }
  });
  std::uint64_t accepted = 0;
  for (int i = 0; i < 5000; ++i) {
    const annals::receipt made = log_at_noon(log);
    EXPECT_TRUE(made);
    if (made.accepted()) ++accepted;
  }
  done = true;
  other.join();
  EXPECT_EQ(support::lines_of(dir / "audit.jsonl").size(), accepted);
}

}  // namespace
