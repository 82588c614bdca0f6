// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
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

// The times, in seconds since 1970, at which clocks of the local zone show what clocks of UTC show at `shown`: two where they
// are put back. Where they never show it, the time one hour later, as mktime(3) decides.
std::optional<human_time> local_time(time_point shown) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(shown);
  const std::time_t as_utc = seconds.time_since_epoch().count();
  std::tm wanted;
  if (::gmtime_r(&as_utc, &wanted) == nullptr) return std::nullopt;
  std::optional<human_time> found;
  for (const int is_summer : {0, 1, -1}) {
    if (is_summer < 0 && found) break;
    std::tm fields = wanted;
    fields.tm_isdst = is_summer;
    const std::time_t made = std::mktime(&fields);
    const bool is_shown =
        fields.tm_hour == wanted.tm_hour && fields.tm_min == wanted.tm_min && fields.tm_mday == wanted.tm_mday;
    if (is_summer >= 0 && !is_shown) continue;
    const time_point time = time_point(std::chrono::seconds(made)) + (shown - seconds);
    found = found ? human_time{std::min(found->begin, time), std::max(found->end, time)} : human_time{time, time};
  }
  return found;
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

std::optional<human_time> parse_human_time(std::string_view text, time_point now, bool local) {
  const auto in_zone = [local](time_point shown) {
    return local ? local_time(shown) : std::optional(human_time{shown, shown});
  };
  const auto day_of = [&](time_point shown) -> std::optional<human_time> {
    const auto begin = in_zone(shown);
    const auto end = in_zone(shown + std::chrono::days(1));
    return begin && end ? std::optional(human_time{begin->begin, end->end, true}) : std::nullopt;
  };
  if (text == "now") return human_time{now, now};
  const auto today = std::chrono::floor<std::chrono::days>(shown_at(now, local));
  if (text == "today") return day_of(today);
  if (text == "yesterday") return day_of(today - std::chrono::days(1));
  if (text.starts_with('-')) {
    const auto ago = annals::parse_duration(text.substr(1));
    constexpr auto longest = std::chrono::days(365 * 1000);
    return ago && *ago <= longest ? std::optional(human_time{now - *ago, now - *ago}) : std::nullopt;
  }
  constexpr std::size_t date_bytes = 10;    // 2026-11-01
  constexpr std::size_t minute_bytes = 16;  // 2026-11-01T14:30
  std::string whole(text);
  if (whole.size() > date_bytes && whole[date_bytes] == ' ') whole[date_bytes] = 'T';
  const bool has_seconds = whole.size() > minute_bytes && whole[minute_bytes] == ':';
  if (whole.size() >= minute_bytes && !has_seconds) whole.insert(minute_bytes, ":00");
  if (const auto exact = annals::parse_timestamp(whole)) return human_time{exact->time, exact->time};
  const bool is_day = whole.size() == date_bytes;
  if (is_day) whole += "T00:00:00";
  const auto shown = annals::parse_timestamp(whole + "Z");
  if (!shown) return std::nullopt;
  return is_day ? day_of(shown->time) : in_zone(shown->time);
}

}  // namespace cli
