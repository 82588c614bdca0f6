// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>
module annals.content;
import annals.io;
import annals.segment;

namespace annals::source {

namespace {

// A log that is rotated, compressed or deleted from may change between two looks at its directory: then look again. Each look
// takes less than the time between two rotations; so many in vain mean that the directory does not tell the same twice.
constexpr int looks_max = 1000;

using segments = std::vector<segment::closed_segment>;

// Of a segment in both forms, which is what stands there at the end of its compression, the plain one.
result<segments> list(const std::string& path) {
  auto listed = segment::closed_segments(path);  // ordered by number, then by path: the plain one first
  if (!listed) return listed;
  const auto same = [](const segment::closed_segment& a, const segment::closed_segment& b) { return a.number == b.number; };
  listed->erase(std::unique(listed->begin(), listed->end(), same), listed->end());
  return listed;
}

bool same_numbers(const segments& a, const segments& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const segment::closed_segment& x, const segment::closed_segment& y) { return x.number == y.number; });
}

// Looks at a directory twice, to tell whether what was read in between is one state of it. Where nothing was done there for a
// while, its time of change says so. A change that may be as young as the first look would not show in a time that counts in
// ticks of the kernel's clock (up to 10 ms), nor would one after a step of the clock.
class stillness {
 public:
  explicit stillness(const std::string& path) : directory_(io::parent_of(path) + "/.") {
    const time_point now = io::calls().now_coarse();
    const auto seen = io::status_at(directory_);
    if (seen && *seen && (*seen)->changed + std::chrono::seconds(1) < now) before_ = **seen;
  }
  bool lasted() const {
    if (!before_) return false;
    const auto seen = io::status_at(directory_);
    return seen && *seen && io::same_file(**seen, *before_) && (*seen)->changed == before_->changed &&
           (*seen)->modified == before_->modified;
  }

 private:
  const std::string directory_;
  std::optional<io::file_status> before_;
};

bool is_gone(const error& cause) noexcept {
  return cause.code == errc::io && cause.system_code == ENOENT;
}

error unsteady(const std::string& path) {
  return {errc::io, 0,
          "cannot list the segments of '" + path + "': " + std::to_string(looks_max) +
              " looks at the directory found other ones each time; expected it to hold still between two rotations"};
}

}  // namespace

// readdir(3) may miss a name that is replaced by another one while it lists (a segment's, when it is compressed), but not in
// two listings: a segment is compressed once. So what two listings agree on is there, and the file that was opened at the
// path between the two is the one that follows. (A rotation gives the highest number.) Where the directory holds still, one
// listing does.
result<view> view_of(const std::string& path) {
  for (int looks = 0; looks < looks_max; ++looks) {
    const stillness still(path);
    auto before = list(path);
    if (!before) return before.error();
    view seen;
    auto live = content::open(path);
    if (!live && !is_gone(live.error())) return std::move(live.error());
    if (live) seen.live = std::move(*live);
    if (still.lasted()) {
      seen.closed = std::move(*before);
    } else {
      auto after = list(path);
      if (!after) return std::move(after.error());
      if (!same_numbers(*before, *after)) continue;
      seen.closed = std::move(*after);
    }
    seen.live_number = seen.closed.empty() ? 1 : seen.closed.back().number + 1;
    return seen;
  }
  return unsteady(path);
}

result<std::vector<segment::closed_segment>> closed_of(const std::string& path) {
  for (int looks = 0; looks < looks_max; ++looks) {
    const stillness still(path);
    auto before = list(path);
    if (!before || still.lasted()) return before;
    auto after = list(path);
    if (!after || same_numbers(*before, *after)) return after;
  }
  return unsteady(path);
}

result<content> open_closed(const std::string& path, const segment::closed_segment& wanted, const content::chooser& by_facts) {
  segment::closed_segment at = wanted;
  for (int looks = 0; looks < looks_max; ++looks) {
    auto opened = content::open(at.path, by_facts);
    if (opened || !is_gone(opened.error())) return opened;
    auto now = closed_of(path);
    if (!now) return std::move(now.error());
    const auto found = std::find_if(now->begin(), now->end(), [&](const auto& s) { return s.number == wanted.number; });
    if (found == now->end()) return content();
    at = *found;
  }
  return unsteady(path);
}

}  // namespace annals::source
