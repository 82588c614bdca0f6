// SPDX-License-Identifier: Apache-2.0
//
// Time zones: any bytes as a compiled zone file (TZif), or as a rule like that of TZ. An input is a time in seconds, 8 bytes,
// and then the file, which begins with "TZif", or the rule.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fuzz.h"
import annals;
import annals.rotation.zone;

namespace {

using annals::wall_unit;
using annals::zone;
using fuzz::require;
using std::chrono::seconds;
using std::chrono::sys_seconds;

// What the clocks of our logs can show: the years from 1 to 9999.
constexpr std::int64_t time_min = -62'135'596'800;
constexpr std::int64_t time_max = 253'402'300'799;

void check(const zone& one, std::int64_t given) {
  for (const std::int64_t time : {given, given + 1, std::int64_t{0}, std::int64_t{1'790'000'000}, time_min, time_max}) {
    const sys_seconds from{seconds(time)};
    const zone::span span = one.at(from);
    require(span.until > from, "a span of time ends after each instant in it");
    require(one.at(from).offset == span.offset, "an instant has one offset");
    for (const wall_unit unit : {wall_unit::hour, wall_unit::day}) {
      const annals::time_point next = one.next(from, unit);
      require(next > from, "the next hour or day begins later");
      require(one.next(next, unit) > next, "the one after it begins later still");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in(fuzz::text_of(data, size));
  const auto given = static_cast<std::int64_t>(in.number<std::uint64_t>() % static_cast<std::uint64_t>(time_max - time_min));
  const std::string_view text = in.rest();
  const fuzz::peak_memory memory;
  const auto from_file = zone::from_file(text, "fuzz");
  require(memory.bytes() <= 8 * size + (1U << 20), "a zone takes little memory", std::to_string(memory.bytes()));
  if (from_file) check(*from_file, time_min + given);
  if (const auto from_rule = zone::from_rule(text)) check(*from_rule, time_min + given);
  return 0;
}
