// SPDX-License-Identifier: Apache-2.0
//
// Years of it in a minute: writers in processes of their own, each with the sink `rotate` and the archiver `zstd` as plugins,
// close, compress and delete segments beneath followers that stop and go on from saved cursors. Every event is seen exactly
// once and in the order of its writer, but those that were deleted before they were read: these are counted exactly in the
// gaps. ANNALS_STRESS_EVENTS says how many events (default 100,000).
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/temp_directory.h"
import annals;
import annals.segment;

namespace {

using namespace std::chrono_literals;

constexpr int writers = 4;
constexpr int followers = 4;

std::int64_t wanted_events() {
  const char* const given = std::getenv("ANNALS_STRESS_EVENTS");
  return given != nullptr ? std::atoll(given) : 100'000;
}

annals::plugin loaded(const char* file) {
  auto plugin = annals::load_plugin(file);
  if (!plugin) throw annals::failure(plugin.error());
  return std::move(*plugin);
}

// One process that writes its part, and archives and deletes like the others.
int run_writer(const std::string& path, int number, std::int64_t events) try {
  using kind = annals::option_kind;
  const std::vector<annals::option> rotate = {
      {"interval", kind::text, "5ms"}, {"size", kind::text, "256KiB"}, {"keep_segments", kind::integer, "100"}};
  const std::vector<annals::option> zstd = {{"level", kind::integer, "1"}};
  std::mutex told;
  annals::logger_options options;
  options.path = path;
  options.sink = loaded(ROTATE_PLUGIN).make_sink({.options = rotate, .log_path = path});
  options.archiver = loaded(ZSTD_PLUGIN).make_archiver({.options = zstd, .log_path = path});
  options.on_notice = [&told](const annals::notice& what) {
    const std::lock_guard lock(told);
    if (what.severity != annals::severity::info && what.system_code != EWOULDBLOCK && what.system_code != ENOENT)
      std::fprintf(stderr, "writer: %s\n", what.message.c_str());
  };
  annals::audit_logger log(std::move(options));
  for (std::int64_t n = 0; n < events; ++n) {
    const annals::receipt made = log.log_event("w" + std::to_string(number), "x", {.fields = {{"n", n}}});
    if (made.accepted()) continue;
    std::fprintf(stderr, "writer %d: %s\n", number, std::string(made.message()).c_str());
    return 1;
  }
  return 0;
} catch (const std::exception& failed) {
  std::fprintf(stderr, "writer %d: %s\n", number, failed.what());
  return 1;
}

struct seen {
  std::array<std::int64_t, writers> next{};  // of each writer
  std::uint64_t events = 0;                  // of writers, and the log's own
  std::uint64_t missing = 0;                 // of writers, passed over
  std::uint64_t in_gaps = 0;                 // events, as the gaps say
  std::uint64_t gaps = 0;
  std::string wrong;
};

// Follows from the beginning to the end, and begins anew from its cursor again and again. One that `lags` reads little, and
// goes on when all has been written.
void follow_all(const std::string& path, const std::atomic<bool>& written, unsigned seed, bool lags, seen& found) try {
  std::mt19937 random(seed);
  std::string cursor = to_string(annals::cursor{});
  std::map<std::uint64_t, std::uint64_t> of_segment;  // events read
  annals::read_options reading;
  reading.on_damage = [&found](const annals::damage& one) { found.wrong += one.file + ": " + one.cause + "\n"; };
  reading.on_gap = [&](const annals::gap& one) {
    ++found.gaps;
    if (!one.events) found.wrong += to_string(one) + "\n";
    found.in_gaps += one.events.value_or(0);
    if (one.read_bytes != 0) found.in_gaps -= of_segment[one.first];  // that had been read before the rest of it went
  };
  for (bool last = false; !last;) {
    while (lags && found.events > 0 && !written) std::this_thread::sleep_for(5ms);
    last = written;
    annals::follower follower = annals::follow(path, *annals::parse_cursor(cursor), reading);
    const std::uint64_t stop_after = lags && found.events == 0 ? 100 : 1 + random() % 20'000;
    for (std::uint64_t i = 0; i < stop_after; ++i) {
      const auto e = follower.next(last ? 2000ms : 50ms);
      if (!e) break;
      last = false;
      ++found.events;
      ++of_segment[follower.position().at.segment];
      if (!e->container.starts_with('w')) continue;
      const auto writer = static_cast<std::size_t>(e->container[1] - '0');
      const std::int64_t n = std::get<std::int64_t>(*e->find("n"));
      std::int64_t& next = found.next.at(writer);
      if (n < next) found.wrong += "event " + std::to_string(n) + " of " + e->container + " again or too late\n";
      if (n > next && found.gaps == 0)
        found.wrong += "events are missing before " + std::to_string(n) + " of " + e->container + ", without a gap\n";
      found.missing += static_cast<std::uint64_t>(n > next ? n - next : 0);
      next = n + 1;
    }
    cursor = to_string(follower.position());
    if (found.wrong.size() > 2000) return;
  }
} catch (const std::exception& failed) {
  found.wrong += failed.what();
}

TEST(four_writers_and_four_followers, see_every_event_once_while_segments_come_change_and_go) {
  const support::temp_directory directory;
  const std::string path = directory / "audit.jsonl";
  const std::int64_t events_each = wanted_events() / writers;
  std::vector<pid_t> children;
  for (int w = 0; w < writers; ++w) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ::_exit(run_writer(path, w, events_each));
    children.push_back(child);
  }
  std::atomic<bool> written = false;
  std::vector<seen> found(followers);
  std::vector<std::thread> threads;
  for (unsigned f = 0; f < followers; ++f) {
    threads.emplace_back([&, f] { follow_all(path, written, f + 1, f == 0, found[f]); });
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  written = true;
  for (std::thread& thread : threads) thread.join();

  // What there was in all: what is left, and what the records say was deleted.
  std::uint64_t deleted = 0;
  std::set<std::uint64_t> numbers;
  for (const auto& one : annals::segment::deleted_segments(path).value()) {
    deleted += one.events.value();
    EXPECT_TRUE(numbers.insert(one.number).second) << one.number << " was deleted twice";
  }
  std::uint64_t left = 0;
  std::uint64_t own = 0;
  // The number of the last event of each writer, and 1; 0 where it has none behind the last gap. There the segments may be gone
  // that had its last: one that was being compressed when its turn came stays behind later ones.
  std::array<std::int64_t, writers> last_left{};
  const auto scanned = annals::scan(path, {},
                                    [&](const annals::event& e) {
                                      ++left;
                                      if (!e.container.starts_with('w')) {
                                        ++own;
                                        return true;
                                      }
                                      last_left.at(static_cast<std::size_t>(e.container[1] - '0')) =
                                          std::get<std::int64_t>(*e.find("n")) + 1;
                                      return true;
                                    },
                                    {.reading = {.on_gap = [&](const annals::gap&) { last_left.fill(0); }}});
  EXPECT_EQ(scanned.damaged, 0U);
  for (const std::int64_t last : last_left) EXPECT_TRUE(last == 0 || last == events_each) << last;
  const auto all = annals::list_segments(path).value();
  for (const annals::segment_info& one : all)
    EXPECT_TRUE(numbers.insert(one.number).second) << one.number << " was deleted and is there";
  const std::uint64_t number = *numbers.rbegin();
  EXPECT_EQ(numbers.size(), number) << "a hole in the numbers";
  std::printf("%lld events, %llu segments, %llu events deleted, %llu left, of them %llu of the log's own\n",
              static_cast<long long>(events_each * writers), static_cast<unsigned long long>(number),
              static_cast<unsigned long long>(deleted), static_cast<unsigned long long>(left),
              static_cast<unsigned long long>(own));
  EXPECT_GT(number, 10U);
  for (const seen& one : found) {
    EXPECT_EQ(one.wrong, "");
    EXPECT_EQ(one.events + one.in_gaps, left + deleted) << "of the follower with " << one.gaps << " gaps";
    // A writer that was done long before the others may have nothing left, and a follower that lags saw nothing of it then.
    std::uint64_t unseen = 0;
    for (std::size_t w = 0; w < writers; ++w) {
      if (last_left.at(w) != 0) {
        EXPECT_EQ(one.next.at(w), events_each) << "of writer " << w;
      }
      unseen += static_cast<std::uint64_t>(events_each - one.next.at(w));
    }
    EXPECT_LE(one.missing + unseen, one.in_gaps);
    std::printf("follower: %llu events, %llu in %llu gaps\n", static_cast<unsigned long long>(one.events),
                static_cast<unsigned long long>(one.in_gaps), static_cast<unsigned long long>(one.gaps));
  }
}

}  // namespace
