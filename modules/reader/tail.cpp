// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reading.h"
module annals.reader;
import annals.io;
import annals.json;
import annals.segment;

namespace annals {

namespace {

constexpr std::size_t block_bytes_min = 32 * 1024;
constexpr std::size_t block_bytes_max = 4 * 1024 * 1024;

struct backward_line {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;  // newline not included
  bool terminated = false;
  bool too_long = false;  // then `text` is empty
  std::string_view text;  // valid until the next call
};

// The lines of a file, last one first.
class backward_lines {
 public:
  backward_lines(const io::file& file, std::uint64_t bytes) : file_(file), begin_(bytes), end_(bytes), done_(bytes == 0) {
    if (done_) return;
    read_block();
    if (held_.back() != '\n') return;
    held_.pop_back();
    --end_;
    terminated_ = true;
  }

  std::optional<backward_line> next() {
    if (done_) return std::nullopt;
    std::size_t searched = 0;  // this many bytes at the end of held_ contain no newline
    for (;;) {
      const std::size_t newline = std::string_view(held_).substr(0, held_.size() - searched).rfind('\n');
      if (newline != std::string_view::npos) return cut(newline + 1);
      if (begin_ == 0) {
        done_ = true;
        return cut(0);
      }
      searched = held_.size();
      if (searched > limits::read_line_bytes_max) {  // from now on only the line's beginning matters
        held_.clear();
        searched = 0;
      }
      read_block();
    }
  }

 private:
  // Puts the block before begin_ in front of what is held. Blocks grow while a line does, so that long lines stay cheap.
  void read_block() {
    block_bytes_ = end_ - begin_ < block_bytes_min ? block_bytes_min : std::min(2 * block_bytes_, block_bytes_max);
    const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(block_bytes_, begin_));
    std::string block(bytes, '\0');  // what a file that was cut meanwhile no longer has reads as NULs, and so as damage
    begin_ -= bytes;
    (void)file_.read_at(block.data(), bytes, begin_).value();
    block += held_;
    held_ = std::move(block);
  }

  backward_line cut(std::size_t from) {
    backward_line line;
    line.offset = begin_ + from;
    line.bytes = end_ - line.offset;
    line.terminated = std::exchange(terminated_, true);
    line.too_long = line.bytes > limits::read_line_bytes_max;
    text_.clear();
    if (!line.too_long) text_.assign(held_, from);
    line.text = text_;
    if (from != 0) {  // drop the newline before, too
      held_.resize(from - 1);
      end_ = line.offset - 1;
    }
    return line;
  }

  const io::file& file_;
  std::uint64_t begin_;  // offset of held_ in the file
  std::uint64_t end_;    // offset behind the line that held_ ends with
  std::string held_;     // from begin_ on; without the end of a line that is too long
  std::string text_;     // of the line returned last
  std::size_t block_bytes_ = block_bytes_min;
  bool terminated_ = false;
  bool done_;
};

class tail_reader {
 public:
  tail_reader(const std::string& path, std::int64_t n, const read_options& options) : path_(path), n_(n), options_(options) {}

  // Everything but the cursor's segment and check.
  tail_page read(const io::file& file) {
    page_.next.at.offset = file.status().value().bytes;
    backward_lines lines(file, page_.next.at.offset);
    bool last = true;
    while (auto line = lines.next()) {
      if (last && !line->terminated) {
        if (!take_unterminated(*line)) page_.next.at.offset = line->offset;
      } else if (wants_more()) {
        take(*line);
      }
      last = false;
      if (!wants_more()) break;
    }
    std::reverse(page_.events.begin(), page_.events.end());
    return std::move(page_);
  }

 private:
  bool wants_more() const noexcept { return n_ > 0 && page_.events.size() < static_cast<std::uint64_t>(n_); }

  // Its writer may be in the middle of it: a line that is no event is not damage, but not read past either.
  bool take_unterminated(const backward_line& line) {
    if (!wants_more() || line.too_long) return false;
    auto read = json::decode_line(line.text);
    if (!read) return false;
    page_.events.push_back(std::move(*read));
    return true;
  }

  void take(const backward_line& line) {
    if (line.too_long) {
      return report(line, line.bytes, "a line longer than " + std::to_string(limits::read_line_bytes_max) + " bytes");
    }
    auto read = json::decode_line(line.text);
    if (!read) {
      std::string cause = cause_of(line.text, read.error().message);
      const std::size_t glued = decode_glued_line(line.text, read, json::decode_line);
      if (glued == std::string::npos) return report(line, line.bytes, std::move(cause));
      report(line, glued, std::string(glued_cause));
    }
    page_.events.push_back(std::move(*read));
  }

  void report(const backward_line& line, std::uint64_t bytes, std::string cause) {
    ++page_.damaged;
    if (options_.on_damage) options_.on_damage({path_, line.offset, bytes, std::move(cause)});
  }

  const std::string& path_;
  const std::int64_t n_;
  const read_options& options_;
  tail_page page_;
};

// The file at `path`, or nothing where no regular file is.
std::optional<io::file> open_log(const std::string& path) {
  const auto status = io::status_at(path).value();
  const bool worth_opening = status && (status->kind == io::file_kind::regular || status->kind == io::file_kind::symlink);
  if (!worth_opening) return std::nullopt;
  return io::file::open(path, io::open_for::reading).value();  // which refuses the link, and says so
}

}  // namespace

tail_page read_tail(const std::string& path, std::int64_t n, const read_options& options) {
  const auto file = open_log(path);
  if (!file) return {};
  tail_page page = tail_reader(path, n, options).read(*file);
  const std::uint64_t offset = page.next.at.offset;
  page.next.at.segment = segment::live_number(path).value();
  page.next.check =
      check_of(file->read_before(std::min<std::uint64_t>(offset, check_first_bytes_max), check_first_bytes_max).value(),
               file->read_before(offset, check_last_bytes_max).value());
  return page;
}

std::vector<event> tail_log(const std::string& path, std::int64_t n, const read_options& options) {
  const auto file = open_log(path);
  if (!file) return {};
  return tail_reader(path, n, options).read(*file).events;
}

}  // namespace annals
