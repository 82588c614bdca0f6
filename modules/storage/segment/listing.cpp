// SPDX-License-Identifier: Apache-2.0
//
// Which segments a log has.
//
// readdir(3) may miss a name that is replaced by another one while it lists (a segment's, when it is compressed), but not in
// two listings: a segment is compressed once. So two listings that agree on the numbers are complete, and a file that was
// opened at the live path between the two is the live segment, since a rotation gives the highest number. One listing is enough
// if the directory did not change meanwhile.
module;
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.segment;
import annals.io;

namespace annals::segment {

namespace {

// Each look takes less than the time between two rotations; so many in vain mean that something else is wrong.
constexpr int looks_max = 1000;
constexpr std::string_view temporary_extension = ".tmp";

// Tells whether a directory stayed the same. A change that may be as young as the first look would not show in a time that
// counts in ticks of the kernel's clock (up to 10 ms), nor would one after a step of the clock.
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

// What one look at the directory found.
struct look {
  listing found;
  bool has_vanished = false;  // a file that was listed was gone when its size was asked for
};

bool comes_before(const closed_segment& a, const closed_segment& b) noexcept {
  if (a.number != b.number) return a.number < b.number;
  if (a.compressed != b.compressed) return b.compressed;
  return a.first_event() < b.first_event();
}

// The files of closed segments in their order, and the numbers of those of which an archiver makes another form.
std::vector<closed_segment> files_in(const std::vector<std::string>& names, const std::string& live_path,
                                     std::vector<std::uint64_t>& in_work) {
  const std::string_view prefix = directory_prefix(live_path);
  const std::string stem = stem_of(live_path);
  // Some logs have thousands: small things are sorted, and the segments made in their order.
  struct named {
    closed_segment segment;
    const std::string* name;
  };
  std::vector<named> found;
  found.reserve(names.size());
  for (const std::string& name : names) {
    if (auto segment = parse_closed_name(name, stem)) {
      found.push_back({std::move(*segment), &name});
    } else if (name.ends_with(temporary_extension)) {
      const std::string_view made = std::string_view(name).substr(0, name.size() - temporary_extension.size());
      if (const auto one = parse_closed_name(made, stem)) in_work.push_back(one->number);
    }
  }
  std::vector<const named*> sorted;
  sorted.reserve(found.size());
  for (const named& one : found) sorted.push_back(&one);
  std::sort(sorted.begin(), sorted.end(), [](const named* a, const named* b) { return comes_before(a->segment, b->segment); });
  std::vector<closed_segment> files;
  files.reserve(sorted.size());
  for (const named* one : sorted) files.emplace_back(one->segment).path.append(prefix).append(*one->name);
  return files;
}

// Adds a file's size. False where it is not a regular file, or is gone.
result<bool> measure(closed_segment& file, bool& has_vanished) {
  const auto status = io::status_at(file.path);
  if (!status) return status.error();
  has_vanished = has_vanished || !*status;
  if (!*status || (*status)->kind != io::file_kind::regular) return false;
  file.bytes = (*status)->bytes;
  return true;
}

result<look> look_at(const std::string& live_path, bool with_sizes) {
  const std::string_view prefix = directory_prefix(live_path);
  auto names = io::list_directory(prefix.empty() ? "." : std::string(prefix), stem_of(live_path) + "-", files_max);
  if (!names) return std::move(names.error());
  look seen;
  std::vector<std::uint64_t> in_work;
  auto files = files_in(*names, live_path, in_work);
  *names = {};
  std::sort(in_work.begin(), in_work.end());
  std::vector<closed_segment>& closed = seen.found.closed;
  closed.reserve(files.size());
  // Records that cannot be read say nothing here: a writer asks for them under the log's lock (annals.rotation.lock).
  if (const auto behind = number_behind_records(live_path)) seen.found.live_number = *behind;
  if (!files.empty()) seen.found.live_number = std::max(seen.found.live_number, files.back().number + 1);
  for (closed_segment& file : files) {
    if (with_sizes) {
      const auto is_there = measure(file, seen.has_vanished);
      if (!is_there) return is_there.error();
      if (!*is_there) continue;
    }
    const auto is_other_form = [&](const closed_segment& one) {
      return one.number == file.number && one.first_event() == file.first_event();
    };
    std::vector<closed_segment>& doubled = seen.found.doubled;
    const bool is_first = closed.empty() || closed.back().number != file.number;
    const auto same =
        is_first || is_other_form(closed.back()) ? doubled.end() : std::find_if(doubled.begin(), doubled.end(), is_other_form);
    if (is_first) {
      file.is_compressing = std::binary_search(in_work.begin(), in_work.end(), file.number);
      closed.push_back(std::move(file));
    } else if (!is_other_form(closed.back()) && same == doubled.end()) {
      doubled.push_back(std::move(file));
    } else {
      closed_segment& other = same == doubled.end() ? closed.back() : *same;
      other.is_compressing = true;
      other.bytes += file.bytes;
    }
  }
  if (!with_sizes) return seen;
  const auto live = io::status_at(live_path);
  if (!live) return live.error();
  if (*live && (*live)->kind == io::file_kind::regular) seen.found.live_bytes = (*live)->bytes;
  return seen;
}

bool agree(const look& a, const look& b) {
  const auto same = [](const closed_segment& x, const closed_segment& y) { return x.number == y.number; };
  return !a.has_vanished && !b.has_vanished && a.found.live_number == b.found.live_number &&
         std::equal(a.found.closed.begin(), a.found.closed.end(), b.found.closed.begin(), b.found.closed.end(), same);
}

}  // namespace

result<listing> list(const std::string& live_path, const list_options& with) {
  for (int looks = 0; looks < looks_max; ++looks) {
    const stillness still(live_path);
    auto before = look_at(live_path, with.with_sizes);
    if (!before) return std::move(before.error());
    if (with.meanwhile) {
      if (auto failed = with.meanwhile()) return std::move(*failed);
    }
    if (!before->has_vanished && still.lasted()) return std::move(before->found);
    auto after = look_at(live_path, with.with_sizes);
    if (!after) return std::move(after.error());
    if (agree(*before, *after)) return std::move(after->found);
  }
  return error{errc::io, 0,
               "cannot list the segments of '" + live_path + "': " + std::to_string(looks_max) +
                   " looks at the directory found other ones each time; expected it to hold still between two rotations"};
}

result<std::vector<closed_segment>> closed_segments(const std::string& live_path) {
  auto listed = list(live_path);
  if (!listed) return std::move(listed.error());
  return std::move(listed->closed);
}

result<std::uint64_t> live_number(const std::string& live_path) {
  const auto listed = list(live_path);
  if (!listed) return listed.error();
  return listed->live_number;
}

}  // namespace annals::segment
