// SPDX-License-Identifier: Apache-2.0
//
// Cursors, and reading on from them: any text is a cursor, any bytes are a log of some segments, plain or compressed. All
// readers see the same events; whoever stops somewhere and goes on from a cursor sees each of them once.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iterator>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz.h"
import annals;
import annals.io;
import annals.content.seekable;
#include "../support/hooked_calls.h"

namespace {

using fuzz::require;

using lines = std::vector<std::string>;

// Tomorrow: segments that were made a moment ago have settled, and no follower waits for late writers of them.
class tomorrow {
 public:
  tomorrow() { calls_.advance(std::chrono::hours(24)); }

 private:
  support::hooked_calls calls_;
};

std::string joined(const lines& all) {
  std::string text;
  for (const std::string& one : all) text += one + "\n";
  return text;
}

// --- the log ----------------------------------------------------------------------------------------------------------------

std::string compressed(std::string_view text) {
  std::string file;
  annals::seekable::writer::options with;
  with.level = 1;
  with.frame_bytes = annals::seekable::frame_bytes_min;
  annals::seekable::writer to(with, [&](std::string_view bytes) -> std::optional<annals::error> {
    file += bytes;
    return std::nullopt;
  });
  require(!to.add(text) && !to.finish(), "lines can be compressed");
  return file;
}

// Letters stand for lines, so that a few bytes are many events; any other byte for itself.
std::string expanded(std::string_view text) {
  std::string all;
  constexpr std::size_t text_bytes_max = 100;  // more tells nothing new, and takes long
  for (const char c : text.substr(0, text_bytes_max)) {
    if (c >= 'A' && c <= 'Z') {
      all += R"({"ts":"2026-01-31T23:59:59+00:00","container":"web","action":")" + std::string(1, c) + "\"}\n";
    } else {
      all += c;
    }
  }
  return all;
}

bool is_compressed(std::string_view text) {  // as its first bytes say, whatever its name
  return text.starts_with("\x28\xB5\x2F\xFD") || (text.size() >= 4 && text.substr(1, 3) == "\x2A\x4D\x18") ||
         text.starts_with("\x1F\x8B");
}

// Makes the log. False where a plain file of it would pass for a compressed one.
bool make_log(fuzz::input& in, const fuzz::work_directory& directory) {
  const unsigned how = in.byte();
  std::uint64_t number = 1 + (how >> 6);  // nobody promised that the first one is 1
  for (unsigned i = 0; i < (how & 3); ++i) {
    const bool in_zst = (how >> (2 + i) & 1) != 0;
    const std::string text = expanded(in.text());
    if (is_compressed(text)) return false;
    const std::string digits = std::to_string(number);
    const std::string name = "audit-" + std::string(6 - digits.size(), '0') + digits + "-20260131T235959Z.jsonl";
    fuzz::write_file(directory / (name + (in_zst ? ".zst" : "")), in_zst ? compressed(text) : text);
    number += (how & 0x20) != 0 ? 2 : 1;
  }
  const std::string text = expanded(in.text());
  if (is_compressed(text)) return false;
  fuzz::write_file(directory / "audit.jsonl", text);
  return true;
}

// --- readers ----------------------------------------------------------------------------------------------------------------

lines scanned(const std::string& path) {
  lines all;
  annals::scan(path, {}, [&](const annals::event& e) {
    all.push_back(e.line);
    return true;
  });
  return all;
}

lines tail(const std::string& path, std::int64_t n) {
  lines all;
  for (const annals::event& e : annals::tail_log(path, n)) all.push_back(e.line);
  return all;
}

struct followed {
  lines events;
  annals::cursor at = {};  // behind the first `stop` events
  std::uint64_t damaged = 0;
  std::uint64_t gaps = 0;
};

followed follow_from(const std::string& path, const annals::cursor& from, std::size_t events_max, std::size_t stop = 0) {
  using namespace std::chrono_literals;
  followed had;
  annals::read_options options;
  options.on_gap = [](const annals::gap& missing) {
    require(missing.first <= missing.last, "a gap has a beginning and an end");
  };
  annals::follower all = annals::follow(path, from, options);
  for (;;) {
    if (had.events.size() == stop) had.at = all.position();
    const auto next = all.next(0ms);
    if (!next) break;
    had.events.push_back(next->line);
    require(had.events.size() <= events_max, "a follower comes to an end", joined(had.events));
  }
  if (had.events.size() < stop) had.at = all.position();
  had.damaged = all.damaged();
  had.gaps = all.gaps();
  return had;
}

bool ends_with(const lines& all, const lines& end) {
  return end.size() <= all.size() && std::equal(end.begin(), end.end(), all.end() - static_cast<std::ptrdiff_t>(end.size()));
}

void check_cursor(std::string_view text) {
  const auto read = annals::parse_cursor(text);
  if (read) require(annals::parse_cursor(to_string(*read)) == read, "a cursor is read as it was written", text);
}

// Whoever stops behind any event, writes his cursor down and goes on from it sees the others, and is told of nothing new.
void check_resuming(const std::string& path, const followed& all, std::size_t at) {
  const auto cursor = annals::parse_cursor(to_string(all.at));
  require(cursor == all.at, "a cursor is read as it was written", to_string(all.at));
  const followed rest = follow_from(path, *cursor, all.events.size());
  require(rest.events.size() == all.events.size() - at && ends_with(all.events, rest.events),
          "from a cursor a reader goes on where it stood", to_string(*cursor) + "\n" + joined(rest.events));
  require(rest.damaged <= all.damaged && rest.gaps <= all.gaps, "a cursor fits the log it was taken from", to_string(*cursor));
}

// From a cursor of anybody: those that fit nothing begin at the beginning. (Without a check they are believed.)
void check_any(const std::string& path, const followed& all, const annals::cursor& from, std::size_t log_bytes) {
  const followed had = follow_from(path, from, log_bytes);
  if (from.check != 0) require(ends_with(all.events, had.events), "a reader begins where events do", to_string(from));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::work_directory directory;
  static const tomorrow clock;
  directory.clear();
  fuzz::input in(fuzz::text_of(data, size));
  const std::size_t where = in.byte();
  const std::size_t count = in.byte();
  const std::string text = in.text();
  check_cursor(text);
  const std::string path = directory / "audit.jsonl";
  if (!make_log(in, directory)) return 0;

  const lines all = scanned(path);
  require(tail(path, INT64_MAX) == all, "the last events are all events", joined(all));
  const lines last = tail(path, static_cast<std::int64_t>(count));
  require(last.size() == std::min(count, all.size()) && ends_with(all, last), "the last n events are the last n", joined(last));
  const std::size_t stop = where % (all.size() + 1);
  const followed from_first = follow_from(path, {}, all.size(), stop);
  const bool waits = from_first.events.size() + 1 == all.size();  // for the newline of the last
  const std::string live = fuzz::content_of(path);
  require(from_first.events.size() == all.size() || (waits && !live.empty() && live.back() != '\n'),
          "a follower sees all events", joined(from_first.events));
  require(std::equal(from_first.events.begin(), from_first.events.end(), all.begin()), "a follower sees them in their order",
          joined(from_first.events));
  check_resuming(path, from_first, std::min(stop, from_first.events.size()));
  const annals::tail_page page = annals::read_tail(path, 1);
  require(follow_from(path, page.next, 0).events.empty(), "behind the last events there are none", to_string(page.next));
  const std::size_t log_bytes = 400 * size + 1;
  const annals::cursor any = {{where % 8, count}, 0};
  check_any(path, from_first, annals::parse_cursor(text).value_or(any), log_bytes);
  return 0;
}
