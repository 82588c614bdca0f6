// SPDX-License-Identifier: Apache-2.0
module;
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.rotation;

namespace annals::rotation {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t size_min = 1024;
constexpr std::uint64_t size_max = 1ULL << 50;
constexpr std::chrono::microseconds time_min = 1ms;
constexpr std::chrono::microseconds time_max = 100 * 365 * 24h;

}  // namespace

triggers read_triggers(option_reader& reader) {
  triggers when;
  when.bytes_max = reader.size("size", size_min, size_max).value_or(triggers::no_limit);
  when.interval = reader.duration("interval", time_min, time_max).value_or(0us);
  when.age = reader.duration("age", time_min, time_max).value_or(0us);
  if (const auto align = reader.choice("align", {"hour", "day"})) {
    when.align = *align == 0 ? wall_unit::hour : wall_unit::day;
  }
  if (const auto name = reader.text("zone")) {
    auto found = zone::named(*name);
    if (found) {
      when.zone = std::move(*found);
      if (!when.align) reader.problem("zone", "\"align\" beside it: nothing else depends on a zone");
    } else {
      reader.problem("zone", "\"UTC\", \"local\" or an IANA name like \"Europe/Berlin\" (" + found.error().message + ")");
    }
  }
  return when;
}

std::string_view words_for(cause why) noexcept {
  switch (why) {
    case cause::size: return "the next event would exceed its size";
    case cause::interval: return "its interval is over";
    case cause::aligned: return "an hour or a day begins";
    case cause::age: return "its oldest event has reached its age";
    case cause::asked: break;
  }
  return "somebody asked for it";
}

}  // namespace annals::rotation
