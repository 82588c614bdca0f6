// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstddef>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
import annals;
#include "reading/human_time.h"

namespace cli {

namespace {

using annals::time_point;

// The time at which clocks of the local zone show what clocks of UTC show at `shown`. Where they show it twice, the first time
// or the second, as mktime(3) decides; where never, one hour later.
std::optional<time_point> local_time(time_point shown) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(shown);
  const std::time_t as_utc = seconds.time_since_epoch().count();
  std::tm fields;
  if (::gmtime_r(&as_utc, &fields) == nullptr) return std::nullopt;
  fields.tm_isdst = -1;
  const std::time_t made = std::mktime(&fields);
  return time_point(std::chrono::seconds(made)) + (shown - seconds);
}

// What the clocks of the zone show at `at`.
time_point shown_at(time_point at, bool local) {
  if (!local) return at;
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
  std::tm fields;
  if (::localtime_r(&seconds, &fields) == nullptr) return at;
  return at + std::chrono::seconds(fields.tm_gmtoff);
}

}  // namespace

std::optional<time_point> parse_human_time(std::string_view text, time_point now, bool local) {
  const auto in_zone = [local](time_point shown) { return local ? local_time(shown) : std::optional(shown); };
  if (text == "now") return now;
  const auto today = std::chrono::floor<std::chrono::days>(shown_at(now, local));
  if (text == "today") return in_zone(today);
  if (text == "yesterday") return in_zone(today - std::chrono::days(1));
  if (text.starts_with('-')) {
    const auto ago = annals::parse_duration(text.substr(1));
    constexpr auto longest = std::chrono::days(365 * 1000);
    return ago && *ago <= longest ? std::optional(now - *ago) : std::nullopt;
  }
  constexpr std::size_t date_bytes = 10;    // 2026-11-01
  constexpr std::size_t minute_bytes = 16;  // 2026-11-01T14:30
  std::string whole(text);
  if (whole.size() > date_bytes && whole[date_bytes] == ' ') whole[date_bytes] = 'T';
  if (const auto exact = annals::parse_timestamp(whole)) return exact->time;
  if (whole.size() == date_bytes) whole += "T00:00";
  if (whole.size() == minute_bytes) whole += ":00";
  const auto shown = annals::parse_timestamp(whole + "Z");
  return shown ? in_zone(shown->time) : std::nullopt;
}

}  // namespace cli
