// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>
module annals.content;
import annals.io;
import annals.segment;

namespace annals::content {

namespace {

bool is_gone(const error& cause) noexcept {
  return cause.code == errc::io && cause.system_code == ENOENT;
}

}  // namespace

result<view> view_of(const std::string& path) {
  view seen;
  const auto open_live = [&]() -> std::optional<error> {
    seen.live = {};
    auto live = segment_reader::open(path);
    if (live) {
      seen.live = std::move(*live);
    } else if (!is_gone(live.error())) {
      return std::move(live.error());
    }
    return std::nullopt;
  };
  auto listed = segment::list(path, {.meanwhile = open_live});
  if (!listed) return std::move(listed.error());
  seen.closed = std::move(listed->closed);
  seen.live_number = listed->live_number;
  return seen;
}

result<segment_reader> open_closed(const std::string& path, const closed_segment& wanted,
                                   const segment_reader::chooser& by_facts) {
  closed_segment at = wanted;
  for (;;) {
    auto opened = segment_reader::open(at.path, by_facts);
    if (opened || !is_gone(opened.error())) return opened;
    const auto now = segment::closed_segments(path);
    if (!now) return now.error();
    const auto found = std::find_if(now->begin(), now->end(), [&](const auto& s) { return s.number == wanted.number; });
    if (found == now->end()) return segment_reader();
    if (found->path == at.path) return opened;  // the name is there and cannot be opened
    at = *found;
  }
}

}  // namespace annals::content
