// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "support/child.h"
#include "support/temp_directory.h"
import annals;
import annals.io;

namespace {

using annals::io::open_for;

TEST(parent_of, is_the_directory_part) {
  EXPECT_EQ(annals::io::parent_of("audit.jsonl"), ".");
  EXPECT_EQ(annals::io::parent_of("a/b.jsonl"), "a");
  EXPECT_EQ(annals::io::parent_of("/b.jsonl"), "/");
  EXPECT_EQ(annals::io::parent_of("/a/b/"), "/a");
  EXPECT_EQ(annals::io::parent_of("a//b"), "a");
  EXPECT_EQ(annals::io::parent_of("/"), "/");
  EXPECT_EQ(annals::io::parent_of("//"), "/");
  EXPECT_EQ(annals::io::parent_of("../x"), "..");
}

TEST(file, is_not_inherited_by_programs_that_the_process_starts) {
  const support::temp_directory dir;
  const auto file = annals::io::file::open(dir / "f", open_for::appending);
  ASSERT_TRUE(file);
  int checked = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename().string());
    std::error_code ignored;
    if (std::filesystem::read_symlink(entry.path(), ignored).string() != dir / "f") continue;
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    ++checked;
  }
  EXPECT_EQ(checked, 1);
}

// The path of what is open cannot be found out then.
TEST(file, is_opened_to_write_where_its_path_is_longer_than_the_kernel_takes) {
  const support::temp_directory dir;
  support::expect_zero_in_child([&] {
    if (::chdir((dir / ".").c_str()) != 0) return 2;
    const std::string name(200, 'd');
    for (int i = 0; i < 25; ++i) {
      if (::mkdir(name.c_str(), 0700) != 0 || ::chdir(name.c_str()) != 0) return 3;
    }
    return annals::io::file::open("audit.jsonl", open_for::appending) ? 0 : 1;
  });
}

TEST(file, is_opened_to_write_below_a_directory_that_may_not_be_searched) {
  const support::temp_directory dir;
  support::expect_zero_in_child([&] {
    constexpr unsigned nobody = 65534;
    const std::string above = dir / "above";
    if (::mkdir(above.c_str(), 0700) != 0 || ::mkdir((above + "/below").c_str(), 0700) != 0) return 2;
    if (::chdir((above + "/below").c_str()) != 0 || ::chmod(above.c_str(), 0) != 0) return 3;
    if (::geteuid() == 0 && (::chown(".", nobody, nobody) != 0 || ::setgid(nobody) != 0 || ::setuid(nobody) != 0)) return 4;
    const bool opened = static_cast<bool>(annals::io::file::open("audit.jsonl", open_for::appending));
    if (::geteuid() != nobody) ::chmod(above.c_str(), 0700);
    return opened ? 0 : 1;
  });
}

TEST(file, reads_fewer_bytes_only_at_its_end) {
  const support::temp_directory dir;
  support::write_file(dir / "f", "0123456789");
  const auto file = annals::io::file::open(dir / "f", open_for::reading);
  ASSERT_TRUE(file);
  char bytes[20];
  EXPECT_EQ(*file->read_at(bytes, 20, 4), 6U);
  EXPECT_EQ(*file->read_at(bytes, 20, 10), 0U);
  EXPECT_EQ(*file->read_before(4, 3), "123");
  EXPECT_EQ(*file->read_before(2, 64), "01");
}

TEST(file, that_is_missing_is_an_error_with_path_and_cause) {
  const support::temp_directory dir;
  const auto file = annals::io::file::open(dir / "none", open_for::reading);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().system_code, ENOENT);
  EXPECT_EQ(file.error().message, "cannot open '" + dir / "none" + "': No such file or directory");
}

TEST(change_watch, returns_soon_when_the_system_has_no_descriptor_left) {
  const support::temp_directory dir;
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none = {3, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  annals::io::change_watch watch(dir / "f");
  const auto failed = watch.wait(std::nullopt);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_FALSE(failed) << failed->message;
}

}  // namespace
