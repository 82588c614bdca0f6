// SPDX-License-Identifier: Apache-2.0
module;
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
module annals.reader;
import annals.recovery;
import annals.io;
import annals.json;
import annals.segment;
import annals.content;
#include "look_at.h"
#include "reading.h"
#include "walk.h"

namespace annals {

namespace {

// False for the names of closed segments, and for those that logrotate gives: "audit.jsonl.1", "audit.jsonl-20261101".
bool may_be_live(std::string_view path) {
  const std::size_t digits = path.find_last_not_of("0123456789") + 1;  // npos + 1 is 0
  const bool is_numbered = digits != 0 && digits != path.size() && (path[digits - 1] == '.' || path[digits - 1] == '-');
  return !is_numbered && !segment::log_of(path);
}

class line_giver {
 public:
  line_giver(const std::string& path, const std::function<bool(std::string_view)>& take, const read_options& options)
      : path_(path), take_(take), options_(options), told_(path, options) {}

  scan_result run() {
    log_at_once seen = look_at(path_, options_.with_ring).value();
    walk segments(
        path_, std::move(seen.log), [this](std::uint64_t first, std::uint64_t last) { told_.missing(first, last); },
        [this](std::uint64_t, const std::string& file, const error& cause) { told_.unreadable(file, cause); },
        [this](std::uint64_t number, const std::string& file) { told_.doubled(number, file); });
    bool more = true;
    while (more) {
      auto next = segments.next();
      if (!next) break;
      const std::uint64_t end = next->is_live ? end_of_live(next->file, seen) : static_cast<std::uint64_t>(-1);
      more = give_segment(next->file, end) && end_line();
    }
    if (more) (void)seen.each_left(told_, [this](std::string_view line) { return give(line); });
    result_.damaged = told_.damages();
    result_.gaps = told_.gaps();
    return result_;
  }

 private:
  // Behind the last line that may be given. An incomplete last line may be one that is being written, in a file that can be a
  // live segment.
  static std::uint64_t end_of_live(content::segment_reader& file, const log_at_once& seen) {
    constexpr std::chrono::seconds age_min{1};  // writes take microseconds
    if (file.is_compressed()) return static_cast<std::uint64_t>(-1);
    const std::uint64_t end = seen.end_of(file);
    if (!may_be_live(file.path()) || io::calls().now() - file.status().value().modified > age_min) return end;
    content::backward_lines lines(file, end);  // owns the text of the line
    const auto last = lines.next();
    if (!last || last->terminated || json::decode_line(last->text)) return end;
    return last->offset;
  }

  bool give_segment(content::segment_reader& file, std::uint64_t end) {
    report_losses(file, told_);
    std::uint64_t expected = 0;
    const auto more = file.each(0, end, {}, [&](const content::piece& next) {
      report_losses(file, told_);
      const bool whole = next.offset == std::exchange(expected, next.offset + next.bytes.size());
      return (whole || end_line()) && give(next.bytes);
    });
    report_losses(file, told_);
    if (more) return *more;
    told_.unreadable(file.path(), more.error());
    return !result_.stopped;
  }

  bool end_line() { return is_ended_ || give("\n"); }

  bool give(std::string_view bytes) {
    is_ended_ = bytes.ends_with('\n');
    result_.bytes += bytes.size();
    result_.stopped = !take_(bytes);
    return !result_.stopped;
  }

  const std::string& path_;
  const std::function<bool(std::string_view)>& take_;
  const read_options& options_;
  reports told_;
  scan_result result_;
  bool is_ended_ = true;  // the last line that was given
};

}  // namespace

scan_result read_lines(const std::string& path, const std::function<bool(std::string_view piece)>& take,
                       const read_options& options) {
  return line_giver(path, take, options).run();
}

}  // namespace annals
