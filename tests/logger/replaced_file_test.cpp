// SPDX-License-Identifier: Apache-2.0
//
// The live segment is renamed, removed, replaced or left torn by somebody else.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
#include "support/faulty_calls.h"

namespace {

using namespace std::chrono_literals;

class replaced_file : public testing::Test {
 protected:
  void log_one(const char* action = "x") { EXPECT_TRUE(log.log_event("web", action)); }

  support::temp_directory dir;
  support::faulty_calls calls;
  std::string path = dir / "audit.jsonl";
  std::vector<annals::notice> heard;
  annals::audit_logger log{{.path = path, .on_notice = [this](const annals::notice& n) { heard.push_back(n); }}};
};

TEST_F(replaced_file, renamed_is_noticed_within_100_ms) {
  log_one("before");
  std::filesystem::rename(path, path + ".1");
  calls.advance(100ms);
  log_one("after");
  EXPECT_EQ(annals::tail_log(path + ".1").at(0).action, "before");
  EXPECT_EQ(annals::tail_log(path).at(0).action, "after");
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(heard[0].code, annals::notice_code::file_replaced);
  EXPECT_NE(heard[0].message.find("was renamed or replaced by somebody else; the last event may be in the old file"),
            std::string::npos)
      << heard[0].message;
  EXPECT_EQ(log.stats().notices, 1U);
  EXPECT_EQ(log.stats().failed, 0U);
}

TEST_F(replaced_file, removed_is_noticed_and_made_anew_with_its_directory) {
  path = dir / "sub/audit.jsonl";
  annals::audit_logger own({.path = path, .on_notice = [this](const annals::notice& n) { heard.push_back(n); }});
  EXPECT_TRUE(own.log_event("web", "before"));
  std::filesystem::remove_all(dir / "sub");
  calls.advance(100ms);
  EXPECT_TRUE(own.log_event("web", "after"));
  EXPECT_EQ(annals::tail_log(path).size(), 1U);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_NE(heard[0].message.find("was removed by somebody else; the last event written to it may be lost"), std::string::npos)
      << heard[0].message;
}

TEST_F(replaced_file, another_file_at_the_path_is_continued) {
  log_one();
  support::write_file(path + ".new", "{\"action\":\"theirs\"}\n");
  std::filesystem::rename(path + ".new", path);
  calls.advance(100ms);
  log_one("ours");
  const auto events = annals::tail_log(path);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].action, "theirs");
  EXPECT_EQ(events[1].action, "ours");
}

TEST_F(replaced_file, reopen_goes_to_the_file_at_the_path_at_once) {
  log_one("before");
  std::filesystem::rename(path, path + ".1");
  EXPECT_TRUE(log.reopen());
  log_one("after");
  EXPECT_EQ(annals::tail_log(path).at(0).action, "after");
  EXPECT_TRUE(heard.empty()) << "it was meant";
}

TEST_F(replaced_file, is_not_looked_for_more_often_than_every_100_ms) {
  log_one();
  const int before = calls.count(support::call::status_at);
  calls.advance(100ms);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) log_one();
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_LE(calls.count(support::call::status_at) - before, 2 + took / 90ms);
}

TEST_F(replaced_file, renaming_again_and_again_under_load_loses_nothing) {
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  std::atomic<bool> done = false;
  std::atomic<int> renamed = 0;
  std::thread renamer([&] {
    while (!done) {
      std::error_code missing;
      std::filesystem::rename(path, path + "." + std::to_string(renamed), missing);
      if (!missing) ++renamed;
      calls.advance(100ms);
      std::this_thread::yield();
    }
  });
  int count = 0;
  for (; count < 3000 || (renamed < 10 && std::chrono::steady_clock::now() < deadline); ++count) {
    EXPECT_TRUE(log.log_event("web", "x", {.fields = {{"number", count}}}));
  }
  done = true;
  renamer.join();
  EXPECT_GE(renamed, 10);
  EXPECT_EQ(log.stats().failed, 0U);
  std::multiset<std::int64_t> numbers;
  for (int file = -1; file < renamed; ++file) {
    for (const annals::event& e : annals::tail_log(file < 0 ? path : path + "." + std::to_string(file), 1'000'000)) {
      numbers.insert(std::get<std::int64_t>(*e.find("number")));
    }
  }
  ASSERT_EQ(numbers.size(), static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) ASSERT_EQ(numbers.count(i), 1U) << i;
}

TEST_F(replaced_file, removal_again_and_again_under_load_is_counted_and_does_not_stop_logging) {
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  std::atomic<bool> done = false;
  std::atomic<int> removed = 0;
  std::thread remover([&] {
    while (!done) {
      std::error_code ignored;
      if (std::filesystem::remove(path, ignored)) ++removed;
      calls.advance(100ms);
      std::this_thread::yield();
    }
  });
  std::uint64_t count = 0;
  for (; count < 3000 || (removed < 10 && std::chrono::steady_clock::now() < deadline); ++count) log_one();
  done = true;
  remover.join();
  EXPECT_GE(removed, 10);
  calls.advance(100ms);
  log_one("last");
  EXPECT_EQ(log.stats().accepted, count + 1);
  EXPECT_EQ(log.stats().failed, 0U);
  EXPECT_EQ(annals::tail_log(path, 1).at(0).action, "last");
  EXPECT_EQ(heard.size(), log.stats().notices) << "each removal is told of";
}

TEST(torn_tail, of_a_writer_killed_later_does_not_cost_the_line_behind_it) {
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  annals::audit_logger log({.path = path});
  EXPECT_TRUE(log.log_event("web", "first"));
  support::append_to(path, "{\"ts\":\"2026-03-07T12:00:00+00:00\",\"container\":\"other\",\"det");  // another process, killed
  EXPECT_TRUE(log.log_event("web", "glued"));
  EXPECT_TRUE(log.log_event("web", "last"));
  std::vector<annals::damage> damages;
  const auto events = annals::tail_log(path, 50, {.on_damage = [&](const annals::damage& d) { damages.push_back(d); }});
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[1].action, "glued");
  ASSERT_EQ(damages.size(), 1U);
  EXPECT_EQ(damages[0].bytes, 58U);
}

TEST(torn_tail, of_a_dead_writer_is_ended_first_and_reported) {
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  support::write_file(path, "{\"action\":\"a\"}\n{\"action\":\"to");
  std::vector<annals::notice> heard;
  annals::audit_logger log({.path = path, .on_notice = [&](const annals::notice& n) { heard.push_back(n); }});
  EXPECT_TRUE(log.log_event("web", "b"));
  const auto lines = support::lines_of(path);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[1], "{\"action\":\"to");
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(heard[0].code, annals::notice_code::partial_line);
  EXPECT_NE(heard[0].message.find("up to offset 28"), std::string::npos) << heard[0].message;
  std::vector<annals::damage> damages;
  EXPECT_EQ(annals::tail_log(path, 50, {.on_damage = [&](const annals::damage& d) { damages.push_back(d); }}).size(), 2U);
  ASSERT_EQ(damages.size(), 1U);
  EXPECT_EQ(damages[0].offset, 15U);
}

TEST(torn_tail, that_only_lacks_its_newline_is_kept_as_an_event) {
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  support::write_file(path, "{\"action\":\"a\"}");
  annals::audit_logger log({.path = path, .on_error = [](const annals::error&) {}});
  EXPECT_TRUE(log.log_event("web", "b"));
  const auto events = log.tail_log();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].action, "a");
}

TEST(torn_tail, of_a_living_writer_is_left_to_it) {
  const support::temp_directory dir;
  const std::string path = dir / "audit.jsonl";
  support::write_file(path, "{\"action\":\"slow");
  // The other writer goes on as soon as our logger looks at the tail.
  class slow_writer : public support::faulty_calls {
   public:
    explicit slow_writer(std::string file) : file_(std::move(file)) {}
    std::int64_t read_at(int fd, char* bytes, std::size_t count, std::uint64_t offset) noexcept override {
      const std::int64_t got = annals::io::system_calls::read_at(fd, bytes, count, offset);
      if (!std::exchange(finished_, true)) support::append_to(file_, "\"}\n");
      return got;
    }

   private:
    std::string file_;
    bool finished_ = false;
  } calls(path);
  annals::audit_logger log({.path = path});
  EXPECT_TRUE(log.log_event("web", "b"));
  EXPECT_EQ(support::lines_of(path).at(0), "{\"action\":\"slow\"}");
  EXPECT_EQ(log.tail_log().size(), 2U);
  EXPECT_EQ(log.stats().notices, 0U);
}

}  // namespace
