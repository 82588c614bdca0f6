// SPDX-License-Identifier: Apache-2.0
//
// What the rest of the process does to a logger: closes its descriptors, changes its directories and its user.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
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

#include "support/call_filter.h"
#include "support/child.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.rotation;
#include "support/faulty_calls.h"

namespace {

using namespace std::chrono_literals;

// The files of this directory that are open, by their numbers.
std::map<int, std::string> open_files(const support::temp_directory& dir) {
  std::map<int, std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.starts_with(dir.path() + "/")) found[std::stoi(entry.path().filename())] = target.substr(dir.path().size() + 1);
  }
  return found;
}

// What a daemon does to the descriptors that it does not know.
void close_all(const support::temp_directory& dir) {
  for (const auto& [fd, name] : open_files(dir)) ::close(fd);
}

// Opens another file in place of each open file of the directory, as a program does that has closed all descriptors.
void give_numbers_to(const std::string& path, const support::temp_directory& dir) {
  for (const auto& [fd, name] : open_files(dir)) {
    const int other = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ::dup2(other, fd);
    ::close(other);
  }
}

bool is_another_file_open(int fd, const std::string& path) {
  struct stat held;
  struct stat there;
  return ::fstat(fd, &held) == 0 && ::stat(path.c_str(), &there) == 0 && held.st_ino == there.st_ino;
}

class closed_descriptors : public testing::Test {
 protected:
  annals::logger_options options(annals::delivery how) {
    annals::logger_options made;
    made.path = path;
    made.delivery = how;
    made.ring_bytes = annals::limits::ring_bytes_floor;
    made.on_error = [this](const annals::error& e) { errors.push_back(e); };
    made.on_notice = [this](const annals::notice& n) { notices.push_back(n); };
    return made;
  }
  bool is_said(std::string_view text) const {
    return std::any_of(notices.begin(), notices.end(),
                       [&](const auto& one) { return one.message.find(text) != one.message.npos; });
  }

  support::temp_directory dir;
  support::temp_directory elsewhere;
  std::string path = dir / "audit.jsonl";
  std::string database = elsewhere / "customers.db";
  std::vector<annals::error> errors;
  std::vector<annals::notice> notices;
};

TEST_F(closed_descriptors, have_numbers_that_files_opened_afterwards_do_not_get) {
  annals::audit_logger log(options(annals::delivery::direct));
  ASSERT_TRUE(log.log_event("web", "before"));
  const auto open = open_files(dir);
  ASSERT_EQ(open.size(), 1U);
  EXPECT_GE(open.begin()->first, 96);
  close_all(dir);
  const int other = ::open(database.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  EXPECT_NE(other, open.begin()->first);
  EXPECT_TRUE(log.log_event("web", "after")) << "a closed descriptor is opened again by the event that meets it";
  EXPECT_TRUE(log.sync());
  ::close(other);
  EXPECT_EQ(annals::tail_log(path).size(), 2U);
  EXPECT_EQ(support::content_of(database), "");
  EXPECT_TRUE(is_said("closed by another part of this process; the file was opened again"));
}

TEST_F(closed_descriptors, lose_no_event_with_any_delivery) {
  for (const auto how : {annals::delivery::direct, annals::delivery::ring, annals::delivery::durable}) {
    std::filesystem::remove(path);
    {
      annals::audit_logger log(options(how));
      for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(log.log_event("web", std::to_string(i)));
        ASSERT_TRUE(log.sync()) << i;
        close_all(dir);
        ASSERT_TRUE(log.log_event("web", "again"));
      }
      EXPECT_TRUE(log.sync());
    }
    EXPECT_EQ(annals::tail_log(path, 100).size(), 40U) << static_cast<int>(how);
    EXPECT_FALSE(std::filesystem::exists(path + ".ring"));
    EXPECT_FALSE(std::filesystem::exists(path + ".journal"));
  }
}

TEST_F(closed_descriptors, whose_numbers_another_file_has_are_noticed_by_a_sync_and_in_a_child) {
  {
    annals::audit_logger log(options(annals::delivery::direct));
    ASSERT_TRUE(log.log_event("web", "before"));
    ASSERT_TRUE(log.sync());
    give_numbers_to(database, dir);
    EXPECT_TRUE(log.sync()) << "what was synced is in the log";
    EXPECT_TRUE(log.log_event("web", "after"));
    EXPECT_TRUE(log.sync());
  }
  EXPECT_EQ(support::content_of(database), "");
  EXPECT_EQ(annals::tail_log(path).size(), 2U);
  annals::audit_logger log(options(annals::delivery::direct));
  ASSERT_TRUE(log.log_event("web", "parent"));
  support::expect_zero_in_child([&] {
    give_numbers_to(database, dir);
    return log.log_event("web", "child") && log.sync() ? 0 : 1;
  });
  EXPECT_EQ(support::content_of(database), "");
  EXPECT_EQ(annals::tail_log(path).size(), 4U);
}

TEST_F(closed_descriptors, whose_numbers_another_file_got_report_the_events_that_went_there) {
  support::faulty_calls calls;
  annals::audit_logger log(options(annals::delivery::direct));
  ASSERT_TRUE(log.log_event("web", "before"));
  const int fd = open_files(dir).begin()->first;
  give_numbers_to(database, dir);
  (void)log.log_event("web", "lost");
  calls.advance(100ms);
  EXPECT_TRUE(log.log_event("web", "after"));
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].severity, annals::severity::error);
  EXPECT_NE(notices[0].message.find("Up to 2 events may have been written to another file"), std::string::npos)
      << notices[0].message;
  const annals::receipt synced = log.sync();
  EXPECT_FALSE(synced) << "no sync covers the lost event";
  EXPECT_TRUE(log.reopen());
  EXPECT_TRUE(log.log_event("web", "again"));
  EXPECT_TRUE(log.sync());
  EXPECT_TRUE(is_another_file_open(fd, database)) << "another file's descriptor is not closed";
  ::close(fd);
}

TEST_F(closed_descriptors, of_another_file_stay_open_when_a_logger_ends) {
  for (const auto how : {annals::delivery::direct, annals::delivery::ring, annals::delivery::durable}) {
    std::map<int, std::string> numbers;
    {
      annals::audit_logger log(options(how));
      ASSERT_TRUE(log.log_event("web", "x"));
      ASSERT_TRUE(log.sync());
      numbers = open_files(dir);
      ASSERT_FALSE(numbers.empty());
      give_numbers_to(database, dir);
    }
    for (const auto& [fd, name] : numbers) {
      EXPECT_TRUE(is_another_file_open(fd, database)) << name;
      ::close(fd);
    }
    EXPECT_EQ(support::content_of(database), "");
  }
}

TEST_F(closed_descriptors, of_another_file_stay_open_in_a_child) {
  annals::audit_logger log(options(annals::delivery::ring));
  ASSERT_TRUE(log.log_event("web", "x"));
  ASSERT_TRUE(log.sync());
  const auto numbers = open_files(dir);
  give_numbers_to(database, dir);
  support::expect_zero_in_child([&] {
    return std::all_of(numbers.begin(), numbers.end(),
                       [&](const auto& one) { return is_another_file_open(one.first, database); })
               ? 0
               : 1;
  });
  for (const auto& [fd, name] : numbers) ::close(fd);
}

TEST_F(closed_descriptors, of_a_rotating_log_are_opened_again_with_its_lock) {
  annals::rotation::triggers when;
  when.bytes_max = 200;
  annals::rotation::segment_writer writer(path, 0600, when, [this](const annals::notice& n) { notices.push_back(n); });
  const std::string line = R"({"ts":"2026-01-01T00:00:00+00:00","container":"web","action":"x"})"
                           "\n";
  for (int i = 0; i < 40; ++i) {
    if (i % 3 == 1) close_all(dir);
    if (i % 3 == 2) give_numbers_to(database, dir);
    if (i % 3 == 2) writer.sync();
    writer.write({line, 1, static_cast<std::uint64_t>(i) + 1, annals::io::calls().now()});
    writer.sync();
  }
  EXPECT_EQ(annals::tail_log(path, 100).size(), 40U);
  EXPECT_EQ(support::content_of(database), "");
}

// --- directories and users ---------------------------------------------------------------------------------------------------

class moved_process : public closed_descriptors {};

TEST_F(moved_process, to_another_directory_writes_the_same_log_with_any_delivery) {
  for (const auto how : {annals::delivery::direct, annals::delivery::ring, annals::delivery::durable}) {
    std::filesystem::remove(path);
    support::expect_zero_in_child([&] {
      if (::chdir(dir.path().c_str()) != 0) return 1;
      support::faulty_calls calls;
      auto made = options(how);
      made.path = "audit.jsonl";
      annals::audit_logger log(std::move(made));
      if (log.path() != path) return 2;
      annals::audit_logger second({.path = "audit.jsonl"});  // has opened nothing before the change
      annals::follower follower = annals::follow("audit.jsonl");
      if (!log.log_event("web", "before")) return 3;
      if (::chdir(elsewhere.path().c_str()) != 0) return 4;
      calls.advance(100ms);  // so that the path is looked at again
      if (!log.log_event("web", "after") || !second.log_event("web", "second") || !log.sync()) return 5;
      if (log.tail_log().size() != 3) return 6;
      return follower.next(0ms) ? 0 : 7;
    });
    EXPECT_EQ(annals::tail_log(path).size(), 3U);
    EXPECT_TRUE(std::filesystem::is_empty(elsewhere.path()));
  }
}

TEST_F(moved_process, gives_plugins_and_notices_the_path_from_the_beginning) {
  support::expect_zero_in_child([&] {
    if (::chdir(dir.path().c_str()) != 0) return 1;
    support::faulty_calls calls;
    std::string said;
    annals::audit_logger log({.path = "audit.jsonl", .on_notice = [&](const annals::notice& n) { said = n.message; }});
    if (!log.log_event("web", "x")) return 2;
    if (::chdir("/") != 0) return 3;
    std::filesystem::rename(path, path + ".1");
    calls.advance(100ms);
    if (!log.log_event("web", "y")) return 4;
    return said.starts_with("'" + path + "'") ? 0 : 5;
  });
}

TEST_F(moved_process, whose_working_directory_is_gone_is_told_to_give_an_absolute_path) {
  support::expect_zero_in_child([&] {
    const std::string gone = dir / "gone";
    std::filesystem::create_directory(gone);
    if (::chdir(gone.c_str()) != 0) return 1;
    std::filesystem::remove(gone);
    try {
      const annals::audit_logger log({.path = "audit.jsonl"});
    } catch (const annals::failure& e) {
      return std::string_view(e.what()).find("expected an absolute path") != std::string_view::npos ? 0 : 2;
    }
    return 3;
  });
}

TEST_F(moved_process, with_another_root_directory_goes_on_with_the_open_file) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "NOT TESTED: only root may change the root directory (chroot(2)): run this test as root";
  for (const auto how : {annals::delivery::direct, annals::delivery::ring, annals::delivery::durable}) {
    std::filesystem::remove(path);
    support::expect_zero_in_child([&] {
      support::faulty_calls calls;
      annals::audit_logger log(options(how));
      if (!log.log_event("web", "before") || !log.sync()) return 1;
      if (::chroot(elsewhere.path().c_str()) != 0) return 2;
      for (int i = 0; i < 3; ++i) {
        calls.advance(100ms);
        if (!log.log_event("web", "after")) return 3;
        if (!log.sync()) return 4;
      }
      return 0;
    });
    EXPECT_EQ(annals::tail_log(path).size(), 4U) << static_cast<int>(how);
    EXPECT_TRUE(std::filesystem::is_empty(elsewhere.path()));
  }
}

TEST_F(moved_process, with_another_root_directory_does_not_split_a_rotating_log) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "NOT TESTED: only root may change the root directory (chroot(2)): run this test as root";
  support::expect_zero_in_child([&] {
    support::faulty_calls calls;
    annals::rotation::triggers when;
    when.bytes_max = 200;
    annals::rotation::segment_writer writer(path, 0600, when, [](const annals::notice&) {});
    const std::string line = R"({"ts":"2026-01-01T00:00:00+00:00","container":"web","action":"x"})"
                             "\n";
    for (int i = 0; i < 20; ++i) {
      if (i == 10 && ::chroot(elsewhere.path().c_str()) != 0) return 1;
      calls.advance(100ms);
      writer.write({line, 1, static_cast<std::uint64_t>(i) + 1, annals::io::calls().now()});
    }
    return 0;
  });
  EXPECT_EQ(annals::tail_log(path, 100).size(), 20U);
  EXPECT_TRUE(std::filesystem::is_empty(elsewhere.path()));
}

TEST_F(moved_process, to_an_ordinary_user_goes_on_with_what_root_opened) {
  if (::geteuid() != 0) GTEST_SKIP() << "NOT TESTED: only root may become another user (setuid(2)): run this test as root";
  for (const auto how : {annals::delivery::direct, annals::delivery::ring, annals::delivery::durable}) {
    std::filesystem::remove(path);
    support::expect_zero_in_child([&] {
      support::faulty_calls calls;
      annals::audit_logger log(options(how));
      if (!log.log_event("web", "before") || !log.sync()) return 1;
      if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 2;
      for (int i = 0; i < 3; ++i) {
        calls.advance(100ms);
        if (!log.log_event("web", "after")) return 3;
      }
      return log.sync() ? 0 : 4;
    });
    EXPECT_EQ(annals::tail_log(path).size(), 4U) << static_cast<int>(how);
  }
}

// --- files of others ---------------------------------------------------------------------------------------------------------

TEST(protected_regular, files_of_another_user_in_a_sticky_directory_are_opened_and_not_created) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "NOT TESTED: only root may give files to another user (chown(2)): run this test as root";
  const support::temp_directory dir;
  ASSERT_EQ(::chmod(dir.path().c_str(), 01777), 0);
  const std::string path = dir / "audit.jsonl";
  support::write_file(path, "{\"action\":\"theirs\"}\n");
  ASSERT_EQ(::chown(path.c_str(), 65534, 65534), 0);
  support::expect_zero_in_child([&] {
    if (!support::refuse_creation()) return 1;
    annals::audit_logger log({.path = path});
    return log.log_event("web", "ours") ? 0 : 2;
  });
  EXPECT_EQ(annals::tail_log(path).size(), 2U);
}

}  // namespace
