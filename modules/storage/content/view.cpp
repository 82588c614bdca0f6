// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
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

// Does the archive begin and end like the plain form, which is as long?
result<bool> begin_and_end_alike(segment_reader& plain, segment_reader& archive, std::uint64_t bytes) {
  const auto differ = [](const result<std::string>& a, const result<std::string>& b) { return a && b && *a != *b; };
  const auto first = plain.text_at(0, check_first_bytes_max);
  if (!first) return first.error();
  const auto last = plain.text_before(bytes, check_last_bytes_max);
  if (!last) return last.error();
  return !differ(first, archive.text_at(0, check_first_bytes_max)) &&
         !differ(last, archive.text_before(bytes, check_last_bytes_max));
}

// The form of a segment that is to be read, where the archive may be there beside the plain one.
result<segment_reader> longer_form(segment_reader plain, const segment_reader::chooser& by_facts) {
  const std::string other = plain.path() + std::string(segment::compressed_extension);
  const auto status = io::status_at(other);
  if (!status || !*status || (*status)->kind != io::file_kind::regular) return plain;
  auto archive = segment_reader::open(other);
  if (!archive) {
    if (!is_gone(archive.error())) plain.note_loss("its compressed form cannot be read: " + archive.error().message);
    return plain;
  }
  const auto plain_bytes = plain.bytes();
  if (!plain_bytes) return plain_bytes.error();
  const auto archive_bytes = archive->bytes();
  if (!archive_bytes) return archive_bytes.error();
  const auto lengths = std::to_string(*plain_bytes) + " of " + std::to_string(*archive_bytes);
  if (*plain_bytes < *archive_bytes && archive->take_losses().empty()) {
    auto longer = by_facts ? segment_reader::open(other, by_facts) : std::move(archive);
    if (longer) {
      longer->note_loss("'" + plain.path() + "' is another form of it with only " + lengths +
                        " bytes, and was not read: remove it, or move it away");
    }
    return longer;
  }
  if (*plain_bytes > *archive_bytes) {
    plain.note_loss("'" + other + "' is another form of it with other lines (" + std::to_string(*archive_bytes) + " of " +
                    std::to_string(*plain_bytes) + " bytes), and was not read");
    return plain;
  }
  const auto alike = begin_and_end_alike(plain, *archive, *plain_bytes);
  if (!alike) return alike.error();
  if (!*alike || *plain_bytes != *archive_bytes || !archive->take_losses().empty()) {
    plain.note_loss("'" + other + "' is another form of it that is damaged or holds other lines, and was not read");
  }
  return plain;
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
    if (opened && at.path.ends_with(segment::compressed_extension)) {
      if (opened->identity().bytes == 0) opened->note_loss("it is empty, and a closed segment is not");
      return opened;
    }
    if (opened) {
      const bool is_empty = opened->identity().bytes == 0;
      auto read = longer_form(std::move(*opened), by_facts);
      if (read && is_empty && read->path() == at.path) read->note_loss("it is empty, and a closed segment is not");
      return read;
    }
    if (!is_gone(opened.error())) return opened;
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
