// SPDX-License-Identifier: Apache-2.0
//
// Times as people write them. Included after `import annals;`, and so includes nothing itself: <optional> and <string_view>
// come before the import.
#pragma once

namespace cli {

// now, today, yesterday (the beginnings of days), -3h or -1d12h (that long before `now`), 2026-11-01 (its beginning),
// 2026-11-01T14:30, 2026-11-01 14:30:05.25, and RFC 3339 with its offset. What has no offset is UTC, or with `local` of the
// zone that the environment says (TZ). Nothing for anything else.
std::optional<annals::time_point> parse_human_time(std::string_view text, annals::time_point now, bool local);

}  // namespace cli
