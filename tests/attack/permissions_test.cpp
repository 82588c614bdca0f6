// SPDX-License-Identifier: Apache-2.0
//
// The files and directories of a log are their owner's alone from their first instant: what the call that makes each one asks
// for is seen, not what it looks like later. Under any umask, as root and as an ordinary user. (All calls that make files go
// through the seam: structure.modules.)
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/child.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.rotation;
import annals.content.seekable;
import annals.segment;
#include "archive.h"
#include "rotation/rotating.h"
#include "support/hooked_calls.h"

namespace {

// What each call asks for that may make something, and what it made.
class watched_modes {
 public:
  // How many of each kind were made, by the end of the name.
  std::map<std::string, int> made() {
    const std::lock_guard lock(mutex_);
    return made_;
  }
  int too_wide() {
    const std::lock_guard lock(mutex_);
    return too_wide_;
  }

 private:
  std::int64_t look(support::system_call& one) {
    using support::call;
    switch (one.which) {
      case call::open: return look_at_open(one);
      case call::make_directory: {
        look_at(one.path, one.mode, 0700);
        const std::int64_t made = one.run();
        const auto status = calls_.kernel_status(one.path);
        if (made == 0 && status) look_at(one.path, status->mode, 0700);
        if (made == 0) note("directory");
        return made;
      }
      case call::set_mode: look_at("a file that is open", one.mode, 0600); return one.run();
      default: return one.run();
    }
  }
  std::int64_t look_at_open(support::system_call& one) {
    using annals::io::open_for;
    const bool may_make =
        one.purpose == open_for::appending || one.purpose == open_for::creating || one.purpose == open_for::locking;
    const bool was_there = calls_.kernel_status(one.path).has_value();
    const std::int64_t fd = one.run();
    if (!may_make || was_there) return fd;
    look_at(one.path, one.mode, 0600);
    if (fd < 0) return fd;
    look_at(one.path, calls_.kernel_status(static_cast<int>(fd)).mode, 0600);
    note(one.path);
    return fd;
  }
  void look_at(const char* path, unsigned mode, unsigned widest) {
    if ((mode & ~widest) == 0) return;
    std::fprintf(stderr, "%s: mode %04o\n", path, mode);
    const std::lock_guard lock(mutex_);
    ++too_wide_;
  }
  void note(std::string_view path) {
    const std::string_view name = path.substr(path.rfind('/') + 1);
    const std::lock_guard lock(mutex_);
    ++made_[std::string(name.ends_with(".zst.tmp") ? ".zst.tmp" : name)];
  }

  std::mutex mutex_;
  std::map<std::string, int> made_;
  int too_wide_ = 0;
  support::hooked_calls calls_{[this](support::system_call& one) { return look(one); }};
};

// Everything that makes files, one after the other.
void make_all(const std::string& path) {
  for (const annals::delivery delivery : {annals::delivery::direct, annals::delivery::durable, annals::delivery::ring}) {
    annals::logger_options options;
    options.path = path;
    options.delivery = delivery;
    options.ring_bytes = annals::limits::ring_bytes_floor;
    options.on_error = [](const annals::error&) {};
    options.sink = std::make_unique<support::rotating_sink>(path, support::of_size(100));
    annals::audit_logger log(std::move(options));
    for (int i = 0; i < 3; ++i) (void)log.log_event("web", "x");
    (void)log.sync();
  }
  (void)annals::rotate_log(path);
  if (const auto closed = annals::segment::closed_segments(path)) {
    for (const auto& one : *closed) (void)annals_zstd::archive_segment(one.path, {});
  }
  (void)annals::add_hold(path, {.name = "case"});
  (void)annals::remove_hold(path, "case");
  (void)annals::prune(path, {.keep_segments = 1});
  const std::string directory = path.substr(0, path.rfind('/'));
  if (::access(directory.c_str(), W_OK | X_OK) == 0) support::write_file(path + ".ring", "no ring");
  (void)annals::recover_log(path);
}

int made_narrow(const std::string& directory, mode_t mask, bool as_ordinary_user) {
  constexpr unsigned nobody = 65534;
  if (as_ordinary_user && ::geteuid() == 0) {
    if (::chown(directory.c_str(), nobody, nobody) != 0 || ::setgroups(0, nullptr) != 0 || ::setgid(nobody) != 0 ||
        ::setuid(nobody) != 0) {
      return 10;
    }
  }
  ::umask(mask);
  watched_modes modes;
  make_all(directory + "/new/sub/audit.jsonl");
  if (modes.too_wide() != 0) return 11;
  const std::map<std::string, int> made = modes.made();
  // Who is not root cannot get into a directory that the umask closed to all.
  if (mask == 0777 && as_ordinary_user) return made == std::map<std::string, int>{{"directory", 1}} ? 0 : 12;
  std::set<std::string> kinds;
  for (const auto& [kind, count] : made) kinds.insert(kind);
  const std::set<std::string> expected = {
      "directory",           "audit.jsonl",           "audit.jsonl.lock",    "audit.jsonl.ring",
      "audit.jsonl.journal", "audit.jsonl.holds.tmp", "audit.jsonl.deleted", ".zst.tmp"};
  if (kinds == expected) return 0;
  for (const std::string& kind : kinds) std::fprintf(stderr, "made: %s\n", kind.c_str());
  return 13;
}

TEST(files_of_a_log, are_asked_for_as_their_owners_alone_by_every_call_that_makes_one) {
  const bool is_root = ::geteuid() == 0;
  for (const bool as_ordinary_user : {false, true}) {
    if (!as_ordinary_user && !is_root) continue;
    for (const mode_t mask : {0000U, 0022U, 0077U, 0777U}) {
      const support::temp_directory directory;
      SCOPED_TRACE(testing::Message() << "umask " << std::oct << mask << (as_ordinary_user ? ", ordinary user" : ", root"));
      support::expect_zero_in_child([&] { return made_narrow(directory.path(), mask, as_ordinary_user); });
    }
  }
}

}  // namespace
