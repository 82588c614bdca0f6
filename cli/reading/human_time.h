// SPDX-License-Identifier: Apache-2.0
//
// Times as people write them. Included after `import annals;`, and so includes nothing itself: <optional> and <string_view>
// come before the import.
#pragma once

namespace cli {

// A time as a range begins with it, and as a range ends with it: an event belongs to the range if begin <= its time < end. A
// day is included on both sides. Where clocks are put back and show a time twice, both are included, too.
struct human_time {
  annals::time_point begin;
  annals::time_point end;
  bool is_day = false;
};

// now, today, yesterday (days), -3h or -1d12h (that long before `now`), 2026-11-01 (a day), 2026-11-01T14:30, 2026-11-01
// 14:30:05.25, and RFC 3339 with its offset, also without seconds. What has no offset is UTC, or with `local` of the zone that
// the environment says (TZ). Nothing for anything else.
std::optional<human_time> parse_human_time(std::string_view text, annals::time_point now, bool local);

}  // namespace cli
