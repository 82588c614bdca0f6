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
import annals.io.checksum;
#include "finding_frames.h"

namespace annals::seekable {

namespace {

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

enum class what : std::uint8_t { frame, not_empty, skippable, neither };

// Is the frame nothing but an empty last block?
bool is_empty(const format::frame_header& header, std::string_view found, std::uint64_t compressed_bytes) {
  const std::size_t end = header.bytes + format::block_header_bytes;
  if (found.size() < end || compressed_bytes != end + (header.checksum ? format::checksum_bytes : 0)) return false;
  const format::block_header block = format::read_block_header(found.data() + header.bytes);
  return block.valid && block.last && block.bytes == 0;
}

// Does what stands at `offset` say of itself what the seek table says?
what at_place(window& in, std::uint64_t offset, std::uint64_t compressed_bytes, std::uint64_t bytes) {
  const std::string_view found = in.at(offset, format::frame_header_bytes_max + format::block_header_bytes);
  if (found.size() >= format::skippable_header_bytes && format::is_skippable(format::load<std::uint32_t>(found.data()))) {
    const std::uint64_t content = format::load<std::uint32_t>(found.data() + 4);
    return bytes == 0 && compressed_bytes == content + format::skippable_header_bytes ? what::skippable : what::neither;
  }
  const auto header = format::read_frame_header(found);
  if (!header || header->content_bytes.value_or(bytes) != bytes) return what::neither;
  return bytes != 0 || is_empty(*header, found, compressed_bytes) ? what::frame : what::not_empty;
}

}  // namespace

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
    if (found == what::frame || found == what::not_empty || (found == what::neither && i + 1 < place.count)) {
      ++frames;
      std::optional<facts> of_frame;
      if (known) of_frame = known->next();
      if (of_frame && of_frame->lines > bytes) of_frame.reset();
      frame one = {at, compressed_bytes, 0, bytes, of_frame};
      if (found == what::not_empty) one.claimed = std::exchange(one.bytes, std::nullopt);
      plan.frames.add(one);
    }
    at += compressed_bytes;
  }
  plan.believed = plan.believed && at == place.frame_at;
  const bool vouched = known && known->entries_check() == check && known->count() == frames && at == place.frame_at;
  if (!vouched) plan.frames.forget_facts();
  plan.guides = vouched && plan.frames.frames().size() == frames;
  return plan;
}

}  // namespace annals::seekable
