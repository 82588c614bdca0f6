// SPDX-License-Identifier: Apache-2.0
//
// A run with delivery::durable that appends, rotates, archives and deletes is recorded step by step; then every state in which
// a crash between two steps may leave the disk is built, and the log opened in it: what was acknowledged is there, the log
// takes events, reads whole, and has its numbers in order. The lock's page is written through a mapping: it is as it was made,
// as it was at that moment, or a mixture of sectors of all moments before. ANNALS_CRASH_ROUNDS says how many mixtures of those
// are tried with each state (default: one with every sixteenth).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "crash/mixed_pages.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.rotation;
import annals.content.seekable;
import annals.segment;
#include "archive.h"
#include "crash/recorded_disk.h"
#include "rotation/rotating.h"

namespace {

using support::recorded_disk;

constexpr int prune_begins = -1;  // other marks are the numbers of events that were acknowledged

// The states are many, and are not crashed again: nothing needs to get to a disk. The files that were built are those of the
// run.
class built_disk {
 public:
  void build(const support::crash_states::state& files) {
    numbers_.clear();
    for (const auto& [name, file] : files) {
      std::filesystem::create_directories(name.substr(0, name.rfind('/')));
      support::write_file(name, std::string_view(*file.content).substr(0, end_of(*file.content)));
      std::filesystem::resize_file(name, file.content->size());
      if (const auto status = calls_.kernel_status(name.c_str())) numbers_[status->inode] = file.number;
    }
  }

 private:
  // A journal is mostly zeros: those behind it need not be written.
  static std::size_t end_of(std::string_view content) {
    static constexpr std::array<char, 4096> zeros{};
    std::size_t end = content.size();
    while (end >= zeros.size() && std::memcmp(content.data() + end - zeros.size(), zeros.data(), zeros.size()) == 0)
      end -= zeros.size();
    return end;
  }

  std::int64_t answer(support::system_call& one) const {
    using support::call;
    if (one.which == call::sync_data || one.which == call::sync_all) return 0;
    const std::int64_t done = one.run();
    if (done != 0 || (one.which != call::status_of && one.which != call::status_at)) return done;
    if (const auto found = numbers_.find(one.status->inode); found != numbers_.end()) {
      one.status->inode = recorded_disk::inode_of(found->second);
    }
    return done;
  }

  std::map<std::uint64_t, int> numbers_;  // by the inodes that they have now
  support::hooked_calls calls_{[this](support::system_call& one) { return answer(one); }};
};

annals::logger_options options(const std::string& path) {
  annals::logger_options made;
  made.path = path;
  made.delivery = annals::delivery::durable;
  made.on_error = [](const annals::error&) {};
  made.sink = std::make_unique<support::rotating_sink>(path, support::of_size(6000));
  return made;
}

std::set<int> numbers_in(const std::string& path, std::string& damaged) {
  std::set<int> found;
  const annals::read_options reading = {
      .on_damage = [&](const annals::damage& one) { damaged += one.file + ": " + one.cause + "\n"; },
      .on_gap = [](const annals::gap&) {}};
  for (const annals::event& e : annals::tail_log(path, 1000, reading)) {
    if (e.container != "web") continue;
    const auto n = static_cast<int>(std::get<std::int64_t>(*e.find("n")));
    // What the journal brings back stands behind what survived.
    EXPECT_TRUE(found.insert(n).second) << "event " << n << " is there twice";
  }
  return found;
}

// Lines of all kinds of lengths, in segments that are closed, archived, and deleted.
void run(recorded_disk& disk, const std::string& path) {
  annals::audit_logger log(options(path));
  int number = 0;
  const auto log_some = [&](int count) {
    for (int i = 0; i < count; ++i) {
      static constexpr std::array<std::size_t, 5> bytes = {40, 700, 4500, 0, 2100};
      const std::string text(bytes[static_cast<std::size_t>(number) % bytes.size()], 'x');
      const annals::receipt said = log.log_event("web", "x", {.detail = text, .fields = {{"n", number}}});
      ASSERT_TRUE(said.accepted()) << said.message();
      disk.mark(number++);
    }
  };
  const auto archive = [&](std::size_t which) {
    const auto failed = annals_zstd::archive_segment(annals::segment::closed_segments(path).value().at(which).path, {});
    ASSERT_FALSE(failed) << failed->message;
  };
  log_some(12);
  archive(0);
  log_some(6);
  archive(1);
  disk.mark(prune_begins);
  const auto pruned = annals::prune(path, {.keep_segments = 2});
  ASSERT_TRUE(pruned) << pruned.error().message;
  EXPECT_GE(pruned->deleted.size(), 2U);
  log_some(6);
}

class crashed : public testing::Test {
 protected:
  crashed() {
    recorded_disk disk;
    disk.watch_mapped(lock_path_);
    run(disk, path_);
    steps_ = disk.steps();
    lock_pages_ = disk.mapped_versions();
    std::string damaged;
    left_ = numbers_in(path_, damaged);
    EXPECT_EQ(damaged, "");
  }

  void build(built_disk& disk, const support::crash_states::state& files) {
    std::filesystem::remove_all(directory_.path());
    std::filesystem::create_directory(directory_.path());
    disk.build(files);
  }

  // Of the events acknowledged in the first `count` steps, those that nobody has begun to delete.
  std::set<int> wanted(std::size_t count) const {
    std::set<int> acknowledged;
    bool has_pruned = false;
    for (std::size_t i = 0; i < count; ++i) {
      if (steps_[i].what != recorded_disk::step::kind::mark) continue;
      if (steps_[i].mark == prune_begins) {
        has_pruned = true;
      } else {
        acknowledged.insert(steps_[i].mark);
      }
    }
    if (has_pruned) std::erase_if(acknowledged, [this](int n) { return !left_.contains(n); });
    return acknowledged;
  }

  // The state with the lock's page as it was after so many steps, and for a part of the states as mixtures of what it was.
  void each_lock_page(support::crash_states::state files, std::size_t count,
                      const std::function<void(const support::crash_states::state&)>& take) {
    const auto lock = files.find(lock_path_);
    if (lock == files.end() || lock->second.content->empty() || count == 0 || steps_[count - 1].mapped == 0) return take(files);
    const std::span<const std::string> pages(lock_pages_.data(), steps_[count - 1].mapped);
    lock->second.content = std::make_shared<const std::string>(pages.back());
    take(files);
    for (std::uint64_t i = mixtures_ != 0 ? mixtures_ : random_() % 16 / 15; i-- > 0;) {
      lock->second.content =
          std::make_shared<const std::string>(support::mixed_by_chance(pages, support::sector_bytes, random_));
      take(files);
    }
  }

  // What tells a lock's page from others: not how many bytes it counted, which changes with each append.
  static std::string facts_of(std::string page) {
    constexpr std::size_t at = offsetof(annals::rotation::lock_page, bytes);
    if (page.size() > at) page.replace(at, sizeof(std::uint64_t), sizeof(std::uint64_t), '\0');
    return page;
  }

  void expect_a_log(const std::set<int>& wanted) {
    {
      annals::audit_logger log(options(path_));
      const annals::receipt made = log.log_event("web", "back", {.fields = {{"n", 1000}}});
      ASSERT_TRUE(made.accepted()) << made.message();
    }
    std::string damaged;
    const std::set<int> found = numbers_in(path_, damaged);
    for (const int n : wanted) ASSERT_TRUE(found.contains(n)) << "event " << n << " is lost; " << damaged;
    ASSERT_TRUE(found.contains(1000));
    const auto pruned = annals::prune(path_, {.keep_segments = 1000});  // finishes what was begun
    EXPECT_TRUE(pruned) << pruned.error().message;
    ASSERT_TRUE(annals::segment::closed_segments(path_));
    std::set<std::uint64_t> numbers;
    std::set<std::pair<std::uint64_t, bool>> forms;  // an archive may stand beside what it was made of
    for (const auto& file : std::filesystem::directory_iterator(std::filesystem::path(path_).parent_path())) {
      const auto one = annals::segment::parse_closed_name(file.path().filename().string(), annals::segment::stem_of(path_));
      if (!one) continue;
      EXPECT_TRUE(forms.emplace(one->number, one->compressed).second) << "twice the number of " << file.path();
      numbers.insert(one->number);
    }
    for (const auto& one : annals::segment::deleted_segments(path_).value()) numbers.insert(one.number);
    std::uint64_t next = 1;
    for (const std::uint64_t number : numbers) EXPECT_EQ(number, next++) << "a hole in the numbers";
  }

  const support::temp_directory directory_;
  const std::string path_ = directory_ / "sub/audit.jsonl";
  const std::string lock_path_ = annals::rotation::lock_path(path_);
  std::vector<recorded_disk::step> steps_;
  std::vector<std::string> lock_pages_;  // as they were, one after the other
  std::set<int> left_;                   // events that were not deleted in the end
  const std::uint64_t mixtures_ = support::number_given("ANNALS_CRASH_ROUNDS", 0);
  std::mt19937_64 random_{1};
};

TEST_F(crashed, between_any_two_steps_leaves_a_log_with_all_that_was_acknowledged) {
  built_disk disk;
  std::set<std::pair<std::set<int>, std::map<std::string, std::size_t>>> seen;  // of contents, their hashes
  for (std::size_t count = 0; count <= steps_.size() && !HasFailure(); ++count) {
    const std::set<int> expected = wanted(count);
    const support::crash_states states(steps_, count, directory_.path());
    const auto try_state = [&](const support::crash_states::state& files) {
      std::map<std::string, std::size_t> hashes;
      for (const auto& [name, file] : files)
        hashes[name] = std::hash<std::string>()(name == lock_path_ ? facts_of(*file.content) : *file.content);
      if (HasFailure() || !seen.insert({expected, std::move(hashes)}).second) return;
      build(disk, files);
      expect_a_log(expected);
      if (!HasFailure()) return;
      std::string listed;
      for (const auto& [name, file] : files) listed += name + " " + std::to_string(file.content->size()) + "\n";
      ADD_FAILURE() << "after " << count << " of " << steps_.size() << " steps, with\n" << listed;
    };
    states.each([&](const support::crash_states::state& files) { each_lock_page(files, count, try_state); });
  }
  std::printf("%zu steps, %zu states of the disk\n", steps_.size(), seen.size());
  EXPECT_GT(seen.size(), 300U);
}

}  // namespace
