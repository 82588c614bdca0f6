// SPDX-License-Identifier: Apache-2.0
//
// The lock of a log: who waits for whom, and who died.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/child.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.rotation;
#include "support/faulty_calls.h"

namespace {

using annals::rotation::lock_page;
using annals::rotation::log_lock;

class lock_of_a_log : public testing::Test {
 protected:
  // Begins an append, as a writer does.
  static void enter(log_lock& lock) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!lock.enter()) {
      const auto failed = lock.catch_up();
      ASSERT_FALSE(failed) << failed->message;
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    }
  }
  // Runs `body` in a child that then waits to be killed, and kills it.
  template <class Body>
  void kill_child_after(Body body) {
    int ready[2];
    ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      body();
      if (::write(ready[1], "x", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    char byte;
    ASSERT_EQ(::read(ready[0], &byte, 1), 1);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(ready[0]);
    ::close(ready[1]);
  }

  support::temp_directory dir;
  std::string path = dir / "audit.jsonl";
};

TEST_F(lock_of_a_log, is_a_page_that_only_the_logs_owner_can_lock) {
  log_lock lock(path, 0644);
  ASSERT_TRUE(lock.lock());
  struct ::stat found;
  ASSERT_EQ(::stat((path + ".lock").c_str(), &found), 0);
  EXPECT_EQ(found.st_size, 4096);
  EXPECT_EQ(found.st_mode & 07777, 0600U);
  int checked = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    if (std::filesystem::read_symlink(entry.path(), ignored).string() != path + ".lock") continue;
    EXPECT_NE(::fcntl(std::stoi(entry.path().filename().string()), F_GETFD) & FD_CLOEXEC, 0);
    ++checked;
  }
  EXPECT_EQ(checked, 1);
}

TEST_F(lock_of_a_log, is_open_to_the_group_that_may_write_the_log) {
  const ::mode_t before = ::umask(0);
  log_lock lock(path, 0660);
  ASSERT_TRUE(lock.lock());
  ::umask(before);
  struct ::stat found;
  ASSERT_EQ(::stat((path + ".lock").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0660U);
}

TEST_F(lock_of_a_log, costs_a_writer_no_system_call) {
  log_lock lock(path);
  enter(lock);
  lock.leave();
  EXPECT_TRUE(lock.has_slot());
  int made = 0;
  const support::hooked_calls calls([&](support::system_call& one) {
    ++made;
    return one.run();
  });
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(lock.enter());
    lock.leave();
  }
  EXPECT_EQ(made, 0);
}

TEST_F(lock_of_a_log, held_exclusively_keeps_writers_out_and_tells_them_afterwards) {
  log_lock writer(path);
  log_lock other(path);
  enter(writer);
  writer.leave();
  {
    const auto held = other.lock();
    ASSERT_TRUE(held);
    EXPECT_FALSE(writer.enter());
  }
  EXPECT_FALSE(writer.enter()) << "something may have changed";
  EXPECT_FALSE(writer.catch_up());
  ASSERT_TRUE(writer.enter());
  writer.leave();
}

TEST_F(lock_of_a_log, held_exclusively_waits_for_who_is_inside_an_append) {
  log_lock writer(path);
  enter(writer);
  std::atomic<bool> has_left = false;
  std::thread rotator([&] {
    log_lock other(path);
    const auto held = other.lock();
    EXPECT_TRUE(held);
    EXPECT_TRUE(has_left);
  });
  // It is waiting once the epoch is odd.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (writer.page().epoch.load() % 2 == 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(writer.page().epoch.load() % 2, 1U);
  has_left = true;
  writer.leave();
  rotator.join();
}

TEST_F(lock_of_a_log, of_a_writer_killed_inside_an_append_is_free) {
  kill_child_after([this] {
    log_lock own(path);
    enter(own);
  });
  log_lock lock(path);
  EXPECT_TRUE(lock.lock());
  enter(lock);
  lock.leave();
}

TEST_F(lock_of_a_log, of_a_holder_that_was_killed_is_free) {
  log_lock waiting(path);
  enter(waiting);
  waiting.leave();
  kill_child_after([this] {
    log_lock own(path);
    auto held = own.lock();
    new annals::result<log_lock::exclusive>(std::move(held));  // never given back
  });
  enter(waiting);
  waiting.leave();
  log_lock fresh(path);
  EXPECT_TRUE(fresh.lock());
}

TEST_F(lock_of_a_log, has_slots_for_63_and_lets_the_others_in_one_at_a_time) {
  std::vector<std::unique_ptr<log_lock>> locks;
  for (std::size_t i = 0; i < lock_page::slots_count + 2; ++i) {
    locks.push_back(std::make_unique<log_lock>(path));
    enter(*locks.back());
    locks.back()->leave();
    EXPECT_EQ(locks.back()->has_slot(), i < lock_page::slots_count) << i;
  }
  log_lock& without = *locks.back();
  enter(without);
  enter(*locks.front());
  locks.front()->leave();
  without.leave();
  {
    const auto held = locks.front()->lock();
    ASSERT_TRUE(held);
  }
  EXPECT_FALSE(without.enter());
  enter(without);
  without.leave();
  locks.erase(locks.begin());
  without.look();
  EXPECT_TRUE(without.has_slot()) << "one has become free";
}

TEST_F(lock_of_a_log, that_was_removed_or_replaced_is_made_anew) {
  log_lock lock(path);
  enter(lock);
  lock.leave();
  std::filesystem::remove(path + ".lock");
  lock.look();
  EXPECT_FALSE(lock.enter());
  enter(lock);
  lock.leave();
  EXPECT_EQ(std::filesystem::file_size(path + ".lock"), 4096U);
  std::filesystem::rename(path + ".lock", path + ".old");
  EXPECT_TRUE(lock.lock());
  EXPECT_EQ(std::filesystem::file_size(path + ".lock"), 4096U);
}

TEST_F(lock_of_a_log, that_was_cut_is_set_up_again) {
  support::write_file(path + ".lock", "");
  log_lock lock(path);
  EXPECT_TRUE(lock.lock());
  support::write_file(dir / "other.jsonl.lock", std::string(4096, '\0'));
  log_lock zeros(dir / "other.jsonl");
  EXPECT_TRUE(zeros.lock());
}

TEST_F(lock_of_a_log, that_is_something_else_is_refused_and_left_alone) {
  const std::string foreign(5000, 'x');
  support::write_file(path + ".lock", foreign);
  log_lock lock(path);
  const auto held = lock.lock();
  ASSERT_FALSE(held);
  EXPECT_NE(held.error().message.find("cannot use '" + path + ".lock': it is no lock of a log"), std::string::npos)
      << held.error().message;
  EXPECT_EQ(support::content_of(path + ".lock"), foreign);
  std::filesystem::remove(path + ".lock");
  std::filesystem::create_symlink(dir / "elsewhere", path + ".lock");
  EXPECT_EQ(lock.catch_up()->code, annals::errc::not_a_regular_file);
}

TEST_F(lock_of_a_log, is_not_created_by_a_user_who_would_keep_the_owner_out_and_given_to_the_owner_by_root) {
  class another_user : public support::faulty_calls {
   public:
    std::uint32_t effective_user() noexcept override { return user; }
    int status_at(const char* at, annals::io::file_status& status) noexcept override {
      const int failed = system_calls::status_at(at, status);
      status.owner = 1234;
      return failed;
    }
    int status_of(int fd, annals::io::file_status& status) noexcept override {
      const int failed = system_calls::status_of(fd, status);
      status.owner = user;  // what it creates is its own
      return failed;
    }
    int set_owner(int, std::uint32_t owner, std::uint32_t) noexcept override {
      given_to = owner;
      return 0;
    }
    std::uint32_t user = 4321;
    std::uint32_t given_to = 0;
  } calls;
  support::write_file(path, "");
  log_lock lock(path);
  const auto held = lock.lock();
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().system_code, EACCES);
  EXPECT_NE(held.error().message.find("the log belongs to user 1234"), std::string::npos) << held.error().message;
  EXPECT_FALSE(std::filesystem::exists(path + ".lock"));
  calls.user = 0;
  EXPECT_TRUE(lock.lock());
  EXPECT_EQ(calls.given_to, 1234U);
}

TEST_F(lock_of_a_log, is_not_left_by_root_who_may_not_give_it_to_the_owner_of_the_log) {
  class root_without_chown : public support::faulty_calls {
   public:
    std::uint32_t effective_user() noexcept override { return 0; }
    int status_at(const char* at, annals::io::file_status& status) noexcept override {
      const int failed = system_calls::status_at(at, status);
      if (std::string_view(at).ends_with("audit.jsonl")) status.owner = 1234;
      return failed;
    }
    int set_owner(int, std::uint32_t, std::uint32_t) noexcept override { return -EPERM; }
  } calls;
  support::write_file(path, "{}\n");
  log_lock lock(path);
  const auto held = lock.lock();
  ASSERT_FALSE(held);
  EXPECT_NE(held.error().message.find("CAP_CHOWN"), std::string::npos) << held.error().message;
  EXPECT_FALSE(std::filesystem::exists(path + ".lock"));
  EXPECT_FALSE(annals::rotate_log(path));
  EXPECT_EQ(support::content_of(path), "{}\n");
}

TEST_F(lock_of_a_log, is_the_childs_own_after_a_fork) {
  log_lock lock(path);
  enter(lock);
  lock.leave();
  int hold[2];
  ASSERT_EQ(::pipe2(hold, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(hold[1]);
    if (lock.enter()) ::_exit(1);
    if (lock.catch_up() || !lock.enter()) ::_exit(2);
    lock.leave();
    char byte;
    ::_exit(::read(hold[0], &byte, 1) == 0 ? 0 : 3);
  }
  ASSERT_TRUE(lock.enter()) << "nothing has changed for the parent";
  lock.leave();
  ::close(hold[1]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ::close(hold[0]);
}

// A program forks while another of its threads logs its first event.
TEST_F(lock_of_a_log, is_the_childs_own_though_it_was_first_opened_when_the_fork_had_begun) {
  static log_lock* opened_by_fork = nullptr;
  const auto prepare = [] {
    if (opened_by_fork != nullptr) (void)opened_by_fork->catch_up();
  };
  ASSERT_EQ(::pthread_atfork(prepare, nullptr, nullptr), 0);
  log_lock lock(path);
  opened_by_fork = &lock;
  const pid_t child = ::fork();
  if (child == 0) ::_exit(lock.enter() ? 1 : 0);  // by the parent's slot, it would be inside when the parent is
  opened_by_fork = nullptr;
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "the child took its parent's lock for its own";
  enter(lock);
  lock.leave();
}

TEST_F(lock_of_a_log, is_not_the_childs_of_a_bare_system_call) {
  log_lock lock(path);
  enter(lock);
  lock.leave();
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  if (child == 0) ::_exit(lock.enter() ? 1 : 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "the child took its parent's lock for its own";
  EXPECT_TRUE(lock.enter()) << "nothing has changed for the parent";
  lock.leave();
}

// A child that lives on must not keep its dead parent's slot, or whoever rotates would wait for it.
TEST_F(lock_of_a_log, of_a_process_that_died_inside_an_append_is_free_though_its_child_lives) {
  int grandchild_lives[2];
  ASSERT_EQ(::pipe2(grandchild_lives, O_CLOEXEC), 0);
  kill_child_after([&] {
    log_lock own(path);
    enter(own);
    if (::fork() == 0) {  // as a thread of a host would, while another logs
      ::close(grandchild_lives[1]);
      char byte;
      ::_exit(static_cast<int>(::read(grandchild_lives[0], &byte, 1)));  // until this test is over
    }
  });
  log_lock lock(path);
  const auto held = lock.lock();
  EXPECT_TRUE(held) << held.error().message;
  ::close(grandchild_lives[1]);
  ::close(grandchild_lives[0]);
}

TEST_F(lock_of_a_log, gives_numbers_that_were_never_used) {
  log_lock lock(path);
  const auto held = lock.lock();
  ASSERT_TRUE(held);
  EXPECT_EQ(*held->live_number(), 1U);
  support::write_file(dir / "audit-000041-20260101T000000Z.jsonl.zst", "");
  EXPECT_EQ(*held->live_number(), 42U);
  auto& page = lock.page();
  page.next_number.store(50);
  EXPECT_EQ(*held->live_number(), 50U) << "a listing may miss a name that is being replaced";
}

TEST_F(lock_of_a_log, whose_file_cannot_be_had_says_why) {
  support::faulty_calls calls;
  for (const auto which : {support::call::lock, support::call::open, support::call::status_of, support::call::write_at,
                           support::call::map_shared}) {
    std::filesystem::remove(path + ".lock");
    calls.fail(which, EIO);
    log_lock lock(path);
    const auto held = lock.lock();
    ASSERT_FALSE(held) << static_cast<int>(which);
    EXPECT_EQ(held.error().system_code, EIO);
    EXPECT_NE(held.error().message.find(path + ".lock"), std::string::npos) << held.error().message;
    calls.heal();
    EXPECT_TRUE(lock.lock());
  }
}

TEST_F(lock_of_a_log, works_without_locks_of_bytes) {
  support::faulty_calls calls;
  calls.fail(support::call::lock_byte, EINVAL);
  log_lock lock(path);
  enter(lock);
  EXPECT_FALSE(lock.has_slot());
  lock.leave();
  EXPECT_TRUE(lock.lock());
}

}  // namespace
