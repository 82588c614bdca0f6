// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>
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
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/child.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.io.owned_file;
#include "support/faulty_calls.h"

namespace {

using annals::io::owned_file;
using std::chrono::milliseconds;
using std::chrono::seconds;
using support::call;

constexpr milliseconds no_wait{0};

owned_file taken(const std::string& path) {
  auto owned = owned_file::take(path, 0600, no_wait);
  if (!owned || !*owned) {
    ADD_FAILURE() << "cannot take " << path << (owned ? "" : ": " + owned.error().message);
    return {};
  }
  return std::move(**owned);
}

bool is_free(const std::string& path) {
  return owned_file::take(path, 0600, no_wait).value().has_value();
}

TEST(owned_file, is_created_with_its_mode_and_missing_directories) {
  const support::temp_directory dir;
  std::vector<std::string> grown;
  const auto owned = owned_file::take(dir / "a/b/f", 0640, no_wait, &grown);
  ASSERT_TRUE(owned && *owned);
  struct stat status;
  ASSERT_EQ(::stat((dir / "a/b/f").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640U & ~022U);
  EXPECT_EQ(grown, (std::vector<std::string>{dir.path(), dir / "a"}));
  EXPECT_EQ((*owned)->path(), dir / "a/b/f");
}

TEST(owned_file, has_one_owner_at_a_time) {
  const support::temp_directory dir;
  std::optional<owned_file> first = taken(dir / "f");
  EXPECT_FALSE(is_free(dir / "f"));
  auto second = owned_file::open(dir / "f", 0600).value();
  EXPECT_FALSE(second.try_lock().value());
  first->unlock();
  EXPECT_TRUE(second.try_lock().value());
  EXPECT_FALSE(first->try_lock().value());
  second = {};
  EXPECT_TRUE(first->try_lock().value());
  first.reset();
  EXPECT_TRUE(is_free(dir / "f"));
}

TEST(owned_file, is_taken_once_the_other_owner_releases_it_within_the_wait) {
  const support::temp_directory dir;
  std::optional<owned_file> first = taken(dir / "f");
  EXPECT_FALSE(owned_file::take(dir / "f", 0600, milliseconds(5)).value());
  std::thread releases([&] { first.reset(); });
  EXPECT_TRUE(owned_file::take(dir / "f", 0600, seconds(60)).value());
  releases.join();
}

TEST(owned_file, is_not_a_symbolic_link_or_a_file_with_two_names) {
  const support::temp_directory dir;
  support::write_file(dir / "of another", "secret");
  std::filesystem::create_symlink(dir / "of another", dir / "symbolic");
  std::filesystem::create_hard_link(dir / "of another", dir / "hard");
  for (const char* name : {"symbolic", "hard"}) {
    const auto owned = owned_file::take(dir / name, 0600, no_wait);
    ASSERT_FALSE(owned) << name;
    EXPECT_EQ(owned.error().code, annals::errc::not_a_regular_file) << name;
  }
}

// Replaces the file at a path whenever it is being locked, as another process could.
support::hooked_calls::hook replaced_while_locked(const std::string& path, int times) {
  return [path, left = times](support::system_call& one) mutable {
    if (one.which == call::lock && left-- > 0) {
      std::filesystem::rename(path, path + ".before");
      support::write_file(path, "new");
    }
    return one.run();
  };
}

TEST(owned_file, is_the_file_at_the_path_even_if_it_was_replaced_while_it_was_locked) {
  const support::temp_directory dir;
  const support::hooked_calls calls(replaced_while_locked(dir / "f", 3));
  const owned_file owned = taken(dir / "f");
  EXPECT_EQ(owned.status().value().bytes, 3U);
  EXPECT_TRUE(owned.status_in_place().value());
}

TEST(owned_file, is_not_taken_while_another_process_keeps_replacing_it) {
  const support::temp_directory dir;
  const support::hooked_calls calls(replaced_while_locked(dir / "f", 1'000'000));
  EXPECT_FALSE(owned_file::take(dir / "f", 0600, milliseconds(1)).value());
}

TEST(owned_file, knows_whether_the_path_still_names_it) {
  const support::temp_directory dir;
  const owned_file owned = taken(dir / "f");
  ASSERT_TRUE(owned.status_in_place().value());
  std::filesystem::rename(dir / "f", dir / "g");
  EXPECT_FALSE(owned.status_in_place().value());
  support::write_file(dir / "f", "new");
  EXPECT_FALSE(owned.status_in_place().value());
  support::faulty_calls calls;
  calls.fail(call::status_at, EACCES);
  ASSERT_FALSE(owned.status_in_place());
  EXPECT_EQ(owned.status_in_place().error().system_code, EACCES);
}

TEST(owned_file, reports_each_system_call_that_fails) {
  for (const call which : {call::open, call::status_of, call::lock, call::status_at}) {
    const support::temp_directory dir;
    support::faulty_calls calls;
    calls.fail(which, EIO);
    const auto owned = owned_file::take(dir / "f", 0600, seconds(60));
    ASSERT_FALSE(owned) << static_cast<int>(which);
    EXPECT_EQ(owned.error().system_code, EIO) << static_cast<int>(which);
    EXPECT_NE(owned.error().message.find("'" + dir / "f" + "'"), std::string::npos) << owned.error().message;
    calls.heal();
    EXPECT_TRUE(is_free(dir / "f")) << static_cast<int>(which);
  }
}

TEST(owned_file, is_set_aside_with_a_time_in_its_name) {
  const support::temp_directory dir;
  support::faulty_calls calls;
  calls.set_now(annals::time_point(std::chrono::microseconds(1'000'000)));
  owned_file owned = taken(dir / "f");
  ASSERT_FALSE(owned.write_at("damaged", 0));
  const std::string aside = owned.set_aside().value().value();
  EXPECT_EQ(aside, dir / "f.damaged-1970-01-01T00-00-01.000000");
  EXPECT_EQ(support::content_of(aside), "damaged");
  EXPECT_TRUE(is_free(dir / "f"));          // a new file
  EXPECT_FALSE(owned.set_aside().value());  // its path names the new file
  owned = taken(dir / "f");
  calls.fail(call::rename_new, ENOSPC);
  ASSERT_FALSE(owned.set_aside());
  EXPECT_EQ(owned.set_aside().error().system_code, ENOSPC);
}

TEST(owned_file, belongs_to_the_parent_alone_after_a_fork) {
  const support::temp_directory dir;
  std::optional<owned_file> owned = taken(dir / "f");
  EXPECT_FALSE(owned->is_inherited());
  support::expect_zero_in_child([&] {
    if (!owned->is_inherited() || is_free(dir / "f")) return 1;
    owned.reset();
    return is_free(dir / "f") ? 2 : 0;  // the child cannot release the parent's lock
  });
  EXPECT_FALSE(is_free(dir / "f"));
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  owned.reset();
  EXPECT_TRUE(is_free(dir / "f"));  // and does not prolong it
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

}  // namespace
