// SPDX-License-Identifier: Apache-2.0
//
// Every way in which the system can refuse. In each: the receipt tells file and cause, the counter counts, nothing is thrown,
// and logging goes on when the cause is gone.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/child.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
#include "support/faulty_calls.h"

namespace {

using support::call;

class faults : public testing::Test {
 protected:
  annals::receipt log_one() { return log.log_event("web", "x"); }

  // An event fails with this cause, named with the file.
  void expect_failure(annals::errc code, int system_code, std::string_view words) {
    const std::uint64_t failed_before = log.stats().failed;
    heard.clear();
    calls.advance(std::chrono::seconds(1));  // so that the handler hears of this one
    const annals::receipt made = log_one();
    ASSERT_FALSE(made);
    EXPECT_FALSE(made.accepted());
    EXPECT_EQ(made.cause()->code, code);
    EXPECT_EQ(made.cause()->system_code, system_code);
    EXPECT_NE(made.message().find(words), std::string::npos) << made.message();
    EXPECT_NE(made.message().find(dir.path()), std::string::npos) << made.message();
    EXPECT_EQ(log.stats().failed, failed_before + 1);
    ASSERT_FALSE(heard.empty());
  }

  // Logging goes on, and what is in the file are the events accepted, each whole.
  void expect_recovery() {
    EXPECT_TRUE(log_one());
    std::vector<annals::damage> damages;
    const auto events =
        annals::tail_log(path, 1'000'000, {.on_damage = [&](const annals::damage& d) { damages.push_back(d); }});
    EXPECT_EQ(events.size(), log.stats().accepted);
    EXPECT_LE(damages.size(), torn_lines_allowed);
  }

  support::temp_directory dir;
  support::faulty_calls calls;
  std::string path = dir / "sub/audit.jsonl";
  std::vector<annals::error> heard;
  std::size_t torn_lines_allowed = 0;
  std::vector<annals::notice> notices;
  annals::audit_logger log{{.path = path,
                            .on_error = [this](const annals::error& e) { heard.push_back(e); },
                            .on_notice = [this](const annals::notice& n) { notices.push_back(n); }}};
};

TEST_F(faults, opening_fails) {
  for (const int error : {EMFILE, ENFILE, EACCES, ENOSPC, EROFS, EIO}) {
    calls.fail(call::open, error);
    expect_failure(annals::errc::io, error, "cannot open for appending '" + path + "'");
    calls.heal();
    expect_recovery();
    EXPECT_TRUE(log.reopen());
  }
}

TEST_F(faults, making_the_directory_fails) {
  for (const int error : {EACCES, ENOSPC, EROFS, ENOTDIR}) {
    calls.fail(call::make_directory, error);
    expect_failure(annals::errc::io, error, "cannot create the directory '" + dir / "sub" + "'");
    calls.heal();
  }
  expect_recovery();
}

TEST_F(faults, examining_the_opened_file_fails) {
  calls.fail(call::status_of, EIO);
  expect_failure(annals::errc::io, EIO, "cannot examine '" + path + "'");
  calls.heal();
  expect_recovery();
}

TEST_F(faults, reading_the_tail_of_the_opened_file_fails) {
  EXPECT_TRUE(log_one());
  EXPECT_TRUE(log.reopen());
  calls.fail(call::read_at, EIO);
  expect_failure(annals::errc::io, EIO, "cannot read '" + path + "'");
  calls.heal();
  expect_recovery();
}

TEST_F(faults, writing_fails) {
  EXPECT_TRUE(log_one());
  for (const int error : {ENOSPC, EIO, EDQUOT, EFBIG}) {
    calls.fail(call::write, error);
    expect_failure(annals::errc::io, error, "cannot append to '" + path + "'");
    calls.heal();
    expect_recovery();
  }
}

TEST_F(faults, writing_is_interrupted) {
  EXPECT_TRUE(log_one());
  calls.fail(call::write, EINTR).times(5);
  EXPECT_TRUE(log_one());
  EXPECT_TRUE(heard.empty());
  expect_recovery();
}

TEST_F(faults, opening_is_interrupted) {
  calls.fail(call::open, EINTR).times(3);
  EXPECT_TRUE(log_one());
  expect_recovery();
}

TEST_F(faults, writes_are_short) {
  EXPECT_TRUE(log_one());
  for (const std::size_t bytes : {1U, 2U, 7U, 50U}) {
    calls.shorten_writes(bytes);
    EXPECT_TRUE(log_one());
  }
  EXPECT_TRUE(heard.empty());
  calls.heal();
  expect_recovery();
}

TEST_F(faults, the_disk_fills_up_in_the_middle_of_a_line) {
  EXPECT_TRUE(log_one());
  // The first write takes a part of the line, the second has no space: a failed event, and a torn line that nothing is glued
  // to.
  class full_disk : public support::faulty_calls {
   public:
    std::int64_t write(int fd, const char* bytes, std::size_t count) noexcept override {
      if (room == 0) return -ENOSPC;
      const std::size_t taken = count < room ? count : room;
      room -= taken;
      return annals::io::system_calls::write(fd, bytes, taken);
    }
    std::size_t room = 20;
  };
  {
    full_disk full;
    expect_failure(annals::errc::io, ENOSPC, "No space left on device");
    full.advance(std::chrono::seconds(1));
    expect_failure(annals::errc::io, ENOSPC, "cannot end the incomplete last line of");
    full.room = 1'000'000;
    torn_lines_allowed = 1;
    expect_recovery();
  }
  const auto lines = support::lines_of(path);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[1].size(), 20U);
}

TEST_F(faults, another_process_writes_between_the_parts_of_a_line) {
  EXPECT_TRUE(log_one());
  class crowded_disk : public support::faulty_calls {
   public:
    explicit crowded_disk(std::string file) : file_(std::move(file)) {}
    std::int64_t write(int fd, const char* bytes, std::size_t count) noexcept override {
      if (parts++ == 1) support::append_to(file_, "{\"action\":\"theirs\"}\n");
      return annals::io::system_calls::write(fd, bytes, parts == 1 ? 20 : count);
    }
    int parts = 0;

   private:
    std::string file_;
  };
  {
    crowded_disk crowded(path);
    expect_failure(annals::errc::io, 0, "another process wrote between them");
  }
  EXPECT_TRUE(log_one());
  EXPECT_EQ(log.stats().accepted, 2U);
}

TEST_F(faults, a_full_disk_for_real) {
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small = {1000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  int accepted = 0;
  while (log_one()) ++accepted;
  EXPECT_GT(accepted, 5);
  expect_failure(annals::errc::io, EFBIG, "File too large");
  EXPECT_EQ(std::filesystem::file_size(path), 1000U);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  torn_lines_allowed = 1;
  expect_recovery();
  EXPECT_EQ(log.stats().accepted, static_cast<std::uint64_t>(accepted) + 1);
}

TEST_F(faults, no_descriptor_is_left_for_real) {
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none = {3, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  expect_failure(annals::errc::io, EMFILE, "Too many open files");
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  expect_recovery();
}

TEST_F(faults, a_directory_stands_at_the_path) {
  std::filesystem::create_directories(path);
  expect_failure(annals::errc::not_a_regular_file, 0, "it is a directory; expected a regular file");
  std::filesystem::remove(path);
  expect_recovery();
}

TEST_F(faults, a_fifo_stands_at_the_path_and_does_not_block) {
  std::filesystem::create_directories(dir / "sub");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  expect_failure(annals::errc::not_a_regular_file, 0, "it is a FIFO, socket or device");
  std::filesystem::remove(path);
  expect_recovery();
}

TEST_F(faults, a_symbolic_link_stands_at_the_path_and_its_target_is_untouched) {
  std::filesystem::create_directories(dir / "sub");
  support::write_file(dir / "target", "precious");
  std::filesystem::create_symlink(dir / "target", path);
  expect_failure(annals::errc::not_a_regular_file, 0, "it is a symbolic link");
  EXPECT_EQ(support::content_of(dir / "target"), "precious");
  std::filesystem::remove(path);
  std::filesystem::create_symlink(dir / "nowhere", path);
  expect_failure(annals::errc::not_a_regular_file, 0, "it is a symbolic link");
  EXPECT_FALSE(std::filesystem::exists(dir / "nowhere"));
  std::filesystem::remove(path);
  expect_recovery();
}

TEST_F(faults, a_file_stands_where_a_directory_should) {
  support::write_file(dir / "sub", "");
  expect_failure(annals::errc::io, ENOTDIR, "Not a directory");
  std::filesystem::remove(dir / "sub");
  expect_recovery();
}

// The check of permissions is the kernel's, and does not hold for root: be an ordinary user.
TEST_F(faults, the_directory_may_not_be_written_by_an_ordinary_user) {
  std::filesystem::create_directories(dir / "sub");
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
  support::expect_zero_in_child([this] {
    if (::geteuid() == 0) {
      if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 10;
    } else {
      ::chmod((dir / "sub").c_str(), 0500);
    }
    const annals::receipt made = log_one();
    if (made || made.cause()->system_code != EACCES) return 11;
    if (made.message() != "cannot open for appending '" + path + "': Permission denied") return 12;
    return log.stats().failed == 1 && heard.size() == 1 ? 0 : 13;
  });
  ::chmod((dir / "sub").c_str(), 0700);
  expect_recovery();
}

TEST_F(faults, looking_whether_the_file_was_replaced_fails_and_logging_goes_on) {
  EXPECT_TRUE(log_one());
  calls.fail(call::status_at, EACCES);
  calls.advance(std::chrono::seconds(1));
  EXPECT_TRUE(log_one()) << "what we hold is a file all the same";
  EXPECT_EQ(log.stats().notices, 1U);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].code, annals::notice_code::check_failed);
  EXPECT_EQ(notices[0].system_code, EACCES);
  EXPECT_NE(notices[0].message.find("cannot examine '" + path + "'"), std::string::npos);
  calls.heal();
  expect_recovery();
}

}  // namespace
