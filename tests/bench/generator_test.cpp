// SPDX-License-Identifier: Apache-2.0
//
// The made-up events that the benchmarks and long tests stand on: the same for the same seed, and each a whole event.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "../../bench/lines.h"
#include "../../bench/workload.h"
import annals.event;
import annals.json;

namespace {

constexpr std::int64_t from = 1704067200;  // 2024-01-01T00:00:00Z
constexpr std::int64_t to = 1798761600;    // 2027-01-01T00:00:00Z

std::string lines(std::uint64_t seed, std::uint64_t bytes) {
  bench::line_stream stream(seed, bytes, from, to);
  std::string all;
  while (stream.next(all) != nullptr) {
  }
  return all;
}

std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

template <class Take>
void each_event(std::string_view all, Take take) {
  for (; !all.empty(); all.remove_prefix(all.find('\n') + 1)) {
    auto event = annals::json::decode_line(all.substr(0, all.find('\n')));
    ASSERT_TRUE(event) << all.substr(0, all.find('\n'));
    take(*event);
  }
}

TEST(generator, the_same_seed_gives_the_same_bytes_on_every_machine) {
  EXPECT_EQ(fnv1a(lines(1, 1'000'000)), 0x986ad7fef7facb61U);
  EXPECT_EQ(lines(2, 100'000), lines(2, 100'000));
  EXPECT_NE(lines(2, 100'000), lines(3, 100'000));
}

TEST(generator, every_line_is_an_event_and_times_never_step_back) {
  std::string last = "2024-01-01T00:00:00+00:00";
  each_event(lines(4, 2'000'000), [&](const annals::event& event) {
    EXPECT_LE(last, event.ts);
    EXPECT_FALSE(event.container.empty());
    EXPECT_FALSE(event.action.empty());
    last = event.ts;
  });
  EXPECT_GE(last, "2026-12-30T00:00:00+00:00");
  EXPECT_LE(last, "2027-01-02T00:00:00+00:00");
}

TEST(generator, a_few_containers_and_destinations_make_most_of_the_events) {
  std::map<std::string, int> containers;
  std::map<std::string, int> dests;
  int events = 0;
  each_event(lines(5, 4'000'000), [&](const annals::event& event) {
    ++events;
    ++containers[event.container];
    if (event.dest) ++dests[*event.dest];
  });
  const auto most = [](const std::map<std::string, int>& of) {
    return std::max_element(of.begin(), of.end(), [](const auto& a, const auto& b) { return a.second < b.second; })->second;
  };
  EXPECT_GT(containers.size(), 200U);
  EXPECT_GT(dests.size(), 2000U);
  EXPECT_GT(most(containers), events / 10);
  EXPECT_GT(most(dests), events / 20);
}

TEST(generator, optional_parts_are_missing_at_times_and_details_hold_what_needs_escapes) {
  std::set<bool> has_dest;
  std::set<bool> has_detail;
  std::set<bool> has_fields;
  bool escapes = false;
  bool beyond_ascii = false;
  each_event(lines(6, 500'000), [&](const annals::event& event) {
    has_dest.insert(event.dest.has_value());
    has_detail.insert(event.detail.has_value());
    has_fields.insert(!event.fields.empty());
    escapes |= event.detail && event.detail->find_first_of("\"\\\n\t") != std::string::npos;
    beyond_ascii |= event.line.find("\\ud83d\\udd12") != std::string::npos;
  });
  EXPECT_EQ(has_dest.size() + has_detail.size() + has_fields.size(), 6U);
  EXPECT_TRUE(escapes);
  EXPECT_TRUE(beyond_ascii);
}

TEST(workload, the_pieces_of_an_item_make_up_its_line) {
  for (const std::string_view name : {"fixed", "mix", "escapes", "4k"}) {
    for (const bench::item& item : bench::make_workload(name)) {
      std::string line = R"({"ts":"2026-11-23T09:00:00+00:00","container":")" + item.container_text + R"(","action":")";
      line += item.action_text + '"';
      if (item.dest) line += R"(,"dest":")" + item.dest_text + '"';
      if (item.detail) line += R"(,"detail":")" + item.detail_text + '"';
      EXPECT_EQ(line + item.rest_text + "}\n", item.line);
    }
  }
}

}  // namespace
