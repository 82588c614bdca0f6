// SPDX-License-Identifier: Apache-2.0
//
// In a hardened unit or a container, which allow only some system calls.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/call_filter.h"
#include "support/child.h"
#include "support/temp_directory.h"
import annals;
import annals.archiver;
import annals.io;
import annals.rotation;

namespace {

using namespace std::chrono_literals;
using annals::archive_priority;

bool eventually(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

class renaming_archiver final : public annals::archiver {
 public:
  explicit renaming_archiver(std::atomic<int>& nice) : nice_(nice) {}
  void archive(const annals::closed_segment& segment) override {
    nice_ = ::getpriority(PRIO_PROCESS, 0);  // of this thread
    if (::rename(segment.path.c_str(), (segment.path + ".zst").c_str()) != 0) throw annals::sink_error(annals::error{});
  }

 private:
  std::atomic<int>& nice_;
};

// Archives one segment. 0, or where it failed.
int archive_one(const support::temp_directory& dir, archive_priority priority, int nice_expected) {
  std::atomic<int> nice = -1;
  const std::string segment = dir / "audit-000001-20260101T000000Z.jsonl";
  support::write_file(segment, "{}\n");
  annals::background_archiver archiver(
      std::make_unique<renaming_archiver>(nice), dir / "audit.jsonl", [](const annals::notice&) {}, priority);
  archiver.wake();
  if (!eventually([&] { return std::filesystem::exists(segment + ".zst"); })) return 10;
  return nice == nice_expected ? 0 : 11;
}

TEST(filtered_calls, leave_the_priority_of_the_archiver_as_it_is) {
  for (const auto priority : {archive_priority::automatic, archive_priority::unchanged}) {
    const support::temp_directory dir;
    support::expect_zero_in_child([&] {
      if (!support::filter_calls(support::resource_calls, false)) return 1;
      return archive_one(dir, priority, ::getpriority(PRIO_PROCESS, 0));
    });
  }
}

TEST(filtered_calls, end_a_process_that_is_told_to_lower_the_priority_all_the_same) {
  const support::temp_directory dir;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const rlimit no_core = {0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::alarm(240);
    if (!support::filter_calls(support::resource_calls, false)) ::_exit(1);
    ::_exit(archive_one(dir, archive_priority::lowest, 19));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) << status;
}

TEST(archive_priority, is_the_lowest_where_no_calls_are_filtered) {
  const support::temp_directory dir;
  EXPECT_EQ(archive_one(dir, archive_priority::lowest, 19), 0);
  const support::temp_directory unchanged;
  EXPECT_EQ(archive_one(unchanged, archive_priority::unchanged, ::getpriority(PRIO_PROCESS, 0)), 0);
}

// --- the documented list -----------------------------------------------------------------------------------------------------

#define CALL(name) {#name, SYS_##name}
const std::map<std::string, int> numbers = {
    CALL(access),
    CALL(brk),
    CALL(clock_gettime),
    CALL(clock_nanosleep),
    CALL(clone3),
    CALL(close),
    CALL(eventfd2),
    CALL(exit),
    CALL(exit_group),
    CALL(fallocate),
    CALL(fchmod),
    CALL(fchown),
    CALL(fcntl),
    CALL(fdatasync),
    CALL(flock),
    CALL(fstat),
    CALL(fstatfs),
    CALL(fsync),
    CALL(futex),
    CALL(getcwd),
    CALL(getdents64),
    CALL(geteuid),
    CALL(getpid),
    CALL(getrandom),
    CALL(gettid),
    CALL(inotify_add_watch),
    CALL(inotify_init1),
    CALL(inotify_rm_watch),
    CALL(lseek),
    CALL(lstat),
    CALL(madvise),
    CALL(mkdir),
    CALL(mmap),
    CALL(mprotect),
    CALL(munmap),
    CALL(newfstatat),
    CALL(open),
    CALL(openat),
    CALL(poll),
    CALL(ppoll),
    CALL(prctl),
    CALL(pread64),
    CALL(pwrite64),
    CALL(read),
    CALL(readlink),
    CALL(rename),
    CALL(renameat2),
    CALL(rseq),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(sched_yield),
    CALL(set_robust_list),
    CALL(stat),
    CALL(statfs),
    CALL(tgkill),
    CALL(unlink),
    CALL(unlinkat),
    CALL(utimensat),
    CALL(write),
};
#undef CALL

// What the library adds that the tests of this build are linked with.
const std::vector<int> calls_of_the_build = {
#if defined(SANITIZED)
    SYS_sigaltstack, SYS_prlimit64, SYS_sched_getaffinity, SYS_mremap,
#endif
    SYS_alarm};

std::vector<int> documented_calls() {
  std::vector<int> found;
  std::ifstream page(ANNALS_DOCS "/system-calls.md");
  bool is_list = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("```")) {
      is_list = line == "```text" && found.empty();
      continue;
    }
    std::istringstream words(is_list ? line : "");
    for (std::string word; words >> word;) {
      const auto known = numbers.find(word);
      EXPECT_NE(known, numbers.end()) << word;
      if (known != numbers.end()) found.push_back(known->second);
    }
  }
  return found;
}

int use_everything(const support::temp_directory& dir) {
  for (const auto how : {annals::delivery::direct, annals::delivery::ring, annals::delivery::durable}) {
    const std::string path = dir / ("audit" + std::to_string(static_cast<int>(how)) + ".jsonl");
    annals::audit_logger log({.path = path, .delivery = how, .ring_bytes = annals::limits::ring_bytes_floor});
    annals::follower follower = annals::follow(path);
    for (int i = 0; i < 300; ++i) {
      if (!log.log_event("web", "allowed", {.fields = {{"n", i}}})) return 2;
    }
    if (!log.sync() || log.tail_log(300).size() != 300) return 3;
    if (!follower.next(10s)) return 4;
    std::filesystem::rename(path, path + ".1");
    if (!log.reopen() || !log.log_event("web", "after") || !log.sync()) return 5;
  }
  const std::string path = dir / "rotated.jsonl";
  annals::rotation::triggers when;
  when.bytes_max = 1000;
  annals::rotation::segment_writer writer(path, 0600, when, [](const annals::notice&) {});
  const std::string line = "{\"action\":\"x\"}\n";
  for (std::uint64_t i = 1; i <= 300; ++i) writer.write({line, 1, i, annals::io::calls().now()});
  writer.sync();
  if (annals::tail_log(path, 300).size() != 300) return 6;
  std::uint64_t scanned = 0;
  annals::scan(path, {}, [&](const annals::event&) { return ++scanned != 0; });
  if (scanned != 300) return 7;
  if (!annals::recover_log(path)) return 8;
  return archive_one(dir, archive_priority::automatic, ::getpriority(PRIO_PROCESS, 0)) % 11;
}

TEST(filtered_calls, of_the_documented_list_suffice_for_deliveries_rotation_readers_and_archivers) {
  std::vector<int> allowed = documented_calls();
  ASSERT_GT(allowed.size(), 20U);
  allowed.insert(allowed.end(), calls_of_the_build.begin(), calls_of_the_build.end());
  allowed.push_back(SYS_getpriority);  // of this test
  const support::temp_directory dir;
  support::expect_zero_in_child([&] { return support::filter_calls(allowed, true) ? use_everything(dir) : 1; });
}

}  // namespace
