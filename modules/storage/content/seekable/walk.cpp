// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format.h"
module annals.content.seekable;
#include "finding_frames.h"

namespace annals::seekable {

namespace {

// Walking a file that is whole takes at most one step for three bytes of it. What is left of this many more is the patience
// with what looks like the beginning of a frame and is none, so that no file takes longer than its size allows.
constexpr std::uint64_t extra_steps = 1024 * 1024;
constexpr std::uint64_t steps_of_a_read = 100;

enum class chain_end : std::uint8_t { complete, cut, broken, given_up };

struct chain {
  chain_end end = chain_end::broken;
  std::uint64_t bytes = 0;  // of the frame, where it is complete
  std::optional<std::uint64_t> content_bytes;
};

class walk {
 public:
  walk(const source& from, std::uint64_t size, const std::vector<frame>& plan)
      : size_(size),
        headers_(from, header_window_bytes),
        search_(from, search_window_bytes),
        plan_(plan),
        steps_left_(size / 3 + extra_steps) {}

  result<growing_table> run() {
    while (at_ < size_) step();
    if (headers_.failed()) return *headers_.failed();
    if (search_.failed()) return *search_.failed();
    return std::move(made_);
  }

 private:
  void step() {
    const std::string_view found = headers_.at(at_, format::skippable_header_bytes);
    if (found.size() >= 4 && format::is_skippable(format::load<std::uint32_t>(found.data()))) return skip(found);
    const chain here = follow(at_);
    if (here.end == chain_end::complete) return add(at_, here.bytes, here.content_bytes);
    search_behind(here);
  }

  void skip(std::string_view header) {
    if (header.size() == format::skippable_header_bytes) {
      const std::uint64_t end = at_ + format::skippable_header_bytes + format::load<std::uint32_t>(header.data() + 4);
      if (end <= size_) {
        at_ = end;
        return;
      }
    }
    search_behind({});
  }

  // Goes from block to block.
  chain follow(std::uint64_t from) {
    const std::string_view beginning = headers_.at(from, format::frame_header_bytes_max);
    const auto header = format::read_frame_header(beginning);
    if (!header) {  // or one of which the end of the file leaves not even the header
      const bool cut = beginning.size() < format::frame_header_bytes_max && begins_frame(beginning);
      return {cut ? chain_end::cut : chain_end::broken, 0, std::nullopt};
    }
    std::uint64_t at = from + header->bytes;
    for (;;) {
      const std::string_view bytes = headers_.at(at, format::block_header_bytes);
      if (bytes.size() < format::block_header_bytes) return {chain_end::cut, 0, header->content_bytes};
      const format::block_header block = format::read_block_header(bytes.data());
      if (!block.valid) return {chain_end::broken, 0, header->content_bytes};
      at += format::block_header_bytes + block.bytes;
      if (block.last) break;
      const std::uint64_t steps = block.bytes < header_window_bytes ? 1 : steps_of_a_read;
      if (steps_left_ < steps) return {chain_end::given_up, 0, std::nullopt};
      steps_left_ -= steps;
    }
    if (header->checksum) at += format::checksum_bytes;
    if (at > size_) return {chain_end::cut, 0, header->content_bytes};
    return {chain_end::complete, at - from, header->content_bytes};
  }

  static bool begins_frame(std::string_view bytes) {
    constexpr std::string_view magic("\x28\xB5\x2F\xFD", 4);
    return bytes.substr(0, magic.size()) == magic.substr(0, bytes.size());
  }

  void add(std::uint64_t offset, std::uint64_t compressed_bytes, std::optional<std::uint64_t> bytes) {
    frame found = {offset, compressed_bytes, 0, bytes, std::nullopt};
    // A seek table of ours knows how many bytes of lines are before this one, whatever has become of them.
    const auto same = std::lower_bound(plan_.begin(), plan_.end(), offset,
                                       [](const frame& f, std::uint64_t at) { return f.compressed_offset < at; });
    if (same != plan_.end() && same->compressed_offset == offset) {
      made_.go_on_at(same->offset);
      found.bytes = same->bytes;
      found.known = same->known;
      found.claimed = same->claimed;
    }
    made_.add(found);
    at_ = offset + compressed_bytes;
  }

  // What stands at at_ is no whole frame. The next whole one behind it decides what becomes of it: where there is none, and
  // somewhere a frame began that the end of the file cuts, that is the last one.
  void search_behind(const chain& here) {
    const std::uint64_t begin = at_;
    if (here.end == chain_end::given_up) return give_up(begin);
    std::optional<std::uint64_t> cut;
    if (here.end == chain_end::cut) cut = begin;
    for (std::uint64_t from = find_magic(begin + 1); from < size_; from = find_magic(from + 1)) {
      const chain there = follow(from);
      if (there.end == chain_end::given_up) return give_up(begin);
      if (there.end == chain_end::complete) {
        report(begin, from, here);
        return add(from, there.bytes, there.content_bytes);
      }
      if (there.end == chain_end::cut && !cut) cut = from;
    }
    if (!cut) return report(begin, size_, here);
    if (*cut != begin) report(begin, *cut, here);
    add(*cut, size_ - *cut, std::nullopt);
  }

  void give_up(std::uint64_t begin) {
    made_.report(begin, size_ - begin, "too many beginnings of frames that are none; expected a .zst file");
    at_ = size_;
  }

  // The next place, from `from` on, that begins like a frame, or like one that the end of the file cuts; else the file's end.
  std::uint64_t find_magic(std::uint64_t from) {
    while (from < size_) {
      const std::string_view piece = search_.piece_at(from);
      if (piece.empty()) break;
      const std::size_t first = piece.find('\x28');
      if (first == std::string_view::npos) {
        from += piece.size();
        continue;
      }
      from += first;
      if (begins_frame(search_.at(from, 4))) return from;
      ++from;
    }
    return size_;
  }

  // What the seek table of ours says of the frames that stood there. Nothing where it does not know each of them.
  std::optional<facts> facts_between(std::uint64_t begin, std::uint64_t end) const {
    std::optional<facts> all;
    for (const frame& one : plan_) {
      if (one.compressed_offset < begin || one.compressed_offset >= end) continue;
      if (!one.known || one.compressed_offset + one.compressed_bytes > end) return std::nullopt;
      all = all ? joined(*all, *one.known) : *one.known;
    }
    return all;
  }

  void report(std::uint64_t begin, std::uint64_t end, const chain& here) {
    const char* const cause = here.end == chain_end::cut ? "a frame that reaches beyond the next one; its blocks are damaged"
                              : here.content_bytes       ? "a frame whose blocks are damaged"
                                                         : "no zstd frame; expected one, or a skippable one";
    made_.report(begin, end - begin, cause, facts_between(begin, end));
    at_ = end;
  }

  std::uint64_t size_;
  window headers_;
  window search_;
  const std::vector<frame>& plan_;
  growing_table made_;
  std::uint64_t at_ = 0;
  std::uint64_t steps_left_;
};

}  // namespace

result<growing_table> walk_frames(const source& from, std::uint64_t size, const std::vector<frame>& plan) {
  return walk(from, size, plan).run();
}

}  // namespace annals::seekable
