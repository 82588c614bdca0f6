// SPDX-License-Identifier: Apache-2.0
//
// How followers wait: with one inotify instance for the process, and without one.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "support/call_filter.h"
#include "support/child.h"
#include "support/temp_directory.h"
import annals;

namespace {

using namespace std::chrono_literals;
using support::append_to;
using support::write_file;

std::string line(std::string_view action) {
  return "{\"action\":\"" + std::string(action) + "\"}\n";
}

class waiting_followers : public testing::Test {
 protected:
  support::temp_directory dir;
  std::string path = dir / "audit.jsonl";
};

int inotify_instances() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone) == "anon_inode:inotify") ++count;
  }
  return count;
}

TEST_F(waiting_followers, take_one_inotify_instance_for_all_followers_of_a_process) {
  constexpr int count = 300;
  write_file(path, "");
  std::vector<annals::follower> all;
  for (int i = 0; i < count; ++i) all.push_back(annals::follow(path));
  EXPECT_EQ(inotify_instances(), 1);
  std::atomic<int> got = 0;
  std::vector<std::thread> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.emplace_back([&, i] {
      const auto e = all[static_cast<std::size_t>(i)].next(60s);
      if (e && e->action == "a") ++got;
    });
  }
  append_to(path, line("a"));
  for (std::thread& one : waiting) one.join();
  EXPECT_EQ(got, 20);
  for (int i = 20; i < count; ++i) EXPECT_TRUE(all[static_cast<std::size_t>(i)].next(60s)) << i;
}

TEST_F(waiting_followers, go_on_when_the_one_that_reads_for_all_is_stopped) {
  write_file(path, "");
  for (int round = 0; round < 20; ++round) {
    annals::follower first = annals::follow(path);
    annals::follower second = annals::follow(path, annals::read_tail(path, 0).next);
    std::thread leader([&] { (void)first.next(60s); });
    std::thread other([&] { EXPECT_TRUE(second.next(60s)); });
    first.stop();
    leader.join();
    append_to(path, line("a"));
    other.join();
  }
}

TEST_F(waiting_followers, look_at_the_file_by_themselves_where_no_inotify_instance_is_left) {
  write_file(path, line("a"));
  support::expect_zero_in_child([&] {
    if (!support::refuse_call(SYS_inotify_init1, EMFILE)) return 4;
    annals::follower own = annals::follow(path);
    if (inotify_instances() != 0) return 1;
    if (!own.next(0ms)) return 2;
    std::thread writer([&] { append_to(path, line("b")); });
    const auto b = own.next(60s);
    writer.join();
    return b && b->action == "b" ? 0 : 3;
  });
}

TEST_F(waiting_followers, go_on_when_the_process_closes_its_descriptors) {
  write_file(path, "");
  annals::follower own = annals::follow(path);
  EXPECT_FALSE(own.next(0ms));
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.starts_with("anon_inode:") || target == path) ::close(std::stoi(entry.path().filename()));
  }
  append_to(path, line("a"));
  EXPECT_EQ(own.next(60s).value().action, "a");
  append_to(path, line("b"));
  EXPECT_EQ(own.next(60s).value().action, "b");
}

}  // namespace
