// SPDX-License-Identifier: Apache-2.0
//
// Events as CSV. Included after `import annals;`, and so includes nothing itself: <string> comes before the import.
#pragma once

namespace cli {

// RFC 4180: lines end with CR LF, values stand in quotes where they need them. A value that a spreadsheet would take for a
// formula (it begins with = + - @ or a tab) gets an apostrophe before it, which spreadsheets do not show.
std::string csv_header();
// ts, container, action, dest, detail, and the extra fields as one JSON object. With `visible_only`, for a terminal, what is
// no visible character is escaped.
std::string csv_line(const annals::event& e, bool visible_only);

}  // namespace cli
