// SPDX-License-Identifier: Apache-2.0
//
// A disk that is really full: a tmpfs of 1 MiB. Live segment, ring, archive and temporary files meet it; it is filled by the
// log or by others, and room is made again. What was acknowledged is there, closed segments are as they were, and all goes on.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "support/small_disk.h"
#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.rotation;
import annals.content.seekable;
import annals.segment;
#include "archive.h"
#include "rotation/rotating.h"

namespace {

using namespace std::chrono_literals;

class full_disk : public testing::Test {
 protected:
  void SetUp() override {
    if (!mounted_.is_there()) GTEST_SKIP() << mounted_.why_not();
  }

  // Takes all the room there is, and gives it back.
  void fill() {
    std::ofstream file(disk_ + "/filler", std::ios::binary);
    const std::string block(4096, 'f');
    while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) continue;
  }
  void free() { std::filesystem::remove(disk_ + "/filler"); }

  annals::logger_options options(annals::delivery delivery, bool rotates) {
    annals::logger_options made;
    made.path = path_;
    made.delivery = delivery;
    made.ring_bytes = 128 * 1024;
    made.on_full = annals::on_full::fail;
    made.latency_max = 1ms;
    made.on_error = [](const annals::error&) {};
    if (rotates) made.sink = std::make_unique<support::rotating_sink>(path_, support::of_size(30'000));
    return made;
  }
  bool log_one(annals::audit_logger& log) {
    const annals::receipt made = log.log_event("web", "x", {.detail = text_, .fields = {{"n", number_}}});
    if (made.accepted()) accepted_.insert(number_);
    EXPECT_TRUE(made.accepted() || made.cause()->system_code == ENOSPC || made.cause()->code == annals::errc::ring_full)
        << made.message();
    ++number_;
    return made.accepted();
  }
  void expect_all_accepted() {
    std::map<std::int64_t, int> found;
    for (const annals::event& e : annals::tail_log(path_, 1'000'000)) {
      if (e.action == "x") ++found[std::get<std::int64_t>(*e.find("n"))];
    }
    for (const std::int64_t n : accepted_) EXPECT_EQ(found[n], 1) << n;
    for (const auto& [n, count] : found) EXPECT_LE(count, 1) << n;
  }
  std::map<std::string, std::string> closed_files() const {
    std::map<std::string, std::string> found;
    for (const auto& one : annals::segment::closed_segments(path_).value()) found[one.path] = support::content_of(one.path);
    return found;
  }

  const support::temp_directory directory_;
  const std::string disk_ = directory_ / "disk";
  const support::small_disk mounted_{disk_, "1m"};
  const std::string path_ = disk_ + "/audit.jsonl";
  const std::string text_ = std::string(300, 'x');
  std::int64_t number_ = 0;
  std::set<std::int64_t> accepted_;
};

TEST_F(full_disk, refuses_events_while_it_is_full_and_takes_them_when_there_is_room) {
  for (const annals::delivery delivery : {annals::delivery::direct, annals::delivery::durable}) {
    annals::audit_logger log(options(delivery, false));
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 100; ++i) EXPECT_TRUE(log_one(log));
      fill();
      int refused = 0;
      for (int i = 0; i < 20; ++i) refused += log_one(log) ? 0 : 1;  // some fit into the last page
      EXPECT_GT(refused, 4);
      free();
      EXPECT_TRUE(log_one(log)) << "there is room again";
    }
    expect_all_accepted();
  }
}

TEST_F(full_disk, harms_no_closed_segment_of_a_log_that_fills_it) {
  annals::audit_logger log(options(annals::delivery::direct, true));
  while (log_one(log)) continue;
  const auto before = closed_files();
  EXPECT_GT(before.size(), 20U);
  for (int i = 0; i < 20; ++i) (void)log_one(log);
  for (const auto& [name, content] : before) ASSERT_EQ(support::content_of(name), content) << name;
  expect_all_accepted();
  // Somebody makes room.
  for (const auto& [name, content] : before) std::filesystem::remove(name);
  accepted_.clear();
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(log_one(log));
  expect_all_accepted();
}

TEST_F(full_disk, leaves_in_the_ring_what_the_log_has_no_room_for) {
  annals::audit_logger log(options(annals::delivery::ring, true));
  EXPECT_TRUE(log_one(log)) << "the ring has all its room from now on";
  EXPECT_TRUE(log.sync());
  fill();
  int accepted = 0;
  while (log_one(log)) ++accepted;
  EXPECT_GT(accepted, 200) << "as many as the ring holds";
  EXPECT_FALSE(log.sync());
  free();
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!log.sync() && std::chrono::steady_clock::now() < deadline) continue;
  EXPECT_TRUE(log.sync());
  EXPECT_TRUE(log_one(log));
  EXPECT_TRUE(log.sync());
  expect_all_accepted();
}

TEST_F(full_disk, keeps_what_a_ring_holds_over_the_end_of_the_process_and_its_recovery) {
  {
    annals::audit_logger log(options(annals::delivery::ring, true));
    EXPECT_TRUE(log_one(log));
    EXPECT_TRUE(log.sync());
    fill();
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(log_one(log));
  }
  EXPECT_FALSE(annals::recover_log(path_)) << "there is no room yet";
  expect_all_accepted();  // readers see what is in the ring
  free();
  const auto recovered = annals::recover_log(path_);
  EXPECT_TRUE(recovered) << recovered.error().message;
  expect_all_accepted();
}

TEST_F(full_disk, fails_the_archiver_and_leaves_the_segment_and_no_temporary_file) {
  {
    annals::audit_logger log(options(annals::delivery::direct, true));
    for (int i = 0; i < 200; ++i) EXPECT_TRUE(log_one(log));
  }
  const auto before = closed_files();
  ASSERT_GE(before.size(), 2U);
  fill();
  for (const auto& [name, content] : before) {
    const auto failed = annals_zstd::archive_segment(name, {});
    ASSERT_TRUE(failed);
    EXPECT_EQ(failed->system_code, ENOSPC) << failed->message;
    ASSERT_EQ(support::content_of(name), content);
  }
  for (const auto& entry : std::filesystem::directory_iterator(disk_)) {
    EXPECT_EQ(entry.path().string().find(".zst"), std::string::npos) << entry.path() << " takes room that others need";
  }
  expect_all_accepted();
  free();
  for (const auto& [name, content] : before) EXPECT_FALSE(annals_zstd::archive_segment(name, {}));
  expect_all_accepted();
}

}  // namespace
