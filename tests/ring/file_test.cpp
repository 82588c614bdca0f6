// SPDX-License-Identifier: Apache-2.0
//
// The file of a ring, and what others do to it: another owner, a child of fork(2), another program, somebody who leaves
// something else there or cuts it, a disk without room.
#include <fcntl.h>
#include <gtest/gtest.h>
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
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/child.h"
#include "support/small_disk.h"
#include "support/temp_directory.h"
import annals;
#include "ring_logger.h"

namespace {

using support::a_ring;
using support::gated_sink;

TEST_F(a_ring, has_one_owner) {
  annals::audit_logger log(options());
  ASSERT_TRUE(log.log_event("web", "first"));
  support::expect_zero_in_child([&] {
    annals::audit_logger refused(options());
    const annals::receipt made = refused.log_event("web", "no");
    if (made || made.cause()->code != annals::errc::ring_not_owned) return 1;
    if (made.message().find("another process owns '" + ring_path) == std::string_view::npos) return 2;
    auto direct = options();
    direct.ring_in_use = annals::ring_in_use::use_direct;
    annals::audit_logger other(std::move(direct));
    if (!other.log_event("web", "direct").accepted()) return 3;
    return said(annals::notice_code::ring_in_use).empty() ? 4 : 0;
  });
  ASSERT_TRUE(log.sync());
  const auto events = annals::tail_log(log_path, 10);
  ASSERT_EQ(events.size(), 2U);
}

TEST_F(a_ring, is_the_parents_after_a_fork_and_the_child_logs_directly) {
  annals::audit_logger log(options());
  std::atomic<bool> stop = false;
  std::atomic<int> logged = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        if (log.log_event("parent", "x").accepted()) ++logged;
      }
    });
  }
  constexpr int children = 8;
  for (int i = 0; i < children; ++i) {
    support::expect_zero_in_child([&] {
      for (int n = 0; n < 5; ++n) {
        if (!log.log_event("child", std::to_string(i)).accepted()) return 1;
      }
      if (!log.sync()) return 2;
      return log.tail_log(5).size() == 5 ? 0 : 3;
    });
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(log.sync());
  std::map<std::string, int> counts;
  std::uint64_t damaged = 0;
  for (const annals::event& e :
       annals::tail_log(log_path, 100'000'000, {.on_damage = [&](const annals::damage&) { ++damaged; }})) {
    ++counts[e.container == "child" ? e.action : e.container];
  }
  EXPECT_EQ(damaged, 0U);
  EXPECT_EQ(counts["parent"], logged);
  for (int i = 0; i < children; ++i) EXPECT_EQ(counts[std::to_string(i)], 5);
}

// Fails in the process that made it, and takes lines in its children.
class childs_sink final : public annals::sink {
 public:
  explicit childs_sink(std::string path) : path_(std::move(path)) {}
  void write(const annals::batch& lines) override {
    if (::getpid() == refused_) throw annals::sink_error({annals::errc::io, 5, "not in this process"});
    support::append_to(path_, lines.lines);
  }
  void sync() override {}
  void reopen() override {}
  annals::position position() override { return {1, 0}; }
  bool keeps_log() const noexcept override { return true; }

 private:
  std::string path_;
  pid_t refused_ = ::getpid();
};

// A daemon logs, forks and ends; its child serves.
TEST_F(a_ring, of_a_parent_that_ended_is_brought_into_the_log_by_its_child) {
  int result[2];
  ASSERT_EQ(::pipe2(result, O_CLOEXEC), 0);
  const pid_t parent = ::fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    auto made = options();
    made.sink = std::make_unique<childs_sink>(log_path);
    auto* const log = new annals::audit_logger(std::move(made));
    for (int i = 0; i < 5; ++i) {
      if (!log->log_event("parent", std::to_string(i)).accepted()) ::_exit(1);
    }
    int parent_lives[2];
    if (::pipe2(parent_lives, O_CLOEXEC) != 0) ::_exit(2);
    if (::fork() != 0) {
      char byte = 0;
      (void)!::read(parent_lives[0], &byte, 1);  // the child has seen that a sync fails
      ::_exit(0);
    }
    const pid_t before = ::getppid();
    char code = log->sync() ? 'a' : 'k';
    (void)!::write(parent_lives[1], "x", 1);
    while (::getppid() == before) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (!log->sync()) code = 'b';
    if (!log->log_event("child", "5").accepted()) code = 'c';
    if (support::lines_of(log_path).size() != 6 || std::filesystem::exists(ring_path)) code = 'd';
    (void)!::write(result[1], &code, 1);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(parent, &status, 0), parent);
  ASSERT_EQ(status, 0);
  ::close(result[1]);
  char code = 0;
  ASSERT_EQ(::read(result[0], &code, 1), 1);
  EXPECT_EQ(code, 'k') << "a: a sync while the events are in the parent's ring; b, c, d: what came afterwards";
  ::close(result[0]);
  EXPECT_EQ(annals::tail_log(log_path, 10).size(), 6U);
}

TEST_F(a_ring, is_not_inherited_by_exec) {
  annals::audit_logger log(options());
  ASSERT_TRUE(log.log_event("web", "x"));
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.find(directory.path()) == std::string::npos) continue;
    std::ifstream info("/proc/self/fdinfo/" + entry.path().filename().string());
    const std::string text((std::istreambuf_iterator<char>(info)), std::istreambuf_iterator<char>());
    const auto flags = std::stoul(text.substr(text.find("flags:") + 6), nullptr, 8);
    EXPECT_NE(flags & O_CLOEXEC, 0U) << target;
  }
}

// What somebody else left at the ring's place is kept, reported, and not in the way.
TEST_F(a_ring, sets_aside_what_is_no_ring) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"text", "this is no ring at all, whatever else it may be: " + std::string(5000, 'x')},
      {"short", std::string("ANNALSRG") + std::string(20, '\1')},
      {"noise", [] {
         std::string noise(100'000, '\0');
         for (std::size_t i = 0; i < noise.size(); ++i) noise[i] = static_cast<char>(i * 2654435761U >> 13);
         return noise;
       }()}};
  for (const auto& [name, content] : cases) {
    heard.clear();
    support::write_file(ring_path, content);
    {
      annals::audit_logger log(options());
      ASSERT_TRUE(log.log_event("web", name)) << name;
    }
    EXPECT_NE(said(annals::notice_code::ring_damaged).find("set aside as"), std::string::npos) << name;
    bool found = false;
    for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
      const std::string path = entry.path().string();
      if (path.find(".ring.damaged-") == std::string::npos) continue;
      found = found || support::content_of(path) == content;
    }
    EXPECT_TRUE(found) << name;
  }
  EXPECT_EQ(annals::tail_log(log_path, 10).size(), cases.size());
}

TEST_F(a_ring, is_opened_without_a_lock_that_a_notice_handler_needs_to_log) {
  support::write_file(ring_path, "this is not a ring");
  annals::audit_logger* self = nullptr;
  int noticed = 0;
  auto made = options();
  made.on_notice = [&](const annals::notice&) { noticed += self->log_event("web", "noticed").accepted() ? 1 : 0; };
  annals::audit_logger log(std::move(made));
  self = &log;
  ASSERT_TRUE(log.log_event("web", "x"));
  EXPECT_EQ(noticed, 1);
  EXPECT_EQ(log.tail_log(10).size(), 2U);
}

TEST_F(a_ring, of_zeros_is_one_that_nobody_has_used) {
  support::write_file(ring_path, std::string(10'000, '\0'));
  annals::audit_logger log(options());
  ASSERT_TRUE(log.log_event("web", "x"));
  EXPECT_TRUE(heard.empty());
  EXPECT_TRUE(notices.empty());
}

TEST_F(a_ring, whose_file_is_cut_is_an_error_and_not_the_end) {
  gated_sink::control gate;
  auto made = options();
  made.sink = std::make_unique<gated_sink>(gate);
  annals::audit_logger log(std::move(made));
  ASSERT_TRUE(log.log_event("web", "before"));
  ASSERT_TRUE(log.sync());
  ASSERT_EQ(::truncate(ring_path.c_str(), 0), 0);
  annals::receipt refused;
  for (int i = 0; i < 10'000 && refused; ++i) refused = log.log_event("web", "x");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.cause()->code, annals::errc::ring_damaged);
  EXPECT_TRUE(log.log_event("web", "after").accepted());
  EXPECT_NE(gate.taken().find("after"), std::string::npos);
}

TEST_F(a_ring, is_refused_where_the_disk_has_no_room_for_all_of_it) {
  const std::string mounted = directory / "small";
  const support::small_disk disk(mounted, "256k");
  if (!disk.is_there()) GTEST_SKIP() << disk.why_not();
  {
    auto made = options();
    made.path = mounted + "/audit.jsonl";
    made.ring_bytes = 1024 * 1024;
    annals::audit_logger log(std::move(made));
    const annals::receipt refused = log.log_event("web", "x");
    EXPECT_FALSE(refused);
    EXPECT_EQ(refused.cause()->code, annals::errc::io);
    EXPECT_EQ(refused.cause()->system_code, ENOSPC) << refused.message();
    EXPECT_FALSE(std::filesystem::exists(mounted + "/audit.jsonl.ring"));
  }
  {
    auto made = options();
    made.path = mounted + "/audit.jsonl";
    annals::audit_logger log(std::move(made));
    EXPECT_TRUE(log.log_event("web", "x"));
  }
}

}  // namespace
