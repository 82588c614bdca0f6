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
import annals.checksum;

namespace annals::seekable {

namespace {

// Walking a file that is whole takes at most one step for three bytes of it. What is left of this many more is the patience
// with what looks like the beginning of a frame and is none, so that no file takes longer than its size allows.
constexpr std::uint64_t extra_steps = 1024 * 1024;
constexpr std::uint64_t steps_of_a_read = 100;

// Bytes of a file, read as they are looked at. Errors of the system are kept: what could not be read has no bytes.
class window {
 public:
  window(const source& from, std::size_t bytes) : from_(from), capacity_(bytes), bytes_(new char[bytes]) {}

  // Up to `count` bytes at `offset`; fewer only at the end of the file. Valid until the next call.
  std::string_view at(std::uint64_t offset, std::size_t count) {
    if (offset < begin_ || offset + count > begin_ + filled_) {
      auto got = from_.read_at(bytes_.get(), capacity_, offset);
      if (!got && !failed_) failed_ = std::move(got.error());
      begin_ = offset;
      filled_ = got ? *got : 0;
    }
    return std::string_view(bytes_.get(), filled_).substr(static_cast<std::size_t>(offset - begin_), count);
  }
  // What has been read of the bytes from `offset` on, at least one unless the file ends there.
  std::string_view piece_at(std::uint64_t offset) {
    if (at(offset, 1).empty()) return {};
    return std::string_view(bytes_.get(), filled_).substr(static_cast<std::size_t>(offset - begin_));
  }
  const std::optional<error>& failed() const noexcept { return failed_; }

 private:
  const source& from_;
  std::size_t capacity_;
  std::unique_ptr<char[]> bytes_;
  std::uint64_t begin_ = 0;
  std::size_t filled_ = 0;
  std::optional<error> failed_;
};

constexpr std::size_t header_window_bytes = 4 * 1024;  // a few block headers of small blocks, and soon read for large ones
constexpr std::size_t search_window_bytes = 64 * 1024;

// --- the table as it grows -------------------------------------------------------------------------------------------------

class growing_table {
 public:
  void add(frame next) {
    next.offset = offset_;
    offset_ += next.bytes.value_or(0);
    all_sizes_known_ = all_sizes_known_ && next.bytes;
    if (made_.frames.size() == frames_max && !crowded_) crowded_ = !halve();
    if (made_.frames.size() < frames_max) return made_.frames.push_back(next);
    if (touch(made_.frames.back(), next)) return join(made_.frames.back(), next);
    report(next.compressed_offset, next.compressed_bytes,
           "more than " + std::to_string(frames_max) + " frames with something else between them; expected fewer");
  }
  // The next frame is at this place of the uncompressed lines.
  void go_on_at(std::uint64_t offset) noexcept { offset_ = offset; }
  void forget_facts() noexcept {
    for (frame& f : made_.frames) f.known.reset();
  }

  void report(std::uint64_t offset, std::uint64_t bytes, std::string cause) {
    all_sizes_known_ = false;
    if (made_.findings.size() < findings_max) return made_.findings.push_back({offset, bytes, std::move(cause)});
    finding& last = made_.findings.back();
    last.cause = "more damage than is told of one by one, between here and the end";
    last.compressed_bytes = offset + bytes - std::min(last.compressed_offset, offset);
  }

  table finish(bool from_seek_table) && {
    made_.from_seek_table = from_seek_table;
    if (all_sizes_known_) made_.bytes = offset_;
    facts all;
    bool known = all_sizes_known_ && !made_.frames.empty();
    for (const frame& f : made_.frames) {
      known = known && f.known;
      if (known) all = joined(all, *f.known);
    }
    if (known) made_.known = all;
    return std::move(made_);
  }

  const std::vector<frame>& frames() const noexcept { return made_.frames; }

 private:
  static bool touch(const frame& one, const frame& next) noexcept {
    return one.compressed_offset + one.compressed_bytes == next.compressed_offset;
  }
  static void join(frame& one, const frame& next) noexcept {
    one.compressed_bytes += next.compressed_bytes;
    one.bytes = one.bytes && next.bytes ? std::optional(*one.bytes + *next.bytes) : std::nullopt;
    one.known = one.known && next.known ? std::optional(joined(*one.known, *next.known)) : std::nullopt;
  }

  // Makes one entry of each two that touch. False where those are few: a look at all entries has to be worth it, or a file of
  // nothing but tiny frames would take for ever.
  bool halve() {
    constexpr std::size_t few = frames_max / 16;
    std::vector<frame>& frames = made_.frames;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      frame one = frames[i];
      if (i + 1 < frames.size() && touch(one, frames[i + 1])) join(one, frames[++i]);
      frames[kept++] = one;
    }
    const bool many = kept + few <= frames.size();
    frames.resize(kept);
    return many;
  }

  table made_;
  std::uint64_t offset_ = 0;
  bool all_sizes_known_ = true;
  bool crowded_ = false;  // few entries touch another: what comes when there is no room is joined to the last, or is not had
};

// --- the seek table --------------------------------------------------------------------------------------------------------

struct seek_table_place {
  std::uint64_t entries_at = 0;
  std::uint64_t frame_at = 0;  // of the skippable frame it stands in
  std::uint32_t count = 0;
  std::uint32_t entry_bytes = 0;
};

struct found_seek_table {
  std::optional<seek_table_place> place;
  std::string problem;  // where it is there, and wrong
};

found_seek_table find_seek_table(window& in, std::uint64_t size) {
  constexpr std::size_t least = format::skippable_header_bytes + format::footer_bytes;
  if (size < least) return {};
  const std::string_view footer = in.at(size - format::footer_bytes, format::footer_bytes);
  if (footer.size() < format::footer_bytes || format::load<std::uint32_t>(footer.data() + 5) != format::seekable_magic)
    return {};
  const auto descriptor = static_cast<std::uint8_t>(footer[4]);
  seek_table_place place;
  place.count = format::load<std::uint32_t>(footer.data());
  place.entry_bytes = (descriptor & 0x80) != 0 ? 12 : 8;
  if ((descriptor & 0x7C) != 0) return {std::nullopt, "its descriptor has bits that version 0.1.0 of the format does not know"};
  const std::uint64_t content = std::uint64_t{place.count} * place.entry_bytes + format::footer_bytes;
  if (content + format::skippable_header_bytes > size) {
    return {std::nullopt, "it claims " + std::to_string(place.count) + " frames, more than there is room for"};
  }
  place.frame_at = size - content - format::skippable_header_bytes;
  place.entries_at = place.frame_at + format::skippable_header_bytes;
  const std::string_view header = in.at(place.frame_at, format::skippable_header_bytes);
  if (header.size() < format::skippable_header_bytes ||
      format::load<std::uint32_t>(header.data()) != format::seek_table_magic ||
      format::load<std::uint32_t>(header.data() + 4) != content) {
    return {std::nullopt, "it does not begin where its " + std::to_string(place.count) + " frames would have it begin"};
  }
  return {place, ""};
}

// Our facts, where the last frame before the seek table has them.
std::optional<facts_frame> find_facts(const source& from, window& table, window& in, const seek_table_place& place) {
  if (place.count == 0) return std::nullopt;
  const std::string_view last =
      table.at(place.entries_at + std::uint64_t{place.count - 1} * place.entry_bytes, sizeof(std::uint32_t));
  if (last.size() < sizeof(std::uint32_t)) return std::nullopt;
  const std::uint64_t bytes = format::load<std::uint32_t>(last.data());
  if (bytes < format::skippable_header_bytes || bytes > place.frame_at) return std::nullopt;
  const std::string_view header = in.at(place.frame_at - bytes, format::skippable_header_bytes);
  if (header.size() < format::skippable_header_bytes || format::load<std::uint32_t>(header.data()) != format::facts_magic ||
      format::load<std::uint32_t>(header.data() + 4) != bytes - format::skippable_header_bytes) {
    return std::nullopt;
  }
  return facts_frame::open(from, place.frame_at - bytes + format::skippable_header_bytes,
                           bytes - format::skippable_header_bytes);
}

enum class what : std::uint8_t { frame, skippable, neither };

// Does what stands at `offset` say of itself what the seek table says?
what at_place(window& in, std::uint64_t offset, std::uint64_t compressed_bytes, std::uint64_t bytes) {
  const std::string_view found = in.at(offset, format::frame_header_bytes_max);
  if (found.size() >= format::skippable_header_bytes && format::is_skippable(format::load<std::uint32_t>(found.data()))) {
    const std::uint64_t content = format::load<std::uint32_t>(found.data() + 4);
    return bytes == 0 && compressed_bytes == content + format::skippable_header_bytes ? what::skippable : what::neither;
  }
  const auto header = format::read_frame_header(found);
  return header && header->content_bytes.value_or(bytes) == bytes ? what::frame : what::neither;
}

struct planned {
  growing_table frames;
  bool believed = false;             // everything is at its place
  bool guides = false;               // it is what our writer wrote, each entry one frame, whatever has become of those
  std::optional<error> failed = {};  // nothing of this is known, since the table could not be read
};

enum class frames_are : std::uint8_t { looked_at, taken_as_told };

// The frames as the seek table has them.
planned read_entries(const source& from, window& in, const seek_table_place& place, frames_are how) {
  window entries(from, search_window_bytes);
  planned plan;
  auto known = find_facts(from, entries, in, place);
  std::uint64_t check = fnv_1a_of_nothing;
  std::uint64_t at = 0;
  std::uint64_t frames = 0;
  plan.believed = true;
  for (std::uint32_t i = 0; i < place.count; ++i) {
    const std::string_view entry = entries.at(place.entries_at + std::uint64_t{i} * place.entry_bytes, place.entry_bytes);
    if (entry.size() < place.entry_bytes) {
      planned nothing;
      nothing.failed = entries.failed();
      return nothing;
    }
    if (i + 1 < place.count) check = fnv_1a(entry, check);
    const std::uint64_t compressed_bytes = format::load<std::uint32_t>(entry.data());
    const std::uint64_t bytes = format::load<std::uint32_t>(entry.data() + 4);
    if (compressed_bytes == 0 || compressed_bytes > place.frame_at - at) return {};
    const what found = how == frames_are::looked_at ? at_place(in, at, compressed_bytes, bytes)
                       : i + 1 < place.count        ? what::frame
                                                    : what::skippable;
    plan.believed = plan.believed && found != what::neither;
    if (found == what::frame || (found == what::neither && i + 1 < place.count)) {
      ++frames;
      std::optional<facts> of_frame;
      if (known) of_frame = known->next();
      if (of_frame && of_frame->lines > bytes) of_frame.reset();
      plan.frames.add({at, compressed_bytes, 0, bytes, of_frame});
    }
    at += compressed_bytes;
  }
  plan.believed = plan.believed && at == place.frame_at;
  const bool vouched = known && known->entries_check() == check && known->count() == frames && at == place.frame_at;
  if (!vouched) plan.frames.forget_facts();
  plan.guides = vouched && plan.frames.frames().size() == frames;
  return plan;
}

// --- frame after frame -----------------------------------------------------------------------------------------------------

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

  void report(std::uint64_t begin, std::uint64_t end, const chain& here) {
    const char* const cause = here.end == chain_end::cut ? "a frame that reaches beyond the next one; its blocks are damaged"
                              : here.content_bytes       ? "a frame whose blocks are damaged"
                                                         : "no zstd frame; expected one, or a skippable one";
    made_.report(begin, end - begin, cause);
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

source::source(const io::file& from, std::string path) : file_(&from), path_(std::move(path)) {}

source::source(std::string_view bytes, std::string name) : memory_(bytes), path_(std::move(name)) {}

result<std::size_t> source::read_at(char* bytes, std::size_t count, std::uint64_t offset) const {
  if (file_ != nullptr) return file_->read_at(bytes, count, offset);
  if (offset >= memory_.size()) return std::size_t{0};
  const std::string_view found = memory_.substr(static_cast<std::size_t>(offset), count);
  if (!found.empty()) std::memcpy(bytes, found.data(), found.size());
  return found.size();
}

result<std::uint64_t> source::bytes() const {
  if (file_ == nullptr) return std::uint64_t{memory_.size()};
  const auto status = file_->status();
  if (!status) return status.error();
  return status->bytes;
}

result<std::optional<facts>> read_facts(const source& from) {
  const auto size = from.bytes();
  if (!size) return size.error();
  window in(from, search_window_bytes);
  const found_seek_table seek_table = find_seek_table(in, *size);
  planned plan;
  if (seek_table.place) plan = read_entries(from, in, *seek_table.place, frames_are::taken_as_told);
  if (const auto& failed = plan.failed ? plan.failed : in.failed()) return *failed;
  if (!plan.guides) return std::optional<facts>();
  return std::move(plan.frames).finish(true).known;
}

result<table> read_table(const source& from) {
  const auto size = from.bytes();
  if (!size) return size.error();
  window in(from, header_window_bytes);
  const found_seek_table seek_table = find_seek_table(in, *size);
  planned plan;
  if (seek_table.place) plan = read_entries(from, in, *seek_table.place, frames_are::looked_at);
  if (const auto& failed = plan.failed ? plan.failed : in.failed()) return *failed;
  if (plan.believed) return std::move(plan.frames).finish(true);

  const std::vector<frame> nothing;
  auto walked = walk(from, *size, plan.guides ? plan.frames.frames() : nothing).run();
  if (!walked) return std::move(walked.error());
  if (seek_table.place || !seek_table.problem.empty()) {
    const std::uint64_t at = seek_table.place ? seek_table.place->frame_at : *size - format::footer_bytes;
    walked->report(
        at, *size - at,
        "the seek table is wrong or damaged: " +
            (seek_table.place ? "the frames are not where it says; they were looked for one by one" : seek_table.problem));
  }
  return std::move(*walked).finish(false);
}

}  // namespace annals::seekable
