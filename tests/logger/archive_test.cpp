// SPDX-License-Identifier: Apache-2.0
//
// Archiving in the background: when, in which order, and what becomes of failures. The archiver here renames.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
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

#include "support/child.h"
#include "support/temp_directory.h"
import annals;
import annals.archiver;
import annals.io;
#include "support/faulty_calls.h"

namespace {

using namespace std::chrono_literals;

// Waits for a condition, not for a time.
bool eventually(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

// What an archiver was asked for, and how it is to behave.
struct orders {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::uint64_t> asked;
  std::uint64_t failing = 0;  // this segment fails
  int system_code = EIO;
  bool held = false;  // it does not return
  int nice = -1;

  std::size_t count() {
    const std::lock_guard lock(mutex);
    return asked.size();
  }
};

class renaming_archiver final : public annals::archiver {
 public:
  explicit renaming_archiver(orders& given) : orders_(given) {}
  void archive(const annals::closed_segment& segment) override {
    std::unique_lock lock(orders_.mutex);
    orders_.asked.push_back(segment.number);
    orders_.nice = ::getpriority(PRIO_PROCESS, 0);  // of this thread
    orders_.changed.wait(lock, [this] { return !orders_.held; });
    if (segment.number == orders_.failing) {
      throw annals::sink_error({annals::errc::io, orders_.system_code, "cannot archive '" + segment.path + "': on purpose"});
    }
    std::filesystem::rename(segment.path, segment.path + ".zst");
  }

 private:
  orders& orders_;
};

class log_directory {
 public:
  std::string path() const { return directory_ / "audit.jsonl"; }
  std::string segment(int number) const {
    return directory_ / ("audit-00000" + std::to_string(number) + "-20260101T000000Z.jsonl");
  }
  void close(int number) const { support::write_file(segment(number), "{}\n"); }
  bool is_archived(int number) const { return std::filesystem::exists(segment(number) + ".zst"); }

 private:
  support::temp_directory directory_;
};

class heard {
 public:
  annals::notice_handler reporter() {
    return [this](const annals::notice& what) {
      const std::lock_guard lock(mutex_);
      messages_.push_back(what.message);
    };
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return messages_.size();
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> messages_;
};

std::size_t threads_of_process() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) ++count;
  return count;
}

TEST(background_archive, segments_are_archived_oldest_first_and_counted) {
  support::faulty_calls calls;
  calls.advance(1h);  // all have been left alone for long: none is due before another
  const log_directory log;
  orders given;
  heard errors;
  annals::background_archiver archiver(std::make_unique<renaming_archiver>(given), log.path(), errors.reporter());
  for (const int number : {3, 1, 2}) log.close(number);
  archiver.wake();
  ASSERT_TRUE(eventually([&] { return archiver.progress().archived == 3; }));
  EXPECT_EQ(given.asked, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(archiver.progress().bytes_in, 9U);
  EXPECT_EQ(archiver.progress().bytes_out, 9U);
  EXPECT_TRUE(eventually([&] { return archiver.progress().waiting == 0 && archiver.progress().in_work == 0; }));
  EXPECT_EQ(given.nice, 19);
  EXPECT_EQ(errors.count(), 0U);
}

TEST(background_archive, a_segment_waits_until_nothing_has_happened_to_it_for_a_second) {
  const log_directory log;
  orders given;
  heard errors;
  annals::background_archiver archiver(std::make_unique<renaming_archiver>(given), log.path(), errors.reporter());
  const auto closed = std::chrono::system_clock::now();
  log.close(1);
  archiver.wake();
  ASSERT_TRUE(eventually([&] { return log.is_archived(1); }));
  EXPECT_GE(std::chrono::system_clock::now() - closed, 990ms);
}

TEST(background_archive, there_is_no_thread_before_a_segment_is_closed) {
  const log_directory log;
  orders given;
  heard errors;
  std::thread([] {}).join();  // sanitizers begin a thread of their own with the first one
  const std::size_t before = threads_of_process();
  annals::background_archiver archiver(std::make_unique<renaming_archiver>(given), log.path(), errors.reporter());
  EXPECT_EQ(threads_of_process(), before);
  archiver.wake();
  EXPECT_EQ(threads_of_process(), before + 1);
}

TEST(background_archive, a_failure_is_told_tried_again_and_keeps_no_other_segment_waiting) {
  const log_directory log;
  orders given;
  given.failing = 1;
  heard errors;
  annals::background_archiver archiver(std::make_unique<renaming_archiver>(given), log.path(), errors.reporter());
  log.close(1);
  log.close(2);
  archiver.wake();
  ASSERT_TRUE(eventually([&] { return log.is_archived(2) && archiver.progress().failed >= 1; }));
  EXPECT_GE(errors.count(), 1U);
  {
    const std::lock_guard lock(given.mutex);
    given.failing = 0;
  }
  ASSERT_TRUE(eventually([&] { return log.is_archived(1); }));
  EXPECT_TRUE(eventually([&] { return archiver.progress().archived == 2; }));
}

TEST(background_archive, a_segment_that_another_process_archives_is_no_failure) {
  const log_directory log;
  orders given;
  given.failing = 1;
  given.system_code = EWOULDBLOCK;
  heard errors;
  annals::background_archiver archiver(std::make_unique<renaming_archiver>(given), log.path(), errors.reporter());
  log.close(1);
  archiver.wake();
  ASSERT_TRUE(eventually([&] { return given.count() >= 2; }));
  EXPECT_EQ(archiver.progress().failed, 0U);
  EXPECT_EQ(errors.count(), 0U);
}

// Does a thread of this process wait for something?
bool is_asleep(std::uint32_t thread) {
  std::string stat;
  std::getline(std::ifstream("/proc/self/task/" + std::to_string(thread) + "/stat"), stat);
  return stat.find(") S ") != std::string::npos;  // proc(5)
}

TEST(background_archive, destruction_waits_for_the_segment_in_work_and_for_no_other) {
  const log_directory log;
  orders given;
  given.held = true;
  heard errors;
  auto archiver =
      std::make_unique<annals::background_archiver>(std::make_unique<renaming_archiver>(given), log.path(), errors.reporter());
  log.close(1);
  log.close(2);
  archiver->wake();
  ASSERT_TRUE(eventually([&] { return given.count() == 1; }));
  EXPECT_EQ(archiver->progress().in_work, 1U);
  std::atomic<bool> destroyed = false;
  std::atomic<std::uint32_t> destroyer = 0;
  std::thread destroying([&] {
    destroyer = annals::io::thread_id();
    archiver.reset();
    destroyed = true;
  });
  ASSERT_TRUE(eventually([&] { return destroyer != 0 && is_asleep(destroyer); }));
  EXPECT_FALSE(destroyed);
  {
    const std::lock_guard lock(given.mutex);
    given.held = false;
  }
  given.changed.notify_all();
  destroying.join();
  EXPECT_TRUE(log.is_archived(1));
  EXPECT_FALSE(log.is_archived(2));
}

// --- in a logger -----------------------------------------------------------------------------------------------------------

// Appends to the log, and closes it as a segment when a line says so.
class closing_sink final : public annals::sink {
 public:
  explicit closing_sink(const log_directory& log) : log_(log) {}
  void write(const annals::batch& lines) override {
    std::ofstream(log_.path(), std::ios::binary | std::ios::app) << lines.lines;
    if (lines.lines.find("close") == std::string_view::npos) return;
    std::filesystem::rename(log_.path(), log_.segment(++closed_));
    notify({annals::notice_code::segment_closed, annals::severity::info, 0, "closed"});
  }
  void sync() override {}
  void reopen() override {}
  annals::position position() override { return {1, 0}; }

 private:
  const log_directory& log_;
  int closed_ = 0;
};

annals::logger_options options_of(const log_directory& log, orders& given) {
  annals::logger_options options;
  options.path = log.path();
  options.sink = std::make_unique<closing_sink>(log);
  options.archiver = std::make_unique<renaming_archiver>(given);
  options.on_error = [](const annals::error&) {};
  return options;
}

TEST(logger_archive, what_the_sink_closes_is_archived_and_stats_tell_of_it) {
  const log_directory log;
  orders given;
  annals::audit_logger logger(options_of(log, given));
  EXPECT_TRUE(logger.log_event("web", "allowed").accepted());
  EXPECT_TRUE(logger.log_event("web", "close").accepted());
  ASSERT_TRUE(eventually([&] { return logger.stats().archive.archived == 1; }));
  EXPECT_TRUE(log.is_archived(1));
  EXPECT_EQ(logger.stats().archive.failed, 0U);
  EXPECT_GT(logger.stats().archive.bytes_in, 0U);
}

TEST(logger_archive, what_earlier_processes_closed_is_archived_from_the_first_event_on) {
  const log_directory log;
  orders given;
  log.close(1);
  log.close(2);
  annals::audit_logger logger(options_of(log, given));
  EXPECT_TRUE(logger.log_event("web", "allowed").accepted());
  ASSERT_TRUE(eventually([&] { return logger.stats().archive.archived == 2; }));
}

TEST(logger_archive, is_finished_for_a_process_that_ends) {
  const log_directory log;
  orders given;
  {
    annals::audit_logger logger(options_of(log, given));
    EXPECT_EQ(logger.finish_archiving(0ms), 0U);
    EXPECT_TRUE(logger.log_event("web", "close").accepted());
    EXPECT_EQ(logger.finish_archiving(0ms), 1U) << "it is too young";
    EXPECT_EQ(logger.finish_archiving(60s), 0U);
  }
  EXPECT_TRUE(log.is_archived(1));
}

TEST(logger_archive, an_archiver_needs_the_path_of_a_log) {
  orders given;
  annals::logger_options options;
  options.sink = std::make_unique<annals::memory_sink>(std::make_shared<annals::memory_log>());
  options.archiver = std::make_unique<renaming_archiver>(given);
  EXPECT_THROW(annals::audit_logger(std::move(options)), annals::failure);
}

TEST(logger_archive, a_child_of_fork_archives_what_it_closes_and_the_parent_goes_on) {
  const log_directory log;
  orders given;
  annals::audit_logger logger(options_of(log, given));
  EXPECT_TRUE(logger.log_event("web", "close").accepted());
  ASSERT_TRUE(eventually([&] { return log.is_archived(1); }));
  support::expect_zero_in_child([&] {
    (void)logger.log_event("web", "close");  // segment 2
    return eventually([&] { return log.is_archived(2); }) ? 0 : 1;
  });
  (void)logger.log_event("web", "close");  // the parent's sink counts for itself: 2 again
  EXPECT_TRUE(eventually([&] { return logger.stats().archive.archived == 2; }));
}

}  // namespace
