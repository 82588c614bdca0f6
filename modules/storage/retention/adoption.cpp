// SPDX-License-Identifier: Apache-2.0
//
// Files that others rotated become closed segments of a log. The numbers are the order of a log, and no number is ever used
// twice: below the live segment's, each may once have been that of a segment that is gone. So files are only taken in with the
// numbers from the live segment's on, and it moves behind them; and therefore only files that begin neither before the last
// closed segment nor after the live one.
module;
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>
module annals.retention;
import annals.content;
import annals.io;
import annals.json;
import annals.rotation;
import annals.segment;
import annals.event.text;
#include "internal.h"
#include "words.h"

namespace annals {

namespace {

constexpr unsigned file_mode = 0600;
constexpr std::string_view gzip_magic = "\x1f\x8b";

// A file to be taken in.
struct candidate {
  std::string path;
  bool is_compressed = false;
  time_point begins;           // its first event, else what its name says, else its modification time
  std::uint64_t age_rank = 0;  // 2 of "audit.jsonl.2": among files that begin alike, the larger is the older
  std::optional<time_point> first;
  std::optional<time_point> last;
  io::file_status identity;
};

std::string_view name_of_file(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

// What logrotate puts into names: a date ("audit.jsonl-20261101", also with hours), or a number ("audit.jsonl.2").
void read_name(std::string_view name, std::optional<time_point>& date, std::uint64_t& rank) {
  if (name.ends_with(".zst")) name.remove_suffix(4);
  const std::size_t begin = name.find_last_not_of("0123456789") + 1;
  const std::string_view digits = name.substr(begin);
  if (digits.empty() || digits.size() > 12) return;
  const char before = begin == 0 ? '\0' : name[begin - 1];
  if (before == '.') std::from_chars(digits.data(), digits.data() + digits.size(), rank);
  if (before != '-' || (digits.size() != 8 && digits.size() != 10)) return;
  const std::string_view hours = digits.size() == 10 ? digits.substr(8) : "00";
  const auto read = parse_timestamp(std::string(digits.substr(0, 4)) + "-" + std::string(digits.substr(4, 2)) + "-" +
                                    std::string(digits.substr(6, 2)) + "T" + std::string(hours) + ":00:00Z");
  if (read) date = read->time;
}

// Is it the name of a file that stands beside a log, and is no log?
bool is_beside_a_log(std::string_view name) {
  constexpr std::string_view endings[] = {".holds", ".deleted", ".lock", ".ring", ".journal"};
  const std::string_view stem =
      name.ends_with(".tmp") ? name.substr(0, name.size() - 4) : name.substr(0, name.find(".damaged-"));
  return std::any_of(std::begin(endings), std::end(endings), [stem](std::string_view one) { return stem.ends_with(one); });
}

// Makes a candidate of a file, or says why that is not possible.
std::optional<std::string> examine(const std::string& log, const std::string& path, candidate& made) {
  if (is_beside_a_log(name_of_file(path)))
    return "it is no log, but belongs to one: holds, deletions, a lock, a ring or a journal";
  const auto file = io::file::open(path, io::open_for::reading);
  if (!file) return file.error().message;
  const auto status = file->status();
  if (!status) return status.error().message;
  made.path = path;
  made.identity = *status;
  const auto live = io::status_at(log);
  if (live && *live && io::same_file(**live, *status)) return "it is the live segment of the log";
  if (io::parent_of(path) == io::parent_of(log) && segment::parse_closed_name(name_of_file(path), segment::stem_of(log))) {
    return "it is a closed segment of the log already";
  }
  if (status->bytes == 0) return "it is empty";
  char begin[gzip_magic.size()];
  const auto got = file->read_at(begin, sizeof begin, 0);
  if (got && std::string_view(begin, *got) == gzip_magic) {
    const std::string target = path.ends_with(".gz") ? path.substr(0, path.size() - 3) : path;
    return "it is compressed with gzip; convert it first: zcat " + shell_quoted(path) + " | zstd -o " +
           shell_quoted(target + ".zst");
  }
  auto opened = content::segment_reader::of(*file, path);
  if (!opened) return opened.error().message;
  made.is_compressed = opened->is_compressed();
  std::uint64_t events = 0;
  std::uint64_t others = 0;
  const auto read = content::each_line(*opened, 0, static_cast<std::uint64_t>(-1), {}, [&](const content::line& line) {
    const json::line_time found = content::time_of(line);
    ++(found.is_event ? events : others);
    if (!found.time) return true;
    if (!made.first) made.first = found.time;
    made.last = found.time;
    return true;
  });
  if (!read) return read.error().message;
  if (events <= others) {
    return "it is no log of JSON lines: " + std::to_string(others) + " of its " + std::to_string(events + others) +
           " lines are no events";
  }
  std::optional<time_point> date;
  read_name(name_of_file(path), date, made.age_rank);
  made.begins = made.first ? *made.first : date ? *date : status->modified;
  return std::nullopt;
}

// When a segment of the log begins: the first time that can be read in it.
result<std::optional<time_point>> beginning_of(const segment_info& one) {
  auto opened = content::segment_reader::open(one.path);
  if (!opened) return std::move(opened.error());
  return content::first_time(*opened);
}

result<std::vector<candidate>> examine_all(const std::string& log, std::span<const std::string> files) {
  std::vector<candidate> found;
  std::string faults;
  for (const std::string& path : files) {
    candidate one;
    auto fault = examine(log, path, one);
    const bool is_twice = std::any_of(found.begin(), found.end(),
                                      [&one](const candidate& other) { return io::same_file(other.identity, one.identity); });
    if (!fault && is_twice) fault = "it is given twice";
    if (fault) {
      faults += "\n'" + visible(path) + "': " + visible(*fault);
    } else {
      found.push_back(std::move(one));
    }
  }
  if (!faults.empty()) return error{errc::invalid_argument, 0, "cannot adopt into '" + log + "':" + faults};
  std::sort(found.begin(), found.end(), [](const candidate& a, const candidate& b) {
    return std::tie(a.begins, b.age_rank, a.path) < std::tie(b.begins, a.age_rank, b.path);
  });
  return found;
}

result<std::vector<adopted_file>> plan_for(const std::string& log, std::span<const candidate> candidates,
                                           std::uint64_t number) {
  retention::inventory known(log);
  const auto segments = known.list();
  if (!segments) return segments.error();
  std::uint64_t last_closed = 0;
  for (const segment_info& one : *segments) last_closed = one.state == segment_state::live ? last_closed : one.number;
  std::string faults;
  for (const segment_info& one : *segments) {
    const bool is_live = one.state == segment_state::live;
    if (!is_live && one.number != last_closed) continue;
    const auto begins = beginning_of(one);
    if (!begins) return begins.error();
    if (!*begins) continue;
    for (const candidate& each : candidates) {
      if (is_live ? each.begins <= **begins : each.begins >= **begins) continue;
      faults += "\n'" + visible(each.path) + "': it begins " + words::time(each.begins) +
                (is_live ? ", later than the live segment (" : ", earlier than segment " + std::to_string(one.number) + " (") +
                words::time(**begins) + ")";
    }
  }
  if (!faults.empty()) {
    return error{
        errc::invalid_argument, 0,
        "cannot adopt into '" + log + "':" + faults +
            "\nNumbers are the order of a log, so files can only be put between its last closed segment and the live one. "
            "Readers read the others where they are (annals cat, query, tail)"};
  }
  std::vector<adopted_file> plan;
  for (const candidate& one : candidates) {
    plan.push_back({one.path, segment::closed_path(log, number, one.begins, one.is_compressed), number, one.first, one.last});
    ++number;
  }
  return plan;
}

// Renames the file that was examined. A directory on its path, or the file itself, may have been replaced since; the number of
// a removed file's inode can be given to another one, but not with the same time of change.
std::optional<error> take_in(const adopted_file& one, const io::file_status& examined) {
  const auto held = io::file::open(one.from, io::open_for::reading);
  if (!held) return held.error();
  const auto now = held->status();
  if (!now) return now.error();
  if (!io::same_file(*now, examined) || now->changed != examined.changed || now->bytes != examined.bytes) {
    return error{errc::io, ESTALE,
                 "cannot adopt '" + one.from +
                     "': it was replaced or changed since it was examined; expected a file that nobody changes"};
  }
  return io::rename_new(one.from, one.to, *now);
}

std::string event_for(const adopted_file& one) {
  return retention::event_line("segment_adopted", name_of_file(one.to),
                               "the file " + one.from + " became segment " + std::to_string(one.number),
                               {{"segment", one.number}, {"from", one.from}});
}

}  // namespace

result<std::vector<adopted_file>> plan_adoption(const std::string& path, std::span<const std::string> files) {
  const auto candidates = examine_all(path, files);
  if (!candidates) return candidates.error();
  const auto number = segment::live_number(path);
  if (!number) return number.error();
  return plan_for(path, *candidates, *number);
}

result<std::vector<adopted_file>> adopt(const std::string& path, std::span<const std::string> files) {
  const auto candidates = examine_all(path, files);
  if (!candidates) return candidates.error();
  const auto turn = retention::turn::take(path, true);
  if (!turn) return turn.error();
  std::vector<adopted_file> done;
  std::optional<error> failed;
  {
    rotation::log_lock lock(path, file_mode);
    auto held = lock.lock();
    if (!held) return held.error();
    const auto number = held->live_number();
    if (!number) return number.error();
    auto plan = plan_for(path, *candidates, *number);
    if (!plan) return plan;
    for (std::size_t i = 0; i < plan->size(); ++i) {
      failed = take_in(plan->at(i), candidates->at(i).identity);  // the plan has the order of the candidates
      if (failed) break;
      done.push_back(std::move(plan->at(i)));
    }
    std::vector<std::string> directories = {io::parent_of(path)};
    for (const adopted_file& one : done) directories.push_back(io::parent_of(one.from));
    std::sort(directories.begin(), directories.end());
    directories.erase(std::unique(directories.begin(), directories.end()), directories.end());
    for (const std::string& directory : directories) {
      auto unsynced = done.empty() ? std::nullopt : io::sync_directory(directory);
      if (unsynced && !failed) failed = std::move(unsynced);
    }
    if (!failed && !done.empty()) lock.closed(done.back().number);
  }
  std::string events;
  for (const adopted_file& one : done) events += event_for(one);
  if (!events.empty()) {
    auto untold = retention::append_durably(path, events);
    if (untold && !failed) failed = std::move(untold);
  }
  if (!failed) return done;
  failed->message += "; " + std::to_string(done.size()) + " of " + std::to_string(candidates->size()) + " files were adopted";
  return std::move(*failed);
}

}  // namespace annals
