// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <iterator>
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

// Puts each behind the one that has its number.
void add_doubled(std::vector<closed_segment>& closed, const std::vector<closed_segment>& doubled) {
  if (doubled.empty()) return;
  std::vector<closed_segment> all;
  all.reserve(closed.size() + doubled.size());
  std::merge(closed.begin(), closed.end(), doubled.begin(), doubled.end(), std::back_inserter(all),
             [](const closed_segment& a, const closed_segment& b) { return a.number < b.number; });
  closed = std::move(all);
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
  add_doubled(seen.closed, listed->doubled);
  seen.live_number = listed->live_number;
  return seen;
}

result<segment_reader> open_closed(const std::string& path, const closed_segment& wanted,
                                   const segment_reader::chooser& by_facts) {
  closed_segment at = wanted;
  for (;;) {
    auto opened = segment_reader::open(at.path, by_facts);
    if (opened || !is_gone(opened.error())) return opened;
    auto now = segment::list(path);
    if (!now) return std::move(now.error());
    add_doubled(now->closed, now->doubled);
    const auto found = std::find_if(now->closed.begin(), now->closed.end(), [&](const closed_segment& one) {
      return one.number == wanted.number && one.first_event() == wanted.first_event();
    });
    if (found == now->closed.end()) return segment_reader();
    if (found->path == at.path) return opened;  // the name is there and cannot be opened
    at = *found;
  }
}

}  // namespace annals::content
