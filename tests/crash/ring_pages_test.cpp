// SPDX-License-Identifier: Apache-2.0
//
// A loss of power under delivery::ring. The ring's file is written through a mapping, and nobody syncs it but log.sync(): each
// page of it on the disk may be that of any moment since, and a page be cut at a sector. Whatever the mixture, the log opens,
// has what was synced once, in order, and nothing that nobody logged, and takes events. ANNALS_CRASH_ROUNDS says how many
// mixtures of each run are tried (default 100), ANNALS_CRASH_SEED which (printed).
#include <gtest/gtest.h>

#include <algorithm>
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
import annals.sinks.file;
#include "support/hooked_calls.h"

namespace {

using namespace std::chrono_literals;

// Nothing needs to get to a disk, in the states that are built.
std::int64_t without_syncs(support::system_call& one) {
  return one.which == support::call::sync_data || one.which == support::call::sync_all ? 0 : one.run();
}

// The default sink, with a look at the files before and after each batch.
class watched_sink final : public annals::sink {
 public:
  watched_sink(const std::string& path, std::function<void()> look) : file_(path), look_(std::move(look)) {}
  void write(const annals::batch& lines) override {
    look_();
    file_.write(lines);
    look_();
  }
  void sync() override { file_.sync(); }
  void reopen() override { file_.reopen(); }
  annals::position position() override { return file_.position(); }
  bool keeps_log() const noexcept override { return true; }

 private:
  annals::file_sink file_;
  std::function<void()> look_;
};

// Makes a record of 1024 bytes of a line: each lies where one of the lap before lay, and goes over a sector.
constexpr std::size_t same_text_bytes = 928;

struct run_options {
  bool same_size;  // all lines: then those of each lap of the ring lie where those of the last one did
  std::chrono::milliseconds latency_max;
};

class power_lost : public testing::TestWithParam<run_options> {
 protected:
  // Runs, and then leaves the files, mixed by units of so many bytes, as they may be after a loss of power, and looks at the
  // log that is made of them: again and again. What leaves them returns up to which event was synced (-1: none).
  void lose_power_often(const std::function<int(std::size_t unit)>& leave_files) {
    const std::uint64_t rounds = support::number_given("ANNALS_CRASH_ROUNDS", 100);
    const std::uint64_t seed = support::number_given("ANNALS_CRASH_SEED", std::random_device()());
    run();
    if (HasFatalFailure()) return;
    random_.seed(seed);
    const support::hooked_calls calls(without_syncs);
    for (std::uint64_t round = 0; round < rounds && !HasFailure(); ++round) {
      const int synced = leave_files(round % 2 == 0 ? support::page_bytes : support::sector_bytes);
      expect_a_log(synced, "seed " + std::to_string(seed) + ", round " + std::to_string(round));
    }
    std::printf("%zu moments, %zu syncs, %llu mixtures, seed %llu\n", rings_.size(), syncs_.size(),
                static_cast<unsigned long long>(rounds), static_cast<unsigned long long>(seed));
  }

  // Several laps of the ring, with a sync now and then. What the files hold is noted at many moments.
  void run() {
    annals::logger_options options;
    options.path = path_;
    options.delivery = annals::delivery::ring;
    options.ring_bytes = annals::limits::ring_bytes_floor;
    options.latency_max = GetParam().latency_max;
    options.sink = std::make_unique<watched_sink>(path_, [this] { look(); });
    {
      annals::audit_logger log(std::move(options));
      for (int n = 0; n < 900; ++n) {
        const std::string text(GetParam().same_size ? same_text_bytes : random_() % 600, static_cast<char>('a' + n % 26));
        ASSERT_TRUE(log.log_event("web", "x", {.detail = text, .fields = {{"n", 10'000 + n}}}));
        if (n % 17 == 0) look();
        if (n % 130 != 129) continue;
        ASSERT_TRUE(log.sync());
        look();
        const std::lock_guard lock(mutex_);
        syncs_.emplace_back(rings_.size() - 1, n);
      }
      look();
    }
    for (const std::string& line : support::lines_of(path_)) lines_.insert(line);
    ASSERT_EQ(lines_.size(), 900U);
    log_ = support::content_of(path_);
  }

  void look() {
    const std::lock_guard lock(mutex_);
    rings_.push_back(support::content_of(path_ + ".ring"));
    std::error_code none;
    const auto bytes = std::filesystem::file_size(path_, none);
    log_bytes_.push_back(none ? 0 : static_cast<std::size_t>(bytes));
  }

  // The live segment as a crash may leave it: what was synced, and of the rest nothing, all, a part, or zeros. (In place: the
  // ring knows the file.)
  void leave_log(std::size_t synced_bytes, std::size_t bytes) {
    std::string left = log_.substr(0, bytes);
    const std::size_t unsynced = bytes - synced_bytes;
    switch (random_() % 5) {
      case 0: left.resize(synced_bytes); break;
      case 1: left.resize(synced_bytes + (unsynced == 0 ? 0 : random_() % unsynced)); break;
      case 2: left.resize(std::max(synced_bytes, bytes / support::sector_bytes * support::sector_bytes)); break;
      case 3: std::fill(left.begin() + static_cast<std::ptrdiff_t>(synced_bytes), left.end(), '\0'); break;
      default: break;
    }
    support::write_file(path_, left);
  }

  void expect_a_log(int synced, const std::string& what) {
    {
      annals::logger_options options;
      options.path = path_;
      options.delivery = annals::delivery::ring;
      options.ring_bytes = annals::limits::ring_bytes_floor;
      options.on_error = [](const annals::error&) {};
      annals::audit_logger log(std::move(options));
      const annals::receipt made = log.log_event("web", "back");
      ASSERT_TRUE(made.accepted()) << what << ": " << made.message();
    }
    ASSERT_FALSE(std::filesystem::exists(path_ + ".ring")) << what;
    std::map<int, int> found;
    int last = -1;
    bool is_back = false;
    for (const annals::event& e : annals::tail_log(path_, 10'000)) {
      is_back = is_back || e.action == "back";
      if (e.action == "back") continue;
      ASSERT_TRUE(lines_.contains(e.line)) << what << ": nobody logged " << e.line;
      const int n = static_cast<int>(std::get<std::int64_t>(*e.find("n"))) - 10'000;
      if (++found[n] > 1) continue;
      if (n > synced) continue;
      ASSERT_GT(n, last) << what << ": not in order";
      last = n;
    }
    ASSERT_TRUE(is_back) << what;
    for (int n = 0; n <= synced; ++n) ASSERT_EQ(found[n], 1) << what << ": event " << n << " of " << synced << " synced ones";
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      if (entry.path().native() != path_) std::filesystem::remove(entry.path());  // a ring that was set aside
    }
  }

  const support::temp_directory directory_;
  const std::string path_ = directory_ / "audit.jsonl";
  std::mt19937_64 random_{1};
  std::mutex mutex_;
  std::vector<std::string> rings_;                  // at each moment
  std::vector<std::size_t> log_bytes_;              // likewise
  std::vector<std::pair<std::size_t, int>> syncs_;  // at which moment, up to which event
  std::set<std::string> lines_;
  std::string log_;
};

TEST_P(power_lost, with_any_mixture_of_pages_leaves_what_was_synced_once_and_in_order) {
  lose_power_often([this](std::size_t unit) {
    const std::size_t moment = syncs_.front().first + random_() % (rings_.size() - syncs_.front().first);
    const auto base = std::find_if(syncs_.rbegin(), syncs_.rend(), [&](const auto& one) { return one.first <= moment; });
    const std::span<const std::string> versions(rings_.data() + base->first, moment - base->first + 1);
    support::write_file(path_ + ".ring", support::mixed_by_chance(versions, unit, random_));
    leave_log(log_bytes_[base->first], log_bytes_[moment]);
    return base->second;
  });
}

// Before the first sync nothing is promised of what was logged; and pages may never have got to the disk at all.
TEST_P(power_lost, before_any_sync_leaves_a_log_that_opens) {
  lose_power_often([this](std::size_t unit) {
    const std::size_t moment = random_() % syncs_.front().first;
    std::vector<std::string> versions = {std::string(rings_.front().size(), '\0')};
    versions.insert(versions.end(), rings_.begin(), rings_.begin() + static_cast<std::ptrdiff_t>(moment) + 1);
    support::write_file(path_ + ".ring", support::mixed_by_chance(versions, unit, random_));
    leave_log(0, log_bytes_[moment]);
    return -1;
  });
}

INSTANTIATE_TEST_SUITE_P(lines, power_lost,
                         testing::Values(run_options{true, 1ms}, run_options{false, 5ms}, run_options{false, 500ms}),
                         [](const auto& of) {
                           return std::string(of.param.same_size ? "of_one_size" : "of_any_size") +
                                  (of.param.latency_max > 100ms ? "_lazily" : "");
                         });

}  // namespace
