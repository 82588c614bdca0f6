// SPDX-License-Identifier: Apache-2.0
//
// The archiver at its work, called without the plugin around it, so that its system calls are ours.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
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
#include <utility>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.content.seekable;
#include "archive.h"
#include "seekable/archives.h"
#include "support/counted_calls.h"

namespace {

using annals_zstd::archive_segment;

constexpr annals::seekable::writer::options small_frames = {.level = 3, .frame_bytes = annals::seekable::frame_bytes_min};

// A directory with one closed segment.
class segment {
 public:
  explicit segment(std::size_t count = 300) : lines_(support::many_lines(count)) { reset(); }

  void reset() {
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) std::filesystem::remove_all(entry);
    support::write_file(path(), lines_);
  }
  std::string path() const { return directory_ / "audit-000001-20260101T000000Z.jsonl"; }
  std::string archive() const { return path() + ".zst"; }
  const std::string& lines() const { return lines_; }

  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> found;
    for (const std::string& name : names()) found[name] = support::content_of(directory_ / name);
    return found;
  }
  void restore(const std::map<std::string, std::string>& files) {
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) std::filesystem::remove_all(entry);
    for (const auto& [name, content] : files) support::write_file(directory_ / name, content);
  }
  const std::string& directory() const { return directory_.path(); }
  std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      found.insert(entry.path().filename().string());
    }
    return found;
  }
  // What readers would find: they take the one or the other, and either has to be whole.
  void expect_readable(const std::string& when) const {
    const bool is_plain = std::filesystem::exists(path());
    const bool is_archived = std::filesystem::exists(archive());
    ASSERT_TRUE(is_plain || is_archived) << when << ": both are gone";
    if (is_plain) {
      ASSERT_TRUE(support::content_of(path()) == lines_) << when;
    }
    if (is_archived) {
      const auto had = support::all_of(support::content_of(archive()));
      ASSERT_TRUE(had.lines == lines_ && !had.has_damage()) << when;
    }
  }
  void expect_archived(const std::string& when) const {
    ASSERT_EQ(names(), std::set<std::string>{"audit-000001-20260101T000000Z.jsonl.zst"}) << when;
    expect_readable(when);
  }

 private:
  support::temp_directory directory_;
  std::string lines_;
};

std::string message_of(const std::optional<annals::error>& failed) {
  return failed ? failed->message : std::string();
}

TEST(zstd_archive, the_segment_is_replaced_by_one_that_holds_the_same_with_its_mode_and_time) {
  const segment one;
  ::chmod(one.path().c_str(), 0640);
  const auto long_ago = std::filesystem::last_write_time(one.path()) - std::chrono::hours(1000);
  std::filesystem::last_write_time(one.path(), long_ago);
  EXPECT_EQ(message_of(archive_segment(one.path(), {})), "");
  one.expect_archived("after one call");
  struct ::stat found = {};
  ASSERT_EQ(::stat(one.archive().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0640U);
  EXPECT_LT(std::filesystem::last_write_time(one.archive()) - long_ago, std::chrono::seconds(1));
  EXPECT_EQ(message_of(archive_segment(one.path(), {})), "") << "what is done is done";
}

TEST(zstd_archive, an_empty_segment_is_archived_too) {
  const segment one(0);
  EXPECT_EQ(message_of(archive_segment(one.path(), {})), "");
  one.expect_archived("empty");
}

TEST(zstd_archive, what_is_missing_or_no_file_is_an_error_that_says_so) {
  const support::temp_directory directory;
  const auto missing = archive_segment(directory / "a-000001-20260101T000000Z.jsonl", {});
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->system_code, ENOENT);
  support::write_file(directory / "target", "x\n");
  std::filesystem::create_symlink(directory / "target", directory / "link.jsonl");
  const auto link = archive_segment(directory / "link.jsonl", {});
  ASSERT_TRUE(link);
  EXPECT_EQ(link->code, annals::errc::not_a_regular_file);
  EXPECT_EQ(support::content_of(directory / "target"), "x\n");
}

// Hosts let one archiver at a time work on a segment. Should there be a second one, which does all its work between two system
// calls of the first: whichever they are, no line is lost.
TEST(zstd_archive, two_archivers_of_one_segment_lose_nothing_wherever_the_second_one_comes_between) {
  segment one(20);
  int last = 0;
  for (int nth = 1; last == 0; ++nth) {
    one.reset();
    bool is_within = false;
    {
      const support::counted_calls calls([&](int number) {
        if (number == nth && !std::exchange(is_within, true)) (void)archive_segment(one.path(), {});
        return 0;
      });
      (void)archive_segment(one.path(), {});
      if (!is_within) last = nth;
    }
    const std::string when = "the second one came at call " + std::to_string(nth);
    one.expect_readable(when);
    EXPECT_EQ(message_of(archive_segment(one.path(), {})), "") << when;
    one.expect_archived(when);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(last, 20);
}

TEST(zstd_archive, a_reader_that_locks_the_segment_does_not_stop_the_archiver) {
  const segment one;
  const auto reader = annals::io::file::open(one.path(), annals::io::open_for::reading).value();
  ASSERT_EQ(::flock(reader.descriptor(), LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(message_of(archive_segment(one.path(), {})), "");
  one.expect_archived("while a reader held a lock");
}

TEST(zstd_archive, an_archive_has_none_of_the_bits_that_let_programs_run_as_others) {
  const segment one;
  ASSERT_EQ(::chmod(one.path().c_str(), 06740), 0);
  EXPECT_EQ(message_of(archive_segment(one.path(), {})), "");
  struct ::stat found = {};
  ASSERT_EQ(::stat(one.archive().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0740U);
}

TEST(zstd_archive, an_archive_that_holds_something_else_is_left_alone_and_so_is_the_segment) {
  const segment one;
  const std::string other = support::compressed(support::many_lines(300, 7));
  support::write_file(one.archive(), other);
  const auto refused = archive_segment(one.path(), {});
  ASSERT_TRUE(refused);
  EXPECT_NE(refused->message.find("both are left"), std::string::npos) << refused->message;
  EXPECT_EQ(support::content_of(one.archive()), other);
  EXPECT_EQ(support::content_of(one.path()), one.lines());
  support::write_file(one.archive(), support::compressed(one.lines() + "more\n"));
  EXPECT_TRUE(archive_segment(one.path(), {}));
  EXPECT_EQ(support::content_of(one.path()), one.lines());
}

TEST(zstd_archive, an_archive_that_lacks_only_the_removal_is_finished_and_one_of_less_is_made_anew) {
  const segment one;
  support::write_file(one.archive(), support::compressed(one.lines()));
  EXPECT_EQ(message_of(archive_segment(one.path(), {})), "");
  one.expect_archived("only the removal was missing");
  support::write_file(one.path(), one.lines());
  support::write_file(one.archive(), support::compressed(one.lines().substr(0, one.lines().size() / 2)));
  EXPECT_EQ(message_of(archive_segment(one.path(), {})), "");
  one.expect_archived("the segment had grown");
}

TEST(zstd_archive, a_segment_that_grows_meanwhile_loses_nothing) {
  segment one(150);
  const auto count = [&] {
    const support::counted_calls calls([](int) { return 0; });
    EXPECT_EQ(message_of(archive_segment(one.path(), small_frames)), "");
    return calls.count();
  }();
  for (int n = 1; n <= count; ++n) {
    one.reset();
    const std::string late = support::many_lines(1, 300);
    bool grown = false;
    {
      const support::counted_calls calls([&](int number) {
        // Not once it is removed: what is written then is written to a file that has no name any more.
        if (number == n && std::filesystem::exists(one.path())) {
          support::append_to(one.path(), late);
          grown = true;
        }
        return 0;
      });
      const auto failed = archive_segment(one.path(), small_frames);
      ASSERT_EQ(message_of(failed), "") << n;
    }
    const auto had = support::all_of(support::content_of(one.archive()));
    // The last look at the size is what is promised: between it and the removal, nobody can look.
    const bool in_time = n < count - 8;
    ASSERT_TRUE(had.lines == one.lines() + (grown ? late : "") || !in_time) << n << " of " << count;
  }
}

// --- every system call -----------------------------------------------------------------------------------------------------

// Archives in a child that kills itself before its n-th system call. True where it came to its end before.
bool archive_and_die_at(const segment& one, int n) {
  const pid_t child = ::fork();
  if (child == 0) {
    const support::counted_calls calls([n](int number) {
      if (number == n) ::kill(::getpid(), SIGKILL);
      return 0;
    });
    ::_exit(archive_segment(one.path(), small_frames) ? 1 : 0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
  return !WIFSIGNALED(status);
}

TEST(zstd_archive, killed_before_any_system_call_and_again_in_the_next_attempt_it_loses_nothing_and_completes) {
  segment one(150);
  std::set<std::map<std::string, std::string>> states;  // that a first death leaves: many leave the same
  for (int n = 1;; ++n) {
    one.reset();
    if (archive_and_die_at(one, n)) break;
    one.expect_readable("killed at " + std::to_string(n));
    const auto state = one.files();
    if (!states.insert(state).second) continue;
    for (int m = 1;; ++m) {
      one.restore(state);
      const bool done = archive_and_die_at(one, m);
      const std::string when = "killed at " + std::to_string(n) + " and " + std::to_string(m);
      one.expect_readable(when);
      if (done) {
        one.expect_archived(when);
        break;
      }
      ASSERT_EQ(message_of(archive_segment(one.path(), small_frames)), "") << when;
      one.expect_archived(when);
      if (HasFatalFailure()) return;
    }
  }
  // Nothing done, a temporary file that grows, both whole, the archive alone.
  EXPECT_GE(states.size(), 6U);
}

TEST(zstd_archive, any_system_call_may_fail_once_or_for_ever_and_the_next_attempt_completes) {
  segment one(150);
  for (const int error : {EIO, ENOSPC, EMFILE, EDQUOT, EROFS, EINTR}) {
    for (const bool for_ever : {false, true}) {
      if (error == EINTR && for_ever) continue;  // is asked again until it works
      for (int n = 1;; ++n) {
        one.reset();
        int count = 0;
        std::optional<annals::error> failed;
        {
          const support::counted_calls calls([&](int number) { return number == n || (for_ever && number > n) ? -error : 0; });
          failed = archive_segment(one.path(), small_frames);
          count = calls.count();
        }
        if (count < n) break;
        const std::string when = "call " + std::to_string(n) + " fails with " + std::to_string(error);
        if (failed) {
          ASSERT_FALSE(failed->message.empty()) << when;
          ASSERT_NE(failed->message.find(one.directory()), std::string::npos) << when << ": " << failed->message;
        }
        one.expect_readable(when);
        if (!failed) {
          ASSERT_FALSE(std::filesystem::exists(one.path())) << when;
        }
        ASSERT_EQ(message_of(archive_segment(one.path(), small_frames)), "") << when;
        one.expect_archived(when);
        if (HasFatalFailure()) return;
      }
    }
  }
}

}  // namespace
