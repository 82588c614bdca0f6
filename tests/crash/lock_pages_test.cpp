// SPDX-License-Identifier: Apache-2.0
//
// A loss of power leaves any mixture of sectors of the lock's page, of any moment: of somebody inside an append, of somebody
// who changes the log's files, as it was made, or zeros; and a file that is shorter. Whatever it is, the log opens, rotates,
// and numbers its segments without a hole. (Together with what a crash leaves of the log: crash_states_test.cpp.)
// ANNALS_CRASH_ROUNDS says how many mixtures are tried by chance (default 100), ANNALS_CRASH_SEED which (printed).
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crash/mixed_pages.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.rotation;
import annals.segment;
#include "rotation/rotating.h"

namespace {

using annals::rotation::log_lock;

class lock_page_after_a_loss_of_power : public testing::Test {
 protected:
  void SetUp() override {
    log(3);
    note();
    {
      log_lock lock(path_);
      ASSERT_FALSE(lock.catch_up());
      ASSERT_TRUE(lock.enter());
      note();  // inside an append
      lock.leave();
      const auto held = lock.lock();
      ASSERT_TRUE(held);
      note();  // the files are being changed
    }
    log(3);
    note();
  }

  void note() { pages_.push_back(support::content_of(lock_path_)); }

  // Each event in a segment of its own.
  void log(int count) {
    annals::audit_logger log({.path = path_,
                              .on_error = [](const annals::error&) {},
                              .sink = std::make_unique<support::rotating_sink>(path_, support::of_size(1))});
    for (int i = 0; i < count; ++i) {
      const annals::receipt made = log.log_event("web", "x", {.fields = {{"n", ++last_}}});
      ASSERT_TRUE(made.accepted()) << made.message();
    }
    ASSERT_TRUE(log.sync());
  }

  void expect_to_go_on_with(const std::string& page) {
    support::write_file(lock_path_, page);
    log(2);
    const support::whole_log whole(path_);  // sees to the numbers
    ASSERT_EQ(whole.lines.size(), static_cast<std::size_t>(last_));
    for (std::size_t i = 0; i < whole.lines.size(); ++i) {
      ASSERT_EQ(support::number_in(whole.lines[i], "n"), static_cast<std::int64_t>(i) + 1);
    }
    if (last_ < 60) return;  // a log of a few segments again
    std::filesystem::remove_all(directory_.path());
    std::filesystem::create_directory(directory_.path());
    last_ = 0;
    support::write_file(lock_path_, std::string(support::page_bytes, '\0'));
    log(6);
  }

  const support::temp_directory directory_;
  const std::string path_ = directory_ / "audit.jsonl";
  const std::string lock_path_ = annals::rotation::lock_path(path_);
  std::vector<std::string> pages_ = {std::string(support::page_bytes, '\0')};
  std::int64_t last_ = 0;
};

TEST_F(lock_page_after_a_loss_of_power, of_any_mixture_of_sectors_lets_the_log_go_on) {
  const std::uint64_t rounds = support::number_given("ANNALS_CRASH_ROUNDS", 100);
  const std::uint64_t seed = support::number_given("ANNALS_CRASH_SEED", std::random_device()());
  std::mt19937_64 random(seed);
  for (const std::string& first : pages_) {  // the sector with the facts of one moment, all others of another
    for (const std::string& rest : pages_) {
      const std::vector<std::string> both = {first, rest};
      expect_to_go_on_with(support::mixed(both, support::sector_bytes, [](std::size_t unit) { return unit == 0 ? 0U : 1U; }));
    }
  }
  for (std::uint64_t round = 0; round < rounds && !HasFailure(); ++round) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << ", round " << round);
    expect_to_go_on_with(support::mixed_by_chance(pages_, support::sector_bytes, random));
  }
  std::printf("%zu moments, %llu mixtures, seed %llu\n", pages_.size(),
              static_cast<unsigned long long>(rounds + pages_.size() * pages_.size()), static_cast<unsigned long long>(seed));
}

TEST_F(lock_page_after_a_loss_of_power, that_is_cut_lets_the_log_go_on) {
  for (const std::string& page : pages_) {
    for (std::size_t bytes = 0; bytes <= page.size(); bytes += support::sector_bytes) {
      SCOPED_TRACE(testing::Message() << bytes << " bytes");
      expect_to_go_on_with(page.substr(0, bytes));
    }
  }
}

}  // namespace
