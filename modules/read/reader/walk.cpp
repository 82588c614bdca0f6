// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
module annals.reader;
import annals.content;
#include "walk.h"

namespace annals {

void walk::begin_at(std::uint64_t number) {
  const auto found = std::find_if(log_.closed.begin(), log_.closed.end(), [&](const auto& s) { return s.number >= number; });
  at_ = static_cast<std::size_t>(found - log_.closed.begin());
  expected_ = number;
}

std::optional<walk::stop> walk::next(const content::segment_reader::chooser& by_facts) {
  while (at_ <= log_.closed.size()) {
    stop here;
    here.is_live = at_ == log_.closed.size();
    here.number = here.is_live ? log_.live_number : log_.closed[at_].number;
    auto opened = here.is_live ? result<content::segment_reader>(std::move(log_.live))
                               : content::open_closed(path_, log_.closed[at_], by_facts);
    const std::string path = here.is_live ? path_ : log_.closed[at_].path;
    ++at_;
    if (opened && !opened->is_open()) continue;  // deleted meanwhile, or there is no live segment
    if (expected_ && here.number + 1 == *expected_) {
      doubled_(here.number, path);
    } else if (const std::uint64_t expected = expected_.value_or(1); here.number > expected) {
      missing_(expected, here.number - 1);
    }
    expected_ = here.number + 1;
    if (!opened) {
      unreadable_(here.number, path, opened.error());
      continue;
    }
    here.file = std::move(*opened);
    return here;
  }
  return std::nullopt;
}

std::optional<walk::stop> walk::previous() {
  while (before_ > 0) {
    const closed_segment& one = log_.closed[--before_];
    auto opened = content::open_closed(path_, one);
    if (opened && !opened->is_open()) continue;
    if (one.number == expected_before_ + 1) {
      doubled_(one.number, one.path);
    } else if (one.number != expected_before_) {
      missing_(one.number + 1, expected_before_);
    }
    expected_before_ = one.number - 1;
    if (opened) return stop{std::move(*opened), one.number, false};
    unreadable_(one.number, one.path, opened.error());
  }
  if (expected_before_ != 0) missing_(1, std::exchange(expected_before_, 0));
  return std::nullopt;
}

}  // namespace annals
