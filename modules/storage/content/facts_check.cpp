// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>
module annals.content;
import annals.content.seekable;

namespace annals::content {

namespace {

std::string words_for(const seekable::facts& some) {
  std::string words = std::to_string(some.lines) + " lines";
  if (some.earliest && some.latest)
    words += " from " + to_string(timestamp{*some.earliest}) + " to " + to_string(timestamp{*some.latest});
  return words;
}

}  // namespace

result<std::vector<loss>> wrong_facts(segment_reader& file) {
  std::vector<loss> wrong;
  seekable::line_reader lines;
  std::string text;  // of the frame, as far as it was read
  std::size_t at = 0;
  const auto& frames = file.frames();
  const auto compare = [&](const seekable::frame& frame) {
    if (!frame.known || !frame.bytes || text.size() != *frame.bytes) return;
    const seekable::facts found = lines.look_at(text);
    if (found == *frame.known) return;
    wrong.push_back({frame.compressed_offset, 0,
                     "the facts of this frame say " + words_for(*frame.known) + ", but it has " + words_for(found) +
                         "; searches by time may have missed lines"});
  };
  const auto done = file.each(0, static_cast<std::uint64_t>(-1), {}, [&](const piece& next) {
    for (; at < frames.size() && frames[at].bytes && next.offset >= frames[at].offset + *frames[at].bytes; ++at) {
      compare(frames[at]);
      text.clear();
    }
    const bool is_wanted = at < frames.size() && frames[at].known && next.offset == frames[at].offset + text.size();
    if (is_wanted) text += next.bytes;
    return true;
  });
  if (!done) return done.error();
  if (at < frames.size()) compare(frames[at]);
  return wrong;
}

}  // namespace annals::content
