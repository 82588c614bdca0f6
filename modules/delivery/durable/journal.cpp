// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.durable;
import annals.io.checksum;
import annals.io.invariant;

namespace annals {

namespace {

constexpr char magic[8] = {'A', 'N', 'N', 'A', 'L', 'S', 'J', 'N'};
constexpr std::uint32_t version = 1;
constexpr std::chrono::milliseconds open_wait{100};            // another process may be about to remove it
constexpr int open_tries = 16;                                 // somebody may put another file there each time
constexpr std::size_t bytes_max = 2 * journal::bytes_default;  // a lap is read into memory

struct file_header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t page_bytes;
  std::uint64_t bytes;    // of groups
  std::int64_t made_us;   // when, in microseconds since 1970
  std::uint64_t made_by;  // process id
  std::uint64_t check;    // of the bytes before
};
static_assert(sizeof(file_header) == 48);

struct group_header {
  std::uint64_t check;  // of all that follows, the lines included
  std::uint64_t lap;
  std::uint64_t index;       // of the group in its lap
  std::uint64_t line_bytes;  // of the lines behind the header
  std::uint64_t count;       // of them
  segment::log_place from;   // where in the log the lap begins
};
static_assert(sizeof(group_header) == 72);

std::uint64_t check_of(const file_header& header) noexcept {
  return fnv_1a({reinterpret_cast<const char*>(&header), offsetof(file_header, check)});
}

// Of a group as it stands in a file, without the zeros behind it.
std::uint64_t check_of_group(std::string_view group) noexcept {
  return fnv_1a(group.substr(sizeof(group_header::check)));
}

// Why these bytes are not so many lines as annals writes them; empty when they are.
std::string_view fault_of_lines(std::string_view bytes, std::uint64_t count) noexcept {
  for (; !bytes.empty(); --count) {
    const std::string_view line = bytes.substr(0, std::min(bytes.find('\n'), bytes.size() - 1) + 1);
    if (const auto why = fault_of_line(line); !why.empty()) return why;
    if (count == 0) return "more lines than its header says";
    bytes.remove_prefix(line.size());
  }
  return count == 0 ? std::string_view() : "fewer lines than its header says";
}

error journal_error(errc code, std::string message) {
  return {code, 0, std::move(message)};
}

}  // namespace

std::string journal::path_of(const std::string& log_path) {
  return log_path + ".journal";
}

std::size_t journal::pages_for(std::size_t line_bytes) noexcept {
  return (sizeof(group_header) + line_bytes + page_bytes - 1) / page_bytes;
}

result<journal> journal::open(const std::string& log_path, std::size_t bytes, const notice_handler& on_notice) {
  const std::string path = path_of(log_path);
  journal made;
  for (int tries = 0; tries < open_tries; ++tries) {
    auto taken = io::owned_file::take(path, 0600, open_wait, &made.grown_);
    if (!taken) return std::move(taken.error());
    if (!*taken) return journal_error(errc::ring_not_owned, "cannot use '" + path + "': another process owns it");
    made.file_ = std::move(**taken);
    const auto fault = made.read_header(bytes);
    if (!fault) return fault.error();
    if (!*fault) return made;
    const auto aside = made.file_.set_aside();
    if (!aside) return aside.error();
    if (!*aside) continue;  // it is gone already
    on_notice({notice_code::journal_damaged, severity::error, 0,
               "'" + path + "' is no journal that can be used: " + **fault + ". It was set aside as '" + **aside +
                   "', and a new one begun; events in it that are not in the log can be looked for there with strings(1)"});
  }
  return journal_error(errc::io,
                       "cannot use '" + path +
                           "': another file was put there each time; expected a directory in which only the log's user "
                           "can write");
}

// Writes all blocks once, so that later writes only overwrite. The header comes last: a file without one is not a journal yet.
std::optional<error> journal::make(std::size_t bytes) {
  const std::string zeros(256 * 1024, '\0');
  for (std::size_t at = 0; at < bytes + page_bytes; at += zeros.size()) {
    const std::string_view part = std::string_view(zeros).substr(0, std::min(zeros.size(), bytes + page_bytes - at));
    if (auto failed = file_.write_at(part, at)) return failed;
  }
  if (auto failed = file_.sync_data()) return failed;
  file_header header = {};
  std::memcpy(header.magic, magic, sizeof magic);
  header.version = version;
  header.page_bytes = page_bytes;
  header.bytes = bytes;
  header.made_us = io::calls().now().time_since_epoch().count();
  header.made_by = static_cast<std::uint64_t>(io::calls().process());
  header.check = check_of(header);
  if (auto failed = file_.write_at({reinterpret_cast<const char*>(&header), sizeof header}, 0)) return failed;
  if (auto failed = file_.sync_data()) return failed;
  capacity_ = bytes;
  if (auto failed = io::sync_directories(grown_)) return failed;
  return io::sync_directory(io::parent_of(file_.path()));
}

// What is wrong with the file, or nothing. A file without a header is one whose maker died before it was used: it is made anew,
// with `bytes` of groups where it is empty.
result<std::optional<std::string>> journal::read_header(std::size_t bytes) {
  const auto status = file_.status();
  if (!status) return status.error();
  const std::uint64_t file_bytes = status->bytes;
  if (auto foreign = io::fault_of_owner(*status)) return foreign;
  if (auto failed = file_.make_private()) return std::move(*failed);
  file_header header = {};
  const auto got = file_.read_at(reinterpret_cast<char*>(&header), sizeof header, 0);
  if (!got) return got.error();
  const file_header zeros = {};
  if (std::memcmp(&header, &zeros, sizeof header) == 0) {
    if (auto failed = make(file_bytes == 0 ? bytes : bytes_default)) {
      if (file_bytes == 0) (void)remove();
      return std::move(*failed);
    }
    return std::optional<std::string>();
  }
  const auto fault = [](std::string why) { return std::optional(std::move(why)); };
  if (*got != sizeof header || std::memcmp(header.magic, magic, sizeof magic) != 0) {
    return fault("it does not begin with ANNALSJN, and so is none");
  }
  if (header.version != version) {
    return fault("it is of version " + std::to_string(header.version) + "; this library knows version " +
                 std::to_string(version));
  }
  if (header.check != check_of(header)) return fault("its header is damaged: the check does not fit");
  if (header.page_bytes != page_bytes || header.bytes < page_bytes || header.bytes > bytes_max ||
      header.bytes % page_bytes != 0 || file_bytes != header.bytes + page_bytes) {
    return fault("it has " + std::to_string(file_bytes) + " bytes, which does not fit its header");
  }
  capacity_ = static_cast<std::size_t>(header.bytes);
  return std::optional<std::string>();
}

result<journal_lap> journal::read_lap() const {
  journal_lap found;
  std::string group;
  std::uint64_t number = lap_;
  for (std::size_t at = 0, index = 0; at + sizeof(group_header) <= capacity_; ++index) {
    if (begun_ && index == index_) break;  // what follows was not acknowledged, or is of an older lap
    group_header header;
    const auto got = file_.read_at(reinterpret_cast<char*>(&header), sizeof header, page_bytes + at);
    if (!got) return got.error();
    if (*got != sizeof header || header.index != index || header.line_bytes > capacity_) break;
    if (index == 0 && number == 0) number = header.lap;
    const std::size_t bytes = sizeof header + static_cast<std::size_t>(header.line_bytes);
    if (header.lap != number || header.lap == 0 || bytes > capacity_ - at) break;
    group.resize(bytes);
    const auto all = file_.read_at(group.data(), bytes, page_bytes + at);
    if (!all) return all.error();
    std::memcpy(&header, group.data(), sizeof header);
    if (*all != bytes || header.check != check_of_group(group)) break;
    if (const auto why = fault_of_lines(std::string_view(group).substr(sizeof header), header.count); !why.empty()) {
      found.damage = why;  // no group of ours, whatever its check says
      break;
    }
    if (index == 0) found.from = header.from;
    found.lines.append(group, sizeof header);
    found.count += static_cast<std::size_t>(header.count);
    at += pages_for(static_cast<std::size_t>(header.line_bytes)) * page_bytes;
  }
  return found;
}

void journal::begin_lap(const segment::log_place& from) noexcept {
  // A number that no lap has whose groups are still in the file.
  const auto now = static_cast<std::uint64_t>(std::max<std::int64_t>(io::calls().now().time_since_epoch().count(), 0));
  lap_ = std::max(lap_ + 1, now);
  index_ = 0;
  used_ = 0;
  from_ = from;
  begun_ = true;
}

std::optional<error> journal::append(std::string_view lines, std::size_t count) {
  invariant(begun_ && has_room_for(lines.size()), "a group belongs to a lap and fits into it");
  invariant(lines.empty() == (count == 0) && (lines.empty() || lines.back() == '\n'), "a group has whole lines");
  group_header header = {};
  header.lap = lap_;
  header.index = index_;
  header.line_bytes = lines.size();
  header.count = count;
  header.from = from_;
  const std::size_t bytes = pages_for(lines.size()) * page_bytes;
  group_.assign(reinterpret_cast<const char*>(&header), sizeof header);
  group_.append(lines);
  header.check = check_of_group(group_);
  std::memcpy(group_.data(), &header, sizeof header);
  group_.resize(bytes, '\0');
  if (auto failed = file_.hold_again()) return failed;
  if (auto failed = file_.write_at(group_, page_bytes + used_)) return failed;
  if (auto failed = file_.sync_data()) return failed;
  used_ += bytes;
  ++index_;
  return std::nullopt;
}

std::optional<error> journal::remove() {
  if (auto failed = file_.hold_again()) return failed;  // it may be another process's by now
  return file_.remove_in_place();
}

std::optional<error> journal::set_aside() {
  if (auto failed = file_.hold_again()) return failed;
  auto aside = file_.set_aside();
  if (!aside) return std::move(aside.error());
  return std::nullopt;
}

}  // namespace annals
