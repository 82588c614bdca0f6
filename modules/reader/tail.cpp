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
      if (searched > limits::line_bytes_ceiling) {  // from now on only the line's beginning matters
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
    line.too_long = line.bytes > limits::line_bytes_ceiling;
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

  tail_page read(const io::file& file) {
    const std::uint64_t bytes = file.status().value().bytes;
    backward_lines lines(file, bytes);
    tail_page page;
    page.next.at = {segment::live_number(path_).value(), bytes};
    bool last = true;
    while (auto line = lines.next()) {
      if (last && !line->terminated) {
        if (!take_unterminated(*line, page)) page.next.at.offset = line->offset;
      } else if (wants_more(page)) {
        take(*line, page);
      }
      last = false;
      if (!wants_more(page)) break;
    }
    std::reverse(page.events.begin(), page.events.end());
    page.next.check = check_of(file.read_before(page.next.at.offset, check_bytes_max).value());
    return page;
  }

 private:
  bool wants_more(const tail_page& page) const noexcept {
    return n_ > 0 && page.events.size() < static_cast<std::uint64_t>(n_);
  }

  // Its writer may be in the middle of it: a line that is no event is not damage, but not read past either.
  bool take_unterminated(const backward_line& line, tail_page& page) {
    if (!wants_more(page) || line.too_long) return false;
    auto read = json::decode_line(line.text);
    if (!read) return false;
    page.events.push_back(std::move(*read));
    return true;
  }

  void take(const backward_line& line, tail_page& page) {
    if (line.too_long) return report(line, "a line longer than " + std::to_string(limits::line_bytes_ceiling) + " bytes");
    auto read = json::decode_line(line.text);
    if (read) {
      page.events.push_back(std::move(*read));
    } else {
      report(line, cause_of(line.text, std::move(read.error().message)));
    }
  }

  void report(const backward_line& line, std::string cause) const {
    if (options_.on_damage) options_.on_damage({path_, line.offset, line.bytes, std::move(cause)});
  }

  const std::string& path_;
  const std::int64_t n_;
  const read_options& options_;
};

}  // namespace

tail_page read_tail(const std::string& path, std::int64_t n, const read_options& options) {
  const auto status = io::status_at(path).value();
  const bool worth_opening = status && (status->kind == io::file_kind::regular || status->kind == io::file_kind::symlink);
  if (!worth_opening) return {};
  const io::file file = io::file::open(path, io::open_for::reading).value();  // which refuses the link, and says so
  return tail_reader(path, n, options).read(file);
}

std::vector<event> tail_log(const std::string& path, std::int64_t n, const read_options& options) {
  return read_tail(path, n, options).events;
}

}  // namespace annals
